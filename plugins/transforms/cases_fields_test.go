package transforms_test

import (
	"testing"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/transform"
)

const casting = "Cast transformation does not support casting "

func TestCases_T1_to_T23_Cast(t *testing.T) {
	sixteen := data.StructOf(fields("i", data.Int32Schema, "o", schema(data.Int32, data.Optional(), data.DefaultValue(int32(7))), "s", schema(data.String, data.Name("ns")),
		"t", data.TimestampSchema(data.Optional())), data.Name("S"), data.Version(1))
	whole := func(id, to string, s *data.Schema, v any, want string) example {
		return example{id: id, class: "Cast$Value", props: kv("spec=" + to), schema: s, value: v, want: want}
	}
	ts := data.TimestampSchema()
	run(t, []example{
		whole("T1", "int8", nil, int32(300), "i8 44/null"),
		whole("T2", "int8", nil, int64(4294967338), "i8 42/null"), whole("T2", "int32", nil, int64(4294967338), "42/null"),
		whole("T3", "int32", nil, float32(42.9), "42/null"), whole("T3", "float64", nil, float32(42.9), "42.900001525878906/null"),
		whole("T4", "int8", nil, 1e20, "i8 -1/null"), whole("T4", "int16", nil, 1e20, "i16 -1/null"), whole("T4", "int32", nil, 1e20, "2147483647/null"),
		whole("T4", "int64", nil, 1e20, "i64 9223372036854775807/null"),
		whole("T5", "string", nil, 1e20, `"1.0E20"/null`),
		whole("T6", "int32", nil, "42", "42/null"), whole("T6", "int32", nil, "42.5", "DE Value (42.5) was out of range for requested data type"),
		whole("T7", "boolean", nil, "true", "true/null"), whole("T7", "boolean", nil, "yes", "false/null"), whole("T7", "boolean", nil, "42", "false/null"),
		whole("T8", "float32", nil, true, "f32 1.0/null"),
		whole("T9", "int8", data.Int32Schema, int32(42), "i8 42/int8"),
		whole("T10", "float32", schema(data.Int32, data.Optional(), data.Name("N"), data.Version(2), data.DefaultValue(int32(3))), int32(42), "f32 42.0/float32?<N>v2=f32 3.0"),
		whole("T11", "int8", data.OptionalInt32Schema, nil, "same"),
		whole("T12", "string", data.BytesSchema, []byte{1, 2, 3}, `"AQID"/string`), whole("T12", "int32", data.BytesSchema, []byte{1}, "DE Unexpected type in Cast transformation: class [B"),
		whole("T13", "string", data.DecimalSchema(2), data.NewDecimal(150, 2), `"1.50"/string<Decimal>v1(2)`),
		whole("T14", "int64", ts, data.Instant(1483425001864), "i64 1483425001864/int64<Timestamp>v1"),
		whole("T15", "string", ts, data.Instant(1483425001864), `"2017-01-03T06:30:01.864Z"/string<Timestamp>v1`),
		whole("T15", "string", data.DateSchema(), data.Instant(864000000), `"1970-01-11"/string<Date>v1`),
		whole("T15", "string", data.TimeSchema(), data.Instant(1000), `"00:00:01.000Z"/string<Time>v1`),
		whole("T16", "int32", data.DateSchema(), data.Instant(864000000), "10/int32<Date>v1"),
		whole("T17", "string", data.ArrayOf(data.Int32Schema), []any{}, "DE "+casting+"from ARRAY; supported types are [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]"),
		whole("T18", "string", nil, data.Instant(0), "DE Cast transformation was passed a value of type class java.util.Date which is not supported by Connect's data API"),
		whole("T19", "a:int32,b:string,missing:boolean", nil, data.MapOf("a", "12", "b", int32(5), "c", int64(1)), `{a:12,b:"5",c:i64 1,missing:null}/null`),
		whole("T20", "i:int64,o:string,s:int8,t:int64", sixteen, filled(sixteen, int32(5), nil, "12", nil),
			`Struct{i=i64 5,o="7",s=i8 12,t=null}/struct<S>v1{i:int64 o:string?="7" s:int8 t:int64?}`),
		{id: "T21", class: "Cast$Value", props: kv("spec=i:int64,o:string", "replace.null.with.default=false"), schema: sixteen, value: filled(sixteen, int32(5), nil, "12", nil),
			want: `Struct{i=i64 5,o=null,s="12",t=null}/struct<S>v1{i:int64 o:string?="7" s:string<ns> t:int64?<Timestamp>v1}`},
		whole("T22", "a:int8", nil, "str", "DE Only Map objects supported in absence of schema for [cast types], found: java.lang.String"),
		whole("T23", "string", data.TimestampSchema(data.DefaultValue(data.Instant(1))), data.Instant(0), "SBE Invalid default value"),

		whole("spec", "", nil, nil, "CE Must specify at least one field to cast."),
		whole("spec", "int8,int16", nil, nil, "CE Cast transformations that specify a type to cast the entire value to may only specify a single cast in their spec"),
		whole("spec", "int8, b:int8", nil, nil, "CE Cast transformations that specify a type to cast the entire value to may only specify a single cast in their spec"),
		whole("spec", "foo:faketype", nil, nil, "CE Invalid value java.lang.IllegalArgumentException: No enum constant org.apache.kafka.connect.data.Schema.Type.FAKETYPE for configuration Invalid type found in casting spec: faketype"),
		whole("spec", "a:int8,", nil, nil, "CE Invalid value java.lang.IllegalArgumentException: No enum constant org.apache.kafka.connect.data.Schema.Type. for configuration Invalid type found in casting spec: "),
		whole("spec", "a:int8:b", nil, nil, "CE Invalid value [a:int8:b] for configuration renames: Invalid rename mapping: a:int8:b"),
		whole("spec", "a:bytes", nil, nil, "CE "+casting+"to BYTES; supported types are [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING]"),
		whole("spec", " a : int8 , a:STRING", nil, data.MapOf("a", int32(1)), `{a:"1"}/null`),
		whole("spec", ":int8", nil, data.MapOf("", int32(1)), "{:i8 1}/null"),
	})
}

