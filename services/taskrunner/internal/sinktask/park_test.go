package sinktask

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/parking"
	"github.com/millrace/millrace/tests/servers"
)

var parks = flag.Int("parks", 15, "how often TestParked_nothing_is_lost parks and wakes its tasks, for example 1000")

// lot is where the tasks of a test are parked; it tells what it counts.
type lot struct {
	*parking.Lot
	t   *testing.T
	reg *prometheus.Registry
}

func newLot(t *testing.T, o parking.Options) *lot {
	t.Helper()
	l := &lot{t: t, reg: prometheus.NewRegistry()}
	if o.Idle == 0 {
		o.Idle = 100 * time.Millisecond
	}
	o.Look, o.Shapes, o.Registerer = 20*time.Millisecond, 100*time.Millisecond, l.reg
	l.Lot = parking.New(o)
	t.Cleanup(func() { require.NoError(t, l.Close(context.WithoutCancel(t.Context()))) })
	return l
}

// use parks a task here.
func (l *lot) use(p *fakePlugin, d *Deps) { l.with()(p, d) }

// with parks a task here whose consumer has these settings, key and value in turns.
func (l *lot) with(settings ...string) func(*fakePlugin, *Deps) {
	return func(_ *fakePlugin, d *Deps) {
		d.Parking = l.Lot
		made := d.ConsumerConfig
		d.ConsumerConfig = func(conn map[string]string, id cluster.JobID, name string) (kafkaio.Config, error) {
			cfg, err := made(conn, id, name)
			cfg["fetch.wait.max.ms"] = "50"    // an end shows sooner
			cfg["session.timeout.ms"] = "6000" // a group waits no longer for members that are parked
			for i := 0; i < len(settings); i += 2 {
				cfg[settings[i]] = settings[i+1]
			}
			return cfg, err
		}
	}
}

func (l *lot) value(name string) (sum float64) {
	fams, err := l.reg.Gather()
	require.NoError(l.t, err)
	for _, f := range fams {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func (l *lot) parked() float64 { return l.value("millrace_runner_tasks_parked") }
func (l *lot) wakes() float64  { return l.value("millrace_runner_task_wakes_total") }

func (w *world) parked(l *lot, n float64) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%v tasks are parked", n), func() bool { return l.parked() == n })
}

// produceTo adds the numbers from..from+each to one partition of a topic.
func (w *world) produceTo(topic string, part int32, from, each int) {
	w.t.Helper()
	p, err := kafkaio.NewProducer(w.t.Context(), kafkaio.ProducerConfig{Client: kafkaio.Config{"bootstrap.servers": w.bootstrap, "linger.ms": "0"}})
	require.NoError(w.t, err)
	defer p.Close(within(w.t))
	w.send(p, topic, part, from, each)
}

func (w *world) send(p *kafkaio.Producer, topic string, part int32, from, each int) {
	w.t.Helper()
	batch := make([]kafkaio.Record, each)
	for i := range batch {
		batch[i] = kafkaio.Record{Topic: topic, Partition: part, Value: strconv.AppendInt(nil, int64(from+i), 10), Timestamp: record.NoTimestamp}
	}
	_, err := p.Send(within(w.t), batch, func(_ int, _ record.Produced, err error) {
		if err != nil {
			w.t.Errorf("producing: %v", err)
		}
	})
	require.NoError(w.t, err)
	require.NoError(w.t, p.Flush(within(w.t)))
}

// admin speaks to a broker past everything that is tested.
func (w *world) admin() *kgo.Client {
	w.t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(w.bootstrap))
	require.NoError(w.t, err)
	w.t.Cleanup(c.Close)
	return c
}

func (w *world) createTopic(name string, partitions int32) {
	w.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	req.Topics = append(req.Topics, topic)
	c := w.admin()
	w.eventually("the topic is made", func() bool {
		res, err := req.RequestWith(within(w.t), c)
		return err == nil && slices.Contains([]int16{0, 36}, res.Topics[0].ErrorCode) // 36: the task was sooner
	})
}

func (w *world) deleteTopic(name string) {
	w.t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &name
	req.Topics, req.TopicNames = append(req.Topics, topic), []string{name}
	res, err := req.RequestWith(within(w.t), w.admin())
	require.NoError(w.t, err)
	require.Zero(w.t, res.Topics[0].ErrorCode)
}

