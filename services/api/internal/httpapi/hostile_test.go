package httpapi

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hostile is how many requests the test sends: go test ./internal/httpapi -run Hostile -hostile 1000000 for more.
var hostile = flag.Int("hostile", 20_000, "how many requests TestHostile sends")

// Requests made of pieces that mean something and of noise: no answer but those of the contract, no panic, no growth.
func TestHostile_requests_get_an_answer_of_the_contract_and_nothing_grows(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.create("c")
	const seed = 7
	g := &generator{rand.New(rand.NewPCG(seed, seed))} //nolint:gosec // reproducible on purpose
	conn := &client{t: t, addr: s.addr}
	defer conn.close()
	for range *hostile / 10 { // fills pools and caches
		conn.send(g.request())
	}
	before := heap()
	counts := map[int]int{}
	for i := range *hostile {
		raw := g.request()
		status, body := conn.send(raw)
		counts[status]++
		switch {
		case status == 0: // the connection was closed: what came was no HTTP
		case status >= 500 && status != http.StatusInternalServerError && status != http.StatusServiceUnavailable:
			t.Fatalf("request %d: %d %s\n%q", i, status, body, raw)
		case status == http.StatusInternalServerError:
			require.NotContains(t, body, "panic", "%q", raw)
			require.NotContains(t, body, "goroutine", "%q", raw)
		}
	}
	t.Logf("answers by status: %v", counts)
	require.NotContains(t, s.log.String(), "panicked")
	require.Less(t, heap(), before+64<<20, "memory")
	s.alive()
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// generator makes requests as bytes.
type generator struct{ *rand.Rand }

func oneOf[T any](g *generator, all ...T) T { return all[g.IntN(len(all))] }

func (g *generator) request() string {
	body, length := "", ""
	method := oneOf(g, "GET", "GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", g.noise(6))
	if g.IntN(2) == 0 {
		body = g.body()
		length = fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	headers := "Host: x\r\n"
	for range g.IntN(4) {
		headers += oneOf(g, "Content-Type: application/json", "Accept: application/json", "Accept: "+g.noise(8), "Content-Type: "+g.noise(8), "Authorization: Basic "+g.noise(10),
			"Origin: http://"+g.noise(5), "X-"+g.noise(4)+": "+g.noise(9), "Expect: 100-continue", "Accept-Encoding: gzip", "If-None-Match: *", "If-Match: "+g.noise(8), "If-None-Match: \""+g.noise(5)+"\"", "Idempotency-Key: "+g.noise(3)) + "\r\n"
	}
	return method + " " + g.path() + oneOf(g, " HTTP/1.1", " HTTP/1.1", " HTTP/1.1", " HTTP/1.0", " "+g.noise(5)) + "\r\n" + headers + length + "\r\n" + body
}

func (g *generator) path() string {
	var b strings.Builder
	if routes := Routes(); g.IntN(3) > 0 { // one that exists, more or less
		pattern := routes[g.IntN(len(routes))].Pattern
		if pattern == "/events" { // a stream has no end
			pattern += "?after=" + g.noise(3)
		}
		b.WriteString(strings.NewReplacer("{c}", oneOf(g, "c", "c", "d", "%2F", g.noise(3)), "{task}", oneOf(g, "0", "-1", "x"), "{p}", oneOf(g, listSource, "x"), "{l}", "root").Replace(pattern))
	}
	for range g.IntN(5) * g.IntN(2) {
		b.WriteString("/" + oneOf(g, "connectors", "connectors", "c", "config", "status", "restart", "tasks", "0", "topics", "reset", "offsets", "pause", "resume", "connector-plugins", listSource,
			"validate", "admin", "loggers", "root", "fence", "health", "openapi.json", "%2F", "%00", "%zz", "..", ".", "%C3%28", g.noise(5), ""))
	}
	if g.IntN(2) == 0 {
		b.WriteString("?" + oneOf(g, "expand", "filter.state", "filter.label", "page.size", "page.after", "includeTasks", "onlyFailed", "connectorsOnly", "forward", "scope", "version", g.noise(3)) + "=" + oneOf(g, "true", "status", "info", "[1,", "cluster", "%", g.noise(6)))
	}
	return b.String()
}

func (g *generator) body() string {
	switch g.IntN(4) {
	case 0:
		return g.noise(40)
	case 1:
		return strings.Repeat(oneOf(g, "[", `{"a":`, " "), g.IntN(2000))
	}
	return g.json(4)
}

func (g *generator) json(depth int) string {
	if depth == 0 {
		return oneOf(g, "null", "true", "1", "-1.5e300", `"x"`, `""`, `"\ud800"`, "99999999999999999999", `"`+g.noise(6)+`"`)
	}
	switch g.IntN(6) {
	case 0:
		return g.json(0)
	case 1:
		return "[" + g.json(depth-1) + "," + g.json(depth-1) + "]"
	}
	var b strings.Builder
	b.WriteString("{")
	for i := range g.IntN(5) {
		if i > 0 {
			b.WriteString(",")
		}
		key := oneOf(g, "name", "config", "connector.class", "initial_state", "tasks.max", "offsets", "partition", "offset", "level", "topics", "transforms", g.noise(4))
		value := g.json(depth - 1)
		if key == "connector.class" {
			value = `"` + listSource + `"`
		}
		b.WriteString(`"` + key + `":` + value)
	}
	return b.String() + oneOf(g, "}", "}", "}", "", "}}")
}

func (g *generator) noise(n int) string {
	b := make([]byte, g.IntN(n+1))
	for i := range b {
		b[i] = byte(g.IntN(256))
	}
	return strings.NewReplacer("\r", "r", "\n", "n").Replace(string(b))
}

// client sends bytes over a connection that it keeps as long as the server does.
type client struct {
	t    *testing.T
	addr string
	conn net.Conn
	in   *bufio.Reader
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// send returns the status, 0 when the connection was closed without an answer.
func (c *client) send(raw string) (status int, body string) {
	c.t.Helper()
	if c.conn == nil {
		conn, err := (&net.Dialer{}).DialContext(c.t.Context(), "tcp", c.addr)
		require.NoError(c.t, err)
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	require.NoError(c.t, c.conn.SetDeadline(time.Now().Add(10*time.Second)))
	if _, err := io.WriteString(c.conn, raw); err != nil {
		c.close()
		return 0, ""
	}
	method, _, _ := strings.Cut(raw, " ")
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err == nil && resp.StatusCode == http.StatusContinue {
		resp, err = http.ReadResponse(c.in, &http.Request{Method: method})
	}
	if err != nil {
		require.False(c.t, errors.Is(err, os.ErrDeadlineExceeded), "no answer to %q", raw)
		c.close()
		return 0, ""
	}
	b, err := io.ReadAll(resp.Body)
	require.False(c.t, errors.Is(err, os.ErrDeadlineExceeded), "no end of the answer to %q", raw)
	if err != nil || resp.Close {
		c.close()
	}
	_ = resp.Body.Close()
	return resp.StatusCode, string(b)
}