func TestCases_E1_to_E16_ExtractField(t *testing.T) {
	nested := data.StructOf(fields("magic", data.StructOf(fields("foo", schema(data.Int32, data.Optional(), data.DefaultValue(int32(3))))),
		"arr", data.ArrayOf(data.Int32Schema), "mp", data.MapSchema(data.StringSchema, data.Int32Schema)))
	deep := filled(nested, filled(nested.Fields()[0].Schema, nil), []any{}, data.NewMap(0))
	dotted := data.StructOf(fields("a.b", data.StringSchema))
	at := func(id, path, version string, s *data.Schema, v any, want string) example {
		return example{id: id, class: "ExtractField$Value", props: kv("field="+path, "field.syntax.version="+version), schema: s, value: v, want: want}
	}
	magic := data.MapOf("magic", data.MapOf("foo", int32(42)))
	run(t, []example{
		{id: "E1", class: "ExtractField$Key", props: kv("field=magic"), value: data.MapOf("magic", int32(42)), want: "42/null"},
		at("E2", "magic", "V1", nil, nil, "same"),
		at("E3", "x", "V1", nil, data.MapOf("magic", int32(42)), "null/null"),
		at("E4", "magic.foo", "V2", nil, magic, "42/null"), at("E5", "magic.x.y", "v2", nil, magic, "null/null"),
		at("E6", "magic.foo.y", "V2", nil, magic, "DE Only Map objects supported in absence of schema for [nested field access], found: java.lang.Integer"),
		at("E7", "a.b", "V1", dotted, filled(dotted, "dot"), `"dot"/string`),
		at("E8", "magic.foo", "V2", nested, deep, "3/int32?=3"),
		{id: "E9", class: "ExtractField$Value", props: kv("field=magic.foo", "field.syntax.version=V2", "replace.null.with.default=false"), schema: nested, value: deep, want: "null/int32?=3"},
		at("E10", "`a.b`", "V2", dotted, filled(dotted, "dot"), `"dot"/string`),
		at("E11", "nope", "V1", nested, deep, "IAE Unknown field: nope"), at("E11", "magic.nope", "V2", nested, deep, "IAE Unknown field: magic.nope"),
		at("E12", "a.b", "V2", dotted, filled(dotted, "dot"), "IAE Unknown field: a.b"),
		at("E13", "a.b", "V1", data.StructOf(fields("a.b", data.StringSchema), data.Optional()), nil, "null/string"),
		at("E14", "", "V1", nil, data.MapOf("a", int32(1)), "null/null"), at("E14", "", "V1", nil, data.MapOf("", int32(1)), "1/null"),
		at("E14", "", "V1", nested, deep, "IAE Unknown field: "), at("E14", "", "V2", nil, nil, "CE Invalid value  for configuration field: the path is empty"),
		at("E15", "x", "V1", nil, "str", "DE Only Map objects supported in absence of schema for [field extraction], found: java.lang.String"),
		at("E15", "x", "V1", data.StringSchema, "str", "DE Only Struct objects supported for [field extraction], found: java.lang.String"),
		at("E16", "magic.foo.y", "V2", nested, deep, "DE Cannot look up fields on non-struct type"), at("E16", "arr.x", "V2", nested, nil, "DE Cannot look up fields on non-struct type"),
		at("E16", "mp.k", "V2", nested, deep, "DE Cannot look up fields on non-struct type"),
		at("0.5", "x", "V3", nil, nil, "CE Invalid value V3 for configuration field.syntax.version: String must be one of (case insensitive): V1, V2"),
	})
}

