package protobuf

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/tests/conformance/convertertest"
)

func with(t testing.TB, name string, props map[string]string) *Converter {
	t.Helper()
	return convertertest.OverMock(t, &Converter{}, name, props)
}

var structOf = convertertest.StructOf

var (
	street  = data.StructOf([]data.Field{{Name: "no", Schema: data.OptionalInt64Schema}}, data.Name("shop.Street"))
	colours = data.NewSchema(data.String, data.Optional(), data.Name("Color"), data.Param(paramEnum, "Color"), data.Param(paramEnum+".RED", "0"), data.Param(paramEnum+".BLUE", "7"))
	either  = data.StructOf([]data.Field{{Name: "text", Schema: data.OptionalStringSchema}, {Name: "at", Schema: data.StructOf(street.Fields(), data.Name("shop.Street"), data.Optional())}},
		data.Name(unionPrefix+"which"), data.Optional())
	everything = data.StructOf([]data.Field{
		{Name: "i8", Schema: data.NewSchema(data.Int8)}, {Name: "i16", Schema: data.NewSchema(data.Int16)}, {Name: "i32", Schema: data.Int32Schema}, {Name: "i64", Schema: data.Int64Schema},
		{Name: "f32", Schema: data.Float32Schema}, {Name: "f64", Schema: data.Float64Schema}, {Name: "b", Schema: data.BooleanSchema}, {Name: "s", Schema: data.StringSchema}, {Name: "bytes", Schema: data.BytesSchema},
		{Name: "list", Schema: data.ArrayOf(data.Int32Schema)}, {Name: "words", Schema: data.ArrayOf(data.StringSchema)}, {Name: "map", Schema: data.MapSchema(data.StringSchema, data.Int32Schema)},
		{Name: "street", Schema: street}, {Name: "streets", Schema: data.ArrayOf(street)}, {Name: "colour", Schema: colours}, {Name: "which", Schema: either},
		{Name: "price", Schema: data.DecimalSchema(2, data.Param(paramPrecision, "9"))}, {Name: "day", Schema: data.DateSchema()}, {Name: "clock", Schema: data.TimeSchema()}, {Name: "when", Schema: data.TimestampSchema()},
	}, data.Name("shop.Everything"))
)

func everyValue(t testing.TB) *data.Struct {
	return structOf(t, everything, int8(-3), int16(300), int32(-70000), int64(1)<<40, float32(1.5), -2.5, true, "ä", []byte{0, 255}, []any{int32(1), int32(-1)}, []any{"a", ""},
		data.MapOf("k", int32(9)), structOf(t, street, int64(5)), []any{structOf(t, street, int64(6)), structOf(t, street, int64(0))}, "BLUE",
		structOf(t, either, nil, structOf(t, either.Fields()[1].Schema, int64(8))), data.NewDecimal(-12345, 2), data.Instant(19000*data.Day), data.Instant(3*hour+25*minute+45678), data.Instant(1700000000123))
}

const everythingText = `syntax = "proto3";
package shop;

import "confluent/meta.proto";
import "confluent/type/decimal.proto";
import "google/protobuf/timestamp.proto";
import "google/type/date.proto";
import "google/type/timeofday.proto";

message Everything {
  int32 i8 = 1 [(confluent.field_meta) = {
    params: [
      {
        key: "connect.type",
        value: "int8"
      }
    ]
  }];
  int32 i16 = 2 [(confluent.field_meta) = {
    params: [
      {
        key: "connect.type",
        value: "int16"
      }
    ]
  }];
  int32 i32 = 3;
  int64 i64 = 4;
  float f32 = 5;
  double f64 = 6;
  bool b = 7;
  string s = 8;
  bytes bytes = 9;
  repeated int32 list = 10;
  repeated string words = 11;
  repeated ConnectDefault1Entry map = 12;
  Street street = 13;
  repeated Street streets = 14;
  Color colour = 15;
  confluent.type.Decimal price = 18 [(confluent.field_meta) = {
    params: [
      {
        key: "precision",
        value: "9"
      },
      {
        key: "scale",
        value: "2"
      }
    ]
  }];
  google.type.Date day = 19;
  google.type.TimeOfDay clock = 20;
  google.protobuf.Timestamp when = 21;

  oneof which {
    string text = 16;
    Street at = 17;
  }

  message ConnectDefault1Entry {
    string key = 1;
    int32 value = 2;
  }

  message Street {
    int64 no = 1;
  }

  enum Color {
    RED = 0;
    BLUE = 7;
  }
}
`

