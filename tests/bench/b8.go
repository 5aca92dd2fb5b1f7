package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/tests/cluster"
)

const (
	b8Connectors = 1000
	b8Wakes      = 60
	// b8Idle is how long tasks are idle before they are parked; b8Rest how long the parked ones are left alone before they are
	// measured, for b8Watch.
	b8Idle  = 5 * time.Second
	b8Rest  = 10 * time.Second
	b8Watch = 30 * time.Second
)

// b8Arm is a kind of connector. Each has a topic and a file of its own, of its name.
type b8Arm struct {
	name   string
	config func(name, file string) map[string]string
	// wake gives a parked task something to do, and tells how long it took.
	wake func(ctx context.Context, name, file string) (time.Duration, error)
}

func density(ctx context.Context, b *bed, r *report) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.kafka), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer client.Close()
	arms := []b8Arm{
		{name: "sinks", config: func(name, file string) map[string]string { return sink(name, file) }, wake: func(ctx context.Context, name, file string) (time.Duration, error) {
			came, began := firstLine(ctx, file), time.Now()
			if err := client.ProduceSync(ctx, &kgo.Record{Topic: name, Value: []byte("awake")}).FirstErr(); err != nil {
				return 0, err
			}
			return arrival(came, began)
		}},
		{name: "sources", config: fileSource, wake: func(ctx context.Context, name, file string) (time.Duration, error) {
			came, err := firstRecord(ctx, b.kafka, name)
			if err != nil {
				return 0, err
			}
			began := time.Now()
			if err := os.WriteFile(file, []byte("awake\n"), 0o600); err != nil {
				return 0, err
			}
			return arrival(came, began)
		}},
	}
	arms = slices.DeleteFunc(arms, func(a b8Arm) bool { return b.only != "" && a.name != b.only })
	for i, a := range arms {
		r.arm = a.name
		if err := a.run(ctx, b, r, client); err != nil {
			return err
		}
		if i < len(arms)-1 {
			if err := a.remove(ctx, b); err != nil {
				return err
			}
		}
	}
	return nil
}

func fileSource(name, file string) map[string]string {
	return map[string]string{"connector.class": "FileStreamSource", "tasks.max": "1", "topic": name, "file": file,
		"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.storage.StringConverter"}
}

func arrival(came <-chan time.Time, began time.Time) (time.Duration, error) {
	select {
	case at := <-came:
		return at.Sub(began), nil
	case <-time.After(within):
		return 0, errors.New("nothing came")
	}
}

// firstRecord tells when a topic has a record for those who read what is committed.
func firstRecord(ctx context.Context, kafka, topic string) (<-chan time.Time, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return nil, err
	}
	found := make(chan time.Time, 1)
	go func() {
		defer c.Close()
		for ctx.Err() == nil {
			if c.PollFetches(ctx).NumRecords() > 0 {
				found <- time.Now()
				return
			}
		}
	}()
	return found, pause(ctx, 100*time.Millisecond) // it is connected, and waits for the record
}

func (a b8Arm) connector(i int) string { return fmt.Sprintf("b8-%s-%d", a.name, i) }

// all does something about every connector.
func (a b8Arm) all(do func(name string) error) error {
	var g errgroup.Group
	g.SetLimit(16)
	for i := range b8Connectors {
		g.Go(func() error { return do(a.connector(i)) })
	}
	return g.Wait()
}

