package allinone_test

import (
	"context"
	"errors"
	"fmt"
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
	info, stop := startIn(t, t.TempDir(), nil, change)
	t.Cleanup(stop)
	return info
}

// startIn runs an all-in-one in a folder until stop, with further plugins.
func startIn(t *testing.T, dir string, further []plugin.Plugin, change func(*allinone.Config)) (info allinone.Info, stop func()) {
	t.Helper()
	plugins, err := plugin.New(append(append(connectors.All(connectors.Options{FileRoots: []string{dir}}), converters.All()...), further...)...)
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
	return run(t, cfg, ready)
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

// workers are the workers of recordings that need another one.
var workers = map[string]func(*allinone.Config){
	"validate": func(c *allinone.Config) { c.Worker["exactly.once.source.support"] = "disabled" },
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
	"variant-providers": func(c *allinone.Config) {
		for k, v := range map[string]string{
			"config.providers":                             "file,env,dir",
			"config.providers.file.class":                  "org.apache.kafka.common.config.provider.FileConfigProvider",
			"config.providers.file.param.allowed.paths":    c.DataDir,
			"config.providers.dir.class":                   "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
			"config.providers.dir.param.allowed.paths":     c.DataDir,
			"config.providers.env.class":                   "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
			"config.providers.env.param.allowlist.pattern": "ORACLE_.*",
			"topic.creation.enable":                        "false",
			"connector.client.config.override.policy":      "Allowlist",
			"connector.client.config.override.allowlist":   "acks,max.request.size,client.id",
		} {
			c.Worker[k] = v
		}
	},
}

func TestMain(m *testing.M) {
	if err := os.Setenv("ORACLE_ENV_NUM", "3"); err != nil { // a secret of the recordings
		panic(err)
	}
	os.Exit(m.Run())
}

func TestREST_answers_as_Kafka_Connect_was_recorded_to(t *testing.T) {
	t.Parallel()
	for _, file := range rest.Files(t) {
		if file == removed {
			continue // a test of its own
		}
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			info := start(t, workers[file]) // of its own: the recordings list all connectors
			target := rest.Target{Base: "http://" + info.API, Dir: info.DataDir, Ours: rest.Ours, Version: connectors.Version, Write: rest.Written[file]}
			if file == "variant-auth" {
				target.Login = "alice:secret1"
			}
			if len(info.AdminURLs) > 0 {
				target.Admin = info.AdminURLs[0]
			}
			rest.Replay(t, target, file)
		})
	}
}

// The recordings in which Kafka does most of the work, beside a real broker.
func TestREST_beside_a_real_broker_offsets_and_topics_are_as_recorded(t *testing.T) {
	t.Parallel()
	bootstrap := servers.Kafka(t)
	for _, file := range []string{"tasks-topics", "offsets", "after-deletion"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			info := start(t, func(c *allinone.Config) {
				unique := fmt.Sprintf("%s-%d", file, time.Now().UnixNano()) // the broker may have seen other runs
				c.Kafka, c.Worker["group.id"], c.Worker["offset.storage.topic"] = bootstrap, unique, "offsets-"+unique
			})
			rest.Replay(t, rest.Target{Base: "http://" + info.API, Dir: info.DataDir, Ours: rest.Ours, Version: connectors.Version, Write: rest.Written[file]}, file)
		})
	}
}

// removed is the recording of connectors whose plugin is no longer installed.
const removed = "plugin-removed"

// greedy is a connector like the recorded one, as far as that matters: it runs.
func greedy() plugin.Plugin {
	for _, p := range connectors.All(connectors.Options{}) {
		if p.Class == "org.apache.kafka.connect.tools.MockSourceConnector" {
			p.Class, p.TaskClass, p.Version = "golden.GreedySourceConnector", "golden.GreedySourceConnector$T", "0.9"
			return p
		}
	}
	panic("there is no such connector")
}

func TestREST_connectors_outlive_their_plugin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	info, stop := startIn(t, dir, []plugin.Plugin{greedy()}, nil)
	p := rest.New(t, rest.Target{Base: "http://" + info.API, Dir: dir, Ours: rest.Ours, Version: connectors.Version}, removed)
	p.Play(t, "plugin-removed-8")
	stop()
	info, stop = startIn(t, dir, nil, nil)
	t.Cleanup(stop)
	p.Move("http://" + info.API)
	p.Play(t, "")
}
