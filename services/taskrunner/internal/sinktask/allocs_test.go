package sinktask

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// metered is a consumer that hands out the same records once for each turn that is asked for.
type metered struct {
	*fakeConsumer
	batch  []kafkaio.Record
	turns  chan struct{}
	handed chan int // how many records a turn got
}

func (c *metered) Poll(ctx context.Context, atMost time.Duration, into []kafkaio.Record) ([]kafkaio.Record, error) {
	if len(c.steps) > 0 {
		return c.fakeConsumer.Poll(ctx, atMost, into)
	}
	select {
	case <-c.turns:
		into = append(into[:0], c.batch[:min(cap(into), len(c.batch))]...)
		c.handed <- len(into)
	case <-c.wake:
		into = into[:0]
	case <-ctx.Done():
		return into[:0], context.Cause(ctx)
	}
	return into, nil
}

// taking is a sink that says how many records it was given.
type taking struct {
	*fakePlugin
	took chan int
}

func (s *taking) Put(_ context.Context, batch []record.Sink) error {
	if len(batch) > 0 {
		s.took <- len(batch)
	}
	return nil
}

// plain is a pipeline that makes nothing of its own.
type plain struct{ *passing }

func (plain) Sink(_ context.Context, in []kafkaio.Record, out []record.Sink) ([]record.Sink, error) {
	for i := range in {
		out = append(out, record.Sink{Topic: in[i].Topic, KafkaPartition: in[i].Partition, KafkaOffset: in[i].Offset,
			OriginalTopic: in[i].Topic, OriginalPartition: in[i].Partition, OriginalOffset: in[i].Offset})
	}
	return out, nil
}

// The loop itself allocates nothing for a record, and for a batch next to nothing.
//
// Not parallel: allocations are counted for the process.
func TestAllocations_of_the_loop(t *testing.T) {
	const most, partitions = 500, 8
	starts := map[record.TopicPartition]int64{}
	c := &metered{turns: make(chan struct{}), handed: make(chan int, 1)}
	for part := range int32(partitions) {
		starts[record.TopicPartition{Topic: "t", Partition: part}] = 0
		for range most / partitions {
			c.batch = append(c.batch, kafkaio.Record{Topic: "t", Partition: part, Offset: int64(len(c.batch)), Value: []byte("v")})
		}
	}
	b := newBench(t, assign(starts))
	s := &taking{fakePlugin: b.plugin, took: make(chan int, most)}
	b.deps.FlushInterval = time.Hour // commits are not of the record loop
	b.deps.Plugin = func(plugin.Kind, string) (*plugin.Plugin, error) {
		return &plugin.Plugin{NewSinkTask: func() sink.Task { return s }}, nil
	}
	b.deps.Pipeline = func(context.Context, Settings) (Pipeline, error) { return plain{b.pipe}, nil }
	b.deps.NewConsumer = func(_ context.Context, cc kafkaio.ConsumerConfig) (Consumer, error) {
		b.consumer.handler = cc.Rebalance
		c.fakeConsumer = b.consumer
		return c, nil
	}
	b.start()
	turn := func() (n int) {
		c.turns <- struct{}{}
		n = <-c.handed
		for left := n; left > 0; {
			left -= <-s.took
		}
		return n
	}
	for range 20 { // buffers grow to the size of the batches
		turn()
	}
	require.Equal(t, len(c.batch), turn())
	got := testing.AllocsPerRun(50, func() { turn() })
	t.Logf("%v allocations for a batch of %d records", got, len(c.batch))
	require.LessOrEqual(t, got, 4.0, "for a batch")
	b.take()
	require.NoError(t, b.ended())
	b.do()
}
