package data

import "github.com/millrace/millrace/sdk/connecterr"

// Project reads a value of one schema as a value of another, its newer or older version: numbers widen, fields that the
// target does not know are left out, those that only the target knows get their default. Schemas that do not go together are
// an error of kind connecterr.Projector.
func Project(source *Schema, v any, target *Schema) (any, error) {
	if err := compatible(source, target); err != nil {
		return nil, err
	}
	if source.optional && !target.optional {
		if target.def == nil {
			return nil, unfit("Writer schema is optional, however, target schema does not provide a default value.")
		}
		if v == nil {
			return target.def, nil
		}
	}
	if v == nil {
		return nil, nil
	}
	switch target.typ {
	case StructType:
		if st, ok := v.(*Struct); ok {
			return projectStruct(source, st, target)
		}
	case Array:
		if list, ok := v.([]any); ok {
			out := make([]any, len(list))
			for i, e := range list {
				var err error
				if out[i], err = Project(source.value, e, target.value); err != nil {
					return nil, err
				}
			}
			return out, nil
		}
	case MapType:
		if m, ok := v.(*Map); ok {
			return projectMap(source, m, target)
		}
	default:
		return widen(v, target.typ), nil
	}
	return nil, connecterr.New(connecterr.Projector, "class %s is none of %s", ClassOf(v), source).WithClass(classCast)
}

func unfit(format string, args ...any) error {
	return connecterr.New(connecterr.Projector, format, args...)
}

func compatible(source, target *Schema) error {
	switch {
	case source.typ != target.typ && (source.typ >= target.typ || target.typ > Float64):
		return unfit("Schema type mismatch. source type: %s and target type: %s", source.typ, target.typ)
	case !same(source.name, target.name):
		return unfit("Schema name mismatch. source name: %s and target name: %s", orNull(source.name), orNull(target.name))
	case !source.sameParams(target):
		return unfit("Schema parameters not equal. source parameters: %s and target parameters: %s", source.paramsText(), target.paramsText())
	}
	return nil
}

func orNull(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

func (s *Schema) paramsText() string {
	if !s.HasParams() {
		return "null"
	}
	b := []byte{'{'}
	for i, p := range s.params {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(append(append(b, p.key...), '='), p.value...)
	}
	return string(append(b, '}'))
}

func projectStruct(source *Schema, st *Struct, target *Schema) (any, error) {
	out := NewStruct(target)
	for i, f := range target.fields {
		from, ok := source.Field(f.Name)
		switch {
		case ok:
			in, err := st.Get(f.Name)
			if err != nil {
				return nil, err
			}
			v, err := Project(from.Schema, in, f.Schema)
			if err != nil {
				return nil, connecterr.Wrap(connecterr.Projector, err, "Error projecting %s", f.Name)
			}
			if err := out.SetIndex(i, v); err != nil {
				return nil, err
			}
		case f.Schema.optional:
		case f.Schema.def != nil:
			out.values[i] = f.Schema.def
		default:
			return nil, unfit("Required field `%s` is missing from source schema: %s", f.Name, source)
		}
	}
	return out, nil
}

func projectMap(source *Schema, m *Map, target *Schema) (any, error) {
	out := NewMap(m.Len())
	for k, v := range m.All() {
		key, err := Project(source.key, k, target.key)
		if err != nil {
			return nil, err
		}
		val, err := Project(source.value, v, target.value)
		if err != nil {
			return nil, err
		}
		out.Set(key, val)
	}
	return out, nil
}

// widen gives a number another type, cutting as Java does; other values stay.
func widen(v any, t Type) any {
	switch n := v.(type) {
	case int8:
		return ofInt(int64(n), v, t)
	case int16:
		return ofInt(int64(n), v, t)
	case int32:
		return ofInt(int64(n), v, t)
	case int64:
		return ofInt(n, v, t)
	case float32:
		if t == Float64 {
			return float64(n)
		}
	}
	return v
}

func ofInt(n int64, v any, t Type) any {
	switch t {
	case Int8:
		return int8(n) // only from an int8
	case Int16:
		return int16(n) // only from what fits
	case Int32:
		return int32(n) // only from what fits
	case Int64:
		return n
	case Float32:
		return float32(n)
	case Float64:
		return float64(n)
	default:
		return v
	}
}
