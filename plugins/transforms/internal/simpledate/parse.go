package simpledate

import (
	"strconv"
	"unicode/utf8"

	"github.com/millrace/millrace/sdk/data"
)

// The fields that a text can set, as Java's Calendar has them.
type field uint8

const (
	era field = iota
	year
	month // from 0
	weekOfYear
	weekOfMonth
	dayOfMonth
	dayOfYear
	dayOfWeek // Sunday is 1
	dayOfWeekInMonth
	amPM
	hour
	hourOfDay
	minute
	second
	millisecond
	weekYear
	offset
	fieldCount
)

// calendar holds the fields that were set, and in what order: of fields that contradict each other the later counts.
type calendar struct {
	value [fieldCount]int64
	stamp [fieldCount]int // 0: not set
	next  int
	zone  Zone
}

func (c *calendar) set(f field, v int64) {
	c.next++
	c.value[f], c.stamp[f] = v, c.next
}

func (c *calendar) or(f field, otherwise int64) int64 {
	if c.stamp[f] == 0 {
		return otherwise
	}
	return c.value[f]
}

// both is when the later of two fields was set; 0 unless both were.
func (c *calendar) both(a, b field) int {
	if c.stamp[a] == 0 || c.stamp[b] == 0 {
		return 0
	}
	return max(c.stamp[a], c.stamp[b])
}

// numeric are the fields of the letters that stand for plain numbers.
var numeric = map[byte]field{'d': dayOfMonth, 'H': hourOfDay, 'm': minute, 's': second, 'S': millisecond, 'D': dayOfYear, 'F': dayOfWeekInMonth,
	'w': weekOfYear, 'W': weekOfMonth, 'K': hour}

// Parse reads the beginning of a text. The zone is the one that the text names, for those who write it again; UTC where it
// names none.
func (f *Format) Parse(text string) (at data.Instant, zone Zone, ok bool) {
	var c calendar
	ambiguous := false
	pos := 0
	for i := range f.items {
		it := &f.items[i]
		if it.letter == 0 {
			if len(text)-pos < len(it.text) || text[pos:pos+len(it.text)] != it.text {
				return 0, Zone{}, false
			}
			pos += len(it.text)
			continue
		}
		limit := -1 // where digits adjoin those of the next letter, the count is the width
		if i+1 < len(f.items) && f.items[i+1].adjoins() {
			limit = pos + it.count
		}
		var twice bool
		if pos, twice = f.field(it, text, pos, limit, &c); pos < 0 {
			return 0, Zone{}, false
		}
		ambiguous = ambiguous || twice
	}
	if at = c.instant(); ambiguous && at < f.century {
		c.value[year] += 100
		c.value[weekYear] += 100
		at = c.instant()
	}
	return at, c.zone, true
}

// adjoins tells whether a letter stands for digits.
func (it *item) adjoins() bool {
	switch it.letter {
	case 0, 'G', 'E', 'a', 'z', 'Z', 'X':
		return false
	case 'M', 'L':
		return it.count <= 2
	}
	return true
}

// field reads what a letter stands for, and returns the place behind it or -1. ambiguous is true for a two-digit year that
// could be the first or the last of the century.
func (f *Format) field(it *item, text string, start, limit int, c *calendar) (end int, ambiguous bool) {
	pos := start
	for pos < len(text) && (text[pos] == ' ' || text[pos] == '\t') {
		pos++
	}
	if pos == len(text) {
		return -1, false
	}
	if it.adjoins() {
		n, end := int64(0), -1
		switch {
		case limit < 0:
			n, end = number(text, pos)
		case limit <= len(text):
			n, end = number(text[:max(limit, pos)], pos)
		}
		if end < 0 {
			return -1, false
		}
		return end, f.setNumber(it, n, text[pos:end], c)
	}
	switch it.letter {
	case 'z', 'Z':
		return c.named(text, start, pos), false
	case 'X':
		return c.iso(it.count, text, pos), false
	}
	return c.word(it.letter, text, start), false
}

func (f *Format) setNumber(it *item, n int64, digits string, c *calendar) (ambiguous bool) {
	switch it.letter {
	case 'y', 'Y':
		of := year
		if it.letter == 'Y' {
			of = weekYear
		}
		if it.count <= 2 && utf8.RuneCountInString(digits) == 2 && n >= 0 && digits[0] != '-' {
			first, _, _, _ := f.century.Date()
			ambiguous = n == first%100
			if n < first%100 {
				n += 100
			}
			n += first / 100 * 100
		}
		c.set(of, n)
	case 'M', 'L':
		c.set(month, n-1)
	case 'k':
		c.set(hourOfDay, zeroed(n, 24))
	case 'h':
		c.set(hour, zeroed(n, 12))
	case 'u':
		if n >= 1 && n <= 7 {
			n = n%7 + 1
		}
		c.set(dayOfWeek, n)
	default:
		c.set(numeric[it.letter], n)
	}
	return ambiguous
}