func TestCases_F1_to_F10_Flatten(t *testing.T) {
	in := data.StructOf(fields("x", data.OptionalInt32Schema, "y", schema(data.String, data.DefaultValue("yd"))), data.Optional())
	s := data.StructOf(fields("in", in, "arr", data.ArrayOf(data.Int32Schema), "amt", data.DecimalSchema(1)), data.Name("F"), data.Version(2))
	twice := data.StructOf(fields("a.b", data.Int32Schema, "a", data.StructOf(fields("b", data.Int32Schema))))
	mapped := data.StructOf(fields("m", data.MapSchema(data.StringSchema, data.StringSchema)))
	flat := func(id, delimiter string, s *data.Schema, v any, want string) example {
		return example{id: id, class: "Flatten$Value", props: kv("delimiter=" + delimiter), schema: s, value: v, want: want}
	}
	run(t, []example{
		flat("F1", ".", nil, data.MapOf("a", data.MapOf("b", int32(1), "c", data.MapOf("d", nil)), "e", []any{data.MapOf("x", int32(1))}, "f", nil, "g", []byte{1}, "h", data.NewMap(0)),
			"{a.b:1,a.c.d:null,e:[{x:1}],f:null,g:b[01]}/null"),
		{id: "F2", class: "Flatten$Key", props: kv("delimiter=#"), value: data.MapOf("a", data.MapOf("b", int32(1))), want: "{a#b:1}/null"},
		flat("F3", ".", nil, nil, "same"), flat("F3", ".", s, nil, "same"),
		flat("F4", "_", s, filled(s, filled(in, int32(4), nil), []any{int32(1)}, data.NewDecimal(15, 1)),
			`Struct{in_x=4,in_y="yd",arr=[1],amt=dec(1.5)}/struct<F>v2{in_x:int32? in_y:string?="yd" arr:array[int32] amt:bytes<Decimal>v1(1)}`),
		flat("F5", ".", s, filled(s, nil, []any{int32(1)}, data.NewDecimal(15, 1)),
			`Struct{in.x=null,in.y=null,arr=[1],amt=dec(1.5)}/struct<F>v2{in.x:int32? in.y:string?="yd" arr:array[int32] amt:bytes<Decimal>v1(1)}`),
		flat("F6", ".", mapped, filled(mapped, data.NewMap(0)), "DE Flatten transformation does not support MAP for record with schemas (for field m)."),
		flat("F7", ".", nil, "x", "DE Only Map objects supported in absence of schema for [flattening], found: java.lang.String"),
		flat("F7", ".", data.StringSchema, "x", "DE Only Struct objects supported for [flattening], found: java.lang.String"),
		flat("F8", ".", nil, data.MapOf("a", data.NewDecimal(1, 0)), "DE Flatten transformation was passed a value of type class java.math.BigDecimal which is not supported by Connect's data API"),
		flat("F9", ".", nil, data.MapOf("a", filled(in, nil, nil)), "DE Flatten transformation does not support class org.apache.kafka.connect.data.Struct for record without schemas (for field a)."),
		flat("F10", ".", twice, filled(twice, int32(1), filled(twice.Fields()[1].Schema, int32(2))), "SBE Cannot create field because of field name duplication a.b"),
		flat("F10", ".", nil, data.MapOf("a", data.MapOf("b", int32(2)), "a.b", int32(1)), "{a.b:1}/null"),
	})
}

