package allinone_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// exchange sends a request and reads the answer to its end.
func exchange(t *testing.T, method, url, body string) (status int, header http.Header, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, resp.Header, string(b)
}

// ask sends a request and reads a JSON answer.
func ask(t *testing.T, method, url, body string, into any) http.Header {
	t.Helper()
	status, header, b := exchange(t, method, url, body)
	require.Less(t, status, 300, "%s %s: %s", method, url, b)
	if into != nil {
		require.NoError(t, json.Unmarshal([]byte(b), into), "%s", b)
	}
	return header
}

// event is what a watcher sees.
type event struct {
	ID    string
	Type  string
	UID   string
	Task  *int
	State string
}

// events watches behind a place and hands out what comes, until the server ends.
func events(t *testing.T, base, after string) <-chan event {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/events?connector=c", nil)
	require.NoError(t, err)
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	all := make(chan event, 1000)
	go func() {
		defer close(all)
		var id string
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			switch field, value, _ := strings.Cut(lines.Text(), ": "); field {
			case "id":
				id = value
			case "data":
				e := event{ID: id}
				if err := json.Unmarshal([]byte(value), &e); err != nil {
					t.Error(err)
				}
				all <- e
			}
		}
	}()
	return all
}

// until reads events until one is of a type and a state.
func until(t *testing.T, from <-chan event, typ, state string) (all []event) {
	t.Helper()
	for end := time.After(60 * time.Second); ; {
		select {
		case e, ok := <-from:
			require.True(t, ok, "the stream ended after %v", all)
			all = append(all, e)
			if e.Type == typ && e.State == state {
				return all
			}
		case <-end:
			t.Fatalf("no %s %s came, but %v", typ, state, all)
		}
	}
}

// What is watched is what happens to real tasks, it goes on behind any event after everything was stopped and started, and lists
// select by it.
func TestEvents_and_lists_of_a_connector_that_runs_also_after_a_restart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	info, stop := startIn(t, dir, nil, nil)
	base := "http://" + info.API
	seen := events(t, base, "")
	config := fmt.Sprintf(`"connector.class":"FileStreamSource","topic":"t","file":%q,"millrace.label.team":"payments"`, filepath.Join(dir, "in"))
	var checked struct {
		Errors  int `json:"error_count"`
		Configs []struct {
			Value struct{ Name string }
		}
	}
	ask(t, http.MethodPut, base+"/connector-plugins/FileStreamSource/config/validate", `{"name":"c",`+config+`}`, &checked)
	require.Zero(t, checked.Errors)
	for _, c := range checked.Configs {
		require.NotContains(t, c.Value.Name, "millrace.", "as any key that nobody knows")
	}
	ask(t, http.MethodPost, base+"/connectors", `{"name":"c","config":{`+config+`}}`, nil)
	first := until(t, seen, "task.state", "RUNNING")
	require.Equal(t, "connector.created", first[0].Type)
	order := map[string]int{}
	for i, e := range first {
		order[e.Type+e.State] = i
		require.Equal(t, first[0].UID, e.UID)
	}
	require.Less(t, order["connector.created"], order["connector.stateRUNNING"])
	require.Less(t, order["connector.tasks"], order["task.stateRUNNING"])
	require.Zero(t, *first[len(first)-1].Task)

	var names []string
	for query, want := range map[string][]string{"filter.label=team:payments&filter.state=RUNNING&filter.task.state=RUNNING&filter.class=FileStreamSource&filter.type=source&page.size=1": {"c"},
		"filter.label=team:payments&filter.state=FAILED": {}, "page.after=c": {}, "": {"c"}} {
		header := ask(t, http.MethodGet, base+"/connectors?"+query, "", &names)
		require.Equal(t, want, names, query)
		require.Empty(t, header.Get("Link"))
	}

	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	for e := range seen { // until the end of the stream, which does not hold up the stop
		first = append(first, e)
	}
	<-stopped
	info, stop = startIn(t, dir, nil, nil)
	t.Cleanup(stop)
	base = "http://" + info.API
	again := events(t, base, first[0].ID)
	for _, want := range first[1:] {
		select {
		case got := <-again:
			require.Equal(t, want, got)
		case <-time.After(60 * time.Second):
			t.Fatal("an event is lost: ", want)
		}
	}
	ask(t, http.MethodPut, base+"/connectors/c/pause", "", nil)
	until(t, again, "connector.target", "")
	until(t, again, "task.state", "PAUSED")
	ask(t, http.MethodDelete, base+"/connectors/c", "", nil)
	until(t, again, "connector.deleted", "")
}
