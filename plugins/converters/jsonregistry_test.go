package converters

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/plugins/converters/jsonschema"
	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/tests/conformance/convertertest"
	"github.com/millrace/millrace/tests/servers"
)

// overMock makes a converter over a registry of the test's own.
func overMock(t testing.TB, name string, props map[string]string) *jsonSchemaConverter {
	t.Helper()
	return convertertest.OverMock(t, &jsonSchemaConverter{}, name, props)
}

var structure = convertertest.StructOf

var (
	shopCustomer = data.StructOf([]data.Field{{Name: "id", Schema: data.Int64Schema}, {Name: "name", Schema: data.OptionalStringSchema}}, data.Name("shop.Customer"))
	anyOfTwo     = data.StructOf([]data.Field{{Name: "io.confluent.connect.json.OneOf.field.0", Schema: data.OptionalInt64Schema},
		{Name: "io.confluent.connect.json.OneOf.field.1", Schema: data.NewSchema(data.String, data.Optional())}}, data.Name("io.confluent.connect.json.OneOf"))
	color = data.NewSchema(data.String, data.Param("io.confluent.connect.json.Enum", ""), data.Param("io.confluent.connect.json.Enum.RED", "RED"), data.Param("io.confluent.connect.json.Enum.B", "B"))
)

// The schemas are what Confluent's documentation shows; a message is a zero, the id of its schema, and JSON.
func TestJSONSchema_schemas_and_messages(t *testing.T) {
	t.Parallel()
	for i, test := range []struct {
		schema        *data.Schema
		value         any
		text, message string
	}{
		{data.StringSchema, "ab", `{"type":"string"}`, `"ab"`},
		{data.NewSchema(data.Int8), int8(-1), `{"type":"integer","connect.type":"int8"}`, `-1`},
		{data.NewSchema(data.Int16), int16(300), `{"type":"integer","connect.type":"int16"}`, `300`},
		{data.Int32Schema, int32(5), `{"type":"integer","connect.type":"int32"}`, `5`},
		{data.Int64Schema, int64(9007199254740993), `{"type":"integer","connect.type":"int64"}`, `9007199254740993`},
		{data.Float32Schema, float32(1.5), `{"type":"number","connect.type":"float32"}`, `1.5`},
		{data.Float64Schema, 1.5, `{"type":"number","connect.type":"float64"}`, `1.5`},
		{data.BooleanSchema, true, `{"type":"boolean"}`, `true`},
		{data.BytesSchema, []byte{1, 2, 3}, `{"type":"string","connect.type":"bytes"}`, `"AQID"`},
		{data.OptionalStringSchema, nil, `{"oneOf":[{"type":"null"},{"type":"string"}]}`, `null`},
		{data.OptionalInt32Schema, int32(1), `{"oneOf":[{"type":"null"},{"type":"integer","connect.type":"int32"}]}`, `1`},
		{data.ArrayOf(data.OptionalInt32Schema), []any{int32(1), nil}, `{"type":"array","items":{"oneOf":[{"type":"null"},{"type":"integer","connect.type":"int32"}]}}`, `[1,null]`},
		{data.MapSchema(data.StringSchema, data.Int64Schema), data.MapOf("a", int64(1)), `{"type":"object","additionalProperties":{"type":"integer","connect.type":"int64"},"connect.type":"map"}`, `{"a":1}`},
		{data.MapSchema(data.Int32Schema, data.StringSchema), data.MapOf(int32(1), "x"), `{"type":"array","items":{"type":"object","properties":{"key":{"type":"integer","connect.type":"int32","connect.index":0},` +
			`"value":{"type":"string","connect.index":1}}},"connect.type":"map"}`, `[{"key":1,"value":"x"}]`},
		{data.DecimalSchema(2), data.NewDecimal(-150, 2), `{"type":"number","title":"org.apache.kafka.connect.data.Decimal","connect.version":1,"connect.parameters":{"scale":"2"},"connect.type":"bytes"}`, `"/2o="`},
		{data.DateSchema(), data.Instant(3 * data.Day), `{"type":"integer","title":"org.apache.kafka.connect.data.Date","connect.version":1,"connect.type":"int32"}`, `3`},
		{data.TimestampSchema(), data.Instant(-1), `{"type":"integer","title":"org.apache.kafka.connect.data.Timestamp","connect.version":1,"connect.type":"int64"}`, `-1`},
		{data.NewSchema(data.Int32, data.Optional(), data.DefaultValue(int32(7)), data.Doc("d"), data.Name("n")), nil, `{"oneOf":[{"type":"null"},{"type":"integer","title":"n","description":"d","default":7,"connect.type":"int32"}]}`, `7`},
		{color, "B", `{"enum":["RED","B"]}`, `"B"`},
		{anyOfTwo, structure(t, anyOfTwo, nil, "x"), `{"oneOf":[{"type":"integer","connect.type":"int64","connect.index":0},{"type":"string","connect.index":1}]}`, `"x"`},
		{shopCustomer, structure(t, shopCustomer, int64(3), "Ada"), `{"type":"object","properties":{"id":{"type":"integer","connect.type":"int64","connect.index":0},` +
			`"name":{"oneOf":[{"type":"null"},{"type":"string"}],"connect.index":1}},"title":"shop.Customer"}`, `{"id":3,"name":"Ada"}`},
	} {
		c := overMock(t, fmt.Sprint(i), nil)
		own, err := c.rules.Own(test.schema)
		require.NoError(t, err)
		require.Equal(t, test.text, own)
		require.True(t, json.Valid([]byte(own)))
		b, err := c.FromConnect("t", test.schema, test.value)
		require.NoError(t, err, own)
		require.Equal(t, "\x00\x00\x00\x00\x01"+test.message, string(b), own)
		back, err := c.ToConnect("t", b)
		require.NoError(t, err, own)
		want := test.value
		if want == nil {
			want = test.schema.Default()
		}
		if st, ok := want.(*data.Struct); ok {
			for i := range st.Schema().Fields() {
				require.Equal(t, st.Raw(i), back.Value.(*data.Struct).Raw(i), own)
			}
		} else {
			require.Equal(t, want, back.Value, own)
		}
	}
}

