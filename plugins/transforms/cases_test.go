package transforms_test

import (
	"testing"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/header"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
)

func topicOf(r *transform.Record) string { return r.Topic }

func headersOf(r *transform.Record) string { return headersText(r.Headers) }

func TestCases_DropHeaders_and_Filter(t *testing.T) {
	t.Parallel()
	smt := find(t, pkg+"DropHeaders").NewTransformation()
	if err := smt.Configure(kv("headers=h1,zz")); err != nil {
		t.Fatal(err)
	}
	r := &transform.Record{Sink: record.Sink{Headers: header.Headers{}.Add("h1", nil, "x").Add("h2", nil, int32(2)).Add("h1", nil, "y")}}
	if _, err := smt.Apply(r); err != nil {
		t.Fatal(err)
	}
	if got := headersText(r.Headers); got != "[h2=2/null]" {
		t.Error(got)
	}
	t.Run("errors", func(t *testing.T) {
		run(t, []example{
			{class: "DropHeaders", props: kv("headers="), want: "CE Configuration 'headers' must not be empty. Valid values include: any non-empty value"},
			{class: "DropHeaders", props: kv("headers=,"), want: "CE Configuration 'headers' values must not be empty."},
			{class: "DropHeaders", props: kv(), want: `CE Missing required configuration "headers" which has no default value.`},
			{class: "Filter", props: kv(), value: int32(1), want: "dropped"},
		})
	})
}

func TestCases_I1_to_I7_InsertHeader(t *testing.T) {
	literal := func(id, text, want string) example {
		return example{id: id, class: "InsertHeader", props: kv("header=h", "value.literal="+text), see: headersOf, want: `[h1="x"/string h=` + want + "]"}
	}
	run(t, []example{
		literal("I1", "str-value", `"str-value"/string`), literal("I2", "1", "i8 1/int8"), literal("I3", "true", "true/boolean"),
		literal("I4", "[1,2]", "[i8 1,i8 2]/array[int8]"), literal("I5", "null", "null/null"), literal("I6", "", `""/string`),
		{id: "I7", class: "InsertHeader", props: kv("header=h1", "value.literal=2024-01-01"), see: headersOf, want: `[h1="x"/string h1=date(1704067200000)/int32<Date>v1]`},
	})
}