// The bytes were also read, and written again, by Google's library for Python with what its protoc makes of the text.
const everythingHex = "000000000100" + "08fdffffffffffffffff0110ac021890ddfbffffffffffff01208080808080202d0000c03f3100000000000004c038014202c3a44a0200ff520b01ffffffffffffffffff01" +
	"5a01615a0062050a016b10096a02080572020806720078078a010208089201080a02cfc7100518029a010708e60f10011808a2010c08031019182d2080eba5c302aa010b0880e2cfaa0610c0a9d33a"

func TestProtobuf_every_type(t *testing.T) {
	t.Parallel()
	c := with(t, "", map[string]string{"enhanced.protobuf.schema.support": "true"})
	text, name, err := c.own(everything)
	require.NoError(t, err)
	require.Equal(t, "shop.Everything", name)
	require.Equal(t, everythingText, text)
	b, err := c.FromConnect("t", everything, everyValue(t))
	require.NoError(t, err)
	require.Equal(t, everythingHex, hex.EncodeToString(b))
	theirs(t, c, everything, b)

	back, err := c.ToConnect("t", b)
	require.NoError(t, err)
	require.Equal(t, `Struct{which_0=Struct{at=Struct{no=8}},i8=-3,i16=300,i32=-70000,i64=1099511627776,f32=1.5,f64=-2.5,b=true,s=ä,bytes=AP8=,list=[1, -1],words=[a, ],map={k=9},street=Struct{no=5},`+
		`streets=[Struct{no=6}, Struct{no=0}],colour=BLUE,price=-123.45,day=Sat Jan 08 00:00:00 UTC 2022,clock=Thu Jan 01 03:25:45 UTC 1970,when=Tue Nov 14 22:13:20 UTC 2023}`, data.Text(back.Value))
	require.NoError(t, back.Value.(*data.Struct).Validate())
	field := func(name string) *data.Schema {
		f, ok := back.Schema.Field(name)
		require.True(t, ok, name)
		return f.Schema
	}
	version, _ := back.Schema.Version()
	require.Equal(t, []any{"shop.Everything", int32(1)}, []any{back.Schema.Name(), version})
	require.True(t, field("i8").Equal(data.NewSchema(data.Int8, data.Optional(), data.Param(paramTag, "1"))))
	require.True(t, field("price").Equal(data.DecimalSchema(2, data.Optional(), data.Param(paramPrecision, "9"), data.Param(paramTag, "18"))), "%v", field("price"))
	require.True(t, field("when").Equal(data.TimestampSchema(data.Optional(), data.Param(paramTag, "21"))))
	require.True(t, field("list").Equal(data.ArrayOf(data.OptionalInt32Schema, data.Optional(), data.Param(paramTag, "10"))))
	require.Equal(t, "shop.Everything.connect_default1", field("map").Name())
	require.Equal(t, "shop.Everything.Street", field("street").Name())
	require.Equal(t, unionPrefix+"shop.Everything.which", field("which_0").Name())
	symbol, _ := field("colour").Param(paramEnum + ".BLUE")
	require.Equal(t, []any{"shop.Everything.Color", "7"}, []any{field("colour").Name(), symbol})

	// With the numbers that came with it it is written as the same.
	third, err := c.FromConnect("t", back.Schema, back.Value)
	require.NoError(t, err)
	require.Equal(t, b[registry.HeaderSize:], third[registry.HeaderSize:])
}

