package sinktask

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

func TestRuntime_3_2_5_put_is_called_on_every_poll_also_without_records(t *testing.T) {
	t.Parallel()
	nothing := func(*fakeConsumer) ([]kafkaio.Record, error) { return nil, nil }
	b := newBench(t, assign(two), nothing, records(0, 10, "ab"), nothing)
	var sizes []int
	b.plugin.put = func(_ context.Context, batch []record.Sink) error {
		sizes = append(sizes, len(batch))
		return nil
	}
	_, err := b.run()
	require.NoError(t, err)
	require.Equal(t, []int{0, 0, 2, 0}, sizes[:4])
}

// with is startTask with more settings of the consumer.
func with(more kafkaio.Config) func(d *Deps) {
	return func(d *Deps) {
		made := d.ConsumerConfig
		d.ConsumerConfig = func(conn map[string]string, id cluster.JobID, name string) (kafkaio.Config, error) {
			cfg, err := made(conn, id, name)
			for k, v := range more {
				cfg[k] = v
			}
			return cfg, err
		}
	}
}

func TestRuntime_3_1_topics_that_match_are_read_as_they_come(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		w := newWorld(t, bootstrap, 1, 10)
		prefix := w.topic
		w.config = map[string]string{"topics.regex": prefix + `(-(a|b)\d)?`}
		r := w.startTask(func(_ *fakePlugin, d *Deps) { with(kafkaio.Config{"metadata.max.age.ms": "300"})(d) })
		w.eventually("what is there", func() bool { return w.out.count() == 10 })
		a, err := kafkaio.NewAdmin(kafkaio.Config{"bootstrap.servers": bootstrap}, nil)
		require.NoError(t, err)
		defer a.Close(within(t))
		for i, topic := range []string{prefix + "-c9", prefix + "-a1-more", prefix + "-a1", prefix + "-b2"} { // the first two match in part only
			made, err := a.CreateTopics(within(t), kafkaio.Topic{Name: topic, Partitions: 1, Replication: 1})
			require.NoError(t, err)
			require.NoError(t, made[topic])
			w.topic = topic
			w.produce(1, 10*i, 10)
		}
		w.eventually("what came later", func() bool { return w.out.count() >= 30 })
		r.take()
		require.NoError(t, r.wait(t))
		require.Equal(t, 30, w.out.count())
		require.Equal(t, fmt.Sprintf("close [{%s 0} {%s-a1 0} {%s-b2 0}]", prefix, prefix, prefix), last(r.plugin.all(), "close"))
	})
}

func last(all []string, prefix string) (found string) {
	for _, e := range all {
		if strings.HasPrefix(e, prefix) {
			found = e
		}
	}
	return found
}

// blockedFor is how long a put lasts that is longer than the session; longer in long runs.
var blockedFor = flag.Duration("blocked", 8*time.Second, "how long TestRuntime_3_2 blocks a put, for example 10m")

// blocked starts two tasks of a connector, of which the first blocks in a put, and returns when that has lasted for d, with how often partitions had moved when it began.
func blocked(t *testing.T, w *world, d time.Duration, more kafkaio.Config) (first, second *running, before [2]int, release func()) {
	t.Helper()
	var once atomic.Bool
	inPut, thaw := make(chan struct{}), make(chan struct{})
	release = sync.OnceFunc(func() { close(thaw) })
	w.tasks = 2
	first = w.startTask(func(p *fakePlugin, d *Deps) {
		with(more)(d)
		write := p.put
		p.put = func(ctx context.Context, b []record.Sink) error {
			if len(b) > 0 && once.CompareAndSwap(false, true) {
				close(inPut)
				<-thaw
			}
			return write(ctx, b)
		}
	})
	t.Cleanup(release) // before the task's own
	w.eventually("it has partitions", func() bool { return opened(first) })
	w.task = 1
	second = w.startTask(func(_ *fakePlugin, d *Deps) { with(more)(d) })
	w.eventually("both have partitions", func() bool { return opened(second) })
	w.produce(2, 0, 100)
	<-inPut
	w.eventually("the other one has its records", func() bool { return w.out.count() == 100 })
	before = [2]int{moves(first), moves(second)}
	select {
	case <-time.After(d): // that it lasts so long is the point
	case <-t.Context().Done():
	}
	return first, second, before, release
}

func TestRuntime_3_2_a_put_that_lasts_longer_than_the_session_costs_no_membership(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		w := newWorld(t, bootstrap, 2, 0)
		first, second, before, release := blocked(t, w, *blockedFor, kafkaio.Config{"session.timeout.ms": "6000",
			"max.poll.interval.ms": strconv.FormatInt((5*time.Minute + *blockedFor).Milliseconds(), 10)})
		release()
		w.eventually("all records", func() bool { return w.out.count() >= 200 })
		w.produce(2, 100, 100)
		w.eventually("it goes on", func() bool { return w.out.count() >= 400 })
		w.requireAll(2, 200, 0)
		require.Equal(t, before, [2]int{moves(first), moves(second)}, "no partition has moved")
		for _, r := range []*running{first, second} {
			r.take()
			require.NoError(t, r.wait(t))
		}
	})
}

func TestRuntime_3_2_a_put_that_lasts_longer_than_the_poll_interval_loses_partitions_and_no_record(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		w := newWorld(t, bootstrap, 2, 0)
		first, second, before, release := blocked(t, w, 9*time.Second, kafkaio.Config{"session.timeout.ms": "6000", "max.poll.interval.ms": "6000"})
		w.eventually("its partition goes to the other one", func() bool { return moves(second) > before[1] })
		release()
		w.eventually("all records", func() bool { return distinct(w) == 200 })
		w.produce(2, 100, 100)
		w.eventually("it goes on", func() bool { return distinct(w) == 400 })
		for _, r := range []*running{first, second} {
			r.take()
			if err := r.wait(t); err != nil {
				require.ErrorIs(t, err, job.ErrFenced)
			}
		}
	})
}

// moves counts how often partitions came or went.
func moves(r *running) (n int) {
	for _, e := range r.plugin.all() {
		if strings.HasPrefix(e, "open") || strings.HasPrefix(e, "close") {
			n++
		}
	}
	return n
}

// distinct counts the records that arrived, each once.
func distinct(w *world) (n int) {
	w.out.mu.Lock()
	defer w.out.mu.Unlock()
	for _, all := range w.out.seen {
		seen := map[int]bool{}
		for _, v := range all {
			seen[v] = true
		}
		n += len(seen)
	}
	return n
}
