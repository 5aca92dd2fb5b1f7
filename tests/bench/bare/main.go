// Command bare reads a topic into a file and does nothing else: no group, no offsets, no conversion. It is the limit beside which
// Kafka→file is measured.
//
//	bare -kafka HOST:PORT -topic TOPIC -partitions N -records N -file FILE
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	kafka := flag.String("kafka", "", "a broker")
	topic := flag.String("topic", "", "what to read")
	partitions := flag.Int("partitions", 8, "of the topic")
	records := flag.Int("records", 0, "how many there are")
	file := flag.String("file", "", "where to write")
	flag.Parse()
	if err := run(context.Background(), *kafka, *topic, *partitions, *records, *file); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kafka, topic string, partitions, records int, file string) (err error) {
	from := map[int32]kgo.Offset{}
	for i := range partitions {
		from[int32(i)] = kgo.NewOffset().AtStart() //nolint:gosec // few
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return err
	}
	defer client.Close()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // what the caller asks for
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := bufio.NewWriterSize(f, 256<<10)
	for records > 0 {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return err
		}
		fetched.EachRecord(func(r *kgo.Record) {
			_, _ = out.Write(r.Value) // Flush tells
			_ = out.WriteByte('\n')
			records--
		})
	}
	return errors.Join(out.Flush(), f.Sync())
}
