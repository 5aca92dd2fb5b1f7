// Package jsonschema maps schemas of the data model to JSON Schema and back, as Confluent's JsonSchemaConverter does: names are
// titles, what JSON Schema does not have is in properties connect.*, what may be null is one of null and its type.
//
// Start reading at Parse (JSON Schema to the data model) and Own (the other way).
package jsonschema

import (
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// Rules are the converter's keys that decide what becomes of a schema.
type Rules struct {
	Sums     bool // generalized.sum.type.support
	Closed   bool // object.additional.properties=false
	Required bool // use.optional.for.nonrequired: what is not required may be null
	// Write and Read write defaults as JSON, and read them.
	Write func(s *data.Schema, v any) ([]byte, error)
	Read  func(s *data.Schema, text []byte) (any, error)
}

const (
	namespace = "io.confluent.connect.json"
	enumParam = namespace + ".Enum"
	oneOfName = namespace + ".OneOf"
	nullEnum  = "<NULL>" // a null among the values of an enum

	sumEnum  = "org.apache.kafka.connect.data.Enum"
	sumUnion = "org.apache.kafka.connect.data.Union"
	sumName  = "connect_union_"
	sumField = sumName + "field_"

	connectType    = "connect.type"
	connectVersion = "connect.version"
	connectParams  = "connect.parameters"
	connectIndex   = "connect.index"

	entryKey   = "key"
	entryValue = "value"
)

func bad(format string, args ...any) *connecterr.Error {
	return connecterr.New(connecterr.Data, format, args...)
}

// IsUnion tells whether a struct is a union: one of its fields is the value.
func IsUnion(s *data.Schema) bool {
	if s == nil || s.Type() != data.StructType {
		return false
	}
	_, sum := s.Param(sumUnion)
	return sum || s.Name() == oneOfName
}

// TextKeys tells whether a map is a JSON object, and not an array of its entries.
func TextKeys(s *data.Schema) bool {
	k := s.KeySchema()
	return k != nil && k.Type() == data.String && !k.Optional()
}

// typeNames are the values of connect.type.
var typeNames = map[data.Type]string{data.Int8: "int8", data.Int16: "int16", data.Int32: "int32", data.Int64: "int64", data.Float32: "float32", data.Float64: "float64", data.Bytes: "bytes"}

func typeNamed(name string) (data.Type, bool) {
	for t, n := range typeNames {
		if n == name {
			return t, true
		}
	}
	return 0, false
}
