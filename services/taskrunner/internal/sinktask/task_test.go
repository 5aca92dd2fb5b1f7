package sinktask

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

var two = map[record.TopicPartition]int64{tpN(0): 10, tpN(1): 20}

func TestAGracefulStopCommitsWhatWasAcceptedInOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t, assign(two), records(0, 10, "ab-"), records(1, 20, "c"))
	got, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{
		"consumer connect-c connect-c-uid-3", "start", "RUNNING", "subscribe [t]",
		"open [{t 0} {t 1}]", "put ab", "put c",
		"precommit map[{t 0}:13 {t 1}:21]", "close [{t 0} {t 1}]", "commit map[{t 0}:13 {t 1}:21]",
		"stop", "pipeline closed", "consumer closed",
	}, got, "offset 12 was dropped by the pipeline and is committed all the same")
}

func TestGivingUpWritesNothingMore(t *testing.T) {
	t.Parallel()
	b := newBench(t, assign(two), records(0, 10, "a"))
	idle := b.consumer.idle
	b.start()
	<-idle
	b.do()
	require.NoError(t, b.ended())
	got := b.all()
	require.NotContains(t, fmt.Sprint(got), "commit")
	require.Contains(t, got, "stop")
	require.Contains(t, got, "consumer closed")
}

func TestAPluginThatIgnoresCancellationLosesItsMembership(t *testing.T) { // ZT-4
	t.Parallel()
	b := newBench(t, assign(two), records(0, 10, "a"))
	inPut, release := make(chan struct{}), make(chan struct{})
	b.plugin.put = func(_ context.Context, batch []record.Sink) error {
		if len(batch) > 0 {
			close(inPut)
			<-release
		}
		return nil
	}
	b.start()
	<-inPut
	b.do()
	require.Eventually(t, func() bool {
		for _, e := range b.all() {
			if e == "consumer closed" {
				return true
			}
		}
		return false
	}, patience, time.Millisecond, "the client is closed although the plugin still hangs")
	close(release)
	require.NoError(t, b.ended())
	require.NotContains(t, fmt.Sprint(b.all()), "commit")
}

func TestAFailedPutFailsTheTaskAndCommitsOnlyWhatCameBefore(t *testing.T) {
	t.Parallel()
	b := newBench(t, assign(two), records(0, 10, "a"), records(0, 11, "X"))
	cause := errors.New("disk full")
	b.plugin.put = func(_ context.Context, batch []record.Sink) error {
		if len(batch) > 0 && values(batch) == "X" {
			return cause
		}
		return nil
	}
	got, err := b.run()
	require.ErrorIs(t, err, cause)
	require.Contains(t, err.Error(), "Exiting WorkerSinkTask due to unrecoverable exception.")
	require.Contains(t, got, "commit map[{t 0}:11]")
	require.Equal(t, []string{"stop", "pipeline closed", "consumer closed"}, got[len(got)-3:])
}

func TestAFailedConversionFailsTheTask(t *testing.T) {
	t.Parallel()
	got, err := newBench(t, assign(two), records(0, 10, "a!")).run()
	require.ErrorContains(t, err, "bad record at 11")
	require.NotContains(t, got, "put a")
}

func TestARefusedBatchIsOfferedAgainWhilePartitionsRest(t *testing.T) {
	t.Parallel()
	b := newBench(t, assign(two), records(0, 10, "ab"))
	tries := 0
	b.plugin.put = func(_ context.Context, batch []record.Sink) error {
		if len(batch) == 0 {
			return nil
		}
		tries++
		require.Equal(t, tries > 1, b.consumer.paused[tpN(0)] && b.consumer.paused[tpN(1)], "try %d", tries)
		if tries < 3 {
			b.plugin.ctx.Timeout(time.Duration(tries) * time.Millisecond)
			return connecterr.New(connecterr.Retriable, "busy")
		}
		return nil
	}
	idle := make(chan struct{})
	b.consumer.idle = nil
	b.plugin.preCommit = func(o sink.Offsets) (sink.Offsets, error) { return o, nil }
	b.deps.FlushInterval = 200 * time.Millisecond
	b.consumer.commitFn = func(map[record.TopicPartition]int64) error { close(idle); b.consumer.commitFn = nil; return nil }
	b.start()
	<-idle
	b.take()
	require.NoError(t, b.ended())
	require.Equal(t, 3, tries)
	require.Empty(t, b.consumer.paused, "all partitions are read again")
	require.Contains(t, fmt.Sprint(b.all()), "put ab put ab put ab", "the same batch, nothing between")
	short := 0
	for _, w := range b.consumer.waits {
		if w <= 2*time.Millisecond {
			short++
		}
	}
	require.GreaterOrEqual(t, short, 2, "the plugin's timeouts are kept: %v", b.consumer.waits)
}

