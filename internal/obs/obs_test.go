package obs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

func TestAdminServesHealthReadinessAndMetrics(t *testing.T) {
	t.Parallel()
	notReady := errors.New("the database is away")
	ready := notReady
	addr, stop, err := Admin{Addr: "127.0.0.1:0", Gatherer: NewRegistry(), Ready: func(context.Context) error { return ready }}.Serve()
	require.NoError(t, err)
	code, _ := get(t, "http://"+addr+"/healthz")
	require.Equal(t, 200, code)
	code, body := get(t, "http://"+addr+"/readyz")
	require.Equal(t, 503, code)
	require.Contains(t, body, "the database is away")
	ready = nil
	code, _ = get(t, "http://"+addr+"/readyz")
	require.Equal(t, 200, code)
	code, body = get(t, "http://"+addr+"/metrics")
	require.Equal(t, 200, code)
	require.Contains(t, body, "go_goroutines")
	code, _ = get(t, "http://"+addr+"/debug/pprof/")
	require.Equal(t, 404, code, "profiles are off unless asked for")
	require.NoError(t, stop(t.Context()))
}

func TestAdminWithoutAddressListensNowhere(t *testing.T) {
	t.Parallel()
	addr, stop, err := Admin{}.Serve()
	require.NoError(t, err)
	require.Empty(t, addr)
	require.NoError(t, stop(t.Context()))
}

func TestNewLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l, err := NewLogger(&out, "json", "warn")
	require.NoError(t, err)
	l.Info("quiet")
	l.Warn("loud", KeyConnector, "c")
	require.NotContains(t, out.String(), "quiet")
	require.Contains(t, out.String(), `"connector":"c"`)
	_, err = NewLogger(&out, "xml", "info")
	require.ErrorContains(t, err, `log format "xml"`)
	_, err = NewLogger(&out, "json", "loud")
	require.ErrorContains(t, err, `log level "loud"`)
}
