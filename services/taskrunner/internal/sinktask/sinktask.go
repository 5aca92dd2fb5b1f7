// Package sinktask runs a sink task: it reads records from Kafka as a member of the connector's group, has them converted,
// hands them to the plugin, and commits what the plugin says is durable.
//
// Start reading at Deps and New, then loop.go (one turn of the loop), commit.go (when and what is committed), rebalance.go
// (partitions come and go), redeliver.go (a batch the plugin refused for now), ahead.go (what is
// read while a batch is put), park.go (a task without a client), and positions.go, the pure core that keeps the three positions
// of each partition. One goroutine does all of it.
//
// Taking over from another holder goes: take the fence, read the position, start (Invariant 4). The plugin's Start comes
// before, as in Kafka Connect, so that a broken configuration shows at once; but Open and Put, by which anything takes
// effect, come only after the member with this task's static instance id has joined the group, which ends the older
// member, and after the committed offsets were read, which the older member can no longer change.
package sinktask

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/parking"
)

// Consumer is what a sink task needs of kafkaio.Consumer.
type Consumer interface {
	Subscribe(topics []string, regex string) error
	Poll(ctx context.Context, atMost time.Duration, into []kafkaio.Record) ([]kafkaio.Record, error)
	Wake()
	Pause(parts []record.TopicPartition) error
	Resume(parts []record.TopicPartition) error
	Seek(offsets map[record.TopicPartition]int64) error
	Position(parts []record.TopicPartition) map[record.TopicPartition]int64
	Assignment() []record.TopicPartition
	Ends() map[record.TopicPartition]int64
	MemberID() string
	Committed(ctx context.Context, parts []record.TopicPartition) (map[record.TopicPartition]int64, error)
	Lag() map[record.TopicPartition]int64
	TopicID(ctx context.Context, topic string) (string, error)
	Stalled() time.Duration
	Unreachable(d time.Duration) error
	Commit(ctx context.Context, offsets map[record.TopicPartition]int64) error
	CommitAsync(offsets map[record.TopicPartition]int64, done func(error))
	Close(ctx context.Context) error
}

// Pipeline turns consumed records into what the plugin is given. Records that were dropped or set aside are absent from the
// answer. A Pipeline may also be an ErrantPipeline or an EarlyPipeline.
type Pipeline interface {
	Sink(ctx context.Context, in []kafkaio.Record, out []record.Sink) ([]record.Sink, error)
	Close()
}

// ErrantPipeline is a Pipeline that sets records aside.
type ErrantPipeline interface {
	// ErrantRecords is for the plugin's own bad records; nil when neither dead letter queue nor error log is set.
	ErrantRecords() sink.ErrantRecordReporter
	// Settle waits until everything set aside so far is durable. An error means that it may not be.
	Settle(ctx context.Context) error
	// Exceeded is the error of a report that went beyond the tolerance, also when the plugin has swallowed it.
	Exceeded() error
}

// RestingPipeline is a Pipeline that has clients of its own.
type RestingPipeline interface {
	// Rest gives them back, until they are needed again.
	Rest()
}

// EarlyPipeline is a Pipeline that converts records while the task is busy otherwise.
type EarlyPipeline interface {
	// Worth tells whether so many records are to be given to Begin.
	Worth(records int) bool
	// Begin begins with what Sink is given next; it stays as it is until then, or until Forget.
	Begin(in []kafkaio.Record)
	// Forget gives up what Begin began.
	Forget()
}

// Settings are a job's resolved settings, for the factories in Deps.
type Settings struct {
	Spec    cluster.JobSpec
	Config  map[string]string // the connector's, references resolved
	Task    map[string]string // the task's, references resolved
	Logger  *slog.Logger      // carries connector and task
	Topics  *job.Topics       // is told what is read
	Metrics *connectmetrics.Job
}

