package sourcetask_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
	"github.com/millrace/millrace/services/taskrunner/internal/sourcetask"
)

// metered is a source that hands out the same records once for each turn that is asked for, and says when they are durable.
type metered struct {
	batch []record.Source
	turns chan struct{}
	done  chan int
}

func (*metered) Start(context.Context, source.Context) error { return nil }
func (*metered) Stop(context.Context) error                  { return nil }
func (m *metered) Poll(ctx context.Context) ([]record.Source, error) {
	select {
	case <-m.turns:
		return m.batch, nil
	case <-ctx.Done():
		return nil, nil
	}
}

func (m *metered) CommitRecords(_ context.Context, done []source.Committed) error {
	m.done <- len(done)
	return nil
}

// prompt is a producer that acknowledges at once.
type prompt struct{}

func (prompt) InitTransactions(context.Context) error { return nil }
func (prompt) Begin() error                           { return nil }
func (prompt) Commit(context.Context) error           { return nil }
func (prompt) Abort(context.Context) error            { return nil }
func (prompt) Flush(context.Context) error            { return nil }
func (prompt) Close(context.Context) error            { return nil }
func (prompt) Send(_ context.Context, batch []kafkaio.Record, done func(int, record.Produced, error)) (int, error) {
	for i := range batch {
		done(i, record.Produced{}, nil)
	}
	return len(batch), nil
}

// plain is a pipeline that makes nothing of its own.
type plain struct{}

func (plain) Source(_ context.Context, in []record.Source, out []kafkaio.Record, idx []int) ([]kafkaio.Record, []int, error) {
	for i := range in {
		out, idx = append(out, kafkaio.Record{Topic: in[i].Topic}), append(idx, i)
	}
	return out, idx, nil
}
func (plain) Unwritten(_ context.Context, _ *record.Source, cause error) error { return cause }
func (plain) Close()                                                           {}

// nowhere are offsets that nobody reads.
type nowhere struct{}

func (nowhere) Topics() []string             { return []string{"offsets"} }
func (nowhere) Ensure(context.Context) error { return nil }
func (nowhere) Reader() source.OffsetReader  { return nil }
func (nowhere) Close()                       {}
func (nowhere) Watch(context.Context) (*offsets.Watch, error) {
	return nil, errors.New("nobody does")
}

type silent struct{}

func (silent) State(cluster.State)                       {}
func (silent) Failed(error)                              {}
func (silent) Version(string)                            {}
func (silent) TaskConfigs(int64, []cluster.Config, bool) {}

// The loop itself allocates nothing for a record: what it allocates for a batch does not depend on the batch's size.
//
// Not parallel: allocations are counted for the process.
func TestAllocations_of_the_loop(t *testing.T) {
	for name, id := range map[string]func(string, int) string{"at least once": nil, "in transactions": func(string, int) string { return "id" }} {
		t.Run(name, func(t *testing.T) {
			few, many := allocations(t, id, 50), allocations(t, id, 500)
			t.Logf("%v allocations for a batch of 50 records, %v for one of 500", few, many)
			require.LessOrEqual(t, many, few+2, "records cost something")
			require.LessOrEqual(t, many, 50.0, "for a batch")
		})
	}
}

// allocations are those of a batch from the poll until the plugin hears that it is durable.
func allocations(t *testing.T, id func(string, int) string, size int) float64 {
	t.Helper()
	m := &metered{turns: make(chan struct{}), done: make(chan int, 1)}
	for i := range size {
		m.batch = append(m.batch, record.Source{Partition: part, Offset: data.MapOf("n", int64(i)), Topic: "t", Value: "v"})
	}
	stop := runWith(t, m, prompt{}, id, nil)
	turn := func() {
		m.turns <- struct{}{}
		<-m.done
	}
	for range 5 {
		turn()
	}
	got := testing.AllocsPerRun(50, turn)
	require.NoError(t, stop())
	return got
}

// runWith runs a plugin over a producer, with nothing else that takes time; stop stops it and tells how it ended.
func runWith(t *testing.T, plug source.Task, p sourcetask.Producer, id func(string, int) string, config map[string]string) (stop func() error) {
	t.Helper()
	inst, err := sourcetask.New(sourcetask.Deps{
		Plugin: func(plugin.Kind, string) (*plugin.Plugin, error) {
			return &plugin.Plugin{NewSourceTask: func() source.Task { return plug }}, nil
		},
		Resolve:         func(c cluster.Config) (map[string]string, error) { return c.Plain(), nil },
		Producer:        func(sourcetask.Settings, string) (sourcetask.Producer, error) { return p, nil },
		Pipeline:        func(sourcetask.Settings) (sourcetask.Pipeline, error) { return plain{}, nil },
		Topics:          func(sourcetask.Settings) (sourcetask.Topics, error) { return nil, nil },
		Offsets:         func(sourcetask.Settings) (sourcetask.Offsets, error) { return nowhere{}, nil },
		TransactionalID: id,
		FlushInterval:   time.Hour,
	})(cluster.JobSpec{Job: cluster.TaskJob("u", 0), Name: "c", Config: cluster.ConfigOf(config), TaskConfig: cluster.Config{}})
	require.NoError(t, err)
	take, cancel := context.WithCancel(t.Context())
	target := make(chan cluster.TargetState, 1)
	target <- cluster.Started
	ended := make(chan error, 1)
	go func() {
		ended <- inst.Run(take, t.Context(), job.Env{Report: silent{}, Target: target, Topics: job.NewTopics(0, func(string, int64) {})})
	}()
	return func() error {
		cancel()
		return <-ended
	}
}
