package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/api/internal/herder"
	"github.com/millrace/millrace/services/api/internal/restconfig"
)

// crashing is a store whose answers are lost while a test says so: with before, the change is not made either.
type crashing struct {
	herder.Store
	before, after atomic.Bool
	dead          atomic.Bool // it has lost an answer: no key can be looked for any more
}

var errCrash = cluster.Errorf(cluster.Unavailable, "the connection was cut")

func crash[T any](c *crashing, change func() (T, error)) (v T, err error) {
	if c.before.Load() {
		return v, errCrash
	}
	v, err = change()
	if err == nil && c.after.Load() {
		c.dead.Store(true)
		err = errCrash
	}
	return v, err
}

type stored struct {
	c       cluster.Connector
	created bool
	out     []cluster.OutboxMessage
	ticket  cluster.RestartTicket
}

func (c *crashing) CreateConnector(ctx context.Context, n cluster.NewConnector) (cluster.Connector, []cluster.OutboxMessage, error) {
	s, err := crash(c, func() (s stored, err error) { s.c, s.out, err = c.Store.CreateConnector(ctx, n); return })
	return s.c, s.out, err
}

func (c *crashing) PutConnector(ctx context.Context, n cluster.NewConnector) (cluster.Connector, bool, []cluster.OutboxMessage, error) {
	s, err := crash(c, func() (s stored, err error) { s.c, s.created, s.out, err = c.Store.PutConnector(ctx, n); return })
	return s.c, s.created, s.out, err
}

func (c *crashing) DeleteConnector(ctx context.Context, name string, by cluster.Author) ([]cluster.OutboxMessage, error) {
	return crash(c, func() ([]cluster.OutboxMessage, error) { return c.Store.DeleteConnector(ctx, name, by) })
}

func (c *crashing) RequestRestart(ctx context.Context, r cluster.RestartRequest) (cluster.RestartTicket, []cluster.OutboxMessage, error) {
	s, err := crash(c, func() (s stored, err error) { s.ticket, s.out, err = c.Store.RequestRestart(ctx, r); return })
	return s.ticket, s.out, err
}

func (c *crashing) CheckKey(ctx context.Context, o cluster.Once) error {
	if c.dead.Load() {
		return errCrash
	}
	return c.Store.CheckKey(ctx, o)
}

func (c *crashing) RecordAnswer(ctx context.Context, o cluster.Once, a cluster.Answer) error {
	_, err := crash(c, func() (struct{}, error) { return struct{}{}, c.Store.RecordAnswer(ctx, o, a) })
	return err
}

// keyedRoutes are changes with what a repetition of them would do without a key.
var keyedRoutes = map[string]struct {
	method, path, body string
	status             int
}{
	"create":       {"POST", "/connectors", `{"name":"new/one","config":` + plain + `}`, 201},
	"put":          {"PUT", "/connectors/c/config", plain, 200},
	"put new":      {"PUT", "/connectors/d/config", plain, 201},
	"patch":        {"PATCH", "/connectors/c/config", `{"a":"b"}`, 200},
	"delete":       {"DELETE", "/connectors/c", "", 204},
	"restart":      {"POST", "/connectors/c/restart", "", 204},
	"restart some": {"POST", "/connectors/c/restart?includeTasks=true", "", 404}, // nobody has said anything of it, which is noticed afterwards
	"bulk":         {"POST", "/connectors:apply", `[{"name":"c","config":` + plain + `},{"name":"n","config":` + plain + `},{"name":"x","config":{}}]`, 200},
}

// state is all that a change can change.
func (s *site) state() string {
	s.Helper()
	views, err := s.store.FindConnectors(s.Context(), cluster.ConnectorQuery{})
	require.NoError(s, err)
	var all strings.Builder
	for _, v := range views {
		fmt.Fprintln(&all, v.Name, v.UID, v.ConfigVersion, v.RestartSeq, v.Generation)
	}
	return all.String()
}

