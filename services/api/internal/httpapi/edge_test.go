package httpapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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
