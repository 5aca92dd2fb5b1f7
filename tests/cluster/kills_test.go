package cluster_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/tests/cluster"
)

// kills is how many runners each TestKills kills: at each of the points once. make kills kills a hundred in each.
var kills = flag.Int("kills", len(points), "how many runners TestKills_… kill, each")

// Runners are killed under load, at random and at chosen points of their work, and what arrived is counted by another Kafka
// client that sees only what was committed: nothing is lost, and with exactly-once sources nothing is there twice.
func TestKills_exactly_once(t *testing.T) {
	killed(t, theFleet(t))
}

// fewer pipelines are enough beside those of the fleet.
const fewer = 8

// The same where sources write without transactions: nothing is lost.
func TestKills_at_least_once(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	f, err := begin(cluster.Options{Kafka: kafka(t), Schedulers: 1, Runners: 3, Race: true,
		Worker: fmt.Sprintf("exactly.once.source.support=disabled,group.id=alo,offset.storage.topic=alo-offsets-%d", time.Now().UnixNano())}, "alo-", fewer, throughput)
	require.NoError(t, err)
	f.atLeastOnce = true
	t.Cleanup(func() { require.NoError(t, f.end()) })
	killed(t, f)
	killedSource(t, f)
}

// The same where sinks and sources are parked between two records: runners die with parked tasks, and with tasks that are about to
// be parked or wake.
func TestKills_parked(t *testing.T) {
	parked(t, "parked", "enabled", "")
}

func TestKills_parked_at_least_once(t *testing.T) {
	parked(t, "parked-alo", "disabled", "offset.flush.interval.ms=300,") // positions are written soon: before that none is parked
}

func parked(t *testing.T, name, exactlyOnce, more string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	f, err := begin(cluster.Options{Kafka: kafka(t), Schedulers: 1, Runners: 3, Race: true,
		Worker: fmt.Sprintf("millrace.parking.idle.ms=200,%sconsumer.fetch.max.wait.ms=50,exactly.once.source.support=%s,group.id=%s,offset.storage.topic=%[3]s-offsets-%d",
			more, exactlyOnce, name, time.Now().UnixNano())}, name+"-", fewer, 1)
	require.NoError(t, err)
	f.atLeastOnce = exactlyOnce == "disabled"
	t.Cleanup(func() { require.NoError(t, f.end()) })
	f.sound(t)
	f.until(t, settled, func(ctx context.Context) error {
		for _, r := range f.Runners {
			for _, reason := range []string{"data", "records"} { // sinks and sources
				wakes, err := r.Metric(ctx, fmt.Sprintf("millrace_runner_task_wakes_total{reason=%q}", reason))
				if err != nil || wakes == 0 {
					return errors.Join(fmt.Errorf("%s has woken %v tasks since there were %s", r.Name, wakes, reason), err)
				}
			}
		}
		return nil
	})
	killed(t, f, whileParked...)
}

// point is a moment in the work of a runner at which it is killed.
type point struct {
	name string
	// reach brings about the moment; it may name another runner to be killed than the one that it was given.
	reach func(t *testing.T, f *fleet, r *cluster.Service) *cluster.Service
}

var points = []point{
	{"at any time", func(t *testing.T, f *fleet, r *cluster.Service) *cluster.Service {
		f.lasts(t, rand.N(1500*time.Millisecond))
		return r
	}},
	{"right after a commit became visible", func(t *testing.T, f *fleet, r *cluster.Service) *cluster.Service {
		f.newRecord(t, f.pipeOf(t, r))
		return r
	}},
	{"right after a sink wrote", func(t *testing.T, f *fleet, r *cluster.Service) *cluster.Service {
		p := f.pipes[rand.N(len(f.pipes))]
		from := f.watch.File(p.file).Next
		f.moment(t, func() bool { return f.watch.File(p.file).Next > from })
		return f.holder(t, p.sink)
	}},
	{"while a task that it runs starts again", func(t *testing.T, f *fleet, r *cluster.Service) *cluster.Service {
		p := f.pipeOf(t, r)
		f.request(t, http.MethodPost, "/connectors/"+p.source+"/restart?includeTasks=true")
		f.request(t, http.MethodPost, "/connectors/"+p.sink+"/restart?includeTasks=true")
		f.lasts(t, rand.N(300*time.Millisecond))
		return r
	}},
	{"while a connector that it runs is paused and resumed", func(t *testing.T, f *fleet, r *cluster.Service) *cluster.Service {
		p := f.pipeOf(t, r)
		f.request(t, http.MethodPut, "/connectors/"+p.source+"/pause")
		f.lasts(t, rand.N(200*time.Millisecond))
		f.request(t, http.MethodPut, "/connectors/"+p.source+"/resume")
		return r
	}},
	{"while it hands over what it runs", func(t *testing.T, f *fleet, r *cluster.Service) *cluster.Service {
		require.NoError(t, r.Ask())
		f.lasts(t, rand.N(time.Second))
		return r
	}},
	{"while it takes over from one that was killed", func(t *testing.T, f *fleet, r *cluster.Service) *cluster.Service {
		p := f.pipeOf(t, r)
		require.NoError(t, r.Kill())
		heir := r
		f.until(t, settled, func(ctx context.Context) error {
			s, err := f.REST.Status(ctx, p.source)
			if err != nil || len(s.Tasks) == 0 || s.Tasks[0].WorkerID == r.Name || s.Tasks[0].State != "RUNNING" {
				return errors.Join(fmt.Errorf("%s has no heir yet: %+v", p.source, s), err)
			}
			heir, err = f.Runner(s.Tasks[0].WorkerID)
			return err
		})
		require.NoError(t, r.Start())
		return heir
	}},
}

