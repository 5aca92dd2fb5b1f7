package httpapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

// listed is a list of names, or the sorted keys of a map.
func (s *site) listed(path string) ([]string, answered) {
	s.Helper()
	resp, body := s.do(http.MethodGet, path, "")
	require.Equal(s, http.StatusOK, resp.StatusCode, body)
	var names []string
	if json.Unmarshal([]byte(body), &names) != nil {
		var all map[string]map[string]any
		require.NoError(s, json.Unmarshal([]byte(body), &all), body)
		names = slices.AppendSeq([]string{}, maps.Keys(all))
		slices.Sort(names)
	}
	require.NotNil(s, names, body)
	return names, resp
}

func (s *site) createWith(name string, config map[string]string) {
	s.Helper()
	config["connector.class"] = listSource
	b, err := json.Marshal(map[string]any{"name": name, "config": config})
	require.NoError(s, err)
	resp, body := s.do(http.MethodPost, "/connectors", string(b))
	require.Equal(s, http.StatusCreated, resp.StatusCode, body)
}

func TestList_filters_by_what_connectors_are(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.createWith("a1", map[string]string{"millrace.label.team": "payments", "millrace.label.env": "prod:eu"})
	s.createWith("a2", map[string]string{"millrace.label.team": "payments"})
	s.createWith("b", map[string]string{})
	s.say("a1", cluster.StateFailed)
	s.say("b", cluster.StateRunning)
	for query, want := range map[string][]string{
		"":                           {"a1", "a2", "b"},
		"filter.name=a":              {"a1", "a2"},
		"filter.name=c":              {},
		"filter.class=" + listSource: {"a1", "a2", "b"},
		"filter.class=ListSource":    {"a1", "a2", "b"},
		"filter.class=Other&filter.class=ListSource":          {"a1", "a2", "b"},
		"filter.class=org.example.None":                       {},
		"filter.type=source":                                  {"a1", "a2", "b"},
		"filter.type=SINK":                                    {},
		"filter.state=FAILED":                                 {"a1"},
		"filter.state=failed&filter.state=RUNNING":            {"a1", "b"},
		"filter.task.state=FAILED":                            {},
		"filter.label=team:payments":                          {"a1", "a2"},
		"filter.label=env:prod:eu":                            {"a1"},
		"filter.label=team:payments&filter.label=env:prod:eu": {"a1"},
		"filter.label=team:":                                  {},
		"filter.label=team:payments&filter.state=RUNNING":     {},
	} {
		got, resp := s.listed("/connectors?" + query)
		require.Equal(t, want, got, query)
		require.Empty(t, resp.Header.Get("Link"))
		got, _ = s.listed("/connectors?expand=info&" + query)
		require.ElementsMatch(t, want, got, query)
	}
	got, _ := s.listed("/connectors?expand=status&filter.name=a")
	require.Equal(t, []string{"a1"}, got, "those without a status are left out, as ever")
}

func TestList_pages_are_linked_and_have_everything_once(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	var want []string
	for i := range 7 {
		name := fmt.Sprintf(`n%d &"/ä`, i)
		s.createWith(name, map[string]string{"millrace.label.n": "a&b=c"})
		want = append(want, name)
	}
	s.createWith("other", map[string]string{})
	for _, path := range []string{"/connectors?page.size=3&filter.label=n:a%26b%3Dc", "/connectors?expand=info&page.size=3&filter.name=n", "/connectors?page.size=7&filter.name=n&expand=info"} {
		var got []string
		for next, pages := path, 0; next != ""; pages++ {
			require.Less(t, pages, 4)
			names, resp := s.listed(next)
			got = append(got, names...)
			next = ""
			if link := resp.Header.Get("Link"); link != "" {
				require.True(t, strings.HasPrefix(link, "</connectors?") && strings.HasSuffix(link, `>; rel="next"`), link)
				next = strings.TrimSuffix(link[1:], `>; rel="next"`)
			}
		}
		require.Equal(t, want, got, path)
	}
	got, _ := s.listed("/connectors?page.after=n5")
	require.Equal(t, append(want[5:7:7], "other"), got)
}

func TestList_refuses_what_it_does_not_understand(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for query, parts := range map[string][]string{
		"filter.state=BROKEN":         {"BROKEN", "filter.state", "FAILED"},
		"filter.task.state=":          {"filter.task.state", "RUNNING"},
		"filter.type=both":            {"both", "filter.type", "source, sink"},
		"filter.label=team":           {"team", "filter.label", "name:value"},
		"filter.label=:x":             {":x", "filter.label", "name:value"},
		"filter.name=":                {"filter.name", "beginning"},
		"filter.name=a&filter.name=b": {"filter.name", "not several"},
		"filter.class=":               {"filter.class"},
		"filter.class=%00":            {"filter.class"},
		"filter.name=%ff":             {"filter.name"},
		"page.size=0":                 {"page.size", "from 1 to 1000"},
		"page.size=1001":              {"1001", "page.size"},
		"page.size=ten":               {"ten", "page.size"},
		"page.size=1&page.size=2":     {"page.size", "not several"},
		"page.after=":                 {"page.after"},
		"filter.owner=x":              {"filter.owner", "filter.label"},
		"page.number=3":               {"page.number", "page.after"},
	} {
		for _, expand := range []string{"", "&expand=status"} {
			resp, body := s.do(http.MethodGet, "/connectors?"+query+expand, "")
			message := s.isError(resp, body, http.StatusBadRequest)
			for _, p := range parts {
				require.Contains(t, message, p, query)
			}
		}
	}
}
