package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/millrace/millrace/tests/canary"
	"github.com/millrace/millrace/tests/cluster"
)

const (
	b9Pipes  = 20
	b9Rate   = 25
	b9Rounds = 6
	// calmFor is how long nothing may have moved before the next fault.
	calmFor = 12 * time.Second
)

type pipeline struct{ source, sink, topic, file string }

type failoverBench struct {
	*bed
	pipes []pipeline
	watch *canary.Watcher
}

func failover(ctx context.Context, b *bed, r *report) error {
	rounds := b.n
	if rounds == 0 {
		rounds = b9Rounds
	}
	f := &failoverBench{bed: b}
	var topics, files []string
	for i := range b9Pipes {
		p := pipeline{source: fmt.Sprintf("source-%d", i), sink: fmt.Sprintf("sink-%d", i), topic: fmt.Sprintf("b9-%d", i), file: filepath.Join(b.Dir, fmt.Sprintf("b9-%d", i))}
		f.pipes, topics, files = append(f.pipes, p), append(topics, p.topic), append(files, p.file)
		for name, config := range map[string]map[string]string{p.source: source(p.topic, b9Rate), p.sink: sink(p.topic, p.file)} {
			if _, err := b.REST.Do(ctx, http.MethodPut, "/connectors/"+name+"/config", config); err != nil {
				return err
			}
		}
	}
	var err error
	if f.watch, err = canary.Watch(b.kafka, topics, files); err != nil {
		return err
	}
	defer f.watch.Close()

	var killed, drained []time.Duration
	for range rounds {
		gaps, err := f.hit(ctx, func(s *cluster.Service) error { return s.Kill() })
		if err != nil {
			return err
		}
		killed = append(killed, gaps...)
		if gaps, err = f.hit(ctx, func(s *cluster.Service) error { return s.Terminate(ctx) }); err != nil {
			return err
		}
		drained = append(drained, gaps...)
	}
	stops := 0
	for range rounds {
		n, err := f.killLeader(ctx)
		if err != nil {
			return err
		}
		stops += n
	}
	r.durations("kill_next_record", killed, "", "≤ 3000")
	r.durations("drain_gap", drained, "", "≤ 300")
	r.add("leader_kill_stops", float64(stops), "jobs", rounds, "0")
	var records, lost, doubledBySources, doubledBySinks int64
	for _, p := range f.pipes {
		topic, file := f.watch.Topic(p.topic), f.watch.File(p.file)
		records, lost = records+file.Records, lost+topic.Lost+file.Lost
		doubledBySources, doubledBySinks = doubledBySources+topic.Doubled, doubledBySinks+file.Doubled
	}
	r.add("lost_records", float64(lost), "records", int(records), "0")
	r.add("doubled_records", float64(doubledBySources), "records", int(records), "0")
	r.add("doubled_by_sinks_at_least_once", float64(doubledBySinks), "records", int(records), "")
	return nil
}

// hit does something to the busiest runner, and returns the gap of each pipeline that had a job there.
func (f *failoverBench) hit(ctx context.Context, fault func(*cluster.Service) error) (gaps []time.Duration, err error) {
	if err := f.calm(ctx); err != nil {
		return nil, err
	}
	all, err := f.REST.Statuses(ctx)
	if err != nil {
		return nil, err
	}
	tasks := map[string]int{}
	for _, s := range all {
		tasks[s.Tasks[0].WorkerID]++
	}
	victim := f.Runners[0]
	for _, r := range f.Runners {
		if tasks[r.Name] > tasks[victim.Name] {
			victim = r
		}
	}
	f.watch.Mark()
	if err := fault(victim); err != nil {
		return nil, err
	}
	if err := f.flowing(ctx); err != nil {
		return nil, err
	}
	for _, p := range f.pipes {
		if all[p.source].Tasks[0].WorkerID == victim.Name || all[p.sink].Tasks[0].WorkerID == victim.Name {
			gaps = append(gaps, f.watch.File(p.file).Gap)
		}
	}
	if err := victim.Start(); err != nil {
		return nil, err
	}
	return gaps, f.Ready(ctx, victim)
}

func (f *failoverBench) killLeader(ctx context.Context) (stops int, err error) {
	if err := f.calm(ctx); err != nil {
		return 0, err
	}
	before, err := f.Ownership(ctx)
	if err != nil {
		return 0, err
	}
	leader, err := f.Leader(ctx)
	if err != nil {
		return 0, err
	}
	if err := leader.Kill(); err != nil {
		return 0, err
	}
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := cluster.Until(waiting, func(ctx context.Context) error {
		next, err := f.Leader(ctx)
		if err == nil && next == leader {
			err = errors.New("the killed one still leads")
		}
		return err
	}); err != nil {
		return 0, err
	}
	if err := f.flowing(ctx); err != nil {
		return 0, err
	}
	after, err := f.Ownership(ctx)
	if err != nil {
		return 0, err
	}
	if err := leader.Start(); err != nil {
		return 0, err
	}
	return differingLines(before, after), f.Ready(ctx, leader)
}

// flowing waits until everything runs and every pipeline has delivered a record that was made after that.
func (f *failoverBench) flowing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := cluster.Until(ctx, func(ctx context.Context) error {
		all, err := f.REST.Statuses(ctx)
		if err != nil {
			return err
		}
		for _, p := range f.pipes {
			if !all[p.source].Is("RUNNING") || !all[p.sink].Is("RUNNING") {
				return fmt.Errorf("%+v %+v", all[p.source], all[p.sink])
			}
		}
		return nil
	}); err != nil {
		return err
	}
	from := make([]int64, len(f.pipes))
	for i, p := range f.pipes {
		from[i] = f.watch.Topic(p.topic).Next
	}
	return cluster.Until(ctx, func(context.Context) error {
		for i, p := range f.pipes {
			if file := f.watch.File(p.file); file.Next <= from[i]+1 || file.Lost > 0 {
				return fmt.Errorf("%s: %s", p.sink, file)
			}
		}
		return nil
	})
}

// calm waits until nothing has moved for a while: a runner that came back is given its share first.
func (f *failoverBench) calm(ctx context.Context) error {
	if err := f.flowing(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	last, since := "", time.Now()
	return cluster.Until(ctx, func(ctx context.Context) error {
		now, err := f.Ownership(ctx)
		if err != nil {
			return err
		}
		if now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) < calmFor {
			return errors.New("jobs move")
		}
		return nil
	})
}
