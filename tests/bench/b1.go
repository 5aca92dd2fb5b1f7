package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/tests/servers"
)

const (
	b1Partitions = 8
	b1Rounds     = 5
)

// b1Sizes are how many records of a size are moved.
var b1Sizes = []struct{ size, records int }{{100, 4_000_000}, {1000, 800_000}}

// toFile measures Kafka→file: records of 100 B and of 1 KB, as bytes, with their offsets committed.
func toFile(ctx context.Context, b *bed, r *report) error {
	connect, err := servers.StartConnect(ctx, b.kafka, servers.ConnectOptions{JVM: []string{"-Xmx1g", "-XX:+UseG1GC"}})
	if err != nil {
		return err
	}
	defer func() { _ = connect.Stop(context.WithoutCancel(ctx)) }()
	for _, s := range b1Sizes {
		size := s.size
		load := &flow{topic: fmt.Sprintf("b1-%d", size), records: b.scaled(s.records, b1Sizes[0].records), dir: b.Dir, value: filled(size)}
		load.line = load.value
		if err := load.fill(ctx, b.kafka); err != nil {
			return err
		}
		f := figures{suffix: fmt.Sprintf("_%db", size)}
		if size == 100 {
			f.toPeer, f.cpuToPeer, f.toLimit = "≥ 2.5", "≤ 0.33", "≥ 0.55"
		}
		if err := load.measure(ctx, b, r, connect, load, f); err != nil {
			return err
		}
	}
	return nil
}

// measure measures all ways to get the records into a file. bare is the flow of the bare program, whose lines may be others.
func (l *flow) measure(ctx context.Context, b *bed, r *report, connect *servers.ConnectProcess, bare *flow, f figures) error {
	binary, err := build(ctx, b.Dir, "./tests/bench/bare")
	if err != nil {
		return err
	}
	var ways []*way
	doubled := map[string]int{}
	add := func(name string, l *flow, move func(ctx context.Context, round, file string) (taken, error)) {
		ways = append(ways, &way{name: name, move: func(ctx context.Context, round string) (taken, error) {
			file := filepath.Join(l.dir, round)
			took, err := move(ctx, round, file)
			if err != nil {
				return taken{}, err
			}
			n, err := l.check(file)
			doubled[name] += n
			return took, errors.Join(err, os.Remove(file))
		}})
	}
	ours := func(ctx context.Context, round, file string) (taken, error) {
		return l.through(ctx, b.REST.Base, pids(b.Cluster), round, file, nil)
	}
	theirs := func(more map[string]string) func(context.Context, string, string) (taken, error) {
		return func(ctx context.Context, round, file string) (taken, error) {
			return l.through(ctx, connect.Base, []int{connect.Pid()}, round, file, more)
		}
	}
	add(limitWay, bare, func(ctx context.Context, _, file string) (taken, error) { return bare.bare(ctx, binary, b.kafka, file) })
	add(oursWay, l, ours)
	add("connect", l, theirs(nil))
	add(controlWay, l, ours)
	add("connect, 5000 a poll", l, theirs(map[string]string{"consumer.override.max.poll.records": "5000",
		"consumer.override.fetch.min.bytes": "100000", "consumer.override.max.partition.fetch.bytes": "4194304"}))
	if err := b.alternate(ctx, l.topic, l.records, b1Rounds, ways); err != nil || b.only != "" {
		return err
	}
	f.rate = "records_per_s"
	r.tellWays(ways, f)
	for _, w := range ways {
		r.arm = w.name
		r.add("doubled"+f.suffix, float64(doubled[w.name]), "records", (len(w.rates)+1)*l.records, "") // the first round is in it
	}
	r.arm = ""
	return nil
}

// flow is a full topic, and where its records go.
type flow struct {
	topic   string
	records int
	dir     string
	config  map[string]string  // of the connector, beside what each has
	value   func(i int) []byte // in the topic
	line    func(i int) []byte // in the file, in any order of its parts
	marker  string             // what stands before the number of a record in its line; "": it begins with it
	args    []string           // of the bare program
	plain   bool               // the topic is not compressed; else by snappy

	bytes int64 // of the file
}

