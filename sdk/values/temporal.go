package values

import (
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/sdk/data"
)

var (
	dateSchema      = data.DateSchema()
	timeSchema      = data.TimeSchema()
	timestampSchema = data.TimestampSchema()
)

// temporal reads a date, a time or a timestamp that begins with a token. Times have colons, which are tokens of their own.
func (p *parser) temporal(token string) (data.SchemaAndValue, bool) {
	at := p.mark()
	if rest, ok := p.nextN(4); ok {
		if sv, ok := parseTemporal(token + rest); ok {
			return sv, true
		}
	}
	p.rewind(at)
	return parseTemporal(token)
}

// The lengths tell the forms apart.
const (
	dateLength      = len("2006-01-02")
	timeLength      = len("15:04:05.000Z")
	timestampLength = len("2006-01-02T15:04:05.000Z")
)

func parseTemporal(s string) (data.SchemaAndValue, bool) {
	if n := len(s); n < dateLength {
		return data.SchemaAndValue{}, false
	}
	s = strings.ReplaceAll(s, `\:`, ":")
	var schema *data.Schema
	date, clock := false, false
	switch length(s) {
	case dateLength:
		schema, date = dateSchema, true
	case timeLength:
		schema, clock = timeSchema, true
	case timestampLength:
		schema, date, clock = timestampSchema, true, true
	default:
		return data.SchemaAndValue{}, false
	}
	l := lenient{s: s}
	year, month, day, ms := int64(1970), int64(1), int64(1), int64(0)
	if date {
		year, month, day = l.number("-"), l.number("-"), l.number("")
	}
	if date && clock {
		l.literal("T")
	}
	if clock {
		ms = l.number(":")*3_600_000 + l.number(":")*60_000 + l.number(".")*1000 + l.number("Z")
	}
	if l.bad {
		return data.SchemaAndValue{}, false
	}
	return data.SchemaAndValue{Schema: schema, Value: data.InstantAt(year, month, day, ms)}, true
}

// length is how long Java finds a text: in UTF-16 units.
func length(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r >= 0x10000 {
			n++
		}
	}
	return n
}

// lenient reads numbers as Java's lenient SimpleDateFormat does: any number of digits, blanks and a minus before them.
type lenient struct {
	s   string
	bad bool
}

func (l *lenient) number(then string) int64 {
	l.s = strings.TrimLeft(l.s, " \t")
	negative := strings.HasPrefix(l.s, "-")
	if negative {
		l.s = l.s[1:]
	}
	n, digits := int64(0), 0
	for l.s != "" {
		r, size := utf8.DecodeRuneInString(l.s)
		d, ok := data.Digit(r)
		if !ok {
			break
		}
		n, l.s = n*10+int64(d), l.s[size:]
		digits++
	}
	l.bad = l.bad || digits == 0
	l.literal(then)
	if negative {
		return -n
	}
	return n
}

func (l *lenient) literal(s string) {
	rest, ok := strings.CutPrefix(l.s, s)
	l.bad, l.s = l.bad || !ok, rest
}
