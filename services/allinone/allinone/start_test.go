package allinone_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/embedded/pgembed"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/plugins"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/allinone/allinone"
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
	plugins := registryOf(t, dir, further...)
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

// registryOf holds our plugins, which may use the files of a folder, and further ones.
func registryOf(t *testing.T, dir string, further ...plugin.Plugin) *plugin.Registry {
	t.Helper()
	registry, err := plugin.New(append(plugins.All(connectors.Options{FileRoots: []string{dir}}), further...)...)
	require.NoError(t, err)
	return registry
}

// run runs an all-in-one until stop, which returns when it has ended.
func run(t *testing.T, cfg allinone.Config, ready <-chan allinone.Info) (info allinone.Info, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- allinone.Run(ctx, cfg) }()
	stop = sync.OnceFunc(func() { cancel(); assert.NoError(t, <-done) }) // a panic would be repeated
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
