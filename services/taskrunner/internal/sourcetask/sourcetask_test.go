package sourcetask_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
	"github.com/millrace/millrace/services/taskrunner/internal/parking"
	"github.com/millrace/millrace/services/taskrunner/internal/pipeline"
	"github.com/millrace/millrace/services/taskrunner/internal/sourcetask"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
	"github.com/millrace/millrace/tests/logs"
	"github.com/millrace/millrace/tests/servers"
)

// patience is how long a test waits for something that should happen.
const patience = 60 * time.Second

var names atomic.Int64

// numbers is a source that numbers its records; hooks let a test interfere.
type numbers struct {
	w    *world
	next int64
	tc   source.Context
}

func (n *numbers) Start(ctx context.Context, tc source.Context) error {
	n.tc = tc
	o, err := tc.Offsets().Offset(ctx, part)
	if err != nil {
		return err
	}
	if v, ok := o.Get("n"); ok {
		n.next = v.(int64) + 1
	}
	n.w.note("start %d", n.next)
	return nil
}

var part = data.MapOf("p", "x")

func (n *numbers) Poll(ctx context.Context) ([]record.Source, error) {
	if n.w.onPoll != nil {
		if rs, err, handled := n.w.onPoll(ctx, n); handled {
			return rs, err
		}
	}
	if n.next >= n.w.limit {
		<-ctx.Done()
		return nil, nil
	}
	return n.batch(min(n.w.size, n.w.limit-n.next)), nil
}

func (n *numbers) batch(size int64) []record.Source {
	rs := make([]record.Source, size)
	for i := range rs {
		rs[i] = record.Source{Partition: part, Offset: data.MapOf("n", n.next), Topic: n.w.topic, KafkaPartition: 0, Timestamp: record.NoTimestamp,
			ValueSchema: data.Int64Schema, Value: n.next}
		n.next++
	}
	return rs
}

func (n *numbers) Stop(context.Context) error { n.w.note("stop"); return nil }

func (n *numbers) CommitRecords(_ context.Context, done []source.Committed) error {
	for _, d := range done {
		if d.Produced != nil {
			n.w.committed.Add(1)
		} else {
			n.w.dropped.Add(1)
		}
	}
	return nil
}

// world is a connector's surroundings; runs are made in it one after another, or at once.
type world struct {
	*testing.T
	bootstrap string
	name      string
	topic     string
	limit     int64
	size      int64
	config    map[string]string
	worker    map[string]string
	onPoll    func(ctx context.Context, n *numbers) ([]record.Source, error, bool)
	handover  func(context.Context)
	slow      int           // how often looking after the offsets topic takes too long
	complain  time.Duration // ComplainAfter
	pipe      func(sourcetask.Pipeline) sourcetask.Pipeline
	wrap      func(sourcetask.Producer) sourcetask.Producer
	topics    sourcetask.Topics
	parking   *parking.Lot
	tasks     int                            // of the connector; 0: not told
	confirm   func(ctx context.Context) bool // what the control plane says
	logs      logs.Buffer
	errors    *prometheus.Registry // what is counted
	counts    *connectmetrics.Set

	committed, dropped atomic.Int64
	mu                 sync.Mutex
	notes              []string
}

func newWorld(t *testing.T, bootstrap string) *world {
	n := fmt.Sprintf("%d-%d", time.Now().UnixNano(), names.Add(1)) // a real broker may have seen other runs
	return &world{T: t, bootstrap: bootstrap, name: "c" + n, topic: "t" + n, limit: 20_000, size: 100}
}

// onBrokers runs a test against the embedded broker and a real one.
func onBrokers(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	servers.Brokers(t, func(t *testing.T, bootstrap string) { test(newWorld(t, bootstrap)) })
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

func (w *world) noted() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.notes...)
}