// whileParked are moments at which tasks wake that are parked between two records, of which one comes each second.
var whileParked = []point{
	{"while a parked sink wakes", func(t *testing.T, f *fleet, _ *cluster.Service) *cluster.Service {
		p := f.pipes[rand.N(len(f.pipes))]
		f.newRecord(t, p)
		f.lasts(t, rand.N(500*time.Millisecond))
		return f.holder(t, p.sink)
	}},
	{"while a parked source wakes", func(t *testing.T, f *fleet, _ *cluster.Service) *cluster.Service {
		p := f.pipes[rand.N(len(f.pipes))]
		r := f.holder(t, p.source)
		f.newRecord(t, p)
		f.lasts(t, 850*time.Millisecond+rand.N(250*time.Millisecond)) // the next one is about to be written
		return r
	}},
}

// newRecord waits until one is there for those who read what is committed.
func (f *fleet) newRecord(t *testing.T, p pipe) {
	t.Helper()
	from := f.watch.Topic(p.topic).Next
	f.moment(t, func() bool { return f.watch.Topic(p.topic).Next > from })
}

func killed(t *testing.T, f *fleet, more ...point) {
	t.Helper()
	points := slices.Concat(more, points)
	f.sound(t)
	f.watch.Mark()
	count := map[string]int{}
	for n := range *kills {
		p := points[n%len(points)]
		r := p.reach(t, f, f.busiest(t))
		if r.Running() { // one that was asked to end may have done so
			require.NoError(t, r.Kill())
			count[p.name]++
		}
		f.turn(t)
		for _, r := range f.Runners {
			if !r.Running() {
				require.NoError(t, r.Start())
			}
		}
		f.ready(t, f.Runners...)
		f.sound(t)
	}
	total := 0
	for _, p := range points {
		t.Logf("%3d kills %s", count[p.name], p.name)
		total += count[p.name]
	}
	t.Logf("%d kills", total)
	f.sound(t)
}

// moment waits for something that is looked at very often.
func (f *fleet) moment(t *testing.T, there func() bool) {
	t.Helper()
	deadline := time.Now().Add(settled)
	for !there() {
		if time.Now().After(deadline) {
			t.Fatalf("nothing moves\n%s", f.tails())
		}
		f.lasts(t, time.Millisecond)
	}
}

// pipeOf is a pipeline whose source's task runs on a runner, if it runs any.
func (f *fleet) pipeOf(t *testing.T, r *cluster.Service) pipe {
	t.Helper()
	all, err := f.REST.Statuses(t.Context())
	require.NoError(t, err)
	from := rand.N(len(f.pipes))
	for i := range f.pipes {
		p := f.pipes[(from+i)%len(f.pipes)]
		if s := all[p.source]; len(s.Tasks) > 0 && s.Tasks[0].WorkerID == r.Name {
			return p
		}
	}
	return f.pipes[from]
}

// holder is the runner that runs a connector's task.
func (f *fleet) holder(t *testing.T, name string) (r *cluster.Service) {
	t.Helper()
	f.until(t, settled, func(ctx context.Context) error {
		s, err := f.REST.Status(ctx, name)
		if err == nil && len(s.Tasks) == 0 {
			err = errors.New(name + " has no task")
		}
		if err == nil {
			r, err = f.Runner(s.Tasks[0].WorkerID)
		}
		return err
	})
	return r
}

// request makes a request that must not be refused for good.
func (f *fleet) request(t *testing.T, method, path string) {
	t.Helper()
	f.until(t, settled, func(ctx context.Context) error {
		_, err := f.REST.Do(ctx, method, path, nil)
		return err
	})
}
