package transforms

import (
	"github.com/millrace/millrace/sdk/data"
)

// basics are the steps that give a new schema the name, version, documentation and parameters of another, and its inner
// schemas. Whether it is optional, its default and its fields are not among them.
func basics(s *data.Schema) []data.Option {
	return append(content(s), details(s)...)
}

// details are the steps for name, version, documentation and parameters.
func details(s *data.Schema) (opts []data.Option) {
	if s.HasName() {
		opts = append(opts, data.Name(s.Name()))
	}
	return append(opts, unnamed(s)...)
}

func unnamed(s *data.Schema) (opts []data.Option) {
	if v, ok := s.Version(); ok {
		opts = append(opts, data.Version(v))
	}
	if doc, ok := s.Doc(); ok {
		opts = append(opts, data.Doc(doc))
	}
	for k, v := range s.Params() {
		opts = append(opts, data.Param(k, v))
	}
	return opts
}

// content are the steps for the inner schemas of arrays and maps.
func content(s *data.Schema) (opts []data.Option) {
	switch s.Type() {
	case data.Array:
		opts = append(opts, data.Elements(s.ValueSchema()))
	case data.MapType:
		opts = append(opts, data.Entries(s.KeySchema(), s.ValueSchema()))
	default:
	}
	return opts
}

// structOf makes a required struct schema with the basics of another.
func structOf(like *data.Schema, fields []data.Field, more ...data.Option) (*data.Schema, error) {
	opts := append(details(like), data.Fields(fields...))
	return data.Build(data.StructType, append(opts, more...)...)
}

// fieldsOf are the fields of a struct schema; other schemas have an error, Kafka Connect's.
func fieldsOf(s *data.Schema) ([]data.Field, error) {
	if s.Type() != data.StructType {
		return nil, dataError("Cannot list fields on non-struct type")
	}
	return s.Fields(), nil
}

// lookUp finds a field of a struct schema.
func lookUp(s *data.Schema, name string) (data.Field, bool, error) {
	if s.Type() != data.StructType {
		return data.Field{}, false, dataError("Cannot look up fields on non-struct type")
	}
	f, ok := s.Field(name)
	return f, ok, nil
}