func (w *world) factory() job.Factory {
	w.errors, w.counts = prometheus.NewRegistry(), connectmetrics.New(connectmetrics.Options{})
	w.errors.MustRegister(w.counts)
	registry, err := plugin.New(append(converters.All(), plugin.Plugin{Class: "x.Numbers", Kind: plugin.Source, Version: "1", TaskClass: "x.T",
		NewConnector: func() connector.Connector { return nil }, NewSourceTask: func() source.Task { return &numbers{w: w} }})...)
	require.NoError(w, err)
	props := map[string]string{"bootstrap.servers": w.bootstrap, "value.converter": "StringConverter", "offset.storage.partitions": "1",
		"offset.storage.topic": "offsets-" + w.name, "group.id": "g"}
	for k, v := range w.worker {
		props[k] = v
	}
	cfg, err := worker.FromProperties(props)
	require.NoError(w, err)
	client := kafkaio.Config{"bootstrap.servers": w.bootstrap}
	store := offsets.NewSet(offsets.Options{Topic: cfg.OffsetsTopic, Partitions: 1, Replication: 1, Consumer: client, Admin: client, Logger: slog.New(slog.DiscardHandler)}, cfg.ExactlyOnce)
	w.Cleanup(store.Close)
	d := sourcetask.Deps{Plugin: registry.Find, Resolve: func(c cluster.Config) (map[string]string, error) { return c.Plain(), nil },
		Producer: func(s sourcetask.Settings, id string) (sourcetask.Producer, error) {
			p, err := kafkaio.NewProducer(context.Background(), kafkaio.ProducerConfig{Client: client, TransactionalID: id})
			if w.wrap != nil && err == nil {
				return w.wrap(p), nil
			}
			return p, err
		},
		Pipeline: func(s sourcetask.Settings) (sourcetask.Pipeline, error) {
			p, err := pipeline.New(pipeline.Options{Find: registry.Find, Worker: cfg, Config: s.Config, Connector: s.Spec.Name, Metrics: s.Metrics, Logger: s.Logger})
			if w.pipe != nil && err == nil {
				return w.pipe(p), nil
			}
			return p, err
		},
		Topics: func(sourcetask.Settings) (sourcetask.Topics, error) { return w.topics, nil },
		Offsets: func(s sourcetask.Settings) (sourcetask.Offsets, error) {
			home := store.Home(s.Spec.Name, s.Config, offsets.Clients{Consumer: client, Admin: client})
			if w.slow > 0 {
				return &slowOffsets{Offsets: home, late: w.slow}, nil
			}
			return home, nil
		}, Parking: w.parking, FlushInterval: cfg.FlushInterval, ComplainAfter: w.complain, Logger: w.logs.Logger()}
	if cfg.ExactlyOnce {
		d.TransactionalID = cfg.TransactionalID
	}
	return sourcetask.New(d)
}

// report notes what a run says.
type report struct{ w *world }

func (r report) State(s cluster.State)                     { r.w.note("%s", s) }
func (r report) Failed(err error)                          { r.w.note("FAILED %v", err) }
func (r report) Version(string)                            {}
func (r report) TaskConfigs(int64, []cluster.Config, bool) {}

type run struct {
	take, do context.CancelFunc
	target   chan cluster.TargetState
	done     chan error
	quiet    chan struct{}
}

func (w *world) instance() (job.Instance, cluster.JobSpec) {
	w.Helper()
	spec := cluster.JobSpec{Job: cluster.TaskJob("u", 0), Name: w.name, Class: "x.Numbers", Config: cluster.ConfigOf(w.config), TaskConfig: cluster.Config{}, TaskCount: w.tasks}
	inst, err := w.factory()(spec)
	require.NoError(w, err)
	return inst, spec
}

func (w *world) start(first cluster.TargetState) *run {
	w.Helper()
	inst, spec := w.instance()
	take, endTake := context.WithCancel(context.Background())
	do, endDo := context.WithCancel(context.Background())
	r := &run{take: endTake, do: endDo, target: make(chan cluster.TargetState, 1), done: make(chan error, 1), quiet: make(chan struct{})}
	r.target <- first
	env := job.Env{Spec: spec, Report: report{w}, Metrics: w.counts.Begin(spec.Name, spec.Job), Target: r.target, Handover: w.handover, Confirm: w.confirm, Quiet: func() { close(r.quiet) }}
	go func() { r.done <- inst.Run(take, do, env) }()
	return r
}

