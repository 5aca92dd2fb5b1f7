// Command bare reads a topic into a file and does nothing else: no group, no offsets, no conversion. It is the limit beside which
// Kafka→file is measured.
//
//	bare -kafka HOST:PORT -topic TOPIC -partitions N -records N -file FILE [-json]
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/goccy/go-json"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

func main() {
	kafka := flag.String("kafka", "", "a broker")
	topic := flag.String("topic", "", "what to read")
	partitions := flag.Int("partitions", 8, "of the topic")
	records := flag.Int("records", 0, "how many there are")
	file := flag.String("file", "", "where to write")
	decode := flag.Bool("json", false, "values are JSON: read, change and write it as B2's transformations do, on all cores")
	flag.Parse()
	if err := run(context.Background(), *kafka, *topic, *partitions, *records, *file, *decode); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kafka, topic string, partitions, records int, file string, decode bool) (err error) {
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
	if decode {
		return errors.Join(transform(ctx, client, records, out), out.Flush(), f.Sync())
	}
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

// transform writes what B2's transformations make of the values. Order is not kept: a limit has no need of it.
func transform(ctx context.Context, client *kgo.Client, records int, out io.Writer) error {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	batches := make(chan []*kgo.Record, runtime.GOMAXPROCS(0))
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			var b bytes.Buffer
			for batch := range batches {
				b.Reset()
				for _, r := range batch {
					if err := change(&b, r); err != nil {
						return err
					}
				}
				mu.Lock()
				_, err := out.Write(b.Bytes())
				mu.Unlock()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	for records > 0 {
		fetched := client.PollRecords(ctx, 2000)
		if err := fetched.Err(); err != nil {
			close(batches)
			return errors.Join(err, g.Wait())
		}
		all := fetched.Records()
		records -= len(all)
		select {
		case batches <- all:
		case <-ctx.Done():
			records = 0
		}
	}
	close(batches)
	return g.Wait()
}

func change(b *bytes.Buffer, r *kgo.Record) error {
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(r.Value))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return err
	}
	m["topic"], m["source"] = r.Topic, "shop"
	m["client"], m["count"] = m["customer"], fmt.Sprint(m["count"])
	delete(m, "customer")
	delete(m, "note")
	return json.NewEncoder(b).Encode(m) // with a line's end
}