// Deps is what sink tasks are made from. All fields without a stated default are needed.
type Deps struct {
	// Plugin finds a connector's plugin by the names people use.
	Plugin func(kind plugin.Kind, class string) (*plugin.Plugin, error)
	// Resolve replaces references in a configuration by their values.
	Resolve func(cluster.Config) (map[string]string, error)
	// ConsumerConfig is the client configuration of a connector's consumers, overrides applied. group.id in it wins over
	// "connect-" and the connector's name.
	ConsumerConfig func(conn map[string]string, id cluster.JobID, name string) (kafkaio.Config, error)
	// Pipeline makes a task's pipeline; ctx ends when the task is to stop.
	Pipeline func(ctx context.Context, s Settings) (Pipeline, error)

	FlushInterval   time.Duration // between commits; 0 = 60 s
	FlushTimeout    time.Duration // for one commit; 0 = 5 s
	ShutdownTimeout time.Duration // for the plugin's Stop, and again for closing the client; 0 = 5 s
	ComplainAfter   time.Duration // Kafka may be silent at the start before that is shown; 0 = 10 s
	// Doubt is how long the task may not have looked at Kafka before it asks whether it still is the holder, ahead of
	// writing more: the process may have been frozen, and a successor may be at work. 0 = 1 s.
	Doubt     time.Duration
	BatchSize int // most records of one Put unless the connector sets max.poll.records; 0 = 2000

	Logger *slog.Logger // nil: no log

	// Evict makes members leave that belong to no task any more; nil = kafkaio.EvictMembers. SweepAfter is when it is
	// called after a connector's first task started; 0 = 2 s.
	Evict      evictFunc
	SweepAfter time.Duration

	// Parking is where tasks are parked that have nothing to do; nil: none is.
	Parking *parking.Lot

	// NewConsumer makes the consumer; nil = kafkaio.NewConsumer.
	NewConsumer func(context.Context, kafkaio.ConsumerConfig) (Consumer, error)
}

// New makes the factory of sink tasks.
func New(d Deps) job.Factory {
	d.FlushInterval = orElse(d.FlushInterval, 60*time.Second)
	d.FlushTimeout = orElse(d.FlushTimeout, 5*time.Second)
	d.ShutdownTimeout = orElse(d.ShutdownTimeout, 5*time.Second)
	d.ComplainAfter = orElse(d.ComplainAfter, 10*time.Second)
	d.Doubt = orElse(d.Doubt, time.Second)
	if d.BatchSize <= 0 {
		d.BatchSize = 2000
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.NewConsumer == nil {
		d.NewConsumer = func(ctx context.Context, cc kafkaio.ConsumerConfig) (Consumer, error) {
			c, err := kafkaio.NewConsumer(ctx, cc)
			if err != nil {
				return nil, err // not c: a nil in an interface is not nil
			}
			return c, nil
		}
	}
	d.SweepAfter = orElse(d.SweepAfter, 2*time.Second)
	if d.Evict == nil {
		d.Evict = func(ctx context.Context, cfg kafkaio.Config, group string, topics []string, regex string,
			stale func(string) bool) ([]string, error) {
			if d.Parking.Idle() > 0 { // there is a client for such questions; nearly always there is nobody
				members, err := d.Parking.Cluster(cfg).Members(ctx, group)
				if err != nil || !slices.ContainsFunc(members, func(m kafkaio.Member) bool { return m.InstanceID != "" && stale(m.InstanceID) }) {
					return nil, err
				}
			}
			return kafkaio.EvictMembers(ctx, cfg, group, topics, regex, stale, d.Logger)
		}
	}
	return func(spec cluster.JobSpec) (job.Instance, error) {
		if spec.Job.IsInstance() {
			return nil, fmt.Errorf("job %s is a connector instance, not a task", spec.Job)
		}
		p, err := d.Plugin(plugin.Sink, spec.Class)
		if err != nil {
			return nil, err
		}
		if p.NewSinkTask == nil {
			return nil, connecterr.New(connecterr.General, "%s is not a sink connector", spec.Class)
		}
		return &task{Deps: &d, spec: spec, plugin: p}, nil
	}
}

func orElse(d, other time.Duration) time.Duration {
	if d <= 0 {
		return other
	}
	return d
}

// InstanceID is the static member id of a task: it belongs to the task and not to a run, so that a successor takes its
// place; and the uid makes a connector that was created anew a new member.
func InstanceID(group string, id cluster.JobID) string {
	return fmt.Sprintf("%s-%s-%d", group, id.UID, id.Task)
}
