package sinktask

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

func TestAFencedTaskStandsDownWithoutCommit(t *testing.T) { // ZT-2
	t.Parallel()
	fence := fmt.Errorf("committing: %w", job.ErrFenced)
	var b *bench
	for name, steps := range map[string][]step{
		"found by polling": {assign(two), records(0, 10, "a"), func(*fakeConsumer) ([]kafkaio.Record, error) { return nil, fence }},
		"found by a commit": {assign(two), records(0, 10, "a"), then(func() { b.plugin.ctx.RequestCommit() }),
			records(0, 11, "never")},
	} {
		t.Run(name, func(t *testing.T) {
			b = newBench(t, steps...)
			b.consumer.commitFn = func(map[record.TopicPartition]int64) error { return fence }
			got, err := b.run()
			require.Equal(t, job.ErrFenced, err)
			require.Zero(t, commits(got), "no second attempt")
			require.NotContains(t, fmt.Sprint(got), "never")
			require.Equal(t, []string{"close [{t 0} {t 1}]", "stop", "pipeline closed", "consumer closed"}, got[len(got)-4:])
		})
	}
}

func TestAfterAFreezeKafkaIsAskedBeforeMoreIsWritten(t *testing.T) { // ZT-2, ZT-3
	t.Parallel()
	freeze := func(part int32, from int64, s string) step {
		return func(c *fakeConsumer) ([]kafkaio.Record, error) {
			c.stalled = 3 * time.Second
			return recs(part, from, s), nil
		}
	}
	t.Run("a fenced task writes nothing more", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, assign(two), records(0, 10, "a"), freeze(0, 11, "b"))
		b.consumer.commitFn = func(map[record.TopicPartition]int64) error { return job.ErrFenced }
		got, err := b.run()
		require.ErrorIs(t, err, job.ErrFenced)
		require.Contains(t, got, "commit map[{t 0}:10 {t 1}:20]", "what is committed anyway is committed again, to see")
		require.NotContains(t, got, "put b")
	})
	t.Run("the holder goes on", func(t *testing.T) {
		t.Parallel()
		got, err := newBench(t, assign(two), freeze(0, 10, "a"), records(0, 11, "b")).run()
		require.NoError(t, err)
		require.Contains(t, got, "put b")
		require.Equal(t, 2, commits(got), "asked once, committed once")
	})
	t.Run("without an answer the batch waits", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, assign(two), freeze(0, 10, "a"))
		b.consumer.idle = nil
		asked := 0
		b.consumer.commitFn = func(map[record.TopicPartition]int64) error {
			if asked++; asked < 3 {
				return connecterr.New(connecterr.Retriable, "Kafka is away")
			}
			return nil
		}
		b.start()
		require.Eventually(t, func() bool { return count(b.all(), "put a") == 1 }, patience, time.Millisecond)
		b.take()
		require.NoError(t, b.ended())
		require.Equal(t, 4, commits(b.all()))
	})
	t.Run("a commit on its way is not taken back", func(t *testing.T) {
		t.Parallel()
		var b *bench
		b = newBench(t, assign(two), records(0, 10, "a"), then(func() { b.plugin.ctx.RequestCommit() }), freeze(0, 11, "b"))
		b.consumer.mute = true
		got, err := b.run()
		require.NoError(t, err)
		require.Contains(t, got, "commit map[{t 0}:11 {t 1}:20]")
	})
}

func TestAFenceMetByTheLastCommitStandsDownToo(t *testing.T) {
	t.Parallel()
	b := newBench(t, assign(two), records(0, 10, "a"))
	b.consumer.commitFn = func(map[record.TopicPartition]int64) error { return job.ErrFenced }
	_, err := b.run()
	require.ErrorIs(t, err, job.ErrFenced)
}

func TestFencingTellsTheTermAndTheTopicsIdentity(t *testing.T) {
	t.Parallel()
	a := (*pluginContext)(&task{Deps: &Deps{FlushTimeout: patience}, spec: cluster.JobSpec{Job: cluster.TaskJob("uid", 3), Epoch: 7}, consumer: &fakeConsumer{}})
	name, epoch := a.Term()
	require.Equal(t, "uid/3", name)
	require.EqualValues(t, 7, epoch)
	id, err := a.TopicID(t.Context(), "t")
	require.NoError(t, err)
	require.Equal(t, "id of t", id)
}
