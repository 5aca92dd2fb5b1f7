package values

import (
	"math"
	"math/big"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// Convert gives a value the type of a schema, with the leniency of Java's Values: numbers are cut to what the type holds, texts
// are read. from is the schema of the value, nil when there is none; it tells what an Instant stands for. null is only a value
// of optional schemas.
func Convert(to, from *data.Schema, v any) (any, error) {
	if v == nil {
		if to.Optional() {
			return nil, nil
		}
		return nil, connecterr.New(connecterr.Data, "Unable to convert a null value to a schema that requires a value")
	}
	switch to.Type() {
	case data.String:
		return Format(v)
	case data.Boolean:
		return toBoolean(from, v)
	case data.Int8:
		n, err := asInt(from, v)
		return int8(n), err // cut as Java does
	case data.Int16:
		n, err := asInt(from, v)
		return int16(n), err // cut as Java does
	case data.Int32:
		switch to.Logical() {
		case data.LogicalDate:
			return toDate(to, from, v)
		case data.LogicalTime:
			return toTime(to, from, v)
		default:
		}
		n, err := asInt(from, v)
		return int32(n), err // cut as Java does
	case data.Int64:
		if to.Logical() == data.LogicalTimestamp {
			return toTimestamp(to, from, v)
		}
		return asInt(from, v)
	case data.Float32:
		if f, ok := v.(float32); ok {
			return f, nil
		}
		f, err := asFloat(from, v)
		return float32(f), err
	case data.Float64:
		return asFloat(from, v)
	case data.Bytes:
		return toBytes(to, v)
	default:
		return toContainer(to, v)
	}
}

func toBytes(to *data.Schema, v any) (any, error) {
	if to.Logical() == data.LogicalDecimal {
		switch v := v.(type) {
		case []byte:
			return data.DecimalFromBytes(to, v)
		case data.Decimal:
			return v, nil
		case string:
			return data.ParseDecimal(v)
		}
		if isNumber(v) { // a double's text has the digits that count
			f, err := asFloat(nil, v)
			if err != nil {
				return nil, err
			}
			return data.ParseDecimal(data.FormatFloat(f))
		}
	}
	if b, ok := v.([]byte); ok {
		return b, nil
	}
	return nil, unable(v, to.String())
}

func toContainer(to *data.Schema, v any) (any, error) {
	if s, ok := v.(string); ok && to.Type() != data.StructType {
		parsed := Parse(s)
		if parsed.Schema == nil {
			return nil, nothing(s)
		}
		v = parsed.Value
	}
	if data.TypeOf(v) == to.Type() {
		return v, nil
	}
	return nil, unable(v, to.String())
}

// nothing is the error of a text that stands for null where a value is needed.
func nothing(text string) error {
	return connecterr.New(connecterr.Data, "the text %q stands for null", text).WithClass("java.lang.NullPointerException")
}

func toBoolean(from *data.Schema, v any) (any, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		if b, ok := Parse(v).Value.(bool); ok {
			return b, nil
		}
	}
	n, err := asInt(from, v)
	return n != 0, err
}

// instantOf reads a text as an instant, or whatever else it stands for.
func instantOf(v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return v, nil
	}
	sv := Parse(s)
	if sv.Schema == nil {
		return nil, nothing(s)
	}
	return sv.Value, nil
}

func toDate(to, from *data.Schema, v any) (any, error) {
	v, err := instantOf(v)
	if err != nil {
		return nil, err
	}
	if i, ok := v.(data.Instant); ok {
		switch {
		case from == nil, from.Logical() == data.LogicalDate:
			return i, nil
		case from.Logical() == data.LogicalTimestamp:
			return data.DateFromInt(to, int32(i/data.Day)) // cut as Java does
		}
	}
	n, err := asInt(from, v)
	if err != nil {
		return nil, err
	}
	return data.DateFromInt(to, int32(n)) // cut as Java does
}

func toTime(to, from *data.Schema, v any) (any, error) {
	v, err := instantOf(v)
	if err != nil {
		return nil, err
	}
	if i, ok := v.(data.Instant); ok {
		switch {
		case from == nil, from.Logical() == data.LogicalTime:
			return i, nil
		case from.Logical() == data.LogicalTimestamp:
			_, _, _, ms := i.Date()
			return data.Instant(ms), nil
		}
	}
	n, err := asInt(from, v)
	if err != nil {
		return nil, err
	}
	return data.TimeFromInt(to, int32(n)) // cut as Java does
}

func toTimestamp(to, from *data.Schema, v any) (any, error) {
	v, err := instantOf(v)
	if err != nil {
		return nil, err
	}
	if i, ok := v.(data.Instant); ok {
		switch {
		case from == nil, from.Logical() == data.LogicalDate, from.Logical() == data.LogicalTimestamp, from.Logical() == data.LogicalTime:
			return i, nil
		}
	}
	n, err := asInt(from, v)
	if err != nil {
		return nil, err
	}
	return data.TimestampFromInt(to, n)
}

// isNumber tells whether Java's class of a value is a Number.
func isNumber(v any) bool {
	switch v.(type) {
	case int8, int16, int32, int64, float32, float64, data.Decimal, *big.Int:
		return true
	}
	return false
}

// asInt is a value as a whole number, fractions dropped.
func asInt(from *data.Schema, v any) (int64, error) {
	var cause error
	switch v := v.(type) {
	case int8:
		return int64(v), nil
	case int16:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	case float32:
		return cut(float64(v)), nil
	case float64:
		return cut(v), nil
	case data.Decimal:
		n, _ := v.Int()
		return n, nil
	case *big.Int:
		n, _ := data.BigDecimal(v, 0).Int()
		return n, nil
	case string:
		d, err := data.ParseDecimal(v)
		if err == nil {
			n, _ := d.Int()
			return n, nil
		}
		cause = err
	case data.Instant:
		switch from.Logical() {
		case data.LogicalDate:
			n, err := data.DateToInt(from, v)
			return int64(n), err
		case data.LogicalTime:
			n, err := data.TimeToInt(from, v)
			return int64(n), err
		case data.LogicalTimestamp:
			return data.TimestampToInt(from, v)
		default:
		}
	}
	to := "a number"
	if from != nil {
		to = from.String()
	}
	e := unable(v, to)
	e.Cause = cause
	return 0, e
}

// cut is Java's conversion of a double to a long: to the nearest end of the range, NaN to 0.
func cut(f float64) int64 {
	switch {
	case f != f:
		return 0
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	}
	return int64(f)
}

func asFloat(from *data.Schema, v any) (float64, error) {
	switch v := v.(type) {
	case float32:
		return float64(v), nil
	case float64:
		return v, nil
	case data.Decimal:
		return v.Float(), nil
	case *big.Int:
		return data.BigDecimal(v, 0).Float(), nil
	case string:
		if d, err := data.ParseDecimal(v); err == nil {
			return d.Float(), nil
		}
	}
	n, err := asInt(from, v)
	return float64(n), err
}