// fill makes the topic.
func (l *flow) fill(ctx context.Context, kafka string) error {
	codec := kgo.SnappyCompression()
	if l.plain {
		codec = kgo.NoCompression()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedBytes(64<<20), kgo.DefaultProduceTopic(l.topic),
		kgo.ProducerBatchCompression(codec))
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, b1Partitions, 1, nil, l.topic); err != nil {
		return err
	}
	return produce(ctx, client, l.records, func(i int) *kgo.Record {
		return &kgo.Record{Partition: int32(i / 1000 % b1Partitions), Value: l.value(i)} //nolint:gosec // few
	})
}

const numberLen = 10

// check counts what is in the file: each record at least once, else an error.
func (l *flow) check(file string) (doubled int, err error) {
	f, err := os.Open(file) //nolint:gosec // ours
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // only read
	seen := make([]bool, l.records)
	in, n := bufio.NewScanner(f), 0
	in.Buffer(make([]byte, 1<<20), 1<<20)
	for in.Scan() {
		line := in.Bytes()
		i, err := l.number(line)
		if err != nil || i < 0 || i >= l.records || len(line) != len(l.line(i)) {
			return 0, fmt.Errorf("%q is no record", line)
		}
		if seen[i] {
			doubled++
			continue
		}
		seen[i] = true
		n++
	}
	if err := in.Err(); err != nil {
		return 0, err
	}
	if n != l.records {
		return doubled, fmt.Errorf("%d of %d records were lost", l.records-n, l.records)
	}
	return doubled, nil
}

// number is which record a line is of.
func (l *flow) number(line []byte) (int, error) {
	at := bytes.Index(line, []byte(l.marker)) + len(l.marker)
	if len(line) < at+numberLen {
		return 0, errors.New("there is no number")
	}
	i, err := strconv.Atoi(string(line[at : at+numberLen]))
	return i, err
}

// bare runs the bare program.
func (l *flow) bare(ctx context.Context, binary, kafka, file string) (taken, error) {
	cmd := exec.CommandContext(ctx, binary, append([]string{"-kafka", kafka, "-topic", l.topic, "-partitions", strconv.Itoa(b1Partitions), //nolint:gosec // our own
		"-records", strconv.Itoa(l.records), "-file", file}, l.args...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return taken{}, err
	}
	rate, err := l.watch(ctx, file)
	if err != nil {
		return taken{}, err
	}
	peak, _, err := usage([]int{cmd.Process.Pid})
	if errors.Is(err, os.ErrNotExist) {
		err = nil // it has ended already
	}
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return taken{}, err
	}
	return taken{rate: rate, cpu: cmd.ProcessState.SystemTime() + cmd.ProcessState.UserTime(), peak: peak}, nil
}

// through runs a sink connector over a REST API until the file is full.
func (l *flow) through(ctx context.Context, base string, workers []int, name, file string, more map[string]string) (taken, error) {
	config := sink(l.topic, file)
	maps.Copy(config, l.config)
	maps.Copy(config, more)
	return worked(ctx, base, workers, name, config, func() (float64, error) { return l.watch(ctx, file) })
}

// watch looks at the size of a file until all records are in it. The rate is counted from the first look that saw some.
func (l *flow) watch(ctx context.Context, file string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if l.bytes == 0 {
		for i := range l.records {
			l.bytes += int64(len(l.line(i)) + 1)
		}
	}
	all, first := l.bytes, int64(0)
	var began time.Time
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := os.Stat(file)
		switch {
		case err != nil && !os.IsNotExist(err):
			return 0, err
		case err == nil && st.Size() >= all:
			return float64(all-first) / float64(all) * float64(l.records) / time.Since(began).Seconds(), nil
		case err == nil && first == 0 && st.Size() > 0:
			first, began = st.Size(), time.Now()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("%s is not full: %w", file, context.Cause(ctx))
		}
	}
}
