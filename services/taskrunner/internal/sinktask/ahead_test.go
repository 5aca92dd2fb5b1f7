package sinktask

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// early is a pipeline that begins with what comes next, as soon as there are enough records; what it was given must stay as it
// is meanwhile, which the race detector sees.
type early struct {
	*passing
	least  int
	begun  []kafkaio.Record
	busy   sync.WaitGroup
	sums   chan int
	begins int
	given  int // back
}

func newEarly(p *passing, least int) *early {
	return &early{passing: p, least: least, sums: make(chan int, 1)}
}

func (e *early) Worth(records int) bool { return records >= e.least }

func (e *early) Begin(in []kafkaio.Record) {
	if e.begun != nil {
		panic("it has begun already")
	}
	e.begun = in
	e.begins++
	e.busy.Go(func() {
		sum := 0
		for i := range in {
			sum += len(in[i].Value) + len(in[i].Topic)
		}
		e.sums <- sum
	})
}

func (e *early) Forget() {
	if e.wait() > 0 {
		e.given++
	}
}

func (e *early) wait() (sum int) {
	e.busy.Wait()
	if e.begun != nil {
		sum = <-e.sums
	}
	e.begun = nil
	return sum
}

func (e *early) Sink(ctx context.Context, in []kafkaio.Record, out []record.Sink) ([]record.Sink, error) {
	if e.begun != nil && (len(in) != len(e.begun) || &in[0] != &e.begun[0]) {
		panic("it was begun with other records")
	}
	e.wait()
	return e.passing.Sink(ctx, in, out)
}

func (e *early) Close() { e.Forget(); e.passing.Close() }

func TestAhead_the_next_batch_is_converted_while_one_is_put(t *testing.T) {
	t.Parallel()
	b := newBench(t, assign(two), records(0, 10, "ab"), records(0, 12, "cd"), records(0, 14, "e"))
	e := newEarly(b.pipe, 2)
	b.deps.Pipeline = func(context.Context, Settings) (Pipeline, error) { return e, nil }
	var behind []string
	b.plugin.put = func(_ context.Context, batch []record.Sink) error {
		if len(batch) > 0 {
			s := ""
			for _, r := range e.begun {
				s += string(r.Value)
			}
			behind = append(behind, s)
		}
		return nil
	}
	got, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []string{"cd", "e", ""}, behind)
	require.Equal(t, []string{"put ab", "put cd", "put e"}, slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s[:3] != "put" }))
	require.Contains(t, got, "commit map[{t 0}:15]")
}

// What was read ahead is not read, for all that anybody sees, when something comes between.
func TestAhead_is_given_back(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		during func(b *bench) error // the first put
		want   []string
	}{
		"to a refused batch": {func(b *bench) error { b.plugin.ctx.Timeout(0); return connecterr.New(connecterr.Retriable, "later") }, []string{"put ab", "seek map[{t 0}:12]", "put ab"}},
		"to a pause":         {func(b *bench) error { return b.plugin.ctx.Pause(tpN(1)) }, []string{"put ab", "seek map[{t 0}:12]"}},
		"to a rewind":        {func(b *bench) error { b.plugin.ctx.Rewind(sink.Offsets{tpN(1): 3}); return nil }, []string{"put ab", "seek map[{t 0}:12]", "seek map[{t 1}:3]"}},
		"to the end":         {func(b *bench) error { b.take(); return nil }, []string{"put ab"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, assign(two), records(0, 10, "ab"), records(0, 12, "cd"))
			b.deps.Pipeline = func(context.Context, Settings) (Pipeline, error) { return newEarly(b.pipe, 2), nil }
			first := true
			b.plugin.put = func(_ context.Context, batch []record.Sink) error {
				if len(batch) == 0 || !first {
					return nil
				}
				first = false
				return c.during(b)
			}
			got, err := b.run()
			require.NoError(t, err)
			got = slices.DeleteFunc(got, func(s string) bool { return s[:3] != "put" && s[:4] != "seek" })
			require.Equal(t, c.want, got)
		})
	}
}

// logs is a Kafka of a few partitions, for the task's consumer: it moves partitions, and answers what was asked for.
type logs struct {
	*fakeConsumer
	rng      *rand.Rand
	size     int64
	mine     map[record.TopicPartition]bool
	next     map[record.TopicPartition]int64
	stored   map[record.TopicPartition]int64 // committed
	accepted func() bool                     // everything is
	finish   func()
}

func (l *logs) Poll(ctx context.Context, wait time.Duration, into []kafkaio.Record) ([]kafkaio.Record, error) {
	todo := l.answers
	l.answers = nil
	for _, f := range todo {
		f()
	}
	if err := ctx.Err(); err != nil {
		return into[:0], err
	}
	switch {
	case l.accepted():
		l.finish()
		return into[:0], nil
	case len(l.mine) == 0 || l.rng.IntN(12) == 0:
		return into[:0], l.move()
	}
	into = into[:0]
	for _, tp := range slices.SortedFunc(maps.Keys(l.mine), compareParts) {
		for n := l.rng.IntN(8); n > 0 && !l.paused[tp] && l.next[tp] < l.size && len(into) < cap(into); n-- {
			into = append(into, kafkaio.Record{Topic: tp.Topic, Partition: tp.Partition, Offset: l.next[tp], Value: []byte(strconv.FormatInt(l.next[tp], 10) + " ")})
			l.next[tp]++
		}
	}
	return into, nil
}

