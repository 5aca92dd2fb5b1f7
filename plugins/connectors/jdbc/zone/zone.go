// Package zone reads time zones as Java names them, and turns instants into wall clocks and back as Java's calendar does.
package zone

import (
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the zones' rules, where the machine has none

	"github.com/millrace/millrace/sdk/connecterr"
)

// short are Java's short names of zones.
var short = map[string]string{
	"ACT": "Australia/Darwin", "AET": "Australia/Sydney", "AGT": "America/Argentina/Buenos_Aires", "ART": "Africa/Cairo",
	"AST": "America/Anchorage", "BET": "America/Sao_Paulo", "BST": "Asia/Dhaka", "CAT": "Africa/Harare", "CNT": "America/St_Johns",
	"CST": "America/Chicago", "CTT": "Asia/Shanghai", "EAT": "Africa/Addis_Ababa",
	"ECT": "Europe/Paris", //nolint:misspell // a zone
	"IET": "America/Indiana/Indianapolis", "IST": "Asia/Kolkata", "JST": "Asia/Tokyo", "MIT": "Pacific/Apia", "NET": "Asia/Yerevan",
	"NST": "Pacific/Auckland", "PLT": "Asia/Karachi", "PNT": "America/Phoenix", "PRT": "America/Puerto_Rico",
	"PST": "America/Los_Angeles", "SST": "Pacific/Guadalcanal", "VST": "Asia/Ho_Chi_Minh",
	"EST": "-05:00", "MST": "-07:00", "HST": "-10:00",
}

var offset = regexp.MustCompile(`^(?:UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d{2}))?(?::?(\d{2}))?$`)

// Load finds a zone by a name or an offset that Java's ZoneId takes.
func Load(name string) (*time.Location, error) {
	id := name
	if long, ok := short[id]; ok {
		id = long
	}
	switch id {
	case "UTC", "GMT", "UT", "Z":
		return time.UTC, nil
	case "", "Local":
		return nil, invalid(name)
	}
	if m := offset.FindStringSubmatch(id); m != nil {
		seconds := 0
		for i, unit := range []int{3600, 60, 1} {
			n, _ := strconv.Atoi(m[2+i]) // digits or nothing
			if i > 0 && n > 59 {
				return nil, invalid(name)
			}
			seconds += n * unit
		}
		if seconds > 18*3600 {
			return nil, invalid(name)
		}
		if m[1] == "-" {
			seconds = -seconds
		}
		return time.FixedZone(id, seconds), nil
	}
	l, err := time.LoadLocation(id)
	if err != nil || strings.HasPrefix(id, "../") {
		return nil, invalid(name)
	}
	return l, nil
}

func invalid(name string) error {
	return connecterr.New(connecterr.Config, "Invalid value %s for configuration db.timezone: Invalid time zone. See the list of valid time zones at "+
		"https://docs.oracle.com/javase/8/docs/api/java/time/ZoneId.html#shortIds", name)
}

// Calendar says how days before 1582-10-15 are counted.
type Calendar uint8

// The calendars.
const (
	Legacy    Calendar = iota // Java's old classes: the Julian calendar before 1582-10-15
	Proleptic                 // today's rule at all times
)

// cutover is the first second of 1582-10-15 in UTC.
var cutover = time.Date(1582, 10, 15, 0, 0, 0, 0, time.UTC).Unix()

// julianDay is the number of days between the Julian calendar's day and 1970-01-01.
func julianDay(y, m, d int) int64 {
	a := (14 - m) / 12
	yy := int64(y + 4800 - a)
	mm := int64(m + 12*a - 3)
	return int64(d) + (153*mm+2)/5 + 365*yy + floorDiv(yy, 4) - 32083 - 2440588
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Wall shows an instant as the clock of a zone, as a time in UTC whose fields are the wall clock's.
func (c Calendar) Wall(t time.Time, l *time.Location) time.Time {
	t = t.In(l)
	_, shift := t.Zone()
	wall := t.UTC().Add(time.Duration(shift) * time.Second)
	if c == Legacy && wall.Unix() < cutover {
		y, m, d := civilOfJulian(floorDiv(wall.Unix(), 86400))
		return time.Date(y, time.Month(m), d, wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), time.UTC)
	}
	return wall
}

// Instant is what Wall shows as wall (whose zone does not count). A clock that a zone shows twice is the earlier instant, one
// that it leaves out is moved forward, as by Java's calendar.
func (c Calendar) Instant(wall time.Time, l *time.Location) time.Time {
	y, m, d := wall.Date()
	h, mi, s := wall.Clock()
	if c == Legacy && wall.Unix() < cutover {
		days := julianDay(y, int(m), d)
		y, m, d = time.Unix(days*86400, 0).UTC().Date()
	}
	utc := time.Date(y, m, d, h, mi, s, wall.Nanosecond(), time.UTC)
	_, before := utc.Add(-apart).In(l).Zone()
	_, after := utc.Add(apart).In(l).Zone()
	early, late := utc.Add(-time.Duration(before)*time.Second), utc.Add(-time.Duration(after)*time.Second)
	if _, shift := early.In(l).Zone(); shift == before {
		return early.In(l)
	}
	if _, shift := late.In(l).Zone(); shift == after {
		return late.In(l)
	}
	return early.In(l) // left out: forward by what was left out
}

// apart is longer than any zone's offset and shorter than the time between two changes.
const apart = 20 * time.Hour

// civilOfJulian is the Julian calendar's day that lies so many days after 1970-01-01.
func civilOfJulian(days int64) (y, m, d int) {
	c := days + 2440588 + 32082
	e := floorDiv(4*c+3, 1461)
	f := c - floorDiv(1461*e, 4)
	g := (5*f + 2) / 153
	d = int(f - (153*g+2)/5 + 1)
	m = int(g + 3 - 12*(g/10))
	y = int(e - 4800 + g/10)
	return y, m, d
}
