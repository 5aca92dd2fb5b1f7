// Package runner is the task runner as a service: Run wires the session, the supervisor and the three kinds of job, and
// drains them in the opposite order.
//
// Start reading at Run.
package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/controlplane/workerconfig"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/lifecycle"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/secrets"
	"github.com/millrace/millrace/internal/version"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/jobs"
	"github.com/millrace/millrace/services/taskrunner/internal/restdoor"
	"github.com/millrace/millrace/services/taskrunner/internal/session"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// Config is what a runner needs. Plugins, Worker, Logger and a way to the schedulers are required.
type Config struct {
	// WorkerID is host:port as REST clients see it in worker_id. It should stay the same over restarts. Default: what the
	// worker properties rest.advertised.* and listeners say, else the host's name and port 8083.
	WorkerID string
	Pool     string            // only connectors with this millrace.pool, or with none, run here
	Labels   map[string]string // shown to users
	Capacity int               // most jobs it takes; 0 = no limit

	NATS          natsbus.Options
	SchedulerURLs []string // internal listeners of schedulers, for when the bus is away
	InternalToken string

	// Worker holds worker properties by their Kafka Connect names: bootstrap.servers, key.converter,
	// offset.storage.topic, …
	Worker  map[string]string
	Plugins *plugin.Registry

	// RESTListen is where this runner leads clients to the REST API at APIs, host:port of api processes; "": it does not.
	// AllowAnonymous is needed to listen elsewhere than on loopback: this runner asks nobody to log in.
	RESTListen     string
	APIs           []string
	AllowAnonymous bool

	// ReloadInterval is how often it is looked whether what references in configurations stand for has changed; 0: never.
	ReloadInterval time.Duration

	AdminListen string
	Profiles    bool          // the admin address serves /debug/pprof too
	Heartbeat   time.Duration // default 1 s
	// DrainTimeout is how long a runner that was told to stop waits for its jobs to move elsewhere. What has not moved then
	// is stopped and released. 0: it does not wait.
	DrainTimeout time.Duration
	Logger       *slog.Logger
	Registerer   prometheus.Registerer // nil: no metrics
	// MetricAliases exports Kafka Connect's metrics also by the names of the JMX exporter's sample rules.
	MetricAliases bool
	Ready         func(Info) // called once, when the runner has registered for the first time
}

// WorkerDef defines the worker properties.
func WorkerDef() *config.Def { return worker.Def }

// Info is what a runner that has started says of itself.
type Info struct {
	WorkerID string
	Admin    string // bound address of the admin listener; "" without one
	REST     string // bound address of the door to the REST API; "" without one
}

// DefaultReloadInterval is ReloadInterval where nobody says otherwise.
const DefaultReloadInterval = 30 * time.Second

// How long the parts may take to close.
const (
	closeMargin  = 5 * time.Second
	goodbyeTime  = 3 * time.Second
	restTime     = 5 * time.Second
	kafkaIDEvery = 5 * time.Second
	offsetsTime  = 10 * time.Second // for a change that is under way
)