func TestIdempotencyKey_gets_the_first_answer_again(t *testing.T) {
	t.Parallel()
	for name, c := range keyedRoutes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, nil)
			s.create("c")
			before := s.state()
			first, body := s.do(c.method, c.path, c.body, "Idempotency-Key", "k")
			require.Equal(t, c.status, first.StatusCode, body)
			require.Empty(t, first.Header.Get("Idempotent-Replayed"))
			after := s.state()
			require.NotEqual(t, before, after)
			for i, at := range []*site{s, s.peer(nil, Options{})} {
				again, same := at.do(c.method, c.path, c.body, "Idempotency-Key", "k")
				require.Equal(t, c.status, again.StatusCode, same)
				require.Equal(t, body, same)
				for _, h := range []string{"Location", "ETag", "Content-Type"} {
					require.Equal(t, first.Header.Get(h), again.Header.Get(h), "%s of %d", h, i)
				}
				require.Equal(t, "true", again.Header.Get("Idempotent-Replayed"))
				require.NotEqual(t, first.Header.Get("X-Request-Id"), again.Header.Get("X-Request-Id"))
			}
			require.Equal(t, after, s.state(), "it was done once")
			for _, other := range [][3]string{{c.method, c.path + "/", c.body}, {c.method, c.path, c.body + " "}, {"PUT", "/connectors/c/config", `{"connector.class":"x"}`}} {
				if other[1] == "/connectors:apply/" || other[2] == " " {
					continue // no JSON type without a body
				}
				resp, body := s.do(other[0], other[1], other[2], "Idempotency-Key", "k")
				require.Contains(t, s.isError(resp, body, http.StatusUnprocessableEntity), "A new request needs a new key", other)
			}
			resp, body := s.do(c.method, c.path, c.body, "Idempotency-Key", "k", "If-Match", "*")
			require.Empty(t, resp.Header.Get("Idempotent-Replayed"))
			s.isError(resp, body, http.StatusUnprocessableEntity)
			require.Equal(t, after, s.state())
		})
	}
}

// The process dies, or is cut off, on either side of the commit; a repetition at another one never does anything twice.
func TestIdempotencyKey_holds_when_the_answer_is_lost(t *testing.T) {
	t.Parallel()
	for name, c := range keyedRoutes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, nil)
			s.create("c")
			store := &crashing{Store: s.store}
			dying := s.peer(store, Options{})
			before := s.state()

			store.before.Store(true)
			resp, body := dying.do(c.method, c.path, c.body, "Idempotency-Key", "k")
			require.True(t, resp.StatusCode == 500 || name == "bulk", body)
			require.Equal(t, before, s.state())
			store.before.Store(false)
			store.after.Store(true)
			resp, body = dying.do(c.method, c.path, c.body, "Idempotency-Key", "k")
			require.True(t, resp.StatusCode == 500 || name == "bulk", body)
			after := s.state()
			require.NotEqual(t, before, after, "it was committed")

			resp, body = s.do(c.method, c.path, c.body, "Idempotency-Key", "k")
			if name == "restart" { // who restarts, waits; nobody can know yet that he died
				s.isError(resp, body, http.StatusConflict)
				require.Equal(t, "1", resp.Header.Get("Retry-After"))
			} else {
				require.Equal(t, c.status, resp.StatusCode, body)
				if strings.HasPrefix(name, "put") || name == "create" {
					require.Contains(t, body, `"connector.class":"`+listSource+`"`)
					require.Equal(t, c.status == 201, resp.Header.Get("Location") != "")
				}
				require.Equal(t, name != "bulk", resp.Header.Get("Idempotent-Replayed") == "true")
			}
			require.Equal(t, after, s.state(), "it was done once")
		})
	}
}

