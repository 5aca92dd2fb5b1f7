package avro

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/tests/servers"
)

// server is a real registry, spoken to as an administrator does.
type server struct {
	*testing.T
	url string
}

func real(t *testing.T) (s server, topic string) {
	t.Helper()
	return server{t, servers.Registry(t)}, rand.Text()
}

func (s server) ask(method, path string, body any) (answer map[string]any) {
	s.Helper()
	text, err := json.Marshal(body)
	require.NoError(s, err)
	req, err := http.NewRequestWithContext(s.Context(), method, s.url+path, bytes.NewReader(text))
	require.NoError(s, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	require.NoError(s, err)
	require.Equal(s, 200, resp.StatusCode, "%s %s: %s", method, path, got)
	_ = json.Unmarshal(got, &answer) // some answers are no objects
	return answer
}

func (s server) with(props map[string]string) *Converter {
	s.Helper()
	all := map[string]string{"schema.registry.url": s.url}
	for k, v := range props {
		all[k] = v
	}
	return with(s.T, "", all)
}

func TestAvro_with_a_real_registry(t *testing.T) {
	t.Parallel()
	s, topic := real(t)
	writer, reader := s.with(nil), s.with(nil)
	sent := structOf(t, customer(), int64(7), "Ada")
	b, err := writer.FromConnect(topic, customer(), sent)
	require.NoError(t, err)
	kept := s.ask(http.MethodGet, "/subjects/"+topic+"-value/versions/latest", nil)
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
	s, topic := real(t)
	c := s.with(nil)
	_, err := c.FromConnect(topic, customer(), structOf(t, customer(), int64(7)))
	require.NoError(t, err)
	s.ask(http.MethodPut, "/config/"+topic+"-value", map[string]string{"compatibility": "BACKWARD"})
	must := data.StructOf([]data.Field{{Name: "must", Schema: data.Int32Schema}}, data.Name("shop.Customer"))
	_, err = c.FromConnect(topic, must, structOf(t, must, int32(1)))
	require.Equal(t, connecterr.Config, connecterr.KindOf(err), "%v", err)
	require.Contains(t, err.Error(), "Failed to access Avro data from topic "+topic+" : Error registering Avro schema")
	require.Contains(t, err.Error(), "error code: 409")

	absent := s.with(map[string]string{"auto.register.schemas": "false"})
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
	s, topic := real(t)
	ref := "ref-" + topic
	s.ask(http.MethodPost, "/subjects/"+ref+"/versions", map[string]any{"schema": `{"type":"record","name":"Street","namespace":"shop","fields":[{"name":"no","type":"long"}]}`})
	given := s.ask(http.MethodPost, "/subjects/"+topic+"-value/versions", map[string]any{
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
		c := s.with(props)
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
