package converters

import (
	"strings"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
)

// asHeader makes a header converter of a converter: a header is a value without a topic's schema.
type asHeader struct{ c converter.Converter }

func (h asHeader) Configure(config map[string]string) error {
	return h.c.Configure(config, converter.ForHeader)
}

func (h asHeader) FromConnectHeader(topic, _ string, schema *data.Schema, value any) ([]byte, error) {
	return h.c.FromConnect(topic, schema, value)
}

func (h asHeader) ToConnectHeader(topic, _ string, b []byte) (data.SchemaAndValue, error) {
	return h.c.ToConnect(topic, b)
}

var stringDef = &config.Def{Keys: []config.Key{typeKey,
	{Name: "converter.encoding", Type: config.String, Default: config.Default("UTF-8"), Importance: config.High, Width: config.WidthMedium, DisplayName: "Encoding",
		Doc: "Character encoding; only UTF-8 is supported."}}}

// stringConverter writes any value's text and reads text.
type stringConverter struct{}

func (*stringConverter) Configure(props map[string]string, _ converter.Use) error {
	if e := props["converter.encoding"]; e != "" && !strings.EqualFold(e, "UTF-8") && !strings.EqualFold(e, "UTF8") {
		return connecterr.New(connecterr.Config, "Invalid value %s for configuration converter.encoding: only UTF-8 is supported", e)
	}
	return nil
}

func (*stringConverter) FromConnect(_ string, _ *data.Schema, value any) ([]byte, error) {
	if value == nil {
		return nil, nil
	}
	if s, ok := value.(string); ok {
		return []byte(s), nil
	}
	return data.AppendText(nil, value), nil
}

func (*stringConverter) ToConnect(_ string, b []byte) (data.SchemaAndValue, error) {
	if b == nil {
		return data.SchemaAndValue{Schema: data.OptionalStringSchema}, nil
	}
	return data.SchemaAndValue{Schema: data.OptionalStringSchema, Value: string(b)}, nil
}

// bytesConverter passes bytes through.
type bytesConverter struct{}

func (*bytesConverter) Configure(map[string]string, converter.Use) error { return nil }

func (*bytesConverter) FromConnect(_ string, schema *data.Schema, value any) ([]byte, error) {
	if schema != nil && schema.Type() != data.Bytes {
		return nil, connecterr.New(connecterr.Data, "Invalid schema type for ByteArrayConverter: %s", schema.Type())
	}
	switch v := value.(type) {
	case nil:
		return nil, nil
	case []byte:
		return v, nil
	}
	return nil, connecterr.New(connecterr.Data, "ByteArrayConverter is not compatible with objects of type %s", javaType(value))
}

// typeOf is the schema type that a value is of; 0 for a value that no schema describes.
func typeOf(v any) data.Type {
	switch v.(type) {
	case int8:
		return data.Int8
	case int16:
		return data.Int16
	case int32:
		return data.Int32
	case int64:
		return data.Int64
	case float32:
		return data.Float32
	case float64:
		return data.Float64
	case bool:
		return data.Boolean
	case string:
		return data.String
	case []byte:
		return data.Bytes
	case []any:
		return data.Array
	case *data.Map:
		return data.MapType
	case *data.Struct:
		return data.StructType
	}
	return 0
}

// javaClasses are what Java would name for a value of each type.
var javaClasses = map[data.Type]string{
	data.Int8: "java.lang.Byte", data.Int16: "java.lang.Short", data.Int32: "java.lang.Integer", data.Int64: "java.lang.Long",
	data.Float32: "java.lang.Float", data.Float64: "java.lang.Double", data.Boolean: "java.lang.Boolean", data.String: "java.lang.String",
	data.Bytes: "[B", data.Array: "java.util.ArrayList", data.MapType: "java.util.HashMap", data.StructType: "org.apache.kafka.connect.data.Struct",
	0: "java.lang.Object",
}

// javaType is the class that Java would name for a value.
func javaType(v any) string { return "class " + javaClasses[typeOf(v)] }

func (*bytesConverter) ToConnect(_ string, b []byte) (data.SchemaAndValue, error) {
	if b == nil {
		return data.SchemaAndValue{Schema: data.OptionalBytesSchema}, nil
	}
	return data.SchemaAndValue{Schema: data.OptionalBytesSchema, Value: append([]byte{}, b...)}, nil
}

// simpleHeader writes header values as text and guesses their type when it reads them.
type simpleHeader struct{}

func (simpleHeader) Configure(map[string]string) error { return nil }

func (simpleHeader) FromConnectHeader(_, _ string, _ *data.Schema, value any) ([]byte, error) {
	if value == nil {
		return nil, nil
	}
	return data.AppendText(nil, value), nil
}

func (simpleHeader) ToConnectHeader(_, _ string, b []byte) (data.SchemaAndValue, error) {
	if b == nil {
		return data.SchemaAndValue{}, nil
	}
	return guess(string(b)), nil
}
