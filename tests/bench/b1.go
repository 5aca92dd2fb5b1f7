package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/tests/cluster"
	"github.com/millrace/millrace/tests/servers"
)

const (
	b1Partitions = 8
	b1Rounds     = 5
	b1Bytes      = 400_000_000 // of values in a topic
)

// toFile measures Kafka→file: records of 100 B and of 1 KB, as bytes, with their offsets committed.
func toFile(ctx context.Context, b *bed, r *report) error {
	rounds := b.n
	if rounds == 0 {
		rounds = b1Rounds
	}
	connect, err := servers.StartConnect(ctx, b.kafka, servers.ConnectOptions{JVM: []string{"-Xmx1g", "-XX:+UseG1GC"}})
	if err != nil {
		return err
	}
	defer func() { _ = connect.Stop(context.WithoutCancel(ctx)) }()
	for _, size := range []int{100, 1000} {
		rest := strings.Repeat("x", size-numberLen)
		load := flow{topic: fmt.Sprintf("b1-%d", size), records: b1Bytes / size, dir: b.Dir,
			value: func(i int) []byte { return fmt.Appendf(make([]byte, 0, size), "%0*d%s", numberLen, i, rest) }}
		load.line = load.value
		if err := load.fill(ctx, b.kafka); err != nil {
			return err
		}
		arms, err := load.arms(ctx, b, connect, &load)
		if err != nil {
			return err
		}
		if err := alternate(ctx, arms, rounds); err != nil {
			return err
		}
		goals := [3]string{}
		if size == 100 {
			goals = [3]string{"≥ 2.5", "≤ 0.33", "≥ 0.55"}
		}
		load.tell(r, arms, fmt.Sprintf("_%db", size), goals)
	}
	return nil
}

// arms are the ways to get the records into a file. bare is the flow of the bare program, whose lines may be others.
func (l *flow) arms(ctx context.Context, b *bed, connect *servers.ConnectProcess, bare *flow) ([]*mover, error) {
	binary := filepath.Join(b.Dir, "bare")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./tests/bench/bare").CombinedOutput(); err != nil { //nolint:gosec // our own
		return nil, fmt.Errorf("building the bare program: %w\n%s", err, out)
	}
	ours := func(ctx context.Context, name, file string) (took taken, err error) {
		return l.through(ctx, b.REST.Base, pids(b.Cluster), name, file, nil)
	}
	return []*mover{
		{name: "bare", flow: bare, move: func(ctx context.Context, _, file string) (taken, error) { return bare.bare(ctx, binary, b.kafka, file) }},
		{name: "millrace", flow: l, move: ours},
		{name: "connect", flow: l, move: func(ctx context.Context, name, file string) (taken, error) {
			return l.through(ctx, connect.Base, []int{connect.Pid()}, name, file, nil)
		}},
		{name: "millrace again", flow: l, move: ours},
		{name: "connect, 5000 a poll", flow: l, move: func(ctx context.Context, name, file string) (taken, error) {
			return l.through(ctx, connect.Base, []int{connect.Pid()}, name, file, map[string]string{"consumer.override.max.poll.records": "5000",
				"consumer.override.fetch.min.bytes": "100000", "consumer.override.max.partition.fetch.bytes": "4194304"})
		}},
	}, nil
}

// mover is one way to get the records into a file.
type mover struct {
	name string
	flow *flow
	move func(ctx context.Context, name, file string) (taken, error)

	rates, cpu []float64 // records a second; seconds of CPU per million records
	peak       float64   // MB
	doubled    int
}

// taken is what a move took.
type taken struct {
	rate float64
	cpu  time.Duration
	peak float64 // MB
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

	bytes int64 // of the file
}