func (w *world) end(r *run) error {
	w.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(patience):
		w.Fatal("the run does not end")
		return nil
	}
}

// stored reads the topic as a read_committed consumer does.
func (w *world) stored() []int64 { w.Helper(); return w.storedWithin(patience) }

func (w *world) storedWithin(d time.Duration) (all []int64) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), d)
	defer cancel()
	err := kafkaio.ReadAll(ctx, kafkaio.Config{"bootstrap.servers": w.bootstrap}, w.topic, func(rs []kafkaio.Record) error {
		for _, r := range rs {
			n, err := strconv.ParseInt(string(r.Value), 10, 64)
			if err != nil {
				return err
			}
			all = append(all, n)
		}
		return nil
	})
	if kafkaio.IsUnknownTopic(err) {
		return nil
	}
	require.NoError(w, err)
	return all
}

func (w *world) exactly(n int64) {
	w.Helper()
	all := w.stored()
	require.Len(w, all, int(n))
	for i, v := range all {
		require.Equal(w, int64(i), v)
	}
}

func (w *world) eventually(what string, cond func() bool) {
	w.Helper()
	require.Eventually(w, cond, patience, 10*time.Millisecond, what)
}

func TestTask_killed_again_and_again_every_record_is_there_once_and_in_order(t *testing.T) {
	onBrokers(t, func(w *world) {
		for kills := range 8 {
			r := w.start(cluster.Started)
			target := int64(kills+1) * 1500
			w.eventually("progress", func() bool { return w.committed.Load() >= target || len(r.done) > 0 })
			<-time.After(time.Duration(rand.IntN(20)) * time.Millisecond)
			r.do()
			r.take()
			if err := w.end(r); err != nil && !errors.Is(err, context.Canceled) {
				w.Logf("killed run ended with: %v", err)
			}
		}
		r := w.start(cluster.Started)
		w.eventually("all", func() bool { s := w.stored(); return len(s) > 0 && s[len(s)-1] == w.limit-1 })
		r.take()
		require.NoError(w, w.end(r))
		w.exactly(w.limit)
	})
}

func TestFault_ZT_1_a_successor_fences_the_former_holder_without_gap_or_duplicate(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.limit = 1 << 40
		old := w.start(cluster.Started)
		w.eventually("the old one writes", func() bool { return w.committed.Load() > 1000 })
		young := w.start(cluster.Started)
		require.ErrorIs(w, w.end(old), job.ErrFenced, "it stands down")
		before := w.committed.Load()
		w.eventually("the new one writes", func() bool { return w.committed.Load() > before+1000 })
		young.take()
		require.NoError(w, w.end(young))
		w.exactly(int64(len(w.stored())))
	})
}

func TestTask_a_successor_that_asks_first_cuts_nobody_off(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.limit = 1 << 40
		old := w.start(cluster.Started)
		w.eventually("the old one writes", func() bool { return w.committed.Load() > 1000 })
		w.handover = func(context.Context) { old.take(); <-old.quiet }
		young := w.start(cluster.Started)
		require.NoError(w, w.end(old), "it was not fenced")
		before := w.committed.Load()
		w.eventually("the new one writes", func() bool { return w.committed.Load() > before+1000 })
		young.take()
		require.NoError(w, w.end(young))
		w.exactly(int64(len(w.stored())))
	})
}

// slowOffsets takes too long to look after the topic, a few times.
type slowOffsets struct {
	sourcetask.Offsets
	late int
}

func (o *slowOffsets) Ensure(ctx context.Context) error {
	if o.late > 0 {
		o.late--
		<-ctx.Done()
		return connecterr.Wrap(connecterr.Retriable, ctx.Err(), "looking after the topic")
	}
	return o.Offsets.Ensure(ctx)
}