func TestCases_H1_to_H7_HeaderFrom(t *testing.T) {
	s := data.StructOf(fields("f1", data.StringSchema, "f2", schema(data.Int32, data.Optional(), data.DefaultValue(int32(9)))))
	v := func() any { return filled(s, "v1", nil) }
	both := func(r *transform.Record) string {
		return valueText(r.Key) + valueText(r.Value) + "/" + schemaText(r.ValueSchema) + headersText(r.Headers)
	}
	run(t, []example{
		{id: "H1", class: "HeaderFrom$Value", props: kv("fields=f1,f2", "headers=H1,H2", "operation=copy"), schema: s, value: v(), see: both,
			want: `nullStruct{f1="v1",f2=null}/struct{f1:string f2:int32?=9}[h1="x"/string H1="v1"/string H2=9/int32?=9]`},
		{id: "H2", class: "HeaderFrom$Value", props: kv("fields=f1", "headers=H1", "operation=move"), schema: s, value: v(), see: both,
			want: `nullStruct{f2=9}/struct{f2:int32?=9}[h1="x"/string H1="v1"/string]`},
		{id: "H3", class: "HeaderFrom$Value", props: kv("fields=f2", "headers=H2", "operation=move", "replace.null.with.default=false"), schema: s, value: v(), see: both,
			want: `nullStruct{f1="v1"}/struct{f1:string}[h1="x"/string H2=null/int32?=9]`},
		{id: "H4", class: "HeaderFrom$Key", props: kv("fields=f1,zz", "headers=H1,Z", "operation=move"), value: data.MapOf("f1", "a", "f2", int32(2)), see: both,
			want: `{f2:2}null/null[h1="x"/string H1="a"/null Z=null/null]`},
		{id: "H5", class: "HeaderFrom$Value", props: kv("fields=zz", "headers=Z", "operation=copy"), schema: s, value: v(), want: "DE zz is not a valid field name"},
		{id: "H6", class: "HeaderFrom$Value", props: kv("fields=zz", "headers=Z", "operation=copy"), want: "DE Only Map objects supported in absence of schema for [header copy], found: null"},
		{id: "H6", class: "HeaderFrom$Value", props: kv("fields=zz", "headers=Z", "operation=move"), schema: s, want: "DE Only Struct objects supported for [header move], found: null"},
		{id: "H7", class: "HeaderFrom$Value", props: kv("fields=a,b", "headers=Z", "operation=copy"), want: "CE 'fields' config must have the same number of elements as 'headers' config."},
		{id: "H7", class: "HeaderFrom$Value", props: kv("fields=a", "headers=Z", "operation=asdf"), want: "CE Invalid value asdf for configuration operation: String must be one of: move, copy"},
		{id: "0.4", class: "HeaderFrom$Value", props: kv("fields=", "headers=Z", "operation=copy"), want: "CE Invalid value [] for configuration fields: Empty list"},
	})
}

