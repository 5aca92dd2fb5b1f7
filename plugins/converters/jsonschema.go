package converters

import (
	"strconv"

	"github.com/millrace/millrace/internal/jsontree"
	"github.com/millrace/millrace/sdk/data"
)

var jsonTypes = [...]string{
	data.Int8: "int8", data.Int16: "int16", data.Int32: "int32", data.Int64: "int64", data.Float32: "float", data.Float64: "double",
	data.Boolean: "boolean", data.String: "string", data.Bytes: "bytes", data.Array: "array", data.MapType: "map", data.StructType: "struct",
}

// appendKnown writes a schema; its text is remembered, because schemas are few and shared.
func (c *jsonConverter) appendKnown(b []byte, s *data.Schema) ([]byte, error) {
	if text, ok := c.texts[s]; ok {
		return append(b, text...), nil
	}
	start := len(b)
	b, err := c.appendSchema(b, s, "")
	if err == nil && c.cache > 0 {
		if len(c.texts) >= c.cache {
			clear(c.texts)
		}
		c.texts[s] = append([]byte(nil), b[start:]...)
	}
	return b, err
}

// appendSchema writes a schema, with the name of the field that it is the schema of.
func (c *jsonConverter) appendSchema(b []byte, s *data.Schema, field string) ([]byte, error) {
	if s == nil {
		return append(b, "null"...), nil
	}
	b = append(append(append(b, `{"type":"`...), jsonTypes[s.Type()]...), '"')
	var err error
	switch s.Type() {
	case data.Array:
		b, err = c.appendSchema(append(b, `,"items":`...), s.ValueSchema(), "")
	case data.MapType:
		if b, err = c.appendSchema(append(b, `,"keys":`...), s.KeySchema(), ""); err != nil {
			return nil, err
		}
		b, err = c.appendSchema(append(b, `,"values":`...), s.ValueSchema(), "")
	case data.StructType:
		b = append(b, `,"fields":[`...)
		for i, f := range s.Fields() {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = c.appendSchema(b, f.Schema, f.Name); err != nil {
				return nil, err
			}
		}
		b = append(b, ']')
	default:
	}
	if err != nil {
		return nil, err
	}
	b = strconv.AppendBool(append(b, `,"optional":`...), s.Optional())
	if s.HasName() {
		b = jsontree.AppendString(append(b, `,"name":`...), s.Name())
	}
	if v, ok := s.Version(); ok {
		b = strconv.AppendInt(append(b, `,"version":`...), int64(v), 10)
	}
	if doc, ok := s.Doc(); ok {
		b = jsontree.AppendString(append(b, `,"doc":`...), doc)
	}
	if s.HasParams() {
		b = append(b, `,"parameters":`...)
		open := byte('{')
		for k, v := range s.Params() {
			b = append(jsontree.AppendString(append(b, open), k), ':')
			b, open = jsontree.AppendString(b, v), ','
		}
		b = append(b, '}')
	}
	if def := s.Default(); def != nil {
		if b, err = c.appendValue(append(b, `,"default":`...), s, def); err != nil {
			return nil, err
		}
	}
	if field != "" {
		b = jsontree.AppendString(append(b, `,"field":`...), field)
	}
	return append(b, '}'), nil
}

// known reads a schema; it is remembered by its text.
func (c *jsonConverter) known(n jsontree.Node) (*data.Schema, error) {
	text := c.tree.Raw(n)
	if s, ok := c.read[string(text)]; ok {
		return s, nil
	}
	s, err := c.schema(n)
	if err == nil && c.cache > 0 {
		if len(c.read) >= c.cache {
			clear(c.read)
		}
		c.read[string(text)] = s
	}
	return s, err
}

// schema reads a schema; nil for null and for a text without a value.
func (c *jsonConverter) schema(n jsontree.Node) (*data.Schema, error) {
	t := &c.tree
	if k := t.Kind(n); k == jsontree.Null || k == jsontree.Missing {
		return nil, nil
	}
	name := t.Get(n, "type")
	if t.Kind(name) != jsontree.String {
		return nil, bad("Schema must contain 'type' field")
	}
	typ, opts, err := c.shape(n, t.Text(name))
	if err != nil {
		return nil, err
	}
	if t.Kind(t.Get(n, "optional")) == jsontree.True {
		opts = append(opts, data.Optional())
	}
	if at := t.Get(n, "name"); t.Kind(at) == jsontree.String {
		opts = append(opts, data.Name(t.Text(at)))
	}
	if at := t.Get(n, "version"); t.Kind(at) == jsontree.Int {
		opts = append(opts, data.Version(int32(c.whole(at)))) // cut as Kafka Connect does
	}
	if at := t.Get(n, "doc"); t.Kind(at) == jsontree.String {
		opts = append(opts, data.Doc(t.Text(at)))
	}
	if at := t.Get(n, "parameters"); t.Kind(at) == jsontree.Object {
		for _, m := range c.members(at) {
			if t.Kind(m.value) != jsontree.String {
				return nil, bad("Schema parameters must have string values.")
			}
			opts = append(opts, data.Param(m.name.(string), t.Text(m.value)))
		}
	}
	s, err := data.Build(typ, opts...)
	at := t.Get(n, "default")
	if err != nil || at == jsontree.None {
		return s, err
	}
	def, err := c.value(s, at)
	if err != nil {
		return nil, err
	}
	return data.Build(typ, append(opts, data.DefaultValue(def))...)
}

// shape reads a schema's type and what is inside it.
func (c *jsonConverter) shape(n jsontree.Node, name string) (data.Type, []data.Option, error) {
	t := &c.tree
	typ := data.Type(0)
	for i, known := range jsonTypes {
		if known == name && known != "" {
			typ = data.Type(i) // a type
		}
	}
	switch typ {
	case 0:
		return 0, nil, bad("Unknown schema type: %s", name)
	case data.Array:
		items := t.Get(n, "items")
		if k := t.Kind(items); k == jsontree.Null || k == jsontree.Missing {
			return 0, nil, bad("Array schema did not specify the element type")
		}
		of, err := c.schema(items)
		return typ, []data.Option{data.Elements(of)}, err
	case data.MapType:
		keys, values := t.Get(n, "keys"), t.Get(n, "values")
		if keys == jsontree.None {
			return 0, nil, bad("Map schema did not specify the key type")
		}
		if values == jsontree.None {
			return 0, nil, bad("Map schema did not specify the value type")
		}
		key, err := c.schema(keys)
		if err != nil {
			return 0, nil, err
		}
		of, err := c.schema(values)
		return typ, []data.Option{data.Entries(key, of)}, err
	case data.StructType:
		return c.structShape(t.Get(n, "fields"))
	default:
		return typ, nil, nil
	}
}

func (c *jsonConverter) structShape(list jsontree.Node) (data.Type, []data.Option, error) {
	t := &c.tree
	if t.Kind(list) != jsontree.Array {
		return 0, nil, bad(`Struct schema's "fields" argument is not an array.`)
	}
	fields := make([]data.Field, 0, t.Len(list))
	for e := t.First(list); e != t.End(list); e = t.Next(e) {
		name := t.Get(e, "field")
		if t.Kind(name) != jsontree.String {
			return 0, nil, bad("Struct schema's field name not specified properly")
		}
		s, err := c.schema(e)
		if err != nil {
			return 0, nil, err
		}
		fields = append(fields, data.Field{Name: t.Text(name), Schema: s})
	}
	return data.StructType, []data.Option{data.Fields(fields...)}, nil
}
