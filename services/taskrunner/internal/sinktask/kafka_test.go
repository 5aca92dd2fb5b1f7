package sinktask

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/parking"
	"github.com/millrace/millrace/services/taskrunner/internal/pipeline"
	"github.com/millrace/millrace/tests/servers"
)

var (
	_ ErrantPipeline = (*pipeline.Pipeline)(nil) // the real one fits
	_ EarlyPipeline  = (*pipeline.Pipeline)(nil)
)

// onBrokers runs a test against the embedded broker and a real one.
func onBrokers(t *testing.T, test func(t *testing.T, bootstrap string)) {
	t.Helper()
	t.Parallel()
	servers.Brokers(t, test)
}

var names atomic.Int64

func unique(what string) string {
	return fmt.Sprintf("%s-%d-%d", what, time.Now().UnixNano(), names.Add(1))
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// outside is where records go: what all holders of a task have written, in order per partition.
type outside struct {
	mu    sync.Mutex
	seen  map[int32][]int // numbers by partition
	total int
}

func (o *outside) write(batch []record.Sink) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range batch {
		n, _ := strconv.Atoi(string(batch[i].Value.([]byte)))
		o.seen[batch[i].OriginalPartition] = append(o.seen[batch[i].OriginalPartition], n)
	}
	o.total += len(batch)
}

func (o *outside) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.total
}

// world is a topic with numbered records, and tasks that read it.
type world struct {
	t         *testing.T
	bootstrap string
	topic     string
	name      string
	out       *outside
	reg       *prometheus.Registry
	metrics   *connectmetrics.Set

	uid         cluster.UID // of the connector, and which task of how many is started next
	task, tasks int
	config      map[string]string // of the connector; nil: it reads topic
	targets     chan cluster.TargetState
}

func newWorld(t *testing.T, bootstrap string, partitions, each int) *world {
	t.Helper()
	w := &world{t: t, bootstrap: bootstrap, topic: unique("sink"), name: unique("c"), out: &outside{seen: map[int32][]int{}},
		reg: prometheus.NewRegistry(), uid: "uid-1", tasks: 1, targets: make(chan cluster.TargetState)}
	w.metrics = connectmetrics.New(connectmetrics.Options{})
	w.reg.MustRegister(w.metrics)
	cfg := kafkaio.Config{"bootstrap.servers": bootstrap}
	a, err := kafkaio.NewAdmin(cfg, nil)
	require.NoError(t, err)
	defer a.Close(within(t))
	res, err := a.CreateTopics(within(t), kafkaio.Topic{Name: w.topic, Partitions: partitions, Replication: 1})
	require.NoError(t, err)
	require.NoError(t, res[w.topic])
	w.produce(partitions, 0, each)
	return w
}

// produce adds the numbers from..from+each to every partition.
func (w *world) produce(partitions, from, each int) {
	w.t.Helper()
	p, err := kafkaio.NewProducer(w.t.Context(), kafkaio.ProducerConfig{Client: kafkaio.Config{"bootstrap.servers": w.bootstrap}})
	require.NoError(w.t, err)
	defer p.Close(within(w.t))
	var failed atomic.Int64
	for part := range partitions {
		batch := make([]kafkaio.Record, each)
		for i := range batch {
			batch[i] = kafkaio.Record{Topic: w.topic, Partition: int32(part), Value: strconv.AppendInt(nil, int64(from+i), 10),
				Timestamp: record.NoTimestamp}
		}
		_, err := p.Send(within(w.t), batch, func(_ int, _ record.Produced, err error) {
			if err != nil {
				failed.Add(1)
			}
		})
		require.NoError(w.t, err)
	}
	require.NoError(w.t, p.Flush(within(w.t)))
	require.Zero(w.t, failed.Load())
}

// running is one instance under test.
type running struct {
	take, do context.CancelFunc
	done     chan error
	ended    error
	isEnded  bool
	plugin   *fakePlugin
}