func TestCases_O1_to_O5_HoistField(t *testing.T) {
	hoist := func(id string, s *data.Schema, v any, want string) example {
		return example{id: id, class: "HoistField$Value", props: kv("field=magic"), schema: s, value: v, want: want}
	}
	run(t, []example{
		hoist("O1", nil, int32(42), "{magic:42}/null"), hoist("O2", data.Int32Schema, int32(42), "Struct{magic=42}/struct{magic:int32}"),
		hoist("O3", nil, nil, "{magic:null}/null"), hoist("O4", data.OptionalInt32Schema, nil, "Struct{magic=null}/struct{magic:int32?}"),
		hoist("O5", data.Int32Schema, nil, `DE Invalid value: null used for required field: "magic", schema type: INT32`),
		hoist("O5", schema(data.Int32, data.DefaultValue(int32(5))), nil, `DE Invalid value: null used for required field: "magic", schema type: INT32`),
		{id: "empty", class: "HoistField$Value", props: kv("field="), schema: data.Int32Schema, value: int32(1), want: "SBE fieldName cannot be null."},
		{id: "empty", class: "HoistField$Value", props: kv("field="), value: int32(1), want: "{:1}/null"},
	})
}

func TestCases_N1_to_N10_InsertField(t *testing.T) {
	s := data.StructOf(fields("magic", schema(data.Int64, data.Optional(), data.DefaultValue(int64(1)))), data.Name("n"), data.Version(1))
	all := []string{"topic.field=topic_field!", "partition.field=partition_field", "offset.field=offset_field?", "timestamp.field=timestamp_field?", "static.field=instance_id", "static.value=my-instance-id"}
	const inserted = `topic_field="test",partition_field=0,offset_field=i64 7,timestamp_field=date(1483425001864),instance_id="my-instance-id"}` +
		`/struct<n>v1{magic:int64?=i64 1 topic_field:string partition_field:int32? offset_field:int64? timestamp_field:int64?<Timestamp>v1 instance_id:string?}`
	run(t, []example{
		{id: "N1", class: "InsertField$Value", props: kv(all...), schema: s, value: filled(s), want: "Struct{magic=i64 1," + inserted},
		{id: "N2", class: "InsertField$Value", props: kv(append(all, "replace.null.with.default=false")...), schema: s, value: filled(s), want: "Struct{magic=null," + inserted},
		{id: "N3", class: "InsertField$Value", props: kv(all...), value: data.MapOf("magic", int32(42)),
			want: `{magic:42,topic_field:"test",partition_field:0,offset_field:i64 7,timestamp_field:i64 1483425001864,instance_id:"my-instance-id"}/null`},
		{id: "N4", class: "InsertField$Value", props: kv(all...), want: "same"}, {id: "N4", class: "InsertField$Value", props: kv(all...), schema: s, want: "same"},
		{id: "N6", class: "InsertField$Value", props: kv("static.field=magic", "static.value=1"), schema: s, value: filled(s), want: "SBE Cannot create field because of field name duplication magic"},
		{id: "N6", class: "InsertField$Value", props: kv("static.field=magic", "static.value=1"), value: data.MapOf("magic", int32(42)), want: `{magic:"1"}/null`},
		{id: "N8", class: "InsertField$Value", props: kv(), want: "CE No field insertion configured"},
		{id: "N9", class: "InsertField$Value", props: kv("static.field=s"), want: "CE Invalid value null for configuration static.value: No value specified for static field: s"},
		{id: "N10", class: "InsertField$Value", props: kv(all...), value: "x", want: "DE Only Map objects supported in absence of schema for [field insertion], found: java.lang.String"},
		{id: "suffix", class: "InsertField$Value", props: kv("topic.field=t!!"), schema: s, value: filled(s), want: `Struct{magic=i64 1,t!="test"}/struct<n>v1{magic:int64?=i64 1 t!:string}`},
		{id: "empty", class: "InsertField$Value", props: kv("topic.field=!"), schema: s, value: filled(s), want: "SBE fieldName cannot be null."},
	})
}

