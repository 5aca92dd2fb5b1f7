// Package simpledate writes and reads dates by the patterns of java.text.SimpleDateFormat, as it does in UTC and US English:
// lenient, with a calendar that is Julian before 15 October 1582.
//
// All letters that Java knows are there (G y Y M L w W D d F E u a H k K h m s S z Z X). Of time zone names, those of
// zones.go are.
package simpledate

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/sdk/data"
)

// Format is a pattern that was read. It may be used by several goroutines.
type Format struct {
	items   []item
	century data.Instant // two-digit years are of the hundred years that begin here
}

// item is a run of one pattern letter, or text that stands for itself.
type item struct {
	letter byte // 0: text
	count  int
	text   string
}

const letters = "GyMdkHmsSEDFwWahKzZYuXL"

// New reads a pattern. now decides the century of two-digit years: from 80 years before it. The error's text is that of
// Java's IllegalArgumentException.
func New(pattern string, now time.Time) (*Format, error) {
	f := &Format{century: data.InstantOf(now.UTC().AddDate(-80, 0, 0))}
	quoted := false
	text := func(s string) {
		if n := len(f.items); n > 0 && f.items[n-1].letter == 0 {
			f.items[n-1].text += s
			return
		}
		f.items = append(f.items, item{text: s})
	}
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'' && strings.HasPrefix(pattern[i+1:], "'"):
			text("'")
			i += 2
		case c == '\'':
			quoted = !quoted
			i++
		case quoted || (c < 'a' || c > 'z') && (c < 'A' || c > 'Z'):
			text(pattern[i : i+1])
			i++
		case strings.IndexByte(letters, c) < 0:
			return nil, fmt.Errorf("Illegal pattern character '%c'", c) //nolint:staticcheck // Java's text
		default:
			n := 1
			for i+n < len(pattern) && pattern[i+n] == c {
				n++
			}
			if c == 'X' && n > 3 {
				return nil, fmt.Errorf("invalid ISO 8601 format: length=%d", n)
			}
			f.items = append(f.items, item{letter: c, count: n})
			i += n
		}
	}
	if quoted {
		return nil, fmt.Errorf("Unterminated quote") //nolint:staticcheck // Java's text
	}
	return f, nil
}

var (
	months   = [...]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
	weekdays = [...]string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
	halves   = [...]string{"AM", "PM"}
	eras     = [...]string{"BC", "AD"}
)

// dayOf is the day since 1970 of an instant at midnight; weekday counts from Sunday, 0.
func dayOf(i data.Instant) int64    { return floor(int64(i), data.Day) }
func weekday(day int64) int64       { return mod(day+4, 7) }
func midnight(y, m, d int64) int64  { return dayOf(data.InstantAt(y, m, d, 0)) }
func floor(a, b int64) int64        { return (a - mod(a, b)) / b }
func mod(a, b int64) int64          { return (a%b + b) % b }
func weekOf(day, first int64) int64 { return (day-first+weekday(first))/7 + 1 }

// fields are the numbers of a date that patterns show.
type fields struct{ year, month, day, ms, days int64 }

// weekDate is the week, and the year it belongs to: that of the next 1 January within it.
func (d *fields) weekDate() (year, week int64) {
	saturday := d.days + 6 - weekday(d.days)
	if next := midnight(d.year+1, 1, 1); saturday >= next {
		return d.year + 1, 1
	}
	return d.year, weekOf(d.days, midnight(d.year, 1, 1))
}

// Append writes an instant as it is in a zone; the zero zone is UTC.
func (f *Format) Append(b []byte, at data.Instant, zone Zone) []byte {
	var d fields
	d.days = floor(int64(at), data.Day)
	if zone.Offset != 0 {
		at += data.Instant(zone.Offset)
	}
	d.year, d.month, d.day, d.ms = at.Date()
	d.days = midnight(d.year, d.month, d.day)
	for i := range f.items {
		if it := &f.items[i]; it.letter == 0 {
			b = append(b, it.text...)
		} else {
			b = it.append(b, &d, zone)
		}
	}
	return b
}

// Text is what Append writes.
func (f *Format) Text(at data.Instant, zone Zone) string {
	var buf [64]byte
	return string(f.Append(buf[:0], at, zone))
}

func (it *item) append(b []byte, d *fields, zone Zone) []byte {
	hour := d.ms / 3_600_000
	switch it.letter {
	case 'G':
		return append(b, eras[one(d.year > 0)]...)
	case 'y':
		return it.year(b, d.year)
	case 'Y':
		year, _ := d.weekDate()
		return it.year(b, year)
	case 'M', 'L':
		if it.count > 2 {
			return it.name(b, months[d.month-1])
		}
		return it.number(b, d.month)
	case 'w':
		_, week := d.weekDate()
		return it.number(b, week)
	case 'W':
		return it.number(b, weekOf(d.days, d.days-d.day+1))
	case 'D':
		return it.number(b, d.days-midnight(d.year, 1, 1)+1)
	case 'd':
		return it.number(b, d.day)
	case 'F':
		return it.number(b, (d.day-1)/7+1)
	case 'E':
		return it.name(b, weekdays[weekday(d.days)])
	case 'u':
		return it.number(b, mod(weekday(d.days)-1, 7)+1)
	case 'a':
		return append(b, halves[one(hour >= 12)]...)
	case 'H':
		return it.number(b, hour)
	case 'k':
		return it.number(b, mod(hour-1, 24)+1)
	case 'K':
		return it.number(b, hour%12)
	case 'h':
		return it.number(b, mod(hour-1, 12)+1)
	case 'm':
		return it.number(b, d.ms/60_000%60)
	case 's':
		return it.number(b, d.ms/1000%60)
	case 'S':
		return it.number(b, d.ms%1000)
	}
	return it.zone(b, zone)
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// year writes a year: of the era, or its last two digits.
func (it *item) year(b []byte, year int64) []byte {
	if it.letter == 'y' && year <= 0 {
		year = 1 - year
	}
	if it.count == 2 {
		year %= 100
	}
	return it.number(b, year)
}

func (it *item) number(b []byte, n int64) []byte {
	if n < 0 {
		b, n = append(b, '-'), -n
	}
	var buf [20]byte
	digits := strconv.AppendInt(buf[:0], n, 10)
	for range it.count - len(digits) {
		b = append(b, '0')
	}
	return append(b, digits...)
}

func (it *item) name(b []byte, full string) []byte {
	if it.count < 4 {
		full = full[:3]
	}
	return append(b, full...)
}

func (it *item) zone(b []byte, z Zone) []byte {
	if it.letter == 'z' {
		if it.count >= 4 {
			return append(b, z.long()...)
		}
		return append(b, z.short()...)
	}
	if it.letter == 'X' && z.Offset == 0 {
		return append(b, 'Z')
	}
	offset := int64(z.Offset) / 60_000
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	two := item{count: 2}
	b = two.number(append(b, sign), offset/60)
	switch {
	case it.letter == 'X' && it.count == 1:
		return b
	case it.letter == 'X' && it.count == 3:
		b = append(b, ':')
	}
	return two.number(b, offset%60)
}
