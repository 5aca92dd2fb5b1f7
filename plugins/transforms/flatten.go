package transforms

import (
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/transform"
)

const flattening = "flattening"

var flattenDef = &config.Def{Keys: []config.Key{
	optional("delimiter", config.String, ".", config.Medium, "What stands between the names of outer and inner fields."),
}}

// flatten makes one level of nested structs or maps.
type flatten struct {
	base
	delimiter string
	schemas   cache[*data.Schema]
}

func (f *flatten) Configure(props map[string]string) error {
	v, err := parse(flattenDef, props)
	f.delimiter, f.schemas = v.String("delimiter"), cache[*data.Schema]{}
	return err
}

func (f *flatten) Apply(r *transform.Record) (bool, error) {
	s, v := f.operand(r)
	if v == nil {
		return true, nil
	}
	if s == nil {
		m, err := requireMap(v, flattening)
		if err != nil {
			return false, err
		}
		out := data.NewMap(m.Len())
		if err := f.flattenMap(m, "", out); err != nil {
			return false, err
		}
		r.Made(out)
		f.update(r, nil, out)
		return true, nil
	}
	st, err := requireStruct(s, v, flattening)
	if err != nil {
		return false, err
	}
	schema, ok := f.schemas.get(s)
	if !ok {
		if schema, err = f.flatSchema(s); err != nil {
			return false, err
		}
		f.schemas.put(s, schema)
	}
	out := data.NewStruct(schema)
	if _, err := flattenStruct(st, out, 0); err != nil {
		return false, err
	}
	f.update(r, schema, out)
	return true, nil
}

// name joins the name of a field with those of the fields around it.
func (f *flatten) name(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + f.delimiter + name
}

func (f *flatten) flattenMap(m *data.Map, prefix string, out *data.Map) error {
	for k, v := range m.All() {
		var name any // a null key on the outside stays one
		if k != nil || prefix != "" {
			text := "null"
			if k != nil {
				var err error
				if text, err = fieldName(k); err != nil {
					return err
				}
			}
			name = f.name(prefix, text)
		}
		switch t := data.TypeOf(v); {
		case v == nil, t > 0 && t <= data.Array:
			out.Set(name, v)
		case t == data.MapType:
			inner, _ := name.(string)
			if err := f.flattenMap(v.(*data.Map), inner, out); err != nil {
				return err
			}
		case t == 0:
			return dataError("Flatten transformation was passed a value of type class %s which is not supported by Connect's data API", data.ClassOf(v))
		default:
			return dataError("Flatten transformation does not support class %s for record without schemas (for field %s).", data.ClassOf(v), data.Text(name))
		}
	}
	return nil
}

func (f *flatten) flatSchema(s *data.Schema) (*data.Schema, error) {
	fields, err := f.flatFields(nil, s, "", s.Optional())
	if err != nil {
		return nil, err
	}
	return structOf(s, fields)
}

// flatFields appends the fields of a schema and of the structs in it.
func (f *flatten) flatFields(out []data.Field, s *data.Schema, prefix string, optional bool) ([]data.Field, error) {
	for _, field := range s.Fields() {
		name := f.name(prefix, field.Name)
		optional := optional || field.Schema.Optional()
		var err error
		switch t := field.Schema.Type(); {
		case t <= data.Array:
			opts := basics(field.Schema)
			if optional {
				opts = append(opts, data.Optional())
			}
			if def := field.Schema.Default(); def != nil {
				opts = append(opts, data.DefaultValue(def))
			}
			flat := data.Field{Name: name}
			flat.Schema, err = data.Build(t, opts...)
			out = append(out, flat)
		case t == data.StructType:
			out, err = f.flatFields(out, field.Schema, name, optional)
		default:
			err = dataError("Flatten transformation does not support %s for record with schemas (for field %s).", t, name)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// flattenStruct sets the fields of out from the index on, in the order in which flatFields made them, and returns the index
// behind them. What belongs to a struct that is null stays null.
func flattenStruct(st, out *data.Struct, at int) (int, error) {
	for i, field := range st.Schema().Fields() {
		if field.Schema.Type() != data.StructType {
			if err := put(out, at, st.At(i)); err != nil {
				return 0, err
			}
			at++
			continue
		}
		inner, _ := st.Raw(i).(*data.Struct)
		if inner == nil {
			at += leaves(field.Schema)
			continue
		}
		var err error
		if at, err = flattenStruct(inner, out, at); err != nil {
			return 0, err
		}
	}
	return at, nil
}

// leaves is the number of fields that a struct schema has when it is flat.
func leaves(s *data.Schema) (n int) {
	for _, f := range s.Fields() {
		if f.Schema.Type() == data.StructType {
			n += leaves(f.Schema)
		} else {
			n++
		}
	}
	return n
}
