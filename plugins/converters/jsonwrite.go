package converters

import (
	"encoding/base64"
	"math"
	"strconv"

	"github.com/millrace/millrace/internal/jsontree"
	"github.com/millrace/millrace/plugins/converters/jsonschema"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

func bad(format string, args ...any) error { return connecterr.New(connecterr.Data, format, args...) }

// appendValue writes a value without its schema.
func (c *jsonConverter) appendValue(b []byte, s *data.Schema, v any) ([]byte, error) {
	if v == nil {
		switch {
		case s == nil:
			return append(b, "null"...), nil
		case c.defaults && s.Default() != nil:
			return c.appendValue(b, s, s.Default())
		case s.Optional():
			return append(b, "null"...), nil
		}
		return nil, bad("Conversion error: null value for field that is required and has no default value")
	}
	t := data.TypeOf(v)
	if s == nil {
		if t == 0 {
			return nil, bad("Java class class %s does not have corresponding schema type.", data.ClassOf(v))
		}
	} else if s.Logical() != data.NotLogical {
		return c.appendLogical(b, s, v)
	} else if t != s.Type() {
		name := s.Type().String()
		if s.Type() == data.Bytes {
			name = "bytes type"
		}
		return nil, bad("Invalid type for %s: class %s", name, data.ClassOf(v))
	}
	switch v := v.(type) {
	case bool, int8, int16, int32, int64:
		return data.AppendText(b, v), nil
	case float32:
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) { // JSON has no number for it
			return append(data.AppendFloat32(append(b, '"'), v), '"'), nil
		}
		return data.AppendFloat32(b, v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return append(data.AppendFloat(append(b, '"'), v), '"'), nil
		}
		return data.AppendFloat(b, v), nil
	case string:
		return jsontree.AppendString(b, v), nil
	case []byte:
		return appendBase64(b, v), nil
	case []any:
		return c.appendArray(b, s, v)
	case *data.Map:
		return c.appendMap(b, s, v)
	default:
		return c.appendStruct(b, s, v.(*data.Struct))
	}
}

func appendBase64(b, v []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), v), '"')
}

func (c *jsonConverter) appendLogical(b []byte, s *data.Schema, v any) ([]byte, error) {
	if s.Logical() == data.LogicalDecimal {
		d, ok := v.(data.Decimal)
		if !ok {
			return nil, bad("Invalid type for Decimal, expected BigDecimal but was class %s", data.ClassOf(v))
		}
		if c.numeric {
			return d.AppendText(b), nil
		}
		unscaled, err := data.DecimalToBytes(s, d)
		if err != nil {
			return nil, err
		}
		return appendBase64(b, unscaled), nil
	}
	i, ok := v.(data.Instant)
	var n int64
	var days int32
	var err error
	var name string
	switch s.Logical() {
	case data.LogicalDate:
		name = "Date"
		days, err = data.DateToInt(s, i)
		n = int64(days)
	case data.LogicalTime:
		name = "Time"
		days, err = data.TimeToInt(s, i)
		n = int64(days)
	default:
		name = "Timestamp"
		n, err = data.TimestampToInt(s, i)
	}
	if !ok {
		return nil, bad("Invalid type for %s, expected Date but was class %s", name, data.ClassOf(v))
	}
	return strconv.AppendInt(b, n, 10), err
}

func (c *jsonConverter) appendArray(b []byte, s *data.Schema, list []any) ([]byte, error) {
	var of *data.Schema
	if s != nil {
		of = s.ValueSchema()
	}
	b = append(b, '[')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = c.appendValue(b, of, e); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func (c *jsonConverter) appendStruct(b []byte, s *data.Schema, st *data.Struct) ([]byte, error) {
	if !st.Schema().Equal(s) {
		return nil, bad("Mismatching schema.")
	}
	if c.unions && jsonschema.IsUnion(s) {
		return c.appendUnion(b, s, st)
	}
	b = append(b, '{')
	for i, f := range s.Fields() {
		if c.unions && st.Raw(i) == nil && f.Schema.Default() == nil && !f.Schema.Optional() {
			continue // it was missing
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(jsontree.AppendString(b, f.Name), ':')
		var err error
		if b, err = c.appendValue(b, f.Schema, st.Raw(i)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendMap writes an object when all keys are strings, else an array of pairs.
func (c *jsonConverter) appendMap(b []byte, s *data.Schema, m *data.Map) (_ []byte, err error) {
	var key, of *data.Schema
	object := true
	if s != nil {
		if key, of = s.KeySchema(), s.ValueSchema(); key == nil {
			return nil, connecterr.New(connecterr.Data, "the map's schema has none for keys").WithClass("java.lang.NullPointerException")
		}
		object = key.Type() == data.String
		if c.unions && !jsonschema.TextKeys(s) {
			return c.appendEntries(b, s, m)
		}
	} else {
		for k := range m.All() {
			if _, ok := k.(string); !ok {
				object = false
			}
		}
	}
	ends := "[]"
	if object {
		ends = "{}"
	}
	b = append(b, ends[0])
	first := true
	for k, v := range m.All() {
		if !first {
			b = append(b, ',')
		}
		first = false
		if !object {
			b = append(b, '[')
		}
		start := len(b)
		if b, err = c.appendValue(b, key, k); err != nil {
			return nil, err
		}
		if object && b[start] != '"' { // null, or a logical type's number
			b = append(append(append(b[:start:start], '"'), b[start:]...), '"')
		}
		between := byte(',')
		if object {
			between = ':'
		}
		if b, err = c.appendValue(append(b, between), of, v); err != nil {
			return nil, err
		}
		if !object {
			b = append(b, ']')
		}
	}
	return append(b, ends[1]), nil
}
