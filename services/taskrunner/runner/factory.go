package runner

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/secrets"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/source"
	"github.com/millrace/millrace/services/taskrunner/internal/connectorjob"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
	"github.com/millrace/millrace/services/taskrunner/internal/parking"
	"github.com/millrace/millrace/services/taskrunner/internal/pipeline"
	"github.com/millrace/millrace/services/taskrunner/internal/sinktask"
	"github.com/millrace/millrace/services/taskrunner/internal/sourcetask"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// factories makes the three kinds of job.
type factories struct {
	plugins *plugin.Registry
	worker  worker.Config
	facts   cluster.Worker
	secrets *secrets.Resolver
	offsets *offsets.Set
	parking *parking.Lot
	log     *slog.Logger
	reload  *reloader

	instance, sink, source job.Factory
}

func newFactories(cfg Config, w worker.Config, facts cluster.Worker, refs *secrets.Resolver, log *slog.Logger) (*factories, error) {
	f := &factories{plugins: cfg.Plugins, worker: w, facts: facts, secrets: refs, log: log, reload: newReloader(refs, log)}
	consumer, err := w.WorkerConsumer()
	if err != nil {
		return nil, err
	}
	admin, err := w.Worker()
	if err != nil {
		return nil, err
	}
	f.offsets = offsets.NewSet(offsets.Options{Topic: w.OffsetsTopic, Partitions: w.OffsetsPartitions, Replication: w.OffsetsReplication,
		Consumer: consumer, Admin: admin, Logger: obs.Named(log, obs.LogOffsets)}, w.ExactlyOnce)

	f.parking = parking.New(parking.Options{Idle: w.ParkingIdle, Keep: w.ParkingKeep, Logger: obs.Named(log, obs.LogParking), Registerer: cfg.Registerer})

	f.instance = connectorjob.New(connectorjob.Deps{Find: cfg.Plugins.Connector, Resolve: f.resolve, FencedSources: w.ExactlyOnce, CheckSource: f.checkSource, Logger: obs.Named(log, obs.LogConnector),
		Offsets: func(name string, config map[string]string) source.OffsetReader {
			return offsets.Lazy(func() (*offsets.Home, error) { return f.home(name, config) })
		}})
	f.sink = sinktask.New(sinktask.Deps{Plugin: cfg.Plugins.Find, Resolve: f.resolve, ConsumerConfig: w.Consumer, Parking: f.parking,
		FlushInterval: w.FlushInterval, FlushTimeout: w.FlushTimeout, ShutdownTimeout: w.TaskShutdownTimeout, Logger: obs.Named(log, obs.LogSinkTask),
		Pipeline: func(ctx context.Context, s sinktask.Settings) (sinktask.Pipeline, error) {
			p, err := pipeline.New(pipeline.Options{Find: cfg.Plugins.Find, Worker: w, Config: s.Config, Connector: s.Spec.Name, Task: s.Spec.Job.Task, Used: s.Topics.Use,
				Metrics: s.Metrics, Logger: s.Logger, DeadLetters: func(topic string, replication int) (pipeline.DeadLetters, error) {
					return f.deadLetters(ctx, s, kafkaio.Topic{Name: topic, Partitions: 1, Replication: replication})
				}})
			if err != nil {
				return nil, err
			}
			return p, nil
		}})
	sources := sourcetask.Deps{Plugin: cfg.Plugins.Find, Resolve: f.resolve,
		Offsets: func(s sourcetask.Settings) (sourcetask.Offsets, error) {
			h, err := f.home(s.Spec.Name, s.Config)
			if err != nil {
				return nil, err // not h: a nil in an interface is not nil
			}
			return h, nil
		},
		FlushInterval: w.FlushInterval, FlushTimeout: w.FlushTimeout, ShutdownTimeout: w.TaskShutdownTimeout, Logger: obs.Named(log, obs.LogSourceTask), Parking: f.parking,
		Producer: func(s sourcetask.Settings, transactionalID string) (sourcetask.Producer, error) {
			client, err := w.Producer(s.Config, s.Spec.Job, s.Spec.Name, false)
			if err != nil {
				return nil, err
			}
			p, err := kafkaio.NewProducer(context.Background(), kafkaio.ProducerConfig{Client: client, TransactionalID: transactionalID, Logger: s.Logger})
			if err != nil {
				return nil, err // not p: a nil in an interface is not nil
			}
			return p, nil
		},
		Pipeline: func(s sourcetask.Settings) (sourcetask.Pipeline, error) {
			p, err := pipeline.New(pipeline.Options{Find: cfg.Plugins.Find, Worker: w, Config: s.Config, Connector: s.Spec.Name, Task: s.Spec.Job.Task, Metrics: s.Metrics, Logger: s.Logger})
			if err != nil {
				return nil, err
			}
			return p, nil
		},
		Topics: f.topics}
	if w.ExactlyOnce {
		sources.TransactionalID = w.TransactionalID
		sources.Logger = obs.Named(log, obs.LogExactlyOnce)
	}
	f.source = sourcetask.New(sources)
	return f, nil
}

// home finds where a source connector's offsets are.
func (f *factories) home(name string, config map[string]string) (*offsets.Home, error) {
	consumer, err := f.worker.Consumer(config, cluster.JobID{Task: cluster.InstanceTask}, name)
	if err != nil {
		return nil, err
	}
	admin, err := f.worker.Admin(config, cluster.JobID{Task: cluster.InstanceTask}, name)
	if err != nil {
		return nil, err
	}
	return f.offsets.Home(name, config, offsets.Clients{Consumer: consumer, Admin: admin}), nil
}