func (a b8Arm) run(ctx context.Context, b *bed, r *report, client *kgo.Client) error {
	if err := a.topics(ctx, client); err != nil {
		return err
	}
	runner := b.Runners[0]
	empty, err := processStatus(runner.Pid())
	if err != nil {
		return err
	}
	if err := a.all(func(name string) error {
		file := filepath.Join(b.Dir, name)
		if a.name == "sources" { // that have a file which does not grow
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				return err
			}
		}
		_, err := b.REST.Do(ctx, http.MethodPut, "/connectors/"+name+"/config", a.config(name, file))
		return err
	}); err != nil {
		return err
	}
	if err := b8Parked(ctx, runner, b8Connectors); err != nil {
		return errors.Join(err, a.unwell(ctx, b))
	}
	if err := pause(ctx, b8Rest); err != nil {
		return err
	}
	_, before, err := usage([]int{runner.Pid()})
	if err != nil {
		return err
	}
	profiled := b.profiledFor(ctx, "B8-"+a.name, b8Watch)
	if err := pause(ctx, b8Watch); err != nil {
		return err
	}
	profiled()
	_, after, err := usage([]int{runner.Pid()})
	if err != nil {
		return err
	}
	full, err := processStatus(runner.Pid())
	if err != nil {
		return err
	}
	r.add("rss_without_connectors_mb", empty.rss, "MB", 1, "")
	r.add("rss_with_1000_mb", full.rss, "MB", 1, "")
	r.add("rss_per_idle_connector_mb", (full.rss-empty.rss)/b8Connectors, "MB", b8Connectors, "≤ 0.1")
	r.add("threads", float64(full.threads), "threads", 1, "≤ 100")
	r.add("cpu_per_idle_connector_percent", 100*(after-before).Seconds()/b8Watch.Seconds()/b8Connectors, "% of a core", b8Connectors, "≤ 0.01")
	wakes, err := a.wakes(ctx, b, runner)
	if err != nil {
		return err
	}
	r.durations("wake_to_first_record", wakes, "≤ 500", "")
	return nil
}

func (a b8Arm) topics(ctx context.Context, client *kgo.Client) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 60000
	for i := range b8Connectors {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = a.connector(i), 1, 1
		req.Topics = append(req.Topics, topic)
	}
	res, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, t := range res.Topics {
		if t.ErrorCode != 0 {
			return fmt.Errorf("creating topic %s: error %d", t.Topic, t.ErrorCode)
		}
	}
	return nil
}

// remove deletes all connectors, and waits until the runner has no job.
func (a b8Arm) remove(ctx context.Context, b *bed) error {
	if err := a.all(func(name string) error {
		_, err := b.REST.Do(ctx, http.MethodDelete, "/connectors/"+name, nil)
		return err
	}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := cluster.Until(ctx, func(ctx context.Context) error {
		jobs, err := b.Runners[0].Metric(ctx, "millrace_runner_jobs")
		if err == nil && jobs > 0 {
			err = fmt.Errorf("%v jobs are left", jobs)
		}
		return err
	}); err != nil {
		return err
	}
	return pause(ctx, b8Rest)
}

// b8Parked waits until so many tasks of a runner are parked.
func b8Parked(ctx context.Context, s *cluster.Service, n int) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return cluster.Until(ctx, func(ctx context.Context) error {
		parked, err := s.Metric(ctx, "millrace_runner_tasks_parked")
		if err == nil && parked < float64(n) {
			err = fmt.Errorf("%v of %d tasks are parked", parked, n)
		}
		return err
	})
}

// unwell tells of a connector that does not run.
func (a b8Arm) unwell(ctx context.Context, b *bed) error {
	all, err := b.REST.Statuses(ctx)
	for name, s := range all {
		if !s.Is("RUNNING") {
			err = errors.Join(err, fmt.Errorf("%s, for example, is not RUNNING: %+v", name, s))
			break
		}
	}
	return err
}

// wakes measures from what a parked task waits for to what becomes of it at its destination.
func (a b8Arm) wakes(ctx context.Context, b *bed, runner *cluster.Service) (all []time.Duration, err error) {
	n := cmp.Or(b.n, b8Wakes)
	for k, i := range rand.Perm(b8Connectors)[:n] {
		// Not at the same phase of the watcher each time.
		if err := pause(ctx, rand.N(500*time.Millisecond)); err != nil {
			return nil, err
		}
		name := a.connector(i)
		took, err := a.wake(ctx, name, filepath.Join(b.Dir, name))
		if err != nil {
			return nil, fmt.Errorf("waking %s (wake %d): %w", name, k, err)
		}
		all = append(all, took)
	}
	return all, b8Parked(ctx, runner, b8Connectors)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// status is what Linux tells of a process: resident memory in MB, and threads.
type status struct {
	rss     float64
	threads int
}

func processStatus(pid int) (s status, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return s, err
	}
	field := func(name string) int {
		_, rest, _ := strings.Cut(string(text), "\n"+name+":")
		n, ferr := strconv.Atoi(strings.Fields(rest + " ?")[0])
		err = errors.Join(err, ferr)
		return n
	}
	s.rss, s.threads = float64(field("VmRSS"))/1000, field("Threads")
	return s, err
}