func TestProtobuf_values_that_are_no_struct(t *testing.T) {
	t.Parallel()
	for i, test := range []struct {
		schema  *data.Schema
		value   any
		message string // after zero and id
		back    any
	}{
		{data.StringSchema, "ab", "020e" + "0a026162", nil},
		{data.OptionalStringSchema, "", "020e", nil},
		{data.Int32Schema, int32(-1), "0208" + "08ffffffffffffffffff01", nil},
		{data.NewSchema(data.Int8), int8(5), "0208" + "0805", int32(5)},
		{data.Int64Schema, int64(300), "0204" + "08ac02", nil},
		{data.Float32Schema, float32(1), "0202" + "0d0000803f", nil},
		{data.Float64Schema, 1.5, "00" + "09000000000000f83f", nil},
		{data.BooleanSchema, true, "020c" + "0801", nil},
		{data.BytesSchema, []byte{7}, "0210" + "0a0107", nil},
		{data.DateSchema(), data.Instant(3 * data.Day), "00" + "08b20f10011804", nil},
		{data.TimeSchema(), data.Instant(1001), "00" + "180120c0843d", nil},
		{data.TimestampSchema(), data.Instant(-1), "00" + "08ffffffffffffffffff0110c08faedc03", nil},
	} {
		c := with(t, fmt.Sprint(i), nil)
		b, err := c.FromConnect("t", test.schema, test.value)
		require.NoError(t, err)
		require.Equal(t, "0000000001"+test.message, hex.EncodeToString(b), test.schema)
		_, again := theirs(t, c, test.schema, b)
		require.Equal(t, b, again)
		back, err := c.ToConnect("t", b)
		require.NoError(t, err)
		if test.back == nil {
			test.back = test.value
		}
		require.Equal(t, test.back, back.Value)
		require.NoError(t, back.Schema.Validate(back.Value))
	}
	plain := with(t, "plain", map[string]string{"wrapper.for.raw.primitives": "false"})
	b, err := plain.FromConnect("t", data.StringSchema, "ab")
	require.NoError(t, err)
	back, err := plain.ToConnect("t", b)
	require.NoError(t, err)
	require.Equal(t, "Struct{value=ab}", data.Text(back.Value))
}