func TestCases_M1_to_M12_MaskField(t *testing.T) {
	mask := func(id, names, replacement string, v any, want string) example {
		e := example{id: id, class: "MaskField$Value", props: kv("fields=" + names), value: v, want: want}
		if replacement != "" {
			e.props["replacement"] = replacement
		}
		return e
	}
	one := func(v any) any { return data.MapOf("a", v) }
	s := data.StructOf(fields("i", data.Int32Schema, "dec", data.DecimalSchema(2), "o", schema(data.String, data.Optional(), data.DefaultValue("dd")), "ts", data.TimestampSchema()))
	v := filled(s, int32(5), data.NewDecimal(150, 2), nil, data.Instant(9))
	all := data.MapOf("bool", true, "b", int8(1), "s", int16(1), "i", int32(1), "l", int64(1), "f", float32(1), "d", 1.0, "str", "x", "date", data.Instant(5), "dec", data.NewDecimal(42, 1),
		"list", []any{int32(1)}, "map", data.MapOf("a", int32(1)), "nul", nil, "keep", "k")
	run(t, []example{
		mask("M1", "bool,b,s,i,l,f,d,str,date,dec,list,map,nul,missing", "", all,
			`{bool:false,b:i8 0,s:i16 0,i:0,l:i64 0,f:f32 0.0,d:0.0,str:"",date:date(0),dec:dec(0),list:[],map:{},nul:null,keep:"k",missing:null}/null`),
		mask("M2", "b,s,i,l,f,d,dec,str", "123", all, `{bool:true,b:i8 123,s:i16 123,i:123,l:i64 123,f:f32 123.0,d:123.0,str:"123",date:date(5),dec:dec(123),list:[1],map:{a:1},nul:null,keep:"k"}/null`),
		mask("M3", "a", "***", one("x"), `{a:"***"}/null`),
		mask("M4", "a", "abc", one(data.Instant(0)), "DE Cannot mask value of type class java.util.Date with custom replacement."),
		mask("M4", "a", "abc", one(true), "DE Cannot mask value of type class java.lang.Boolean with custom replacement."),
		mask("M5", "a", "abc", one(int32(1)), "DE Unable to convert abc (class java.lang.String) to a number"),
		mask("M6", "a", "1.9", one(int32(5)), "{a:1}/null"), mask("M6", "a", "300", one(int8(5)), "{a:i8 44}/null"),
		{id: "M7", class: "MaskField$Value", props: kv("fields=i,dec,o,ts"), schema: s, value: v,
			want: `Struct{i=0,dec=dec(0),o="",ts=date(0)}/struct{i:int32 dec:bytes<Decimal>v1(2) o:string?="dd" ts:int64<Timestamp>v1}`},
		{id: "M8", class: "MaskField$Value", props: kv("fields=i,o", "replace.null.with.default=false"), schema: s, value: v,
			want: `Struct{i=0,dec=dec(1.50),o=null,ts=date(9)}/struct{i:int32 dec:bytes<Decimal>v1(2) o:string?="dd" ts:int64<Timestamp>v1}`},
		mask("M9", "a", "", nil, "DE Only Map objects supported in absence of schema for [mask fields], found: null"),
		{id: "M9", class: "MaskField$Value", props: kv("fields=i"), schema: s, want: "DE Only Struct objects supported for [mask fields], found: null"},
		{id: "M10", class: "MaskField$Value", props: kv("fields=a", "replacement= "), want: "CE Invalid value  for configuration replacement: String must be non-empty"},
		mask("M11", "a", "99999999999999999999", one(int8(1)), "{a:i8 -1}/null"), mask("M11", "a", "99999999999999999999", one(int32(1)), "{a:1661992959}/null"),
		mask("M11", "a", "99999999999999999999", one(int64(1)), "{a:i64 7766279631452241919}/null"),
		mask("M11", "a", "99999999999999999999", one(data.NewDecimal(1, 0)), "{a:dec(99999999999999999999)}/null"),
		mask("M11", "a", "1e400", one(int32(1)), "{a:0}/null"), mask("M11", "a", "1e400", one(float32(1)), "{a:f32 Infinity}/null"),
		mask("M12", "", "", nil, "CE Configuration 'fields' must not be empty. Valid values include: any non-empty value"),
		mask("M12", "a,,b", "", nil, "CE Configuration 'fields' values must not be empty."),
		mask("bytes", "a", "", one([]byte{1}), "DE Cannot mask value of type: class [B"),
	})
}

