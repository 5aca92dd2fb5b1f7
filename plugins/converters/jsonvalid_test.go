package converters

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/converters/jsonschema"
	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

func TestJSONSchema_refuses_what_is_not_valid_if_it_is_asked_to(t *testing.T) {
	t.Parallel()
	const schema = `{"title":"Order","type":"object","required":["id"],"properties":{"id":{"type":"integer","minimum":1},"name":{"type":"string","pattern":"^(?=A)[A-Z]+$"},"to":{"$ref":"address.json"}}}`
	address := jsonschema.Named{Name: "address.json", Text: `{"type":"object","properties":{"zip":{"type":"string","maxLength":5}}}`}
	v, err := jsonschema.NewValidator(schema, []jsonschema.Named{address})
	require.NoError(t, err)
	for message, want := range map[string]string{
		`{"id":1,"name":"ADA","to":{"zip":"1"}}`: "",
		`{"id":1,"more":[1]}`:                    "",
		`{"name":"ADA"}`:                         `/ breaks the rule "required"`,
		`{"id":0}`:                               `/id breaks the rule "minimum"`,
		`{"id":"secret"}`:                        `/id breaks the rule "type"`,
		`{"id":1,"name":"BDA"}`:                  `/name breaks the rule "pattern"`,
		`{"id":1,"to":{"zip":"123456"}}`:         `/to/zip breaks the rule "maxLength"`,
		`[`:                                      `the message is no JSON`,
	} {
		err := v.Check([]byte(message))
		if want == "" {
			require.NoError(t, err, message)
			continue
		}
		require.ErrorContains(t, err, want, message)
		require.NotContains(t, err.Error(), "secret", "what is in a record is nobody's business")
	}
	require.NoError(t, (*jsonschema.Validator)(nil).Check([]byte("anything")))
	for _, broken := range []string{`{"type":7}`, `{"$ref":"none.json"}`, `{"$ref":"file:///etc/passwd"}`, `nonsense`} {
		_, err := jsonschema.NewValidator(broken, nil)
		require.True(t, connecterr.IsData(err), "%s: %v", broken, err)
	}
}

func TestJSONSchema_validates_both_ways(t *testing.T) {
	t.Parallel()
	strict := map[string]string{"json.fail.invalid.schema": "true", "auto.register.schemas": "false", "use.latest.version": "true", "latest.compatibility.strict": "false"}
	lax, c := overMock(t, "", nil), overMock(t, "", strict)
	s := data.StructOf([]data.Field{{Name: "id", Schema: data.Int64Schema}}, data.Name("Order"))
	target, err := lax.serde.Target("t", "", registry.Schema{Type: registry.JSON, Text: `{"title":"Order","type":"object","properties":{"id":{"type":"integer","minimum":1}}}`})
	require.NoError(t, err)
	message := func(text string) []byte { return append(registry.AppendHeader(nil, target.ID), text...) }

	_, err = c.FromConnect("t", s, structure(t, s, int64(0)))
	require.ErrorContains(t, err, `/id breaks the rule "minimum"`)
	require.True(t, connecterr.IsData(err))
	b, err := c.FromConnect("t", s, structure(t, s, int64(5)))
	require.NoError(t, err)
	require.Equal(t, message(`{"id":5}`), b)

	_, err = c.ToConnect("t", message(`{"id":0}`))
	require.ErrorContains(t, err, `/id breaks the rule "minimum"`)
	require.True(t, connecterr.IsData(err))
	back, err := c.ToConnect("t", b)
	require.NoError(t, err)
	require.Equal(t, "Struct{id=5}", data.Text(back.Value))
	_, err = lax.ToConnect("t", message(`{"id":0}`))
	require.NoError(t, err, "nobody asked")

	// Its own schemas take what it writes, of every type.
	own := overMock(t, "own", map[string]string{"json.fail.invalid.schema": "true"})
	for _, sv := range []data.SchemaAndValue{{Schema: data.OptionalInt32Schema, Value: int32(1)}, {Schema: data.ArrayOf(data.OptionalStringSchema), Value: []any{nil, "x"}},
		{Schema: data.MapSchema(data.Int32Schema, data.StringSchema), Value: data.MapOf(int32(1), "x")}, {Schema: shopCustomer, Value: structure(t, shopCustomer, int64(3), nil)}, {Schema: color, Value: "B"}} {
		b, err := own.FromConnect("t", sv.Schema, sv.Value)
		require.NoError(t, err, sv.Schema)
		back, err := own.ToConnect("t", b)
		require.NoError(t, err, sv.Schema)
		require.Equal(t, data.Text(sv.Value), data.Text(back.Value))
	}
}
