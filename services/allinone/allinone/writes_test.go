package allinone_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/services/api/apiserver"
)

// api is a client of one api process.
type api struct {
	*testing.T
	base string
}

// secondAPI runs another api process on the database and the bus of an all-in-one.
func secondAPI(t *testing.T, postgres, nats string) api {
	t.Helper()
	ready, done := make(chan apiserver.Info, 1), make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		done <- apiserver.Run(ctx, apiserver.Config{Postgres: postgres, NATS: natsbus.Options{URL: nats}, Listen: "127.0.0.1:0",
			Logger: slog.New(slog.DiscardHandler), Ready: func(i apiserver.Info) { ready <- i }})
	}()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	select {
	case i := <-ready:
		return api{t, i.URLs[0]}
	case err := <-done:
		done <- nil
		t.Fatal(err)
	case <-time.After(60 * time.Second):
		t.Fatal("it does not start")
	}
	return api{}
}

// answered is an answer without its body.
type answered struct {
	StatusCode int
	Header     http.Header
}

func (a api) do(method, path, body string, headers ...string) (answered, string) {
	a.Helper()
	req, err := http.NewRequestWithContext(a.Context(), method, a.base+path, strings.NewReader(body))
	require.NoError(a, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(a, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(a, err)
	require.NoError(a, resp.Body.Close())
	return answered{resp.StatusCode, resp.Header}, string(b)
}

// Conditions, keys and bulk requests over two api processes on one database, with connectors that run.
func TestWrites_beyond_Kafka_Connect_hold_over_two_api_processes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	info, stop := startIn(t, dir, nil, nil)
	t.Cleanup(stop)
	both := []api{{t, "http://" + info.API}, secondAPI(t, info.Postgres, info.NATS)}
	config := func(name string) string {
		return fmt.Sprintf(`{"connector.class":"FileStreamSource","topic":%q,"file":%q}`, name, filepath.Join(dir, name))
	}

	// Bulk: checked first, then made; what is wrong stays alone.
	body := fmt.Sprintf(`[{"name":"a","config":%s},{"name":"b","config":%s,"initial_state":"PAUSED"},{"name":"bad","config":{"connector.class":"FileStreamSource"}}]`, config("a"), config("b"))
	_, answer := both[0].do("POST", "/connectors:apply?dry_run=true", body)
	require.Contains(t, answer, `"failed":1`)
	_, answer = both[1].do("GET", "/connectors", "")
	require.JSONEq(t, `[]`, answer)
	resp, first := both[0].do("POST", "/connectors:apply", body, "Idempotency-Key", "bulk")
	require.Equal(t, 200, resp.StatusCode, first)
	require.Contains(t, first, `Missing required configuration \"topic\"`)
	resp, answer = both[1].do("POST", "/connectors:apply", body, "Idempotency-Key", "bulk")
	require.Equal(t, "true", resp.Header.Get("Idempotent-Replayed"))
	require.Equal(t, first, answer)
	for name, state := range map[string]string{"a": "RUNNING", "b": "PAUSED"} {
		require.Eventually(t, func() bool {
			_, answer := both[1].do("GET", "/connectors/"+name+"/status", "")
			return strings.Contains(answer, `"connector":{"state":"`+state)
		}, 60*time.Second, 10*time.Millisecond, name)
	}

	// A key: many at once over both make one change.
	etag := func() string {
		resp, _ := both[1].do("GET", "/connectors/a/config", "")
		return resp.Header.Get("ETag")
	}
	one := etag()
	require.True(t, strings.HasSuffix(one, `.1"`), one)
	answers := make([]string, 10)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			resp, body := both[i%2].do("PATCH", "/connectors/a/config", `{"batch.size":"7"}`, "Idempotency-Key", "patch", "If-Match", one)
			answers[i] = fmt.Sprint(resp.StatusCode, resp.Header.Get("ETag"), body)
		})
	}
	wg.Wait()
	for _, got := range answers {
		require.Equal(t, answers[0], got)
		require.True(t, strings.HasPrefix(got, "200"), got)
	}
	two := etag()
	require.Equal(t, strings.TrimSuffix(one, `1"`)+`2"`, two, "one change")

	// A condition: of many with the same version one is taken.
	taken := make([]int, 10)
	for i := range taken {
		wg.Go(func() {
			resp, _ := both[i%2].do("PUT", "/connectors/a/config", config("a"), "If-Match", two)
			taken[i] = resp.StatusCode
		})
	}
	wg.Wait()
	counts := map[int]int{}
	for _, status := range taken {
		counts[status]++
	}
	require.Equal(t, map[int]int{200: 1, 412: 9}, counts)
	resp, _ = both[0].do("GET", "/connectors/a/config", "", "If-None-Match", etag())
	require.Equal(t, http.StatusNotModified, resp.StatusCode)

	// A restart that is repeated is one, and a delete that is repeated does not take the connector that came after it.
	resp, answer = both[0].do("POST", "/connectors/a/restart", "", "Idempotency-Key", "restart")
	require.Equal(t, 204, resp.StatusCode, answer)
	resp, _ = both[1].do("POST", "/connectors/a/restart", "", "Idempotency-Key", "restart")
	require.Equal(t, "true", resp.Header.Get("Idempotent-Replayed"))
	for i := range both {
		resp, _ = both[i].do("DELETE", "/connectors/a", "", "Idempotency-Key", "delete")
		require.Equal(t, 204, resp.StatusCode)
		both[i].do("PUT", "/connectors/a/config", config("a"))
	}
	resp, _ = both[1].do("DELETE", "/connectors/a", "", "If-Match", two)
	require.Equal(t, 412, resp.StatusCode, "that was another life")
	resp, _ = both[1].do("GET", "/connectors/a", "")
	require.Equal(t, 200, resp.StatusCode)
}