func TestAFailedPreCommitRewindsToTheLastCommit(t *testing.T) {
	t.Parallel()
	var b *bench
	b = newBench(t, assign(two), records(0, 10, "ab"),
		then(func() { b.plugin.ctx.RequestCommit() }), // fails
		records(0, 10, "ab"))
	fails := 1
	b.plugin.preCommit = func(o sink.Offsets) (sink.Offsets, error) {
		if fails--; fails >= 0 {
			return nil, errors.New("can't flush")
		}
		return o, nil
	}
	got, err := b.run()
	require.NoError(t, err)
	require.Contains(t, got, "seek map[{t 0}:10 {t 1}:20]")
	require.Contains(t, got, "commit map[{t 0}:12]")
}

func TestWhatThePluginDoesNotAnswerIsNotCommitted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer sink.Offsets
		want   string
	}{
		"a part":                   {sink.Offsets{tpN(0): 11}, "commit map[{t 0}:11]"},
		"too far":                  {sink.Offsets{tpN(0): 13, tpN(1): 21}, "commit map[{t 1}:21]"},
		"not assigned":             {sink.Offsets{tpN(7): 1, tpN(1): 21}, "commit map[{t 1}:21]"},
		"opted out":                {sink.Offsets{}, ""},
		"what is committed anyway": {sink.Offsets{tpN(0): 10}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, assign(two), records(0, 10, "ab"), records(1, 20, "c"))
			b.plugin.preCommit = func(sink.Offsets) (sink.Offsets, error) { return tc.answer, nil }
			got, err := b.run()
			require.NoError(t, err)
			var commits string
			for _, e := range got {
				if len(e) > 6 && e[:6] == "commit" {
					commits += e
				}
			}
			require.Equal(t, tc.want, commits)
		})
	}
}

func TestCommitsAreNotMadeBeforeRecordsSetAsideAreSafe(t *testing.T) {
	t.Parallel()
	b := newBench(t, assign(two), records(0, 10, "a"))
	b.pipe.settle = func() error { return errors.New("dead letter queue is away") }
	got, err := b.run()
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprint(got), "commit")
}

func TestAReportBeyondTheToleranceFailsTheTaskAlsoWhenThePluginSwallowsIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, assign(two), records(0, 10, "a"))
	b.plugin.put = func(_ context.Context, batch []record.Sink) error {
		if len(batch) > 0 {
			b.pipe.exceeded = errors.New("Tolerance exceeded in error handler")
		}
		return nil
	}
	got, err := b.run()
	require.ErrorContains(t, err, "Tolerance exceeded")
	require.NotContains(t, got, "commit map[{t 0}:11]")
}

func TestRevokedPartitionsAreCommittedClosedAndForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t, assign(two), records(0, 10, "a"), records(1, 20, "b"),
		func(c *fakeConsumer) ([]kafkaio.Record, error) {
			return nil, c.handler.Revoked([]record.TopicPartition{tpN(1)})
		},
		records(0, 11, "c"))
	got, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{
		"put a", "put b", "precommit map[{t 1}:21]", "close [{t 1}]", "commit map[{t 1}:21]",
		"put c", "precommit map[{t 0}:12]", "close [{t 0}]", "commit map[{t 0}:12]", "stop", "pipeline closed", "consumer closed",
	}, got[5:], "the stop closes only what is still owned")
}

