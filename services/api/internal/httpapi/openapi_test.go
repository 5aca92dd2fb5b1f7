package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// described is the document as the server hands it out.
func described(t *testing.T, s *site) *openapi3.T {
	t.Helper()
	resp, body := s.do(http.MethodGet, "/openapi.json", "")
	require.Equal(t, http.StatusOK, resp.StatusCode, body)
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	doc, err := openapi3.NewLoader().LoadFromData([]byte(body))
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	return doc
}

func TestOpenAPI_has_each_route_and_nothing_else(t *testing.T) {
	t.Parallel()
	doc := described(t, serve(t, nil))
	public, ids := 0, map[string]bool{}
	for _, r := range Routes() {
		if r.internal {
			continue
		}
		public++
		item := doc.Paths.Value(r.Pattern)
		require.NotNil(t, item, r.Pattern)
		op := item.GetOperation(r.Method)
		require.NotNil(t, op, "%s %s", r.Method, r.Pattern)
		require.Equal(t, r.Doc, op.Summary)
		require.Equal(t, r.body, op.RequestBody != nil, "%s %s", r.Method, r.Pattern)
		in := map[string]int{}
		for _, p := range op.Parameters {
			in[p.Value.In]++
		}
		require.Len(t, brace.FindAllString(r.Pattern, -1), in["path"])
		require.Len(t, operations[r.Method+" "+r.Pattern].query, in["query"])
		require.Equal(t, r.keyed, op.Parameters.GetByInAndName("header", headerKey) != nil, "%s %s", r.Method, r.Pattern)
		require.False(t, ids[op.OperationID], op.OperationID)
		ids[op.OperationID] = true
	}
	described := 0
	for _, item := range doc.Paths.Map() {
		described += len(item.Operations())
	}
	require.Equal(t, public, described)
	require.Len(t, operations, public)
}

// The answers of a life are as the document says they are.
func TestOpenAPI_tells_the_truth_about_answers(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	doc := described(t, s)
	config := `{"connector.class":"` + listSource + `"}`
	seen := map[string]bool{"GET /events": true} // TestEvents compares
	for _, c := range []struct{ method, pattern, query, body string }{
		{"GET", "/", "", ""}, {"GET", "/health", "", ""}, {"GET", "/openapi.json", "", ""}, {"GET", "/connectors", "", ""},
		{"POST", "/connectors", "", `{"name":"c","config":` + config + `,"initial_state":"STOPPED"}`}, {"POST", "/connectors", "", "{"},
		{"POST", "/connectors:apply", "", `[{"name":"d","config":` + config + `},{"name":"e"}]`}, {"POST", "/connectors:apply", "dry_run=true", `[{"name":"d","config":` + config + `}]`},
		{"POST", "/connectors:apply", "", "{}"},
		{"GET", "/connectors", "expand=info&expand=status", ""}, {"GET", "/connectors", "filter.name=c&page.size=1", ""}, {"GET", "/connectors", "expand=info&filter.type=source", ""}, {"GET", "/connectors", "page.size=0", ""}, {"GET", "/connectors/{c}", "", ""}, {"GET", "/connectors/{c}/config", "", ""},
		{"PUT", "/connectors/{c}/config", "", config}, {"PATCH", "/connectors/{c}/config", "", `{"a":1,"b":null}`},
		{"GET", "/connectors/{c}/status", "", ""}, {"GET", "/connectors/{c}/tasks", "", ""}, {"GET", "/connectors/{c}/tasks/{task}/status", "", ""},
		{"POST", "/connectors/{c}/tasks/{task}/restart", "", ""}, {"POST", "/connectors/{c}/restart", "", ""}, {"POST", "/connectors/{c}/restart", "includeTasks=true", ""},
		{"PUT", "/connectors/{c}/pause", "", ""}, {"PUT", "/connectors/{c}/resume", "", ""}, {"PUT", "/connectors/{c}/stop", "", ""},
		{"GET", "/connectors/{c}/topics", "", ""}, {"PUT", "/connectors/{c}/topics/reset", "", ""}, {"GET", "/connectors/{c}/offsets", "", ""},
		{"PATCH", "/connectors/{c}/offsets", "", `{"offsets":[]}`}, {"DELETE", "/connectors/{c}/offsets", "", ""},
		{"GET", "/connector-plugins", "", ""}, {"GET", "/connector-plugins/{p}/config", "", ""}, {"PUT", "/connector-plugins/{p}/config/validate", "", config},
		{"GET", "/admin/loggers", "", ""}, {"GET", "/admin/loggers/{l}", "", ""}, {"PUT", "/admin/loggers/{l}", "", `{"level":"INFO"}`},
		{"DELETE", "/connectors/{c}", "", ""}, {"GET", "/connectors/{c}", "", ""},
	} {
		path := strings.NewReplacer("{c}", "c", "{task}", "0", "{p}", listSource, "{l}", "root").Replace(c.pattern)
		if c.query != "" {
			path += "?" + c.query
		}
		resp, body := s.do(c.method, path, c.body)
		seen[c.method+" "+c.pattern] = true
		what := fmt.Sprintf("%s %s: %d %s", c.method, path, resp.StatusCode, body)
		require.Equal(t, operations[c.method+" "+c.pattern].tagged && resp.StatusCode < 300, resp.Header.Get("ETag") != "", what)
		responses := doc.Paths.Value(c.pattern).GetOperation(c.method).Responses
		answer := responses.Value(strconv.Itoa(resp.StatusCode))
		if answer == nil {
			require.GreaterOrEqual(t, resp.StatusCode, 400, what)
			answer = responses.Default()
		}
		if len(answer.Value.Content) == 0 {
			require.Empty(t, body, what)
			continue
		}
		require.NoError(t, conforms(answer.Value.Content.Get("application/json").Schema.Value, body), what)
	}
	for id := range operations {
		require.True(t, seen[id], "%s is not tried", id)
	}
}

func TestOpenAPI_examples_of_shapes_that_are_wrong_are_noticed(t *testing.T) {
	t.Parallel()
	doc := described(t, serve(t, nil))
	for schema, body := range map[string]string{
		"Connector":       `{"name":"c","config":{},"tasks":[{"connector":"c"}],"type":"source"}`,
		"ConnectorStatus": `{"name":"c","connector":{"state":"ASLEEP","worker_id":"w"},"tasks":[],"type":"source"}`,
		"Error":           `{"message":"x"}`,
		"Validation":      `{"name":"c","error_count":"0","groups":[],"configs":[]}`,
		"Names":           `[1]`,
	} {
		require.Error(t, conforms(doc.Components.Schemas[schema].Value, body), schema)
	}
}

func TestOpenAPI_names_the_server_that_was_asked(t *testing.T) {
	t.Parallel()
	doc := described(t, serve(t, nil))
	require.Len(t, doc.Servers, 1)
	u, err := url.Parse(doc.Servers[0].URL)
	require.NoError(t, err)
	require.False(t, u.IsAbs(), "whatever name it has for its clients")
}

func conforms(schema *openapi3.Schema, body string) error {
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		return err
	}
	return schema.VisitJSON(v, openapi3.MultiErrors())
}