func TestParked_nothing_is_lost_or_doubled_over_many_cycles(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		const partitions = 3
		w := newWorld(t, bootstrap, partitions, 5)
		l := newLot(t, parking.Options{})
		w.tasks = 2
		tasks := []*running{w.startTask(l.use)}
		w.task = 1
		tasks = append(tasks, w.startTask(l.use))
		p, err := kafkaio.NewProducer(t.Context(), kafkaio.ProducerConfig{Client: kafkaio.Config{"bootstrap.servers": bootstrap, "linger.ms": "0"}})
		require.NoError(t, err)
		defer p.Close(within(t))
		each, total := [partitions]int{5, 5, 5}, 15
		w.eventually("the first records", func() bool { return w.out.count() >= total })
		for range *parks {
			w.parked(l, 2)
			part := rand.N(int32(partitions))
			n := 1 + rand.N(20)
			w.send(p, w.topic, part, each[part], n)
			each[part] += n
			total += n
			w.eventually("the records", func() bool { return w.out.count() >= total })
		}
		w.parked(l, 2)
		require.EqualValues(t, total, w.committed())
		require.GreaterOrEqual(t, l.wakes(), float64(*parks))
		for _, r := range tasks {
			r.take()
			require.NoError(t, r.wait(t))
			require.Equal(t, 1, count(r.plugin.all(), "RUNNING"), "its state did not change")
			require.Equal(t, 1, count(r.plugin.all(), "start"))
			require.Equal(t, 1, count(r.plugin.all(), "stop"))
		}
		w.out.mu.Lock()
		defer w.out.mu.Unlock()
		for part, seen := range w.out.seen {
			require.True(t, slices.IsSorted(seen), "partition %d", part)
		}
		require.Equal(t, total, w.out.total, "each record came once")
	})
}

func TestParked_a_task_with_open_records_is_not(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		w := newWorld(t, bootstrap, 1, 3)
		l := newLot(t, parking.Options{})
		hold := make(chan struct{})
		asked := make(chan struct{}, 100)
		w.startTask(func(p *fakePlugin, d *Deps) {
			l.use(p, d)
			p.preCommit = func(current map[record.TopicPartition]int64) (map[record.TopicPartition]int64, error) {
				select {
				case <-hold:
					return current, nil
				default:
				}
				select {
				case asked <- struct{}{}:
				default:
				}
				return map[record.TopicPartition]int64{{Topic: w.topic}: 1}, nil // the file it writes is open
			}
		})
		for range 8 {
			<-asked
		}
		require.Zero(t, l.parked())
		close(hold)
		w.parked(l, 1)
		require.EqualValues(t, 3, w.committed())
	})
}

func TestParked_a_task_stays_awake_while_a_peer_works(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		w := newWorld(t, bootstrap, 2, 1)
		l := newLot(t, parking.Options{})
		w.tasks = 2
		release := make(chan struct{})
		slow := func(p *fakePlugin, d *Deps) {
			l.use(p, d)
			p.put = func(_ context.Context, b []record.Sink) error {
				w.out.write(b)
				for i := range b {
					if b[i].OriginalPartition == 0 {
						<-release
					}
				}
				return nil
			}
		}
		w.startTask(slow)
		w.task = 1
		second := w.startTask(slow)
		w.eventually("the records", func() bool { return w.out.count() == 2 })
		select {
		case <-time.After(500 * time.Millisecond): // five times what it takes
		case <-second.done:
		}
		require.Zero(t, l.parked(), "the group has not read everything")
		close(release)
		w.parked(l, 2)
	})
}

func TestParked_a_topic_made_anew_is_read_from_its_beginning(t *testing.T) {
	for _, more := range []int{0, 5, -4} { // as many records as the old one had, more, fewer
		t.Run(fmt.Sprintf("%+d", more), func(t *testing.T) {
			onBrokers(t, func(t *testing.T, bootstrap string) {
				const each = 7
				w := newWorld(t, bootstrap, 1, each)
				l := newLot(t, parking.Options{Idle: 300 * time.Millisecond})
				w.startTask(l.use)
				w.eventually("the first records", func() bool { return w.out.count() == each })
				w.parked(l, 1)
				w.deleteTopic(w.topic)
				w.createTopic(w.topic, 1)
				w.produceTo(w.topic, 0, each, each+more)
				w.eventually("the records of the new topic", func() bool { return w.out.count() == 2*each+more })
				w.requireAll(1, 2*each+more, 0)
				w.parked(l, 1)
				require.EqualValues(t, each+more, w.committed())
			})
		})
	}
}