// Run runs until ctx ends, then drains and returns nil. An error means that the configuration is wrong or a listener can't
// be opened; a bus, scheduler or broker that is away is waited for.
func Run(ctx context.Context, cfg Config) (err error) {
	refs, err := secrets.FromProperties(cfg.Worker, os.LookupEnv, cfg.Logger)
	if err != nil {
		return exitcode.Input(err)
	}
	w, err := worker.Resolved(cfg.Worker, refs)
	if err != nil {
		return exitcode.Input(err)
	}
	if cfg.WorkerID == "" {
		if err := refs.Read(cfg.Worker, func(props map[string]string) error {
			cfg.WorkerID, err = defaultWorkerID(props)
			return err
		}); err != nil {
			return err
		}
	}
	if err := checkConverters(w, cfg.Plugins); err != nil {
		return exitcode.Input(err)
	}
	plugins, err := records(cfg.Plugins.All())
	if err != nil {
		return err
	}
	facts := factsOf(w, refs, cfg.Plugins)
	about, err := workerRecord(facts)
	if err != nil {
		return err
	}
	plugins = append(plugins, about)
	base, levels := obs.Leveled(cfg.Logger)
	base = base.With(slog.String(obs.KeyWorkerID, cfg.WorkerID))
	log := obs.Named(base, obs.LogWorker)
	stack := lifecycle.New(obs.Named(base, obs.LogLifecycle))
	defer func() { // ctx has ended; closing has its own time
		err = errors.Join(err, stack.Close(context.WithoutCancel(ctx)))
	}()

	var (
		bus     *natsbus.Bus
		sup     *jobs.Supervisor
		ses     *session.Session
		info    = Info{WorkerID: cfg.WorkerID}
		kafkaID atomic.Value // string
	)
	kafkaID.Store("")
	outbox := session.NewOutbox()
	kinds, err := newFactories(cfg, w, facts, refs, log)
	if err != nil {
		return exitcode.Input(err)
	}
	grace := w.TaskShutdownTimeout
	series := connectmetrics.New(connectmetrics.Options{Windows: w.MetricWindows, Aliases: cfg.MetricAliases})
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(series)
	}

	for _, step := range []lifecycle.Step{
		{Name: "bus", Reason: "everything else talks over it, up to the goodbye", Start: func(ctx context.Context) (lifecycle.CloseFunc, error) {
			o := cfg.NATS
			o.Name, o.Logger, o.Registerer = "runner "+cfg.WorkerID, obs.Named(base, obs.LogBus), cfg.Registerer
			if bus, err = natsbus.Connect(ctx, o); err != nil {
				return nil, exitcode.Input(err)
			}
			return bus.Close, nil
		}},
		{Name: "log levels", Reason: "may be set for all processes at any time", Start: func(context.Context) (lifecycle.CloseFunc, error) {
			stop, err := bus.Listen(wire.LogLevels, wire.HearLogLevels(levels.Apply))
			return func(context.Context) error { stop(); return nil }, err
		}},
		{Name: "kafka", Reason: "shared clients outlive the jobs that use them", Start: func(ctx context.Context) (lifecycle.CloseFunc, error) {
			return kinds.close, nil
		}},
		{Name: "cluster id", Reason: "asks until the broker answers", Start: lifecycle.Background(func(ctx context.Context) {
			askClusterID(ctx, w, &kafkaID, log)
		})},
		{Name: "goodbye", Reason: "said last, when no job runs and nothing is left to tell", Timeout: goodbyeTime, Start: func(context.Context) (lifecycle.CloseFunc, error) {
			sup = jobs.New(jobs.Options{WorkerID: cluster.RunnerID(cfg.WorkerID), Factory: kinds.factory, Out: outbox, Logger: log,
				Metrics: jobs.NewMetrics(cfg.Registerer), Series: series, Grace: grace, HardStop: grace, TrackTopics: w.TopicTracking,
				Handover: func(ctx context.Context, id cluster.JobID, former cluster.Former) { ses.Handover(ctx, id, former) }})
			sup.CollectStates(cfg.Registerer)
			ses = session.New(session.Options{
				Registration: cluster.Registration{Runner: cluster.RunnerID(cfg.WorkerID), Pool: cfg.Pool, Labels: cfg.Labels,
					Capacity: cfg.Capacity, Version: version.Millrace},
				Plugins: plugins, KafkaClusterID: func() string { return kafkaID.Load().(string) },
				Bus: bus, HTTP: httpDoor(cfg), Jobs: sup, Outbox: outbox, Heartbeat: cfg.Heartbeat, Logger: obs.Named(base, obs.LogSession),
				Metrics: session.NewMetrics(cfg.Registerer)})
			return ses.Goodbye, nil
		}},
		{Name: "admin listener", Reason: "shows how the rest starts and ends", Start: func(context.Context) (lifecycle.CloseFunc, error) {
			gatherer, _ := cfg.Registerer.(prometheus.Gatherer)
			addr, stop, err := obs.Admin{Addr: cfg.AdminListen, Profiles: cfg.Profiles, Gatherer: gatherer, Ready: ses.Ready, Logger: log}.Serve()
			info.Admin = addr
			return stop, err
		}},
		{Name: "rest door", Reason: "leads clients to the api as long as anything works here", Timeout: restTime, Start: func(ctx context.Context) (lifecycle.CloseFunc, error) {
			if cfg.RESTListen == "" {
				return nil, nil
			}
			door, err := restdoor.Open(ctx, restdoor.Options{Listen: cfg.RESTListen, APIs: cfg.APIs, AllowAnonymous: cfg.AllowAnonymous,
				Logger: obs.Named(base, obs.LogRest)})
			if err != nil {
				return nil, err
			}
			info.REST = door.Addr()
			return door.Close, nil
		}},
		{Name: "session", Reason: "still tells how the jobs end", Start: lifecycle.Background(func(ctx context.Context) { ses.Run(ctx) })},
		{Name: "jobs", Reason: "what did not move elsewhere is stopped here", Timeout: 2*grace + closeMargin, Start: func(context.Context) (lifecycle.CloseFunc, error) {
			return sup.Close, nil
		}},
		{Name: "reload", Reason: "starts nothing anew once jobs are to end", Start: lifecycle.Background(func(ctx context.Context) {
			if cfg.ReloadInterval > 0 {
				kinds.reload.run(ctx, cfg.ReloadInterval, sup)
			}
		})},
		{Name: "validation", Reason: "answers as long as we take jobs", Start: func(context.Context) (lifecycle.CloseFunc, error) {
			return kinds.serveValidation(bus)
		}},
		{Name: "offsets", Reason: "the same", Timeout: offsetsTime, Start: func(context.Context) (lifecycle.CloseFunc, error) {
			return kinds.serveOffsets(bus)
		}},
		{Name: "drain", Reason: "the first to hear that we stop: jobs move while they still run", Timeout: cfg.DrainTimeout + closeMargin,
			Start: func(context.Context) (lifecycle.CloseFunc, error) {
				return func(ctx context.Context) error {
					ctx, cancel := context.WithTimeout(ctx, cfg.DrainTimeout)
					defer cancel()
					ses.Drain(ctx)
					return nil
				}, nil
			}},
	} {
		if err := stack.Start(ctx, step); err != nil {
			return err
		}
	}
	select {
	case <-ses.Registered():
		if cfg.Ready != nil {
			cfg.Ready(info)
		}
		<-ctx.Done()
	case <-ctx.Done():
	}
	log.Info("stopping")
	return nil
}

