package avro

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

func TestAvro_with_a_real_registry(t *testing.T) {
	t.Parallel()
	s, topic := convertertest.Real(t)
	writer, reader := over(t, s, nil), over(t, s, nil)
	sent := structOf(t, customer(), int64(7), "Ada")
	b, err := writer.FromConnect(topic, customer(), sent)
	require.NoError(t, err)
	kept := s.Ask(http.MethodGet, "/subjects/"+topic+"-value/versions/latest", nil)
	own, err := writer.own(customer())
	require.NoError(t, err)
	require.JSONEq(t, own.String(), kept["schema"].(string))
	id, _, err := registry.Split(b)
	require.NoError(t, err)
	require.EqualValues(t, kept["id"], id)

	back, err := reader.ToConnect(topic, b)
	require.NoError(t, err)
	version, _ := back.Schema.Version()
	require.EqualValues(t, 1, version)
	require.Equal(t, []any{int64(7), "Ada"}, []any{back.Value.(*data.Struct).At(0), back.Value.(*data.Struct).At(1)})

	// A second version of the subject, which the registry must be asked for.
	wider := data.StructOf(append(customer().Fields(), data.Field{Name: "tier", Schema: data.OptionalInt32Schema}), data.Name("shop.Customer"))
	b, err = writer.FromConnect(topic, wider, structOf(t, wider, int64(8), nil, int32(2)))
	require.NoError(t, err)
	back, err = reader.ToConnect(topic, b)
	require.NoError(t, err)
	version, _ = back.Schema.Version()
	require.EqualValues(t, 2, version)

	// The topic was copied: its subject has no such schema, and it can be read.
	back, err = reader.ToConnect("copy-of-"+topic, b)
	require.NoError(t, err)
	_, has := back.Schema.Version()
	require.False(t, has)

	_, err = reader.ToConnect(topic, []byte{0, 0x7f, 0xff, 0xff, 0xff, 0})
	require.True(t, connecterr.IsData(err), "%v", err)
	require.Contains(t, err.Error(), "error code: 40403")
}

func TestAvro_with_a_real_registry_that_refuses(t *testing.T) {
	t.Parallel()
	s, topic := convertertest.Real(t)
	c := over(t, s, nil)
	_, err := c.FromConnect(topic, customer(), structOf(t, customer(), int64(7)))
	require.NoError(t, err)
	s.Ask(http.MethodPut, "/config/"+topic+"-value", map[string]string{"compatibility": "BACKWARD"})
	must := data.StructOf([]data.Field{{Name: "must", Schema: data.Int32Schema}}, data.Name("shop.Customer"))
	_, err = c.FromConnect(topic, must, structOf(t, must, int32(1)))
	require.Equal(t, connecterr.Config, connecterr.KindOf(err), "%v", err)
	require.Contains(t, err.Error(), "Failed to access Avro data from topic "+topic+" : Error registering Avro schema")
	require.Contains(t, err.Error(), "error code: 409")

	absent := over(t, s, map[string]string{"auto.register.schemas": "false"})
	_, err = absent.FromConnect("no-"+topic, customer(), structOf(t, customer(), int64(7)))
	require.True(t, connecterr.IsData(err), "%v", err)
	require.Contains(t, err.Error(), "error code: 40401")
	_, err = absent.FromConnect(topic, must, structOf(t, must, int32(1)))
	require.True(t, connecterr.IsData(err), "%v", err)
	require.Contains(t, err.Error(), "error code: 40403")
	_, err = absent.FromConnect(topic, customer(), structOf(t, customer(), int64(7)))
	require.NoError(t, err, "what is there is found")
}

func TestAvro_with_a_real_registry_by_given_schemas_and_references(t *testing.T) {
	t.Parallel()
	s, topic := convertertest.Real(t)
	ref := "ref-" + topic
	s.Ask(http.MethodPost, "/subjects/"+ref+"/versions", map[string]any{"schema": `{"type":"record","name":"Street","namespace":"shop","fields":[{"name":"no","type":"long"}]}`})
	given := s.Ask(http.MethodPost, "/subjects/"+topic+"-value/versions", map[string]any{
		"schema":     `{"type":"record","name":"Address","namespace":"shop","fields":[{"name":"at","type":"shop.Street"},{"name":"zip","type":["null","string"],"default":null}]}`,
		"references": []map[string]any{{"name": "shop.Street", "subject": ref, "version": 1}}})
	street := data.StructOf([]data.Field{{Name: "no", Schema: data.Int64Schema}}, data.Name("shop.Street"))
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
		require.Equal(t, []byte{10, 0}, b[registry.HeaderSize:], name)
		back, err := c.ToConnect(topic, b)
		require.NoError(t, err, name)
		require.Equal(t, int64(5), back.Value.(*data.Struct).At(0).(*data.Struct).At(0), name)
		other := data.StructOf([]data.Field{{Name: "odd", Schema: data.Int64Schema}}, data.Name("shop.Odd"))
		_, err = c.FromConnect(topic, other, structOf(t, other, int64(1)))
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
