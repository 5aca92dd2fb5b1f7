package protobuf

import (
	"encoding/json"
	"maps"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/tests/conformance/convertertest"
)

func over(t *testing.T, r convertertest.Registry, props map[string]string) *Converter {
	t.Helper()
	all := map[string]string{"schema.registry.url": r.URL}
	maps.Copy(all, props)
	return with(t, "", all)
}

func TestProtobuf_with_a_real_registry(t *testing.T) {
	t.Parallel()
	s, topic := convertertest.Real(t)
	// It does not know Confluent's files: they are registered, and referred to.
	writer, reader := over(t, s, map[string]string{"skip.known.types": "false"}), over(t, s, nil)
	b, err := writer.FromConnect(topic, everything, everyValue(t))
	require.NoError(t, err)
	kept := s.Ask(http.MethodGet, "/subjects/"+topic+"-value/versions/latest", nil)
	require.Equal(t, "PROTOBUF", kept["schemaType"])
	require.Equal(t, everythingText, kept["schema"])
	id, _, err := registry.Split(b)
	require.NoError(t, err)
	require.EqualValues(t, kept["id"], id)
	back, err := reader.ToConnect(topic, b)
	require.NoError(t, err)
	version, _ := back.Schema.Version()
	require.EqualValues(t, 1, version)
	require.Contains(t, data.Text(back.Value), "price=-123.45,day=Sat Jan 08 00:00:00 UTC 2022")

	// A second version of the subject, which the registry must be asked for.
	row := data.StructOf([]data.Field{{Name: "id", Schema: data.Int64Schema}}, data.Name("shop.Row"))
	wider := data.StructOf(append(row.Fields(), data.Field{Name: "tier", Schema: data.OptionalInt32Schema}), data.Name("shop.Row"))
	_, err = reader.FromConnect(topic+"2", row, structOf(t, row, int64(8)))
	require.NoError(t, err)
	b, err = reader.FromConnect(topic+"2", wider, structOf(t, wider, int64(8), int32(2)))
	require.NoError(t, err)
	back, err = reader.ToConnect(topic+"2", b)
	require.NoError(t, err)
	version, _ = back.Schema.Version()
	require.EqualValues(t, 2, version)
	require.Equal(t, "Struct{id=8,tier=2}", data.Text(back.Value))

	// The topic was copied: its subject has no such schema, and it can be read.
	back, err = reader.ToConnect("copy-of-"+topic, b)
	require.NoError(t, err)
	_, has := back.Schema.Version()
	require.False(t, has)

	for _, sv := range []data.SchemaAndValue{{Schema: data.StringSchema, Value: "ab"}, {Schema: data.Int64Schema, Value: int64(5)}, {Schema: data.TimestampSchema(), Value: data.Instant(1)}} {
		b, err := reader.FromConnect(topic+"-"+sv.Schema.Type().String(), sv.Schema, sv.Value)
		require.NoError(t, err)
		back, err := reader.ToConnect(topic+"-"+sv.Schema.Type().String(), b)
		require.NoError(t, err)
		require.Equal(t, sv.Value, back.Value)
	}
	_, err = reader.ToConnect(topic, []byte{0, 0x7f, 0xff, 0xff, 0xff, 0})
	require.True(t, connecterr.IsData(err), "%v", err)
	require.Contains(t, err.Error(), "error code: 40403")
}

func TestProtobuf_with_a_real_registry_that_refuses(t *testing.T) {
	t.Parallel()
	s, topic := convertertest.Real(t)
	c := over(t, s, nil)
	row := data.StructOf([]data.Field{{Name: "id", Schema: data.Int64Schema}}, data.Name("shop.Row"))
	other := data.StructOf([]data.Field{{Name: "id", Schema: data.StringSchema}}, data.Name("shop.Row"))
	_, err := c.FromConnect(topic, row, structOf(t, row, int64(7)))
	require.NoError(t, err)
	s.Ask(http.MethodPut, "/config/"+topic+"-value", map[string]string{"compatibility": "BACKWARD"})
	_, err = c.FromConnect(topic, other, structOf(t, other, "x"))
	require.Equal(t, connecterr.Config, connecterr.KindOf(err), "%v", err)
	require.Contains(t, err.Error(), "Failed to access Protobuf data from topic "+topic+" : Error registering Protobuf schema")
	require.Contains(t, err.Error(), "error code: 409")

	absent := over(t, s, map[string]string{"auto.register.schemas": "false"})
	_, err = absent.FromConnect("no-"+topic, row, structOf(t, row, int64(7)))
	require.True(t, connecterr.IsData(err), "%v", err)
	require.Contains(t, err.Error(), "error code: 40401")
	_, err = absent.FromConnect(topic, row, structOf(t, row, int64(7)))
	require.NoError(t, err, "what is there is found")
}

func TestProtobuf_with_a_real_registry_by_given_schemas_and_references(t *testing.T) {
	t.Parallel()
	s, topic := convertertest.Real(t)
	ref := "ref-" + topic
	s.Ask(http.MethodPost, "/subjects/"+ref+"/versions", map[string]any{"schemaType": "PROTOBUF", "schema": `syntax = "proto3"; package shop; message Street { int64 no = 4; }`})
	given := s.Ask(http.MethodPost, "/subjects/"+topic+"-value/versions", map[string]any{"schemaType": "PROTOBUF",
		"schema":     "syntax = \"proto3\";\npackage shop;\nimport \"street.proto\";\nmessage Before {}\nmessage Address { shop.Street at = 3; optional string zip = 2; }",
		"references": []map[string]any{{"name": "street.proto", "subject": ref, "version": 1}}})
	address := data.StructOf([]data.Field{{Name: "at", Schema: street}}, data.Name("shop.Address"))
	value := structOf(t, address, structOf(t, street, int64(5)))
	for name, props := range map[string]map[string]string{
		"latest": {"use.latest.version": "true"},
		"id":     {"use.schema.id": string(must(json.Marshal(given["id"])))},
	} {
		props["auto.register.schemas"] = "false"
		c := over(t, s, props)
		b, err := c.FromConnect(topic, address, value)
		require.NoError(t, err, name)
		require.Equal(t, []byte{2, 2, 0x1a, 2, 0x20, 5}, b[registry.HeaderSize:], name)
		back, err := c.ToConnect(topic, b)
		require.NoError(t, err, name)
		require.Equal(t, "Struct{at=Struct{no=5}}", data.Text(back.Value), name)
		odd := data.StructOf([]data.Field{{Name: "odd", Schema: data.Int64Schema}}, data.Name("shop.Address"))
		_, err = c.FromConnect(topic, odd, structOf(t, odd, int64(1)))
		require.True(t, connecterr.IsData(err), name)
		require.Contains(t, err.Error(), "compatibility.strict=false", name)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
