package apiserver

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/tests/logs"
)

func config(l *logs.Buffer) Config {
	return Config{Postgres: "postgres://user:hush@127.0.0.1:1/millrace", NATS: natsbus.Options{URL: "nats://127.0.0.1:1"}, Listen: "127.0.0.1:0",
		Logger: l.Logger()}
}

func TestRun_refuses_wrong_settings_with_what_to_do(t *testing.T) {
	t.Parallel()
	secrets := filepath.Join(t.TempDir(), "rest.properties")
	require.NoError(t, os.WriteFile(secrets, []byte("auth=hush\nlisteners=http://0.0.0.0:8083\n"), 0o600))
	provided := func(key, secret string) func(*Config) {
		return func(c *Config) {
			c.Listen, c.Worker = "", map[string]string{"config.providers": "f", "config.providers.f.class": "FileConfigProvider",
				"config.providers.f.param.allowed.paths": secrets, key: "${f:" + secrets + ":" + secret + "}"}
		}
	}
	for name, c := range map[string]struct {
		change func(*Config)
		parts  []string
	}{
		"what a reference says":   {provided("listeners", "listeners"), []string{"refusing to listen on http://0.0.0.0:8083"}},
		"a secret":                {provided("ssl.client.auth", "auth"), []string{"Invalid value for configuration 'ssl.client.auth'", "config provider reference"}},
		"a provider":              {func(c *Config) { c.Worker = map[string]string{"config.providers": "f"} }, []string{"config.providers.f.class"}},
		"no port":                 {func(c *Config) { c.Listen = "localhost" }, []string{`"localhost"`, "host:port"}},
		"everywhere":              {func(c *Config) { c.Listen = "0.0.0.0:8083" }, []string{"refusing to listen on 0.0.0.0:8083", "-allow-anonymous"}},
		"everywhere, unsaid":      {func(c *Config) { c.Listen = ":8083" }, []string{"refusing to listen on :8083", "-allow-anonymous"}},
		"a name":                  {func(c *Config) { c.Listen = "example.org:8083" }, []string{"refusing to listen on example.org:8083"}},
		"no such answer":          {func(c *Config) { c.Worker = map[string]string{"topic.tracking.enable": "maybe"} }, []string{"topic.tracking.enable", "maybe"}},
		"no URL":                  {func(c *Config) { c.Postgres = "postgres://user:hush@host:port/db" }, []string{"database url can't be read"}},
		"a space in the password": {func(c *Config) { c.Postgres = "postgres://user:hu sh\n@host/db" }, []string{"database url can't be read"}},
		"another scheme":          {func(c *Config) { c.Postgres = "mysql://user:hush@host/db" }, []string{"database url can't be read"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &logs.Buffer{}
			cfg := config(l)
			c.change(&cfg)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			err := Run(ctx, cfg)
			require.Error(t, err)
			require.Equal(t, exitcode.BadInput, exitcode.Of(err), "%v", err)
			for _, part := range c.parts {
				require.ErrorContains(t, err, part)
			}
			require.NotContains(t, err.Error()+l.String(), "hush")
			require.NotContains(t, err.Error()+l.String(), "hu sh")
		})
	}
}

// A database that is away, also one that takes connections and says nothing, is waited for with a line for each attempt; told
// to stop meanwhile the process ends as one that was wanted to.
func TestRun_waits_for_a_database_that_does_not_answer(t *testing.T) {
	t.Parallel()
	mute, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = mute.Close() })
	for name, addr := range map[string]string{"nobody listens": "127.0.0.1:1", "nothing is said": mute.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &logs.Buffer{}
			cfg := config(l)
			cfg.Postgres = "postgres://user:hush@" + addr + "/millrace?sslmode=disable"
			cfg.Ready = func(Info) { t.Error("it is ready without a database") }
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- Run(ctx, cfg) }()
			require.Eventually(t, func() bool {
				return len(done) > 0 || strings.Count(l.String(), "the database does not answer yet") >= 2
			}, 30*time.Second, 10*time.Millisecond)
			select {
			case err := <-done:
				t.Fatal("it does not wait: ", err)
			default:
			}
			require.Contains(t, l.String(), addr)
			require.NotContains(t, l.String(), "hush")
			stop()
			select {
			case err := <-done:
				require.Equal(t, exitcode.OK, exitcode.Of(err), "%v", err)
			case <-time.After(20 * time.Second):
				t.Fatal("it does not stop")
			}
		})
	}
}
