package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/tests/cluster"
)

const (
	b7Warm   = 10
	b7Rounds = 100
	b7Topic  = "b7"
	within   = 2 * time.Minute
	askEvery = 100 * time.Millisecond // whether all run

	b7One, b7Many = "one", "many" // the ways of B7
)

func startLatency(ctx context.Context, b *bed, r *report) error {
	rounds := b.n
	if rounds == 0 {
		rounds = b7Rounds
	}
	firsts, err := newFirsts(b.kafka, b7Topic)
	if err != nil {
		return err
	}
	defer firsts.client.Close()
	go firsts.read(ctx)

	var bad atomic.Int64
	arms := []arm{ // the source goes first: it makes and fills the topic that the sinks read
		{name: "source", config: func(string) map[string]string { return source(b7Topic, 100) },
			first: func(string) <-chan time.Time { return firsts.expect() }},
		{name: "sink", config: func(name string) map[string]string { return sink(b7Topic, filepath.Join(b.Dir, name)) },
			first: func(name string) <-chan time.Time { return firstLine(ctx, filepath.Join(b.Dir, name)) }},
	}
	if b.only == b7Many {
		rounds = -b7Warm
	}
	for i := range b7Warm + rounds {
		for k := range arms { // alternating, so that both meet the same machine
			if err := arms[k].round(ctx, b, fmt.Sprintf("%s-%d", arms[k].name, i), i < b7Warm, &bad); err != nil {
				return err
			}
		}
	}
	for _, a := range arms {
		if rounds < 0 {
			break
		}
		r.arm = a.name
		r.durations("post_to_running", a.running, "≤ 25", "≤ 100")
		r.durations("post_to_first_record", a.firsts, "", "")
	}
	if rounds > 0 {
		if err := oneFence(ctx, b, r, rounds); err != nil {
			return err
		}
	}
	r.arm = ""
	for _, n := range []int{100, 1000} {
		if b.only == b7One {
			break
		}
		profiled := func() {}
		if n == 1000 {
			profiled = b.profiled(ctx, "B7")
		}
		took, err := allRunning(ctx, b, r, n, &bad)
		profiled()
		if err != nil {
			return err
		}
		goal := ""
		if n == 1000 {
			goal = "≤ 5"
		}
		r.add(fmt.Sprintf("all_%d_running_s", n), took.Seconds(), "s", 1, goal)
		if n == 1000 {
			if err := onlyFences(ctx, b, r, n, took); err != nil {
				return err
			}
		}
	}
	r.add("conflict_or_5xx", float64(bad.Load()), "answers", 2*(b7Warm+rounds)+1100, "0")
	return nil
}

// arm is one kind of connector that is measured.
type arm struct {
	name   string
	config func(name string) map[string]string
	first  func(name string) <-chan time.Time // when its first record is at its destination

	running, firsts []time.Duration
}

// round makes one connector, waits for it, and deletes it. It ends when nothing of it runs any more, so that a round measures
// one start and not the end of another.
func (a *arm) round(ctx context.Context, b *bed, name string, warming bool, bad *atomic.Int64) error {
	first := a.first(name)
	began := time.Now()
	if err := post(ctx, b, name, a.config(name), bad); err != nil {
		return err
	}
	if err := isRunning(ctx, b, name); err != nil {
		return err
	}
	ran := time.Since(began)
	select {
	case at := <-first:
		if !warming {
			a.running, a.firsts = append(a.running, ran), append(a.firsts, at.Sub(began))
		}
	case <-time.After(within):
		return fmt.Errorf("no record of %s came", name)
	}
	if err := remove(ctx, b, name); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return cluster.Until(waiting, func(ctx context.Context) error {
		jobs, err := b.Jobs(ctx)
		if err == nil && jobs > 0 {
			err = fmt.Errorf("%d jobs still have a holder", jobs)
		}
		return err
	})
}

// firstLine tells when a file has something in it.
func firstLine(ctx context.Context, path string) <-chan time.Time {
	found := make(chan time.Time, 1)
	go func() {
		for ctx.Err() == nil {
			if info, err := os.Stat(path); err == nil && info.Size() > 0 {
				found <- time.Now()
				return
			}
			<-time.After(time.Millisecond)
		}
	}()
	return found
}

func post(ctx context.Context, b *bed, name string, config map[string]string, bad *atomic.Int64) error {
	_, err := b.REST.Do(ctx, http.MethodPost, "/connectors", map[string]any{"name": name, "config": config})
	if s, ok := errors.AsType[*cluster.StatusError](err); ok && (s.Status == http.StatusConflict || s.Status >= 500) {
		bad.Add(1)
	}
	return err
}

// isRunning asks as fast as a client can that waits a millisecond between two questions.
func isRunning(ctx context.Context, b *bed, name string) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		s, err := b.REST.Status(ctx, name)
		if err == nil && s.Is("RUNNING") {
			return nil
		}
		for _, one := range s.All() {
			if one.State == "FAILED" {
				return fmt.Errorf("%s failed: %s", name, one.Trace)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not run: %+v: %w", name, s, err)
		case <-time.After(time.Millisecond):
		}
	}
}

