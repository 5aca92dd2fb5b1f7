package runner

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/embedded/natsembed"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/tests/logs"
)

func TestRun_sets_the_log_levels_that_it_hears_of(t *testing.T) {
	t.Parallel()
	srv, err := natsembed.Start(t.Context(), natsembed.Options{DataDir: t.TempDir(), Port: -1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close(context.WithoutCancel(t.Context()))) })
	cfg := working(t, &logs.Buffer{})
	cfg.NATS = natsbus.Options{URL: srv.URL()}
	cfg.Logger, err = obs.NewLogger(io.Discard, "json", "warn")
	require.NoError(t, err)
	_, levels := obs.Leveled(cfg.Logger)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg) }()

	o := cfg.NATS
	o.Logger = cfg.Logger
	bus, err := natsbus.Connect(t.Context(), o)
	require.NoError(t, err)
	msg, err := wire.Encode(wire.KindLogLevel, "", wire.LogLevel{Logger: obs.LogSinkTask, Level: "TRACE"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_ = bus.Broadcast(wire.LogLevels, msg) // until it listens
		l, _ := levels.Get(obs.LogSinkTask)
		return l.Level == "TRACE"
	}, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, bus.Close(context.WithoutCancel(t.Context())))
	stop()
	require.Equal(t, exitcode.OK, exitcode.Of(<-done), "it may be starting still")
}
