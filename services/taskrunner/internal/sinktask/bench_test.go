package sinktask

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/embedded/kafkaembed"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// BenchmarkTask measures a whole task with a conversion that passes bytes on and a sink that only counts, beside
// kafkaio's BenchmarkConsume; the broker shares the cores.
func BenchmarkTask(b *testing.B) {
	const partitions, each = 8, 50_000
	k, err := kafkaembed.Start(b.Context(), kafkaembed.Options{Partitions: partitions})
	require.NoError(b, err)
	defer k.Close(context.Background())
	client := kafkaio.Config{"bootstrap.servers": k.Bootstrap()}
	topic := unique("bench")
	p, err := kafkaio.NewProducer(b.Context(), kafkaio.ProducerConfig{Client: client})
	require.NoError(b, err)
	batch := make([]kafkaio.Record, each)
	for part := range int32(partitions) {
		for i := range batch {
			batch[i] = kafkaio.Record{Topic: topic, Partition: part, Value: make([]byte, 100), Timestamp: record.NoTimestamp}
		}
		_, err := p.Send(b.Context(), batch, func(int, record.Produced, error) {})
		require.NoError(b, err)
	}
	require.NoError(b, p.Flush(b.Context()))
	require.NoError(b, p.Close(b.Context()))

	total := 0
	for b.Loop() {
		ev := &events{}
		all := make(chan struct{})
		n := 0
		sinkTask := &fakePlugin{events: ev}
		d := Deps{
			Plugin: func(plugin.Kind, string) (*plugin.Plugin, error) {
				return &plugin.Plugin{NewSinkTask: func() sink.Task { return &counting{fakePlugin: sinkTask, n: &n, want: partitions * each, all: all} }}, nil
			},
			Resolve:        func(c cluster.Config) (map[string]string, error) { return c.Plain(), nil },
			ConsumerConfig: func(map[string]string, cluster.JobID, string) (kafkaio.Config, error) { return client, nil },
			Pipeline:       func(context.Context, Settings) (Pipeline, error) { return &passing{events: ev}, nil },
			SweepAfter:     time.Hour,
		}
		spec := cluster.JobSpec{Job: cluster.TaskJob("uid", 0), Name: unique("bench"), Target: cluster.Started,
			Config: cluster.ConfigOf(map[string]string{"topics": topic})}
		in, err := New(d)(spec)
		require.NoError(b, err)
		take, stop := context.WithCancel(b.Context())
		done := make(chan error, 1)
		go func() {
			done <- in.Run(take, b.Context(), job.Env{Spec: spec, Report: reports{ev}, Target: make(chan cluster.TargetState)})
		}()
		<-all
		stop()
		require.NoError(b, <-done)
		total += partitions * each
	}
	b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "records/s")
}

// counting counts without looking at the records.
type counting struct {
	*fakePlugin
	n    *int
	want int
	all  chan struct{}
}

func (c *counting) Put(_ context.Context, batch []record.Sink) error {
	if before := *c.n; len(batch) > 0 {
		*c.n += len(batch)
		if before < c.want && *c.n >= c.want {
			close(c.all)
		}
	}
	return nil
}
