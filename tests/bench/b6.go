package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/tests/servers"
)

const (
	b6Partitions = 8
	b6Rounds     = 5
	b6Program    = "./services/taskrunner/internal/kafkaio/clientbench"
)

// b6Sizes are how many records of a size are consumed, and produced.
var b6Sizes = []struct{ size, consumed, produced int }{{100, 10_000_000, 4_000_000}, {1000, 2_000_000, 600_000}}

// The ways of B6, and what the program calls them.
const (
	cWay     = "c"
	plainWay = "plain"
)

var b6Ways = []struct{ name, arg string }{{cWay, "c"}, {oursWay, "ours"}, {plainWay, "plain"}, {controlWay, "ours"}}

// clientLayer measures the Kafka client alone: nothing is done with the records.
func clientLayer(ctx context.Context, b *bed, r *report) (err error) {
	dir, err := os.MkdirTemp("", "millrace-bench-b6-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := build(ctx, dir, b6Program)
	if err != nil {
		return err
	}
	kafka, err := servers.StartKafka(ctx, servers.KafkaOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kafka.Stop(context.WithoutCancel(ctx))) }()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Bootstrap()))
	if err != nil {
		return err
	}
	defer client.Close()
	c := &clients{b: b, binary: binary, kafka: kafka.Bootstrap(), admin: kadm.NewClient(client)}
	for _, s := range b6Sizes {
		s.consumed, s.produced = b.scaled(s.consumed, b6Sizes[0].consumed), b.scaled(s.produced, b6Sizes[0].consumed)
		full := &flow{topic: fmt.Sprintf("b6-%d", s.size), records: s.consumed, value: filled(s.size), plain: true}
		if err := full.fill(ctx, c.kafka); err != nil {
			return err
		}
		suffix := fmt.Sprintf("_%db", s.size)
		consume, err := c.alternate(ctx, "consume"+suffix, s.consumed, func(ctx context.Context, arg, _ string) (taken, error) {
			return c.run(ctx, "consume", arg, full.topic, s.consumed, s.size)
		})
		if err != nil {
			return err
		}
		if _, err := c.admin.DeleteTopics(ctx, full.topic); err != nil {
			return err
		}
		produce, err := c.alternate(ctx, "produce"+suffix, s.produced, func(ctx context.Context, arg, topic string) (taken, error) {
			return c.produce(ctx, arg, topic, s.produced, s.size)
		})
		if err != nil {
			return err
		}
		if b.only == "" {
			r.tellClients("consume_", suffix, consume, map[string]string{"ratio_to_c": "≥ 0.6", "cpu_ratio_to_c": "≤ 2", "ratio_to_plain": "≥ 2.5"})
			r.tellClients("produce_", suffix, produce, map[string]string{"ratio_to_c": "≥ 0.9"})
		}
	}
	return nil
}

// filled makes values that begin with the number of their record.
func filled(size int) func(i int) []byte {
	rest := strings.Repeat("x", size-numberLen)
	return func(i int) []byte { return fmt.Appendf(make([]byte, 0, size), "%0*d%s", numberLen, i, rest) }
}

// clients runs the program.
type clients struct {
	b             *bed
	binary, kafka string
	admin         *kadm.Client
}

func (c *clients) alternate(ctx context.Context, name string, n int, move func(ctx context.Context, arg, round string) (taken, error)) ([]*way, error) {
	var ways []*way
	for _, w := range b6Ways {
		ways = append(ways, &way{name: w.name, move: func(ctx context.Context, round string) (taken, error) { return move(ctx, w.arg, round) }})
	}
	return ways, c.b.alternate(ctx, name, n, b6Rounds, ways)
}

func (c *clients) run(ctx context.Context, what, way, topic string, records, size int) (taken, error) {
	args := []string{"-way", way, "-kafka", c.kafka, "-topic", topic, "-partitions", strconv.Itoa(b6Partitions), "-records", strconv.Itoa(records), "-size", strconv.Itoa(size)}
	if c.b.profile != "" {
		args = append(args, "-profile", filepath.Join(c.b.profile, fmt.Sprintf("B6-%s-%s-%d.pprof", what, way, size)))
	}
	cmd := exec.CommandContext(ctx, c.binary, append(args, what)...) //nolint:gosec // our own
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return taken{}, fmt.Errorf("%s %s: %w", way, what, err)
	}
	var moved struct {
		Records       int
		Seconds, Peak float64
	}
	if err := json.Unmarshal(out, &moved); err != nil {
		return taken{}, fmt.Errorf("%s says %q: %w", c.binary, out, err)
	}
	if moved.Records != records {
		return taken{}, fmt.Errorf("%s: %d of %d records were moved", way, moved.Records, records)
	}
	return taken{rate: float64(records) / moved.Seconds, cpu: cmd.ProcessState.SystemTime() + cmd.ProcessState.UserTime(), peak: moved.Peak}, nil
}

// produce writes into a new topic, and counts what is in it.
func (c *clients) produce(ctx context.Context, way, topic string, records, size int) (took taken, err error) {
	if _, err := c.admin.CreateTopic(ctx, b6Partitions, 1, nil, topic); err != nil {
		return taken{}, err
	}
	defer func() {
		_, derr := c.admin.DeleteTopics(context.WithoutCancel(ctx), topic)
		err = errors.Join(err, derr)
	}()
	if took, err = c.run(ctx, "produce", way, topic, records, size); err != nil {
		return taken{}, err
	}
	ends, err := c.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return taken{}, err
	}
	stored := int64(0)
	ends.Each(func(o kadm.ListedOffset) {
		stored += o.Offset
		err = errors.Join(err, o.Err)
	})
	if err == nil && stored != int64(records) {
		err = fmt.Errorf("%s: %d of %d records are stored", way, stored, records)
	}
	return took, err
}

// tellClients adds the figures of all ways to do one thing, and the ratios of ours to them.
func (r *report) tellClients(what, suffix string, ways []*way, goals map[string]string) {
	by := map[string]*way{}
	for _, w := range ways {
		by[w.name] = w
		r.tellWay(w, what+"records_per_s", what, suffix)
	}
	r.arm = ""
	ours := by[oursWay]
	n := len(ours.rates)
	for _, to := range []string{cWay, plainWay} {
		r.add(what+"ratio_to_"+to+suffix, median(ours.rates)/median(by[to].rates), "", n, goals["ratio_to_"+to])
		r.add(what+"cpu_ratio_to_"+to+suffix, median(ours.cpu)/median(by[to].cpu), "", n, goals["cpu_ratio_to_"+to])
	}
	r.add(what+"ratio_to_itself"+suffix, median(ours.rates)/median(by[controlWay].rates), "", n, "")
}
