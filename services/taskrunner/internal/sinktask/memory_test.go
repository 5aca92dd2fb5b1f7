package sinktask

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/tests/servers"
)

// The test of the memory bound runs this program again, so that nothing but one task is in the process that is measured.
var (
	slowBroker = flag.String("slow.broker", "", "run a slow sink beside this broker and print the memory it took")
	slowTopic  = flag.String("slow.topic", "", "what it reads")
)

const (
	largeRecord  = 1 << 20
	largeRecords = 384 // about twelve times what a task may hold
	slowRecords  = 96  // how many the slow sink takes before it is measured
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *slowBroker != "" {
		if err := beSlow(*slowBroker, *slowTopic); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// slowSink takes its time for each record.
type slowSink struct{ taken *atomic.Int64 }

func (slowSink) Start(context.Context, sink.Context) error { return nil }
func (slowSink) Stop(context.Context) error                { return nil }
func (s slowSink) Put(ctx context.Context, batch []record.Sink) error {
	for range batch {
		select {
		case <-time.After(20 * time.Millisecond): // fifty a second, of which the broker has thousands
		case <-ctx.Done():
			return ctx.Err()
		}
		s.taken.Add(1)
	}
	return nil
}

func beSlow(bootstrap, topic string) error {
	var taken atomic.Int64
	d := Deps{
		Plugin: func(plugin.Kind, string) (*plugin.Plugin, error) {
			return &plugin.Plugin{NewSinkTask: func() sink.Task { return slowSink{&taken} }}, nil
		},
		Resolve: func(c cluster.Config) (map[string]string, error) { return c.Plain(), nil },
		ConsumerConfig: func(map[string]string, cluster.JobID, string) (kafkaio.Config, error) {
			return kafkaio.Config{"bootstrap.servers": bootstrap}, nil
		},
		Pipeline: func(context.Context, Settings) (Pipeline, error) { return &passing{events: &events{}}, nil },
	}
	spec := cluster.JobSpec{Job: cluster.TaskJob("u", 0), Name: topic, Target: cluster.Started, TaskCount: 1, Config: cluster.ConfigOf(map[string]string{"topics": topic})}
	in, err := New(d)(spec)
	if err != nil {
		return err
	}
	idle, err := highest()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- in.Run(ctx, ctx, job.Env{Spec: spec, Report: reports{&events{}}, Target: make(chan cluster.TargetState)})
	}()
	for taken.Load() < slowRecords {
		select {
		case err := <-done:
			return fmt.Errorf("the task ended: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	busy, err := highest()
	fmt.Printf("idle %d busy %d\n", idle, busy)
	cancel()
	<-done
	return err
}

// highest is the most memory that this process has had, in MiB.
func highest() (int, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			return kb >> 10, err
		}
	}
	return 0, fmt.Errorf("the kernel does not tell how much memory this process had")
}

// A consumer holds at most 16 MiB in its queue and hands out 16 MiB at once (options.go, ConsumerConfig.MaxBytes); what the
// collector has not come to yet, and what is in between, is as much again.
const taskBound = 160

func TestRuntime_memory_of_a_task_with_large_records_and_a_slow_sink_is_bounded(t *testing.T) {
	t.Parallel()
	if _, err := highest(); err != nil {
		servers.Missing(t, err)
		return
	}
	bootstrap := servers.Kafka(t)
	topic := unique("large")
	a, err := kafkaio.NewAdmin(kafkaio.Config{"bootstrap.servers": bootstrap}, nil)
	require.NoError(t, err)
	defer a.Close(context.WithoutCancel(t.Context()))
	made, err := a.CreateTopics(within(t), kafkaio.Topic{Name: topic, Partitions: 4, Replication: 1, Config: map[string]string{"max.message.bytes": "2000000"}})
	require.NoError(t, err)
	require.NoError(t, made[topic])
	p, err := kafkaio.NewProducer(t.Context(), kafkaio.ProducerConfig{Client: kafkaio.Config{"bootstrap.servers": bootstrap, "message.max.bytes": "2000000"}})
	require.NoError(t, err)
	value := make([]byte, largeRecord)
	for i := range largeRecords {
		_, err := p.Send(within(t), []kafkaio.Record{{Topic: topic, Partition: int32(i % 4), Value: value, Timestamp: record.NoTimestamp}}, func(_ int, _ record.Produced, err error) {
			if err != nil {
				t.Error(err)
			}
		})
		require.NoError(t, err)
	}
	require.NoError(t, p.Flush(within(t)))
	require.NoError(t, p.Close(within(t)))

	self, err := os.Executable()
	require.NoError(t, err)
	out, err := exec.CommandContext(within(t), self, "-slow.broker", bootstrap, "-slow.topic", topic).CombinedOutput() //nolint:gosec // this program
	require.NoError(t, err, "%s", out)
	m := regexp.MustCompile(`idle (\d+) busy (\d+)`).FindSubmatch(out)
	require.NotNil(t, m, "%s", out)
	idle, _ := strconv.Atoi(string(m[1]))
	busy, _ := strconv.Atoi(string(m[2]))
	t.Logf("%d MiB idle, %d MiB with %d records of %d MiB waiting", idle, busy, largeRecords, largeRecord>>20)
	require.Less(t, busy-idle, slack*taskBound)
}
