package allinone_test

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/allinone/allinone"
	"github.com/millrace/millrace/tests/e2e/badinput"
)

// logs collects log lines of many goroutines.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestBadInput_fails_its_own_task_names_the_cause_and_loses_nothing(t *testing.T) {
	t.Parallel()
	files, log := t.TempDir(), &logs{}
	info := start(t, func(c *allinone.Config) {
		var err error
		c.Plugins, err = plugin.New(append(append(connectors.All(connectors.Options{FileRoots: []string{files}}), converters.All()...), badinput.Plugins()...)...)
		require.NoError(t, err)
		c.Worker["offset.flush.interval.ms"] = "200"
		c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	dir, err := filepath.EvalSymlinks(files)
	require.NoError(t, err)
	badinput.Run(t, badinput.Target{Base: "http://" + info.API, Dir: dir, Logs: log.String})
}
