package kafkaio

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/embedded/kafkaembed"
	"github.com/millrace/millrace/sdk/record"
)

const (
	benchRecords    = 400_000
	benchPartitions = 8
)

// benchTopic is a topic with benchRecords records of size bytes, on a broker in this process: it shares the cores, so rates are
// for comparing with each other.
func benchTopic(b *testing.B, size int) (bootstrap, topic string) {
	b.Helper()
	k, err := kafkaembed.Start(b.Context(), kafkaembed.Options{Partitions: benchPartitions})
	require.NoError(b, err)
	b.Cleanup(func() { _ = k.Close(context.Background()) })
	topic = unique("bench")
	p, err := NewProducer(b.Context(), ProducerConfig{Client: Config{"bootstrap.servers": k.Bootstrap()}})
	require.NoError(b, err)
	defer p.Close(context.Background())
	fill(b, p, benchBatch(topic, size))
	return k.Bootstrap(), topic
}

func benchBatch(topic string, size int) []Record {
	batch := make([]Record, benchRecords/100)
	for i := range batch {
		batch[i] = Record{Topic: topic, Partition: int32(i * benchPartitions / len(batch)), Value: bytes.Repeat([]byte{'x'}, size),
			Timestamp: record.NoTimestamp}
	}
	return batch
}

func fill(b *testing.B, p *Producer, batch []Record) {
	for range benchRecords / len(batch) {
		_, err := p.Send(b.Context(), batch, func(_ int, _ record.Produced, err error) {
			if err != nil {
				b.Error(err)
			}
		})
		require.NoError(b, err)
	}
	require.NoError(b, p.Flush(b.Context()))
}

func BenchmarkConsume(b *testing.B) {
	for _, tc := range []struct {
		name     string
		size     int
		oneByOne bool
	}{{"batches/100B", 100, false}, {"one-by-one/100B", 100, true}, {"batches/1KB", 1000, false}, {"one-by-one/1KB", 1000, true}} {
		b.Run(tc.name, func(b *testing.B) {
			bootstrap, topic := benchTopic(b, tc.size)
			buf := make([]Record, 0, 2000)
			read := 0
			for b.Loop() {
				c, err := NewConsumer(b.Context(), ConsumerConfig{
					Client: Config{"bootstrap.servers": bootstrap}, Group: unique("bench"), OneByOne: tc.oneByOne,
				})
				require.NoError(b, err)
				require.NoError(b, c.Subscribe([]string{topic}, ""))
				for n := 0; n < benchRecords; {
					recs, err := c.Poll(b.Context(), time.Second, buf)
					require.NoError(b, err)
					n += len(recs)
					read += len(recs)
				}
				require.NoError(b, c.Close(b.Context()))
			}
			b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func BenchmarkProduce(b *testing.B) {
	for _, tc := range []struct {
		name     string
		size     int
		oneByOne bool
	}{{"batches/100B", 100, false}, {"one-by-one/100B", 100, true}, {"batches/1KB", 1000, false}, {"one-by-one/1KB", 1000, true}} {
		b.Run(tc.name, func(b *testing.B) {
			k, err := kafkaembed.Start(b.Context(), kafkaembed.Options{Partitions: benchPartitions})
			require.NoError(b, err)
			defer k.Close(context.Background())
			p, err := NewProducer(b.Context(), ProducerConfig{Client: Config{"bootstrap.servers": k.Bootstrap()}, OneByOne: tc.oneByOne})
			require.NoError(b, err)
			defer p.Close(context.Background())
			batch := benchBatch(unique("bench"), tc.size)
			n := 0
			for b.Loop() {
				fill(b, p, batch)
				n += benchRecords
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
