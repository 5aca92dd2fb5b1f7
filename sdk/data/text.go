package data

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"unicode"
)

// AppendText appends a value's text, as Java's String.valueOf prints it. Two departures: BYTES print as standard base64
// (Java prints an object's address), and instants print in UTC (Java: in the zone of the JVM).
func AppendText(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case string:
		return append(b, v...)
	case bool:
		return strconv.AppendBool(b, v)
	case int8:
		return appendInt(b, v)
	case int16:
		return appendInt(b, v)
	case int32:
		return appendInt(b, v)
	case int64:
		return appendInt(b, v)
	case float32:
		return appendFloat(b, float64(v), 32)
	case float64:
		return appendFloat(b, v, 64)
	case Decimal:
		return v.AppendText(b)
	case Instant:
		return v.appendJava(b)
	case []byte:
		return base64.StdEncoding.AppendEncode(b, v)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = AppendText(b, e)
		}
		return append(b, ']')
	case *Map:
		return appendMap(b, v)
	case *Struct:
		return appendStruct(b, v)
	}
	return fmt.Append(b, v)
}

// Text is AppendText as a string.
func Text(v any) string {
	if t, ok := v.(string); ok {
		return t
	}
	return string(AppendText(nil, v))
}

// String prints the struct as Java does: the fields that are set.
func (s *Struct) String() string { return Text(s) }

// String prints the map as Java does.
func (m *Map) String() string { return Text(m) }

func appendMap(b []byte, m *Map) []byte {
	b = append(b, '{')
	for i := range m.Len() {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(AppendText(b, m.entries[i].key), '=')
		b = AppendText(b, m.entries[i].value)
	}
	return append(b, '}')
}

func appendStruct(b []byte, st *Struct) []byte {
	b = append(b, "Struct{"...)
	first := true
	for i, f := range st.schema.fields {
		v := st.values[i]
		if v == nil {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(append(b, f.Name...), '=')
		b = AppendText(b, v)
	}
	return append(b, '}')
}

func appendInt[T int | int8 | int16 | int32 | int64](b []byte, n T) []byte {
	return strconv.AppendInt(b, int64(n), 10)
}

// AppendFloat appends a float64 as Java's Double.toString prints it: 1.0, 1.0E10, NaN, Infinity.
func AppendFloat(b []byte, f float64) []byte { return appendFloat(b, f, 64) }

// AppendFloat32 is AppendFloat for Float.toString.
func AppendFloat32(b []byte, f float32) []byte { return appendFloat(b, float64(f), 32) }

// FormatFloat is AppendFloat as a string.
func FormatFloat(f float64) string { return string(appendFloat(nil, f, 64)) }

func appendFloat(b []byte, f float64, bits int) []byte {
	switch {
	case f != f:
		return append(b, "NaN"...)
	case math.IsInf(f, 1):
		return append(b, "Infinity"...)
	case math.IsInf(f, -1):
		return append(b, "-Infinity"...)
	case f == 0:
		if math.Signbit(f) {
			b = append(b, '-')
		}
		return append(b, "0.0"...)
	}
	if f == math.Trunc(f) && math.Abs(f) < 1e7 {
		return append(strconv.AppendInt(b, int64(f), 10), ".0"...)
	}
	var buf [32]byte
	s := strconv.AppendFloat(buf[:0], f, 'e', -1, bits)
	if s[0] == '-' {
		b, s = append(b, '-'), s[1:]
	}
	if s[1] == 'e' { // one digit: the nearest number of two, see JDK-4511638
		s = strconv.AppendFloat(buf[:0], math.Abs(f), 'e', 1, bits)
	}
	e := 1
	for s[e] != 'e' {
		e++
	}
	digits := append(append(make([]byte, 0, 20), s[0]), s[2:e]...)
	exponent, _ := strconv.Atoi(string(s[e+1:])) // it was just written
	if len(digits) == 2 && digits[1] == '0' {
		digits = digits[:1]
	}
	switch {
	case exponent >= 7 || exponent < -3:
		b = append(append(b, digits[0]), '.')
		if len(digits) == 1 {
			b = append(b, '0')
		}
		b = append(append(b, digits[1:]...), 'E')
		return strconv.AppendInt(b, int64(exponent), 10)
	case exponent < 0:
		b = append(b, "0.00"[:1-exponent]...)
		return append(b, digits...)
	case len(digits) <= exponent+1:
		b = append(b, digits...)
		for range exponent + 1 - len(digits) {
			b = append(b, '0')
		}
		return append(b, ".0"...)
	}
	return append(append(append(b, digits[:exponent+1]...), '.'), digits[exponent+1:]...)
}

// ASCIIDigits writes the decimal digits of all scripts as 0 to 9: Java's numbers may use any.
func ASCIIDigits(s string) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return string(mapDigits(s))
		}
	}
	return s
}

func mapDigits(s string) []rune {
	out := []rune(s)
	for i, r := range out {
		if d, ok := Digit(r); ok {
			out[i] = '0' + rune(d)
		}
	}
	return out
}

// Digit is the value of a decimal digit of any script, as Java's Character.digit.
func Digit(r rune) (int, bool) {
	if r < 0x80 {
		return int(r - '0'), r >= '0' && r <= '9'
	}
	if !unicode.Is(unicode.Nd, r) {
		return 0, false
	}
	for _, t := range unicode.Nd.R16 { // a table begins with a zero, and counts on
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return int(r-rune(t.Lo)) % 10, true
		}
	}
	for _, t := range unicode.Nd.R32 {
		if rune(t.Lo) <= r && r <= rune(t.Hi) {
			return int(r-rune(t.Lo)) % 10, true
		}
	}
	return 0, false
}