func TestTask_a_takeover_that_is_repeated_takes_the_fence_once(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.slow, w.complain = 1, 5*time.Second // long enough for the fence, and short enough for the test
		r := w.start(cluster.Started)
		w.eventually("records", func() bool { return w.committed.Load() > 500 })
		noted := w.noted()
		require.Contains(w, noted[0], "FAILED", "it shows that it can't start yet")
		require.Equal(w, []string{"start 0", "RUNNING"}, noted[1:3])
		r.take()
		require.NoError(w, w.end(r))
	})
}

func TestTask_a_graceful_stop_leaves_nothing_open(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.limit, w.config = 1<<40, map[string]string{"transaction.boundary": "interval", "transaction.boundary.interval.ms": "3600000"}
		var polled atomic.Int64
		w.onPoll = func(context.Context, *numbers) ([]record.Source, error, bool) { polled.Add(1); return nil, nil, false }
		r := w.start(cluster.Started)
		w.eventually("polls", func() bool { return polled.Load() > 10 })
		require.Zero(w, w.committed.Load(), "the interval is not over")
		r.take()
		require.NoError(w, w.end(r))
		require.GreaterOrEqual(w, w.committed.Load(), int64(900))
		w.exactly(w.committed.Load())
		require.Equal(w, "stop", w.noted()[len(w.noted())-1])
	})
}

func TestTask_a_paused_task_commits_and_polls_no_more_and_a_paused_start_does_not_start(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.limit = 1 << 40
		r := w.start(cluster.Paused)
		w.eventually("PAUSED", func() bool { return len(w.noted()) == 1 })
		require.Equal(w, []string{"PAUSED"}, w.noted())
		r.target <- cluster.Started
		w.eventually("records", func() bool { return w.committed.Load() > 500 })
		r.target <- cluster.Paused
		w.eventually("PAUSED again", func() bool { n := w.noted(); return n[len(n)-1] == "PAUSED" })
		at := w.committed.Load()
		w.exactly(at)
		r.target <- cluster.Started
		w.eventually("records again", func() bool { return w.committed.Load() > at })
		r.take()
		require.NoError(w, w.end(r))
		require.Equal(w, []string{"PAUSED", "start 0", "RUNNING", "PAUSED", "RUNNING", "stop"}, w.noted())
	})
}

func TestTask_a_stop_ends_a_poll_that_waits(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.limit = 100
		r := w.start(cluster.Started)
		w.eventually("all", func() bool { return w.committed.Load() == 100 })
		r.target <- cluster.Paused
		w.eventually("a waiting poll is interrupted by a pause", func() bool { n := w.noted(); return n[len(n)-1] == "PAUSED" })
		r.target <- cluster.Started
		w.eventually("RUNNING", func() bool { n := w.noted(); return n[len(n)-1] == "RUNNING" })
		r.take()
		require.NoError(w, w.end(r))
	})
}

func TestTask_poll_errors(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.limit = 1000
		fails := 3
		w.onPoll = func(_ context.Context, n *numbers) ([]record.Source, error, bool) {
			if n.next == 500 {
				if fails--; fails >= 0 {
					return nil, connecterr.New(connecterr.Retriable, "the database is restarting"), true
				}
			}
			if n.next == 1000 {
				return nil, errors.New("the table is gone"), true
			}
			return nil, nil, false
		}
		r := w.start(cluster.Started)
		require.ErrorContains(w, w.end(r), "the table is gone")
		require.Negative(w, fails)
		w.exactly(1000)
		require.Equal(w, "stop", w.noted()[len(w.noted())-1], "the plugin is stopped also after a failure")
	})
}

// arrived waits until n records stand in the topic, be they committed or not.
func (w *world) arrived(n int64) {
	w.Helper()
	a, err := kafkaio.NewAdmin(kafkaio.Config{"bootstrap.servers": w.bootstrap}, nil)
	require.NoError(w, err)
	defer a.Close(w.Context())
	at := kafkaio.TopicPartition{Topic: w.topic}
	w.eventually("records arrive", func() bool {
		ends, err := a.ListEnd(w.Context(), []kafkaio.TopicPartition{at})
		return err == nil && ends[at] >= n
	})
}

