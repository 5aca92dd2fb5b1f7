package data

import "github.com/millrace/millrace/sdk/connecterr"

// Struct is a value of a STRUCT schema. It is not safe for concurrent use while it is filled.
type Struct struct {
	schema *Schema
	values []any
}

// NewStruct makes an empty struct. It panics when the schema is no STRUCT, which is a mistake in code.
func NewStruct(s *Schema) *Struct {
	if s == nil || s.typ != StructType {
		panic(bad("Not a struct schema: %s", s))
	}
	st, room := roomFor(len(s.fields))
	st.schema, st.values = s, room[:len(s.fields):len(s.fields)]
	return st
}

// roomFor makes an empty struct and room for n values, in one piece unless they are many.
func roomFor(n int) (*Struct, []any) {
	switch {
	case n <= 4:
		x := new(struct {
			Struct
			room [4]any
		})
		return &x.Struct, x.room[:]
	case n <= 8:
		x := new(struct {
			Struct
			room [8]any
		})
		return &x.Struct, x.room[:]
	case n <= 16:
		x := new(struct {
			Struct
			room [16]any
		})
		return &x.Struct, x.room[:]
	}
	return new(Struct), make([]any, n)
}

// Schema is the struct's schema.
func (s *Struct) Schema() *Schema { return s.schema }

// Set sets a field, if the value is one of the field's schema; see Schema.Validate. A field that has a default can't be set
// to nil unless it is optional: leave it out.
func (s *Struct) Set(field string, v any) error {
	i, err := s.place(field)
	if err != nil {
		return err
	}
	return s.SetIndex(i, v)
}

// SetIndex is Set by the field's index.
func (s *Struct) SetIndex(i int, v any) error {
	if err := s.schema.fields[i].check(v); err != nil {
		return err
	}
	s.values[i] = v
	return nil
}

// SetAt sets the field of an index without a look at the value: for values that are known to be right.
func (s *Struct) SetAt(i int, v any) { s.values[i] = v }

func (s *Struct) place(field string) (int, error) {
	i, ok := s.schema.find(field)
	if !ok {
		return 0, bad("%s is not a valid field name", field)
	}
	return i, nil
}

// Get returns a field's value, or its default where it is not set.
func (s *Struct) Get(field string) (any, error) {
	i, err := s.place(field)
	if err != nil {
		return nil, err
	}
	return s.At(i), nil
}

// As returns a field's value, without a default in its place; the field must be of that type.
func (s *Struct) As(t Type, field string) (any, error) {
	i, err := s.place(field)
	if err != nil {
		return nil, err
	}
	if s.schema.fields[i].Schema.typ != t {
		return nil, bad("Field '%s' is not of type %s", field, t)
	}
	v := s.values[i]
	if v != nil && TypeOf(v) != t { // a logical type's value
		return nil, connecterr.New(connecterr.Data, "class %s is none of type %s", ClassOf(v), t).WithClass(classCast)
	}
	return v, nil
}

// At returns the value of the field of an index, or its default where it is not set.
func (s *Struct) At(i int) any {
	if v := s.values[i]; v != nil {
		return v
	}
	return s.schema.fields[i].Schema.def
}

// Raw returns the value of the field of an index without a default in its place.
func (s *Struct) Raw(i int) any { return s.values[i] }

// Validate checks all fields. One that is not set is fine where it is optional or has a default.
func (s *Struct) Validate() error {
	for i := range s.schema.fields {
		f := &s.schema.fields[i]
		if s.values[i] == nil && (f.Schema.optional || f.Schema.def != nil) {
			continue
		}
		if err := f.check(s.values[i]); err != nil {
			return err
		}
	}
	return nil
}
