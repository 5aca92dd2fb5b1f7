package converters

import (
	"bytes"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/values"
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

// bytesConverter passes bytes through.
type bytesConverter struct{}

func (bytesConverter) Configure(map[string]string, converter.Use) error { return nil }

func (bytesConverter) FromConnect(_ string, schema *data.Schema, value any) ([]byte, error) {
	if schema != nil && schema.Type() != data.Bytes {
		return nil, bad("Invalid schema type for ByteArrayConverter: %s", schema.Type())
	}
	switch v := value.(type) {
	case nil:
		return nil, nil
	case []byte:
		return v, nil
	}
	return nil, bad("ByteArrayConverter is not compatible with objects of type class %s", data.ClassOf(value))
}

func (c bytesConverter) ToConnect(topic string, b []byte) (data.SchemaAndValue, error) {
	return c.View(topic, bytes.Clone(b))
}

// View implements converter.Viewer.
func (bytesConverter) View(_ string, b []byte) (data.SchemaAndValue, error) {
	if b == nil {
		return data.SchemaAndValue{Schema: data.OptionalBytesSchema}, nil
	}
	return data.SchemaAndValue{Schema: data.OptionalBytesSchema, Value: b}, nil
}

// simpleHeader writes header values as text and finds out what they are when it reads them.
type simpleHeader struct{}

func (simpleHeader) Configure(map[string]string) error { return nil }

func (simpleHeader) FromConnectHeader(_, _ string, _ *data.Schema, value any) ([]byte, error) {
	if value == nil {
		return nil, nil
	}
	b, err := values.Append(nil, value)
	if err == nil && b == nil {
		b = []byte{} // "" is no null
	}
	return b, err
}

func (simpleHeader) ToConnectHeader(_, _ string, b []byte) (data.SchemaAndValue, error) {
	if b == nil {
		return data.SchemaAndValue{}, nil
	}
	return values.Parse(decodeUTF8(b)), nil
}

// booleanConverter writes a boolean as one byte.
type booleanConverter struct{}

func (booleanConverter) Configure(map[string]string, converter.Use) error { return nil }

func (booleanConverter) FromConnect(_ string, schema *data.Schema, value any) ([]byte, error) {
	if schema != nil && schema.Type() != data.Boolean {
		return nil, bad("Invalid schema type for BooleanConverter: %s", schema.Type())
	}
	switch value {
	case nil:
		return nil, nil
	case true:
		return []byte{1}, nil
	case false:
		return []byte{0}, nil
	}
	return nil, bad("BooleanConverter is not compatible with objects of type class %s", data.ClassOf(value))
}

func (booleanConverter) ToConnect(_ string, b []byte) (data.SchemaAndValue, error) {
	sv := data.SchemaAndValue{Schema: data.OptionalBooleanSchema}
	switch {
	case b == nil:
		return sv, nil
	case len(b) != 1:
		return data.SchemaAndValue{}, undecodable("boolean", "Size of data received by BooleanDeserializer is not 1")
	case b[0] > 1:
		return data.SchemaAndValue{}, undecodable("boolean", "Unexpected byte received by BooleanDeserializer: %d", int8(b[0])) // as Java prints it
	}
	sv.Value = b[0] == 1
	return sv, nil
}

func undecodable(what, format string, args ...any) error {
	return connecterr.Wrap(connecterr.Data, connecterr.New(connecterr.Serialization, format, args...), "Failed to deserialize %s: ", what)
}