func TestCases_R1_to_R11_RegexRouter(t *testing.T) {
	route := func(id, regex, replacement, topic, want string) example {
		return example{id: id, class: "RegexRouter", props: map[string]string{"regex": regex, "replacement": replacement, "-topic": topic}, see: topicOf, want: want}
	}
	run(t, []example{
		route("R1", "foo", "bar", "orig", "orig"), route("R1", "foo", "bar", "foobar", "foobar"), route("R2", "foo(.*)", "bar$1", "foobar", "barbar"),
		route("R3", `index(.*)(\d{8})`, "index$1$2_bak", "index-20160117", "index-20160117_bak"), route("R4", "(?<n>.)(.*)", "${n}-x", "abc", "a-x"),
		route("R5", "(.*)", `a\$b`, "abc", "a$b"), route("R6", "(.*)", "$2", "abc", "IOOBE No group 2"), route("R7", "(.*)", "$", "abc", "IAE Illegal group reference: group index is missing"),
		route("R8", "(", "x", "a", "CE Invalid value ( for configuration regex: Invalid regex: Unclosed group near index 1\n("),
		route("R9", "a{2,3}?", "p", "aaa", "pa"),
		route("R10", "(.*)", "$10", "abc", "abc0"), route("R10", "(.*)", "$12", "abc", "abc2"), route("R10", "(.*)", "${x}", "abc", "IAE No group with name {x}"),
		route("R10", "(.*)", "${1}", "abc", "IAE capturing group name {1} starts with digit character"), route("R10", "(.*)", "${", "abc", "IAE named capturing group has 0 length name"),
		route("R10", "(.*)", `\`, "abc", "IAE character to be escaped is missing"),
		route("R11", "(a)|b", "[$1]", "b", "[]"), route("R11", "((a)|(b))+", "$1$2$3", "ab", "bab"), route("R11", `\d+`, "x", "١٢", "١٢"), route("R11", `(?U)\d+`, "x", "١٢", "x"), route("R11", ".", "p", "😀", "p"),
		route("possessive", "a*+a", "x", "aaa", "aaa"), route("lookaround", "(?<!x)(?=a).*", "x", "abc", "x"), route("intersection", "[a-z&&[^b]]+", "x", "acd", "x"),
		route("reference", `(.)\1`, "x", "aa", "x"), route("braces", "${x", "x", "a", "CE Invalid value ${x for configuration regex: Invalid regex: Illegal repetition near index 2\n${x\n  ^"),
	})
}

func TestRegexRouter_gives_up_on_an_expression_that_takes_too_long(t *testing.T) {
	t.Parallel()
	e := example{class: "RegexRouter", props: map[string]string{"regex": "(a|aa)+b", "replacement": "x", "-topic": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"}}
	if got := e.result(t); got != "DE Could not match "+e.props["-topic"]+" with the regular expression (a|aa)+b" {
		t.Error(got)
	}
}

func TestCases_S1_to_S7_SetSchemaMetadata(t *testing.T) {
	s := data.StructOf(fields("magic", schema(data.Int64, data.Optional(), data.DefaultValue(int64(1)))), data.Name("n"), data.Version(1))
	run(t, []example{
		{id: "S1", class: "SetSchemaMetadata$Value", props: kv("schema.name=foo", "schema.version=42"), schema: s, value: filled(s), want: "Struct{magic=i64 1}/struct<foo>v42{magic:int64?=i64 1}"},
		{id: "S2", class: "SetSchemaMetadata$Value", props: kv("schema.version=42", "replace.null.with.default=false"), schema: s, value: filled(s), want: "Struct{magic=null}/struct<n>v42{magic:int64?=i64 1}"},
		{id: "S3", class: "SetSchemaMetadata$Value", props: kv("schema.name=foo"), want: "same"},
		{id: "S4", class: "SetSchemaMetadata$Value", props: kv("schema.name=foo"), value: data.MapOf("a", int32(1)), want: "DE Schema required for [updating schema metadata]"},
		{id: "S5", class: "SetSchemaMetadata$Value", props: kv("schema.name=foo"), schema: s, want: "null/struct<foo>v1{magic:int64?=i64 1}"},
		{id: "S6", class: "SetSchemaMetadata$Value", props: kv("schema.name=foo"), schema: data.StringSchema, value: "x", want: `"x"/string<foo>`},
		{id: "S6", class: "SetSchemaMetadata$Value", props: kv("schema.name=foo"), schema: data.ArrayOf(data.Int32Schema), value: []any{int32(1)}, want: `[1]/array[int32]<foo>`},
		{id: "S7", class: "SetSchemaMetadata$Value", props: kv("schema.version=x"), want: "CE Invalid value x for configuration schema.version: Not a number of type INT"},
		{id: "neither", class: "SetSchemaMetadata$Value", props: kv(), want: "CE Neither schema name nor version configured"},
		{id: "default", class: "SetSchemaMetadata$Value", props: kv("schema.name=foo"), schema: schema(data.Int32, data.DefaultValue(int32(3))), value: int32(1), want: "1/int32<foo>=3"},
	})
}

func TestCases_C1_to_C17_TimestampConverter(t *testing.T) {
	const iso = "format=yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"
	to := func(id, target string, s *data.Schema, v any, want string, more ...string) example {
		return example{id: id, class: "TimestampConverter$Value", props: kv(append(more, "target.type="+target)...), schema: s, value: v, want: want}
	}
	at := data.Instant(1577836801234)
	ts := data.TimestampSchema()
	s := data.StructOf(fields("ts", schema(data.Int64, data.Optional(), data.DefaultValue(int64(5))), "other", data.StringSchema), data.Name("T"))
	nine := data.StructOf(fields("ts", data.Int64Schema), data.Optional())
	const noClass = "DE TimestampConverter does not support class "
	run(t, []example{
		to("C1", "string", nil, at, `"2020-01-01T00:00:01.234Z"/null`, iso), to("C1", "string", nil, int64(at), `"2020-01-01T00:00:01.234Z"/null`, iso), to("C1", "string", nil, "2020-01-01T00:00:01.234Z", "same", iso),
		to("C2", "unix", nil, "2020-01-01T00:00:01.234Z", "i64 1577836801234/null", iso),
		to("C3", "Date", nil, int64(at), "date(1577836800000)/null"), to("C3", "Time", nil, int64(at), "date(1234)/null"), to("C3", "Timestamp", nil, int64(at), "date(1577836801234)/null"),
		to("C4", "unix", ts, at, "i64 1577836801/int64", "unix.precision=seconds"), to("C4", "unix", ts, at, "i64 1577836801234000/int64", "unix.precision=microseconds"),
		to("C4", "unix", ts, at, "i64 1577836801234000000/int64", "unix.precision=nanoseconds"),
		to("C5", "Timestamp", data.Int64Schema, int64(at), "date(1577836801234000)/int64<Timestamp>v1", "unix.precision=seconds"),
		to("C5", "Timestamp", data.Int64Schema, int64(at), "date(1577836801)/int64<Timestamp>v1", "unix.precision=microseconds"),
		to("C5", "Timestamp", data.Int64Schema, int64(at), "date(1577836)/int64<Timestamp>v1", "unix.precision=nanoseconds"),
		to("C6", "Timestamp", s, filled(s, int64(at), "o"), `Struct{ts=date(1577836801234),other="o"}/struct<T>{ts:int64?<Timestamp>v1 other:string}`, "field=ts"),
		to("C7", "Timestamp", s, filled(s, nil, "o"), `Struct{ts=date(5),other="o"}/struct<T>{ts:int64?<Timestamp>v1 other:string}`, "field=ts"),
		to("C7", "Timestamp", s, filled(s, nil, "o"), `Struct{ts=null,other="o"}/struct<T>{ts:int64?<Timestamp>v1 other:string}`, "field=ts", "replace.null.with.default=false"),
		to("C8", "Timestamp", data.OptionalInt64Schema, nil, "null/int64?<Timestamp>v1"), to("C9", "Timestamp", nil, nil, "same", "field=x"),
		to("C10", "unix", nil, data.MapOf("a", int32(1)), "{a:1,zz:null}/null", "field=zz"),
		to("C10", "unix", s, filled(s, nil, "o"), `Struct{ts=i64 5,other="o"}/struct<T>{ts:int64?=i64 5 other:string}`, "field=zz"),
		to("C11", "string", nil, data.MapOf("a", int64(at), "b", int32(1)), `{a:"2020-01-01",b:1}/null`, "field=a", "format=yyyy-MM-dd"),
		to("C12", "unix", data.Int32Schema, int32(5), "ConnectException Schema Schema{INT32} does not correspond to a known timestamp type format"),
		to("C12", "unix", nil, int32(5), noClass+"java.lang.Integer objects as timestamps"),
		to("C13", "string", data.TimeSchema(), data.Instant(1234), `"00:00:01"/string`, "format=HH:mm:ss"),
		{id: "C14", class: "TimestampConverter$Key", props: kv("target.type=unix"), schema: data.TimestampSchema(data.Optional()), value: at, want: "i64 1577836801234/int64?"},
		to("C15", "Timestamp", s, nil, "ConnectException Schema Schema{T:STRUCT} does not correspond to a known timestamp type format"),
		to("C15", "Timestamp", nil, data.NewMap(0), noClass+"java.util.HashMap objects as timestamps"),
		to("C16", "Timestamp", nine, filled(nine, int64(9)), "Struct{ts=date(9)}/struct?{ts:int64<Timestamp>v1}", "field=ts"),
		to("C17", "unix", ts, data.Instant(253402300799999), "i64 9223372036854775807/int64", "unix.precision=nanoseconds"),
		to("C17", "unix", ts, data.Instant(-62135596800000), "i64 -9223372036854775808/int64", "unix.precision=nanoseconds"),
		to("C17", "unix", ts, data.Instant(-999), "i64 0/int64", "unix.precision=seconds"),

		to("config", "invalid", nil, nil, "CE Invalid value invalid for configuration target.type: String must be one of: string, unix, Date, Time, Timestamp"),
		to("config", "string", nil, nil, "CE TimestampConverter requires format option to be specified when using string timestamps"),
		to("config", "unix", nil, nil, "CE Invalid value java.lang.IllegalArgumentException: Illegal pattern character 'b' for configuration TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: bad-format", "format=bad-format"),
		to("config", "unix", nil, nil, "CE Invalid value invalid for configuration unix.precision: String must be one of: nanoseconds, microseconds, milliseconds, seconds", "unix.precision=invalid"),
		to("parse", "unix", nil, "bad", "DE Could not parse timestamp: value (bad) does not match pattern (yyyy-MM-dd)", "format=yyyy-MM-dd"),
		to("class", "unix", data.Int64Schema, "x", "DE Expected Unix timestamp to be a Long, but found class java.lang.String"),
		to("class", "unix", ts, int64(1), "DE Expected Timestamp to be a java.util.Date, but found class java.lang.Long"),
	})
}

func TestCases_Q1_to_Q3_TimestampRouter(t *testing.T) {
	route := func(id, topic, want string, props ...string) example {
		e := example{id: id, class: "TimestampRouter", props: kv(props...), see: topicOf, want: want}
		e.props["-topic"] = topic
		return e
	}
	run(t, []example{
		route("Q1", "test", "test-20170103"), route("Q2", "test", "2017-W01-06/test/x", "topic.format=${timestamp}/${topic}/x", "timestamp.format=yyyy-'W'ww-HH"),
		route("Q3", "test", "x$1testtest", "topic.format=x$1${topic}${topic}"), route("twice", "a${timestamp}", "a20170103-20170103"),
		route("pattern", "test", "IAE Illegal pattern character 'b'", "timestamp.format=bad"),
	})
}

func TestCase_Q4_a_record_without_a_timestamp_is_refused_with_all_of_it(t *testing.T) {
	t.Parallel()
	smt := find(t, pkg+"TimestampRouter").NewTransformation()
	if err := smt.Configure(nil); err != nil {
		t.Fatal(err)
	}
	r := base(false, nil, int32(1))
	r.Timestamp, r.TimestampType, r.KafkaOffset, r.OriginalOffset = record.NoTimestamp, record.TimestampNone, 1, 1
	_, err := smt.Apply(r)
	const want = "Timestamp missing on record: SinkRecord{kafkaOffset=1, timestampType=NoTimestampType, originalTopic=test, originalKafkaPartition=0, originalKafkaOffset=1} " +
		"ConnectRecord{topic='test', kafkaPartition=0, key=null, keySchema=null, value=1, valueSchema=null, timestamp=null, headers=ConnectHeaders(headers=)}"
	if err == nil || err.Error() != want {
		t.Error(err)
	}
}

func TestCases_K1_to_K10_ValueToKey(t *testing.T) {
	s := data.StructOf(fields("a", data.Int32Schema, "b", schema(data.Int32, data.Optional(), data.DefaultValue(int32(8))), "c", data.Int32Schema))
	v := filled(s, int32(1), nil, int32(3))
	n := data.StructOf(fields("a", data.Int32Schema, "n", data.StructOf(fields("q", data.Int32Schema)), "a.b", data.StringSchema,
		"o", data.StructOf(fields("p", data.StructOf(fields("z", data.Int64Schema))), data.Optional())))
	w := filled(n, int32(1), filled(n.Fields()[1].Schema, int32(5)), "dot", nil)
	of := func(id string, s *data.Schema, v any, want string, props ...string) example {
		return example{id: id, class: "ValueToKey", props: kv(props...), schema: s, value: v, want: want,
			see: func(r *transform.Record) string { return valueText(r.Key) + "/" + schemaText(r.KeySchema) }}
	}
	const v2 = "field.syntax.version=V2"
	run(t, []example{
		of("K1", s, v, "Struct{b=8,a=1}/struct{b:int32?=8 a:int32}", "fields=b,a"), of("K2", s, v, "Struct{b=null,a=1}/struct{b:int32?=8 a:int32}", "fields=b,a", "replace.null.with.default=false"),
		of("K3", nil, data.MapOf("a", int32(1), "b", int32(2)), "{a:1,zz:null}/null", "fields=a,zz"), of("K4", s, v, "DE Field does not exist: zz", "fields=zz"),
		of("K5", nil, nil, "DE Only Map objects supported in absence of schema for [copying fields from value to key], found: null", "fields=a"),
		of("K5", s, nil, "DE Only Struct objects supported for [copying fields from value to key], found: null", "fields=a"),
		of("K6", n, w, "Struct{n.q=5,a=1}/struct{n.q:int32 a:int32}", "fields=n.q,a", v2), of("K6", nil, data.MapOf("a", int32(1), "n", data.MapOf("q", int32(5))), "{n.q:5,a:1}/null", "fields=n.q,a", v2),
		of("K7", n, w, "Struct{`a.b`=\"dot\"}/struct{`a.b`:string}", "fields=`a.b`", v2),
		of("K8", n, w, `DE Invalid value: null used for required field: "o.p.z", schema type: INT64`, "fields=o.p.z", v2), of("K8", nil, data.MapOf("o", nil), "{o.p.z:null}/null", "fields=o.p.z", v2),
		of("K9", n, w, "DE Field does not exist: n.nope", "fields=n.nope", v2), of("K9", n, w, "DE Field does not exist: o.q", "fields=o.q", v2),
		of("K9", n, w, "DE Cannot look up fields on non-struct type", "fields=a.b", v2),
		of("K10", s, v, "Struct{a=1}/struct{a:int32}", "fields=a,a"), of("K10", s, v, "CE Configuration 'fields' must not be empty. Valid values include: any non-empty value", "fields="),
	})
}

func TestCases_B1_to_B6_predicates(t *testing.T) {
	topic := func(id, pattern, name, want string) example {
		return example{id: id, class: "predicates.TopicNameMatches", props: map[string]string{"pattern": pattern, "-topic": name}, want: want}
	}
	run(t, []example{
		topic("B1", "my-prefix-.*", "my-prefix-abc", "true TopicNameMatches{pattern=my-prefix-.*}"), topic("B1", "my-prefix-.*", "other", "false TopicNameMatches{pattern=my-prefix-.*}"),
		topic("B2", "[", "x", "CE Invalid value [ for configuration pattern: Invalid regex: Unclosed character class near index 0\n[\n^"),
		topic("B3", "", "x", "CE Invalid value  for configuration pattern: String must be non-empty"),
		{id: "B4", class: "predicates.HasHeaderKey", props: kv("name="), want: "CE Invalid value  for configuration name: String must be non-empty"},
		{id: "B4", class: "predicates.HasHeaderKey", props: kv("name=h1"), want: "false HasHeaderKey{name='h1'}"},
		{id: "B5", class: "predicates.RecordIsTombstone", want: "true RecordIsTombstone{}"},
		{id: "B5", class: "predicates.RecordIsTombstone", value: "x", want: "false RecordIsTombstone{}"},
		{id: "B5", class: "predicates.RecordIsTombstone", schema: data.OptionalInt32Schema, want: "true RecordIsTombstone{}"},
		{id: "B6", class: "predicates.TopicNameMatches", props: kv(), want: `CE Missing required configuration "pattern" which has no default value.`},
		{id: "B6", class: "predicates.HasHeaderKey", props: kv(), want: `CE Missing required configuration "name" which has no default value.`},
	})
}
