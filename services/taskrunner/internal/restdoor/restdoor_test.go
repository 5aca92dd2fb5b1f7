package restdoor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const soon = 20 * time.Second

func open(t *testing.T, apis ...string) *Door {
	t.Helper()
	d, err := Open(t.Context(), Options{Listen: "127.0.0.1:0", APIs: apis, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		require.NoError(t, d.Close(ctx))
	})
	return d
}

func api(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// nowhere is an address where nobody listens.
func nowhere(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return ln.Addr().String()
}

func client() *http.Client {
	return &http.Client{Timeout: soon, Transport: &http.Transport{DisableKeepAlives: true}}
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(soon)))
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

func TestDoor_passes_the_same_bytes_in_both_directions(t *testing.T) {
	t.Parallel()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	got := make(chan []byte, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		b, _ := io.ReadAll(c) // until the client half-closes
		got <- b
		_, _ = c.Write([]byte("answer to nothing that HTTP knows \x00\xff"))
		_ = c.Close()
	}()
	c := dial(t, open(t, ln.Addr().String()).Addr())
	sent := []byte("GET /%zz//a%2Fb?;=%&& HTTP/1.1\r\nHost: somebody\r\nx-y: Z\r\n\r\n\x00\xff")
	_, err = c.Write(sent)
	require.NoError(t, err)
	require.NoError(t, c.CloseWrite())
	require.Equal(t, sent, <-got)
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "answer to nothing that HTTP knows \x00\xff", string(b))
}

func TestDoor_carries_large_uploads_and_the_clients_own_host(t *testing.T) {
	t.Parallel()
	upload := make([]byte, 16<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, err := random.Read(upload)
	require.NoError(t, err)
	d := open(t, api(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Host", r.Host)
		_, _ = io.Copy(w, r.Body)
	}))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+d.Addr(), bytes.NewReader(upload))
	require.NoError(t, err)
	req.Host = "connect.example.org"
	resp, err := client().Do(req)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.True(t, bytes.Equal(upload, b))
	require.Equal(t, "connect.example.org", resp.Header.Get("X-Host"))
}

func get(t *testing.T, addr string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, nil)
	require.NoError(t, err)
	resp, err := client().Do(req)
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, string(b)
}

func TestDoor_leads_to_each_api_process_in_turn_and_past_those_that_are_away(t *testing.T) {
	t.Parallel()
	say := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
	}
	d := open(t, api(t, say("one")), nowhere(t), api(t, say("two")))
	seen := map[string]int{}
	for range 30 {
		status, body := get(t, d.Addr())
		require.Equal(t, http.StatusOK, status)
		seen[body]++
	}
	require.Equal(t, 30, seen["one"]+seen["two"])
	require.GreaterOrEqual(t, min(seen["one"], seen["two"]), 10)
}

func TestDoor_says_so_when_no_api_process_can_be_reached(t *testing.T) {
	t.Parallel()
	away := nowhere(t)
	d := open(t, away)
	status, body := get(t, d.Addr())
	require.Equal(t, http.StatusServiceUnavailable, status)
	var e struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &e))
	require.Equal(t, http.StatusServiceUnavailable, e.Code)
	require.Contains(t, e.Message, away)

	// Also to one that is still sending, or is about to.
	c := dial(t, d.Addr())
	_, err := fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", 4<<20, strings.Repeat("x", 4<<20))
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.NoError(t, resp.Body.Close())
}

func TestDoor_close_waits_for_clients_but_not_for_ever(t *testing.T) {
	t.Parallel()
	arrived, goOn := make(chan struct{}, 2), make(chan struct{})
	addr := api(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-goOn:
			_, _ = io.WriteString(w, "done")
		case <-r.Context().Done():
		}
	})
	d, err := Open(t.Context(), Options{Listen: "127.0.0.1:0", APIs: []string{addr}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	answer := make(chan string, 1)
	go func() { _, body := get(t, d.Addr()); answer <- body }()
	<-arrived
	closed := make(chan error, 1)
	go func() { closed <- d.Close(t.Context()) }()
	require.Eventually(t, func() bool {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", d.Addr())
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, soon, time.Millisecond, "nobody is let in")
	require.Empty(t, closed)
	close(goOn)
	require.Equal(t, "done", <-answer)
	require.NoError(t, <-closed)

	stuck := api(t, func(_ http.ResponseWriter, r *http.Request) { arrived <- struct{}{}; <-r.Context().Done() })
	d, err = Open(t.Context(), Options{Listen: "127.0.0.1:0", APIs: []string{stuck}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	c := dial(t, d.Addr())
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.NoError(t, d.Close(ctx))
}

func TestOpen_refuses_what_it_can_not_use(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Options{Listen: "127.0.0.1:0"})
	require.ErrorContains(t, err, "-api-addresses")
	_, err = Open(t.Context(), Options{Listen: "127.0.0.1:0", APIs: []string{"api"}})
	require.ErrorContains(t, err, `"api"`)
	taken := open(t, "127.0.0.1:1")
	_, err = Open(t.Context(), Options{Listen: taken.Addr(), APIs: []string{"127.0.0.1:1"}})
	require.ErrorContains(t, err, taken.Addr())
}

// A stream of events is handed on as it comes, and ends for the server when the client leaves.
func TestDoor_carries_streams_without_keeping_anything_back(t *testing.T) {
	t.Parallel()
	say, left := make(chan string), make(chan struct{})
	d := open(t, api(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case s := <-say:
				_, _ = io.WriteString(w, s)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				close(left)
				return
			}
		}
	}))
	ctx, leave := context.WithTimeout(t.Context(), soon)
	defer leave()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.Addr()+"/events", nil)
	require.NoError(t, err)
	go func() { say <- "id: 0\n" }()
	resp, err := client().Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	lines := bufio.NewReader(resp.Body)
	for i := range 100 {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("id: %d\n", i), line, "each has arrived before the next is sent")
		say <- fmt.Sprintf("id: %d\n", i+1)
	}
	leave()
	select {
	case <-left:
	case <-time.After(soon):
		t.Fatal("the api process does not hear that the client has left")
	}
}
