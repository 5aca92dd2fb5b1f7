package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/tests/cluster"
)

const (
	b8Sinks = 1000
	b8Wakes = 60
	// b8Idle is how long the sinks are idle before they are parked; b8Rest how long the parked ones are left alone before they are
	// measured, for b8Watch.
	b8Idle  = 5 * time.Second
	b8Rest  = 10 * time.Second
	b8Watch = 30 * time.Second
)

func density(ctx context.Context, b *bed, r *report) error {
	wakes := b.n
	if wakes == 0 {
		wakes = b8Wakes
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.kafka), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := b8Topics(ctx, client); err != nil {
		return err
	}
	runner := b.Runners[0]
	empty, err := processStatus(runner.Pid())
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(16)
	for i := range b8Sinks {
		g.Go(func() error {
			name := fmt.Sprintf("b8-%d", i)
			_, err := b.REST.Do(ctx, http.MethodPut, "/connectors/"+name+"/config", sink(name, filepath.Join(b.Dir, name)))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := b8Parked(ctx, runner, b8Sinks); err != nil {
		return err
	}
	if err := pause(ctx, b8Rest); err != nil {
		return err
	}
	_, before, err := usage([]int{runner.Pid()})
	if err != nil {
		return err
	}
	if err := pause(ctx, b8Watch); err != nil {
		return err
	}
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
	r.add("rss_per_idle_connector_mb", (full.rss-empty.rss)/b8Sinks, "MB", b8Sinks, "≤ 0.1")
	r.add("threads", float64(full.threads), "threads", 1, "≤ 100")
	r.add("cpu_per_idle_connector_percent", 100*(after-before).Seconds()/b8Watch.Seconds()/b8Sinks, "% of a core", b8Sinks, "≤ 0.01")
	all, err := b8Wake(ctx, b, client, runner, wakes)
	if err != nil {
		return err
	}
	r.durations("wake_to_first_record", all, "≤ 500", "")
	return nil
}

func b8Topics(ctx context.Context, client *kgo.Client) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 60000
	for i := range b8Sinks {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = fmt.Sprintf("b8-%d", i), 1, 1
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

// b8Wake measures from the producing of a record for a parked sink to the line in its file.
func b8Wake(ctx context.Context, b *bed, client *kgo.Client, runner *cluster.Service, wakes int) (all []time.Duration, err error) {
	for n, i := range rand.Perm(b8Sinks)[:wakes] {
		// Not at the same phase of the watcher each time.
		if err := pause(ctx, rand.N(500*time.Millisecond)); err != nil {
			return nil, err
		}
		name := fmt.Sprintf("b8-%d", i)
		came := firstLine(ctx, filepath.Join(b.Dir, name))
		began := time.Now()
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: name, Value: []byte("awake")}).FirstErr(); err != nil {
			return nil, err
		}
		select {
		case at := <-came:
			all = append(all, at.Sub(began))
		case <-time.After(within):
			return nil, fmt.Errorf("the record of %s did not come (wake %d)", name, n)
		}
	}
	return all, b8Parked(ctx, runner, b8Sinks)
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