// zeroed is n, or 0 for the highest.
func zeroed(n, highest int64) int64 {
	if n == highest {
		return 0
	}
	return n
}

// number reads an integer at the beginning of a text, of the digits of any script; it is cut to 32 bits as Java does.
func number(text string, pos int) (n int64, end int) {
	negative := pos < len(text) && text[pos] == '-'
	if negative {
		pos++
	}
	buf := make([]byte, 0, 20)
	end = -1
	for pos < len(text) {
		r, size := utf8.DecodeRuneInString(text[pos:])
		d, ok := data.Digit(r)
		if !ok {
			break
		}
		if len(buf) > 0 || d > 0 {
			buf = append(buf, byte('0'+d))
		}
		pos += size
		end = pos
	}
	if end < 0 {
		return 0, -1
	}
	if len(buf) == 0 {
		return 0, end
	}
	n, err := strconv.ParseInt(string(buf), 10, 64)
	if negative {
		n = -n
	}
	if err != nil { // a double in Java, which is not cut but bounded
		n = max(min(n, 1<<31-1), -1<<31)
	}
	return int64(int32(n)), end //nolint:gosec // as above
}

// word reads a name: of an era, a month, a day or a half of the day.
func (c *calendar) word(letter byte, text string, pos int) int {
	names, of, first := eras[:], era, int64(0)
	switch letter {
	case 'M', 'L':
		names, of = months[:], month
	case 'E':
		names, of, first = weekdays[:], dayOfWeek, 1
	case 'a':
		names, of = halves[:], amPM
	}
	for k, name := range names {
		if hasPrefixFold(text[pos:], name) {
			c.set(of, first+int64(k))
			return pos + len(name)
		}
	}
	if letter != 'M' && letter != 'L' && letter != 'E' {
		return -1
	}
	for k, name := range names {
		if hasPrefixFold(text[pos:], name[:3]) {
			c.set(of, first+int64(k))
			return pos + 3
		}
	}
	return -1
}

// named reads a zone's name, GMT with an offset, or an offset alone.
func (c *calendar) named(text string, start, pos int) int {
	sign := signOf(text, pos)
	switch {
	case sign != 0:
		return c.offset(text, pos+1, sign, 0, false)
	case hasPrefixFold(text[start:], "GMT"):
		pos = start + 3
		if sign = signOf(text, pos); sign == 0 {
			c.set(offset, 0)
			return pos
		}
		return c.offset(text, pos+1, sign, 0, true)
	}
	z, n := zoneNamed(text[pos:])
	if n == 0 {
		return -1
	}
	c.zone = z
	if z.Offset != 0 || c.stamp[offset] == 0 { // UTC says nothing new
		c.set(offset, int64(z.Offset))
	}
	return pos + n
}

func signOf(text string, pos int) int64 {
	if pos < len(text) {
		switch text[pos] {
		case '+':
			return 1
		case '-':
			return -1
		}
	}
	return 0
}

func (c *calendar) iso(count int, text string, pos int) int {
	if text[pos] == 'Z' {
		c.set(offset, 0)
		return pos + 1
	}
	sign := signOf(text, pos)
	if sign == 0 {
		return -1
	}
	return c.offset(text, pos+1, sign, count, count == 3)
}

// offset reads hours and minutes: count 1 is hours alone; 0 is not ISO's, where the hour may have one digit before a colon.
func (c *calendar) offset(text string, pos int, sign int64, count int, colon bool) int {
	digit := func(i int) int64 {
		if i < len(text) && text[i] >= '0' && text[i] <= '9' {
			return int64(text[i] - '0')
		}
		return -1
	}
	hours := digit(pos)
	if hours < 0 {
		return -1
	}
	pos++
	if d := digit(pos); d >= 0 {
		hours = hours*10 + d
		pos++
	} else if count > 0 || !colon {
		return -1
	}
	if hours > 23 {
		return -1
	}
	minutes := int64(0)
	if count != 1 {
		if colon {
			if pos >= len(text) || text[pos] != ':' {
				return -1
			}
			pos++
		}
		a, b := digit(pos), digit(pos+1)
		if a < 0 || b < 0 || a > 5 {
			return -1
		}
		minutes = a*10 + b
		pos += 2
	}
	c.set(offset, sign*(hours*60+minutes)*60_000)
	return pos
}

