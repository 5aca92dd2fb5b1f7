package convertertest

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/tests/servers"
)

// Registry is a real schema registry, spoken to as an administrator does.
type Registry struct {
	*testing.T
	URL string
}

// Real starts a real registry, or finds the one that is there, and makes up the name of a topic.
func Real(t *testing.T) (r Registry, topic string) {
	t.Helper()
	return Registry{t, servers.Registry(t)}, rand.Text()
}

// Ask sends a request, which must succeed, and returns the members of its answer.
func (r Registry) Ask(method, path string, body any) (answer map[string]any) {
	r.Helper()
	text, err := json.Marshal(body)
	require.NoError(r, err)
	req, err := http.NewRequestWithContext(r.Context(), method, r.URL+path, bytes.NewReader(text))
	require.NoError(r, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(r, err)
	defer resp.Body.Close() //nolint:errcheck // it was read
	got, err := io.ReadAll(resp.Body)
	require.NoError(r, err)
	require.Equal(r, 200, resp.StatusCode, "%s %s: %s", method, path, got)
	_ = json.Unmarshal(got, &answer) // some answers are no objects
	return answer
}