func TestProtobuf_refuses(t *testing.T) {
	t.Parallel()
	one := func(s *data.Schema) *data.Schema {
		return data.StructOf([]data.Field{{Name: "a", Schema: s}}, data.Name("N"))
	}
	for want, sv := range map[string]data.SchemaAndValue{
		"ProtobufConverter needs one, JsonConverter with schemas.enable=false does not":            {Value: "x"},
		"Unsupported root schema of type ARRAY: put it into a struct, for example with HoistField": {Schema: data.ArrayOf(data.StringSchema), Value: []any{}},
		"Unsupported root schema of type MAP":                                                      {Schema: data.MapSchema(data.StringSchema, data.StringSchema), Value: data.MapOf()},
		"Unsupported root schema of type BYTES (org.apache.kafka.connect":                          {Schema: data.DecimalSchema(1), Value: data.NewDecimal(1, 1)},
		"the union io.confluent.connect.protobuf.Union.which must be a field of a struct":          {Schema: either, Value: structOf(t, either, "x")},
		"Array cannot be nested":                          {Schema: one(data.ArrayOf(data.ArrayOf(data.StringSchema))), Value: structOf(t, one(data.ArrayOf(data.ArrayOf(data.StringSchema))), []any{})},
		"a list has a null, which Protobuf does not have": {Schema: one(data.ArrayOf(data.OptionalStringSchema)), Value: structOf(t, one(data.ArrayOf(data.OptionalStringSchema)), []any{nil})},
		"Found null value for a field that is required":   {Schema: one(data.StringSchema), Value: data.NewStruct(one(data.StringSchema))},
		"Cannot find non-null field":                      {Schema: one(either), Value: structOf(t, one(either), data.NewStruct(either))},
		"Time values must use number of millis greater":   {Schema: one(data.TimeSchema()), Value: func() any { s := data.NewStruct(one(data.TimeSchema())); s.SetAt(0, data.Instant(-1)); return s }()},
		"Date type should not have any time fields":       {Schema: one(data.DateSchema()), Value: func() any { s := data.NewStruct(one(data.DateSchema())); s.SetAt(0, data.Instant(1)); return s }()},
		"it must be of the years 1 to 9999":               {Schema: one(data.TimestampSchema()), Value: structOf(t, one(data.TimestampSchema()), data.Instant(1)<<62)},
		`"GREEN" is no symbol of the enum Color`:          {Schema: one(colours), Value: structOf(t, one(colours), "GREEN")},
		"Mismatching struct schema":                       {Schema: one(data.StringSchema), Value: structOf(t, one(data.Int32Schema), int32(1))},
		"4294967296 does not fit into a uint32":           {Schema: one(data.NewSchema(data.Int64, data.Param(paramType, "uint32"))), Value: structOf(t, one(data.NewSchema(data.Int64, data.Param(paramType, "uint32"))), int64(1)<<32)},
		"INT64 can't be written as that":                  {Schema: one(data.NewSchema(data.Int64, data.Param(paramType, "double"))), Value: structOf(t, one(data.NewSchema(data.Int64, data.Param(paramType, "double"))), int64(1))},
		"it must be a field number of Protobuf":           {Schema: one(data.NewSchema(data.Int64, data.Param(paramTag, "0"))), Value: structOf(t, one(data.NewSchema(data.Int64, data.Param(paramTag, "0"))), int64(1))},
		"a text is no UTF-8":                              {Schema: data.StringSchema, Value: "\xff"},
		"Invalid type for STRING: class java.lang.Intege": {Schema: data.StringSchema, Value: int32(1)},
		"scrub.invalid.names=true replaces what Protobuf": {Schema: data.StructOf([]data.Field{{Name: "a-b", Schema: data.StringSchema}}), Value: structOf(t, data.StructOf([]data.Field{{Name: "a-b", Schema: data.StringSchema}}), "x")},
	} {
		c := with(t, want[:9], nil)
		_, err := c.FromConnect("t", sv.Schema, sv.Value)
		require.ErrorContains(t, err, "Failed to serialize Protobuf data from topic t :", want)
		require.ErrorContains(t, err, want)
		require.True(t, connecterr.IsData(err), want)
	}
	c := with(t, "", nil)
	for want, b := range map[string][]byte{
		"Unknown magic byte!":                              {1, 0, 0, 0, 1, 0},
		"the message ends within its message indexes":      {0, 0, 0, 0, 1},
		"Invalid message indexes: there are -1":            {0, 0, 0, 0, 1, 1},
		"error code: 40403":                                {0, 0, 0, 0, 99, 0},
		"Invalid message indexes: [3]":                     framed(t, c, everythingText, []int{3}, nil),
		"Invalid message indexes: [-1]":                    framed(t, c, everythingText, []int{-1}, nil),
		"the message ends too soon":                        framed(t, c, everythingText, []int{0}, []byte{8}),
		"Protocol message had invalid UTF-8":               framed(t, c, everythingText, []int{0}, []byte{0x42, 1, 0xff}),
		"is no date: year 0, month 0, day 0":               framed(t, c, everythingText, []int{0}, []byte{0x9a, 1, 0}),
		"Zero length BigInteger":                           framed(t, c, everythingText, []int{0}, []byte{0x92, 1, 0}),
		"is no time of day: hours 0, minutes 0, seconds 6": framed(t, c, everythingText, []int{0}, []byte{0xa2, 1, 2, 0x18, 60}),
		"Timestamp is not valid (field shop.Everything.w":  framed(t, c, everythingText, []int{0}, []byte{0xaa, 1, 6, 0x10, 0x80, 0x94, 0xeb, 0xdc, 3}),
		"The message Tree has itself inside":               framed(t, c, `syntax = "proto3"; message Tree { Tree left = 1; }`, []int{0}, nil),
		"groups can't be read":                             framed(t, c, `message G { optional group Inner = 1 { optional int32 a = 1; } }`, []int{0}, nil),
		"Message missing required fields: R.a":             framed(t, c, `message R { required int32 a = 1; }`, []int{0}, nil),
		"none.proto is none of the schema's references":    framed(t, c, `import "none.proto"; message R { required int32 a = 1; }`, []int{0}, nil),
		"the Protobuf schema can't be read: line 1:1":      framed(t, c, `nonsense`, []int{0}, nil),
		"braces lie in braces more than 200 deep":          framed(t, c, strings.Repeat("message A{", 300)+strings.Repeat("}", 300), []int{0}, nil),
	} {
		_, err := c.ToConnect("t", b)
		require.ErrorContains(t, err, "Failed to deserialize data for topic t to Protobuf: ", want)
		require.ErrorContains(t, err, want)
		require.True(t, connecterr.IsData(err), want)
	}
}

