// Package data is the Connect data model: schemas, the values they describe, and how the two are checked, compared and
// printed. It follows org.apache.kafka.connect.data so that errors and text forms are the ones users know.
//
// A value is held as any, in these Go types: int8, int16, int32, int64, float32, float64, bool, string, []byte, []any
// (ARRAY), *Map (MAP and schemaless objects) and *Struct. nil is null. The logical types keep the Go type of their base
// (a Date is an int32, a Timestamp an int64, a Decimal its unscaled []byte); their schema's name tells what they are.
//
// Start reading at Schema, then Struct, then Map.
package data

import "maps"

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
	name     string
	version  *int32
	doc      string
	params   map[string]string
	def      any
	hasDef   bool
	fields   []Field
	byName   map[string]int
	key      *Schema // of a MAP
	value    *Schema // of a MAP, or the elements of an ARRAY
}

// Field is one field of a STRUCT.
type Field struct {
	Name   string
	Index  int
	Schema *Schema
}

// Option is an attribute of a schema under construction.
type Option func(*Schema)

// Optional lets null be a value.
func Optional() Option { return func(s *Schema) { s.optional = true } }

// Name names the schema; the names of logical types tell what they are.
func Name(name string) Option { return func(s *Schema) { s.name = name } }

// Version numbers the schema.
func Version(v int32) Option { return func(s *Schema) { s.version = &v } }

// Doc documents the schema.
func Doc(doc string) Option { return func(s *Schema) { s.doc = doc } }

// Param sets a parameter.
func Param(key, value string) Option {
	return func(s *Schema) {
		if s.params == nil {
			s.params = map[string]string{}
		}
		s.params[key] = value
	}
}

// DefaultValue is what takes the place of null.
func DefaultValue(v any) Option { return func(s *Schema) { s.def, s.hasDef = v, true } }

func build(s *Schema, opts []Option) *Schema {
	for _, o := range opts {
		o(s)
	}
	return s
}

// NewSchema makes a schema of a primitive type.
func NewSchema(t Type, opts ...Option) *Schema { return build(&Schema{typ: t}, opts) }

// ArrayOf makes an ARRAY schema.
func ArrayOf(elements *Schema, opts ...Option) *Schema {
	return build(&Schema{typ: Array, value: elements}, opts)
}

// MapSchema makes a MAP schema.
func MapSchema(key, value *Schema, opts ...Option) *Schema {
	return build(&Schema{typ: MapType, key: key, value: value}, opts)
}

// StructOf makes a STRUCT schema. Fields get their index by their place.
func StructOf(fields []Field, opts ...Option) *Schema {
	s := &Schema{typ: StructType, fields: make([]Field, len(fields)), byName: make(map[string]int, len(fields))}
	for i, f := range fields {
		f.Index = i
		s.fields[i] = f
		s.byName[f.Name] = i
	}
	return build(s, opts)
}

// Type is the schema's base type.
func (s *Schema) Type() Type { return s.typ }

// Optional tells whether null is a valid value.
func (s *Schema) Optional() bool { return s.optional }

// Name is the schema's name, or "".
func (s *Schema) Name() string {
	if s == nil {
		return ""
	}
	return s.name
}

// Version is the schema's version; false when it has none.
func (s *Schema) Version() (int32, bool) {
	if s.version == nil {
		return 0, false
	}
	return *s.version, true
}

// Doc is the schema's documentation.
func (s *Schema) Doc() string { return s.doc }

// Params are the schema's parameters; the caller's to keep.
func (s *Schema) Params() map[string]string { return maps.Clone(s.params) }

// Default is the default value; false when there is none.
func (s *Schema) Default() (any, bool) { return s.def, s.hasDef }

// Fields are the fields of a STRUCT, in order; not to be changed.
func (s *Schema) Fields() []Field { return s.fields }

// Field finds a field of a STRUCT.
func (s *Schema) Field(name string) (Field, bool) {
	i, ok := s.byName[name]
	if !ok {
		return Field{}, false
	}
	return s.fields[i], true
}

// KeySchema is the schema of a MAP's keys.
func (s *Schema) KeySchema() *Schema { return s.key }

// ValueSchema is the schema of a MAP's values or an ARRAY's elements.
func (s *Schema) ValueSchema() *Schema { return s.value }

// The names of the logical types.
const (
	DecimalName   = "org.apache.kafka.connect.data.Decimal"
	DateName      = "org.apache.kafka.connect.data.Date"
	TimeName      = "org.apache.kafka.connect.data.Time"
	TimestampName = "org.apache.kafka.connect.data.Timestamp"
	// ScaleParam is the parameter of a Decimal schema that tells its scale.
	ScaleParam = "scale"
)

// Schemas without attributes that connectors use all the time.
var (
	StringSchema         = NewSchema(String)
	OptionalStringSchema = NewSchema(String, Optional())
	BytesSchema          = NewSchema(Bytes)
	OptionalBytesSchema  = NewSchema(Bytes, Optional())
	Int64Schema          = NewSchema(Int64)
	Int32Schema          = NewSchema(Int32)
	BooleanSchema        = NewSchema(Boolean)
	Float64Schema        = NewSchema(Float64)
)

// SchemaAndValue is a value with the schema that describes it; a nil Schema means schemaless.
type SchemaAndValue struct {
	Schema *Schema
	Value  any
}