func TestParked_new_partitions_and_topics_are_read(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		w := newWorld(t, bootstrap, 1, 1)
		w.config = map[string]string{"topics.regex": w.topic + "(-more)?"}
		l := newLot(t, parking.Options{})
		w.startTask(l.with("metadata.max.age.ms", "100"))
		w.eventually("the first record", func() bool { return w.out.count() == 1 })
		w.parked(l, 1)

		req := kmsg.NewPtrCreatePartitionsRequest()
		topic := kmsg.NewCreatePartitionsRequestTopic()
		topic.Topic, topic.Count = w.topic, 2
		req.Topics = append(req.Topics, topic)
		res, err := req.RequestWith(within(t), w.admin())
		require.NoError(t, err)
		require.Zero(t, res.Topics[0].ErrorCode)
		w.eventually("it wakes for the partition", func() bool { return l.wakes() >= 1 })
		w.produceTo(w.topic, 1, 0, 4)
		w.eventually("the records of the new partition", func() bool { return w.out.count() == 5 })
		w.parked(l, 1)

		woken := l.wakes()
		w.createTopic(w.topic+"-more", 1)
		w.eventually("it wakes for the topic", func() bool { return l.wakes() > woken })
		w.produceTo(w.topic+"-more", 0, 1, 4)
		w.eventually("the records of the new topic", func() bool { return w.out.count() == 9 })
		w.parked(l, 1)
	})
}

// One that begins at the end and has never read anything would begin at another end when it wakes.
func TestParked_a_task_that_begins_at_the_end_misses_nothing(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		w := newWorld(t, bootstrap, 2, 10)
		l := newLot(t, parking.Options{})
		w.startTask(l.with("auto.offset.reset", "latest"))
		w.parked(l, 1)
		require.Zero(t, w.out.count())
		w.produceTo(w.topic, 1, 10, 3)
		w.eventually("the records since", func() bool { return w.out.count() == 3 })
	})
}

// Behind the records of a transaction stands its marker, behind which nothing was read.
func TestParked_the_end_of_a_transaction_is_no_record(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		for _, isolation := range []string{"read_committed", "read_uncommitted"} {
			w := newWorld(t, bootstrap, 1, 1)
			l := newLot(t, parking.Options{})
			p, err := kafkaio.NewProducer(t.Context(), kafkaio.ProducerConfig{Client: kafkaio.Config{"bootstrap.servers": bootstrap}, TransactionalID: unique("tx")})
			require.NoError(t, err)
			defer p.Close(within(t))
			require.NoError(t, p.InitTransactions(within(t)))
			write := func(from int) {
				require.NoError(t, p.Begin())
				w.send(p, w.topic, 0, from, 1)
				require.NoError(t, p.Commit(within(t)))
			}
			write(1)
			r := w.startTask(l.with("isolation.level", isolation))
			w.eventually("two records", func() bool { return w.out.count() == 2 })
			w.parked(l, 1)
			require.EqualValues(t, 3, w.committed(), "as Java's consumers do, up to behind the marker")
			write(2)
			w.eventually("the third", func() bool { return w.out.count() == 3 })
			w.parked(l, 1)
			r.take()
			require.NoError(t, r.wait(t))
			w.requireAll(1, 3, 0)
		}
	})
}

// resting counts how often the pipeline is told to give back what it has.
type resting struct {
	Pipeline
	rests *atomic.Int64
}

func (r resting) Rest() { r.rests.Add(1) }

func TestParked_what_the_pipeline_has_is_given_back_too(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		w := newWorld(t, bootstrap, 1, 1)
		l := newLot(t, parking.Options{})
		var rests atomic.Int64
		w.startTask(func(p *fakePlugin, d *Deps) {
			l.use(p, d)
			made := d.Pipeline
			d.Pipeline = func(ctx context.Context, s Settings) (Pipeline, error) {
				p, err := made(ctx, s)
				return resting{p, &rests}, err
			}
		})
		w.parked(l, 1)
		require.EqualValues(t, 1, rests.Load())
	})
}