// move takes some partitions away, or gives those that are not there.
func (l *logs) move() error {
	var gone, come []record.TopicPartition
	for p := range int32(4) {
		if tp := tpN(p); !l.mine[tp] {
			come = append(come, tp)
		} else if l.rng.IntN(2) == 0 {
			gone = append(gone, tp)
		}
	}
	if len(come) > 0 && (len(gone) == 0 || l.rng.IntN(2) == 0) {
		for _, tp := range come {
			l.mine[tp], l.next[tp], l.pos[tp] = true, l.stored[tp], l.stored[tp]
			delete(l.paused, tp)
		}
		return l.handler.Assigned(come)
	}
	call := l.handler.Revoked
	if l.rng.IntN(3) == 0 {
		call = l.handler.Lost
	}
	err := call(gone)
	for _, tp := range gone {
		delete(l.mine, tp)
	}
	return err
}

func (l *logs) Seek(offsets map[record.TopicPartition]int64) error {
	for tp, o := range offsets {
		if l.mine[tp] {
			l.next[tp] = o
		}
	}
	return nil
}

func (l *logs) Commit(_ context.Context, offsets map[record.TopicPartition]int64) error {
	maps.Copy(l.stored, offsets)
	return nil
}

func (l *logs) CommitAsync(offsets map[record.TopicPartition]int64, done func(error)) {
	l.answers = append(l.answers, func() { maps.Copy(l.stored, offsets); done(nil) })
}

// Whatever happens between, each partition's records are put one after the other without a gap, none of a partition that is
// paused or another's, and in the end all of them.
func TestAhead_no_record_is_left_out_or_comes_early(t *testing.T) {
	t.Parallel()
	begins, given := 0, 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		b := newBench(t)
		e := newEarly(b.pipe, 5)
		l := &logs{fakeConsumer: b.consumer, rng: rng, size: 300, mine: map[record.TopicPartition]bool{}, next: map[record.TopicPartition]int64{}, stored: map[record.TopicPartition]int64{}}
		b.deps.Pipeline = func(context.Context, Settings) (Pipeline, error) { return e, nil }
		b.deps.BatchSize = 20
		b.deps.NewConsumer = func(_ context.Context, cc kafkaio.ConsumerConfig) (Consumer, error) {
			l.handler = cc.Rebalance
			return l, nil
		}
		want, held := map[record.TopicPartition]int64{}, map[record.TopicPartition]bool{}
		l.accepted = func() bool {
			for p := range int32(4) {
				if want[tpN(p)] < l.size || !l.mine[tpN(p)] {
					return false
				}
			}
			return true
		}
		l.finish = func() { b.take() }
		b.plugin.open = func(parts []record.TopicPartition) error {
			for _, tp := range parts {
				want[tp] = l.stored[tp]
				delete(held, tp)
			}
			return nil
		}
		b.plugin.preCommit = func(current sink.Offsets) (sink.Offsets, error) {
			for tp, o := range current {
				require.Equal(t, want[tp], o, "seed %d: %v is offered for a commit", seed, tp)
			}
			if rng.IntN(6) > 0 || l.accepted() {
				return current, nil
			}
			if len(current) == len(b.plugin.ctx.Assignment()) { // they come again; otherwise only those that go would, elsewhere
				maps.Copy(want, (*task)(b.plugin.ctx.(*pluginContext)).pos.known())
			}
			return nil, connecterr.New(connecterr.General, "not durable")
		}
		again := false
		b.plugin.put = func(_ context.Context, batch []record.Sink) error {
			c := b.plugin.ctx
			if rng.IntN(6) == 0 && len(batch) > 0 {
				c.Timeout(0)
				again = true
				return connecterr.New(connecterr.Retriable, "later")
			}
			for i := range batch {
				tp := record.TopicPartition{Topic: batch[i].OriginalTopic, Partition: batch[i].OriginalPartition}
				require.Equal(t, want[tp], batch[i].OriginalOffset, "seed %d: %v", seed, tp)
				require.Equal(t, fmt.Sprint(want[tp], " "), string(batch[i].Value.([]byte)))
				require.False(t, held[tp] && !again, "seed %d: %v is paused", seed, tp)
				want[tp]++
			}
			again = false
			mine := c.Assignment()
			if len(mine) == 0 || l.accepted() {
				return nil
			}
			tp := mine[rng.IntN(len(mine))]
			switch rng.IntN(8) {
			case 0:
				held[tp] = true
				return c.Pause(tp)
			case 1, 2, 3:
				clear(held)
				return c.Resume(mine...)
			case 4:
				if rng.IntN(3) == 0 {
					want[tp] = max(0, want[tp]-int64(rng.IntN(5)))
					c.Rewind(sink.Offsets{tp: want[tp]})
				}
			case 5:
				c.RequestCommit()
			}
			return nil
		}
		b.start()
		require.NoError(t, b.ended(), "seed %d", seed)
		b.do()
		for p := range int32(4) {
			require.Equal(t, l.size, l.stored[tpN(p)], "seed %d: partition %d", seed, p)
		}
		begins, given = begins+e.begins, given+e.given
	}
	require.Greater(t, begins, 600)
	require.Greater(t, given, 100)
	t.Logf("%d batches were begun early, %d of them given back", begins, given)
}