func TestJSONSchema_reads_what_others_write(t *testing.T) {
	t.Parallel()
	const text = `{"$schema":"http://json-schema.org/draft-07/schema#","title":"Order","description":"an order","type":"object","required":["id"],
		"definitions":{"money":{"type":"number"},"line":{"type":"object","title":"Line","properties":{"sku":{"type":"string"},"price":{"$ref":"#/definitions/money"}}}},
		"properties":{"last":{"type":"boolean","connect.index":9},"id":{"type":"integer"},"note":{"type":["string","null"]},"lines":{"type":"array","items":{"$ref":"#/definitions/line"}},
			"how":{"oneOf":[{"type":"null"},{"type":"integer"},{"type":"object","title":"Card","properties":{"no":{"type":"string"}}},{"type":"object","title":"Bank","properties":{"iban":{"type":"string"},"no":{"type":"string"}}}]},
			"state":{"type":"string","enum":["NEW","DONE"],"default":"NEW"},"address":{"$ref":"address.json"},
			"both":{"allOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},{"$ref":"#/definitions/line"}]}}}`
	address := jsonschema.Named{Name: "address.json", Text: `{"type":"object","title":"Address","properties":{"zip":{"type":"string"}}}`}
	c := overMock(t, "", nil)
	s, err := c.rules.Parse(text, []jsonschema.Named{address}, 4)
	require.NoError(t, err)
	version, _ := s.Version()
	doc, _ := s.Doc()
	require.Equal(t, []any{"Order", int32(4), "an order"}, []any{s.Name(), version, doc})
	var names []string
	for _, f := range s.Fields() {
		names = append(names, f.Name)
	}
	require.Equal(t, []string{"id", "note", "lines", "how", "state", "address", "both", "last"}, names)
	field := func(name string) *data.Schema { f, _ := s.Field(name); return f.Schema }
	require.True(t, field("id").Equal(data.Int64Schema))
	require.True(t, field("note").Equal(data.OptionalStringSchema))
	require.Equal(t, "Line", field("lines").ValueSchema().Name())
	require.True(t, field("how").Optional())
	require.Len(t, field("how").Fields(), 3)
	require.Equal(t, "NEW", field("state").Default())
	require.Equal(t, "Address", field("address").Name())
	require.Len(t, field("both").Fields(), 3)

	c.in.tree.Parse([]byte(`{"id":7,"lines":[{"sku":"a","price":1.5,"more":1}],"how":{"iban":"DE","no":"1"},"address":{"zip":"1"},"both":{"a":1},"last":true,"unknown":[]}`))
	v, err := c.in.value(s, c.in.tree.Root())
	require.NoError(t, err)
	st := v.(*data.Struct)
	require.Equal(t, []any{int64(7), nil, "NEW", true}, []any{st.At(0), st.At(1), st.At(4), st.At(7)})
	how := st.At(3).(*data.Struct)
	require.Nil(t, how.At(0))
	require.Nil(t, how.At(1), "Bank has more of the members than Card")
	require.Equal(t, "DE", how.At(2).(*data.Struct).At(0))

	optional := overMock(t, "optional", map[string]string{"use.optional.for.nonrequired": "true"})
	s, err = optional.rules.Parse(text, []jsonschema.Named{address}, 0)
	require.NoError(t, err)
	require.False(t, field("id").Optional())
	require.True(t, field("last").Optional())
	require.True(t, field("both").Optional())
}