// startTask starts an instance of the world's task; setup may change the plugin and the dependencies.
func (w *world) startTask(setup func(p *fakePlugin, d *Deps)) *running {
	w.t.Helper()
	ev := &events{}
	p := &fakePlugin{events: ev, put: func(_ context.Context, b []record.Sink) error { w.out.write(b); return nil }}
	d := Deps{
		Plugin: func(plugin.Kind, string) (*plugin.Plugin, error) {
			return &plugin.Plugin{Class: "FakeSink", Version: "1", NewSinkTask: func() sink.Task { return p }}, nil
		},
		Resolve: func(c cluster.Config) (map[string]string, error) { return c.Plain(), nil },
		ConsumerConfig: func(map[string]string, cluster.JobID, string) (kafkaio.Config, error) {
			return kafkaio.Config{"bootstrap.servers": w.bootstrap}, nil
		},
		Pipeline: func(context.Context, Settings) (Pipeline, error) {
			return newEarly(&passing{events: &events{}}, 2), nil
		},
		FlushInterval: 100 * time.Millisecond, FlushTimeout: patience, ShutdownTimeout: patience,
	}
	if setup != nil {
		setup(p, &d)
	}
	spec := cluster.JobSpec{
		Job: cluster.TaskJob(w.uid, w.task), Name: w.name, Class: "FakeSink", Target: cluster.Started, TaskCount: w.tasks,
		Config: cluster.ConfigOf(map[string]string{"topics": w.topic}),
	}
	if w.config != nil {
		spec.Config = cluster.ConfigOf(w.config)
	}
	in, err := New(d)(spec)
	require.NoError(w.t, err)
	r := &running{done: make(chan error, 1), plugin: p}
	var take, do context.Context
	do, r.do = context.WithCancel(context.Background())
	take, r.take = context.WithCancel(do)
	go func() {
		r.done <- in.Run(take, do, job.Env{Spec: spec, Report: reports{ev}, Target: w.targets, Metrics: w.metrics.Begin(w.name, spec.Job)})
	}()
	w.t.Cleanup(func() { r.do(); r.wait(w.t) })
	return r
}

func (r *running) wait(t *testing.T) error {
	t.Helper()
	if r.isEnded {
		return r.ended
	}
	select {
	case r.ended = <-r.done:
		r.isEnded = true
	case <-time.After(patience):
		t.Fatalf("the task did not end: %q", r.plugin.all())
	}
	return r.ended
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	require.Eventually(w.t, ok, patience, 2*time.Millisecond, what)
}

func (w *world) committed() int64 {
	w.t.Helper()
	a, err := kafkaio.NewAdmin(kafkaio.Config{"bootstrap.servers": w.bootstrap}, nil)
	require.NoError(w.t, err)
	defer a.Close(within(w.t))
	got, err := a.ListGroupOffsets(within(w.t), "connect-"+w.name)
	require.NoError(w.t, err)
	var n int64
	for _, o := range got {
		n += o
	}
	return n
}

// requireAll checks that every number of each partition arrived, in order apart from whole stretches read again, and at
// most extra times twice.
func (w *world) requireAll(partitions, each, extra int) {
	w.t.Helper()
	w.out.mu.Lock()
	defer w.out.mu.Unlock()
	for part := range int32(partitions) {
		next := 0
		for i, n := range w.out.seen[part] {
			if n > next {
				w.t.Fatalf("partition %d: %d came where %d was due (at %d)", part, n, next, i)
			}
			if n == next {
				next++
			}
		}
		require.Equal(w.t, each, next, "partition %d: the last number", part)
	}
	require.LessOrEqual(w.t, w.out.total-partitions*each, extra, "records that came twice")
}

