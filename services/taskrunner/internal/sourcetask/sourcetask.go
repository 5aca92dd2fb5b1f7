// Package sourcetask runs a source task: it polls the plugin, has the records transformed and converted, writes them to
// Kafka together with their offsets, and tells the plugin what is durable.
//
// There are two ways of writing. In transactions (transaction.go), the default: records and offsets commit together, so
// that a successor finds neither less nor more than what readers see. At least once (atleastonce.go): offsets follow the
// records they belong to, never the other way round.
//
// Taking over goes: take the fence, read the position, start (Invariant 4). The fence is the task's transactional id; from
// the moment it is taken the former holder can add nothing, so the position that is read then is final.
//
// Start reading at Deps and New, then loop.go. park.go: a task that has nothing to write for a while has no producer.
package sourcetask

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
	"github.com/millrace/millrace/services/taskrunner/internal/parking"
)

// Producer is what a source task needs of kafkaio.Producer.
type Producer interface {
	InitTransactions(ctx context.Context) error
	Begin() error
	Commit(ctx context.Context) error
	Abort(ctx context.Context) error
	Send(ctx context.Context, batch []kafkaio.Record, done func(i int, p record.Produced, err error)) (accepted int, err error)
	Flush(ctx context.Context) error
	Close(ctx context.Context) error
}

// Pipeline turns the plugin's records into Kafka's. idx[i] is the place in `in` of out[i].
type Pipeline interface {
	Source(ctx context.Context, in []record.Source, out []kafkaio.Record, idx []int) ([]kafkaio.Record, []int, error)
	// Unwritten judges a record that Kafka did not take; nil: it is skipped.
	Unwritten(ctx context.Context, r *record.Source, cause error) error
	Close()
}

// Topics makes topics that connectors want made in a way of their own.
type Topics interface {
	// Ensure makes sure that a topic is there.
	Ensure(ctx context.Context, topic string) error
	// Close gives the client back; Ensure takes one again.
	Close(ctx context.Context) error
}

// Offsets is where a connector's offsets are.
type Offsets interface {
	// Topics are where they are written; the first is the one that counts.
	Topics() []string
	// Ensure makes sure that the topics are there.
	Ensure(ctx context.Context) error
	// Reader reads committed offsets; every call sees what was committed before it.
	Reader() source.OffsetReader
	// Watch notes of which source partitions offsets are written from now on.
	Watch(ctx context.Context) (*offsets.Watch, error)
	Close()
}

// Settings are a job's resolved settings, for the factories in Deps.
type Settings struct {
	Spec    cluster.JobSpec
	Config  map[string]string // the connector's, references resolved
	Task    map[string]string // the task's, references resolved
	Logger  *slog.Logger      // carries connector and task
	Metrics *connectmetrics.Job
}

// Deps is what source tasks are made from. All fields without a stated default are needed.
type Deps struct {
	Plugin  func(kind plugin.Kind, class string) (*plugin.Plugin, error)
	Resolve func(cluster.Config) (map[string]string, error)
	// Producer makes a task's producer; transactional unless transactionalID is empty.
	Producer func(s Settings, transactionalID string) (Producer, error)
	Pipeline func(Settings) (Pipeline, error)
	// Topics makes what creates topics; nil result: the broker creates them on first use.
	Topics func(Settings) (Topics, error)
	// Offsets tells where a connector's offsets are.
	Offsets func(Settings) (Offsets, error)
	// TransactionalID is the id that belongs to a task; nil: tasks write at least once, without transactions.
	TransactionalID func(connector string, task int) string
	// Parking is where tasks are parked that have nothing to write; nil: none is.
	Parking *parking.Lot

	FlushInterval time.Duration // between offset commits without transactions, and of transaction.boundary=interval; 0 = 60 s
	FlushTimeout  time.Duration // for one of the former; 0 = 5 s
	// TransactionTimeout is that of producers whose connector does not override it; 0 = 60 s, as Kafka's producers have it.
	TransactionTimeout time.Duration
	ComplainAfter      time.Duration // Kafka may be silent at the start before that is shown; 0 = 10 s
	ShutdownTimeout    time.Duration // for the plugin's Stop, and again for closing the client; 0 = 5 s

	Logger *slog.Logger
}

// New makes the factory of source tasks.
func New(d Deps) job.Factory {
	for p, def := range map[*time.Duration]time.Duration{&d.FlushInterval: time.Minute, &d.FlushTimeout: 5 * time.Second, &d.ShutdownTimeout: 5 * time.Second, &d.ComplainAfter: 10 * time.Second,
		&d.TransactionTimeout: time.Minute} {
		if *p <= 0 {
			*p = def
		}
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return func(spec cluster.JobSpec) (job.Instance, error) {
		if spec.Job.IsInstance() {
			return nil, fmt.Errorf("job %s is a connector instance, not a task", spec.Job)
		}
		p, err := d.Plugin(plugin.Source, spec.Class)
		if err != nil {
			return nil, err
		}
		if p.NewSourceTask == nil {
			return nil, connecterr.New(connecterr.General, "%s is not a source connector", spec.Class)
		}
		return &task{Deps: &d, spec: spec, plugin: p}, nil
	}
}