// checkConverters refuses a worker whose own converters are unknown: every connector that names none would fail.
func checkConverters(w worker.Config, plugins *plugin.Registry) error {
	for _, c := range []struct {
		key, class string
		kind       plugin.Kind
	}{
		{"key.converter", w.KeyConverter.Class, plugin.Converter},
		{"value.converter", w.ValueConverter.Class, plugin.Converter},
		{"header.converter", w.HeaderConverter.Class, plugin.HeaderConverter},
	} {
		if _, err := plugins.Find(c.kind, c.class); err != nil {
			return connecterr.Wrap(connecterr.Config, err, "Invalid value %s for configuration %s: Class %s could not be found", c.class, c.key, c.class)
		}
	}
	return nil
}

func httpDoor(cfg Config) *session.HTTPDoor {
	if len(cfg.SchedulerURLs) == 0 {
		return nil
	}
	urls := make([]string, len(cfg.SchedulerURLs))
	for i, u := range cfg.SchedulerURLs {
		urls[i] = strings.TrimRight(u, "/")
	}
	return &session.HTTPDoor{URLs: urls, Token: cfg.InternalToken}
}

func defaultWorkerID(props map[string]string) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("the worker id is not set and the host has no name: %w", err)
	}
	id, _, err := workerconfig.WorkerID(props, host)
	return id, exitcode.Input(err)
}