func TestRecordsOfARevokedPartitionLeaveTheRefusedBatch(t *testing.T) {
	t.Parallel()
	b := newBench(t, assign(two),
		func(*fakeConsumer) ([]kafkaio.Record, error) {
			return append(recs(0, 10, "a"), recs(1, 20, "b")...), nil
		},
		func(c *fakeConsumer) ([]kafkaio.Record, error) {
			return nil, c.handler.Revoked([]record.TopicPartition{tpN(1)})
		})
	first := true
	b.plugin.put = func(_ context.Context, batch []record.Sink) error {
		if first && len(batch) > 0 {
			first = false
			b.plugin.ctx.Timeout(0)
			return connecterr.New(connecterr.Retriable, "busy")
		}
		return nil
	}
	got, err := b.run()
	require.NoError(t, err)
	require.Contains(t, got, "put ab")
	require.Contains(t, got, "put a", "the pipeline renamed the topic, the record's origin counts")
	require.Contains(t, got, "commit map[{t 0}:11]")
	require.NotContains(t, fmt.Sprint(got), "{t 1}:21", "what was not accepted is the next owner's")
}

func TestLostPartitionsAreClosedWithoutCommit(t *testing.T) {
	t.Parallel()
	got, err := newBench(t, assign(two), records(0, 10, "a"), func(c *fakeConsumer) ([]kafkaio.Record, error) {
		return nil, c.handler.Lost([]record.TopicPartition{tpN(0), tpN(1)})
	}).run()
	require.NoError(t, err)
	require.Contains(t, got, "close [{t 0} {t 1}]")
	require.NotContains(t, fmt.Sprint(got), "commit")
}

func TestPauseHoldsReadingCommitsAndResumes(t *testing.T) {
	t.Parallel()
	var b *bench
	held := make(chan map[record.TopicPartition]bool, 2)
	b = newBench(t, assign(two), records(0, 10, "a"))
	b.consumer.idle = nil
	b.consumer.commitFn = func(map[record.TopicPartition]int64) error {
		held <- map[record.TopicPartition]bool{tpN(0): b.consumer.paused[tpN(0)], tpN(1): b.consumer.paused[tpN(1)]}
		return nil
	}
	b.start()
	require.Eventually(t, func() bool { return count(b.all(), "put a") == 1 }, patience, time.Millisecond)
	b.targets <- cluster.Paused
	require.Equal(t, map[record.TopicPartition]bool{tpN(0): true, tpN(1): true}, <-held, "a pause commits while it holds")
	b.targets <- cluster.Started
	require.Eventually(t, func() bool { return count(b.all(), "RUNNING") == 2 }, patience, time.Millisecond)
	b.take()
	require.NoError(t, b.ended())
	require.Contains(t, b.all(), "PAUSED")
	require.Empty(t, b.consumer.paused)
}

func TestATaskOfAPausedConnectorStartsWhenItIsResumed(t *testing.T) {
	t.Parallel()
	b := newBench(t, assign(two))
	b.spec.Target = cluster.Paused
	idle := b.consumer.idle
	b.start()
	require.Eventually(t, func() bool { return len(b.all()) == 1 }, patience, time.Millisecond)
	require.Equal(t, []string{"PAUSED"}, b.all(), "nothing is made or started")
	b.targets <- cluster.Started
	<-idle
	b.take()
	require.NoError(t, b.ended())
	require.Contains(t, b.all(), "start")
}

func TestThePluginsPausesAreKeptOverEverything(t *testing.T) {
	t.Parallel()
	var b *bench
	check := func(want bool) step {
		return then(func() { require.Equal(t, want, b.consumer.paused[tpN(0)]); require.False(t, b.consumer.paused[tpN(1)]) })
	}
	b = newBench(t, assign(two),
		then(func() {
			require.NoError(t, b.plugin.ctx.Pause(tpN(0)))
			require.ErrorContains(t, b.plugin.ctx.Pause(tpN(5)), "SinkTasks may not pause partitions that are not currently assigned to them.")
			require.ErrorContains(t, b.plugin.ctx.Resume(tpN(5)), "SinkTasks may not resume partitions that are not currently assigned to them.")
		}),
		check(true),
		records(1, 20, "R"), // refused once: everything pauses and is resumed after
		then(func() {}), check(true),
		then(func() { require.NoError(t, b.plugin.ctx.Resume(tpN(0))) }),
		check(false))
	refused := false
	b.plugin.put = func(_ context.Context, batch []record.Sink) error {
		if len(batch) > 0 && !refused {
			refused = true
			b.plugin.ctx.Timeout(0)
			return connecterr.New(connecterr.Retriable, "busy")
		}
		return nil
	}
	_, err := b.run()
	require.NoError(t, err)
}