func TestJSONSchema_refuses(t *testing.T) {
	t.Parallel()
	c := overMock(t, "", nil)
	for text, want := range map[string]string{
		``:                      "the JSON Schema  is empty",
		`{`:                     "is no JSON",
		`true`:                  "Unsupported schema type: true",
		`{}`:                    "Unsupported schema type: {}",
		`{"type":"null"}`:       `Unsupported schema type: {"type":"null"}`,
		`{"type":"array"}`:      "Array schema did not specify the items type",
		`{"$ref":"#/nowhere"}`:  "refers to #/nowhere, which is not there",
		`{"$ref":"other.json"}`: "refers to other.json, which is not there",
		`{"$ref":"#"}`:          "has itself inside",
		`{"type":"object","properties":{"next":{"$ref":"#"}}}`:            "has itself inside",
		`{"type":"integer","connect.type":"int9"}`:                        "Unsupported type int9",
		`{"type":"string","connect.parameters":{"a":1}}`:                  "Expected schema parameter values to be strings but found: 1",
		`{"type":"array","items":{"type":"string"},"default":["a",null]}`: "the default",
		`{"allOf":[{}]}`: "Unsupported criterion allOf",
	} {
		_, err := c.rules.Parse(text, nil, 0)
		require.ErrorContains(t, err, want, text)
		require.True(t, connecterr.IsData(err), text)
	}
	_, err := c.FromConnect("orders", nil, "x")
	require.ErrorContains(t, err, "Converting Kafka Connect data to byte[] failed due to serialization error of topic orders: a value without a schema can't be written")
	_, err = c.FromConnect("orders", data.Int32Schema, "x")
	require.EqualError(t, err, "Converting Kafka Connect data to byte[] failed due to serialization error of topic orders: Invalid type for INT32: class java.lang.String")
	b, err := c.FromConnect("orders", data.Int32Schema, nil)
	require.NoError(t, err)
	require.Nil(t, b)
	b, err = c.FromConnect("orders", shopCustomer, structure(t, shopCustomer, int64(1)))
	require.NoError(t, err)
	for message, want := range map[string]string{
		"\x01":                              "Unknown magic byte!",
		string(b[:5]) + "{":                 "Error deserializing JSON message for id",
		string(b[:5]) + "[]":                "Structs should be encoded as JSON objects, but found ARRAY",
		string(b[:5]) + `{"id":null}`:       "Invalid null value for required INT64 field",
		"\x00\x00\x00\x00\x63" + `{"id":1}`: "Error retrieving JSON value schema for id 99: Schema 99 not found; error code: 40403",
	} {
		_, err := c.ToConnect("orders", []byte(message))
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "Converting byte[] to Kafka Connect data failed due to serialization error of topic orders: ")
		require.True(t, connecterr.IsData(err))
	}
}

// Whatever is written is read as the same under the same schema.
func TestJSONSchema_property_round_trip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		for _, format := range []string{"BASE64", "NUMERIC"} {
			c := &jsonSchemaConverter{}
			require.NoError(rt, c.Configure(map[string]string{"schema.registry.url": "mock://" + t.Name(), "decimal.format": format}, converter.ForValue))
			defer c.Close()
			s, v := convertertest.Draw(rt, 3)
			b, err := c.FromConnect("t", s, v)
			require.NoError(rt, err)
			require.True(rt, json.Valid(b[registry.HeaderSize:]), "%s", b)
			back, err := c.ToConnect("t", b)
			require.NoError(rt, err, "%s", b)
			require.True(rt, back.Schema.Equal(s), "%s\n%s", back.Schema, s)
			require.True(rt, data.Equal(v, back.Value) || infinite(v), "%v\n%v", v, back.Value)
		}
	})
}

