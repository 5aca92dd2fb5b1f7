package converters

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
)

// numberConverter writes numbers of one type as their bytes, the highest first. It does not look at schemas.
type numberConverter[T any] struct {
	name         string // in messages
	deserializer string // in messages
	size         int
	schema       *data.Schema
	write        func([]byte, T) []byte
	read         func([]byte) T
}

var (
	shortConverter = numberConverter[int16]{"short", "ShortDeserializer", 2, data.OptionalInt16Schema,
		func(b []byte, n int16) []byte { return binary.BigEndian.AppendUint16(b, uint16(n)) }, // the same bits
		func(b []byte) int16 { return int16(binary.BigEndian.Uint16(b)) }}                     // the same bits
	integerConverter = numberConverter[int32]{"integer", "IntegerDeserializer", 4, data.OptionalInt32Schema,
		func(b []byte, n int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) }, // the same bits
		func(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) }}                     // the same bits
	longConverter = numberConverter[int64]{"long", "LongDeserializer", 8, data.OptionalInt64Schema,
		func(b []byte, n int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(n)) }, // the same bits
		func(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }}                     // the same bits
	floatConverter = numberConverter[float32]{"float", "Deserializer", 4, data.OptionalFloat32Schema,
		func(b []byte, f float32) []byte { return binary.BigEndian.AppendUint32(b, math.Float32bits(f)) },
		func(b []byte) float32 { return math.Float32frombits(binary.BigEndian.Uint32(b)) }}
	doubleConverter = numberConverter[float64]{"double", "Deserializer", 8, data.OptionalFloat64Schema, appendDouble,
		func(b []byte) float64 { return math.Float64frombits(binary.BigEndian.Uint64(b)) }}
)

// appendDouble writes every NaN as the same one, as Java does for doubles and not for floats.
func appendDouble(b []byte, f float64) []byte {
	if f != f {
		return binary.BigEndian.AppendUint64(b, 0x7ff8000000000000)
	}
	return binary.BigEndian.AppendUint64(b, math.Float64bits(f))
}

func (numberConverter[T]) Configure(map[string]string, converter.Use) error { return nil }

func (c numberConverter[T]) FromConnect(_ string, _ *data.Schema, value any) ([]byte, error) {
	if value == nil {
		return nil, nil
	}
	n, ok := value.(T)
	if !ok {
		cause := connecterr.New(connecterr.Data, "class %s is no %s", data.ClassOf(value), c.name).WithClass("java.lang.ClassCastException")
		return nil, connecterr.Wrap(connecterr.Data, cause, "Failed to serialize to %s (was class %s): ", c.name, data.ClassOf(value))
	}
	return c.write(make([]byte, 0, c.size), n), nil
}

func (c numberConverter[T]) ToConnect(_ string, b []byte) (data.SchemaAndValue, error) {
	if b == nil {
		return data.SchemaAndValue{Schema: c.schema}, nil
	}
	if len(b) != c.size {
		return data.SchemaAndValue{}, undecodable(c.name, "Size of data received by %s is not %d", c.deserializer, c.size)
	}
	return data.SchemaAndValue{Schema: c.schema, Value: c.read(b)}, nil
}
