package avro

import (
	"encoding/hex"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/tests/conformance/convertertest"
)

// with makes a converter over a registry of the test's own.
func with(t testing.TB, name string, props map[string]string) *Converter {
	t.Helper()
	return convertertest.OverMock(t, &Converter{}, name, props)
}

func customer(opts ...data.Option) *data.Schema {
	return data.StructOf([]data.Field{{Name: "id", Schema: data.Int64Schema}, {Name: "name", Schema: data.OptionalStringSchema}}, append([]data.Option{data.Name("shop.Customer")}, opts...)...)
}

var structOf = convertertest.StructOf

// The bytes are worked out by Avro's specification, the schemas are what Confluent's documentation and registries show.
func TestAvro_schemas_and_bytes(t *testing.T) {
	t.Parallel()
	withDefaults := data.StructOf([]data.Field{
		{Name: "a", Schema: data.NewSchema(data.Int32, data.DefaultValue(int32(7)))},
		{Name: "b", Schema: data.NewSchema(data.String, data.Optional(), data.DefaultValue("x"))},
		{Name: "c", Schema: data.OptionalBooleanSchema}}, data.Name("D"))
	for i, test := range []struct {
		schema *data.Schema
		value  any
		avro   string
		bytes  string
	}{
		{data.StringSchema, "ab", `"string"`, "046162"},
		{data.Int32Schema, int32(-1), `"int"`, "01"},
		{data.Int64Schema, int64(64), `"long"`, "8001"},
		{data.NewSchema(data.Int8), int8(-2), `{"type":"int","connect.type":"int8"}`, "03"},
		{data.NewSchema(data.Int16), int16(300), `{"type":"int","connect.type":"int16"}`, "d804"},
		{data.Float32Schema, float32(1.5), `"float"`, "0000c03f"},
		{data.Float64Schema, 1.5, `"double"`, "000000000000f83f"},
		{data.Float64Schema, math.Copysign(0, -1), `"double"`, "0000000000000080"},
		{data.BooleanSchema, true, `"boolean"`, "01"},
		{data.BytesSchema, []byte{1, 2, 3}, `"bytes"`, "010203"}, // without a length, as Confluent's serializer has it
		{data.OptionalBytesSchema, []byte{1}, `["null","bytes"]`, "020201"},
		{data.OptionalStringSchema, "x", `["null","string"]`, "020278"},
		{data.ArrayOf(data.Int32Schema), []any{int32(1), int32(2)}, `{"type":"array","items":"int"}`, "04020400"},
		{data.ArrayOf(data.Int32Schema), []any{}, `{"type":"array","items":"int"}`, "00"},
		{data.MapSchema(data.StringSchema, data.OptionalInt32Schema), data.MapOf("a", int32(1), "b", nil), `{"type":"map","values":["null","int"]}`, "0402610202026200" + "00"},
		{data.MapSchema(data.Int32Schema, data.StringSchema), data.MapOf(int32(1), "x"),
			`{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":"int"},{"name":"value","type":"string"}]}}`, "0202027800"},
		{data.DecimalSchema(2), data.NewDecimal(-150, 2),
			`{"type":"bytes","scale":2,"precision":64,"connect.version":1,"connect.parameters":{"scale":"2"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}`, "ff6a"},
		{data.DateSchema(), data.Instant(3 * data.Day), `{"type":"int","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Date","logicalType":"date"}`, "06"},
		{data.TimeSchema(), data.Instant(1), `{"type":"int","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Time","logicalType":"time-millis"}`, "02"},
		{data.TimestampSchema(), data.Instant(-1), `{"type":"long","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Timestamp","logicalType":"timestamp-millis"}`, "01"},
		{customer(), structOf(t, customer(), int64(3), "Ada"),
			`{"type":"record","name":"Customer","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"name","type":["null","string"],"default":null}],"connect.name":"shop.Customer"}`, "0602064164" + "61"},
		{customer(data.Version(2), data.Doc("d"), data.Param("p", "q")), structOf(t, customer(data.Version(2), data.Doc("d"), data.Param("p", "q")), int64(3)),
			`{"type":"record","name":"Customer","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"name","type":["null","string"],"default":null}],` +
				`"connect.doc":"d","connect.version":2,"connect.parameters":{"p":"q"},"connect.name":"shop.Customer"}`, "0600"},
		{withDefaults, structOf(t, withDefaults),
			`{"type":"record","name":"D","fields":[{"name":"a","type":{"type":"int","connect.default":7},"default":7},{"name":"b","type":[{"type":"string","connect.default":"x"},"null"],"default":"x"},` +
				`{"name":"c","type":["null","boolean"],"default":null}],"connect.name":"D"}`, "0e000278" + "00"},
	} {
		c := with(t, fmt.Sprint(i), nil)
		own, err := c.own(test.schema)
		require.NoError(t, err)
		require.Equal(t, test.avro, own.String())
		again, err := Parse(test.avro)
		require.NoError(t, err)
		require.Equal(t, test.avro, again.String(), "what is read is written alike")
		b, err := c.FromConnect("t", test.schema, test.value)
		require.NoError(t, err, test.avro)
		require.Equal(t, "0000000001"+test.bytes, hex.EncodeToString(b), test.avro)
		back, err := c.ToConnect("t", b)
		require.NoError(t, err, test.avro)
		if _, ok := test.value.(*data.Struct); !ok {
			require.Equal(t, test.value, back.Value, test.avro)
		}
		third, err := c.FromConnect("t", back.Schema, back.Value)
		require.NoError(t, err, test.avro)
		require.Equal(t, b[5:], third[5:], test.avro)
	}
}

