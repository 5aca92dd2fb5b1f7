package data

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// AppendText appends a value's text, as Java's String.valueOf prints it. Two departures: BYTES print as standard base64
// (Java prints an object's address), and dates print in UTC (Java: in the zone of the JVM).
func AppendText(b []byte, s *Schema, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case string:
		return append(b, v...)
	case bool:
		return strconv.AppendBool(b, v)
	case int8:
		return strconv.AppendInt(b, int64(v), 10)
	case int16:
		return strconv.AppendInt(b, int64(v), 10)
	case int32:
		return appendInt(b, s, int64(v))
	case int64:
		return appendInt(b, s, v)
	case float32:
		return append(b, formatFloat(float64(v), 32)...)
	case float64:
		return append(b, FormatFloat(v)...)
	case []byte:
		if s.Name() == DecimalName {
			return append(b, decimalText(s, v)...)
		}
		return base64.StdEncoding.AppendEncode(b, v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = AppendText(b, inner(s, Array), e)
		}
		return append(b, ']')
	case *Map:
		return appendMap(b, s, v)
	case *Struct:
		return appendStruct(b, v)
	}
	return fmt.Append(b, v)
}

// Text is AppendText as a string.
func Text(s *Schema, v any) string {
	if t, ok := v.(string); ok {
		return t
	}
	return string(AppendText(nil, s, v))
}

func inner(s *Schema, t Type) *Schema {
	if s == nil || s.typ != t {
		return nil
	}
	return s.value
}

func appendMap(b []byte, s *Schema, m *Map) []byte {
	b = append(b, '{')
	first := true
	var key *Schema
	if s != nil && s.typ == MapType {
		key = s.key
	}
	for k, v := range m.All() {
		if !first {
			b = append(b, ", "...)
		}
		first = false
		b = AppendText(b, key, k)
		b = append(b, '=')
		b = AppendText(b, inner(s, MapType), v)
	}
	return append(b, '}')
}

func appendStruct(b []byte, st *Struct) []byte {
	b = append(b, "Struct{"...)
	first := true
	for i, f := range st.schema.fields {
		v := st.At(i)
		if v == nil {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, f.Name...)
		b = append(b, '=')
		b = AppendText(b, f.Schema, v)
	}
	return append(b, '}')
}

// javaDate is how java.util.Date prints.
const javaDate = "Mon Jan 02 15:04:05 MST 2006"

// appendInt prints an integer, or the date that it stands for.
func appendInt(b []byte, s *Schema, n int64) []byte {
	switch s.Name() {
	case DateName:
		return time.Unix(n*86400, 0).UTC().AppendFormat(b, javaDate)
	case TimeName, TimestampName:
		return time.UnixMilli(n).UTC().AppendFormat(b, javaDate)
	}
	return strconv.AppendInt(b, n, 10)
}

// decimalText prints an unscaled big-endian two's complement number as java.math.BigDecimal does.
func decimalText(s *Schema, unscaled []byte) string {
	scale, err := strconv.Atoi(s.params[ScaleParam])
	if err != nil {
		scale = 0
	}
	n := new(big.Int).SetBytes(unscaled)
	if len(unscaled) > 0 && unscaled[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(unscaled))))
	}
	digits, sign := n.String(), ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	exponent := len(digits) - 1 - scale
	switch {
	case scale == 0:
		return sign + digits
	case scale > 0 && exponent >= -6:
		for len(digits) <= scale {
			digits = "0" + digits
		}
		return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if len(digits) > 1 {
		digits = digits[:1] + "." + digits[1:]
	}
	return fmt.Sprintf("%s%sE%+d", sign, digits, exponent)
}

// FormatFloat prints a float64 as Java's Double.toString does: 1.0, 1.0E10, NaN, Infinity.
func FormatFloat(f float64) string { return formatFloat(f, 64) }

func formatFloat(f float64, bits int) string {
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case abs != 0 && (abs < 1e-3 || abs >= 1e7):
		mantissa, exp, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, bits), "e")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		sign, digits := exp[:1], strings.TrimLeft(exp[1:], "0")
		if sign == "+" {
			sign = ""
		}
		return mantissa + "E" + sign + digits
	}
	s := strconv.FormatFloat(f, 'f', -1, bits)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
