package schedulersvc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/lease"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/lifecycle"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/services/scheduler/internal/deliver"
	"github.com/millrace/millrace/services/scheduler/internal/inbox"
	"github.com/millrace/millrace/services/scheduler/internal/loop"
	"github.com/millrace/millrace/services/scheduler/internal/relay"
	"github.com/millrace/millrace/services/scheduler/internal/signals"
)

// store is what a scheduler needs of the store.
type store interface {
	deliver.Store
	inbox.Store
	loop.Store
	relay.Store
	lease.Store
	Ping(ctx context.Context) error
}

// bus is what a scheduler needs of the bus.
type bus interface {
	Publish(ctx context.Context, to wire.Address, id string, msg []byte) error
	Consume(ctx context.Context, from wire.Address, h func(ctx context.Context, msg []byte) error) error
	Forget(ctx context.Context, a wire.Address) error
	Request(ctx context.Context, to wire.Address, msg []byte) ([]byte, error)
	Serve(at wire.Address, h func(ctx context.Context, msg []byte) ([]byte, error)) (stop func(), err error)
	Broadcast(topic wire.Address, msg []byte) error
	Listen(topic wire.Address, h func(msg []byte)) (stop func(), err error)
	Connected() time.Duration
}

const (
	reportConsumers = 4 // so that reports that arrive together share a transaction
	stepTimeout     = 5 * time.Second
	httpRead        = 10 * time.Second
)

// service is a running scheduler over an open store and bus.
type service struct {
	cfg     Config
	store   store
	bus     bus
	log     *slog.Logger
	leading atomic.Bool
	waker   *loop.Waker
	queue   *deliver.Queue
	inbox   *inbox.Inbox
	loop    *loop.Loop
	relay   *relay.Relay
	board   *signals.Board
}

func newService(cfg Config, st store, b bus) *service {
	s := &service{cfg: cfg, store: st, bus: b, log: cfg.Logger}
	s.waker = loop.NewWaker(b.Broadcast, s.leading.Load)
	s.queue = deliver.NewQueue(deliver.Direct{Bus: b, Store: st, Wake: s.waker.Wake, Logger: obs.Named(cfg.Logger, obs.LogDelivery)})
	s.inbox = inbox.New(inbox.Config{Store: st, Bus: b, Deliver: s.queue, Wake: s.waker.Wake, Logger: obs.Named(cfg.Logger, obs.LogInbox),
		Metrics: inbox.NewMetrics(cfg.Registerer)})
	s.relay = relay.New(relay.Config{Store: st, Bus: b, Wake: s.waker.Wake, Logger: obs.Named(cfg.Logger, obs.LogRelay), Metrics: relay.NewMetrics(cfg.Registerer)})
	s.board = signals.NewBoard(cfg.Signals, cfg.Registerer)
	s.loop = loop.New(loop.Config{Store: st, Bus: b, Deliver: s.queue, Waker: s.waker, Plan: cfg.Plan, Heartbeat: cfg.Heartbeat,
		Poll: cfg.Poll, Logger: obs.Named(cfg.Logger, obs.LogPlanner), Metrics: loop.NewMetrics(cfg.Registerer), Observe: s.board.Observe})
	return s
}