// instant is the point in time that the fields name.
func (c *calendar) instant() data.Instant {
	ms := c.timeOfDay()
	day := c.day() + floor(ms, data.Day)
	return data.Instant(day*data.Day + mod(ms, data.Day) - c.or(offset, 0))
}

func (c *calendar) timeOfDay() int64 {
	h := int64(0)
	best := max(c.stamp[hourOfDay], c.both(hour, amPM))
	if best == 0 {
		best = max(c.stamp[hour], c.stamp[amPM])
	}
	switch best {
	case 0:
	case c.stamp[hourOfDay]:
		h = c.value[hourOfDay]
	default:
		h = c.or(hour, 0) + 12*c.or(amPM, 0)
	}
	return ((h*60+c.or(minute, 0))*60+c.or(second, 0))*1000 + c.or(millisecond, 0)
}

// onOrBefore is the last day of a weekday (Sunday is 1) until a day.
func onOrBefore(day, of int64) int64 { return day - mod(weekday(day)-(of-1), 7) }

// firstWeek is the Sunday that begins the week of a day.
func firstWeek(day int64) int64 { return onOrBefore(day, 1) }

// day finds the day since 1970: the group of fields that was set last decides, as in Java's GregorianCalendar.
func (c *calendar) day() int64 {
	if c.stamp[weekYear] > c.stamp[year] {
		return c.weekDay()
	}
	y := c.or(year, 1970)
	if c.stamp[era] != 0 && c.value[era] == 0 {
		y = 1 - y
	}
	week, inMonth, ofYear := c.both(weekOfMonth, dayOfWeek), c.both(dayOfWeekInMonth, dayOfWeek), c.both(weekOfYear, dayOfWeek)
	dom := c.stamp[dayOfMonth]
	best := max(dom, week, inMonth, c.stamp[dayOfYear], ofYear)
	if best == 0 {
		week, inMonth, ofYear = c.stamp[weekOfMonth], max(c.stamp[dayOfWeekInMonth], c.stamp[dayOfWeek]), c.stamp[weekOfYear]
		if best = max(week, inMonth, ofYear); best == 0 {
			dom = c.stamp[month]
			best = dom
		}
	}
	if best == dom {
		return midnight(y, c.or(month, 0)+1, c.or(dayOfMonth, 1))
	}
	inWeeks := best == week && c.stamp[weekOfMonth] >= c.stamp[weekOfYear]
	if inWeeks || best == inMonth && c.stamp[dayOfWeekInMonth] >= c.stamp[weekOfYear] {
		first := midnight(y, c.or(month, 0)+1, 1)
		if week == inMonth && c.stamp[weekOfMonth] >= c.stamp[dayOfWeekInMonth] || week != inMonth && best == week {
			return firstWeek(first) + mod(c.or(dayOfWeek, 1)-1, 7) + 7*(c.or(weekOfMonth, 1)-1)
		}
		return c.nthWeekday(y, first)
	}
	if best == c.stamp[dayOfYear] {
		return midnight(y, 1, 1) + c.value[dayOfYear] - 1
	}
	return firstWeek(midnight(y, 1, 1)) + mod(c.or(dayOfWeek, 1)-1, 7) + 7*(c.or(weekOfYear, 1)-1)
}

// nthWeekday is a weekday of a month, counted from its first day, or from its last by negative numbers.
func (c *calendar) nthWeekday(y, first int64) int64 {
	of, n := c.or(dayOfWeek, 1), c.or(dayOfWeekInMonth, 1)
	if n >= 0 {
		return onOrBefore(first+7*n-1, of)
	}
	length := midnight(y, c.or(month, 0)+2, 1) - first
	return onOrBefore(first+length+7*(n+1)-1, of)
}

// weekDay is the day of a week of a week year.
func (c *calendar) weekDay() int64 {
	week, of, y := c.or(weekOfYear, 1), c.or(dayOfWeek, 1), c.value[weekYear]
	if of < 1 || of > 7 { // a number of weeks and a day from Monday on
		week += floor(of-1, 7)
		of = (mod(of-1, 7)+1)%7 + 1
	}
	if c.stamp[era] != 0 && c.value[era] == 0 {
		y = 1 - y
	}
	return firstWeek(midnight(y, 1, 1)) + of - 1 + 7*(week-1)
}
