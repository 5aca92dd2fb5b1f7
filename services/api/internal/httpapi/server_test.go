package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/membus"
	"github.com/millrace/millrace/controlplane/memstore"
	"github.com/millrace/millrace/services/api/internal/herder"
	"github.com/millrace/millrace/tests/logs"
)

// site is a server that listens, on a store and a bus in memory.
type site struct {
	*testing.T
	addr    string
	store   *memstore.Store
	hub     *membus.Hub
	metrics *prometheus.Registry
	fail    func() error // what reading the list of connectors does, if set
	most    int          // streams; 0 = the usual bound
	away    atomic.Bool  // events can't be read
	refused atomic.Int32 // attempts to
	log     *logs.Buffer
	herder  *herder.Herder

	shutdown func() error
}

// failing does as a test says when the connectors are listed or the database is looked at.
type failing struct {
	herder.Store
	s *site
}

func (f failing) FindNames(ctx context.Context, q cluster.ConnectorQuery) ([]string, error) {
	if f.s.fail != nil {
		return nil, f.s.fail()
	}
	return f.Store.FindNames(ctx, q)
}

func (f failing) Events(ctx context.Context, after cluster.EventToken, limit int) ([]cluster.Event, error) {
	if f.s.away.Load() {
		f.s.refused.Add(1)
		return nil, cluster.Errorf(cluster.Unavailable, "away")
	}
	return f.Store.Events(ctx, after, limit)
}

func (f failing) Ping(ctx context.Context) error {
	if f.s.fail != nil {
		return f.s.fail()
	}
	return f.Store.Ping(ctx)
}

const listSource = "org.example.ListSource"

func serve(t *testing.T, fail func() error) *site {
	t.Helper()
	return serveWith(t, fail, Options{}, 0)
}

// serveWith is serve with options of the server, and with a bound for streams.
func serveWith(t *testing.T, fail func() error, o Options, maxStreams int) *site {
	t.Helper()
	s := &site{T: t, store: memstore.New(time.Now), most: maxStreams, hub: membus.New(membus.Faults{}, nil), metrics: prometheus.NewRegistry(), fail: fail, log: &logs.Buffer{}}
	ref := cluster.PluginRef{Class: listSource, Kind: "source", Version: "1", Digest: "d"}
	_, _, err := s.store.Register(t.Context(), cluster.Registration{Runner: "w:8083", Session: "s", Plugins: []cluster.PluginRef{ref}, KafkaClusterID: "k"})
	require.NoError(t, err)
	require.NoError(t, s.store.DefinePlugins(t.Context(), []cluster.PluginRecord{{PluginRef: ref, Definition: []byte(`{}`)}}))
	o.Metrics = NewMetrics(s.metrics)
	s.open(failing{s.store, s}, o)
	return s
}

// open starts the server on a store.
func (s *site) open(store herder.Store, o Options) {
	t := s.T
	t.Helper()
	log := slog.New(slog.NewJSONHandler(s.log, nil))
	bus := s.hub.Connect()
	h, err := herder.New(herder.Config{Store: store, Bus: bus, Logger: log, MaxStreams: s.most})
	require.NoError(t, err)
	s.herder = h
	o.Herder, o.Logger = h, log
	srv := New(o)
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = ln.Addr().String()
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	s.shutdown = sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return errors.Join(srv.Shutdown(ctx), <-done)
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, s.shutdown())
		require.NoError(t, h.Close(ctx))
		require.NoError(t, bus.Close(ctx))
	})
}

// peer starts another api process beside s, on the same database; nil: it sees the store as it is.
func (s *site) peer(store herder.Store, o Options) *site {
	s.Helper()
	p := &site{T: s.T, store: s.store, hub: s.hub, log: &logs.Buffer{}}
	if store == nil {
		store = s.store
	}
	p.open(store, o)
	return p
}

// do sends a request; headers are pairs, an empty value leaves one out.
// answered is an answer without its body.
type answered struct {
	StatusCode    int
	Header        http.Header
	ContentLength int64
}

func (s *site) do(method, path, body string, headers ...string) (answered, string) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, "http://"+s.addr+path, strings.NewReader(body))
	require.NoError(s, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		}
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(s, err)
	require.NoError(s, resp.Body.Close())
	return answered{resp.StatusCode, resp.Header, resp.ContentLength}, string(b)
}

