package transformtest

import (
	"strconv"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/header"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
)

var (
	inner = data.StructOf([]data.Field{{Name: "q", Schema: data.OptionalInt64Schema}, {Name: "a.b", Schema: data.StringSchema}}, data.Name("inner"), data.Optional())
	outer = data.StructOf([]data.Field{
		{Name: "a", Schema: data.NewSchema(data.Int32, data.Optional(), data.DefaultValue(int32(7)))},
		{Name: "b", Schema: data.StringSchema},
		{Name: "ts", Schema: data.TimestampSchema(data.Optional())},
		{Name: "d", Schema: data.DecimalSchema(2)},
		{Name: "n", Schema: inner},
		{Name: "list", Schema: data.ArrayOf(data.StringSchema)},
	}, data.Name("outer"), data.Version(3), data.Doc("doc"), data.Param("p", "v"))
	withMap = data.StructOf([]data.Field{{Name: "m", Schema: data.MapSchema(data.StringSchema, data.Int32Schema)}, {Name: "a", Schema: data.BytesSchema}})
)

func structs() (filled, sparse *data.Struct) {
	in := data.NewStruct(inner)
	in.SetAt(0, int64(5))
	in.SetAt(1, "x")
	filled, sparse = data.NewStruct(outer), data.NewStruct(outer)
	for i, v := range []any{int32(1), "12", data.Instant(1577836801234), data.NewDecimal(150, 2), in, []any{"e"}} {
		filled.SetAt(i, v)
	}
	sparse.SetAt(1, "")
	sparse.SetAt(3, data.NewDecimal(0, 2))
	sparse.SetAt(5, []any{})
	return filled, sparse
}

// of makes a sink record of values.
func of(key, value data.SchemaAndValue) *transform.Record {
	r := &transform.Record{}
	headers := make(header.Headers, 0, 8) // with room, as a list that others append to
	headers = headers.Add("h1", data.StringSchema, "x").Add("h2", nil, int64(2)).Add("h1", nil, nil)
	r.Sink = record.Sink{Topic: "topic", KafkaPartition: 3, KeySchema: key.Schema, Key: key.Value, ValueSchema: value.Schema, Value: value.Value, Headers: headers,
		Timestamp: 1577836801234, TimestampType: record.CreateTime, KafkaOffset: 9, OriginalTopic: "topic", OriginalPartition: 3, OriginalOffset: 9}
	return r
}

// records are made anew each time: samples of what a transformation can meet, by what they are.
func records() map[string]func() *transform.Record {
	sv := func(s *data.Schema, v any) data.SchemaAndValue { return data.SchemaAndValue{Schema: s, Value: v} }
	all := map[string]func() *transform.Record{}
	add := func(name string, s *data.Schema, make func() any) {
		all[name] = func() *transform.Record { return of(sv(s, make()), sv(s, make())) }
		all[name+", from a source"] = func() *transform.Record {
			r := of(sv(s, make()), sv(s, make()))
			r.Sink = record.Sink{Topic: "topic", KafkaPartition: record.AnyPartition, KeySchema: s, Key: r.Key, ValueSchema: s, Value: r.Value, Timestamp: record.NoTimestamp}
			r.Source = &record.Source{Partition: data.MapOf("f", "x"), Offset: data.MapOf("n", int64(1))}
			return r
		}
	}
	add("nothing", nil, func() any { return nil })
	add("null of a schema", outer, func() any { return nil })
	add("a struct", outer, func() any { s, _ := structs(); return s })
	add("a struct with nulls", outer, func() any { _, s := structs(); return s })
	add("a struct with a map", withMap, func() any {
		s := data.NewStruct(withMap)
		s.SetAt(0, data.MapOf("k", int32(1)))
		s.SetAt(1, []byte{1})
		return s
	})
	add("a struct of another schema than that beside it", withMap, func() any { s, _ := structs(); return s })
	add("a struct with fewer fields than the schema beside it", outer, func() any { return data.NewStruct(withMap) })
	add("a struct without a schema beside it", nil, func() any { s, _ := structs(); return s })
	add("a map", nil, func() any {
		return data.MapOf("a", int64(1), "b", "12", "ts", int64(1577836801234), "n", data.MapOf("q", 1.5, "a.b", nil), "list", []any{data.MapOf("x", true)}, "f", []byte{1})
	})
	add("a map with odd keys", nil, func() any { return data.MapOf(nil, int64(1), int64(2), "x", "", data.MapOf("", nil)) })
	add("an empty map", nil, func() any { return data.NewMap(0) })
	add("a text", data.StringSchema, func() any { return "2020-01-01" })
	add("a text without a schema", nil, func() any { return "true" })
	add("a number", data.NewSchema(data.Int64, data.Name("n"), data.DefaultValue(int64(4))), func() any { return int64(1577836801234) })
	add("a number without a schema", nil, func() any { return int8(-1) })
	add("a timestamp", data.TimestampSchema(), func() any { return data.Instant(-1) })
	add("a list", data.ArrayOf(data.Int32Schema), func() any { return []any{int32(1)} })
	add("bytes", data.BytesSchema, func() any { return []byte{0, 255} })
	add("a decimal without a schema", nil, func() any { return data.NewDecimal(15, 1) })
	add("what no schema describes", nil, func() any { return struct{}{} })
	return all
}

// numbered is a record of a schema of its own.
func numbered(i int) *transform.Record {
	s := data.StructOf([]data.Field{{Name: "a", Schema: data.OptionalInt32Schema}, {Name: "b", Schema: data.StringSchema}, {Name: "f" + strconv.Itoa(i), Schema: data.OptionalStringSchema}})
	st := data.NewStruct(s)
	st.SetAt(1, "1")
	sv := data.SchemaAndValue{Schema: s, Value: st}
	return of(sv, sv)
}
