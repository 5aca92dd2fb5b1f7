package converters

import (
	"github.com/millrace/millrace/internal/jsontree"
	"github.com/millrace/millrace/sdk/data"
)

// What JsonSchemaConverter writes and reads otherwise than JsonConverter: unions, and maps whose keys are no text.

// union reads a value as the first field of a union whose type it is; an object as the field that has most of its members.
func (c *jsonConverter) union(s *data.Schema, n jsontree.Node) (any, error) {
	best, most := -1, -1
	for i, f := range s.Fields() {
		if c.fits(f.Schema, n) {
			best = i
			break
		}
		if same := c.common(f.Schema, n); same > most {
			best, most = i, same
		}
	}
	if best < 0 && c.tree.Kind(n) == jsontree.String { // bytes, if nothing else is text
		for i, f := range s.Fields() {
			if f.Schema.Type() == data.Bytes {
				best = i
			}
		}
	}
	if best < 0 {
		return nil, bad("Did not find matching oneof field for data")
	}
	v, err := c.value(s.Fields()[best].Schema, n)
	if err != nil {
		return nil, err
	}
	st := data.NewStruct(s)
	st.SetAt(best, v)
	return st, nil
}

// fits tells whether a value is of a type that is no struct.
func (c *jsonConverter) fits(s *data.Schema, n jsontree.Node) bool {
	kind := c.tree.Kind(n)
	number := kind == jsontree.Int || kind == jsontree.Number
	switch s.Type() {
	case data.Int8, data.Int16, data.Int32, data.Int64:
		return kind == jsontree.Int
	case data.Float32, data.Float64:
		return number
	case data.Boolean:
		return kind == jsontree.True || kind == jsontree.False
	case data.String:
		return kind == jsontree.String
	case data.Bytes:
		return number && s.Logical() == data.LogicalDecimal
	case data.Array:
		return kind == jsontree.Array
	case data.MapType:
		return kind == jsontree.Object || kind == jsontree.Array
	default:
		return false
	}
}

// common is how many fields of a struct an object has; -1 where it is none.
func (c *jsonConverter) common(s *data.Schema, n jsontree.Node) int {
	if s.Type() != data.StructType || c.tree.Kind(n) != jsontree.Object {
		return -1
	}
	same := 0
	for _, m := range c.members(n) {
		if _, ok := s.Field(m.name.(string)); ok {
			same++
		}
	}
	return same
}

// entries reads a map as an array of objects.
func (c *jsonConverter) entries(s *data.Schema, n jsontree.Node) (any, error) {
	t := &c.tree
	if kind := t.Kind(n); kind != jsontree.Array {
		return nil, bad("Maps with non-string fields should be encoded as JSON array of objects, but found %s", kind)
	}
	m := data.NewMap(t.Len(n))
	for e := t.First(n); e != t.End(n); e = t.Next(e) {
		if kind := t.Kind(e); kind != jsontree.Object {
			return nil, bad("Found invalid map entry instead of object: %s", kind)
		}
		if size := len(c.members(e)); size != 2 {
			return nil, bad("Found invalid map entry, expected length 2 but found :%d", size)
		}
		var of [2]any
		for i, part := range []struct {
			name string
			s    *data.Schema
		}{{"key", s.KeySchema()}, {"value", s.ValueSchema()}} {
			at := t.Get(e, part.name)
			if at == jsontree.None {
				of[i] = part.s.Default()
				continue
			}
			var err error
			if of[i], err = c.value(part.s, at); err != nil {
				return nil, err
			}
		}
		if err := searched(of[0], m.Len()); err != nil {
			return nil, err
		}
		m.Set(of[0], of[1])
	}
	return m, nil
}

// maxSearched bounds maps whose keys are found by comparing all: the time grows with the square of their number.
const maxSearched = 2000

func searched(key any, size int) error {
	switch key.(type) {
	case []byte, []any, *data.Map, *data.Struct:
		if size > maxSearched {
			return bad("a map of the message has more than %d keys that are bytes, arrays, maps or structs", maxSearched)
		}
	}
	return nil
}

func (c *jsonConverter) appendEntries(b []byte, s *data.Schema, m *data.Map) (_ []byte, err error) {
	b = append(b, '[')
	for k, v := range m.All() {
		if b[len(b)-1] != '[' {
			b = append(b, ',')
		}
		if b, err = c.appendValue(append(b, `{"key":`...), s.KeySchema(), k); err != nil {
			return nil, err
		}
		if b, err = c.appendValue(append(b, `,"value":`...), s.ValueSchema(), v); err != nil {
			return nil, err
		}
		b = append(b, '}')
	}
	return append(b, ']'), nil
}

// appendUnion writes the field that is there.
func (c *jsonConverter) appendUnion(b []byte, s *data.Schema, st *data.Struct) ([]byte, error) {
	for i, f := range s.Fields() {
		if v := st.Raw(i); v != nil {
			return c.appendValue(b, f.Schema, v)
		}
	}
	return c.appendValue(b, s, nil)
}