// isError checks that an answer is an error with the envelope, and returns its message.
func (s *site) isError(resp answered, body string, status int) string {
	s.Helper()
	require.Equal(s, status, resp.StatusCode, body)
	require.Equal(s, "application/json", resp.Header.Get("Content-Type"))
	var e map[string]any
	require.NoError(s, json.Unmarshal([]byte(body), &e), body)
	require.Equal(s, []string{"error_code", "message"}, slices.Sorted(maps.Keys(e)))
	require.InEpsilon(s, float64(status), e["error_code"], 0)
	require.NotEmpty(s, e["message"])
	return e["message"].(string)
}

func (s *site) create(name string) {
	s.Helper()
	resp, body := s.do(http.MethodPost, "/connectors", fmt.Sprintf(`{"name":%q,"config":{"connector.class":%q}}`, name, listSource))
	require.Equal(s, http.StatusCreated, resp.StatusCode, body)
}

func TestRoutes_each_answers_and_refuses_other_methods(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.create("c")
	body := map[string]string{"POST /connectors:apply": "[]", "POST /connectors": `{"name":"d","config":{"connector.class":"` + listSource + `"}}`,
		"PUT /connectors/{c}/config": `{"connector.class":"` + listSource + `"}`, "PATCH /connectors/{c}/config": `{"a":"b"}`, "PATCH /connectors/{c}/offsets": `{"offsets":[{}]}`,
		"PUT /admin/loggers/{l}":                     `{"level":"INFO"}`,
		"PUT /connector-plugins/{p}/config/validate": `{"connector.class":"` + listSource + `"}`}
	// Nothing runs here, so that what was never reported is 404, and nobody can be asked for offsets.
	want := map[string]int{"POST /connectors/{c}/tasks": 500, "PUT /connectors/{c}/fence": 400, "POST /connectors": 201, "GET /connectors/{c}/status": 404, "POST /connectors/{c}/restart": 204, "PUT /connectors/{c}/pause": 202,
		"PUT /connectors/{c}/resume": 202, "PUT /connectors/{c}/stop": 204, "PUT /connectors/{c}/topics/reset": 202, "GET /connectors/{c}/offsets": 500, "PATCH /connectors/{c}/offsets": 500,
		"GET /connectors/{c}/tasks/{task}/status": 404, "POST /connectors/{c}/tasks/{task}/restart": 404}
	fill := strings.NewReplacer("{c}", "c", "{p}", listSource, "{task}", "0", "{l}", "root")
	methods := map[string][]string{}
	for _, r := range Routes() {
		if r.Method != http.MethodDelete && r.media == "" { // streams have tests of their own
			id := r.Method + " " + r.Pattern
			resp, answer := s.do(r.Method, fill.Replace(r.Pattern), body[id])
			require.Equal(t, max(want[id], 200), resp.StatusCode, "%s: %s", id, answer)
			require.NotEmpty(t, resp.Header.Get("X-Request-Id"))
			if resp.StatusCode == 202 || resp.StatusCode == 204 {
				require.Empty(t, answer, id)
				require.Empty(t, resp.Header.Get("Content-Type"), id)
			} else {
				require.True(t, json.Valid([]byte(answer)), id)
				require.Equal(t, "application/json", resp.Header.Get("Content-Type"), id)
			}
		}
		methods[r.Pattern] = append(methods[r.Pattern], r.Method)
	}
	for pattern, allowed := range methods {
		path := fill.Replace(pattern)
		if slices.Contains(allowed, http.MethodGet) {
			allowed = append(allowed, http.MethodHead)
		}
		allowed = append(allowed, http.MethodOptions)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "PROPFIND"} {
			if slices.Contains(allowed, method) {
				continue
			}
			resp, answer := s.do(method, path, "")
			require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode, "%s %s", method, path)
			require.ElementsMatch(t, allowed, strings.Split(resp.Header.Get("Allow"), ","))
			if method != http.MethodHead {
				require.Equal(t, "HTTP 405 Method Not Allowed", s.isError(resp, answer, 405))
			}
		}
		resp, answer := s.do(http.MethodOptions, path, "")
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.ElementsMatch(t, allowed, strings.Split(resp.Header.Get("Allow"), ","))
		require.ElementsMatch(t, allowed, strings.Split(answer, ", "))

		if pattern == "/events" {
			continue
		}
		get, answer := s.do(http.MethodGet, path, "")
		head, nothing := s.do(http.MethodHead, path, "")
		require.Equal(t, get.StatusCode, head.StatusCode, "HEAD is GET without its body: %s", path)
		require.Empty(t, nothing)
		if get.StatusCode == http.StatusOK {
			require.Equal(t, int64(len(answer)), head.ContentLength, path)
		}
	}
	resp, _ := s.do(http.MethodDelete, "/connectors/c", "")
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
}

