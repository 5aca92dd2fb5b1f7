// Package schedulersvc is the scheduler as a service: one of any number of replicas. Each takes what runners say, answers
// them and publishes what others left behind; one of them leads and decides who runs what.
//
// Start reading at Run, then service.go: the order in which the parts start and close.
package schedulersvc

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/controlplane/pgstore"
	"github.com/millrace/millrace/internal/database"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/lifecycle"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/services/scheduler/internal/signals"
	"github.com/millrace/millrace/services/scheduler/plan"
)

// Config is what a scheduler needs. Postgres, NATS and Logger are required.
type Config struct {
	ID       string // name of this replica in logs and in the lease; the host's name when empty
	Postgres string // URL of the database
	NATS     natsbus.Options

	AdminListen    string // metrics, health, GET /signals; "" for none
	Profiles       bool   // the admin address serves /debug/pprof too
	InternalListen string // where runners come when the bus is away; "" for none
	InternalToken  string // that they must show; "": only loopback is let in

	Plan            plan.Config    // zero: plan.DefaultConfig
	Signals         signals.Config // zero: signals.DefaultConfig
	Heartbeat, Poll time.Duration  // zero: 1 s and 5 s
	Logger          *slog.Logger
	Registerer      prometheus.Registerer // nil: no metrics
	Ready           func(Info)            // called once when everything has been started
}

// Info is what a scheduler that has started says of itself.
type Info struct {
	Admin, Internal string // bound addresses; "" without a listener
}

// Run runs a replica until ctx ends, then drains and returns nil. A database that does not answer is waited for, up to a
// minute; a bus that is away, for ever.
func Run(ctx context.Context, cfg Config) (err error) {
	if cfg.ID == "" {
		if cfg.ID, err = os.Hostname(); err != nil {
			return err
		}
	}
	if cfg.Plan == (plan.Config{}) {
		cfg.Plan = plan.DefaultConfig()
	}
	if cfg.Signals == (signals.Config{}) {
		cfg.Signals = signals.DefaultConfig()
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry() // nobody reads it
	}
	log, _ := obs.Leveled(cfg.Logger)
	cfg.Logger = log
	stack := lifecycle.New(obs.Named(log, obs.LogLifecycle))
	defer func() { // ctx has ended; closing has its own time
		err = errors.Join(err, stack.Close(context.WithoutCancel(ctx)))
	}()
	var (
		st   *pgstore.Store
		b    *natsbus.Bus
		info Info
	)
	for _, step := range []lifecycle.Step{
		{Name: "store", Reason: "the truth", Start: func(ctx context.Context) (lifecycle.CloseFunc, error) {
			if st, err = database.Open(ctx, pgstore.Options{URL: cfg.Postgres, AppName: "millrace-scheduler"}, cfg.Logger); err != nil {
				return nil, err
			}
			return func(context.Context) error { st.Close(); return nil }, nil
		}},
		{Name: "bus", Reason: "everything else talks over it", Start: func(ctx context.Context) (lifecycle.CloseFunc, error) {
			o := cfg.NATS
			o.Name, o.Logger, o.Registerer = "scheduler "+cfg.ID, obs.Named(log, obs.LogBus), cfg.Registerer
			if b, err = natsbus.Connect(ctx, o); err != nil {
				return nil, exitcode.Input(err)
			}
			return b.Close, nil
		}},
	} {
		if err := stack.Start(ctx, step); err != nil {
			return err
		}
	}
	if err := newService(cfg, st, b).start(ctx, stack, &info); err != nil {
		return err
	}
	if cfg.Ready != nil {
		cfg.Ready(info)
	}
	<-ctx.Done()
	cfg.Logger.Info("stopping")
	return nil
}