func TestProtobuf_keys_change_what_nulls_are(t *testing.T) {
	t.Parallel()
	s := data.StructOf([]data.Field{{Name: "n", Schema: data.OptionalInt32Schema}, {Name: "s", Schema: data.StructOf(street.Fields(), data.Name("Street"), data.Optional())},
		{Name: "d", Schema: data.NewSchema(data.Int64, data.Optional(), data.DefaultValue(int64(7)))}}, data.Name("N"))
	null := data.NewStruct(s)
	for key, want := range map[string][3]string{
		"":                             {"int32 n = 1;", "Struct{n=0,d=7}", "int64 d = 3;"},
		"optional.for.nullables":       {"optional int32 n = 1;", "Struct{d=7}", "optional int64 d = 3;"},
		"wrapper.for.nullables":        {"google.protobuf.Int32Value n = 1;", "Struct{d=7}", "google.protobuf.Int64Value d = 3;"},
		"generate.struct.for.nulls":    {"int32 n = 1;", "Struct{n=0,s=Struct{no=0},d=7}", "Street s = 2;"},
		"ignore.default.for.nullables": {"int32 n = 1;", "Struct{n=0,d=0}", "int64 d = 3;"},
	} {
		props := map[string]string{}
		if key != "" {
			props[key] = "true"
		}
		c := with(t, key, props)
		text, _, err := c.own(s)
		require.NoError(t, err)
		require.Contains(t, text, "  "+want[0]+"\n", key)
		require.Contains(t, text, "  "+want[2]+"\n", key)
		b, err := c.FromConnect("t", s, null)
		require.NoError(t, err)
		theirs(t, c, s, b)
		back, err := c.ToConnect("t", b)
		require.NoError(t, err)
		require.Equal(t, want[1], data.Text(back.Value), key)
		require.NoError(t, back.Value.(*data.Struct).Validate(), key)
	}
	proto2 := with(t, "proto2", map[string]string{"optional.for.proto2": "false"})
	back, err := proto2.ToConnect("t", framed(t, proto2, `message A { optional int32 n = 1 [default = 3]; }`, []int{0}, nil))
	require.NoError(t, err)
	require.Equal(t, "Struct{n=3}", data.Text(back.Value))
}