func TestPaths_that_are_none(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.create("c")
	for path, status := range map[string]int{
		"/Connectors": 404, "/nothing": 404, "/connectors/c/foo": 404, "/connectors//status": 404, "//": 404, "/connectors//": 404, "/connectors/c/tasks-config": 404,
		"/connectors/c/tasks/x/status": 404, "/connectors/c/tasks/1.5/status": 404, "/connectors/c/tasks/99999999999/status": 404,
		"/connectors/": 200, "/connectors/c/": 200, "/health/": 200, "/connectors;x=y": 200, "/;a=b": 200, "/connectors/;": 200, "/connectors;/": 200, "/connectors/c;a=b/config": 200, "/connectors?expand": 200,
	} {
		resp, body := s.do(http.MethodGet, path, "")
		require.Equal(t, status, resp.StatusCode, path)
		if status == 404 {
			require.Equal(t, "HTTP 404 Not Found", s.isError(resp, body, 404))
		}
	}
	resp, _ := s.do(http.MethodOptions, "/nothing", "")
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

func TestNegotiation_refuses_other_media_types_before_it_looks_further(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	create := `{"name":"x","config":{}}`
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
	}{
		"a form":                          {"POST", "/connectors", "a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415},
		"a body of no type":               {"POST", "/connectors", create, []string{"Content-Type", ""}, 415},
		"a type on GET":                   {"GET", "/connectors", "", []string{"Content-Type", "text/plain"}, 415},
		"a type for nobody":               {"DELETE", "/connectors/nobody", "", []string{"Content-Type", "text/plain"}, 415},
		"parameters":                      {"GET", "/connectors", "", []string{"Content-Type", "Application/JSON; charset=utf-8"}, 200},
		"any type where no body is read":  {"GET", "/connectors", "", []string{"Content-Type", "*/*"}, 200},
		"any type where a body is read":   {"POST", "/connectors", create, []string{"Content-Type", "*/*"}, 415},
		"no slash":                        {"GET", "/connectors", "", []string{"Content-Type", "json"}, 400},
		"the type is no business of root": {"GET", "/", "", []string{"Content-Type", "text/plain"}, 200},
		"nor of health":                   {"GET", "/health", "", []string{"Content-Type", "text/plain"}, 200},
		"HTML wanted":                     {"GET", "/connectors", "", []string{"Accept", "text/html"}, 406},
		"HTML wanted of root":             {"GET", "/", "", []string{"Accept", "text/html"}, 406},
		"415 comes before 406":            {"POST", "/connectors", create, []string{"Accept", "text/html", "Content-Type", "text/plain"}, 415},
		"405 comes before 415":            {"PATCH", "/connectors", create, []string{"Content-Type", "text/plain"}, 405},
		"any of application":              {"GET", "/connectors", "", []string{"Accept", "text/html, application/*;q=0.5"}, 200},
		"a lone star":                     {"GET", "/connectors", "", []string{"Accept", "*"}, 200},
	} {
		resp, body := s.do(c.method, c.path, c.body, c.headers...)
		require.Equal(t, c.status, resp.StatusCode, "%s: %s", name, body)
		if c.status >= 400 {
			require.Equal(t, fmt.Sprintf("HTTP %d %s", c.status, http.StatusText(c.status)), s.isError(resp, body, c.status))
		}
	}
}

func TestBodies_that_are_malformed_get_the_words_that_clients_know(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.create("c")
	const post, put, patch = "POST /connectors", "PUT /connectors/c/config", "PATCH /connectors/c/config"
	for body, want := range map[string][2]string{
		"":                                       {post, "No content"},
		"{":                                      {post, "no JSON"},
		"{} {}":                                  {post, "Trailing token"},
		"{} x":                                   {post, "no JSON"},
		"{'name':'x'}":                           {post, "no JSON"},
		`{"name":"x",}`:                          {post, "no JSON"},
		`{"name":NaN}`:                           {post, "no JSON"},
		`{"name":"x` + "\n" + `"`:                {post, "no JSON"},
		"\xff\xfe":                               {post, "no JSON"},
		"null":                                   {post, "null"},
		"[]":                                     {post, "Cannot deserialize value"},
		`"x"`:                                    {post, "Cannot construct instance"},
		`""`:                                     {post, "Cannot coerce empty String"},
		"7":                                      {post, "Cannot construct instance"},
		`{"Name":"x"}`:                           {post, `Unrecognized field "Name"`},
		`{"name":"x"}`:                           {post, "config"},
		`{"name":{},"config":{}}`:                {post, "Cannot deserialize value of type `java.lang.String` from Object value"},
		`{"config":[]}`:                          {post, "Cannot deserialize value"},
		`{"config":"x"}`:                         {post, "Cannot construct instance"},
		`{"config":7}`:                           {post, "Cannot deserialize value"},
		`{"config":{},"initial_state":"asleep"}`: {post, "ASLEEP"},
		"[1]":                                    {put, "Cannot deserialize value"},
		`{"a":{}}`:                               {put, "Cannot deserialize value of type `java.lang.String` from Object value"},
		`{"a":[]}`:                               {put, "from Array value"},
		`{"a":[}`:                                {put, "no JSON"},
		"null ":                                  {put, "null"},
		" ":                                      {put, "No content"},
		"\t":                                     {patch, "must be a JSON object"},
		" null":                                  {patch, "must be a JSON object"},
		`{"a":["b"]}`:                            {patch, "from Array value"},
		strings.Repeat("[", 20_000):              {patch, "no JSON"},
		`{"a":` + strings.Repeat(`{"a":`, 11_000) + "1" + "}": {put, "no JSON"},
	} {
		method, path, _ := strings.Cut(want[0], " ")
		resp, answer := s.do(method, path, body, "Content-Type", "application/json")
		message := s.isError(resp, answer, http.StatusInternalServerError)
		require.Contains(t, message, want[1], "%s of %.40q", want[0], body)
		require.Less(t, len(message), 1000, "it repeats what was sent")
	}
	resp, answer := s.do("GET", "/connectors/c", "")
	require.Equal(t, 200, resp.StatusCode)
	require.JSONEq(t, `{"name":"c","config":{"connector.class":"`+listSource+`","name":"c"},"tasks":[],"type":"source"}`, answer)
}

func TestBodies_keep_the_text_of_numbers_and_booleans_and_the_last_of_equal_keys(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	resp, body := s.do("POST", "/connectors", "\xef\xbb\xbf"+`{"name":7,"config":{"connector.class":"`+listSource+`","a":1.50,"b":1e3,"c":true,"d":"<&>","e":1,"e":"2"}}`)
	require.Equal(t, http.StatusCreated, resp.StatusCode, body)
	require.Contains(t, body, `"a":"1.50","b":"1e3","c":"true"`)
	require.Contains(t, body, `"d":"<&>","e":"2"`)
	require.Equal(t, "http://"+s.addr+"/connectors/7", resp.Header.Get("Location"))
}

func TestBodies_of_16_MiB_are_read_and_larger_ones_refused(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	head, tail := `{"connector.class":"`+listSource+`","big":"`, `"}`
	resp, body := s.do("PUT", "/connectors/big/config", head+strings.Repeat("x", maxBody-len(head)-len(tail))+tail)
	require.Contains(t, s.isError(resp, body, http.StatusBadRequest), "The configuration has 167", "it is read, and refused for what it holds")

	// One that is larger is refused from its header on; the rest of it need not be sent.
	conn := s.dial()
	_, err := fmt.Fprintf(conn, "PUT /connectors/bigger/config HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", maxBody+1)
	require.NoError(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	b, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, "HTTP 413 Request Entity Too Large", s.isError(answered{answer.StatusCode, answer.Header, answer.ContentLength}, string(b), http.StatusRequestEntityTooLarge))
	s.alive()
}

func (s *site) dial() net.Conn {
	s.Helper()
	conn, err := (&net.Dialer{}).DialContext(s.Context(), "tcp", s.addr)
	require.NoError(s, err)
	require.NoError(s, conn.SetDeadline(time.Now().Add(20*time.Second)))
	s.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (s *site) alive() {
	s.Helper()
	resp, body := s.do("GET", "/", "")
	require.Equal(s, http.StatusOK, resp.StatusCode, body)
}

func TestRequests_that_are_no_HTTP_are_refused_and_the_server_goes_on(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for name, raw := range map[string]string{
		"noise":               "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
		"a broken escape":     "GET /connectors/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"no host":             "GET /connectors HTTP/1.1\r\nHost:\r\n\r\n",
		"no path":             "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
		"raw characters":      "GET /connectors/[\xff] HTTP/1.1\r\nHost: x\r\n\r\n",
		"no UTF-8":            "GET /connectors/%ff HTTP/1.1\r\nHost: x\r\n\r\n",
		"a broken length":     "POST /connectors HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
		"a huge header":       "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n",
		"an empty media type": "GET /connectors HTTP/1.1\r\nHost: x\r\nContent-Type:\r\n\r\n",
		"two media types":     "GET /connectors HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain, text/html\r\n\r\n",
		"chunks that are not": "PUT /connectors/x/config HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		conn := s.dial()
		_, _ = io.WriteString(conn, raw) // it may hang up before it has read all
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			require.GreaterOrEqual(t, resp.StatusCode, 400, name)
			require.Less(t, resp.StatusCode, 500, name)
			require.NoError(t, resp.Body.Close())
		}
		s.alive()
	}
	conn := s.dial() // hangs up in the middle of its body
	_, err := io.WriteString(conn, "PUT /connectors/x/config HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"a\"")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	s.alive()
	_, body := s.do("GET", "/connectors", "")
	require.JSONEq(t, "[]", body)
}

func TestAPanic_answers_500_and_the_process_lives(t *testing.T) {
	t.Parallel()
	s := serve(t, func() error { panic("password=hush") })
	resp, body := s.do("GET", "/connectors", "")
	message := s.isError(resp, body, http.StatusInternalServerError)
	require.Contains(t, message, resp.Header.Get("X-Request-Id"))
	require.NotContains(t, message, "hush")
	head, nothing := s.do("HEAD", "/connectors", "")
	require.Equal(t, 500, head.StatusCode)
	require.Empty(t, nothing)
	s.alive()
	require.Contains(t, s.log.String(), resp.Header.Get("X-Request-Id"), "what the client was told finds the line in the log")
	require.Contains(t, s.log.String(), "server_test.go", "with the stack")
	require.Equal(t, 3, testutil.CollectAndCount(s.metrics, "millrace_api_request_seconds"))
}

func TestErrors_of_the_store_become_answers(t *testing.T) {
	t.Parallel()
	for _, code := range cluster.Codes() {
		s := serve(t, func() error {
			return fmt.Errorf("reading names: %w", cluster.Wrapf(code, fmt.Errorf("password=hush"), "what was wrong"))
		})
		resp, body := s.do("GET", "/connectors", "")
		require.NotContains(t, s.isError(resp, body, statuses[code]), "hush")

		resp, body = s.do("GET", "/health", "")
		require.Equal(t, 500, resp.StatusCode)
		require.JSONEq(t, `{"status":"unhealthy","message":"Worker was unable to handle this request and may be unable to handle other requests. The worker is currently waiting for the database."}`, body)
	}
}

func TestHealth_answers_while_the_bus_is_away(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.hub.Down()
	resp, body := s.do("GET", "/health", "")
	require.Equal(t, 200, resp.StatusCode)
	require.JSONEq(t, `{"status":"healthy","message":"Worker has completed startup and is ready to handle requests."}`, body)
	// A change is taken, and says that it will take effect a little later.
	resp, body = s.do("PUT", "/connectors/c/config", `{"connector.class":"`+listSource+`"}`)
	require.Equal(t, 201, resp.StatusCode, body)
	require.Equal(t, "polling", resp.Header.Get("Millrace-Delivery"))
}

func TestShutdown_lets_a_running_request_end(t *testing.T) {
	t.Parallel()
	inside, goOn := make(chan struct{}), make(chan struct{})
	s := serve(t, func() error { close(inside); <-goOn; return cluster.Errorf(cluster.Failed, "done") })
	answered := make(chan int, 1)
	go func() {
		resp, _ := s.do("GET", "/connectors", "")
		answered <- resp.StatusCode
	}()
	<-inside
	closed := make(chan error, 1)
	go func() { closed <- s.shutdown() }()
	require.Eventually(t, func() bool { // nobody new is let in
		conn, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 20*time.Second, 5*time.Millisecond)
	require.Empty(t, closed)
	close(goOn)
	require.Equal(t, 500, <-answered)
	require.NoError(t, <-closed)
}