func TestAvro_values_without_a_schema_are_anything(t *testing.T) {
	t.Parallel()
	s, err := Parse(anythingText)
	require.NoError(t, err)
	require.Equal(t, anythingText, s.String())
	c := with(t, "", nil)
	for _, v := range []any{true, []byte{1}, 1.5, float32(2), int32(3), int64(4), "five", []any{int32(1), "two", nil}, data.MapOf("a", int32(1), int64(2), []any{}), []any{}} {
		b, err := c.FromConnect("t", nil, v)
		require.NoError(t, err)
		back, err := c.ToConnect("t", b)
		require.NoError(t, err)
		require.Equal(t, data.SchemaAndValue{Value: v}, back)
	}
	b, err := c.FromConnect("t", nil, int8(3))
	require.NoError(t, err)
	require.Equal(t, "0000000001000000000206"[:10]+"00000000"+"0206"+"00000000", hex.EncodeToString(b))
	b, err = c.FromConnect("t", nil, nil)
	require.NoError(t, err)
	require.Nil(t, b)
	_, err = c.FromConnect("t", nil, data.NewDecimal(1, 0))
	require.ErrorContains(t, err, "Unknown Java type for schemaless data: class java.math.BigDecimal")
}

func TestAvro_reads_what_others_write(t *testing.T) {
	t.Parallel()
	const text = `{"type":"record","name":"R","namespace":"n","doc":"rd","fields":[
		{"name":"e","doc":"fd","type":{"type":"enum","name":"E","symbols":["A","B"],"default":"A"}},
		{"name":"f","type":{"type":"fixed","name":"F","size":2}},
		{"name":"u","type":["null","int","string",{"type":"record","name":"In","fields":[{"name":"x","type":"E"}]}],"default":null},
		{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":1}},
		{"name":"fd","type":{"type":"fixed","name":"FD","size":3,"logicalType":"decimal","precision":5,"scale":2}},
		{"name":"i","type":"int","default":5},
		{"name":"m","type":{"type":"long","logicalType":"timestamp-micros"}}]}`
	s, err := Parse(text)
	require.NoError(t, err)
	c := with(t, "", nil)
	plan, err := c.read(s, 4)
	require.NoError(t, err)
	conn := plan.conn
	version, _ := conn.Version()
	require.Equal(t, []any{"n.R", int32(4)}, []any{conn.Name(), version})
	field := func(name string) *data.Schema { f, _ := conn.Field(name); return f.Schema }
	require.True(t, field("e").Equal(data.NewSchema(data.String, data.Name("n.E"), data.Param("io.confluent.connect.avro.enum.default.E", "A"), data.Param("io.confluent.connect.avro.Enum", "n.E"),
		data.Param("io.confluent.connect.avro.Enum.A", "A"), data.Param("io.confluent.connect.avro.Enum.B", "B"))))
	require.True(t, field("f").Equal(data.NewSchema(data.Bytes, data.Name("n.F"), data.Param("connect.fixed.size", "2"))))
	require.Equal(t, "io.confluent.connect.avro.Union", field("u").Name())
	require.True(t, field("u").Optional())
	require.Equal(t, "In", field("u").Fields()[2].Name)
	require.True(t, field("d").Equal(data.DecimalSchema(1, data.Param("connect.decimal.precision", "9"))))
	require.True(t, field("i").Equal(data.NewSchema(data.Int32, data.DefaultValue(int32(5)), data.Param("io.confluent.connect.avro.field.default", "true"))))
	require.True(t, field("m").Equal(data.Int64Schema))
	doc, _ := conn.Param("io.confluent.connect.avro.record.doc")
	fdoc, _ := conn.Param("io.confluent.connect.avro.field.doc.e")
	require.Equal(t, []string{"rd", "fd"}, []string{doc, fdoc})

	bytes, err := hex.DecodeString("02" + "0102" + "0602" + "0219" + "ffff9c" + "0a" + "02")
	require.NoError(t, err)
	in := input{bytes}
	v, err := plan.value(&in)
	require.NoError(t, err)
	require.Empty(t, in.b)
	st := v.(*data.Struct)
	require.Equal(t, []any{"B", []byte{1, 2}, data.NewDecimal(25, 1), data.NewDecimal(-100, 2), int32(5), int64(1)}, []any{st.At(0), st.At(1), st.At(3), st.At(4), st.At(5), st.At(6)})
	union := st.At(2).(*data.Struct)
	require.Equal(t, "B", union.At(2).(*data.Struct).At(0))

	own, err := (rules{enhanced: true, meta: true}).own(conn)
	require.NoError(t, err)
	require.Contains(t, own.String(), `"type":"enum","name":"E","symbols":["A","B"],"default":"A"`)
}