// factory makes the instance of any job.
func (f *factories) factory(spec cluster.JobSpec) (job.Instance, error) {
	f.reload.starting(spec)
	in, err := f.make(spec)
	if err != nil {
		return nil, hide(err, func() []string { return f.secrets.Values(spec.Config) })
	}
	return newDiscreet(in, f.secrets, spec), nil
}

func (f *factories) make(spec cluster.JobSpec) (job.Instance, error) {
	if err := f.checkVersion(spec); err != nil {
		return nil, err
	}
	if spec.Job.IsInstance() {
		return f.instance(spec)
	}
	p, err := f.plugins.Connector(spec.Class)
	if err != nil {
		return nil, connecterr.Wrap(connecterr.General, err, "Failed to start task %s-%d since it is not a recognizable type (source or sink)", spec.Name, spec.Job.Task)
	}
	spec.Class = p.Class
	if p.Kind == plugin.Sink {
		return f.sink(spec)
	}
	return f.source(spec)
}

// checkVersion refuses to run another version of a connector than its configuration asks for.
func (f *factories) checkVersion(spec cluster.JobSpec) error {
	x := f.plugins.Index()
	i, err := x.Connector(spec.Class)
	if _, given := spec.Config.Get("connector.plugin.version"); err != nil || !given {
		return nil // what makes the instance says so
	}
	config, err := f.resolve(spec.Config)
	if err != nil {
		return err
	}
	asked, err := plugin.ParseRange(config["connector.plugin.version"])
	if err == nil && !asked.Contains(x.At(i).Version) {
		_, err = x.Match(i, asked)
	}
	return err
}

func (f *factories) close(ctx context.Context) error {
	f.offsets.Close()
	return f.parking.Close(ctx)
}

// deadLetters makes a sink task's dead letter queue.
func (f *factories) deadLetters(ctx context.Context, s sinktask.Settings, topic kafkaio.Topic) (pipeline.DeadLetters, error) {
	if err := f.ensureDeadLetters(ctx, s, topic); err != nil {
		return nil, err
	}
	client, err := f.worker.Producer(s.Config, s.Spec.Job, s.Spec.Name, true)
	if err != nil {
		return nil, err
	}
	return pipeline.NewQueue(topic.Name, func() (pipeline.Producer, error) {
		p, err := kafkaio.NewProducer(context.Background(), kafkaio.ProducerConfig{Client: client, Logger: s.Logger})
		if err != nil {
			return nil, err // not p: a nil in an interface is not nil
		}
		return p, nil
	}, s.Logger, s.Metrics)
}

// deadLettersTime is how long a task waits at its start for Kafka to say that the topic of its dead letter queue is there.
const deadLettersTime = 30 * time.Second

// ensureDeadLetters makes the topic of a dead letter queue unless it is there. A Kafka that does not answer is no reason to
// fail: the task goes on trying to read, and what it can't set aside it does not commit.
func (f *factories) ensureDeadLetters(ctx context.Context, s sinktask.Settings, topic kafkaio.Topic) error {
	client, err := f.worker.DeadLetterAdmin(s.Config, s.Spec.Job, s.Spec.Name)
	if err != nil {
		return err
	}
	admin, err := kafkaio.NewAdmin(client, s.Logger)
	if err != nil {
		return err
	}
	defer admin.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is under way
	ctx, cancel := context.WithTimeout(ctx, deadLettersTime)
	defer cancel()
	err = pipeline.EnsureTopic(ctx, admin, topic, s.Logger)
	if connecterr.IsRetriable(err) {
		s.Logger.WarnContext(ctx, "whether the topic of the dead letter queue is there is not known, since Kafka does not answer", slog.String(obs.KeyTopic, topic.Name), slog.Any(obs.KeyErr, err))
		return nil
	}
	return err
}

// checkSource is what Kafka Connect checks of a source before it starts it: how its topics are made.
func (f *factories) checkSource(config map[string]string) error {
	if !f.worker.TopicCreation {
		return nil
	}
	_, err := sourcetask.TopicGroups(config)
	return err
}

// topics makes what creates a source's topics, if its connector says how.
func (f *factories) topics(s sourcetask.Settings) (sourcetask.Topics, error) {
	if !f.worker.TopicCreation {
		return nil, nil
	}
	groups, err := sourcetask.TopicGroups(s.Config)
	if err != nil || groups == nil {
		return nil, err
	}
	client, err := f.worker.Admin(s.Config, s.Spec.Job, s.Spec.Name)
	if err != nil {
		return nil, err
	}
	return sourcetask.NewTopics(groups, func() (sourcetask.Admin, error) {
		a, err := kafkaio.NewAdmin(client, s.Logger)
		if err != nil {
			return nil, err // not a: a nil in an interface is not nil
		}
		return a, nil
	}, client["bootstrap.servers"], s.Logger)
}

// resolve is a configuration as plugins see it: without nulls, and with what references stand for.
func (f *factories) resolve(c cluster.Config) (map[string]string, error) {
	resolved, err := f.secrets.Resolve(c)
	return resolved.Plain(), err
}

// askClusterID asks the broker for its cluster's id until it answers.
func askClusterID(ctx context.Context, w worker.Config, id *atomic.Value, log *slog.Logger) {
	for ctx.Err() == nil {
		err := func() error {
			client, err := w.Worker()
			if err != nil {
				return err
			}
			admin, err := kafkaio.NewAdmin(client, log)
			if err != nil {
				return err
			}
			defer admin.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is under way
			asking, cancel := context.WithTimeout(ctx, kafkaIDEvery)
			defer cancel()
			got, err := admin.ClusterID(asking)
			if err == nil {
				id.Store(got)
			}
			return err
		}()
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			log.Warn("Kafka does not answer yet", slog.Any(obs.KeyErr, err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}
