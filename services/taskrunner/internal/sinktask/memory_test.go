package sinktask

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/sleep"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/tests/servers"
)

// The test of the memory bound runs this program again, so that nothing but one task is in the process that is measured.
var (
	slowBroker = flag.String("slow.broker", "", "run a sink beside this broker and print what it took")
	slowTopic  = flag.String("slow.topic", "", "what it reads")
	slowPause  = flag.Duration("slow.pause", 0, "how long it takes for a record")
	// slowRecords is how many records the slow sink takes before it is measured; more in long runs.
	slowRecords = flag.Int("slow.records", 24, "how many records the slow sink of TestRuntime_memory takes, for example 1000")
)

const (
	largeRecord  = 1 << 20
	largeRecords = 384 // about twelve times what a task may hold
	slower       = 100 // how many times slower than the source the sink is
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

// slowSink takes its time for each record, and notes how much it was given at once.
type slowSink struct {
	taken, largest *atomic.Int64
	pause          time.Duration
}

func (slowSink) Start(context.Context, sink.Context) error { return nil }
func (slowSink) Stop(context.Context) error                { return nil }
func (s slowSink) Put(ctx context.Context, batch []record.Sink) error {
	size := 0
	for _, r := range batch {
		b, _ := r.Value.([]byte)
		size += len(b)
	}
	s.largest.Store(max(s.largest.Load(), int64(size)))
	for range batch {
		if s.pause > 0 && !sleep.For(ctx, s.pause) {
			return ctx.Err()
		}
		s.taken.Add(1)
	}
	return nil
}

func beSlow(bootstrap, topic string) error {
	var taken, largest atomic.Int64
	want := int64(largeRecords)
	if *slowPause > 0 {
		want = int64(*slowRecords)
	}
	d := Deps{
		Plugin: func(plugin.Kind, string) (*plugin.Plugin, error) {
			return &plugin.Plugin{NewSinkTask: func() sink.Task { return slowSink{&taken, &largest, *slowPause} }}, nil
		},
		Resolve: func(c cluster.Config) (map[string]string, error) { return c.Plain(), nil },
		ConsumerConfig: func(map[string]string, cluster.JobID, string) (kafkaio.Config, error) {
			return kafkaio.Config{"bootstrap.servers": bootstrap}, nil
		},
		Pipeline: func(context.Context, Settings) (Pipeline, error) {
			return newEarly(&passing{events: &events{}}, 2), nil
		},
	}
	spec := cluster.JobSpec{Job: cluster.TaskJob("u", 0), Name: topic + slowPause.String(), Target: cluster.Started, TaskCount: 1, Config: cluster.ConfigOf(map[string]string{"topics": topic})}
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
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	most := uint64(0)
	var began time.Time
	for taken.Load() < want {
		if began.IsZero() && taken.Load() > 0 { // what joining the group took does not count
			began = time.Now()
		}
		metrics.Read(heap)
		most = max(most, heap[0].Value.Uint64())
		select {
		case err := <-done:
			return fmt.Errorf("the task ended: %w", err)
		case <-time.After(time.Millisecond):
		}
	}
	took := time.Since(began)
	busy, err := highest()
	fmt.Printf("idle %d busy %d heap %d batch %d took %d\n", idle, busy, most>>20, largest.Load()>>20, took.Microseconds())
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
	if _, err := highest(); err != nil {
		servers.Missing(t, err)
		return
	}
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic := unique("large")
		a, err := kafkaio.NewAdmin(kafkaio.Config{"bootstrap.servers": bootstrap}, nil)
		require.NoError(t, err)
		defer a.Close(context.WithoutCancel(t.Context()))
		made, err := a.CreateTopics(within(t), kafkaio.Topic{Name: topic, Partitions: 4, Replication: 1, Config: map[string]string{"max.message.bytes": "2000000"}})
		require.NoError(t, err)
		require.NoError(t, made[topic])
		fill(t, bootstrap, topic)

		// First as fast as it goes, which tells what a hundred times slower is.
		fast := beside(t, bootstrap, topic, 0)
		pause := time.Duration(fast.took) * time.Microsecond / largeRecords * slower
		slow := beside(t, bootstrap, topic, pause)
		t.Logf("full speed: %d records of %d MiB in %d ms; a record in %v: %d MiB idle, %d MiB with %d records waiting, heap %d MiB, largest batch %d MiB",
			largeRecords, largeRecord>>20, fast.took/1000, pause, slow.idle, slow.busy, largeRecords, slow.heap, slow.batch)
		require.Less(t, slow.busy-slow.idle, slack*taskBound)
		require.LessOrEqual(t, slow.batch, 17, "16 MiB, and the record that went beyond")
		require.Less(t, slow.heap, slack*heapBound)
		require.Less(t, fast.busy-fast.idle, slack*taskBound, "a fast sink needs no more")
	})
}

// heapBound is what Go's heap holds at most, in MiB: the batch that the sink has, and what is collected later.
const heapBound = 64

// fill writes the large records.
func fill(t *testing.T, bootstrap, topic string) {
	t.Helper()
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
}

// measured is what a process with one task took: MiB, and microseconds.
type measured struct{ idle, busy, heap, batch, took int }

// beside runs a task in a process of its own, and measures it.
func beside(t *testing.T, bootstrap, topic string, pause time.Duration) (m measured) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+2*pause*time.Duration(*slowRecords))
	defer cancel()
	out, err := exec.CommandContext(ctx, self, "-slow.broker", bootstrap, "-slow.topic", topic, "-slow.pause", pause.String(), "-slow.records", strconv.Itoa(*slowRecords)).CombinedOutput() //nolint:gosec // this program
	require.NoError(t, err, "%s", out)
	at := bytes.Index(out, []byte("idle "))
	require.GreaterOrEqual(t, at, 0, "%s", out)
	_, err = fmt.Sscanf(string(out[at:]), "idle %d busy %d heap %d batch %d took %d", &m.idle, &m.busy, &m.heap, &m.batch, &m.took)
	require.NoError(t, err, "%s", out)
	return m
}