func TestRewindSeeksBeforeTheNextPollAndMovesTheOffers(t *testing.T) {
	t.Parallel()
	var b *bench
	b = newBench(t, assign(two), records(0, 10, "abc"),
		then(func() { b.plugin.ctx.Rewind(sink.Offsets{tpN(0): 5, tpN(9): 1}) }),
		records(0, 5, "d"))
	b.plugin.open = func([]record.TopicPartition) error {
		b.plugin.ctx.Rewind(sink.Offsets{tpN(1): 7}) // a sink that keeps its offsets itself
		return nil
	}
	got, err := b.run()
	require.NoError(t, err)
	require.Contains(t, got, "seek map[{t 1}:7]")
	require.Contains(t, got, "seek map[{t 0}:5]")
	require.Contains(t, got, "precommit map[{t 0}:6 {t 1}:7]")
	require.Contains(t, got, "commit map[{t 0}:6]")
}

func TestACommitThatTimesOutIsFollowedByTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, assign(two), records(0, 10, "a"))
		b.consumer.mute = true
		b.start()
		<-time.After(59 * time.Second)
		require.Zero(t, count(b.all(), "commit soon map[{t 0}:11]"))
		<-time.After(62 * time.Second)
		require.Equal(t, 2, count(b.all(), "commit soon map[{t 0}:11]"))
		b.take()
		require.NoError(t, b.ended())
		require.Equal(t, 1, commits(b.all()))
		b.do()
	})
}

func TestOnARunnerThatLeavesLittleWaitsToBeCommitted(t *testing.T) { // EX-3
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, assign(two), records(0, 10, "a"))
		b.start()
		synctest.Wait()
		require.Zero(t, count(b.all(), "commit soon map[{t 0}:11]"), "the next commit is a minute away")
		close(b.leaving)
		synctest.Wait()
		require.Equal(t, 1, count(b.all(), "commit soon map[{t 0}:11]"))
		b.take()
		require.NoError(t, b.ended())
		b.do()
	})
}

func TestATakeoverAsksTheFormerHolderBeforeItJoinsAndATaskFallsQuietBeforeItCloses(t *testing.T) { // EX-3
	t.Parallel()
	b := newBench(t, assign(two), records(0, 10, "a"))
	b.spec.Former = &cluster.Former{Session: "s0", Epoch: 1}
	got, err := b.run()
	require.NoError(t, err)
	at := func(what string) int {
		i := slices.IndexFunc(got, func(e string) bool { return strings.HasPrefix(e, what) })
		require.GreaterOrEqual(t, i, 0, "%s: %q", what, got)
		return i
	}
	require.Less(t, at("ask former"), at("subscribe"))
	require.Less(t, at("commit map"), at("quiet"))
	require.Less(t, at("quiet"), at("consumer closed"))
}

func TestAnAnswerToAnOldCommitIsIgnored(t *testing.T) {
	t.Parallel()
	var b *bench
	var late func()
	b = newBench(t, assign(two), records(0, 10, "a"),
		then(func() { b.plugin.ctx.RequestCommit() }),
		func(c *fakeConsumer) ([]kafkaio.Record, error) {
			return recs(0, 11, "b"), nil
		})
	b.consumer.mute = true // the answer is kept and given after the partition was revoked and came back
	b.consumer.steps = append(b.consumer.steps,
		func(c *fakeConsumer) ([]kafkaio.Record, error) {
			return nil, errors.Join(c.handler.Revoked([]record.TopicPartition{tpN(0)}),
				func() error { c.pos[tpN(0)] = 12; return c.handler.Assigned([]record.TopicPartition{tpN(0)}) }())
		},
		then(func() { late() }),
		records(0, 12, "c"))
	b.consumer.onCommitSoon = func(done func(error)) { late = func() { done(nil) } }
	got, err := b.run()
	require.NoError(t, err)
	require.Contains(t, got, "commit soon map[{t 0}:11]")
	require.Contains(t, got, "commit map[{t 0}:12]")
	require.Contains(t, got, "commit map[{t 0}:13]", "the late answer for 11 did not move the committed position back")
}

