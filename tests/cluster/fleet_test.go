package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/tests/canary"
	"github.com/millrace/millrace/tests/cluster"
	"github.com/millrace/millrace/tests/servers"
)

const (
	pipelines  = 20
	throughput = 50 // records a second and pipeline
	// settled is how long a fault may be felt; statements with a bound of their own check that.
	settled = 90 * time.Second
	poll    = 6 * time.Second // the scheduler's poll, with its jitter
	evenly  = 2               // jobs more that a runner may have before any are moved
	lost    = 5 * time.Second // a runner that does not beat for so long has lost its jobs
)

// fleet is the cluster that all faults of this package hit, one after the other, and what runs in it.
type fleet struct {
	*cluster.Cluster
	kafka string // bootstrap servers
	watch *canary.Watcher
	pipes []pipe
	// A connector whose target state is turned at every fault.
	vane   string
	target string
	// Sources may write a record again after they were killed.
	atLeastOnce bool
}

// pipe is a source that numbers records, a topic, and a sink that writes them to a file.
type pipe struct{ source, topic, sink, file string }

var shared struct {
	sync.Mutex
	f   *fleet
	err error
}

// theFleet starts the cluster on first use; TestMain ends it.
func theFleet(t *testing.T) *fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.f == nil && shared.err == nil {
		shared.f, shared.err = begin(cluster.Options{Kafka: kafka(t), Schedulers: 2, Runners: 3, Race: true}, "", pipelines, throughput)
	}
	require.NoError(t, shared.err)
	f := shared.f
	t.Cleanup(func() {
		if t.Failed() {
			f.repair(t)
		}
	})
	return f
}

// repair brings back what a test that failed left broken, so that the next one fails only for a reason of its own.
func (f *fleet) repair(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	all := slices.Concat([]*cluster.Service{f.NATS}, f.Schedulers, []*cluster.Service{f.API}, f.Runners)
	for _, s := range all {
		if err := s.Revive(); err != nil {
			t.Logf("%s stays down: %v", s.Name, err)
		}
	}
	for _, s := range all[1:] {
		if err := f.Ready(ctx, s); err != nil {
			t.Logf("%s stays away: %v", s.Name, err)
		}
	}
	statuses, err := f.REST.Statuses(ctx)
	if err != nil {
		t.Logf("what runs can't be told: %v", err)
	}
	own := f.names()
	for name := range statuses {
		if !slices.Contains(own, name) {
			if _, err := f.REST.Do(ctx, http.MethodDelete, "/connectors/"+name, nil); err != nil {
				t.Logf("%s stays: %v", name, err)
			}
		}
	}
}

// kafka is a real broker, or, where there can be none, the embedded one.
func kafka(t *testing.T) string {
	if ok := t.Run("real Kafka", func(t *testing.T) { servers.Kafka(t) }); !ok {
		t.FailNow()
	}
	if bootstrap, err := servers.RealKafka(); err == nil {
		return bootstrap
	}
	return servers.EmbeddedKafka(t)
}

