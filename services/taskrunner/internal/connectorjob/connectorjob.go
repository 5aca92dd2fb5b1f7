// Package connectorjob runs connector instances: it starts the plugin, asks it to split its work, and follows the target
// state. The rules are those of a Kafka Connect worker's connector.
//
// Start reading at New, then Instance.Run; split.go turns the plugin's answer into task configs that can be stored.
package connectorjob

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/source"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

// Deps are what connector instances need of their runner.
type Deps struct {
	// Find finds a connector plugin by the name in connector.class.
	Find func(class string) (*plugin.Plugin, error)
	// Resolve replaces references in a stored configuration by their values.
	Resolve func(cluster.Config) (map[string]string, error)
	// Offsets reads the committed source offsets of a connector; nil gives connectors none.
	Offsets func(name string, config map[string]string) source.OffsetReader
	// CheckSource judges a source's configuration, with references resolved, before the connector starts; nil passes all.
	CheckSource func(config map[string]string) error
	// FencedSources tells that source tasks write in transactions, so that Kafka fences them.
	FencedSources bool
	// StopTimeout bounds the plugin's Stop; default 5 s, as in Kafka Connect.
	StopTimeout time.Duration
	Logger      *slog.Logger
}

// New makes the factory of connector instances.
func New(d Deps) job.Factory {
	if d.StopTimeout <= 0 {
		d.StopTimeout = 5 * time.Second
	}
	return func(spec cluster.JobSpec) (job.Instance, error) {
		p, err := d.Find(spec.Class)
		if err != nil {
			return nil, err
		}
		return &instance{d: d, plugin: p, log: d.Logger.With(slog.String(obs.KeyConnector, spec.Name))}, nil
	}
}

// instance is one run. Its fields belong to the goroutine of Run.
type instance struct {
	d      Deps
	plugin *plugin.Plugin
	log    *slog.Logger

	conn    connector.Connector // nil unless started
	config  map[string]string   // resolved
	again   chan struct{}       // cap 1: split again
	raised  chan error          // cap 1
	failed  bool                // RaiseError was called; only a stop or a restart helps
	retries int
	retry   <-chan time.Time
}

// Run implements job.Instance.
func (in *instance) Run(take, do context.Context, env job.Env) (err error) {
	env.Report.Version(in.plugin.Version)
	count := env.Counting()
	count.Type(string(in.plugin.Kind))
	count.Plugin("connector", in.plugin.Class, in.plugin.Version)
	in.again, in.raised = make(chan struct{}, 1), make(chan error, 1)
	defer func() {
		if stopErr := in.stop(do); stopErr != nil && err == nil {
			in.log.Warn("connector failed while it was stopping", slog.Any(obs.KeyErr, stopErr))
		}
	}()
	// What the plugin is doing ends with the job.
	work, cancel := context.WithCancel(take)
	defer cancel()
	for {
		select {
		case <-take.Done():
			return nil
		case target := <-env.Target:
			if err := in.follow(work, do, env, target); err != nil {
				if take.Err() != nil {
					return nil
				}
				return err
			}
		case <-in.again:
			if in.conn != nil {
				if err := in.split(work, env); err != nil {
					return err
				}
			}
		case <-in.retry:
			in.retry = nil
			if in.conn != nil {
				if err := in.split(work, env); err != nil {
					return err
				}
			}
		case raised := <-in.raised:
			in.failed = true
			in.log.Error("connector raised an error", slog.Any(obs.KeyErr, raised))
			env.Report.Failed(raised)
		}
	}
}

// follow brings the plugin to a target state.
func (in *instance) follow(work, do context.Context, env job.Env, target cluster.TargetState) error {
	if in.failed && target != cluster.Stopped {
		return nil // as in Kafka Connect, a failed connector can only be stopped or restarted
	}
	switch target {
	case cluster.Started:
		if in.conn == nil {
			if err := in.start(work, env.Spec); err != nil {
				return err
			}
		}
		env.Report.State(cluster.StateRunning)
		return in.split(work, env)
	case cluster.Paused:
		if err := in.stop(do); err != nil {
			return err
		}
		env.Report.State(cluster.StatePaused)
	case cluster.Stopped:
		if err := in.stop(do); err != nil { // logged; the state is STOPPED all the same
			in.log.Warn("connector failed while it was stopping", slog.Any(obs.KeyErr, err))
		}
		in.failed = false
		env.Report.State(cluster.StateStopped)
	}
	return nil
}