func TestProtobuf_keys_change_unions_and_enums(t *testing.T) {
	t.Parallel()
	const text = `syntax = "proto3"; message A { oneof o { int32 n = 1; string s = 2; } E e = 3; enum E { X = 0; Y = 4; } }`
	message := []byte{0x12, 1, 'z', 0x18, 4}
	for key, want := range map[string]string{
		"generate.index.for.unions=true":    "Struct{o_0=Struct{s=z},e=Y}",
		"generate.index.for.unions=false":   "Struct{o=Struct{s=z},e=Y}",
		"flatten.unions=true":               "Struct{s=z,e=Y}",
		"int.for.enums=true":                "Struct{o_0=Struct{s=z},e=4}",
		"generalized.sum.type.support=true": "Struct{o_0=Struct{s=z},e=Y}",
	} {
		name, value, _ := strings.Cut(key, "=")
		c := with(t, key, map[string]string{name: value})
		back, err := c.ToConnect("t", framed(t, c, text, []int{0}, message))
		require.NoError(t, err)
		require.Equal(t, want, data.Text(back.Value), key)
		b, err := c.FromConnect("t", back.Schema, back.Value)
		require.NoError(t, err, key)
		require.Equal(t, message, b[registry.HeaderSize+1:], key)
		own, _, err := c.own(back.Schema)
		require.NoError(t, err)
		require.Equal(t, name != "flatten.unions", strings.Contains(own, "oneof o {"), key)
		require.Contains(t, own, "enum E {", key)
		if name == "generalized.sum.type.support" {
			e, _ := back.Schema.Field("e")
			y, _ := e.Schema.Param("org.apache.kafka.connect.data.Enum.Y")
			o, _ := back.Schema.Field("o_0")
			union, _ := o.Schema.Param("org.apache.kafka.connect.data.Union")
			require.Equal(t, []string{"4", "o"}, []string{y, union})
		}
	}
}

func TestProtobuf_names(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"plain": "plain", "a-b": "a_b", "1st": "x1st", "_x": "x_x", "ä c": "_C3_A4_c", "a*": "a_"} {
		require.Equal(t, want, rules{scrub: true}.scrubbed(name), name)
		require.Equal(t, name, rules{}.scrubbed(name))
	}
	for name, want := range map[string]string{"StringMapEntry": "string_map", "a.B.FooEntry": "a.B.foo", "Other": "Other", "a.b": "a.b"} {
		require.Equal(t, want, mapName(name))
	}
	require.Equal(t, []string{"StringMapEntry", "plainEntry"}, []string{entryName("string_map"), entryName("plain")})
	inner := data.StructOf([]data.Field{{Name: "google", Schema: data.TimestampSchema()}}, data.Name("x.at"))
	s := data.StructOf([]data.Field{{Name: "at", Schema: inner}, {Name: "k-y", Schema: data.StringSchema}, {Name: "tagged", Schema: data.NewSchema(data.Int32, data.Param(paramTag, "1"))}}, data.Name("com.a-b.Top"))
	c := with(t, "", map[string]string{"scrub.invalid.names": "true"})
	text, name, err := c.own(s)
	require.NoError(t, err)
	require.Equal(t, "com.a_b.Top", name)
	require.Equal(t, `syntax = "proto3";
package com.a_b;

import "google/protobuf/timestamp.proto";

message Top {
  atMessage at = 2;
  string k_y = 3;
  int32 tagged = 1;

  message atMessage {
    .google.protobuf.Timestamp google = 1;
  }
}
`, text, "a name that a field has is not a message's; numbers that are asked for are nobody else's; types are found though a field has their package's name")
	v := structOf(t, s, structOf(t, inner, data.Instant(5)), "k", int32(1))
	b, err := c.FromConnect("t", s, v)
	require.NoError(t, err)
	back, err := c.ToConnect("t", b)
	require.NoError(t, err)
	require.Equal(t, "Struct{at=Struct{google=Thu Jan 01 00:00:00 UTC 1970},k_y=k,tagged=1}", data.Text(back.Value))
}

