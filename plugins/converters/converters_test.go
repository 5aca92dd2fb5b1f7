package converters

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
)

func conv(t *testing.T, class string, props map[string]string) converter.Converter {
	t.Helper()
	r, err := plugin.New(All()...)
	require.NoError(t, err)
	p, err := r.Find(plugin.Converter, class)
	require.NoError(t, err)
	c := p.NewConverter()
	require.NoError(t, c.Configure(props, converter.ForValue))
	return c
}

func TestString_writes_any_value_and_reads_text(t *testing.T) {
	t.Parallel()
	c := conv(t, "StringConverter", nil)
	for want, v := range map[string]any{"x": "x", "5": int64(5), "true": true, "[1, 2]": []any{int64(1), int64(2)}} {
		b, err := c.FromConnect("t", nil, v)
		require.NoError(t, err)
		require.Equal(t, want, string(b))
	}
	b, err := c.FromConnect("t", nil, nil)
	require.NoError(t, err)
	require.Nil(t, b)
	sv, err := c.ToConnect("t", []byte("ä"))
	require.NoError(t, err)
	require.Equal(t, data.SchemaAndValue{Schema: data.OptionalStringSchema, Value: "ä"}, sv)
	sv, err = c.ToConnect("t", nil)
	require.NoError(t, err)
	require.Equal(t, data.SchemaAndValue{Schema: data.OptionalStringSchema}, sv)
	require.Error(t, c.Configure(map[string]string{"converter.encoding": "UTF-16"}, converter.ForValue))
}

func TestBytes_pass_through_and_nothing_else_does(t *testing.T) {
	t.Parallel()
	c := conv(t, "ByteArrayConverter", nil)
	b, err := c.FromConnect("t", data.BytesSchema, []byte{0, 255})
	require.NoError(t, err)
	require.Equal(t, []byte{0, 255}, b)
	_, err = c.FromConnect("t", data.StringSchema, "x")
	require.EqualError(t, err, "Invalid schema type for ByteArrayConverter: STRING")
	_, err = c.FromConnect("t", nil, "x")
	require.EqualError(t, err, "ByteArrayConverter is not compatible with objects of type class java.lang.String")
	view := []byte{1}
	sv, err := c.ToConnect("t", view)
	require.NoError(t, err)
	view[0] = 9
	require.Equal(t, []byte{1}, sv.Value, "the bytes may be a view that dies with its batch")
}

func TestJSON_with_schemas_goes_out_and_comes_back(t *testing.T) {
	t.Parallel()
	c := conv(t, "JsonConverter", nil)
	inner := data.StructOf([]data.Field{{Name: "n", Schema: data.NewSchema(data.Int8, data.DefaultValue(int8(3)))}, {Name: "o", Schema: data.OptionalStringSchema}},
		data.Name("inner"), data.Version(2), data.Doc("d"), data.Param("p", "q"))
	st := data.NewStruct(inner)
	st.SetAt(0, int8(5))
	for want, sv := range map[string]data.SchemaAndValue{
		`{"schema":{"type":"string","optional":false},"payload":"a<b"}`:                                          {Schema: data.StringSchema, Value: "a<b"},
		`{"schema":{"type":"int64","optional":false},"payload":9007199254740993}`:                                {Schema: data.Int64Schema, Value: int64(9007199254740993)},
		`{"schema":{"type":"double","optional":false},"payload":1.5}`:                                            {Schema: data.Float64Schema, Value: 1.5},
		`{"schema":{"type":"bytes","optional":true},"payload":"AQI="}`:                                           {Schema: data.OptionalBytesSchema, Value: []byte{1, 2}},
		`{"schema":{"type":"string","optional":true},"payload":null}`:                                            {Schema: data.OptionalStringSchema},
		`{"schema":{"type":"array","optional":false,"items":{"type":"int32","optional":false}},"payload":[1,2]}`: {Schema: data.ArrayOf(data.Int32Schema), Value: []any{int32(1), int32(2)}},
		`{"schema":{"type":"map","optional":false,"keys":{"type":"int32","optional":false},"values":{"type":"string","optional":false}},"payload":[[1,"x"]]}`: {
			Schema: data.MapSchema(data.Int32Schema, data.StringSchema), Value: data.MapOf(int32(1), "x")},
		`{"schema":{"type":"struct","optional":false,"name":"inner","version":2,"doc":"d","parameters":{"p":"q"},"fields":[` +
			`{"type":"int8","optional":false,"default":3,"field":"n"},{"type":"string","optional":true,"field":"o"}]},"payload":{"n":5,"o":null}}`: {Schema: inner, Value: st},
	} {
		b, err := c.FromConnect("t", sv.Schema, sv.Value)
		require.NoError(t, err)
		require.Equal(t, want, string(b))
		back, err := c.ToConnect("t", b)
		require.NoError(t, err, want)
		again, err := c.FromConnect("t", back.Schema, back.Value)
		require.NoError(t, err)
		require.Equal(t, want, string(again))
	}
}