func (in *instance) start(ctx context.Context, spec cluster.JobSpec) error {
	config, err := in.d.Resolve(spec.Config)
	if err != nil {
		return err
	}
	in.config = config
	cc := &connectorContext{in: in, log: obs.Named(in.log, in.plugin.Class)}
	if in.plugin.Kind == plugin.Source && in.d.Offsets != nil {
		cc.offsets = in.d.Offsets(spec.Name, config)
	}
	cc.config = config
	if in.plugin.Kind == plugin.Source && in.d.CheckSource != nil {
		if err := in.d.CheckSource(config); err != nil {
			return err
		}
	}
	in.conn = in.plugin.NewConnector()
	return in.conn.Start(ctx, cc)
}

func (in *instance) stop(do context.Context) error {
	if in.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(do, in.d.StopTimeout)
	defer cancel()
	conn := in.conn
	in.conn, in.retry, in.retries = nil, nil, 0
	return conn.Stop(ctx)
}

// The pauses between attempts to split, as in Kafka Connect.
const (
	splitRetry    = 250 * time.Millisecond
	splitRetryMax = time.Minute
)

// split asks the plugin for its task configs and reports them. A plugin that fails is asked again later; one that makes
// more tasks than allowed fails.
func (in *instance) split(ctx context.Context, env job.Env) error {
	spec := env.Spec
	tasksMax, err := tasksMax(in.config, spec.Config)
	if err != nil {
		return err
	}
	configs, err := in.conn.TaskConfigs(ctx, tasksMax)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		pause := min(splitRetry<<min(in.retries, 8), splitRetryMax)
		pause += rand.N(pause/4 + 1)
		in.retries++
		in.log.Error("connector could not make its task configs, will ask again", slog.Any(obs.KeyErr, err), slog.Duration("after", pause))
		in.retry = time.After(pause)
		return nil
	}
	in.retry, in.retries = nil, 0
	if err := checkCount(spec.Name, in.config, len(configs), tasksMax, in.log); err != nil {
		return err
	}
	tasks := make([]cluster.Config, len(configs))
	for i, c := range configs {
		tasks[i] = taskConfig(c, in.plugin.TaskClass, spec.Config, in.config)
	}
	env.Report.TaskConfigs(spec.ConfigVersion, tasks, in.plugin.Kind == plugin.Sink || in.d.FencedSources)
	return nil
}

func tasksMax(config map[string]string, raw cluster.Config) (int, error) {
	text, ok := config["tasks.max"]
	if !ok {
		return 1, nil
	}
	n, err := strconv.Atoi(text)
	if shown, _ := raw.Get("tasks.max"); (err != nil || n < 1) && shown != text { // it may be a secret
		text = shown
	}
	if err != nil || n < 1 {
		return 0, connecterr.New(connecterr.Config, "Invalid value %s for configuration tasks.max: must be a whole number of at least 1", text)
	}
	return n, nil
}

// connectorContext is what the plugin sees of us. It may be called from any goroutine, also after the plugin stopped.
type connectorContext struct {
	in      *instance
	config  map[string]string
	log     *slog.Logger
	offsets source.OffsetReader
}

func (c *connectorContext) Config() map[string]string    { return c.config }
func (c *connectorContext) Logger() *slog.Logger         { return c.log }
func (c *connectorContext) Offsets() source.OffsetReader { return c.offsets }

func (c *connectorContext) RequestTaskReconfiguration() {
	select {
	case c.in.again <- struct{}{}:
	default:
	}
}

func (c *connectorContext) RaiseError(err error) {
	select {
	case c.in.raised <- err:
	default: // the first one tells why
	}
}
