package connectortest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
)

// Sink is a sink connector with somewhere to write.
type Sink struct {
	Plugin plugin.Plugin
	// New makes a place to write to, empty.
	New func(t *testing.T) SinkPlace
	// Record makes the n-th record; nil makes texts "0", "1"….
	Record func(n int) record.Sink
}

// SinkPlace is where one connector writes.
type SinkPlace struct {
	Config map[string]string // of the connector
	// Read tells what has arrived, in order; nil: nothing can be read back.
	Read func() []string
}

type sinkContext struct {
	config map[string]string
	parts  []record.TopicPartition
}

func (c sinkContext) Config() map[string]string                { return c.config }
func (c sinkContext) Logger() *slog.Logger                     { return slog.New(slog.DiscardHandler) }
func (c sinkContext) Assignment() []record.TopicPartition      { return c.parts }
func (c sinkContext) Rewind(sink.Offsets)                      {}
func (c sinkContext) Timeout(time.Duration)                    {}
func (c sinkContext) Pause(...record.TopicPartition) error     { return nil }
func (c sinkContext) Resume(...record.TopicPartition) error    { return nil }
func (c sinkContext) RequestCommit()                           {}
func (c sinkContext) ErrantRecords() sink.ErrantRecordReporter { return nil }

var partition = record.TopicPartition{Topic: "t"}

// writing is a sink task that runs.
type writing struct {
	sink.Task
	t *testing.T
	h Sink
}

func (h Sink) start(t *testing.T, place SinkPlace) writing {
	t.Helper()
	configs := split(t, h.Plugin, place.Config, 1)
	require.Len(t, configs, 1)
	task, before := h.Plugin.NewSinkTask(), maps.Clone(configs[0])
	require.NoError(t, task.Start(t.Context(), sinkContext{configs[0], []record.TopicPartition{partition}}))
	require.Equal(t, before, configs[0], "the configuration is not the task's to change")
	w := writing{task, t, h}
	if p, ok := task.(sink.PartitionAware); ok {
		require.NoError(t, p.Open(t.Context(), []record.TopicPartition{partition}))
	}
	return w
}

// put hands over the records from…to-1 in one batch, and spoils the slice afterwards, as the runtime may.
func (w writing) put(from, to int) {
	w.t.Helper()
	batch := make([]record.Sink, 0, to-from)
	for n := from; n < to; n++ {
		r := record.Sink{Topic: partition.Topic, ValueSchema: data.StringSchema, Value: fmt.Sprint(n), Timestamp: 1}
		if w.h.Record != nil {
			r = w.h.Record(n)
		}
		r.Topic, r.OriginalTopic, r.KafkaOffset, r.OriginalOffset = partition.Topic, partition.Topic, int64(n), int64(n)
		batch = append(batch, r)
	}
	require.NoError(w.t, w.Put(w.t.Context(), batch))
	clear(batch)
}

// commit does what the runtime does before it commits offsets up to next, and returns the one that may be committed.
func (w writing) commit(next int64) int64 {
	w.t.Helper()
	current := sink.Offsets{partition: next}
	ctx := context.WithoutCancel(w.t.Context())
	switch task := w.Task.(type) {
	case sink.PreCommitter:
		safe, err := task.PreCommit(ctx, current)
		require.NoError(w.t, err)
		require.LessOrEqual(w.t, safe[partition], next, "never more than was put")
		return safe[partition]
	case sink.Flusher:
		require.NoError(w.t, task.Flush(ctx, current))
	}
	return next
}

func (w writing) stop() {
	w.t.Helper()
	ctx := context.WithoutCancel(w.t.Context())
	if p, ok := w.Task.(sink.PartitionAware); ok {
		require.NoError(w.t, p.Close(ctx, []record.TopicPartition{partition}))
	}
	bounded(w.t, "Stop", func() { require.NoError(w.t, w.Stop(ctx)) })
}

func numbers(from, to int) (all []string) {
	for n := from; n < to; n++ {
		all = append(all, fmt.Sprint(n))
	}
	return all
}

// arrived requires that exactly these have arrived, in order.
func arrived(t *testing.T, place SinkPlace, want []string) {
	t.Helper()
	if place.Read != nil {
		require.Equal(t, want, place.Read())
	}
}

// RunSink runs the suite for a sink connector.
func RunSink(t *testing.T, h Sink) {
	definition(t, h.Plugin, func(t *testing.T) map[string]string { return h.New(t).Config })
	for name, f := range map[string]func(t *testing.T, place SinkPlace){
		"what may be committed has arrived, in order": func(t *testing.T, place SinkPlace) {
			w := h.start(t, place)
			w.put(0, 0) // an empty batch is no event
			w.put(0, some)
			require.EqualValues(t, some, w.commit(some))
			arrived(t, place, numbers(0, some))
			w.put(some, some+1)
			w.put(some+1, 2*some)
			require.EqualValues(t, 2*some, w.commit(2*some))
			arrived(t, place, numbers(0, 2*some))
			w.stop()
		},
		"records that come again after a crash are taken": func(t *testing.T, place SinkPlace) {
			w := h.start(t, place)
			w.put(0, some)
			w.commit(some)
			w.put(some, some+5) // and then nobody stops it
			again := h.start(t, place)
			again.put(some, 2*some)
			require.EqualValues(t, 2*some, again.commit(2*some))
			if place.Read != nil {
				got := place.Read()
				require.Equal(t, numbers(0, some), got[:some])
				require.Equal(t, numbers(some, 2*some), got[len(got)-some:], "all of them, whatever is repeated")
				slices.Sort(got)
				want := numbers(0, 2*some)
				slices.Sort(want)
				require.Equal(t, want, slices.Compact(got), "and nothing else")
			}
			again.stop()
			w.stop()
		},
		"commits without a record are harmless": func(t *testing.T, place SinkPlace) {
			w := h.start(t, place)
			w.commit(0)
			w.put(0, 0)
			w.commit(0)
			w.stop()
			arrived(t, place, nil)
		},
		"can be stopped when its start failed": func(t *testing.T, _ SinkPlace) {
			task := h.Plugin.NewSinkTask()
			require.NotPanics(t, func() { _ = task.Start(t.Context(), sinkContext{config: map[string]string{}}) })
			bounded(t, "Stop", func() { require.NoError(t, task.Stop(context.WithoutCancel(t.Context()))) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, h.New(t))
		})
	}
	t.Run("leaves no goroutine behind", func(t *testing.T) { // not in parallel: it counts
		ignore := goleak.IgnoreCurrent()
		w := h.start(t, h.New(t))
		w.put(0, some)
		w.commit(some)
		w.stop()
		goleak.VerifyNone(t, ignore)
	})
}