func TestParked_paused_and_resumed(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		w := newWorld(t, bootstrap, 1, 1)
		l := newLot(t, parking.Options{})
		targets := make(chan cluster.TargetState)
		w.targets = targets
		r := w.startTask(l.use)
		w.eventually("the first record", func() bool { return w.out.count() == 1 })
		w.parked(l, 1)
		targets <- cluster.Paused
		w.eventually("it says that it is paused", func() bool { return count(r.plugin.all(), "PAUSED") == 1 })
		w.produceTo(w.topic, 0, 1, 2)
		targets <- cluster.Started
		w.eventually("the others", func() bool { return w.out.count() == 3 })
		w.parked(l, 1)

		// A task that is paused while it is awake gives its client back, too, with records waiting.
		w.produceTo(w.topic, 0, 3, 1)
		w.eventually("the fourth", func() bool { return w.out.count() == 4 })
		targets <- cluster.Paused
		w.eventually("it says so", func() bool { return count(r.plugin.all(), "PAUSED") == 2 })
		w.produceTo(w.topic, 0, 4, 1)
		w.parked(l, 1)
		require.Equal(t, 4, w.out.count())
		targets <- cluster.Started
		w.eventually("the fifth", func() bool { return w.out.count() == 5 })
		w.requireAll(1, 5, 0)
	})
}

func TestParked_offsets_are_kept(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		w := newWorld(t, bootstrap, 1, 5)
		l := newLot(t, parking.Options{Keep: time.Second, Idle: 2 * time.Second})
		r := w.startTask(l.use)
		w.parked(l, 1)
		w.eventually("it wakes by itself", func() bool { return l.wakes() >= 2 })
		w.parked(l, 1)
		require.GreaterOrEqual(t, commitsOf(r), 2, "it has committed again")
		require.EqualValues(t, 5, w.committed())
		require.Equal(t, 5, w.out.count())
	})
}

// Kafka forgets the offsets of a group without members after a minute here, and looks every second. A group that nobody comes back
// to shows when.
func TestParked_offsets_outlast_a_short_retention(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes more than a minute")
	}
	k, err := servers.StartKafka(t.Context(), servers.KafkaOptions{Properties: map[string]string{"offsets.retention.minutes": "1", "offsets.retention.check.interval.ms": "1000"}})
	if err != nil {
		servers.Missing(t, err)
	}
	t.Cleanup(func() { require.NoError(t, k.Stop(context.WithoutCancel(t.Context()))) })
	forgotten := newWorld(t, k.Bootstrap(), 1, 3)
	w := newWorld(t, k.Bootstrap(), 1, 5)
	l := newLot(t, parking.Options{Idle: 500 * time.Millisecond, Keep: 15 * time.Second})
	r := forgotten.startTask(l.use)
	forgotten.parked(l, 1)
	require.EqualValues(t, 3, forgotten.committed())
	r.take()
	require.NoError(t, r.wait(t))
	w.startTask(l.use)
	w.parked(l, 1)
	require.Eventually(t, func() bool { return forgotten.committed() == 0 }, 3*patience, time.Second, "the retention ends")
	require.EqualValues(t, 5, w.committed())
	require.GreaterOrEqual(t, l.wakes(), 3.0)
	// And once more, from a time at which the second group would be forgotten had it committed only once.
	again := l.wakes()
	require.Eventually(t, func() bool { return l.wakes() >= again+2 }, 3*patience, time.Second, "it wakes by itself")
	require.EqualValues(t, 5, w.committed())
	w.produceTo(w.topic, 0, 5, 2)
	w.eventually("the new records", func() bool { return w.out.count() == 7 })
	w.requireAll(1, 7, 0)
}

