package sourcetask_test

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
	"github.com/millrace/millrace/services/taskrunner/internal/parking"
	"github.com/millrace/millrace/services/taskrunner/internal/sourcetask"
)

var parks = flag.Int("parks", 15, "how often TestParked_nothing_is_lost parks and wakes its task, for example 1000")

// still is a world whose source has nothing to tell but what it is fed, and whose task is parked soon.
type still struct {
	*world
	feed chan int64 // how many records the next poll brings
	reg  *prometheus.Registry
}

// quiet makes a world of its own from the settings of another, or one beside it that runs the same task.
func quiet(w *world, beside bool, idle time.Duration) *still {
	s := &still{world: newWorld(w.T, w.bootstrap), feed: make(chan int64), reg: prometheus.NewRegistry()}
	if beside {
		s.name, s.topic = w.name, w.topic
	}
	s.worker = w.worker
	s.parking = parking.New(parking.Options{Idle: idle, Registerer: s.reg})
	s.Cleanup(func() { require.NoError(s, s.parking.Close(context.WithoutCancel(s.Context()))) })
	s.onPoll = func(ctx context.Context, n *numbers) ([]record.Source, error, bool) {
		select {
		case size := <-s.feed:
			return n.batch(size), nil, true
		case <-ctx.Done():
			return nil, nil, true
		}
	}
	return s
}

const soon = 50 * time.Millisecond

