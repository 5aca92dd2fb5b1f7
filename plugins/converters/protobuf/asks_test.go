package protobuf

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
)

// After the first message of a schema the registry is asked nothing, also about a schema that it does not have.
func TestProtobuf_asks_the_registry_once_for_each_schema(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		const schema = `"schemaType":"PROTOBUF","schema":"syntax = \"proto3\"; message A { message B { int32 n = 1; } }"`
		switch {
		case strings.HasPrefix(req.URL.Path, "/schemas/ids/9"):
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error_code":40403,"message":"Schema 9 not found"}`))
		case req.Method == http.MethodGet:
			_, _ = w.Write([]byte(`{` + schema + `}`))
		default:
			_, _ = w.Write([]byte(`{"id":1,"version":1,` + schema + `}`))
		}
	}))
	t.Cleanup(r.Close)
	c := with(t, "", map[string]string{"schema.registry.url": r.URL})
	again := data.StructOf(everything.Fields(), data.Name("shop.Everything")) // equal, and another
	w := data.NewStruct(again)
	v := everyValue(t)
	for i := range again.Fields() {
		w.SetAt(i, v.Raw(i))
	}
	for range 50 {
		_, err := c.FromConnect("t", everything, v)
		require.NoError(t, err)
		_, err = c.FromConnect("t", again, w)
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, asked.Load())
	for range 50 {
		back, err := c.ToConnect("t", []byte("\x00\x00\x00\x00\x01\x04\x00\x00\x08\x05"))
		require.NoError(t, err)
		require.Equal(t, "Struct{n=5}", data.Text(back.Value))
	}
	require.EqualValues(t, 3, asked.Load(), "the schema, and its version")
	for range 50 {
		_, err := c.ToConnect("t", []byte("\x00\x00\x00\x00\x09\x00"))
		require.ErrorContains(t, err, "40403")
	}
	require.EqualValues(t, 4, asked.Load())
}
