// Command clientbench moves records between a program and Kafka and does nothing else with them, so that ways to speak to Kafka
// can be compared: this repository's batch layer, confluent's public interface, and a loop in C, all over the same librdkafka with
// the same settings. Benchmark B6 (tests/bench) runs it.
//
//	clientbench -way ours|plain|c -kafka HOST:PORT -topic TOPIC -partitions N -records N consume
//	clientbench -way ours|plain|c -kafka HOST:PORT -topic TOPIC -partitions N -records N -size N produce
//	clientbench -kafka HOST:PORT -topic PREFIX -records N [-at-once N] fence
//
// It prints one JSON object: what was moved, and in how many seconds, from the first record to the last. The last form opens a
// transactional producer for each of N ids, takes the fence of each and keeps all: what N exactly-once tasks can't start without (B7). It
// prints how long each took, too.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// work is what is to be moved.
type work struct {
	client     kafkaio.Config // whole, as the batch layer's client has it
	bootstrap  string
	topic      string
	partitions int
	records    int
	size       int // of a value
	atOnce     int // fences

	each []time.Duration // fence
}

// batch is how many records cross at a time, in all ways: as many as a sink task asks for.
const batch = 2000

// result is what was moved.
type result struct {
	Records int     `json:"records"` // consumed in order without a gap, or reported as stored
	Seconds float64 `json:"seconds"`
	Peak    float64 `json:"peak"` // MB

	Each []time.Duration `json:"each,omitempty"` // fence
}

// order checks that the offsets of each partition follow each other.
type order []int64

func (o order) next(partition int32, offset int64) error {
	if o[partition] != offset {
		return fmt.Errorf("partition %d: offset %d follows %d", partition, offset, o[partition]-1)
	}
	o[partition]++
	return nil
}

// way is one way to speak to Kafka; consume and produce return the time from the first record to the last.
type way struct {
	consume, produce func(ctx context.Context, w work) (time.Duration, error)
}

var ways = map[string]way{
	"ours":  {consumeOurs, produceOurs},
	"plain": {consumePlain, producePlain},
	"c":     {consumeC, produceC},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "clientbench:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	var w work
	name := flag.String("way", "", "ours, plain or c")
	flag.StringVar(&w.bootstrap, "kafka", "", "a broker")
	flag.StringVar(&w.topic, "topic", "", "what to read or write; its partitions begin at offset 0")
	flag.IntVar(&w.partitions, "partitions", 8, "of the topic")
	flag.IntVar(&w.records, "records", 0, "how many to move")
	flag.IntVar(&w.size, "size", 100, "bytes of a value to be produced")
	flag.IntVar(&w.atOnce, "at-once", 16, "fences that are taken at the same time")
	profile := flag.String("profile", "", "file for a CPU profile")
	more := flag.String("config", "", "client settings, key=value,…")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	user := kafkaio.Config{"bootstrap.servers": w.bootstrap}
	for pair := range strings.SplitSeq(*more, ",") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			user[k] = v
		}
	}
	if flag.Arg(0) == "fence" {
		*name, ways["fence"] = "fence", way{}
	}
	way, ok := ways[*name]
	var move func(context.Context, work) (time.Duration, error)
	switch flag.Arg(0) {
	case "consume":
		move, w.client = way.consume, kafkaio.ConsumerSettings(user)
	case "produce":
		move, w.client = way.produce, kafkaio.ProducerSettings(user)
	case "fence":
		move, w.client, w.each = fence, user, make([]time.Duration, w.records)
	}
	if !ok || move == nil || flag.NArg() != 1 {
		return fmt.Errorf("way %q, arguments %q: expected are a way of ours, plain or c, and consume or produce, or fence", *name, flag.Args())
	}
	took, err := move(context.Background(), w)
	if err != nil {
		return err
	}
	peak, err := peak()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result{Records: w.records, Seconds: took.Seconds(), Peak: peak, Each: w.each})
}

// peak is the most memory that this process has had, in MB. (What the parent is told of it when it ends may be the parent's own.)
func peak() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, text, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return 0, fmt.Errorf("/proc/self/status has no VmHWM: %q", status)
	}
	kb, err := strconv.Atoi(fields[0])
	return float64(kb) / 1000, err
}
