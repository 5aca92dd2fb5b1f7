package converters

import (
	"math"
	"strconv"

	"github.com/millrace/millrace/sdk/data"
)

var (
	int8Schema  = data.NewSchema(data.Int8)
	int16Schema = data.NewSchema(data.Int16)
)

// guess reads booleans and whole and decimal numbers, each as the narrowest type that holds it, and leaves the rest as
// text.
func guess(s string) data.SchemaAndValue {
	switch s {
	case "true", "false":
		return data.SchemaAndValue{Schema: data.BooleanSchema, Value: s == "true"}
	case "null":
		return data.SchemaAndValue{}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		switch {
		case n >= math.MinInt8 && n <= math.MaxInt8:
			return data.SchemaAndValue{Schema: int8Schema, Value: int8(n)}
		case n >= math.MinInt16 && n <= math.MaxInt16:
			return data.SchemaAndValue{Schema: int16Schema, Value: int16(n)}
		case n >= math.MinInt32 && n <= math.MaxInt32:
			return data.SchemaAndValue{Schema: data.Int32Schema, Value: int32(n)}
		}
		return data.SchemaAndValue{Schema: data.Int64Schema, Value: n}
	}
	if isDecimal(s) {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return data.SchemaAndValue{Schema: data.Float64Schema, Value: f}
		}
	}
	return data.SchemaAndValue{Schema: data.StringSchema, Value: s}
}

// isDecimal tells whether a text is a number with digits around a point, and not one of the words that Go reads as one.
func isDecimal(s string) bool {
	digits := false
	for i, c := range s {
		switch {
		case c >= '0' && c <= '9':
			digits = true
		case c == '.' || (c == '-' || c == '+') && (i == 0 || s[i-1] == 'e' || s[i-1] == 'E'):
		case (c == 'e' || c == 'E') && digits:
		default:
			return false
		}
	}
	return digits
}
