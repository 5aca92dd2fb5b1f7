package convertertest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
)

// Once is what AsksOnce sends and expects.
type Once struct {
	Registered string                 // members of a JSON object: the schema with the id 1, as a registry answers with it
	Write      [2]data.SchemaAndValue // of schemas that are equal, and two
	Read, Text string                 // the bytes of a message behind the id, and the text of its value
}

// AsksOnce requires that after the first message of a schema the registry is asked nothing, also about a schema that it does not
// have. over makes a converter over the registry at an address.
func AsksOnce(t *testing.T, over func(url string) converter.Converter, o Once) {
	t.Helper()
	var asked atomic.Int32
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		switch {
		case strings.HasPrefix(req.URL.Path, "/schemas/ids/9"):
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error_code":40403,"message":"Schema 9 not found"}`))
		case req.Method == http.MethodGet:
			_, _ = w.Write([]byte(`{` + o.Registered + `}`))
		default:
			_, _ = w.Write([]byte(`{"id":1,"version":1,` + o.Registered + `}`))
		}
	}))
	t.Cleanup(r.Close)
	c := over(r.URL)
	for range 50 {
		for _, w := range o.Write {
			_, err := c.FromConnect("t", w.Schema, w.Value)
			require.NoError(t, err)
		}
	}
	require.EqualValues(t, 1, asked.Load())
	for range 50 {
		back, err := c.ToConnect("t", []byte("\x00\x00\x00\x00\x01"+o.Read))
		require.NoError(t, err)
		require.Equal(t, o.Text, data.Text(back.Value))
	}
	require.EqualValues(t, 3, asked.Load(), "the schema, and its version")
	for range 50 {
		_, err := c.ToConnect("t", []byte("\x00\x00\x00\x00\x09"+o.Read))
		require.ErrorContains(t, err, "40403")
	}
	require.EqualValues(t, 4, asked.Load())
}