func TestMain(m *testing.M) {
	code := servers.RunWithDatabases(m)
	if f := shared.f; f != nil {
		if err := f.end(); err != nil {
			fmt.Println("--- FAIL:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// end ends the cluster. Its error is also about what its services did that no process may do.
func (f *fleet) end() (err error) {
	if found := f.Faults(); len(found) > 0 {
		err = fmt.Errorf("a service panicked or raced: %v", found)
	}
	f.watch.Close()
	return errors.Join(err, f.Close(context.Background()))
}

// begin starts a cluster with so many pipelines of so many records a second. The prefix tells its connectors from those of other clusters beside the same Kafka.
func begin(o cluster.Options, prefix string, pipelines, throughput int) (*fleet, error) {
	ctx := context.Background()
	c, err := cluster.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	f := &fleet{Cluster: c, kafka: o.Kafka, vane: prefix + "vane", target: "RUNNING"}
	run := time.Now().UnixNano()
	var topics, files []string
	for i := range pipelines {
		p := pipe{source: fmt.Sprintf("%ssource-%d", prefix, i), topic: fmt.Sprintf("pipe-%d-%d", run, i), sink: fmt.Sprintf("%ssink-%d", prefix, i), file: filepath.Join(c.Dir, fmt.Sprintf("out-%d", i))}
		f.pipes, topics, files = append(f.pipes, p), append(topics, p.topic), append(files, p.file)
		for name, config := range map[string]map[string]string{p.source: sourceConfig(p.topic, throughput), p.sink: sinkConfig(p.topic, p.file)} {
			if _, err := f.REST.Do(ctx, http.MethodPut, "/connectors/"+name+"/config", config); err != nil {
				return nil, errors.Join(err, c.Close(ctx))
			}
		}
	}
	if _, err := f.REST.Do(ctx, http.MethodPut, "/connectors/"+f.vane+"/config", sourceConfig(fmt.Sprintf("vane-%d", run), 1)); err != nil {
		return nil, errors.Join(err, c.Close(ctx))
	}
	f.watch, err = canary.Watch(o.Kafka, topics, files)
	return f, err
}

func sourceConfig(topic string, throughput int) map[string]string {
	return map[string]string{"connector.class": "VerifiableSourceConnector", "tasks.max": "1", "topic": topic, "throughput": fmt.Sprint(throughput), "enable.stdout": "false",
		"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.storage.StringConverter"}
}

func sinkConfig(topic, file string) map[string]string {
	return map[string]string{"connector.class": "FileStreamSink", "tasks.max": "1", "topics": topic, "file": file,
		"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.storage.StringConverter"}
}

// turn changes what is wanted of the vane: the fault must not keep it from happening.
func (f *fleet) turn(t *testing.T) {
	t.Helper()
	verb, target := "pause", "PAUSED"
	if f.target == "PAUSED" {
		verb, target = "resume", "RUNNING"
	}
	f.until(t, settled, func(ctx context.Context) error {
		_, err := f.REST.Do(ctx, http.MethodPut, "/connectors/"+f.vane+"/"+verb, nil)
		if s, ok := errors.AsType[*cluster.StatusError](err); ok && !strings.Contains(s.Text, "can be repeated safely") {
			return cluster.Final(err)
		}
		return err
	})
	f.target = target
}

// asWanted waits until every connector is what it was told to be.
func (f *fleet) asWanted(t *testing.T) {
	t.Helper()
	f.until(t, settled, func(ctx context.Context) error {
		all, err := f.REST.Statuses(ctx)
		if err != nil {
			return err
		}
		for _, name := range f.names() {
			want := "RUNNING"
			if name == f.vane {
				want = f.target
			}
			if s, ok := all[name]; !ok || !s.Is(want) {
				return fmt.Errorf("%s is not %s: %+v", name, want, s)
			}
		}
		return nil
	})
}

func (f *fleet) until(t *testing.T, within time.Duration, check func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := cluster.Until(ctx, check); err != nil {
		t.Fatalf("not within %s: %v\n%s", within, err, f.tails())
	}
}

func (f *fleet) tails() (s string) {
	for _, one := range slices.Concat(f.Schedulers, f.Runners, []*cluster.Service{f.API}) {
		s += "\n=== " + one.Name + "\n" + one.Tail()
	}
	return s
}

func (f *fleet) names() (names []string) {
	for _, p := range f.pipes {
		names = append(names, p.source, p.sink)
	}
	return append(names, f.vane)
}

// sound waits until all is as wanted and records flow through every pipeline again, and counts: none may be lost; of what
// sources wrote, none doubled. It returns the longest gap of a file since the last mark.
func (f *fleet) sound(t *testing.T) (gap time.Duration) {
	t.Helper()
	f.asWanted(t)
	from := make([]int64, len(f.pipes))
	for i, p := range f.pipes {
		from[i] = f.watch.Topic(p.topic).Next
	}
	var records, doubled, again int64
	f.until(t, settled, func(context.Context) error {
		gap, records, doubled, again = 0, 0, 0, 0
		for i, p := range f.pipes {
			topic, file := f.watch.Topic(p.topic), f.watch.File(p.file)
			if err := errors.Join(topic.Err, file.Err); err != nil {
				return cluster.Final(fmt.Errorf("%s: %w", p.source, err))
			}
			if topic.Lost > 0 || !f.atLeastOnce && topic.Doubled+topic.Backwards > 0 {
				return cluster.Final(fmt.Errorf("%s wrote what a reader of committed records must not see: %s", p.source, topic))
			}
			if file.Next <= from[i] || file.Lost > 0 {
				return fmt.Errorf("%s: %s; its topic: %s, above %d wanted", p.sink, file, topic, from[i])
			}
			gap, records, doubled, again = max(gap, file.Gap), records+file.Records, doubled+file.Doubled, again+topic.Doubled
		}
		return nil
	})
	t.Logf("%d records in files so far: 0 lost, %d doubled there (sinks are at least once), %d of them by sources already; longest gap of a pipeline %s", records, doubled, again, gap.Round(time.Millisecond))
	return gap
}

// busiest is the runner with the most tasks.
func (f *fleet) busiest(t *testing.T) *cluster.Service {
	t.Helper()
	all, err := f.REST.Statuses(t.Context())
	require.NoError(t, err)
	count := map[string]int{}
	for _, s := range all {
		for _, task := range s.Tasks {
			count[task.WorkerID]++
		}
	}
	best := f.Runners[0]
	for _, r := range f.Runners {
		if count[r.Name] > count[best.Name] {
			best = r
		}
	}
	require.Positive(t, count[best.Name], "no runner has tasks: %v", count)
	t.Logf("%s runs %d of %v", best.Name, count[best.Name], count)
	return best
}

// gone waits until all that ran on a runner runs elsewhere.
func (f *fleet) gone(t *testing.T, r *cluster.Service, within time.Duration) {
	t.Helper()
	f.until(t, within, func(ctx context.Context) error {
		all, err := f.REST.Statuses(ctx)
		if err != nil {
			return err
		}
		for name, s := range all {
			for _, one := range s.All() {
				if one.WorkerID == r.Name || one.State == "UNASSIGNED" {
					return fmt.Errorf("%s: %+v", name, s)
				}
			}
		}
		return nil
	})
}

func (f *fleet) ready(t *testing.T, services ...*cluster.Service) {
	t.Helper()
	for _, s := range services {
		require.NoError(t, f.Ready(t.Context(), s))
	}
}

// ownership is who owns what, but for the vane.
func (f *fleet) ownership(t *testing.T) string {
	t.Helper()
	s, err := f.Ownership(t.Context(), f.vane, "meanwhile")
	require.NoError(t, err)
	return s
}

// calm waits until jobs are spread evenly, so that the scheduler has no reason left to move any, and returns who owns what.
func (f *fleet) calm(t *testing.T) (owners string) {
	t.Helper()
	f.sound(t)
	f.until(t, settled, func(ctx context.Context) error {
		var most, least, moving int
		err := f.Query(ctx, []any{&most, &least, &moving}, `SELECT max(n), min(n), sum(moving) FROM (SELECT count(j.uid) AS n, count(*) FILTER (WHERE j.releasing) AS moving
FROM sessions s LEFT JOIN jobs j ON j.session = s.id WHERE s.state = 'active' GROUP BY s.id) AS load`)
		if err == nil && (most-least > evenly || moving > 0) {
			err = fmt.Errorf("runners have %d to %d jobs, %d of them move", least, most, moving)
		}
		owners = f.ownership(t)
		return err
	})
	f.sound(t)
	return owners
}

// lasts is while a fault lasts; it takes the time that the fault needs to be felt, if it can be.
func (f *fleet) lasts(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}
