package connectortest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
)

// Source is a source connector with something to read.
type Source struct {
	Plugin plugin.Plugin
	// New makes a place to read from, empty.
	New func(t *testing.T) SourcePlace
	// Endless: there is always a next record; Feed is not used.
	Endless bool
	// Silent: it never has a record; only what needs none is tested.
	Silent bool
}

// SourcePlace is where one connector reads.
type SourcePlace struct {
	Config map[string]string // of the connector
	Feed   func(n int)       // makes n more records available
}

// stored are committed offsets by the text of their partition.
type stored map[string]record.SourceOffset

// text is a map as the suite compares it.
func text(m *data.Map) string {
	if m == nil {
		return ""
	}
	return data.Text(m)
}

func (s stored) Offset(_ context.Context, p record.SourcePartition) (record.SourceOffset, error) {
	return s[text(p)], nil
}

func (s stored) Offsets(_ context.Context, ps []record.SourcePartition) ([]record.SourceOffset, error) {
	all := make([]record.SourceOffset, len(ps))
	for i, p := range ps {
		all[i] = s[text(p)]
	}
	return all, nil
}

type sourceContext struct {
	config  map[string]string
	offsets stored
}

func (c sourceContext) Config() map[string]string         { return c.config }
func (c sourceContext) Offsets() source.OffsetReader      { return c.offsets }
func (c sourceContext) Logger() *slog.Logger              { return slog.New(slog.DiscardHandler) }
func (c sourceContext) Transactions() source.Transactions { return nil }

// running is a task that runs.
type running struct {
	source.Task
	t *testing.T
}

func (h Source) start(t *testing.T, place SourcePlace, offsets stored) running {
	t.Helper()
	configs := split(t, h.Plugin, place.Config, 1)
	require.Len(t, configs, 1)
	task, before := h.Plugin.NewSourceTask(), maps.Clone(configs[0])
	require.NoError(t, task.Start(t.Context(), sourceContext{configs[0], offsets}))
	require.Equal(t, before, configs[0], "the configuration is not the task's to change")
	return running{task, t}
}

func (r running) stop() {
	r.t.Helper()
	bounded(r.t, "Stop", func() { require.NoError(r.t, r.Stop(context.WithoutCancel(r.t.Context()))) })
}

// take polls until there are n records.
func (r running) take(n int) (all []record.Source) {
	r.t.Helper()
	bounded(r.t, fmt.Sprintf("%d records", n), func() {
		for len(all) < n && r.t.Context().Err() == nil {
			batch, err := r.Poll(r.t.Context())
			require.NoError(r.t, err)
			all = append(all, batch...)
		}
	})
	return all[:n]
}

// contents are the values of records.
func contents(all []record.Source) []string {
	out := make([]string, len(all))
	for i := range all {
		out[i] = data.Text(all[i].Value)
	}
	return out
}

const some = 20 // records

// RunSource runs the suite for a source connector.
func RunSource(t *testing.T, h Source) {
	definition(t, h.Plugin, func(t *testing.T) map[string]string { return h.New(t).Config })
	fed := func(t *testing.T, n int) SourcePlace {
		place := h.New(t)
		if !h.Endless {
			place.Feed(n)
		}
		return place
	}
	if !h.Silent {
		h.records(t, fed)
	}
	if !h.Endless {
		t.Run("waits for a record until it is told to stop", func(t *testing.T) {
			t.Parallel()
			r := h.start(t, h.New(t), nil)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				for ctx.Err() == nil {
					if batch, err := r.Poll(ctx); err != nil || len(batch) > 0 {
						done <- fmt.Errorf("%d records, %w", len(batch), err)
						return
					}
				}
				done <- nil
			}()
			cancel()
			bounded(t, "a Poll that was told to end", func() { require.NoError(t, <-done) })
			r.stop()
		})
	}
	t.Run("can be stopped when its start failed", func(t *testing.T) {
		t.Parallel()
		task := h.Plugin.NewSourceTask()
		require.NotPanics(t, func() { _ = task.Start(t.Context(), sourceContext{map[string]string{}, stored{}}) })
		bounded(t, "Stop", func() { require.NoError(t, task.Stop(context.WithoutCancel(t.Context()))) })
	})
	t.Run("leaves no goroutine behind", func(t *testing.T) { // not in parallel: it counts
		ignore := goleak.IgnoreCurrent()
		r := h.start(t, fed(t, some), nil)
		if !h.Silent {
			r.take(some)
		}
		r.stop()
		goleak.VerifyNone(t, ignore)
	})
}

func (h Source) records(t *testing.T, fed func(*testing.T, int) SourcePlace) {
	t.Run("goes on behind the last committed position", func(t *testing.T) {
		t.Parallel()
		place := fed(t, some)
		r := h.start(t, place, nil)
		all := r.take(some)
		r.stop()
		for _, done := range []int{1, some / 2, some - 1} {
			offsets := stored{}
			for _, one := range all[:done] {
				require.NotNil(t, one.Offset, "a record has a position")
				offsets[text(one.Partition)] = one.Offset
			}
			r := h.start(t, place, offsets)
			require.Equal(t, contents(all[done:]), contents(r.take(some-done)))
			r.stop()
		}
	})
	t.Run("starts at the beginning without a position, again and again", func(t *testing.T) {
		t.Parallel()
		place := fed(t, some)
		var first []string
		for range 3 {
			r := h.start(t, place, nil)
			got := contents(r.take(some))
			r.stop()
			if first == nil {
				first = got
			}
			require.Equal(t, first, got)
		}
	})
	t.Run("does not touch records that it has handed over", func(t *testing.T) {
		t.Parallel()
		place := fed(t, some)
		r := h.start(t, place, nil)
		all := r.take(some)
		values, offsets := contents(all), make([]string, some)
		for i := range all {
			offsets[i] = text(all[i].Offset)
		}
		if !h.Endless {
			place.Feed(some)
		}
		r.take(some)
		require.Equal(t, values, contents(all))
		for i := range all {
			require.Equal(t, offsets[i], text(all[i].Offset))
		}
		r.stop()
	})
	t.Run("names a topic, a position and one map for a partition", func(t *testing.T) {
		t.Parallel()
		r := h.start(t, fed(t, some), nil)
		known := map[string]record.SourcePartition{}
		for _, one := range r.take(some) {
			require.NotEmpty(t, one.Topic)
			p := text(one.Partition)
			if known[p] == nil {
				known[p] = one.Partition
			}
			require.Same(t, known[p], one.Partition, "the runtime compares pointers first")
		}
		r.stop()
	})
}
