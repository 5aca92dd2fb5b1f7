package httpapi

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// also serves o on some listeners beside those of the site, until the test ends.
func (s *site) also(o Options, listeners ...net.Listener) {
	s.Helper()
	o.Herder, o.Logger = s.herder, slog.New(slog.DiscardHandler)
	srv := New(o)
	done := make(chan error, len(listeners))
	for _, ln := range listeners {
		go func() { done <- srv.Serve(ln) }()
	}
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(s, srv.Shutdown(ctx))
		for range listeners {
			require.NoError(s, <-done)
		}
	})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return ln
}

func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestServes_what_it_is_told_to(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for kind, want := range map[Serves]map[string]int{
		Everything:  {"/": 200, "/health": 200, "/connectors": 200, "/admin/loggers": 200, "/admin/loggers/root": 200, "/admin": 404},
		AllButAdmin: {"/": 200, "/health": 200, "/connectors": 200, "/admin/loggers": 404, "/admin/loggers/root": 404, "/admin": 404},
		OnlyAdmin:   {"/": 404, "/health": 404, "/connectors": 404, "/admin/loggers": 200, "/admin/loggers/root/": 200, "/admin": 404},
	} {
		ln := listen(t)
		s.also(Options{Serves: kind}, ln)
		for path, status := range want {
			got, body := get(t, http.DefaultClient, "http://"+ln.Addr().String()+path)
			require.Equal(t, status, got, "%d %s: %s", kind, path, body)
		}
	}
}

func TestServe_many_listeners_at_once_of_which_some_speak_TLS(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	// A certificate for tests that comes with Go.
	example := httptest.NewUnstartedServer(nil)
	example.StartTLS()
	t.Cleanup(example.Close)
	roots := x509.NewCertPool()
	roots.AddCert(example.Certificate())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	t.Cleanup(client.CloseIdleConnections)
	plain, secure := listen(t), listen(t)
	s.also(Options{}, plain, tls.NewListener(secure, &tls.Config{Certificates: example.TLS.Certificates, NextProtos: []string{"http/1.1"}}))

	var wg sync.WaitGroup
	for range 8 {
		for _, url := range []string{"http://" + plain.Addr().String(), "https://" + secure.Addr().String()} {
			wg.Go(func() {
				status, _ := get(t, client, url+"/connectors")
				if status != http.StatusOK {
					t.Errorf("%s: %d", url, status)
				}
			})
		}
	}
	wg.Wait()
	for _, base := range []string{"http://" + plain.Addr().String(), "https://" + secure.Addr().String()} {
		name := strings.Split(base, ":")[0]
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/connectors", strings.NewReader(`{"name":"`+name+`","config":{"connector.class":"`+listSource+`"}}`))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, base+"/connectors/"+name, resp.Header.Get("Location"))
	}
	// Plain words at a TLS port hurt nobody.
	conn, err := net.DialTimeout("tcp", secure.Addr().String(), time.Second)
	require.NoError(t, err)
	_, err = conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	status, _ := get(t, client, "https://"+secure.Addr().String()+"/")
	require.Equal(t, 200, status)
}

// A connection that a client keeps in reserve, before or after the handshake, does not hold up the end.
func TestShutdown_does_not_wait_for_connections_over_which_nothing_came(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	example := httptest.NewUnstartedServer(nil)
	example.StartTLS()
	t.Cleanup(example.Close)
	srv := New(Options{Herder: s.herder, Logger: slog.New(slog.DiscardHandler)})
	plain, secure := listen(t), listen(t)
	done := make(chan error, 2)
	go func() { done <- srv.Serve(plain) }()
	go func() {
		done <- srv.Serve(tls.NewListener(secure, &tls.Config{Certificates: example.TLS.Certificates}))
	}()
	for _, addr := range []string{plain.Addr().String(), secure.Addr().String()} {
		status, _ := get(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}, //nolint:gosec // a test's
			map[bool]string{true: "https://", false: "http://"}[addr == secure.Addr().String()]+addr+"/")
		require.Equal(t, 200, status)
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
	}
	conn, err := tls.Dial("tcp", secure.Addr().String(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a test's
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, srv.Shutdown(ctx))
	require.NoError(t, <-done)
	require.NoError(t, <-done)
}

// Names that Kafka Connect's HTTP server refuses in a path can be addressed here, and Location says how.
func TestNames_of_any_kind_are_addressed_as_Location_says(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, name := range []string{"slash/x", "/lead", "trail/", "a//b", "%", "pct%41", "%2F", "back\\slash", "cu{y}", "semi;a=b", ".", "..", "x/tasks/0/status", "sp ace+ü%/?#[x]{y}'\"", "plus+", "日本", "a:@b"} {
		body, err := json.Marshal(map[string]any{"name": name, "config": map[string]string{"connector.class": listSource}})
		require.NoError(t, err)
		resp, answer := s.do(http.MethodPost, "/connectors", string(body))
		require.Equal(t, http.StatusCreated, resp.StatusCode, answer)
		location, found := strings.CutPrefix(resp.Header.Get("Location"), "http://"+s.addr)
		require.True(t, found)
		conn := s.dial() // Go's client would clean the path
		_, err = io.WriteString(conn, "GET "+location+"/config HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		got, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		var config map[string]string
		require.NoError(t, json.NewDecoder(got.Body).Decode(&config), "%s at %s", name, location)
		require.NoError(t, got.Body.Close())
		require.NoError(t, conn.Close())
		require.Equal(t, name, config["name"], location)
	}
}