// When some of a bulk request could not be done, its repetition does what was left, and answers for all.
func TestIdempotencyKey_of_a_bulk_request_goes_on_after_a_crash(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.create("a")
	body := `[{"name":"a","config":` + plain + `},{"name":"b","config":` + plain + `},{"name":"c","config":` + plain + `}]`
	dying := s.peer(&dyingAt{Store: s.store, name: "b"}, Options{})
	_, answer := dying.do("POST", "/connectors:apply", body, "Idempotency-Key", "k")
	require.Contains(t, answer, `"failed":1`)
	require.Equal(t, int64(2), s.view("a").ConfigVersion)
	for range 2 {
		resp, answer := s.do("POST", "/connectors:apply", body, "Idempotency-Key", "k")
		require.Equal(t, 200, resp.StatusCode)
		require.Contains(t, answer, `"failed":0`)
		require.Contains(t, answer, `{"name":"a","status":200`)
		require.Contains(t, answer, `{"name":"c","status":201`)
	}
	require.Equal(t, int64(2), s.view("a").ConfigVersion, "once")
	require.Equal(t, int64(1), s.view("b").ConfigVersion)
	require.Equal(t, int64(1), s.view("c").ConfigVersion)
}

// An item that was made does not fail its own condition when it comes again.
func TestIdempotencyKey_of_a_bulk_request_with_conditions(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.create("a")
	body := `[{"name":"a","config":` + plain + `,"if_match":` + quoted(s.etag("/connectors/a")) + `},{"name":"b","config":` + plain + `,"if_none_match":"*"}]`
	store := &crashing{Store: s.store}
	store.after.Store(true)
	_, answer := s.peer(store, Options{}).do("POST", "/connectors:apply", body, "Idempotency-Key", "k")
	require.Contains(t, answer, `"failed":2`)
	require.Equal(t, int64(2), s.view("a").ConfigVersion)
	out := s.apply("", body, "Idempotency-Key", "k")
	require.Equal(t, []int{200, 201}, []int{out.Results[0].Status, out.Results[1].Status})
	require.Equal(t, s.etag("/connectors/a/config"), out.Results[0].ETag)
	require.Equal(t, int64(2), s.view("a").ConfigVersion)
	require.Equal(t, 2, s.apply("", body, "Idempotency-Key", "another").Failed)
}

// dyingAt changes everything but one connector, and dies before it records the end.
type dyingAt struct {
	herder.Store
	name string
}

func (d *dyingAt) PutConnector(ctx context.Context, n cluster.NewConnector) (cluster.Connector, bool, []cluster.OutboxMessage, error) {
	if n.Name == d.name {
		return cluster.Connector{}, false, nil, errCrash
	}
	return d.Store.PutConnector(ctx, n)
}

func (d *dyingAt) RecordAnswer(context.Context, cluster.Once, cluster.Answer) error { return errCrash }

func TestIdempotencyKey_many_at_once_over_two_processes_are_one(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"create", "put", "patch", "bulk"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := keyedRoutes[name]
			s := serve(t, nil)
			s.create("c")
			both := []*site{s, s.peer(nil, Options{})}
			bodies := make([]string, 12)
			var wg sync.WaitGroup
			for i := range bodies {
				wg.Go(func() {
					resp, body := both[i%2].do(c.method, c.path, c.body, "Idempotency-Key", "k")
					bodies[i] = fmt.Sprint(resp.StatusCode, resp.Header.Get("ETag"), body)
				})
			}
			wg.Wait()
			for _, b := range bodies {
				require.Equal(t, bodies[0], b)
			}
			require.LessOrEqual(t, s.view("c").ConfigVersion, int64(2))
		})
	}
}

func TestIdempotencyKey_of_a_restart_waits_for_its_end(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.create("c")
	s.runs("c", 1)
	job := cluster.InstanceJob(s.view("c").UID)
	first := make(chan string, 1)
	go func() {
		resp, body := s.do("POST", "/connectors/c/restart", "", "Idempotency-Key", "k")
		first <- fmt.Sprint(resp.StatusCode, body)
	}()
	require.Eventually(t, func() bool { return s.view("c").RestartSeq == 1 }, 20*time.Second, time.Millisecond)
	peer := s.peer(nil, Options{})
	resp, body := peer.do("POST", "/connectors/c/restart", "", "Idempotency-Key", "k")
	require.Contains(t, s.isError(resp, body, http.StatusConflict), "a little later")
	require.Equal(t, "1", resp.Header.Get("Retry-After"))
	s.says(job, cluster.StateFailed, 1)
	want := <-first
	require.Contains(t, want, "500")
	require.Contains(t, want, "Failed to start connector: c")
	resp, body = peer.do("POST", "/connectors/c/restart", "", "Idempotency-Key", "k")
	require.Equal(t, want, fmt.Sprint(resp.StatusCode, body), "the first answer, not another restart")
	require.Equal(t, int64(1), s.view("c").RestartSeq)
}

