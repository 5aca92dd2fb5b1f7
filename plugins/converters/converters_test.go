package converters

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/data/vector"
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
	require.EqualError(t, c.Configure(map[string]string{"converter.encoding": "runes"}, converter.ForValue), "Unsupported encoding runes: runes")
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
		`{"schema":{"type":"array","items":{"type":"int32","optional":false},"optional":false},"payload":[1,2]}`: {Schema: data.ArrayOf(data.Int32Schema), Value: []any{int32(1), int32(2)}},
		`{"schema":{"type":"map","keys":{"type":"int32","optional":false},"values":{"type":"string","optional":false},"optional":false},"payload":[[1,"x"]]}`: {
			Schema: data.MapSchema(data.Int32Schema, data.StringSchema), Value: data.MapOf(int32(1), "x")},
		`{"schema":{"type":"struct","fields":[{"type":"int8","optional":false,"default":3,"field":"n"},{"type":"string","optional":true,"field":"o"}],` +
			`"optional":false,"name":"inner","version":2,"doc":"d","parameters":{"p":"q"}},"payload":{"n":5,"o":null}}`: {Schema: inner, Value: st},
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

func TestJSON_reads_each_value_as_if_it_were_the_first(t *testing.T) {
	t.Parallel()
	used := conv(t, "JsonConverter", map[string]string{"schemas.cache.size": "2"})
	for _, text := range []string{
		`{"schema":{"type":"int32"},"payload":1}`, `{"schema":{"type":"int32"},"payload":2}`, `{"schema":{"type":"int32"},"payload":3,"x":4}`,
		`{"schema":{"type":"int32"},"payload":3,"payload":4}`, `{"schema":{"type":"int32"},"payload":5`, `{"schema":{"type":"int32"},"payload":6} and more`,
		`{"schema":{"type":"int32"},"payload":"x"}`, `{"schema":{"type":"int64"},"payload":7}`, `{"payload":8,"schema":{"type":"int32"}}`,
		`{"schema":{"type":"int32"},"payload":null}`, `{"schema":{"type":"string"},"payload":"\u00e4"}`, `{"schema":{"type":"int32"},"payload":}`,
		"\xef\xbb\xbf" + `{"schema":{"type":"int32"},"payload":9}`, `{"schema":{"type":"int32"},"payload":10}`, `{"schema":{"type":"int32"},"payload": 11 }`,
	} {
		got, gotErr := used.ToConnect("t", []byte(text))
		want, wantErr := conv(t, "JsonConverter", nil).ToConnect("t", []byte(text))
		require.Equal(t, wantErr, gotErr, text)
		require.True(t, want.Schema.Equal(got.Schema) && data.Equal(want.Value, got.Value), "%s: %s, want %s", text, got, want)
	}
}

func TestJSON_writes_many_schemas_and_remembers_few(t *testing.T) {
	t.Parallel()
	c := conv(t, "JsonConverter", map[string]string{"schemas.cache.size": "3"}).(*jsonConverter)
	for i := range int32(10) {
		b, err := c.FromConnect("t", data.NewSchema(data.Int32, data.Version(i)), i)
		require.NoError(t, err)
		sv, err := c.ToConnect("t", b)
		require.NoError(t, err)
		v, _ := sv.Schema.Version()
		require.Equal(t, []any{i, i}, []any{v, sv.Value})
		require.LessOrEqual(t, len(c.texts), 3)
		require.LessOrEqual(t, len(c.read), 3)
	}
}

func TestJSON_rounds_numbers_once(t *testing.T) {
	t.Parallel()
	sv, err := conv(t, "JsonConverter", nil).ToConnect("t", []byte(`{"schema":{"type":"float"},"payload":1.00000017881393432617187499}`))
	require.NoError(t, err)
	require.Equal(t, float32(1.00000011920928955078125), sv.Value, "not by way of a double, which lies between two floats")
}

func TestGolden_definitions(t *testing.T) {
	t.Parallel()
	r, err := plugin.New(All()...)
	require.NoError(t, err)
	ran := 0
	vector.Each(t, "testdata/config-defs.jsonl.gz", func(id string, v struct {
		Class  string
		Output []struct {
			Name, Type, Importance string
			Required               bool
			Default                json.RawMessage
			Validator              string
		}
	}) {
		ran++
		p, err := r.Find(plugin.HeaderConverter, v.Class)
		require.NoError(t, err, id)
		require.Len(t, p.Def.Keys, len(v.Output), id)
		checked := p.Def.Check(nil)
		for i, want := range v.Output {
			got := p.Def.Keys[i]
			require.Equal(t, []any{want.Name, want.Type, want.Importance, want.Required}, []any{got.Name, string(got.Type), string(got.Importance), got.Required}, id)
			require.Equal(t, want.Validator, validatorText(got.Validators), "%s %s", id, want.Name)
			def, err := vector.Value(want.Default, nil)
			require.NoError(t, err)
			if n, ok := def.(int32); ok {
				def = int64(n)
			}
			require.Equal(t, def, checked[i].Parsed, "%s %s", id, want.Name)
		}
	})
	t.Logf("%d vectors", ran)
}

// validatorText is how Java describes the rules that converters have.
func validatorText(rules []config.Rule) string {
	if len(rules) == 0 {
		return ""
	}
	list := "[" + strings.Join(rules[0].Args, ", ") + "]"
	if rules[0].Kind == config.OneOfFold().Kind {
		return "(case insensitive) " + list
	}
	return list
}
