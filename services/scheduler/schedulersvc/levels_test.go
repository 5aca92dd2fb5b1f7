package schedulersvc

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/obs"
)

func TestService_sets_the_log_levels_that_it_hears_of(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config("a")
	log, err := obs.NewLogger(io.Discard, "json", "warn")
	require.NoError(t, err)
	cfg.Logger = log
	w.start(cfg)
	_, levels := obs.Leveled(log)
	before, known := levels.Get(obs.LogPlanner)
	require.True(t, known, "a component's logger is known from the start")
	require.Equal(t, "WARN", before.Level)
	msg, err := wire.Encode(wire.KindLogLevel, "", wire.LogLevel{Logger: "millrace.scheduler", Level: "DEBUG"})
	require.NoError(t, err)
	require.NoError(t, w.hub.Connect().Broadcast(wire.LogLevels, msg))
	w.eventually("the level", func() bool { l, _ := levels.Get(obs.LogPlanner); return l.Level == "DEBUG" })
}
