package jdbcsink

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// The forms of times that databases read.
const (
	dateForm   = "2006-01-02"
	timeForm   = "15:04:05.999"
	stampForm  = "2006-01-02 15:04:05.999999999"
	instantFor = "2006-01-02 15:04:05.999999999-07:00"
)

// bindValue makes a parameter of a field's value. For PostgreSQL that is text or nil, whose type the server chooses.
func (s *settings) bindValue(d dialect.Dialect, f *field, v any) (any, error) {
	if v == nil {
		return typedNull(d, f), nil
	}
	if f.ts {
		return s.bindTimestampField(d, v)
	}
	if s.complex == complexJSON && isComplex(f.schema, d) {
		return jsonText(f.schema, v)
	}
	bound, err := s.bindPlain(d, f.schema, f.zoned, v)
	if err != nil {
		return nil, connecterr.Wrap(connecterr.Data, err, "field %s", f.name)
	}
	switch d.Kind() {
	case dialect.SQLServer:
		return s.forSQLServer(f, bound), nil
	case dialect.Oracle:
		return forOracle(f, bound), nil
	default:
	}
	return bound, nil
}

func (s *settings) bindPlain(d dialect.Dialect, c *data.Schema, zoned bool, v any) (any, error) {
	pg := d.Kind() == dialect.PostgreSQL
	switch v := v.(type) {
	case string:
		return v, nil
	case []byte:
		if pg {
			return `\x` + hex.EncodeToString(v), nil
		}
		return v, nil
	case bool:
		switch {
		case pg:
			return strconv.FormatBool(v), nil
		case d.Kind() == dialect.SQLServer || d.Kind() == dialect.MySQL:
			return v, nil
		case v:
			return int64(1), nil
		}
		return int64(0), nil
	case int8:
		return whole(pg, int64(v)), nil
	case int16:
		return whole(pg, int64(v)), nil
	case int32:
		return whole(pg, int64(v)), nil
	case int64:
		return whole(pg, v), nil
	case float32:
		return float(d, float64(v), 32)
	case float64:
		return float(d, v, 64)
	case data.Decimal:
		return v.String(), nil
	case data.Instant:
		return s.bindInstant(d, c.Logical(), zoned, v), nil
	case []any:
		if pg && c.Type() == data.Array {
			return s.arrayText(d, c, v)
		}
	}
	return nil, bad("Unsupported source data type: %s", c.Type())
}

func whole(text bool, n int64) any {
	if text {
		return strconv.FormatInt(n, 10)
	}
	return n
}

func float(d dialect.Dialect, f float64, bits int) (any, error) {
	odd := math.IsNaN(f) || math.IsInf(f, 0)
	switch {
	case d.Kind() == dialect.PostgreSQL && math.IsInf(f, 0):
		return map[bool]string{true: "Infinity", false: "-Infinity"}[f > 0], nil
	case d.Kind() == dialect.PostgreSQL:
		return strconv.FormatFloat(f, 'g', -1, bits), nil
	case odd && (d.Kind() == dialect.MySQL || d.Kind() == dialect.SQLServer):
		return nil, bad("%s has no %v", d.Product(), f)
	case bits == 32 && d.Kind() != dialect.SQLServer: // the shortest text that means the same
		short, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', -1, 32), 64)
		return short, err
	}
	return f, nil
}

// bindInstant binds a Date, Time or Timestamp.
func (s *settings) bindInstant(d dialect.Dialect, l data.Logical, zoned bool, v data.Instant) any {
	if d.Kind() == dialect.SQLite {
		return int64(v)
	}
	switch l {
	case data.LogicalDate:
		return s.stamp(d, s.calendar.Wall(v.Time(), s.dateZone), dateForm)
	case data.LogicalTime:
		return s.stamp(d, s.calendar.Wall(v.Time(), s.zone), timeForm)
	default:
	}
	return s.bindTime(d, zoned, v.Time())
}

func (s *settings) bindTime(d dialect.Dialect, zoned bool, t time.Time) any {
	if zoned {
		return s.stamp(d, t.UTC(), instantFor)
	}
	return s.stamp(d, s.calendar.Wall(t, s.zone), stampForm)
}

// stamp is a wall clock as a database reads it.
func (s *settings) stamp(d dialect.Dialect, wall time.Time, form string) any {
	switch {
	case d.Kind() == dialect.Oracle && form == dateForm: // whose DATE has a time of day
		return time.Date(wall.Year(), wall.Month(), wall.Day(), 0, 0, 0, 0, time.UTC)
	case d.Kind() == dialect.Oracle:
		return wall
	case d.Kind() == dialect.SQLServer && wall.Year() >= 1 && wall.Year() <= 9999: // other years are texts that the server refuses
		return sqlServerTime(wall, form)
	case d.Kind() == dialect.PostgreSQL && wall.Year() <= 0:
		return wall.AddDate(1-2*wall.Year(), 0, 0).Format(form) + " BC"
	case d.Kind() == dialect.PostgreSQL && wall.Year() > 9999:
		return strconv.Itoa(wall.Year()) + strings.TrimPrefix(wall.Format(form), strconv.Itoa(wall.Year()))
	}
	return wall.Format(form)
}

// bindTimestampField binds a number, or its text, that counts microseconds or nanoseconds since 1970.
func (s *settings) bindTimestampField(d dialect.Dialect, v any) (any, error) {
	var n int64
	switch v := v.(type) {
	case int64:
		n = v
	case string:
		var err error
		if n, err = strconv.ParseInt(strings.TrimSpace(v), 10, 64); err != nil {
			return nil, bad("a field of timestamp.fields.list is %q: a whole number is expected", v)
		}
	default:
		return nil, bad("a field of timestamp.fields.list is of type %s: INT64 or STRING is expected", data.TypeOf(v))
	}
	t := time.UnixMicro(n)
	if s.tsNanos {
		t = time.Unix(0, n)
	}
	switch d.Kind() {
	case dialect.SQLite:
		return t.UnixMilli(), nil
	case dialect.PostgreSQL:
		t = t.Round(time.Microsecond)
	default:
	}
	return s.bindTime(d, false, t.UTC()), nil
}

// arrayText is an array as PostgreSQL reads it.
func (s *settings) arrayText(d dialect.Dialect, c *data.Schema, list []any) (any, error) {
	if e := c.ValueSchema(); e == nil || e.Type() >= data.Array {
		return nil, bad("Unsupported source data type: %s", c.Type())
	}
	var b []byte
	b = append(b, '{')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if e == nil {
			b = append(b, "NULL"...)
			continue
		}
		bound, err := s.bindPlain(d, c.ValueSchema(), false, e)
		if err != nil {
			return nil, err
		}
		b = appendElement(b, fmt.Sprint(bound))
	}
	return string(append(b, '}')), nil
}

// appendElement appends an element of an array in quotes.
func appendElement(b []byte, text string) []byte {
	b = append(b, '"')
	for i := 0; i < len(text); i++ {
		if text[i] == '"' || text[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, text[i])
	}
	return append(b, '"')
}
