package transforms

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/values"
)

// castValue gives a primitive value another primitive type. s is its schema; nil when there is none.
func castValue(s *data.Schema, v any, to data.Type) (any, error) {
	if v == nil {
		return nil, nil
	}
	from := data.TypeOf(v)
	if s != nil {
		from = s.Type()
	}
	switch {
	case from == 0:
		return nil, dataError("Cast transformation was passed a value of type class %s which is not supported by Connect's data API", data.ClassOf(v))
	case from > data.Bytes:
		return nil, dataError("Cast transformation does not support casting from %s; supported types are [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]", from)
	case to == data.String:
		return castToString(v)
	}
	if i, ok := v.(data.Instant); ok {
		var err error
		if v, err = encode(s, i); err != nil {
			return nil, err
		}
	}
	out, err := castTo(v, to)
	if err != nil && connecterr.ClassOf(err) == numberFormat {
		text := data.Text(v)
		return nil, connecterr.Wrap(connecterr.Data, err, "Value (%s) was out of range for requested data type", text)
	}
	return out, err
}

// encode is a date or time as the number that it is stored as.
func encode(s *data.Schema, i data.Instant) (any, error) {
	switch s.Logical() {
	case data.LogicalDate:
		return data.DateToInt(s, i)
	case data.LogicalTime:
		return data.TimeToInt(s, i)
	case data.LogicalTimestamp:
		return data.TimestampToInt(s, i)
	default:
		return i, nil
	}
}

func castTo(v any, to data.Type) (any, error) {
	switch to {
	case data.Int8:
		n, err := toInt(v, 8)
		return int8(n), err //nolint:gosec // cut as Java does
	case data.Int16:
		n, err := toInt(v, 16)
		return int16(n), err //nolint:gosec // cut as Java does
	case data.Int32:
		n, err := toInt(v, 32)
		return int32(n), err //nolint:gosec // cut as Java does
	case data.Int64:
		return toInt(v, 64)
	case data.Float32:
		f, err := toFloat(v, 32)
		return float32(f), err
	case data.Float64:
		return toFloat(v, 64)
	default:
		return toBool(v)
	}
}

const numberFormat = "java.lang.NumberFormatException"

func noNumber(text string) error {
	return connecterr.New(connecterr.Data, "For input string: %q", text).WithClass(numberFormat)
}

func unexpected(v any) error {
	return dataError("Unexpected type in Cast transformation: class %s", data.ClassOf(v))
}

func oneIf(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// toInt is the number that Java's narrowing starts from: a float goes to 32 bits before it becomes shorter ones.
func toInt(v any, bits int) (int64, error) {
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
		return truncate(float64(v), bits), nil
	case float64:
		return truncate(v, bits), nil
	case data.Decimal:
		n, _ := v.Int()
		return n, nil
	case bool:
		return oneIf(v), nil
	case string:
		n, err := strconv.ParseInt(data.ASCIIDigits(v), 10, bits)
		if err != nil {
			return 0, noNumber(v)
		}
		return n, nil
	}
	return 0, unexpected(v)
}

// truncate cuts the fraction off, bounded by 32 or 64 bits.
func truncate(f float64, bits int) int64 {
	low, high := int64(math.MinInt32), int64(math.MaxInt32)
	if bits == 64 {
		low, high = math.MinInt64, math.MaxInt64
	}
	switch {
	case math.IsNaN(f):
		return 0
	case f <= float64(low):
		return low
	case f >= float64(high):
		return high
	}
	return int64(f)
}

func toFloat(v any, bits int) (float64, error) {
	switch v := v.(type) {
	case int8:
		return float64(v), nil
	case int16:
		return float64(v), nil
	case int32:
		if bits == 32 {
			return float64(float32(v)), nil
		}
		return float64(v), nil
	case int64:
		if bits == 32 { // rounded once
			return float64(float32(v)), nil
		}
		return float64(v), nil
	case float32:
		return float64(v), nil
	case float64:
		return v, nil
	case data.Decimal:
		if bits == 32 {
			return float64(v.Float32()), nil
		}
		return v.Float(), nil
	case bool:
		return float64(oneIf(v)), nil
	case string:
		return parseFloat(v, bits)
	}
	return 0, unexpected(v)
}

// parseFloat reads what Java's parseFloat and parseDouble read.
func parseFloat(text string, bits int) (float64, error) {
	s := strings.TrimFunc(text, func(r rune) bool { return r <= ' ' })
	unsigned := strings.TrimLeft(s, "+-")
	if len(s)-len(unsigned) > 1 {
		return 0, noNumber(text)
	}
	switch unsigned {
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(int(1 - 2*oneIf(s[0] == '-'))), nil
	}
	if n := len(s); n > 1 && strings.IndexByte("fFdD", s[n-1]) >= 0 {
		if hex := strings.ContainsAny(s, "xX"); !hex || strings.ContainsAny(s, "pP") {
			s = s[:n-1]
		}
	}
	if strings.ContainsAny(s, "_iInN") {
		return 0, noNumber(text)
	}
	f, err := strconv.ParseFloat(s, bits)
	if err != nil && !math.IsInf(f, 0) { // beyond the range it is an infinity, and no error
		return 0, noNumber(text)
	}
	return f, nil
}

func toBool(v any) (bool, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		return strings.EqualFold(v, "true"), nil
	}
	n, err := toInt(v, 64)
	return n != 0, err
}

func castToString(v any) (string, error) {
	switch v := v.(type) {
	case data.Instant:
		return values.Format(v)
	case []byte:
		return base64.StdEncoding.EncodeToString(v), nil
	}
	return data.Text(v), nil
}
