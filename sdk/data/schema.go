// Package data is the Connect data model: schemas, the values they describe, and how the two are checked, compared,
// projected and printed. It follows org.apache.kafka.connect.data so that errors and text forms are the ones users know.
//
// A value is held as any, in these Go types: int8, int16, int32, int64, float32, float64, bool, string, []byte, []any
// (ARRAY), *Map (MAP and schemaless objects), *Struct, and for the logical types Decimal and Instant (Date, Time and
// Timestamp alike). nil is null. Nothing widens: an int64 is no value of an INT32 schema.
//
// Start reading at Schema and Build, then Struct, then Map; Project reads with another version of a schema.
package data

import (
	"iter"

	"github.com/millrace/millrace/sdk/connecterr"
)

// Type is one of the twelve schema types.
type Type uint8

// The schema types, in Kafka Connect's order.
const (
	Int8 Type = iota + 1
	Int16
	Int32
	Int64
	Float32
	Float64
	Boolean
	String
	Bytes
	Array
	MapType
	StructType
)

var typeNames = [...]string{
	Int8: "INT8", Int16: "INT16", Int32: "INT32", Int64: "INT64", Float32: "FLOAT32", Float64: "FLOAT64", Boolean: "BOOLEAN",
	String: "STRING", Bytes: "BYTES", Array: "ARRAY", MapType: "MAP", StructType: "STRUCT",
}

// String is the name that Kafka Connect prints, for example INT64.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return "UNKNOWN"
}

// Schema describes a value. It is immutable once built and may be shared freely; a nil *Schema means "schemaless".
type Schema struct {
	typ      Type
	optional bool
	logical  logical // by the name
	name     *string
	version  *int32
	doc      *string
	params   []parameter
	def      any
	fields   []Field
	byName   map[string]int
	key      *Schema // of a MAP
	value    *Schema // of a MAP, or the elements of an ARRAY
}

// parameter is one parameter of a schema; they are few, so a list in their order serves.
type parameter struct{ key, value string }

// Field is one field of a STRUCT.
type Field struct {
	Name   string
	Index  int
	Schema *Schema
}

// String prints the field as Java does.
func (f Field) String() string {
	return string(append(appendInt(append(append([]byte("Field{name="), f.Name...), ", index="...), f.Index), ", schema="+f.Schema.String()+"}"...))
}

// Type is the schema's base type.
func (s *Schema) Type() Type { return s.typ }

// Optional tells whether null is a valid value.
func (s *Schema) Optional() bool { return s.optional }

// Name is the schema's name, or "". The names of logical types tell what they are.
func (s *Schema) Name() string {
	if s == nil || s.name == nil {
		return ""
	}
	return *s.name
}

// HasName tells whether the schema has a name, be it "".
func (s *Schema) HasName() bool { return s.name != nil }

// Version is the schema's version; false when it has none.
func (s *Schema) Version() (int32, bool) {
	if s.version == nil {
		return 0, false
	}
	return *s.version, true
}

// Doc is the schema's documentation; false when it has none.
func (s *Schema) Doc() (string, bool) {
	if s.doc == nil {
		return "", false
	}
	return *s.doc, true
}

// Param is the value of a parameter; false when there is none of that name.
func (s *Schema) Param(key string) (string, bool) {
	for _, p := range s.params {
		if p.key == key {
			return p.value, true
		}
	}
	return "", false
}

// Params ranges over the schema's parameters in the order in which they were set.
func (s *Schema) Params() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, p := range s.params {
			if !yield(p.key, p.value) {
				return
			}
		}
	}
}

// HasParams tells whether there are parameters.
func (s *Schema) HasParams() bool { return len(s.params) > 0 }

// Default is the default value, nil when there is none.
func (s *Schema) Default() any { return s.def }

// Fields are the fields of a STRUCT, in order; not to be changed. Other types have none.
func (s *Schema) Fields() []Field { return s.fields }

// Field finds a field of a STRUCT.
func (s *Schema) Field(name string) (Field, bool) {
	i, ok := s.find(name)
	if !ok {
		return Field{}, false
	}
	return s.fields[i], true
}

// smallStruct is the number of fields up to which a scan beats a hash.
const smallStruct = 8

func (s *Schema) find(name string) (int, bool) {
	if s.byName != nil {
		i, ok := s.byName[name]
		return i, ok
	}
	for i := range s.fields {
		if s.fields[i].Name == name {
			return i, true
		}
	}
	return 0, false
}

// KeySchema is the schema of a MAP's keys; nil for other types.
func (s *Schema) KeySchema() *Schema { return s.key }

// ValueSchema is the schema of a MAP's values or an ARRAY's elements; nil for other types.
func (s *Schema) ValueSchema() *Schema { return s.value }

// String prints the schema as Java does: its name, where it has one, and its type.
func (s *Schema) String() string {
	switch {
	case s == nil:
		return "null"
	case s.name != nil:
		return "Schema{" + *s.name + ":" + s.typ.String() + "}"
	}
	return "Schema{" + s.typ.String() + "}"
}

// Equal tells whether two schemas are the same in every respect: documentation and default count, the order of parameters
// does not.
func (s *Schema) Equal(o *Schema) bool {
	if s == o {
		return true
	}
	if s == nil || o == nil || s.typ != o.typ || s.optional != o.optional || !same(s.name, o.name) || !same(s.version, o.version) || !same(s.doc, o.doc) ||
		len(s.params) != len(o.params) || len(s.fields) != len(o.fields) {
		return false
	}
	for i, f := range s.fields {
		if f.Name != o.fields[i].Name || !f.Schema.Equal(o.fields[i].Schema) {
			return false
		}
	}
	return s.key.Equal(o.key) && s.value.Equal(o.value) && s.sameParams(o) && Equal(s.def, o.def)
}

func (s *Schema) sameParams(o *Schema) bool {
	if len(s.params) != len(o.params) {
		return false
	}
	for _, p := range s.params {
		if v, ok := o.Param(p.key); !ok || v != p.value {
			return false
		}
	}
	return true
}

func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// SchemaAndValue is a value with the schema that describes it; a nil Schema means schemaless.
type SchemaAndValue struct {
	Schema *Schema
	Value  any
}

// String prints both as Java does.
func (sv SchemaAndValue) String() string {
	return "SchemaAndValue{schema=" + sv.Schema.String() + ", value=" + Text(sv.Value) + "}"
}

// Schemas without attributes that connectors use all the time.
var (
	Int8Schema            = NewSchema(Int8)
	Int16Schema           = NewSchema(Int16)
	Int32Schema           = NewSchema(Int32)
	Int64Schema           = NewSchema(Int64)
	Float32Schema         = NewSchema(Float32)
	Float64Schema         = NewSchema(Float64)
	BooleanSchema         = NewSchema(Boolean)
	StringSchema          = NewSchema(String)
	BytesSchema           = NewSchema(Bytes)
	OptionalInt8Schema    = NewSchema(Int8, Optional())
	OptionalInt16Schema   = NewSchema(Int16, Optional())
	OptionalInt32Schema   = NewSchema(Int32, Optional())
	OptionalInt64Schema   = NewSchema(Int64, Optional())
	OptionalFloat32Schema = NewSchema(Float32, Optional())
	OptionalFloat64Schema = NewSchema(Float64, Optional())
	OptionalBooleanSchema = NewSchema(Boolean, Optional())
	OptionalStringSchema  = NewSchema(String, Optional())
	OptionalBytesSchema   = NewSchema(Bytes, Optional())
)

func bad(format string, args ...any) error { return connecterr.New(connecterr.Data, format, args...) }
