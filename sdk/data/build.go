package data

import "github.com/millrace/millrace/sdk/connecterr"

// Option is one step in the making of a schema. Steps are taken in their order: a default is checked against what was set
// before it, so Optional comes before DefaultValue.
type Option func(*Schema, *made) error

// made is what has been set so far where the schema itself can't tell.
type made struct{ optional bool }

// Build makes a schema of a type, step by step. What Java's SchemaBuilder refuses is an error of kind
// connecterr.SchemaBuilder with its text.
func Build(t Type, opts ...Option) (*Schema, error) {
	if t == 0 {
		return nil, refused("type cannot be null")
	}
	s, m := &Schema{typ: t}, made{}
	for _, o := range opts {
		if err := o(s, &m); err != nil {
			return nil, err
		}
	}
	if len(s.fields) > smallStruct {
		s.byName = make(map[string]int, len(s.fields))
		for i, f := range s.fields {
			s.byName[f.Name] = i
		}
	}
	return s, nil
}

// NewSchema is Build for schemas that are written down in code: it panics where Build has an error.
func NewSchema(t Type, opts ...Option) *Schema { return must(Build(t, opts...)) }

// ArrayOf makes an ARRAY schema; it panics where Build has an error.
func ArrayOf(elements *Schema, opts ...Option) *Schema {
	return must(Build(Array, append([]Option{Elements(elements)}, opts...)...))
}

// MapSchema makes a MAP schema; it panics where Build has an error.
func MapSchema(key, value *Schema, opts ...Option) *Schema {
	return must(Build(MapType, append([]Option{Entries(key, value)}, opts...)...))
}

// StructOf makes a STRUCT schema, the fields' index by their place; it panics where Build has an error.
func StructOf(fields []Field, opts ...Option) *Schema {
	return must(Build(StructType, append([]Option{Fields(fields...)}, opts...)...))
}

func must(s *Schema, err error) *Schema {
	if err != nil {
		panic(err)
	}
	return s
}

func refused(format string, args ...any) error {
	return connecterr.New(connecterr.SchemaBuilder, format, args...)
}

// Optional lets null be a value.
func Optional() Option { return optional(true) }

// Required does not let null be a value. It is how schemas are anyway; to say so stands against a later Optional.
func Required() Option { return optional(false) }

func optional(v bool) Option {
	return func(s *Schema, m *made) error {
		if m.optional && s.optional != v {
			return again("optional")
		}
		s.optional, m.optional = v, true
		return nil
	}
}

func again(what string) error {
	return refused("Invalid SchemaBuilder call: %s has already been set.", what)
}

func once[T comparable](what string, at **T, v T) error {
	if *at != nil && **at != v {
		return again(what)
	}
	*at = &v
	return nil
}

// Name names the schema; the names of logical types tell what they are.
func Name(name string) Option {
	return func(s *Schema, _ *made) error {
		s.logical = logicalOf(name)
		return once("name", &s.name, name)
	}
}

// Version numbers the schema.
func Version(v int32) Option {
	return func(s *Schema, _ *made) error { return once("version", &s.version, v) }
}

// Doc documents the schema.
func Doc(doc string) Option {
	return func(s *Schema, _ *made) error { return once("doc", &s.doc, doc) }
}

// Param sets a parameter; a later value takes the place of an earlier one.
func Param(key, value string) Option {
	return func(s *Schema, _ *made) error {
		for i := range s.params {
			if s.params[i].key == key {
				s.params[i].value = value
				return nil
			}
		}
		s.params = append(s.params, parameter{key, value})
		return nil
	}
}

// DefaultValue is what takes the place of null. It must be a value of the schema as it is by then. A STRUCT schema can have
// none: Java accepts one that belongs to the unfinished schema, and can't write it afterwards.
func DefaultValue(v any) Option {
	return func(s *Schema, _ *made) error {
		if s.def != nil && !Equal(s.def, v) {
			return again("default")
		}
		err := s.Validate(v)
		if err == nil && v != nil && s.typ == StructType {
			err = bad("Struct schemas do not match.")
		}
		if err != nil {
			return connecterr.Wrap(connecterr.SchemaBuilder, err, "Invalid default value")
		}
		s.def = v
		return nil
	}
}

// Elements is the schema of an ARRAY's elements.
func Elements(of *Schema) Option {
	return func(s *Schema, _ *made) error {
		if of == nil {
			return refused("valueSchema cannot be null.")
		}
		s.value = of
		return nil
	}
}

// Keys is the schema of a MAP's keys, where its values have none.
func Keys(of *Schema) Option {
	return func(s *Schema, _ *made) error {
		if of == nil {
			return refused("keySchema cannot be null.")
		}
		s.key = of
		return nil
	}
}

// Entries are the schemas of a MAP's keys and values.
func Entries(key, value *Schema) Option {
	return func(s *Schema, m *made) error {
		if err := Keys(key)(s, m); err != nil {
			return err
		}
		return Elements(value)(s, m)
	}
}

// Fields adds fields to a STRUCT, in this order; their Index is set.
func Fields(fields ...Field) Option {
	return func(s *Schema, _ *made) error {
		if s.typ != StructType {
			return refused("Cannot create fields on type %s", s.typ)
		}
		seen := make(map[string]bool, len(s.fields)+len(fields))
		for _, f := range s.fields {
			seen[f.Name] = true
		}
		for _, f := range fields {
			switch {
			case f.Name == "":
				return refused("fieldName cannot be null.")
			case f.Schema == nil:
				return refused("fieldSchema for field %s cannot be null.", f.Name)
			case seen[f.Name]:
				return refused("Cannot create field because of field name duplication %s", f.Name)
			}
			seen[f.Name] = true
			f.Index = len(s.fields)
			s.fields = append(s.fields, f)
		}
		return nil
	}
}
