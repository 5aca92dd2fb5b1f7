// Package apiserver is the REST API as a service: Run wires the store, the bus, the herder and the HTTP server, and drains
// them in the opposite order.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/controlplane/pgstore"
	"github.com/millrace/millrace/controlplane/workerconfig"
	"github.com/millrace/millrace/internal/database"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/lifecycle"
	"github.com/millrace/millrace/internal/obs"
	sdkconfig "github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/services/api/internal/herder"
)

// Config is what an api needs. Postgres, NATS and Logger are required.
type Config struct {
	Postgres string // URL of the database
	NATS     natsbus.Options

	// Worker holds worker properties by their Kafka Connect names; those of the REST server and of topic.tracking are
	// looked at.
	Worker map[string]string
	Listen string // host:port; it wins over the property listeners. 127.0.0.1:8083 when neither is there
	// AllowAnonymous is needed to listen elsewhere than on loopback when nobody has to log in (S8).
	AllowAnonymous bool
	AdminListen    string // metrics and health; "" for none
	Profiles       bool   // the admin address serves /debug/pprof too

	// Connectors are made at the start, as a standalone worker does with those of its command line; one that is there
	// already gets the configuration. If one can't be made, Run ends.
	Connectors []workerconfig.Connector

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	Ready      func(Info)            // called once when requests are taken
}

// Info is what an api that has started says of itself.
type Info struct {
	Addr, Admin string   // bound addresses; Admin is "" without a listener
	URLs        []string // of the REST API, one for each listener
	AdminURLs   []string // of listeners that serve only /admin
}

// DefaultListen is where the API listens unless told otherwise.
const DefaultListen = "127.0.0.1:8083"

const (
	drainTime = 15 * time.Second // for requests that are running
)

// Run serves until ctx ends, then drains and returns nil. A database that does not answer is waited for, up to a minute; a
// bus that is away, for ever.
func Run(ctx context.Context, cfg Config) (err error) {
	log, _ := obs.Leveled(cfg.Logger)
	cfg.Logger = log
	rest, err := restConfig(cfg)
	if err != nil {
		return exitcode.Input(err)
	}
	tracking, err := topicTracking(cfg.Worker)
	if err != nil {
		return exitcode.Input(err)
	}
	stack := lifecycle.New(obs.Named(log, obs.LogLifecycle))
	defer func() { // ctx has ended; closing has its own time
		err = errors.Join(err, stack.Close(context.WithoutCancel(ctx)))
	}()
	var (
		st   *pgstore.Store
		bus  *natsbus.Bus
		h    *herder.Herder
		all  doors
		info Info
		done = make(chan error, len(rest.Listeners)+len(rest.Admin.Listeners))
	)
	for _, step := range []lifecycle.Step{
		{Name: "listeners", Reason: "say that everything is starting, until it has", Timeout: drainTime, Start: func(ctx context.Context) (lifecycle.CloseFunc, error) {
			all, err = serve(ctx, rest, cfg, &info, done)
			return all.close, err
		}},
		{Name: "store", Reason: "the truth", Start: func(ctx context.Context) (lifecycle.CloseFunc, error) {
			if st, err = database.Open(ctx, pgstore.Options{URL: cfg.Postgres, AppName: "millrace-api"}, cfg.Logger); err != nil {
				return nil, err
			}
			return func(context.Context) error { st.Close(); return nil }, nil
		}},
		{Name: "bus", Reason: "commands and validation go over it", Start: func(ctx context.Context) (lifecycle.CloseFunc, error) {
			o := cfg.NATS
			o.Name, o.Logger, o.Registerer = "api", obs.Named(log, obs.LogBus), cfg.Registerer
			if bus, err = natsbus.Connect(ctx, o); err != nil {
				return nil, exitcode.Input(err)
			}
			return bus.Close, nil
		}},
		{Name: "herder", Reason: "sends what was committed until the end", Start: func(context.Context) (lifecycle.CloseFunc, error) {
			h, err = herder.New(herder.Config{Store: st, Bus: bus, Logger: obs.Named(log, obs.LogHerder),
				NoTopicTracking: !tracking.Bool(trackTopics), NoTopicReset: !tracking.Bool(resetTopics)})
			if err != nil {
				return nil, err
			}
			return h.Close, nil
		}},
		{Name: "admin listener", Reason: "shows health before requests come", Start: func(context.Context) (lifecycle.CloseFunc, error) {
			gatherer, _ := cfg.Registerer.(prometheus.Gatherer)
			addr, stop, err := obs.Admin{Addr: cfg.AdminListen, Profiles: cfg.Profiles, Gatherer: gatherer, Ready: h.Health, Logger: cfg.Logger}.Serve()
			info.Admin = addr
			return stop, err
		}},
		{Name: "requests", Reason: "users come last and leave first", Timeout: drainTime, Start: func(context.Context) (lifecycle.CloseFunc, error) {
			all.open(h)
			return all.close, nil
		}},
		{Name: "connectors", Reason: "those of the command line, seen by users from the start", Start: func(ctx context.Context) (lifecycle.CloseFunc, error) {
			return nil, makeConnectors(ctx, h, cfg.Connectors, obs.Named(log, obs.LogHerder))
		}},
	} {
		if err := stack.Start(ctx, step); err != nil {
			return err
		}
	}
	if cfg.Ready != nil {
		cfg.Ready(info)
	}
	select {
	case <-ctx.Done():
		cfg.Logger.Info("stopping")
		return nil
	case err := <-done:
		return fmt.Errorf("serving requests: %w", err)
	}
}

// The worker properties about used topics.
const (
	trackTopics = "topic.tracking.enable"
	resetTopics = "topic.tracking.allow.reset"
)

// topicTracking reads those worker properties; what is noted of topics is the task runners' business.
func topicTracking(worker map[string]string) (sdkconfig.Values, error) {
	def := &sdkconfig.Def{Keys: []sdkconfig.Key{
		{Name: trackTopics, Type: sdkconfig.Boolean, Default: sdkconfig.Default("true")},
		{Name: resetTopics, Type: sdkconfig.Boolean, Default: sdkconfig.Default("true")},
	}}
	v, problems := def.Parse(worker)
	if len(problems) > 0 {
		return nil, fmt.Errorf("worker property: %s", problems[0].Message)
	}
	return v, nil
}