func (s *still) value(name string) (sum float64) {
	fams, err := s.reg.Gather()
	require.NoError(s, err)
	for _, f := range fams {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func (s *still) parked() {
	s.Helper()
	s.eventually("the task is parked", func() bool { return s.value("millrace_runner_tasks_parked") == 1 })
}

// gives feeds records and waits until they are durable.
func (s *still) gives(r *run, n int64) {
	s.Helper()
	want := s.committed.Load() + n
	s.fed(r, n)
	s.eventually("the records are durable", func() bool { return s.committed.Load() >= want || len(r.done) > 0 })
	require.Empty(s, r.done, "the task has ended")
}

func (s *still) fed(r *run, n int64) {
	s.Helper()
	select {
	case s.feed <- n:
	case err := <-r.done:
		s.Fatalf("the task has ended: %v", err)
	}
}

func (s *still) stops(r *run) {
	s.Helper()
	r.take()
	require.NoError(s, s.end(r))
}

func (s *still) starts() *run {
	s.Helper()
	running := func() (n int) {
		for _, note := range s.noted() {
			if note == "RUNNING" {
				n++
			}
		}
		return n
	}
	before := running()
	r := s.start(cluster.Started)
	s.eventually("RUNNING", func() bool { return running() > before || len(r.done) > 0 })
	require.Empty(s, r.done, "the task has ended")
	return r
}

// inBothWays runs a test with transactions and without.
func inBothWays(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	for _, support := range []string{"enabled", "disabled"} {
		t.Run("exactly once "+support, func(t *testing.T) {
			onBrokers(t, func(w *world) {
				w.worker = map[string]string{"exactly.once.source.support": support, "offset.flush.interval.ms": "30"}
				test(w)
			})
		})
	}
}

func TestParked_nothing_is_lost_or_doubled_over_many_cycles(t *testing.T) {
	inBothWays(t, func(w *world) {
		s := quiet(w, false, soon)
		r := s.starts()
		total := int64(0)
		for range *parks {
			s.parked()
			n := 1 + rand.N(int64(20))
			s.gives(r, n)
			total += n
		}
		s.parked()
		require.GreaterOrEqual(s, s.value("millrace_runner_task_wakes_total"), float64(*parks))
		s.stops(r)
		require.Zero(s, s.value("millrace_runner_tasks_parked"))
		s.exactly(total)
		require.Equal(s, []string{"start 0", "RUNNING", "stop"}, s.noted(), "its state did not change")
		s.stops(s.starts())
		require.Equal(s, "start "+itoa(total), s.noted()[3], "its position was kept")
	})
}

func (s *still) deleteTopic() {
	s.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(s.bootstrap))
	require.NoError(s, err)
	defer c.Close()
	req := kmsg.NewPtrDeleteTopicsRequest()
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &s.topic
	req.Topics, req.TopicNames = append(req.Topics, topic), []string{s.topic}
	res, err := req.RequestWith(s.Context(), c)
	require.NoError(s, err)
	require.Zero(s, res.Topics[0].ErrorCode)
}

func itoa(n int64) string { return data.Text(n) }

// dropping is a pipeline through which nothing comes.
type dropping struct{ sourcetask.Pipeline }

func (dropping) Source(_ context.Context, _ []record.Source, out []kafkaio.Record, idx []int) ([]kafkaio.Record, []int, error) {
	return out, idx, nil
}

func TestParked_an_offset_without_records_wakes(t *testing.T) {
	inBothWays(t, func(w *world) {
		s := quiet(w, false, soon)
		s.pipe = func(p sourcetask.Pipeline) sourcetask.Pipeline { return dropping{p} }
		r := s.starts()
		s.parked()
		s.fed(r, 7)
		s.eventually("they are dropped", func() bool { return s.dropped.Load() == 7 })
		s.parked()
		s.stops(r)
		s.stops(s.starts())
		require.Contains(s, s.noted(), "start 7")
	})
}

func TestParked_a_task_with_records_in_hand_is_not(t *testing.T) {
	onBrokers(t, func(w *world) {
		s := quiet(w, false, soon)
		s.config = map[string]string{"transaction.boundary": "interval", "transaction.boundary.interval.ms": "2000"}
		r := s.starts()
		s.fed(r, 5)
		began := time.Now()
		s.parked()
		require.Greater(s, time.Since(began), time.Second, "its transaction was open")
		s.exactly(5)
		s.stops(r)
	})
}

func TestParked_a_paused_task_is_at_once(t *testing.T) {
	onBrokers(t, func(w *world) {
		s := quiet(w, false, time.Hour)
		r := s.starts()
		s.gives(r, 3)
		require.Zero(s, s.value("millrace_runner_tasks_parked"))
		r.target <- cluster.Paused
		s.parked()
		r.target <- cluster.Started
		s.gives(r, 4)
		s.stops(r)
		s.exactly(7)
	})
}

func TestParked_a_topic_made_anew_takes_the_next_records(t *testing.T) {
	inBothWays(t, func(w *world) {
		s := quiet(w, false, soon)
		r := s.starts()
		s.gives(r, 3)
		s.parked()
		a, err := kafkaio.NewAdmin(kafkaio.Config{"bootstrap.servers": s.bootstrap}, nil)
		require.NoError(s, err)
		defer a.Close(s.Context())
		s.deleteTopic()
		s.eventually("it is made anew", func() bool {
			made, err := a.CreateTopics(s.Context(), kafkaio.Topic{Name: s.topic, Partitions: 1, Replication: 1})
			return err == nil && made[s.topic] == nil
		})
		s.gives(r, 4)
		s.parked()
		s.stops(r)
		require.Equal(s, []int64{3, 4, 5, 6}, s.stored())
	})
}

// A task that was frozen while it was parked, and has a successor that has written, stands down without a harm to that one.
func TestParked_one_that_was_replaced_stands_down(t *testing.T) {
	for name, tasks := range map[string]int{"the only task": 1, "one of several": 2} {
		t.Run(name, func(t *testing.T) {
			onBrokers(t, func(w *world) {
				old := quiet(w, false, soon)
				old.tasks = tasks
				r := old.starts()
				old.gives(r, 5)
				old.parked()
				young := quiet(old.world, true, time.Hour)
				y := young.starts()
				young.gives(y, 10)
				old.fed(r, 10) // the same records
				require.ErrorIs(w, old.end(r), job.ErrFenced)
				young.gives(y, 10)
				young.stops(y)
				young.exactly(25)
			})
		})
	}
}

// The control plane knows of a successor before that has written anything.
func TestParked_one_that_the_control_plane_replaced_leaves_the_fence_alone(t *testing.T) {
	onBrokers(t, func(w *world) {
		old := quiet(w, false, soon)
		var r *run
		old.confirm = func(ctx context.Context) bool { r.take(); <-ctx.Done(); return false } // its answer: not yours
		r = old.starts()
		old.gives(r, 5)
		old.parked()
		young := quiet(old.world, true, time.Hour)
		y := young.starts()
		old.fed(r, 10)
		require.NoError(w, old.end(r))
		young.gives(y, 10)
		young.stops(y)
		young.exactly(15)
	})
}

// Without a control plane one that was replaced may take the fence from a successor that has not written yet. Nothing is written
// twice, and the successor, to which the control plane says that it is the holder, goes on.
func TestParked_a_successor_takes_the_fence_back(t *testing.T) {
	onBrokers(t, func(w *world) {
		old := quiet(w, false, time.Second) // time enough for a successor to come again before it is parked once more
		r := old.starts()
		old.gives(r, 5)
		old.parked()
		young := quiet(old.world, true, time.Hour)
		y := young.starts()
		old.gives(r, 10)
		young.fed(y, 10)
		require.ErrorIs(w, young.end(y), job.ErrFenced)
		y = young.starts()
		young.eventually("it begins behind what the other wrote", func() bool { return slices.Contains(young.noted(), "start 15") })
		young.gives(y, 10)
		require.ErrorIs(w, old.end(r), job.ErrFenced, "it finds out when it is to be parked again")
		young.stops(y)
		young.exactly(25)
	})
}

// One that is frozen before it is parked finds out when it is to be parked.
func TestParked_one_that_was_replaced_before_stands_down(t *testing.T) {
	onBrokers(t, func(w *world) {
		old := quiet(w, false, 300*time.Millisecond)
		poll, frozen := old.onPoll, make(chan struct{})
		old.onPoll = func(ctx context.Context, n *numbers) ([]record.Source, error, bool) {
			if old.committed.Load() > 0 {
				<-frozen
			}
			return poll(ctx, n)
		}
		r := old.starts()
		old.gives(r, 5)
		young := quiet(old.world, true, time.Hour)
		y := young.starts()
		young.gives(y, 10)
		close(frozen)
		require.ErrorIs(w, old.end(r), job.ErrFenced)
		require.Zero(w, old.value("millrace_runner_task_wakes_total"))
		young.gives(y, 10)
		young.stops(y)
		young.exactly(25)
	})
}

// What the connector's other tasks write is no reason to stand down.
func TestParked_peers_are_no_successors(t *testing.T) {
	onBrokers(t, func(w *world) {
		s := quiet(w, false, soon)
		s.tasks = 2
		r := s.starts()
		s.gives(r, 5)
		s.parked()
		rs, err := offsets.Records("offsets-"+s.name, s.name, []offsets.Entry{{Partition: data.MapOf("p", "y"), Offset: data.MapOf("n", int64(3))}})
		require.NoError(s, err)
		p, err := kafkaio.NewProducer(s.Context(), kafkaio.ProducerConfig{Client: kafkaio.Config{"bootstrap.servers": s.bootstrap}})
		require.NoError(s, err)
		require.NoError(s, offsets.Write(s.Context(), p, rs))
		s.gives(r, 5)
		s.parked()
		s.gives(r, 5)
		s.stops(r)
		s.exactly(15)
	})
}

// A task is cut off at any moment of its waking; the next one goes on.
func TestParked_cut_off_while_it_wakes(t *testing.T) {
	onBrokers(t, func(w *world) {
		s := quiet(w, false, soon)
		for i := range 12 {
			r := s.starts()
			s.parked()
			s.fed(r, 7)
			timer := time.NewTimer(time.Duration(i) * 5 * time.Millisecond)
			<-timer.C
			r.do()
			r.take()
			if err := s.end(r); err != nil && !errors.Is(err, context.Canceled) {
				s.Logf("cut off: %v", err)
			}
		}
		r := s.starts()
		s.gives(r, 1)
		s.stops(r)
		s.exactly(int64(len(s.stored())))
	})
}

func TestParked_without_parking_the_producer_stays(t *testing.T) {
	onBrokers(t, func(w *world) {
		var made atomic.Int64
		s := quiet(w, false, 0)
		s.wrap = func(p sourcetask.Producer) sourcetask.Producer { made.Add(1); return p }
		r := s.starts()
		for range 3 {
			s.gives(r, 3)
		}
		s.stops(r)
		require.EqualValues(s, 1, made.Load())
	})
}
