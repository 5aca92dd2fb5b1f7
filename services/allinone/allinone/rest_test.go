package allinone_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/embedded/pgembed"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/allinone/allinone"
	"github.com/millrace/millrace/tests/e2e/rest"
	"github.com/millrace/millrace/tests/servers"
)

// start runs an all-in-one on embedded parts until the test ends.
func start(t *testing.T, change func(*allinone.Config)) allinone.Info {
	t.Helper()
	dir := t.TempDir()
	plugins, err := plugin.New(append(connectors.All(connectors.Options{FileRoots: []string{dir}}), converters.All()...)...)
	require.NoError(t, err)
	log, err := obs.NewLogger(io.Discard, "json", "warn")
	require.NoError(t, err)
	ready := make(chan allinone.Info, 1)
	cfg := allinone.Config{Listen: "127.0.0.1:0", DataDir: dir, PostgresFetch: true, Plugins: plugins, Logger: log, Registerer: prometheus.NewRegistry(),
		Worker: map[string]string{"value.converter.schemas.enable": "false", "key.converter.schemas.enable": "false", "offset.flush.interval.ms": "1000"},
		Ready:  func(i allinone.Info) { ready <- i }}
	if change != nil {
		change(&cfg)
	}
	info, stop := run(t, cfg, ready)
	t.Cleanup(stop)
	return info
}

// run runs an all-in-one until stop, which returns when it has ended.
func run(t *testing.T, cfg allinone.Config, ready <-chan allinone.Info) (info allinone.Info, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- allinone.Run(ctx, cfg) }()
	stop = sync.OnceFunc(func() { cancel(); require.NoError(t, <-done) })
	select {
	case info = <-ready:
		return info, stop
	case err := <-done:
		done <- nil
		if errors.Is(err, pgembed.ErrNoBinaries) {
			servers.Missing(t, err)
		}
		t.Fatal(err)
	case <-time.After(60 * time.Second):
		t.Fatal("it does not start")
	}
	return info, stop
}

// ours are the rows whose answer differs on purpose.
var ours = map[string]string{
	"create-46":       "the class is an abstract helper of Kafka's tests; here there is no such class",
	"create-48":       "the class is an interface of Kafka's; here there is no such class",
	"create-59":       "config providers belong to the operator; keys in a connector's configuration are stored and not obeyed, as in 4.4.0",
	"create-60":       "follows from create-59",
	"json-bodies-2":   "Kafka Connect notices the wrong type before it notices that the text ends",
	"json-bodies-69":  "the same",
	"variant-auth-8":  "what is not base64 is refused like any wrong credentials",
	"variant-auth-15": "the same",
	"variant-auth-18": "the same",
	"187.2":           "the version of the connector is ours",
}

// workers are the worker configurations of recordings that are not of a plain worker.
var workers = map[string]func(c *allinone.Config){
	"variant-cors": func(c *allinone.Config) {
		maps.Copy(c.Worker, map[string]string{"access.control.allow.origin": "*", "admin.listeners": "", "connector.client.config.override.policy": "None",
			"response.http.headers.config": `add X-XSS-Protection: 1; mode=block, "add Cache-Control: no-cache, no-store, must-revalidate", set X-Set: yes, setDate X-Date: 0`})
	},
	"variant-auth": func(c *allinone.Config) {
		users := filepath.Join(c.DataDir, "users.properties")
		if err := os.WriteFile(users, []byte("alice=secret1\nbob=pa:ss\n"), 0o600); err != nil {
			panic(err) // the test's own
		}
		maps.Copy(c.Worker, map[string]string{"rest.extension.classes": "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension",
			"millrace.rest.basic.auth.file": users, "access.control.allow.origin": "http://good.example, https://*.wild.example", "access.control.allow.methods": "PUT,DELETE",
			"connector.client.config.override.policy": "Principal", "admin.listeners": "http://127.0.0.1:0"})
	},
}

func TestREST_answers_as_Kafka_Connect_was_recorded_to(t *testing.T) {
	t.Parallel()
	for _, file := range rest.Files(t) {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			info := start(t, workers[file]) // of its own: the recordings list all connectors
			target := rest.Target{Base: "http://" + info.API, Dir: info.DataDir, Ours: ours}
			if len(info.AdminURLs) > 0 {
				target.Admin = info.AdminURLs[0]
			}
			rest.Replay(t, target, file)
		})
	}
}
