package adopt

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// api answers as Millrace's REST API, from a table of method and path, and notes what it is sent.
func api(t *testing.T, answers map[string]string) (API, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprintf("%s %s %s:%s %s", r.Method, r.URL.EscapedPath(), user, password, body))
		answer, ok := answers[r.Method+" "+r.URL.EscapedPath()]
		if status, text, bad := strings.Cut(answer, "|"); bad {
			var n int
			_, _ = fmt.Sscan(status, &n)
			w.WriteHeader(n)
			answer = text
		} else if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return API{URL: s.URL + "/", User: "u", Password: "p"}, func() []string { mu.Lock(); defer mu.Unlock(); return got }
}

// withOffsets is a connector with two offsets, one in a partition without a name.
func withOffsets(t *testing.T, config map[string]string) Connector {
	t.Helper()
	topics := NewTopics()
	for key, value := range map[string]string{`["a b",{"f":"x","n":1}]`: `{"p":7}`, `["a b",{"f":"y","n":1}]`: `{"p":1.5}`, `["a b",null]`: `{"p":3}`} {
		topics.Offset(kafkaio.Record{Key: []byte(key), Value: []byte(value)})
	}
	topics.connector("a b").config = cluster.ConfigOf(config)
	all := topics.Connectors()
	require.Len(t, all, 1)
	require.Equal(t, 1, all[0].Unnamed)
	return all[0]
}

func TestBring_sends_what_is_not_here(t *testing.T) {
	t.Parallel()
	const path = "/connectors/a%20b/offsets"
	for name, c := range map[string]struct {
		config        map[string]string
		here          string
		want          int
		sent, problem string
	}{
		"none here": {here: ``, want: 2, sent: `{"offsets":[{"partition":{"f":"x","n":1},"offset":{"p":7}},{"partition":{"f":"y","n":1},"offset":{"p":1.5}}]}`},
		"the same":  {here: `{"partition":{"n":1,"f":"x"},"offset":{"p":7}},{"partition":{"f":"y","n":1},"offset":{"p":1.5}},{"partition":{"f":"z"},"offset":{"p":0}}`},
		"a part":    {here: `{"partition":{"n":1,"f":"y"},"offset":{"p":1.5}}`, want: 1, sent: `{"offsets":[{"partition":{"f":"x","n":1},"offset":{"p":7}}]}`},
		"another":   {here: `{"partition":{"n":1,"f":"y"},"offset":{"p":2.5}}`, problem: "it has other offsets here"},
		"another, in a topic of its own": {config: map[string]string{"offsets.storage.topic": "own"}, here: `{"partition":{"n":1,"f":"y"},"offset":{"p":2.5}}`, want: 1,
			sent: `{"offsets":[{"partition":{"f":"x","n":1},"offset":{"p":7}}]}`},
	} {
		a, got := api(t, map[string]string{"GET " + path: `{"offsets":[` + c.here + `]}`, "PATCH " + path: `{"message":"done"}`})
		n, err := a.bring(t.Context(), withOffsets(t, c.config))
		if c.problem != "" {
			require.ErrorContains(t, err, c.problem, name)
		} else {
			require.NoError(t, err, name)
		}
		require.Equal(t, c.want, n, name)
		want := []string{"GET " + path + " u:p "}
		if c.sent != "" {
			want = append(want, "PATCH "+path+" u:p "+c.sent)
		}
		require.Equal(t, want, got(), name)
	}
}

// What the API says of a refused configuration may hold a value of it; other answers tell what is wrong.
func TestAPI_shows_no_values_of_a_refused_configuration(t *testing.T) {
	t.Parallel()
	a, _ := api(t, map[string]string{"POST /connectors": `400|{"message":"Invalid value hunter2 for configuration x"}`, "GET /connector-plugins": `401|User cannot access the resource.`})
	err := a.create(t.Context(), Connector{Name: "c"}, cluster.Started)
	require.ErrorContains(t, err, "status 400")
	require.NotContains(t, err.Error(), "hunter2")
	_, err = a.plugins(t.Context())
	require.ErrorContains(t, err, "GET /connector-plugins: status 401: User cannot access the resource.")
}

func TestHere_reads_what_there_is(t *testing.T) {
	t.Parallel()
	c := Connector{Name: "c", Config: cluster.ConfigOf(map[string]string{"connector.class": "FileStreamSource"})}
	plugins := `[{"class":"org.apache.kafka.connect.file.FileStreamSourceConnector","type":"source","version":"1"}]`
	look := func(answers map[string]string) (Here, error) {
		answers["GET /connector-plugins"] = plugins
		a, _ := api(t, answers)
		known, err := a.plugins(t.Context())
		require.NoError(t, err)
		return a.here(t.Context(), c, known)
	}
	here, err := look(map[string]string{"PUT /connector-plugins/FileStreamSource/config/validate": `{"error_count":1,"configs":[{"value":{"name":"file","errors":["bad"]}},{"value":{"name":"topic","errors":[]}}]}`})
	require.NoError(t, err)
	require.Equal(t, Here{Type: cluster.TypeSource, Wrong: []string{"file"}}, here)
	here, err = look(map[string]string{"GET /connectors/c": `{"config":{"connector.class":"FileStreamSource"}}`, "GET /connectors/c/status": `{"connector":{"state":"STOPPED"}}`})
	require.NoError(t, err)
	require.Equal(t, Here{Type: cluster.TypeSource, Exists: true, Config: c.Config, Target: cluster.Stopped}, here)
	here, err = look(map[string]string{"GET /connectors/c": `{"config":{"connector.class":"FileStreamSource"}}`, "GET /connectors/c/status": `{"connector":{"state":"FAILED"}}`})
	require.NoError(t, err)
	require.Equal(t, cluster.Started, here.Target)
	_, err = look(map[string]string{"GET /connectors/c": `503|{"message":"away"}`})
	require.ErrorContains(t, err, "away")
}