func TestManyRecordsArriveOnceAndARestartGoesOnFromTheCommit(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		const partitions, each = 4, 12500
		w := newWorld(t, bootstrap, partitions, each)
		first := w.startTask(nil)
		w.eventually("some records", func() bool { return w.out.count() > 5000 })
		first.take()
		require.NoError(t, first.wait(t))
		require.EqualValues(t, w.out.count(), w.committed(), "everything the plugin accepted is committed at a graceful stop")

		second := w.startTask(nil)
		w.eventually("all records", func() bool { return w.out.count() >= partitions*each })
		w.eventually("the metrics follow", func() bool { return gauge(w, "kafka_connect_sink_task_metrics_partition_count") == partitions })
		w.eventually("a commit without a stop", func() bool { return w.committed() == partitions*each })
		second.take()
		require.NoError(t, second.wait(t))
		w.requireAll(partitions, each, 0)
		require.Zero(t, gauge(w, "kafka_connect_sink_task_metrics_partition_count"), "its partitions are given back")
	})
}

func gauge(w *world, name string) float64 {
	fams, err := w.reg.Gather()
	require.NoError(w.t, err)
	for _, f := range fams {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				return m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

func TestFault_ZT_2_ASecondInstanceFencesTheFirst(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		const partitions, each, batch = 2, 5000, 500
		w := newWorld(t, bootstrap, partitions, each)
		inPut, thaw := make(chan struct{}), make(chan struct{})
		frozen := w.startTask(func(p *fakePlugin, d *Deps) {
			d.BatchSize = batch
			d.FlushInterval = time.Millisecond // commits all the time
			d.Doubt = 50 * time.Millisecond    // the freeze below lasts longer
			puts := 0
			p.put = func(_ context.Context, b []record.Sink) error {
				w.out.write(b)
				if len(b) > 0 {
					if puts++; puts == 4 {
						close(inPut)
						<-thaw // stopped in the middle of a put, its records already written
					}
				}
				return nil
			}
		})
		<-inPut
		uncommitted := w.out.count() - int(w.committed())
		heir := w.startTask(nil)
		w.eventually("the heir reads the rest", func() bool { return w.out.count() >= partitions*each })
		w.eventually("and commits", func() bool { return w.committed() == partitions*each })
		written := w.out.count()
		close(thaw)
		require.Equal(t, job.ErrFenced, frozen.wait(t), "the old one stands down by itself")
		require.Equal(t, written, w.out.count(), "after the batch in flight it writes nothing more")
		require.EqualValues(t, partitions*each, w.committed(), "its late commit changed nothing")
		heir.take()
		require.NoError(t, heir.wait(t))
		w.requireAll(partitions, each, uncommitted)
	})
}

func TestFault_ZT_6_TheSuccessorNeverStartsBeforeTheLastCommitThatWasAccepted(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		const each = 100_000
		w := newWorld(t, bootstrap, 1, each)
		// Each holder commits as fast as it can while its successor takes over; every accepted commit is noted.
		var mu sync.Mutex
		accepted := map[int]int64{} // highest by holder
		starts := map[int]int64{}
		var prev *running
		for holder := range 5 {
			opened := make(chan struct{})
			r := w.startTask(func(p *fakePlugin, d *Deps) {
				d.BatchSize = 10
				d.FlushInterval = time.Microsecond
				d.NewConsumer = func(ctx context.Context, cc kafkaio.ConsumerConfig) (Consumer, error) {
					c, err := kafkaio.NewConsumer(ctx, cc)
					return &witness{Consumer: c, accepted: func(o int64) {
						mu.Lock()
						defer mu.Unlock()
						accepted[holder] = max(accepted[holder], o)
					}, started: func(o int64) {
						mu.Lock()
						defer mu.Unlock()
						starts[holder] = o
					}}, err
				}
				p.open = func([]record.TopicPartition) error { close(opened); return nil }
				p.put = func(context.Context, []record.Sink) error {
					<-time.After(time.Millisecond) // so that there is something to commit all the time
					return nil
				}
			})
			select {
			case <-opened:
			case <-time.After(patience):
				t.Fatal("no takeover")
			}
			if prev != nil {
				require.Equal(t, job.ErrFenced, prev.wait(t))
				mu.Lock()
				last := accepted[holder-1]
				mu.Unlock()
				mu.Lock()
				require.GreaterOrEqual(t, starts[holder], last, "holder %d", holder)
				mu.Unlock()
			}
			// Let it commit for a while, until the takeover meets it at another point.
			w.eventually("it commits", func() bool { mu.Lock(); defer mu.Unlock(); return accepted[holder] > 0 })
			prev = r
		}
		prev.take()
		require.NoError(t, prev.wait(t))
	})
}