// start starts the parts bottom-up. They are closed in the opposite order: stop planning and resign, finish and
// acknowledge reports, stop the relay; the caller then closes bus and store.
func (s *service) start(ctx context.Context, stack *lifecycle.Stack, info *Info) error {
	steps := []lifecycle.Step{
		{Name: "admin listener", Reason: "health shows from the first moment to the last", Start: func(context.Context) (lifecycle.CloseFunc, error) {
			gatherer, _ := s.cfg.Registerer.(prometheus.Gatherer)
			addr, stop, err := obs.Admin{Addr: s.cfg.AdminListen, Profiles: s.cfg.Profiles, Gatherer: gatherer, Ready: s.ready, Logger: s.log,
				Extra: map[string]http.Handler{"GET /signals": s.board}}.Serve()
			info.Admin = addr
			return stop, err
		}},
		{Name: "delivery", Reason: "what is committed until the end is still sent", Start: lifecycle.Background(s.queue.Run)},
		{Name: "relay", Reason: "needs the bus and the store, nobody needs it", Start: lifecycle.Background(s.relay.Run)},
		{Name: "report writer", Reason: "outlives those who hand it reports", Start: lifecycle.Background(s.inbox.Run)},
		{Name: "report consumers", Reason: "hand reports to the writer and acknowledge what it stored", Start: s.consumers()},
		{Name: "scheduler endpoint", Reason: "answers runners on every replica", Start: func(context.Context) (lifecycle.CloseFunc, error) {
			stop, err := s.bus.Serve(wire.Scheduler, s.inbox.Answer)
			return plain(stop), err
		}},
		{Name: "internal listener", Reason: "answers runners when the bus is away", Start: func(ctx context.Context) (lifecycle.CloseFunc, error) {
			return s.listen(ctx, info)
		}},
		{Name: "log levels", Reason: "may be set for all processes at any time", Start: func(context.Context) (lifecycle.CloseFunc, error) {
			_, levels := obs.Leveled(s.log)
			stop, err := s.bus.Listen(wire.LogLevels, wire.HearLogLevels(levels.Apply))
			return plain(stop), err
		}},
		{Name: "wakes", Reason: "the leader must hear from the start", Start: func(context.Context) (lifecycle.CloseFunc, error) {
			stop, err := s.bus.Listen(wire.Wakes, s.waker.Heard)
			return plain(stop), err
		}},
		{Name: "leadership", Reason: "everything a leader needs is there; resigns first when we stop", Start: lifecycle.Background(s.elect)},
	}
	for _, step := range steps {
		if step.Timeout == 0 {
			step.Timeout = stepTimeout
		}
		if err := stack.Start(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

func (s *service) ready(ctx context.Context) error {
	// Without a bus we still plan and answer by HTTP (NO-3).
	if err := s.store.Ping(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

func plain(stop func()) lifecycle.CloseFunc {
	return func(context.Context) error {
		if stop != nil {
			stop()
		}
		return nil
	}
}

// consumers takes reports and commands, on every replica.
func (s *service) consumers() func(context.Context) (lifecycle.CloseFunc, error) {
	return lifecycle.Background(func(ctx context.Context) {
		var wg sync.WaitGroup
		for range reportConsumers {
			wg.Go(func() { s.consume(ctx, wire.Reports, s.inbox.HandleReport) })
		}
		wg.Go(func() {
			s.consume(ctx, wire.Commands, func(_ context.Context, msg []byte) error {
				if _, err := wire.Open(msg); err != nil {
					return err
				}
				s.waker.Wake() // whatever it says: look (Invariant 1)
				return nil
			})
		})
		wg.Wait()
	})
}

// consume repeats Consume, should it end before we do.
func (s *service) consume(ctx context.Context, from wire.Address, h func(context.Context, []byte) error) {
	for ctx.Err() == nil {
		err := s.bus.Consume(ctx, from, h)
		if ctx.Err() != nil {
			return
		}
		s.log.Warn("consumer ended, will start again", slog.String("queue", string(from)), slog.Any(obs.KeyErr, err))
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// listen opens the internal HTTP door, if it has an address.
func (s *service) listen(ctx context.Context, info *Info) (lifecycle.CloseFunc, error) {
	if s.cfg.InternalListen == "" {
		return plain(nil), nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.cfg.InternalListen)
	if err != nil {
		return nil, fmt.Errorf("listening for runners: %w", err)
	}
	info.Internal = ln.Addr().String()
	srv := &http.Server{Handler: s.inbox.Handler(s.cfg.InternalToken), ReadHeaderTimeout: httpRead, ReadTimeout: 2 * httpRead}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("internal listener ended", slog.Any(obs.KeyErr, err))
		}
	})
	return func(ctx context.Context) error {
		err := srv.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, srv.Close())
		}
		wg.Wait()
		return err
	}, nil
}

// elect wants to lead until ctx ends.
func (s *service) elect(ctx context.Context) {
	lease.Run(ctx, s.store, lease.Options{Holder: s.cfg.ID, Logger: obs.Named(s.log, obs.LogLease)}, s.lead)
}

// lead is what this replica does while it leads.
func (s *service) lead(ctx context.Context, l cluster.LeaderLease) {
	s.leading.Store(true)
	defer s.board.Clear()
	defer s.leading.Store(false)
	log := s.log.With(slog.Int64("term", int64(l.Term)))
	log.Info("leading")
	if err := s.loop.Lead(ctx, l.Term); err != nil {
		log.Warn("leadership has passed to another replica", slog.Any(obs.KeyErr, err))
		return
	}
	log.Info("no longer leading")
}