// FuzzJSONSchema_reads: any schema and any text are read or refused as bad data, and what is read can be written and read.
func FuzzJSONSchema_reads(f *testing.F) {
	for schema, message := range map[string]string{
		`{"type":"string"}`: `"a"`, `{"type":["integer","null"]}`: `null`, `{"enum":["a",null,1]}`: `"a"`,
		`{"type":"object","title":"t","properties":{"a":{"type":"integer","connect.type":"int8","connect.index":1},"b":{"$ref":"#/definitions/x"}},"definitions":{"x":{"type":"array","items":{"type":"number"}}}}`: `{"a":300,"b":[1.5]}`,
		`{"oneOf":[{"type":"null"},{"type":"integer"},{"type":"object","properties":{"x":{"type":"boolean"}}}]}`:                                                                                                    `{"x":true}`,
		`{"type":"number","title":"org.apache.kafka.connect.data.Decimal","connect.version":1,"connect.parameters":{"scale":"2"},"connect.type":"bytes"}`:                                                           `"/2o="`,
		`{"type":"array","items":{"type":"object","properties":{"key":{"type":"integer"},"value":{"type":"string"}}},"connect.type":"map"}`:                                                                         `[{"key":1,"value":"x"}]`,
		`{"allOf":[{"properties":{"a":{"type":"string","default":"x"}}},{"$ref":"#/allOf/0"}]}`:                                                                                                                     `{}`,
	} {
		f.Add(schema, message)
	}
	f.Fuzz(func(t *testing.T, text, message string) {
		c := &jsonSchemaConverter{}
		require.NoError(t, c.Configure(map[string]string{"schema.registry.url": "mock://fuzz-json"}, converter.ForValue))
		defer c.Close()
		s, err := c.rules.Parse(text, nil, 0)
		if err != nil {
			require.True(t, connecterr.IsData(err), "%v", err)
			return
		}
		if c.in.tree.Parse([]byte(message)) != nil {
			return
		}
		v, err := c.in.value(s, c.in.tree.Root())
		if err != nil {
			require.True(t, connecterr.IsData(err), "%v", err)
			return
		}
		b, err := c.FromConnect("t", s, v)
		if err != nil || b == nil {
			require.True(t, err == nil || connecterr.IsData(err), "%v", err)
			return
		}
		back, err := c.ToConnect("t", b)
		if err != nil { // such as titles that the schema lets stand and a logical type can't have
			require.True(t, connecterr.IsData(err), "%v", err)
			return
		}
		_, err = c.FromConnect("t", back.Schema, back.Value)
		require.True(t, err == nil || connecterr.IsData(err), "%v", err)
	})
}

func TestJSONSchema_with_a_real_registry(t *testing.T) {
	t.Parallel()
	url, topic := servers.Registry(t), rand.Text()
	post := func(path string, body any) (id struct{ ID int32 }) {
		t.Helper()
		text, err := json.Marshal(body)
		require.NoError(t, err)
		resp, err := http.Post(url+path, "application/json", bytes.NewReader(text))
		require.NoError(t, err)
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode, "%s", got)
		require.NoError(t, json.Unmarshal(got, &id))
		return id
	}
	c := overMock(t, "", map[string]string{"schema.registry.url": url})
	b, err := c.FromConnect(topic, shopCustomer, structure(t, shopCustomer, int64(7), "Ada"))
	require.NoError(t, err)
	reader := overMock(t, "", map[string]string{"schema.registry.url": url})
	back, err := reader.ToConnect(topic, b)
	require.NoError(t, err)
	version, _ := back.Schema.Version()
	require.EqualValues(t, 1, version)
	require.Equal(t, []any{"shop.Customer", int64(7), "Ada"}, []any{back.Schema.Name(), back.Value.(*data.Struct).At(0), back.Value.(*data.Struct).At(1)})

	post("/subjects/ref-"+topic+"/versions", map[string]any{"schemaType": "JSON", "schema": `{"type":"object","title":"Street","properties":{"no":{"type":"integer"}}}`})
	given := post("/subjects/"+topic+"-2-value/versions", map[string]any{"schemaType": "JSON", "schema": `{"type":"object","title":"Address","properties":{"at":{"$ref":"street.json"},"zip":{"type":"string"}}}`,
		"references": []map[string]any{{"name": "street.json", "subject": "ref-" + topic, "version": 1}}})
	street := data.StructOf([]data.Field{{Name: "no", Schema: data.Int64Schema}}, data.Name("Street"))
	address := data.StructOf([]data.Field{{Name: "at", Schema: street}}, data.Name("Address"))
	latest := overMock(t, "", map[string]string{"schema.registry.url": url, "auto.register.schemas": "false", "use.latest.version": "true"})
	b, err = latest.FromConnect(topic+"-2", address, structure(t, address, structure(t, street, int64(5))))
	require.NoError(t, err)
	id, payload, err := registry.Split(b)
	require.NoError(t, err)
	require.Equal(t, given.ID, id)
	require.Equal(t, `{"at":{"no":5}}`, string(payload))
	back, err = reader.ToConnect(topic+"-2", b)
	require.NoError(t, err)
	require.Equal(t, int64(5), back.Value.(*data.Struct).At(0).(*data.Struct).At(0))
	_, err = latest.FromConnect(topic+"-2", shopCustomer, structure(t, shopCustomer, int64(7)))
	require.True(t, connecterr.IsData(err), "%v", err)
	require.ErrorContains(t, err, "latest.compatibility.strict=false")
}