func TestAvro_writes_by_the_schema_of_the_registry(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ given, bytes, wrong string }{
		{`{"type":"record","name":"Customer","namespace":"shop","fields":[{"name":"name","type":["null","string"]},{"name":"tier","type":"int","default":3},{"name":"id","type":"long"}]}`, "0202610604", ""},
		{`{"type":"record","name":"Other","fields":[{"name":"id","type":"long"}]}`, "", "the Avro record Other has no field name"},
		{`{"type":"record","name":"Other","fields":[{"name":"id","type":"long"},{"name":"name","type":["null","string"]},{"name":"must","type":"int"}]}`, "", "the field must of the Avro record Other has no default"},
		{`{"type":"record","name":"Other","fields":[{"name":"id","type":"int"},{"name":"name","type":["null","string"]}]}`, "", "Schema{INT64} can't be written as the Avro type int"},
		{`{"type":"record","name":"Other","fields":[{"name":"id","type":"long"},{"name":"name","type":"string"}]}`, "", "can be null, and the Avro schema has no null there"},
	} {
		s, err := Parse(test.given)
		require.NoError(t, err)
		w, err := (rules{meta: true}).write(customer(), s, true)
		if test.wrong != "" {
			require.ErrorContains(t, err, test.wrong)
			require.True(t, connecterr.IsData(err))
			continue
		}
		require.NoError(t, err)
		b, err := w.append(nil, structOf(t, customer(), int64(2), "a"))
		require.NoError(t, err)
		require.Equal(t, test.bytes, hex.EncodeToString(b))
	}
}

