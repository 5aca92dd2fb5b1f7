package herder_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/api/internal/herder"
)

func TestSetLogger_answers_and_refusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		logger, level string
		none          bool
		changed       []string
		code          cluster.Code
		says          string
	}{
		{logger: "a.b", level: "DEBUG", changed: []string{"a.b"}},
		{logger: "a.b", level: " debug ", changed: []string{}},
		{logger: "a", level: "OFF", changed: []string{"a", "a.b"}},
		{logger: "a", none: true, code: cluster.Invalid, says: "Desired 'level' parameter was not specified in request."},
		{logger: "a", level: "", code: cluster.Failed, says: "Illegal null or empty Level name."},
		{logger: "a", level: "HIGH", code: cluster.NotFound, says: "invalid log level 'HIGH'."},
	} {
		level := &c.level
		if c.none {
			level = nil
		}
		for _, everywhere := range []bool{false, true} {
			changed, err := w.SetLogger(c.logger, level, everywhere)
			if c.code != "" {
				w.refused(err, c.code, c.says)
				continue
			}
			require.NoError(t, err)
			if !everywhere {
				require.Equal(t, c.changed, changed)
			}
		}
	}
	l, err := w.Logger("a.b")
	require.NoError(t, err)
	require.Equal(t, "OFF", l.Level)
	require.NotNil(t, l.LastModified)
	require.NotContains(t, w.Loggers(), "a.b")
	require.Contains(t, w.Loggers(), "root")
	_, err = w.Logger("a.b.c")
	w.refused(err, cluster.NotFound, "Logger a.b.c not found.")
}

func TestSetLogger_everywhere_reaches_other_processes_and_here_only_this_one(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bus := w.hub.Connect()
	other, err := herder.New(herder.Config{Store: w.store, Bus: bus, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		require.NoError(t, other.Close(ctx))
		require.NoError(t, bus.Close(ctx))
	})
	debug := "DEBUG"
	_, err = w.SetLogger("only.here", &debug, false)
	require.NoError(t, err)
	_, err = w.SetLogger("a.b", &debug, true)
	require.NoError(t, err)
	l, err := w.Logger("a.b")
	require.NoError(t, err)
	require.Equal(t, debug, l.Level, "here it has changed when the request is answered")
	require.Eventually(t, func() bool { l, err := other.Logger("a.b"); return err == nil && l.Level == debug }, 5*time.Second, time.Millisecond)
	_, err = other.Logger("only.here")
	w.refused(err, cluster.NotFound)
}