func TestJSON_refuses_a_value_that_is_not_of_its_schemas_type(t *testing.T) {
	t.Parallel()
	for want, sv := range map[string]data.SchemaAndValue{
		"Invalid type for INT32: class java.lang.String":      {Schema: data.Int32Schema, Value: "x"},
		"Invalid type for bytes type: class java.lang.String": {Schema: data.BytesSchema, Value: "x"},
		"Invalid type for STRING: class [B":                   {Schema: data.ArrayOf(data.StringSchema), Value: []any{[]byte("x")}},
	} {
		for _, enabled := range []string{"true", "false"} {
			_, err := conv(t, "JsonConverter", map[string]string{"schemas.enable": enabled}).FromConnect("t", sv.Schema, sv.Value)
			require.EqualError(t, err, want)
		}
	}
}

func TestJSON_without_schemas_keeps_order_and_whole_numbers(t *testing.T) {
	t.Parallel()
	c := conv(t, "JsonConverter", map[string]string{"schemas.enable": "false"})
	const text = `{"z":1,"a":[true,null,"x",1.5,9007199254740993],"m":{"b":"\u0001ü"}}`
	sv, err := c.ToConnect("t", []byte(text))
	require.NoError(t, err)
	require.Nil(t, sv.Schema)
	b, err := c.FromConnect("t", nil, sv.Value)
	require.NoError(t, err)
	require.Equal(t, text, string(b))
	b, err = c.FromConnect("t", nil, nil)
	require.NoError(t, err)
	require.Nil(t, b, "a tombstone stays one")
}

func TestJSON_refuses_what_it_cannot_read_as_bad_data(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		props map[string]string
		text  string
		want  string
	}{
		"plain JSON where a schema is expected": {nil, `{"a":1}`, `JsonConverter with schemas.enable requires "schema" and "payload" fields`},
		"a number where a schema is expected":   {nil, `5`, `JsonConverter with schemas.enable requires`},
		"no JSON":                               {map[string]string{"schemas.enable": "false"}, `{a`, "Converting byte[] to Kafka Connect data failed due to serialization error"},
		"more than one value":                   {map[string]string{"schemas.enable": "false"}, `1 2`, "Converting byte[] to Kafka Connect data failed"},
		"an unknown type":                       {nil, `{"schema":{"type":"color"},"payload":1}`, "Unknown schema type: color"},
		"a type that does not fit":              {nil, `{"schema":{"type":"boolean"},"payload":1}`, "Invalid type for BOOLEAN"},
		"null where it is not allowed":          {nil, `{"schema":{"type":"string"},"payload":null}`, "Invalid null value for required STRING field"},
	} {
		_, err := conv(t, "JsonConverter", c.props).ToConnect("t", []byte(c.text))
		require.ErrorContains(t, err, c.want, name)
		require.Equal(t, connecterr.Data, connecterr.KindOf(err), name)
	}
}

func TestSimpleHeader_guesses_what_a_text_stands_for(t *testing.T) {
	t.Parallel()
	h := simpleHeader{}
	for text, want := range map[string]any{"5": int8(5), "300": int16(300), "70000": int32(70000), "5000000000": int64(5000000000), "true": true, "1.5": 1.5, "x1": "x1", "Infinity": "Infinity", "": ""} {
		sv, err := h.ToConnectHeader("t", "k", []byte(text))
		require.NoError(t, err)
		require.Equal(t, want, sv.Value, text)
		b, err := h.FromConnectHeader("t", "k", sv.Schema, sv.Value)
		require.NoError(t, err)
		require.Equal(t, text, string(b))
	}
	sv, err := h.ToConnectHeader("t", "k", nil)
	require.NoError(t, err)
	require.Equal(t, data.SchemaAndValue{}, sv)
}

func TestJSON_schema_content_is_the_schema_of_everything_that_is_read(t *testing.T) {
	t.Parallel()
	c := conv(t, "JsonConverter", map[string]string{"schema.content": `{"type":"int32","optional":false}`})
	sv, err := c.ToConnect("t", []byte("5"))
	require.NoError(t, err)
	require.Equal(t, int32(5), sv.Value)
	require.Equal(t, data.Int32, sv.Schema.Type())
	require.ErrorContains(t, c.Configure(map[string]string{"schema.content": `{"type":"nonsense"}`}, converter.ForValue), "schema.content")
}