func TestAvro_names(t *testing.T) {
	t.Parallel()
	inner := data.StructOf([]data.Field{{Name: "x", Schema: data.Int32Schema}})
	other := data.StructOf([]data.Field{{Name: "y", Schema: data.Int32Schema}})
	s := data.StructOf([]data.Field{{Name: "a", Schema: inner}, {Name: "b", Schema: other}, {Name: "c", Schema: inner}})
	own, err := rules{meta: true}.own(s)
	require.NoError(t, err)
	require.Equal(t, `{"type":"record","name":"ConnectDefault","namespace":"io.confluent.connect.avro","fields":[{"name":"a","type":{"type":"record","name":"ConnectDefault2","fields":[{"name":"x","type":"int"}]}},`+
		`{"name":"b","type":{"type":"record","name":"ConnectDefault3","fields":[{"name":"y","type":"int"}]}},{"name":"c","type":"ConnectDefault2"}]}`, own.String())
	clash := data.StructOf([]data.Field{{Name: "a", Schema: data.StructOf([]data.Field{{Name: "x", Schema: data.Int32Schema}}, data.Name("N"))},
		{Name: "b", Schema: data.StructOf([]data.Field{{Name: "y", Schema: data.Int32Schema}}, data.Name("N"))}})
	_, err = rules{meta: true}.own(clash)
	require.ErrorContains(t, err, "Can't redefine: N.")
	for name, want := range map[string]string{"a-b": "a_b", "1a": "x1a", "fine_1": "fine_1", "ä": "_C3_A4", "a b*c~d": "a_b_c_7Ed", "": ""} {
		require.Equal(t, want, rules{scrub: true}.scrubbed(name))
		require.Equal(t, name, rules{}.scrubbed(name))
	}
}

func TestAvro_refuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:       "the Avro schema is empty",
		`{`:      "the Avro schema is no JSON",
		`"nope"`: `Undefined name: "nope"`,
		`{"type":"record","name":"A","fields":[{"name":"x","type":"int"},{"name":"x","type":"int"}]}`: "two of the same name",
		`["int",["null"]]`:                      "Nested union",
		`["int","int"]`:                         "Duplicate in union: int",
		`[]`:                                    "a union without a type",
		`{"type":"fixed","name":"F","size":-1}`: "Invalid or no size",
		`[{"type":"fixed","name":"F","size":1},{"type":"fixed","name":"F","size":2}]`: "Can't redefine: F",
		`{"type":"array"}`: "No items type",
		`{"name":"x"}`:     "No type",
	} {
		_, err := Parse(text)
		require.ErrorContains(t, err, want, text)
		require.True(t, connecterr.IsData(err), text)
	}
	for text, want := range map[string]string{
		`"null"`: "Standalone null schemas are not supported by this converter",
		`{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}`:     "The Avro record L has itself inside",
		`{"type":"int","connect.type":"int9"}`:                                            "Connect type annotation for Avro int field is null",
		`{"type":"string","connect.parameters":{"a":1}}`:                                  "Expected schema parameter values to be strings but found: 1",
		`{"type":"string","connect.version":"x"}`:                                         "Invalid Connect version found",
		`{"type":"int","logicalType":"date","connect.name":"x"}`:                          "Mismatched names",
		`[{"type":"fixed","name":"a.F","size":1},{"type":"fixed","name":"b.F","size":2}]`: "Multiple union schemas map to the Connect union field name",
	} {
		s, err := Parse(text)
		require.NoError(t, err, text)
		_, err = rules{meta: true}.read(s, 0)
		require.ErrorContains(t, err, want, text)
	}
	c := with(t, "", nil)
	_, err := c.FromConnect("orders", data.Int32Schema, "x")
	require.EqualError(t, err, "Failed to serialize Avro data from topic orders :: Invalid type for INT32: class java.lang.String")
	_, err = c.FromConnect("orders", data.Int32Schema, nil)
	require.EqualError(t, err, "Failed to serialize Avro data from topic orders :: Found null value for non-optional schema")
	for b, want := range map[string]string{
		"\x01\x00\x00\x00\x01\x02": "Failed to deserialize data for topic orders to Avro: Unknown magic byte!",
		"\x00\x00":                 "Failed to deserialize data for topic orders to Avro: Unknown magic byte!",
		"\x00\x00\x00\x00\x07\x02": "Failed to deserialize data for topic orders to Avro: Error retrieving Avro value schema for id 7: Schema 7 not found; error code: 40403",
	} {
		_, err := c.ToConnect("orders", []byte(b))
		require.EqualError(t, err, want)
		require.True(t, connecterr.IsData(err))
	}
	b, err := c.FromConnect("orders", data.StringSchema, "abc")
	require.NoError(t, err)
	_, err = c.ToConnect("orders", b[:6])
	require.EqualError(t, err, "Failed to deserialize data for topic orders to Avro: Error deserializing Avro message for id 2: the message ends too soon, or it was written with another schema")
}
