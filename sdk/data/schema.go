// Package data is the Connect data model: schemas, the values they describe, and how the two are checked, compared and
// printed. It follows org.apache.kafka.connect.data so that errors and text forms are the ones users know.
//
// A value is held as any, in these Go types: int8, int16, int32, int64, float32, float64, bool, string, []byte, []any
// (ARRAY), *Map (MAP and schemaless objects), *Struct, and the logical types Decimal and Time. nil is null.
//
// Start reading at Schema, then Struct, then Map.
package data

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

// Schema describes a value. It is immutable once built and may be shared freely; a nil *Schema means "schemaless".
type Schema struct {
	typ      Type
	optional bool
}

// Type is the schema's base type.
func (s *Schema) Type() Type { return s.typ }

// Optional tells whether null is a valid value.
func (s *Schema) Optional() bool { return s.optional }

// Schemas without attributes that connectors use all the time.
var (
	StringSchema         = &Schema{typ: String}
	OptionalStringSchema = &Schema{typ: String, optional: true}
	BytesSchema          = &Schema{typ: Bytes}
	OptionalBytesSchema  = &Schema{typ: Bytes, optional: true}
	Int64Schema          = &Schema{typ: Int64}
	Int32Schema          = &Schema{typ: Int32}
)

// SchemaAndValue is a value with the schema that describes it; a nil Schema means schemaless.
type SchemaAndValue struct {
	Schema *Schema
	Value  any
}
