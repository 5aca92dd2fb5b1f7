package converters

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// jsonSchema is a schema as JsonConverter writes it.
type jsonSchema struct {
	Type     string            `json:"type"`
	Optional bool              `json:"optional"`
	Name     string            `json:"name,omitempty"`
	Version  *int32            `json:"version,omitempty"`
	Doc      string            `json:"doc,omitempty"`
	Params   map[string]string `json:"parameters,omitempty"`
	Default  json.RawMessage   `json:"default,omitempty"`
	Field    string            `json:"field,omitempty"`
	Fields   []*jsonSchema     `json:"fields,omitempty"`
	Items    *jsonSchema       `json:"items,omitempty"`
	Keys     *jsonSchema       `json:"keys,omitempty"`
	Values   *jsonSchema       `json:"values,omitempty"`
}

var jsonTypes = map[data.Type]string{
	data.Int8: "int8", data.Int16: "int16", data.Int32: "int32", data.Int64: "int64", data.Float32: "float", data.Float64: "double",
	data.Boolean: "boolean", data.String: "string", data.Bytes: "bytes", data.Array: "array", data.MapType: "map", data.StructType: "struct",
}

// schemaText is a schema as JSON; remembered, because schemas are few and shared.
func (c *jsonConverter) schemaText(s *data.Schema) ([]byte, error) {
	if text, ok := c.written[s]; ok {
		return text, nil
	}
	js, err := c.describe(s)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(js)
	if err != nil {
		return nil, err
	}
	if len(c.written) < c.cache {
		c.written[s] = text
	}
	return text, nil
}

func (c *jsonConverter) describe(s *data.Schema) (*jsonSchema, error) {
	if s == nil {
		return nil, nil
	}
	js := &jsonSchema{Type: jsonTypes[s.Type()], Optional: s.Optional(), Name: s.Name(), Params: maps.Collect(s.Params())}
	js.Doc, _ = s.Doc()
	if v, ok := s.Version(); ok {
		js.Version = &v
	}
	if def := s.Default(); def != nil {
		text, err := c.appendValue(nil, s, def)
		if err != nil {
			return nil, err
		}
		js.Default = text
	}
	var err error
	if js.Keys, err = c.describe(s.KeySchema()); err != nil {
		return nil, err
	}
	inner, err := c.describe(s.ValueSchema())
	if s.Type() == data.Array {
		js.Items = inner
	} else {
		js.Values = inner
	}
	for _, f := range s.Fields() {
		field, err := c.describe(f.Schema)
		if err != nil {
			return nil, err
		}
		field.Field = f.Name
		js.Fields = append(js.Fields, field)
	}
	return js, err
}

// readSchema reads a schema's JSON; remembered by its text.
func (c *jsonConverter) readSchema(text json.RawMessage) (*data.Schema, error) {
	if s, ok := c.read[string(text)]; ok {
		return s, nil
	}
	var js *jsonSchema
	if err := json.Unmarshal(text, &js); err != nil {
		return nil, connecterr.New(connecterr.Data, "Schema must contain 'type' field")
	}
	s, err := c.build(js)
	if err == nil && len(c.read) < c.cache {
		c.read[string(text)] = s
	}
	return s, err
}

func (c *jsonConverter) build(js *jsonSchema) (*data.Schema, error) {
	if js == nil {
		return nil, nil
	}
	typ := data.Type(0)
	for t, name := range jsonTypes {
		if name == js.Type {
			typ = t
		}
	}
	if typ == 0 {
		return nil, connecterr.New(connecterr.Data, "Unknown schema type: %s", js.Type)
	}
	var opts []data.Option
	if js.Optional {
		opts = append(opts, data.Optional())
	}
	if js.Name != "" {
		opts = append(opts, data.Name(js.Name))
	}
	if js.Version != nil {
		opts = append(opts, data.Version(*js.Version))
	}
	if js.Doc != "" {
		opts = append(opts, data.Doc(js.Doc))
	}
	for _, k := range slices.Sorted(maps.Keys(js.Params)) {
		opts = append(opts, data.Param(k, js.Params[k]))
	}
	plain, err := c.shape(typ, js, nil)
	if err != nil {
		return nil, err
	}
	if len(js.Default) > 0 && string(js.Default) != "null" {
		v, err := decode(js.Default)
		if err != nil {
			return nil, err
		}
		if v, err = c.typed(plain, v); err != nil {
			return nil, err
		}
		opts = append(opts, data.DefaultValue(v))
	}
	return c.shape(typ, js, opts)
}