// A member that is none of the connector's tasks comes into their group and goes, while they are parked and while they wake.
func TestParked_a_rebalance_while_parked_and_while_waking(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		const partitions = 4
		w := newWorld(t, bootstrap, partitions, 1)
		l := newLot(t, parking.Options{})
		w.tasks = 2
		tasks := []*running{w.startTask(l.use)}
		w.task = 1
		tasks = append(tasks, w.startTask(l.use))
		each := 1
		for i := range 8 {
			w.eventually("what there is", func() bool { return w.out.count() >= partitions*each })
			w.parked(l, 2)
			guest, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumerGroup("connect-"+w.name), kgo.ConsumeTopics(w.topic), kgo.DisableAutoCommit(),
				kgo.Balancers(kgo.RangeBalancer()), kgo.HeartbeatInterval(100*time.Millisecond), kgo.SessionTimeout(6*time.Second))
			require.NoError(t, err)
			in := make(chan struct{})
			go func() { // it reads, and commits nothing
				defer close(in)
				for ctx := t.Context(); ctx.Err() == nil && !guest.PollFetches(ctx).IsClientClosed(); {
				}
			}()
			if i%2 == 0 { // it is in the group when they wake; else they may wake while it joins
				w.eventually("the guest is in", func() bool { _, gen := guest.GroupMetadata(); return gen > 0 })
			}
			w.produce(partitions, each, 3)
			each += 3
			timer := time.NewTimer(rand.N(400 * time.Millisecond))
			<-timer.C
			guest.Close()
			<-in
		}
		w.eventually("all", func() bool { return w.out.count() >= partitions*each })
		w.parked(l, 2)
		require.EqualValues(t, partitions*each, w.committed())
		for _, r := range tasks {
			r.take()
			require.NoError(t, r.wait(t))
		}
		w.requireAll(partitions, each, 0)
	})
}

// commitsOf counts how often partitions were given to the plugin.
func commitsOf(r *running) (n int) { return count(r.plugin.all(), "start") + opens(r) - 1 }

func opens(r *running) (n int) {
	for _, e := range r.plugin.all() {
		if len(e) > 4 && e[:4] == "open" {
			n++
		}
	}
	return n
}

// A runner that was frozen with a parked task must not throw out the successor when it thaws.
func TestParked_one_that_was_replaced_stands_down(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		w := newWorld(t, bootstrap, 1, 1)
		l := newLot(t, parking.Options{})
		first := w.startTask(l.use)
		w.eventually("the first record", func() bool { return w.out.count() == 1 })
		w.parked(l, 1)
		second := w.startTask(nil)
		w.eventually("the second holds the partition", func() bool { return opens(second) == 1 })
		w.produceTo(w.topic, 0, 1, 5)
		require.ErrorIs(t, first.wait(t), job.ErrFenced)
		w.eventually("the records", func() bool { return w.out.count() >= 6 })
		second.take()
		require.NoError(t, second.wait(t), "it was left alone")
		w.requireAll(1, 6, 0)
	})
}

// A task is cut off at any moment of its waking; the next one goes on.
func TestParked_cut_off_while_it_wakes(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		w := newWorld(t, bootstrap, 1, 1)
		total := 1
		for i := range 12 {
			l := newLot(t, parking.Options{})
			r := w.startTask(l.use)
			w.eventually("what there is", func() bool { return w.out.count() >= total })
			w.parked(l, 1)
			w.produceTo(w.topic, 0, total, 3)
			total += 3
			timer := time.NewTimer(time.Duration(i) * 20 * time.Millisecond)
			<-timer.C
			r.do()
			require.NoError(t, r.wait(t))
		}
		w.startTask(nil)
		w.eventually("all records", func() bool { return distinct(w) == total })
		w.requireAll(1, total, 3*12) // those of a put that was not committed come twice
	})
}

func TestParked_a_task_outlasts_a_broker_that_is_away(t *testing.T) {
	t.Parallel()
	bootstrap, stop, start := ownBroker(t)
	w := newWorld(t, bootstrap, 1, 3)
	l := newLot(t, parking.Options{})
	r := w.startTask(l.use)
	w.parked(l, 1)
	stop()
	select {
	case err := <-r.done:
		t.Fatalf("the task ended while Kafka was away: %v", err)
	case <-time.After(time.Second):
	}
	require.EqualValues(t, 1, l.parked())
	start()
	w.produceTo(w.topic, 0, 3, 2)
	w.eventually("the new records", func() bool { return w.out.count() == 5 })
	w.requireAll(1, 5, 0)
}