// What comes again is added to what was there, as Protobuf says; and the last member of a oneof counts.
func TestProtobuf_merges(t *testing.T) {
	t.Parallel()
	c := with(t, "", nil)
	const text = `syntax = "proto3"; message A { B b = 1; repeated int32 r = 2; oneof o { B x = 3; int32 y = 4; } map<string, B> m = 5; } message B { int32 p = 1; int32 q = 2; }`
	for want, message := range map[string]string{
		"Struct{b=Struct{p=1,q=2},r=[],m={}}":             "\x0a\x02\x08\x01\x0a\x02\x10\x02",
		"Struct{r=[1, 2, 3],m={}}":                        "\x10\x01\x12\x02\x02\x03",
		"Struct{o_0=Struct{y=7},r=[],m={}}":               "\x1a\x02\x08\x01\x20\x07",
		"Struct{o_0=Struct{x=Struct{p=0,q=2}},r=[],m={}}": "\x1a\x02\x08\x01\x20\x07\x1a\x02\x10\x02",
		"Struct{o_0=Struct{x=Struct{p=1,q=2}},r=[],m={}}": "\x1a\x02\x08\x01\x1a\x02\x10\x02",
		"Struct{r=[],m={k=Struct{p=0,q=0}}}":              "\x2a\x03\x0a\x01k",
		"Struct{r=[],m={=Struct{p=5,q=0}}}":               "\x2a\x04\x12\x02\x08\x05",
		"Struct{o_0=Struct{x=Struct{p=0,q=0}},r=[],m={}}": "\x1a\x00\xfa\x01\x03abc",
	} {
		back, err := c.ToConnect("t", framed(t, c, text, []int{0}, []byte(message)))
		require.NoError(t, err)
		require.Equal(t, want, data.Text(back.Value))
	}
}

func TestProtobuf_by_a_given_schema(t *testing.T) {
	t.Parallel()
	s := data.StructOf([]data.Field{{Name: "id", Schema: data.Int32Schema}, {Name: "name", Schema: data.OptionalStringSchema}, {Name: "m", Schema: data.MapSchema(data.StringSchema, data.Float32Schema)}}, data.Name("shop.Customer"))
	v := structOf(t, s, int32(5), "Ada", data.MapOf("k", float32(0)))
	given := func(text string, props map[string]string) (*Converter, []byte, error) {
		name := fmt.Sprint(len(text), props)
		framed(t, with(t, name, nil), text, []int{0}, nil)
		all := map[string]string{"auto.register.schemas": "false", "use.latest.version": "true"}
		for k, v := range props {
			all[k] = v
		}
		c := with(t, name, all)
		b, err := c.FromConnect("t", s, v)
		return c, b, err
	}
	c, b, err := given(`syntax = "proto3"; package shop; message Other { int32 x = 1; } message Customer { message Deep {} fixed64 id = 9; optional string name = 4; map<string, double> m = 3; int32 new = 1; }`, nil)
	require.NoError(t, err)
	require.Equal(t, "0000000001"+"0202"+"1a0c0a016b110000000000000000"+"2203416461"+"490500000000000000", hex.EncodeToString(b), "by its numbers and types")
	back, err := c.ToConnect("t", b)
	require.NoError(t, err)
	require.Equal(t, "Struct{id=5,name=Ada,m={k=0.0},new=0}", data.Text(back.Value))

	const narrow = `syntax = "proto3"; package shop; message Customer { int32 id = 2; string name = 4; }`
	_, _, err = given(narrow, nil)
	require.ErrorContains(t, err, "latest.compatibility.strict=false")
	require.ErrorContains(t, err, "the message shop.Customer has no field m")
	_, b, err = given(narrow, map[string]string{"latest.compatibility.strict": "false"})
	require.NoError(t, err)
	require.Equal(t, "000000000100"+"1005"+"2203416461", hex.EncodeToString(b))
	_, _, err = given(`syntax = "proto3"; package shop; message Customer { string id = 2; string name = 4; map<string, float> m = 5; }`, nil)
	require.ErrorContains(t, err, "can't be written as the field id of the message shop.Customer, which is string")
	_, _, err = given(`syntax = "proto3"; message Nobody { }`, nil)
	require.ErrorContains(t, err, "the schema in the registry has no message shop.Customer")
	require.True(t, connecterr.IsData(err))
}