// witness notes which commits Kafka accepted.
type witness struct {
	Consumer
	accepted, started func(int64)
}

func (w *witness) Position(parts []record.TopicPartition) map[record.TopicPartition]int64 {
	out := w.Consumer.Position(parts)
	for _, o := range out {
		w.started(o)
	}
	return out
}

func (w *witness) note(offsets map[record.TopicPartition]int64, err error) {
	for _, o := range offsets {
		if err == nil {
			w.accepted(o)
		}
	}
}

func (w *witness) Commit(ctx context.Context, offsets map[record.TopicPartition]int64) error {
	err := w.Consumer.Commit(ctx, offsets)
	w.note(offsets, err)
	return err
}

func (w *witness) CommitAsync(offsets map[record.TopicPartition]int64, done func(error)) {
	w.Consumer.CommitAsync(offsets, func(err error) { w.note(offsets, err); done(err) })
}

func TestAStoppedTaskIsFollowedByItsSuccessorWithoutARebalance(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		const partitions, each = 4, 2000
		w := newWorld(t, bootstrap, partitions, each)
		a := w.startTask(nil)
		w.eventually("all records", func() bool { return w.out.count() >= partitions*each })
		a.take()
		require.NoError(t, a.wait(t))
		w.produce(partitions, each, 100)
		b := w.startTask(nil)
		w.eventually("the new records", func() bool { return w.out.count() >= partitions*(each+100) })
		b.take()
		require.NoError(t, b.wait(t))
		w.requireAll(partitions, each+100, 0)
	})
}

func TestPartitionsOfTasksThatAreNoMoreGoToTheOthers(t *testing.T) {
	t.Run("found by a client of their own", func(t *testing.T) {
		onBrokers(t, func(t *testing.T, bootstrap string) { orphans(t, bootstrap, nil) })
	})
	t.Run("found by the client that watches for parked tasks", func(t *testing.T) {
		onBrokers(t, func(t *testing.T, bootstrap string) {
			orphans(t, bootstrap, newLot(t, parking.Options{Idle: time.Hour}).Lot)
		})
	})
}

func orphans(t *testing.T, bootstrap string, lot *parking.Lot) {
	t.Helper()
	const partitions, each = 4, 500
	w := newWorld(t, bootstrap, partitions, each)
	soon := func(_ *fakePlugin, d *Deps) { d.SweepAfter, d.Parking = 50*time.Millisecond, lot }
	w.tasks = 2
	zero := w.startTask(soon)
	w.task = 1
	one := w.startTask(soon)
	w.eventually("both have partitions", func() bool { return opened(zero) && opened(one) })
	w.eventually("all records", func() bool { return w.out.count() >= partitions*each })
	for _, r := range []*running{zero, one} {
		r.take()
		require.NoError(t, r.wait(t))
	}

	w.task, w.tasks = 0, 1 // tasks.max was lowered
	w.produce(partitions, each, 100)
	only := w.startTask(soon)
	w.eventually("task 0 reads what was task 1's", func() bool { return w.out.count() >= partitions*(each+100) })
	only.take()
	require.NoError(t, only.wait(t))

	w.uid = "uid-2" // deleted, and created anew under the same name
	w.produce(partitions, each+100, 100)
	anew := w.startTask(soon)
	w.eventually("the new connector reads at once", func() bool { return w.out.count() >= partitions*(each+200) })
	anew.take()
	require.NoError(t, anew.wait(t))
	w.requireAll(partitions, each+200, 0)
}

// opened tells that a task was given partitions.
func opened(r *running) bool {
	for _, e := range r.plugin.all() {
		if strings.HasPrefix(e, "open") {
			return true
		}
	}
	return false
}
