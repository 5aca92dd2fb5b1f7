package verifiable

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
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

func (sinkContext) Config() map[string]string {
	return map[string]string{"id": "1", "name": "sink", "topics": "t"}
}
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

// printed are lines, each decoded, without their times.
func printed(t *testing.T, b *bytes.Buffer) (all []map[string]any) {
	t.Helper()
	for text := range strings.Lines(b.String()) {
		var one map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &one))
		require.InDelta(t, time.Now().UnixMilli(), one["time_ms"], 60_000)
		delete(one, "time_ms")
		all = append(all, one)
	}
	b.Reset()
	return all
}

func TestCase_14_a_source_prints_what_it_makes_and_what_is_committed(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	task := &sourceTask{lines: lines{&out}}
	require.NoError(t, task.Start(t.Context(), taskContext{config: map[string]string{"topic": "t", "id": "0", "name": "src"}}))
	batch, err := task.Poll(t.Context())
	require.NoError(t, err)
	all := printed(t, &out)
	require.Len(t, all, len(batch))
	require.Equal(t, map[string]any{"name": "src", "task": 0.0, "topic": "t", "seqno": 2.0}, all[2])
	require.NoError(t, task.CommitRecords(t.Context(), []source.Committed{{Record: &batch[0]}, {Record: &batch[1]}}))
	require.Equal(t, []map[string]any{
		{"committed": true, "name": "src", "task": 0.0, "topic": "t", "seqno": 0.0}, {"committed": true, "name": "src", "task": 0.0, "topic": "t", "seqno": 1.0},
	}, printed(t, &out))

	quiet := &sourceTask{lines: task.lines}
	require.NoError(t, quiet.Start(t.Context(), taskContext{config: map[string]string{"topic": "t", "id": "0", "enable.stdout": "false"}}))
	batch, err = quiet.Poll(t.Context())
	require.NoError(t, err)
	require.NoError(t, quiet.CommitRecords(t.Context(), []source.Committed{{Record: &batch[0]}}))
	require.Empty(t, out.String())
}

func TestCase_15_a_sink_prints_what_it_gets_and_what_is_flushed(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	task := &sinkTask{lines: lines{&out}}
	require.NoError(t, task.Start(t.Context(), sinkContext{}))
	batch := []record.Sink{
		{Topic: "t", OriginalTopic: "t", OriginalPartition: 0, OriginalOffset: 7, Key: int32(3), Value: int64(0)},
		{Topic: "t", OriginalTopic: "t", OriginalPartition: 1, OriginalOffset: 9, Key: int32(4), Value: int64(5)},
	}
	require.NoError(t, task.Put(t.Context(), batch))
	first := map[string]any{"name": "sink", "task": 3.0, "sinkTask": 1.0, "topic": "t", "seqno": 0.0, "offset": 7.0}
	require.Equal(t, []map[string]any{first, {"name": "sink", "task": 4.0, "sinkTask": 1.0, "topic": "t", "seqno": 5.0, "offset": 9.0}}, printed(t, &out))
	batch[0].OriginalOffset = 100 // the slice is reused
	at := record.TopicPartition{Topic: "t"}
	require.NoError(t, task.Flush(t.Context(), sink.Offsets{at: 8}))
	first["flushed"] = true
	require.Equal(t, []map[string]any{first}, printed(t, &out))
	require.NoError(t, task.Flush(t.Context(), sink.Offsets{at: 8}))
	require.Empty(t, printed(t, &out), "once")
	lost := record.TopicPartition{Topic: "t", Partition: 1}
	require.NoError(t, task.Close(t.Context(), []record.TopicPartition{lost}))
	require.NoError(t, task.Flush(t.Context(), sink.Offsets{lost: 10}))
	require.Empty(t, printed(t, &out), "who has the partition now prints it")
}

func TestCase_16_complete_record_data(t *testing.T) {
	t.Parallel()
	task := &sourceTask{}
	require.NoError(t, task.Start(t.Context(), taskContext{config: map[string]string{"topic": "t", "id": "3", "name": "src", "complete.record.data": "TRUE"}}))
	batch, err := task.Poll(t.Context())
	require.NoError(t, err)
	require.NoError(t, batch[1].ValueSchema.Validate(batch[1].Value))
	names := make([]string, 0, 5)
	for _, f := range batch[1].ValueSchema.Fields() {
		names = append(names, f.Name)
		require.False(t, f.Schema.Optional())
	}
	require.Equal(t, []string{"name", "task", "topic", "time_ms", "seqno"}, names)
	value := batch[1].Value.(*data.Struct) //nolint:forcetypeassert // validated
	for name, want := range map[string]any{"name": "src", "task": int32(3), "topic": "t", "seqno": int64(1)} {
		got, _ := value.Get(name)
		require.Equal(t, want, got)
	}
	check := &sinkTask{}
	require.NoError(t, check.Start(t.Context(), sinkContext{}))
	require.NoError(t, check.Put(t.Context(), []record.Sink{{Key: int32(3), Value: batch[0].Value}, {Key: int32(3), Value: value}}))
	require.ErrorContains(t, check.Put(t.Context(), []record.Sink{{Key: int32(3), Value: batch[4].Value}}), "records 2 to 3 of source task 3 are missing")
}