func TestProtobuf_refers_to_known_files_where_a_registry_lacks_them(t *testing.T) {
	t.Parallel()
	for strategy, subject := range map[string]string{refName: decimalFile, refQualfied: "confluent.type.decimal"} {
		c := with(t, strategy, map[string]string{"skip.known.types": "false", "reference.subject.name.strategy": strategy})
		b, err := c.FromConnect("t", everything, everyValue(t))
		require.NoError(t, err)
		id, _, err := registry.Split(b)
		require.NoError(t, err)
		s, deps, err := c.serde.Schema("t", id)
		require.NoError(t, err)
		require.Equal(t, registry.Reference{Name: decimalFile, Subject: subject, Version: 1}, s.References[1])
		require.Len(t, deps, 4, "meta, decimal, date, time of day; Google's timestamp comes with every compiler")
		back, err := c.ToConnect("t", b)
		require.NoError(t, err)
		require.Contains(t, data.Text(back.Value), "price=-123.45,day=Sat Jan 08")
	}
	require.EqualError(t, (&Converter{}).Configure(map[string]string{"schema.registry.url": "mock://x", "reference.subject.name.strategy": "x.Mine"}, converter.ForValue),
		"Invalid value x.Mine for configuration reference.subject.name.strategy: it must be "+refName+" or "+refQualfied+"; strategies of one's own can't be loaded")
}

// Every known file is one that the compiler takes.
func TestProtobuf_known_files(t *testing.T) {
	t.Parallel()
	for name, text := range known {
		file, err := compile(fmt.Sprintf("syntax = \"proto3\"; import %q;", name), nil)
		require.NoError(t, err, name)
		require.Equal(t, 1, file.Imports().Len())
		require.NotEmpty(t, text)
	}
	m, err := compile(wrappersText, nil)
	require.NoError(t, err)
	for i := range m.Messages().Len() {
		require.NotZero(t, wrapped[string(m.Messages().Get(i).FullName())])
	}
}

func TestProtobuf_nothing_is_nothing(t *testing.T) {
	t.Parallel()
	c := with(t, "", nil)
	for _, s := range []*data.Schema{nil, data.StringSchema, data.OptionalStringSchema, everything} {
		b, err := c.FromConnect("t", s, nil)
		require.NoError(t, err)
		require.Nil(t, b)
	}
	back, err := c.ToConnect("t", nil)
	require.NoError(t, err)
	require.Equal(t, data.SchemaAndValue{}, back)
}

// A message of two bytes for each element can't be blown up without bound.
func TestProtobuf_bounds_what_a_message_becomes(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`syntax = "proto3"; message A { repeated B b = 1; } message B {`)
	for i := range 1000 {
		fmt.Fprintf(&b, " int32 f%d = %d;", i, i+1)
	}
	c := with(t, "", nil)
	message := framed(t, c, b.String()+"}", []int{0}, nil)
	for range 20000 {
		message = append(message, 0x0a, 0)
	}
	_, err := c.ToConnect("t", message)
	require.ErrorContains(t, err, "the message has more than 10000000 fields and elements")
	doubling := `syntax = "proto3"; `
	for i := range 30 {
		doubling += fmt.Sprintf("message M%d { M%d a = 1; M%d b = 2; } ", i, i+1, i+1)
	}
	_, err = c.ToConnect("t", framed(t, c, doubling+"message M30 {}", []int{0}, nil))
	require.ErrorContains(t, err, "has more than 100000 parts")
}