func remove(ctx context.Context, b *bed, name string) error {
	_, err := b.REST.Do(ctx, http.MethodDelete, "/connectors/"+name, nil)
	return err
}

// allRunning makes n connectors at once, waits until all run, and deletes them.
func allRunning(ctx context.Context, b *bed, r *report, n int, bad *atomic.Int64) (time.Duration, error) {
	const clients = 16
	cpu, err := cpuOf(b)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(clients)
	for i := range n {
		g.Go(func() error { return post(gctx, b, fmt.Sprintf("many-%d-%d", n, i), source(b7Topic+"-many", 0), bad) })
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	posted := time.Since(began)
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err = cluster.Until(waiting, func(ctx context.Context) error {
		// A question costs as much as the start of a few connectors.
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
		all, err := b.REST.Statuses(ctx)
		if err != nil {
			return err
		}
		run, other := 0, ""
		for name, s := range all {
			if s.Is("RUNNING") {
				run++
			} else {
				other = fmt.Sprintf("%s: %+v", name, s)
			}
		}
		if run < n {
			return fmt.Errorf("%d of %d run; not %s", run, n, other)
		}
		return nil
	})
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	r.add(fmt.Sprintf("all_%d_posted_s", n), posted.Seconds(), "s", 1, "")
	after, err := cpuOf(b)
	if err != nil {
		return 0, err
	}
	for i, c := range after {
		r.arm = c.role
		r.add(fmt.Sprintf("all_%d_cpu_s", n), (c.used - cpu[i].used).Seconds(), "s", 1, "")
	}
	r.arm = ""
	for i := range n {
		g.Go(func() error { return remove(ctx, b, fmt.Sprintf("many-%d-%d", n, i)) })
	}
	return took, g.Wait()
}

// onlyFences measures the limit: a program that takes the fences of as many tasks, and nothing else.
func onlyFences(ctx context.Context, b *bed, r *report, n int, took time.Duration) error {
	bare, err := fences(ctx, b, "fence-", n, 16)
	if err != nil {
		return err
	}
	r.arm = limitWay
	r.add(fmt.Sprintf("all_%d_running_s", n), bare.Seconds, "s", 1, "")
	r.arm = ""
	r.add("ratio_to_limit", bare.Seconds/took.Seconds(), "", 1, "")
	return nil
}

// oneFence measures what the start of one source can't do without.
func oneFence(ctx context.Context, b *bed, r *report, n int) error {
	bare, err := fences(ctx, b, "one-fence-", b7Warm+n, 1)
	if err != nil {
		return err
	}
	r.arm = limitWay
	r.durations("fence", bare.Each[b7Warm:], "", "")
	return nil
}

// fenced is what a program prints that has taken fences.
type fenced struct {
	Seconds float64
	Each    []time.Duration
}

func fences(ctx context.Context, b *bed, prefix string, n, atOnce int) (f fenced, err error) {
	bare, err := build(ctx, b.Dir, b6Program)
	if err != nil {
		return f, err
	}
	out, err := exec.CommandContext(ctx, bare, "-kafka", b.kafka, "-topic", prefix, "-records", strconv.Itoa(n), "-at-once", strconv.Itoa(atOnce), "fence").Output() //nolint:gosec // our own
	if err != nil {
		return f, fmt.Errorf("taking %d fences: %w", n, err)
	}
	return f, json.Unmarshal(out, &f)
}

// roleCPU is the CPU time that the processes of one role have used.
type roleCPU struct {
	role string
	used time.Duration
}

func cpuOf(b *bed) (all []roleCPU, err error) {
	database, err := descendants(b.Postgres.Pid())
	if err != nil {
		return nil, err
	}
	schedulers := make([]int, len(b.Schedulers))
	for i, s := range b.Schedulers {
		schedulers[i] = s.Pid()
	}
	for _, g := range []struct {
		role string
		pids []int
	}{{"api", []int{b.API.Pid()}}, {"schedulers", schedulers}, {"runners", pids(b.Cluster)}, {"nats", []int{b.NATS.Pid()}},
		{"postgres", append(database, b.Postgres.Pid())}} {
		_, cpu, err := usage(g.pids)
		if err != nil {
			return nil, err
		}
		all = append(all, roleCPU{g.role, cpu})
	}
	return all, nil
}

// firsts notes when the first record of each connector arrives. Sources number from 0 and run one at a time, so the next
// record with the number 0 is the first of the one that was posted last.
type firsts struct {
	client *kgo.Client

	mu   sync.Mutex
	next chan time.Time
}

func newFirsts(bootstrap, topic string) (*firsts, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.UnknownTopicRetries(-1), kgo.MetadataMinAge(50*time.Millisecond))
	return &firsts{client: c}, err
}

func (f *firsts) expect() <-chan time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = make(chan time.Time, 1)
	return f.next
}

func (f *firsts) read(ctx context.Context) {
	for ctx.Err() == nil {
		fetched := f.client.PollFetches(ctx)
		if fetched.IsClientClosed() {
			return
		}
		now := time.Now()
		fetched.EachRecord(func(r *kgo.Record) {
			if string(r.Value) != "0" {
				return
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			select {
			case f.next <- now:
			default:
			}
		})
	}
}