// fill makes the topic.
func (l *flow) fill(ctx context.Context, kafka string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedBytes(64<<20), kgo.DefaultProduceTopic(l.topic))
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, b1Partitions, 1, nil, l.topic); err != nil {
		return err
	}
	failed := make(chan error, 1)
	for i := range l.records {
		client.Produce(ctx, &kgo.Record{Partition: int32(i / 1000 % b1Partitions), Value: l.value(i)}, func(_ *kgo.Record, err error) { //nolint:gosec // few
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

const numberLen = 10

// alternate runs the arms in turn, so that all meet the same machine; the first round warms up.
func alternate(ctx context.Context, arms []*mover, rounds int) error {
	for i := range rounds + 1 {
		for k, a := range arms {
			l := a.flow
			name := fmt.Sprintf("%s-%d-%d", l.topic, i, k)
			file := filepath.Join(l.dir, name)
			took, err := a.move(ctx, name, file)
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			doubled, err := l.check(file)
			if err = errors.Join(err, os.Remove(file)); err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			fmt.Fprintf(os.Stderr, "%s %s: %.0f records/s, %.2f s of CPU a million, %.0f MB\n", l.topic, a.name, took.rate, l.perMillion(took), took.peak)
			if i == 0 {
				continue
			}
			a.rates, a.cpu = append(a.rates, took.rate), append(a.cpu, l.perMillion(took))
			a.peak, a.doubled = max(a.peak, took.peak), a.doubled+doubled
		}
	}
	return nil
}

func (l *flow) perMillion(t taken) float64 { return t.cpu.Seconds() / float64(l.records) * 1e6 }

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

// tell adds the figures. The spread of the control is the smallest difference that means something.
func (l *flow) tell(r *report, arms []*mover, unit string, goals [3]string) {
	by := map[string]*mover{}
	for _, a := range arms {
		by[a.name] = a
		r.arm = a.name
		r.add("records_per_s"+unit, median(a.rates), "1/s", len(a.rates), "")
		r.add("records_per_s_spread"+unit, slices.Max(a.rates)/slices.Min(a.rates), "", len(a.rates), "")
		r.add("cpu_s_per_million"+unit, median(a.cpu), "s", len(a.cpu), "")
		r.add("peak"+unit, a.peak, "MB", len(a.rates), "")
		r.add("doubled"+unit, float64(a.doubled), "records", len(a.rates)*l.records, "")
	}
	r.arm = ""
	ours, best := by["millrace"], by["connect"]
	if tuned := by["connect, 5000 a poll"]; median(tuned.rates) > median(best.rates) {
		best = tuned
	}
	r.add("ratio_to_best_peer"+unit, median(ours.rates)/median(best.rates), "", len(ours.rates), goals[0])
	r.add("cpu_ratio_to_best_peer"+unit, median(ours.cpu)/median(best.cpu), "", len(ours.rates), goals[1])
	r.add("ratio_to_limit"+unit, median(ours.rates)/median(by["bare"].rates), "", len(ours.rates), goals[2])
	r.add("ratio_to_itself"+unit, median(ours.rates)/median(by["millrace again"].rates), "", len(ours.rates), "")
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

// through runs a sink connector over a REST API until the file is full. The CPU is that of the workers from the request on.
func (l *flow) through(ctx context.Context, base string, workers []int, name, file string, more map[string]string) (taken, error) {
	config := sink(l.topic, file)
	maps.Copy(config, l.config)
	maps.Copy(config, more)
	if err := forgetPeaks(workers); err != nil {
		return taken{}, err
	}
	_, before, err := usage(workers)
	if err != nil {
		return taken{}, err
	}
	api := cluster.REST{Base: base}
	if _, err := api.Do(ctx, http.MethodPut, "/connectors/"+name+"/config", config); err != nil {
		return taken{}, err
	}
	rate, err := l.watch(ctx, file)
	if err != nil {
		return taken{}, err
	}
	peak, after, err := usage(workers)
	if err != nil {
		return taken{}, err
	}
	if _, err := api.Do(ctx, http.MethodDelete, "/connectors/"+name, nil); err != nil {
		return taken{}, err
	}
	return taken{rate: rate, cpu: after - before, peak: peak}, nil
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
