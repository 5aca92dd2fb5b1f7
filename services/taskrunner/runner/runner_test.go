package runner

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/plugins"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/tests/logs"
)

func working(t *testing.T, l *logs.Buffer) Config {
	t.Helper()
	plugins, err := plugin.New(plugins.All(connectors.Options{})...)
	require.NoError(t, err)
	return Config{WorkerID: "w:8083", NATS: natsbus.Options{URL: "nats://user:hush@127.0.0.1:1"}, Plugins: plugins,
		Worker: map[string]string{"bootstrap.servers": "127.0.0.1:1"}, Logger: l.Logger()}
}

func TestRun_refuses_wrong_settings_with_the_key(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	property := func(key, value string) func(*Config) { return func(c *Config) { c.Worker[key] = value } }
	for name, c := range map[string]struct {
		change func(*Config)
		code   int
		parts  []string
	}{
		"a number":           {property("offset.flush.interval.ms", "soon"), exitcode.BadInput, []string{"Invalid value soon for configuration offset.flush.interval.ms"}},
		"out of range":       {property("offset.flush.timeout.ms", "0"), exitcode.BadInput, []string{"offset.flush.timeout.ms", "at least 1"}},
		"one of some":        {property("exactly.once.source.support", "yes"), exitcode.BadInput, []string{"exactly.once.source.support", "disabled, preparing, enabled"}},
		"an empty topic":     {property("offset.storage.topic", ""), exitcode.BadInput, []string{"offset.storage.topic", "non-empty"}},
		"a key converter":    {property("key.converter", "NoSuchConverter"), exitcode.BadInput, []string{"Invalid value NoSuchConverter for configuration key.converter", "could not be found"}},
		"a value converter":  {property("value.converter", "org.example.None"), exitcode.BadInput, []string{"org.example.None", "value.converter"}},
		"a header converter": {property("header.converter", "None"), exitcode.BadInput, []string{"None", "header.converter"}},
		"the bus's URL":      {func(c *Config) { c.NATS.URL = "nats://user:hush@host:port" }, exitcode.BadInput, []string{"the message bus can't be used"}},
		"the bus's file":     {func(c *Config) { c.NATS.Creds = "/no/such.creds" }, exitcode.BadInput, []string{"/no/such.creds"}},
		"a REST address":     {func(c *Config) { c.RESTListen, c.APIs = "8083", []string{"api:8083"} }, exitcode.BadInput, []string{`"8083"`, "host:port"}},
		"a REST address for everybody": {func(c *Config) { c.RESTListen, c.APIs = "0.0.0.0:8083", []string{"api:8083"} }, exitcode.BadInput,
			[]string{"refusing to listen on 0.0.0.0:8083", "-allow-anonymous"}},
		"no api processes": {func(c *Config) { c.RESTListen = "127.0.0.1:0" }, exitcode.BadInput, []string{"-api-addresses"}},
		"a taken REST port": {func(c *Config) { c.RESTListen, c.APIs = taken.Addr().String(), []string{"api:8083"} }, exitcode.Unavailable,
			[]string{"listening for REST requests", taken.Addr().String()}},
		"a taken port": {func(c *Config) { c.AdminListen = taken.Addr().String() }, exitcode.Unavailable, []string{"listening for admin requests", taken.Addr().String()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &logs.Buffer{}
			cfg := working(t, l)
			c.change(&cfg)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			err := Run(ctx, cfg)
			require.Error(t, err)
			for _, part := range c.parts {
				require.ErrorContains(t, err, part)
			}
			require.Equal(t, c.code, exitcode.Of(err), "%v", err)
			require.NotContains(t, err.Error()+l.String(), "hush")
		})
	}
}

// With the bus and Kafka away a runner waits and says so; told to stop it ends at once, in order.
func TestRun_waits_for_what_is_away_and_stops_when_it_is_told_to(t *testing.T) {
	t.Parallel()
	l := &logs.Buffer{}
	cfg := working(t, l)
	port, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	cfg.AdminListen, cfg.DrainTimeout = port.Addr().String(), 20*time.Second
	require.NoError(t, port.Close())
	cfg.Ready = func(Info) { t.Error("it is ready without a scheduler") }
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg) }()

	get := func(path string) (int, string) {
		req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, "http://"+cfg.AdminListen+path, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, ""
		}
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode, string(b)
	}
	require.Eventually(t, func() bool { status, _ := get("/healthz"); return status == http.StatusOK }, 20*time.Second, 10*time.Millisecond)
	status, body := get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, "not registered with a scheduler yet")
	for _, line := range []string{"message bus is away, will connect when it is back", "Kafka does not answer yet", "127.0.0.1:1"} {
		require.Eventually(t, func() bool { return strings.Contains(l.String(), line) }, 20*time.Second, 10*time.Millisecond, line)
	}
	require.Empty(t, done, "it does not wait")
	began := time.Now()
	stop()
	require.NoError(t, <-done)
	require.Less(t, time.Since(began), cfg.DrainTimeout, "there is nothing to wait for")
	require.NotContains(t, l.String(), "hush")
}
