package schemasource

import (
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/header"
	"github.com/millrace/millrace/sdk/record"
)

// The names and numbers that stand in every record.
const (
	idField    = "id"
	seqnoField = "seqno"
	key        = "key"
	twelve     = 12
)

// The schemas of values, by version.
var (
	firstSchema  = valueSchema(1)
	secondSchema = valueSchema(2, data.Field{Name: "string", Schema: data.NewSchema(data.String, data.DefaultValue("abc"))})
)

func valueSchema(version int32, more ...data.Field) *data.Schema {
	fields := []data.Field{
		{Name: "boolean", Schema: data.BooleanSchema}, {Name: "int", Schema: data.Int32Schema}, {Name: "long", Schema: data.Int64Schema},
		{Name: "float", Schema: data.Float32Schema}, {Name: "double", Schema: data.Float64Schema}, {Name: "partitioning", Schema: data.Int32Schema},
	}
	fields = append(fields, more...)
	fields = append(fields, data.Field{Name: idField, Schema: data.Int32Schema}, data.Field{Name: seqnoField, Schema: data.Int64Schema})
	return data.StructOf(fields, data.Name("record"), data.Version(version))
}

var (
	complexKeySchema = data.StructOf([]data.Field{
		{Name: "boolean", Schema: data.BooleanSchema}, {Name: "long", Schema: data.Int64Schema}, {Name: "float", Schema: data.Float32Schema},
		{Name: "string", Schema: data.NewSchema(data.String, data.DefaultValue("key"))},
	}, data.Name("complexkeyschema"))

	complexKeyValue = structOf(complexKeySchema, false, int64(8), float32(8.8), "complex-key-struct")

	complexHeaders = header.Headers{
		{Key: "first-header-key", Schema: data.StringSchema, Value: "first-header-value"},
		{Key: "second-header-key", Schema: data.Int64Schema, Value: int64(8)},
		{Key: "third-header-key", Schema: data.Float32Schema, Value: float32(6.5)},
	}
)

func structOf(s *data.Schema, values ...any) *data.Struct {
	st := data.NewStruct(s)
	for i, v := range values {
		st.SetAt(i, v)
	}
	return st
}

// make makes the record of a sequence number, the count-th of this run.
func (s settings) make(partition record.SourcePartition, seqno, count int64) record.Source {
	r := record.Source{Partition: partition, Offset: data.MapOf(seqnoField, seqno), Topic: s.topic, KafkaPartition: s.id, Timestamp: record.NoTimestamp,
		KeySchema: data.StringSchema, Key: key, ValueSchema: firstSchema}
	values := []any{true, int32(twelve), int64(twelve), float32(12.2), 12.2, int32(seqno % int64(s.partitions))}
	if s.multiple && count%2 == 1 {
		r.ValueSchema = secondSchema
		values = append(values, "def")
	}
	r.Value = structOf(r.ValueSchema, append(values, s.id, seqno)...)
	if s.complexKeys {
		r.KeySchema, r.Key = complexKeySchema, complexKeyValue
		r.Headers = append(header.Headers(nil), complexHeaders...) // transformations may change them
	}
	return r
}