func TestTask_a_failure_with_an_open_transaction_aborts_it(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.config = map[string]string{"transaction.boundary": "interval", "transaction.boundary.interval.ms": "3600000"}
		w.onPoll = func(_ context.Context, n *numbers) ([]record.Source, error, bool) {
			if n.next == 500 {
				w.arrived(500)
				return nil, errors.New("no"), true
			}
			return nil, nil, false
		}
		require.ErrorContains(w, w.end(w.start(cluster.Started)), "no")
		require.Empty(w, w.storedWithin(patience/3), "and readers do not wait for a timeout, a minute")
	})
}

func TestTask_a_panic_with_an_open_transaction_aborts_it(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.config = map[string]string{"transaction.boundary": "interval", "transaction.boundary.interval.ms": "3600000"}
		w.onPoll = func(_ context.Context, n *numbers) ([]record.Source, error, bool) {
			if n.next == 500 {
				w.arrived(500)
				panic("no")
			}
			return nil, nil, false
		}
		inst, spec := w.instance()
		target := make(chan cluster.TargetState, 1)
		target <- cluster.Started
		require.PanicsWithValue(w, "no", func() {
			_ = inst.Run(w.Context(), context.WithoutCancel(w.Context()), job.Env{Spec: spec, Report: report{w}, Target: target})
		})
		require.Empty(w, w.storedWithin(patience/3), "and readers do not wait for a timeout, a minute")
		require.Equal(w, "stop", w.noted()[len(w.noted())-1])
	})
}

func TestTask_a_connector_draws_its_own_transactions(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.limit, w.size, w.config = 60, 10, map[string]string{"transaction.boundary": "connector"}
		w.onPoll = func(_ context.Context, n *numbers) ([]record.Source, error, bool) {
			switch n.next {
			case 10:
				rs := n.batch(10) // 10…19: up to 14 is one transaction with what came before, the rest is dropped
				n.tc.Transactions().CommitAfter(&rs[4])
				n.tc.Transactions().Abort()
				return rs, nil, true
			case 50:
				n.tc.Transactions().Commit()
			}
			return nil, nil, false
		}
		r := w.start(cluster.Started)
		w.eventually("the last commit", func() bool { return len(w.stored()) >= 55 })
		r.take()
		require.NoError(w, w.end(r))
		var want []int64
		for i := range int64(60) {
			if i < 15 || i > 19 {
				want = append(want, i)
			}
		}
		require.Equal(w, want, w.stored())
	})
}

func TestTask_at_least_once_offsets_never_run_ahead(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.worker = map[string]string{"exactly.once.source.support": "disabled", "offset.flush.interval.ms": "20"}
		w.limit = 1 << 40
		for range 5 {
			r := w.start(cluster.Started)
			target := w.committed.Load() + 2000
			w.eventually("progress", func() bool { return w.committed.Load() >= target })
			r.do()
			r.take()
			_ = w.end(r) // a killed run may say what it likes
		}
		w.limit = slices.Max(w.stored()) + 5000
		r := w.start(cluster.Started)
		w.eventually("all", func() bool { s := w.stored(); return len(s) > 0 && s[len(s)-1] == w.limit-1 })
		r.take()
		require.NoError(w, w.end(r))
		seen := map[int64]int{}
		for _, n := range w.stored() {
			seen[n]++
		}
		require.Len(w, seen, int(w.limit), "nothing is lost")

		last := w.start(cluster.Started)
		w.eventually("RUNNING", func() bool { n := w.noted(); return n[len(n)-1] == "RUNNING" })
		last.take()
		require.NoError(w, w.end(last))
		require.Contains(w, w.noted(), fmt.Sprintf("start %d", w.limit), "after a graceful stop nothing is repeated")
	})
}
