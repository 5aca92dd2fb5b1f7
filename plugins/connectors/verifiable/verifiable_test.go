package verifiable

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/sdk/source"
)

type taskContext struct {
	source.Context
	config map[string]string
	offset record.SourceOffset
}

func (c taskContext) Config() map[string]string    { return c.config }
func (c taskContext) Logger() *slog.Logger         { return slog.New(slog.DiscardHandler) }
func (c taskContext) Offsets() source.OffsetReader { return stored{c.offset} }

type stored struct{ offset record.SourceOffset }

func (s stored) Offset(context.Context, record.SourcePartition) (record.SourceOffset, error) {
	return s.offset, nil
}

func (s stored) Offsets(context.Context, []record.SourcePartition) ([]record.SourceOffset, error) {
	return []record.SourceOffset{s.offset}, nil
}

type sinkContext struct{ sink.Context }

func (sinkContext) Logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestSource_numbers_from_0_or_from_behind_the_stored_offset(t *testing.T) {
	t.Parallel()
	task := &sourceTask{}
	config := map[string]string{"topic": "t", "id": "3"}
	require.NoError(t, task.Start(t.Context(), taskContext{config: config}))
	batch, err := task.Poll(t.Context())
	require.NoError(t, err)
	require.Len(t, batch, atOnce)
	require.Equal(t, int32(3), batch[0].Key)
	require.Equal(t, int64(0), batch[0].Value)
	require.Equal(t, int64(999), batch[999].Value)
	seqno, _ := batch[999].Offset.Get("seqno")
	require.Equal(t, int64(999), seqno)

	require.NoError(t, task.Start(t.Context(), taskContext{config: config, offset: data.MapOf("seqno", int64(41))}))
	batch, err = task.Poll(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(42), batch[0].Value)
	require.Error(t, task.Start(t.Context(), taskContext{config: config, offset: data.MapOf("seqno", "41")}))
	require.Error(t, task.Start(t.Context(), taskContext{config: map[string]string{"topic": "t"}}))
}

func TestSource_keeps_to_its_throughput(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		task := &sourceTask{}
		require.NoError(t, task.Start(t.Context(), taskContext{config: map[string]string{"topic": "t", "id": "0", "throughput": "100"}}))
		n, began := 0, time.Now()
		for time.Since(began) < 10*time.Second {
			batch, err := task.Poll(t.Context())
			require.NoError(t, err)
			n += len(batch)
		}
		require.InDelta(t, 1000, n, 2)
	})
}

func TestConnector_gives_each_task_its_number(t *testing.T) {
	t.Parallel()
	c := &verifiableConnector{config: map[string]string{"topic": "t", "id": "user's"}}
	configs, err := c.TaskConfigs(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, []map[string]string{{"topic": "t", "id": "0"}, {"topic": "t", "id": "1"}}, configs)
}

func TestSink_allows_repetitions_and_finds_gaps(t *testing.T) {
	t.Parallel()
	put := func(task *sinkTask, id any, seqnos ...any) error {
		var batch []record.Sink
		for _, n := range seqnos {
			batch = append(batch, record.Sink{Key: id, Value: n})
		}
		return task.Put(t.Context(), batch)
	}
	task := &sinkTask{}
	require.NoError(t, task.Start(t.Context(), sinkContext{}))
	require.NoError(t, put(task, int32(0), int64(5), int64(6), int64(7)))
	require.NoError(t, put(task, "1", "0", "1"))
	require.NoError(t, put(task, int32(0), int64(6), int64(7), int64(8)))
	require.Equal(t, int64(2), task.repeated)
	require.ErrorContains(t, put(task, int32(0), int64(11)), "records 9 to 10 of source task 0 are missing")
	require.ErrorContains(t, put(task, nil, "x"), "has no numbers")
}