func TestAFailedStartStopsThePluginAndNeverJoins(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.plugin.start = func(context.Context) error { return errors.New("no such host") }
	got, err := b.run()
	require.ErrorContains(t, err, "no such host")
	require.Equal(t, []string{"consumer connect-c connect-c-uid-3", "start", "stop", "pipeline closed", "consumer closed"}, got)
}

func TestAStartThatBlocksEndsWhenTheTaskIsToStop(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	entered := make(chan struct{})
	b.plugin.start = func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}
	b.start()
	<-entered
	b.take()
	require.NoError(t, b.ended())
	require.NotContains(t, b.all(), "RUNNING")
	require.Contains(t, b.all(), "stop")
}

func TestThePluginsContextOutlivesAGracefulStop(t *testing.T) {
	t.Parallel()
	b := newBench(t, assign(two), records(0, 10, "a"))
	var alive func() error
	b.plugin.start = func(c context.Context) error { alive = c.Err; return nil }
	b.plugin.preCommit = func(o sink.Offsets) (sink.Offsets, error) { return o, alive() }
	got, err := b.run()
	require.NoError(t, err)
	require.Contains(t, got, "commit map[{t 0}:11]")
	require.Error(t, alive(), "it ends with the task")
}

func TestAPanicStillStopsThePluginAndClosesTheClient(t *testing.T) {
	t.Parallel()
	b := newBench(t, assign(two), records(0, 10, "a"))
	b.plugin.put = func(_ context.Context, batch []record.Sink) error {
		if len(batch) > 0 {
			panic("bug")
		}
		return nil
	}
	in, err := New(b.deps)(b.spec)
	require.NoError(t, err)
	require.PanicsWithValue(t, "bug", func() {
		_ = in.Run(t.Context(), t.Context(), job.Env{Spec: b.spec, Report: reports{b.events}, Target: b.targets})
	})
	got := b.all()
	require.Equal(t, []string{"stop", "pipeline closed", "consumer closed"}, got[len(got)-3:])
}

func TestOnlyMembersWithoutATaskAreStale(t *testing.T) {
	t.Parallel()
	id := cluster.TaskJob("0b-1c", 0)
	for instance, want := range map[string]bool{
		"connect-c-0b-1c-0": false,
		"connect-c-0b-1c-1": false,
		"connect-c-0b-1c-2": true,  // there are two tasks
		"connect-c-9f-77-0": true,  // an earlier life of the name
		"connect-d-0b-1c-5": false, // not this connector's
		"connect-c-":        false,
		"connect-c-x":       false,
		"connect-c-0b-1c-x": false,
		"somebody-elses":    false,
	} {
		require.Equal(t, want, stale("connect-c", id, 2, true)(instance), instance)
	}
	shared := stale("chosen", id, 2, false)
	require.False(t, shared("chosen-9f-77-0"), "in a shared group another uid may be another connector")
	require.True(t, shared("chosen-0b-1c-2"))
	require.False(t, stale("connect-c", id, 0, true)("connect-c-0b-1c-7"), "the number of tasks is unknown")
}

func TestATaskThatCannotJoinComplainsOnceAndNotWhilePaused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.consumer.away = connecterr.New(connecterr.Retriable, "no answer from Kafka at bootstrap.servers=nowhere:9")
		complaints := func() (n int) {
			for _, e := range b.all() {
				if strings.HasPrefix(e, "failed The task can't read yet") && strings.Contains(e, "nowhere:9") {
					n++
				}
			}
			return n
		}
		b.start()
		<-time.After(9 * time.Second) // simulated
		require.Zero(t, complaints(), "Kafka may be slow")
		b.targets <- cluster.Paused
		<-time.After(time.Minute)
		require.Zero(t, complaints())
		b.targets <- cluster.Started
		<-time.After(time.Minute)
		require.Equal(t, 1, complaints())
		b.take()
		require.NoError(t, b.ended())
	})
}
