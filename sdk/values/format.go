package values

import (
	"encoding/base64"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// Append appends a value as text: much like JSON inside arrays, maps and structs, where strings are quoted; plain outside of
// them.
func Append(b []byte, v any) ([]byte, error) { return appendValue(b, v, false) }

// Format is Append as a string.
func Format(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	b, err := Append(nil, v)
	return string(b), err
}

func appendValue(b []byte, v any, embedded bool) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case string:
		if !embedded {
			return append(b, v...), nil
		}
		return appendQuoted(b, v), nil
	case []byte:
		if !embedded {
			return base64.StdEncoding.AppendEncode(b, v), nil
		}
		return append(base64.StdEncoding.AppendEncode(append(b, '"'), v), '"'), nil
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendValue(b, e, true); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case *data.Map:
		b = append(b, '{')
		first := true
		for k, e := range v.All() {
			if !first {
				b = append(b, ',')
			}
			first = false
			if b, err = appendValue(b, k, true); err != nil {
				return nil, err
			}
			if b, err = appendValue(append(b, ':'), e, true); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case *data.Struct:
		b = append(b, '{')
		for i, f := range v.Schema().Fields() {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendQuoted(b, f.Name), ':')
			if b, err = appendValue(b, v.At(i), true); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case data.Instant:
		return appendInstant(b, v), nil
	case nil, bool, int8, int16, int32, int64, float32, float64, data.Decimal:
		return data.AppendText(b, v), nil
	}
	if isNumber(v) {
		return data.AppendText(b, v), nil
	}
	return nil, connecterr.New(connecterr.Data, "Failed to serialize unexpected value type %s: %s", data.ClassOf(v), data.Text(v))
}

// appendQuoted quotes a string and escapes what would end it, and nothing else.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// appendInstant appends a time of day, a date or a timestamp, whichever the instant looks like.
func appendInstant(b []byte, i data.Instant) []byte {
	switch {
	case i < data.Day:
		return i.AppendClock(b)
	case i%data.Day == 0:
		return i.AppendDate(b)
	}
	return i.AppendClock(append(i.AppendDate(b), 'T'))
}