func TestIdempotencyKey_refusals_come_again_and_what_may_pass_does_not(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for i, c := range []struct {
		method, path, body string
		status             int
	}{
		{"DELETE", "/connectors/c", "", 404}, {"PUT", "/connectors/c/config", `{"connector.class":"no.such"}`, 400}, {"POST", "/connectors/c/restart", "", 404},
		{"POST", "/connectors:apply", "{}", 400},
	} {
		key := fmt.Sprint("key ", i)
		first, body := s.do(c.method, c.path, c.body, "Idempotency-Key", key)
		s.isError(first, body, c.status)
		again, same := s.do(c.method, c.path, c.body, "Idempotency-Key", key)
		s.isError(again, same, c.status)
		require.Equal(t, body, same)
		require.Equal(t, "true", again.Header.Get("Idempotent-Replayed"))
	}
	s.create("c")
	resp, _ := s.do("DELETE", "/connectors/c", "", "Idempotency-Key", "key 0")
	require.Equal(t, 404, resp.StatusCode, "as before, though it is there now")
	require.Equal(t, int64(1), s.view("c").ConfigVersion)
	for range 2 { // Kafka Connect's 500 for a body that is none
		resp, body := s.do("POST", "/connectors", "{", "Idempotency-Key", "no JSON")
		s.isError(resp, body, 500)
		require.Empty(t, resp.Header.Get("Idempotent-Replayed"))
	}
}

func TestIdempotencyKey_that_is_none_is_refused(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for value, status := range map[string]int{" ": 400, "ä": 400, "a\tb": 400, strings.Repeat("k", 256): 400, strings.Repeat("k", 255): 200, "a b": 200, `"quoted"`: 200} {
		resp, body := s.do("POST", "/connectors:apply", "[]", "Idempotency-Key", value)
		require.Equal(t, status, resp.StatusCode, "%q: %s", value, body)
		if status == 400 {
			require.Contains(t, s.isError(resp, body, 400), "1 to 255")
		}
	}
	s.create("c")
	for range 2 { // where a repetition does no harm it is not looked at
		resp, _ := s.do("PUT", "/connectors/c/pause", "", "Idempotency-Key", "p")
		require.Equal(t, 202, resp.StatusCode)
		require.Empty(t, resp.Header.Get("Idempotent-Replayed"))
	}
}

func TestIdempotencyKey_is_of_one_author(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	file := filepath.Join(t.TempDir(), "users.properties")
	require.NoError(t, os.WriteFile(file, []byte("ann=1\nbob=2\n"), 0o600))
	users, err := restconfig.FromProperties(map[string]string{"rest.extension.classes": restconfig.BasicAuth, restconfig.UsersFile: file})
	require.NoError(t, err)
	p := s.peer(nil, Options{Users: users.Users})
	login := map[string]string{"ann": "Basic YW5uOjE=", "bob": "Basic Ym9iOjI="}
	resp, body := p.do("PUT", "/connectors/c/config", plain, "Authorization", login["ann"], "Idempotency-Key", "k")
	require.Equal(t, 201, resp.StatusCode, body)
	resp, body = p.do("PUT", "/connectors/c/config", plain, "Authorization", login["bob"], "Idempotency-Key", "k")
	require.NotContains(t, s.isError(resp, body, http.StatusUnprocessableEntity), "ann")
	resp, _ = p.do("PUT", "/connectors/c/config", plain, "Authorization", login["ann"], "Idempotency-Key", "k")
	require.Equal(t, 201, resp.StatusCode)
	resp, _ = p.do("PUT", "/connectors/c/config", plain, "Idempotency-Key", "k")
	require.Equal(t, 401, resp.StatusCode, "a key lets nobody in")
}
