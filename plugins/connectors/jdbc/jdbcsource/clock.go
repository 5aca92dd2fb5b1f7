package jdbcsource

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/sdk/data"
)

// wall is a date and a time of day that stand in no time zone.
type wall struct {
	year, month, day     int
	hour, minute, second int
	nano                 int
}

// clock turns the times of a database into instants and back.
type clock struct {
	zone   *time.Location
	julian bool // days before the Gregorian calendar are those of the Julian one
}

// gregorianBegins is 15 October 1582, in days since 1970 and as a date.
const gregorianBegins = -141_427

func (w wall) beforeGregorian() bool {
	return w.year < 1582 || w.year == 1582 && (w.month < 10 || w.month == 10 && w.day < 15)
}

const daySeconds = 24 * 3600

// days counts the days from 1970 to a date.
func (c clock) days(w wall) int64 {
	if c.julian && w.beforeGregorian() {
		return floorDiv(int64(data.InstantAt(int64(w.year), int64(w.month), int64(w.day), 0)), data.Day)
	}
	return floorDiv(time.Date(w.year, time.Month(w.month), w.day, 0, 0, 0, 0, time.UTC).Unix(), daySeconds)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// instant is the time at which the database's zone shows w. One that it shows twice is the first of the two; one that it
// leaves out is as much later.
func (c clock) instant(w wall) time.Time {
	local := c.days(w)*daySeconds + int64(w.hour)*3600 + int64(w.minute)*60 + int64(w.second)
	before, after := c.offset(local-daySeconds), c.offset(local+daySeconds)
	at := local - before
	if before != after && c.offset(at) != before && c.offset(local-after) == after {
		at = local - after
	}
	return time.Unix(at, int64(w.nano)).UTC()
}

// offset is how far the zone is ahead of UTC at a time.
func (c clock) offset(unix int64) int64 {
	if c.zone == time.UTC {
		return 0
	}
	_, seconds := time.Unix(unix, 0).In(c.zone).Zone()
	return int64(seconds)
}

// wall is what the database's zone shows at a time.
func (c clock) wall(t time.Time) wall {
	local := t.Unix() + c.offset(t.Unix())
	days := floorDiv(local, daySeconds)
	seconds := int(local - days*daySeconds)
	w := wall{hour: seconds / 3600, minute: seconds / 60 % 60, second: seconds % 60, nano: t.Nanosecond()}
	if c.julian && days < gregorianBegins {
		year, month, day, _ := data.Instant(days * data.Day).Date()
		w.year, w.month, w.day = int(year), int(month), int(day)
	} else {
		d := time.Unix(days*daySeconds, 0).UTC()
		w.year, w.month, w.day = d.Year(), int(d.Month()), d.Day()
	}
	return w
}

// text is the time as ISO writes it, with so many digits behind the second.
func (w wall) text(separator byte, digits int) string {
	var b strings.Builder
	year := w.year
	if year < 1 {
		year = 1 - year
	}
	fmt.Fprintf(&b, "%04d-%02d-%02d%c%02d:%02d:%02d", year, w.month, w.day, separator, w.hour, w.minute, w.second)
	if digits > 0 {
		b.WriteByte('.')
		b.WriteString(fmt.Sprintf("%09d", w.nano)[:digits])
	}
	return b.String()
}

// The ends of time as Java's driver of Postgres gives them.
var (
	infinity         = time.UnixMilli(9223372036825200000).UTC()
	negativeInfinity = time.UnixMilli(-9223372036832400000).UTC()
)

// stamp is a time as text: with a zone it is an instant, without one a reading of the database's clock.
type stamp struct {
	wall
	zoned   bool
	seconds int // the zone's offset
	extreme time.Time
}

func (c clock) at(s stamp) time.Time {
	switch {
	case !s.extreme.IsZero():
		return s.extreme
	case s.zoned:
		return time.Unix(clock{zone: time.UTC}.instant(s.wall).Unix()-int64(s.seconds), int64(s.nano)).UTC()
	}
	return c.instant(s.wall)
}

// parseStamp reads 2006-01-02[( |T)15:04[:05[.999999999]]][zone][ BC].
func parseStamp(text string) (s stamp, ok bool) {
	switch text {
	case "infinity":
		return stamp{extreme: infinity}, true
	case "-infinity":
		return stamp{extreme: negativeInfinity}, true
	}
	rest, bc := strings.CutSuffix(text, " BC")
	if s.year, rest, ok = digits(rest, 4, 9); !ok {
		return s, false
	}
	if s.month, rest, ok = part(rest, "-"); !ok {
		return s, false
	}
	if s.day, rest, ok = part(rest, "-"); !ok {
		return s, false
	}
	if bc {
		s.year = 1 - s.year
	}
	if rest == "" {
		return s, true
	}
	if rest[0] != ' ' && rest[0] != 'T' {
		return s, false
	}
	return s, s.time(rest[1:])
}

// parseTime reads 15:04[:05[.999999999]][zone].
func parseTime(text string) (s stamp, ok bool) {
	ok = s.time(text)
	return s, ok
}

func (s *stamp) time(rest string) (ok bool) {
	if s.hour, rest, ok = digits(rest, 1, 3); !ok {
		return false
	}
	if s.minute, rest, ok = part(rest, ":"); !ok {
		return false
	}
	if strings.HasPrefix(rest, ":") {
		if s.second, rest, ok = part(rest, ":"); !ok {
			return false
		}
	}
	if strings.HasPrefix(rest, ".") {
		n, unit := 1, int(time.Second)
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			unit /= 10
			s.nano += int(rest[n]-'0') * unit
			n++
		}
		rest = rest[n:]
	}
	rest = strings.TrimPrefix(rest, " ")
	if rest == "" {
		return true
	}
	s.zoned = true
	if rest == "Z" {
		return true
	}
	sign := 1
	switch rest[0] {
	case '+':
	case '-':
		sign = -1
	default:
		return false
	}
	rest = strings.ReplaceAll(rest[1:], ":", "")
	if len(rest)%2 != 0 || len(rest) > 6 {
		return false
	}
	unit := 3600
	for ; rest != ""; rest = rest[2:] {
		n, err := strconv.Atoi(rest[:2])
		if err != nil {
			return false
		}
		s.seconds += sign * n * unit
		unit /= 60
	}
	return true
}

// digits takes a number of so many digits from the beginning of a text.
func digits(text string, least, most int) (n int, rest string, ok bool) {
	i := 0
	for i < len(text) && i < most && text[i] >= '0' && text[i] <= '9' {
		n = n*10 + int(text[i]-'0')
		i++
	}
	return n, text[i:], i >= least
}

func part(text, before string) (n int, rest string, ok bool) {
	if rest, ok = strings.CutPrefix(text, before); !ok {
		return 0, text, false
	}
	return digits(rest, 1, 2)
}