// shape makes the schema of a type with its inner schemas.
func (c *jsonConverter) shape(typ data.Type, js *jsonSchema, opts []data.Option) (*data.Schema, error) {
	switch typ {
	case data.Array:
		items, err := c.build(js.Items)
		if err == nil && items == nil {
			err = connecterr.New(connecterr.Data, "Array schema did not specify the element type")
		}
		if err != nil {
			return nil, err
		}
		return data.Build(typ, append(opts, data.Elements(items))...)
	case data.MapType:
		keys, err := c.build(js.Keys)
		if err != nil {
			return nil, err
		}
		values, err := c.build(js.Values)
		if err == nil && (keys == nil || values == nil) {
			err = connecterr.New(connecterr.Data, "Map schema did not specify the key or value type")
		}
		if err != nil {
			return nil, err
		}
		return data.Build(typ, append(opts, data.Entries(keys, values))...)
	case data.StructType:
		fields := make([]data.Field, len(js.Fields))
		for i, f := range js.Fields {
			if f == nil || f.Field == "" {
				return nil, connecterr.New(connecterr.Data, "Struct schema's field name not specified properly")
			}
			s, err := c.build(f)
			if err != nil {
				return nil, err
			}
			fields[i] = data.Field{Name: f.Field, Schema: s}
		}
		return data.Build(typ, append(opts, data.Fields(fields...))...)
	default:
		return data.Build(typ, opts...)
	}
}

// typed gives a schemaless value the types of a schema.
func (c *jsonConverter) typed(s *data.Schema, v any) (any, error) {
	if s == nil {
		return v, nil
	}
	if v == nil {
		if def := s.Default(); def != nil && c.defaults {
			return def, nil
		}
		if s.Optional() {
			return nil, nil
		}
		return nil, connecterr.New(connecterr.Data, "Invalid null value for required %s field", s.Type())
	}
	bad := connecterr.New(connecterr.Data, "Invalid type for %s: %s", s.Type(), javaType(v))
	switch s.Type() {
	case data.Boolean:
		if b, ok := v.(bool); ok {
			return b, nil
		}
	case data.Int8, data.Int16, data.Int32, data.Int64, data.Float32, data.Float64:
		return number(s.Type(), v, bad)
	case data.String:
		if t, ok := v.(string); ok {
			return t, nil
		}
	case data.Bytes:
		if t, ok := v.(string); ok {
			if b, err := base64.StdEncoding.DecodeString(t); err == nil {
				return b, nil
			}
		}
	case data.Array:
		if list, ok := v.([]any); ok {
			for i := range list {
				var err error
				if list[i], err = c.typed(s.ValueSchema(), list[i]); err != nil {
					return nil, err
				}
			}
			return list, nil
		}
	case data.MapType:
		return c.typedMap(s, v, bad)
	case data.StructType:
		m, ok := v.(*data.Map)
		if !ok {
			return nil, connecterr.New(connecterr.Data, "Structs should be encoded as JSON objects, but found %s", javaType(v))
		}
		st := data.NewStruct(s)
		for i, f := range s.Fields() {
			in, _ := m.Get(f.Name)
			out, err := c.typed(f.Schema, in)
			if err != nil {
				return nil, err
			}
			st.SetAt(i, out)
		}
		return st, nil
	}
	return nil, bad
}

func number(t data.Type, v any, bad error) (any, error) {
	var n int64
	var f float64
	switch x := v.(type) {
	case int64:
		n, f = x, float64(x)
	case float64:
		n, f = int64(x), x
	default:
		return nil, bad
	}
	switch t {
	case data.Int8:
		return int8(n), nil
	case data.Int16:
		return int16(n), nil
	case data.Int32:
		return int32(n), nil
	case data.Int64:
		return n, nil
	case data.Float32:
		return float32(f), nil
	default:
		return f, nil
	}
}

// typedMap reads a map from an object, or from an array of pairs.
func (c *jsonConverter) typedMap(s *data.Schema, v any, bad error) (any, error) {
	out := data.NewMap(4)
	put := func(k, e any) error {
		key, err := c.typed(s.KeySchema(), k)
		if err != nil {
			return err
		}
		val, err := c.typed(s.ValueSchema(), e)
		if err == nil {
			out.Set(key, val)
		}
		return err
	}
	switch m := v.(type) {
	case *data.Map:
		for k, e := range m.All() {
			if err := put(k, e); err != nil {
				return nil, err
			}
		}
	case []any:
		for _, e := range m {
			pair, ok := e.([]any)
			if !ok || len(pair) != 2 {
				return nil, connecterr.New(connecterr.Data, "Found invalid map entry: it must be an array of a key and a value")
			}
			if err := put(pair[0], pair[1]); err != nil {
				return nil, err
			}
		}
	default:
		return nil, bad
	}
	return out, nil
}
