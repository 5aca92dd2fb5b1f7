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
		panic("data.NewStruct: not a STRUCT schema")
	}
	return &Struct{schema: s, values: make([]any, len(s.fields))}
}

// Schema is the struct's schema.
func (s *Struct) Schema() *Schema { return s.schema }

// Set sets a field. A field that the schema does not have is an error of kind connecterr.Data.
func (s *Struct) Set(field string, v any) error {
	i, ok := s.schema.byName[field]
	if !ok {
		return connecterr.New(connecterr.Data, "%s is not a valid field name", field)
	}
	s.values[i] = v
	return nil
}

// SetAt sets the field of an index.
func (s *Struct) SetAt(i int, v any) { s.values[i] = v }

// Get returns a field's value, or its default where it is not set; false when there is no such field.
func (s *Struct) Get(field string) (any, bool) {
	i, ok := s.schema.byName[field]
	if !ok {
		return nil, false
	}
	return s.At(i), true
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