func TestCase_N5_a_required_timestamp_that_is_missing_stays_unset(t *testing.T) {
	t.Parallel()
	s := data.StructOf(fields("a", data.Int32Schema))
	smt := find(t, pkg+"InsertField$Value").NewTransformation()
	if err := smt.Configure(kv("timestamp.field=ts!")); err != nil {
		t.Fatal(err)
	}
	r := base(false, s, filled(s, int32(1)))
	r.Timestamp = -1
	if _, err := smt.Apply(r); err != nil {
		t.Fatal(err)
	}
	if got := valueText(r.Value) + "/" + schemaText(r.ValueSchema); got != "Struct{a=1,ts=null}/struct{a:int32 ts:int64<Timestamp>v1}" {
		t.Error(got)
	}
	if err := r.Value.(*data.Struct).Validate(); err == nil {
		t.Error("it is no valid struct")
	}
}

func TestCases_P1_to_P9_ReplaceField(t *testing.T) {
	s := data.StructOf(fields("dont", data.StringSchema, "abc", schema(data.Int32, data.Optional(), data.DefaultValue(int32(5))), "foo", data.BooleanSchema, "etc", data.StringSchema), data.Name("R"))
	v := filled(s, "w", nil, true, "e")
	of := func(id string, want string, props ...string) example {
		return example{id: id, class: "ReplaceField$Value", props: kv(props...), schema: s, value: v, want: want}
	}
	run(t, []example{
		of("P1", `Struct{xyz=5,bar=true,etc="e"}/struct<R>{xyz:int32?=5 bar:boolean etc:string}`, "exclude=dont", "renames=abc:xyz,foo:bar"),
		of("P2", `Struct{xyz=null,foo=true}/struct<R>{xyz:int32?=5 foo:boolean}`, "include=abc,foo", "renames=abc:xyz", "replace.null.with.default=false"),
		{id: "P3", class: "ReplaceField$Value", props: kv("exclude=dont", "renames=abc:xyz,foo:bar"), value: data.MapOf("abc", int32(42), "dont", "w", "etc", "etc", "foo", true),
			want: `{xyz:42,etc:"etc",bar:true}/null`},
		of("P4", `Struct{etc="e"}/struct<R>{etc:string}`, "exclude=foo", "include=foo,etc"),
		of("P5", `Struct{}/struct<R>{}`, "include=xyz", "renames=abc:xyz"),
		of("P6", `Struct{etc="w",abc=5,foo=true,dont="e"}/struct<R>{etc:string abc:int32?=5 foo:boolean dont:string}`, "renames=dont:etc,etc:dont"),
		of("P7", "SBE Cannot create field because of field name duplication etc", "renames=dont:etc"),
		of("P8", "CE Invalid value [a] for configuration renames: Invalid rename mapping: a", "renames=a"),
		of("P8", "CE Invalid value [a:b:c] for configuration renames: Invalid rename mapping: a:b:c", "renames=a:b:c"),
		of("P8", "CE Invalid value [a:] for configuration renames: Invalid rename mapping: a:", "renames=a:"),
		{id: "P9", class: "ReplaceField$Value", props: kv("exclude=a"), want: "same"},
		{id: "P9", class: "ReplaceField$Value", props: kv("exclude=a"), value: "s", want: "DE Only Map objects supported in absence of schema for [field replacement], found: java.lang.String"},
		of("0.4", "CE Configuration 'exclude' values must not be empty.", "exclude=a,,b"),
		{id: "blank", class: "ReplaceField$Value", props: kv("renames=abc : xyz"), value: data.MapOf("abc ", int32(1), "abc", int32(2)), want: "{ xyz:1,abc:2}/null"},
		{id: "empty", class: "ReplaceField$Value", props: kv("renames=:b"), value: data.MapOf("", int32(1)), want: "{b:1}/null"},
	})
}
