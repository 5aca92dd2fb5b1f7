// Package loop is the leader's round: wake, one snapshot, plan.Compute, one commit that names the leader's term and every
// expected epoch, and delivery of the messages that were committed with it. It decides nothing itself.
//
// Start reading at Look, which is one round as a plain function; Lead repeats it while this replica leads.
package loop

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/services/scheduler/plan"
)

// Store is what the leader needs of the store.
type Store interface {
	Snapshot(ctx context.Context) (cluster.Snapshot, error)
	CommitPlan(ctx context.Context, term cluster.Term, steps []cluster.Decision) ([]cluster.OutboxMessage, error)
	PruneSessions(ctx context.Context, keep time.Duration) (deleted int, err error)
	PruneKeys(ctx context.Context, keep time.Duration) (deleted int, err error)
	PruneEvents(ctx context.Context, maxAge time.Duration, most int) (deleted int, err error)
}

// Bus is what the leader needs of the bus.
type Bus interface {
	Request(ctx context.Context, to wire.Address, msg []byte) ([]byte, error)
	Forget(ctx context.Context, a wire.Address) error
	Connected() time.Duration
}

// Deliverer sends committed messages, best effort.
type Deliverer interface {
	Deliver(ctx context.Context, msgs []cluster.OutboxMessage)
}

// Config is what a Loop is made of. Store, Bus, Deliver, Waker, Plan and Logger are required.
type Config struct {
	Store   Store
	Bus     Bus
	Deliver Deliverer
	Waker   *Waker
	Plan    plan.Config

	Heartbeat time.Duration // between the beats of a runner; 1 s when 0
	Poll      time.Duration // between rounds when nothing happens, ± 20 %; 5 s when 0
	Logger    *slog.Logger
	Metrics   *Metrics // nil = none

	// For tests; nil = plan.Compute and time.Now.
	Compute func(plan.Config, cluster.Snapshot) cluster.Decisions
	Now     func() time.Time
	// Observe, when set, sees every snapshot with its decisions, before they are committed.
	Observe func(cluster.Snapshot, cluster.Decisions)
}

// Loop holds the leader's few observations between rounds. Look and Lead are for one goroutine at a time.
type Loop struct {
	cfg    Config
	prober prober

	since   time.Time // since when this leader has been able to see heartbeats arrive
	holding bool      // the last round was held, so that the change is logged once
	failing bool
}

// New makes a loop.
func New(cfg Config) *Loop {
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = time.Second
	}
	if cfg.Poll == 0 {
		cfg.Poll = 5 * time.Second
	}
	if cfg.Compute == nil {
		cfg.Compute = plan.Compute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(nil)
	}
	l := &Loop{cfg: cfg, prober: prober{bus: cfg.Bus, now: cfg.Now}}
	l.Begin()
	return l
}

// Round is a plan between reading and writing.
type Round struct {
	Snapshot  cluster.Snapshot
	Decisions cluster.Decisions
}

// Begin starts a leadership: silence from before it proves nothing.
func (l *Loop) Begin() {
	l.since = l.cfg.Now()
	l.prober.reset()
}

// Prepare reads and decides; it changes nothing.
func (l *Loop) Prepare(ctx context.Context) (Round, error) {
	snap, err := l.cfg.Store.Snapshot(ctx)
	if err != nil {
		if ctx.Err() == nil {
			l.since = l.cfg.Now() // heartbeats could not be stored either
		}
		return Round{}, err
	}
	l.observe(ctx, &snap)
	begin := time.Now()
	d := l.cfg.Compute(l.cfg.Plan, snap)
	l.cfg.Metrics.planned(time.Since(begin), d)
	return Round{Snapshot: snap, Decisions: d}, nil
}

// observe completes the snapshot by what only the leader can tell.
//
// An age counts only as far as somebody was there to store a heartbeat: the time before this leadership, an outage of
// the store, and one of the bus that silenced everybody prove nothing about a runner (Invariant 5). Only durations of
// this machine and of the database are compared, each with itself (Invariant 9).
func (l *Loop) observe(ctx context.Context, snap *cluster.Snapshot) {
	now := l.cfg.Now()
	trusted := l.cfg.Bus.Connected() >= trustAfter
	if !trusted && len(snap.Runners) > 0 {
		heard := false
		for _, r := range snap.Runners {
			heard = heard || r.State != cluster.SessionLost && r.Age < l.cfg.Plan.SuspectAfter
		}
		if !heard {
			l.since = now
		}
	}
	watched := now.Sub(l.since)
	for i := range snap.Runners {
		snap.Runners[i].Age = min(snap.Runners[i].Age, watched)
	}
	l.prober.remember(snap.Runners)
	if trusted {
		l.prober.mark(ctx, snap.Runners, l.cfg.Heartbeat*13/10)
	}
}

// Finish stores a plan under the term and delivers its messages. Conflict: the world has moved on, look again.
// StaleEpoch: somebody else leads.
func (l *Loop) Finish(ctx context.Context, term cluster.Term, r Round) error {
	l.report(r)
	if len(r.Decisions.Steps) == 0 {
		return nil
	}
	// Invariant 6: the transaction names our term. Invariant 2: what is delivered was committed in it.
	out, err := l.cfg.Store.CommitPlan(ctx, term, r.Decisions.Steps)
	if err != nil {
		l.cfg.Metrics.refused(cluster.CodeOf(err))
		return err
	}
	l.cfg.Metrics.decided(r.Decisions.Steps)
	l.cfg.Deliver.Deliver(ctx, out)
	for _, s := range r.Decisions.Steps {
		l.cfg.Logger.Debug("decided", slog.String("kind", string(s.Kind)), slog.String("why", string(s.Why)),
			slog.String(obs.KeyJob, s.Job.String()), slog.String(obs.KeyRunner, string(s.Runner)),
			slog.String(obs.KeySession, string(s.Session)), slog.Int64(obs.KeyEpoch, int64(s.Epoch)))
		if s.Kind == cluster.Lose {
			l.cfg.Logger.Warn("runner lost, its jobs move", slog.String(obs.KeyRunner, string(s.Runner)),
				slog.String(obs.KeySession, string(s.Session)), slog.String("why", string(s.Why)))
			if err := l.cfg.Bus.Forget(ctx, wire.Runner(s.Session)); err != nil {
				l.cfg.Logger.Debug("queue of a lost session stays", slog.String(obs.KeySession, string(s.Session)), slog.Any(obs.KeyErr, err))
			}
		}
	}
	return nil
}

// report tells of a mass loss, once when it begins and once when it ends.
func (l *Loop) report(r Round) {
	if l.cfg.Observe != nil {
		l.cfg.Observe(r.Snapshot, r.Decisions)
	}
	if h := r.Decisions.Hold; h != l.holding {
		l.holding = h
		if h {
			l.cfg.Logger.Warn("too many runners vanished at once: nothing moves until the grace time ends",
				slog.Duration("grace", l.cfg.Plan.HoldGrace))
		} else {
			l.cfg.Logger.Info("runners are back or given up: jobs move again")
		}
	}
}

// Look is one round. It returns how soon to look again at the latest; 0 = only when something changes.
func (l *Loop) Look(ctx context.Context, term cluster.Term) (time.Duration, error) {
	r, err := l.Prepare(ctx)
	if err != nil {
		return 0, err
	}
	if err := l.Finish(ctx, term, r); err != nil {
		return 0, err
	}
	return l.Next(r), nil
}

// Next tells how soon to look again after a round.
func (l *Loop) Next(r Round) time.Duration {
	next := r.Decisions.WakeAt
	if l.prober.silent() && (next == 0 || next > suspectPoll) {
		next = suspectPoll // so that a killed runner is replaced as soon as the rules allow
	}
	return next
}

const (
	suspectPoll   = 250 * time.Millisecond // between rounds while somebody does not answer
	retryPause    = 250 * time.Millisecond // after a failure of the store
	conflictTries = 8                      // rounds in a row that may lose their race before we pause
	pruneEvery    = time.Minute
	keepSessions  = 10 * time.Minute
	keepEvents    = 24 * time.Hour
	mostEvents    = 100_000
	maxSpacing    = 50 * time.Millisecond
)

// Lead looks again and again until ctx ends (nil) or the term has passed (an error with code StaleEpoch).
func (l *Loop) Lead(ctx context.Context, term cluster.Term) error {
	l.Begin()
	l.cfg.Metrics.lead(term)
	defer l.cfg.Metrics.follow()
	var bg sync.WaitGroup
	defer bg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	bg.Go(func() { l.prober.run(ctx, l.cfg.Heartbeat/2, l.cfg.Waker.Wake) })
	bg.Go(func() { l.prune(ctx) })

	timer := time.NewTimer(0)
	defer timer.Stop()
	conflicts := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.cfg.Waker.C():
		case <-timer.C:
		}
		begin := time.Now()
		next, err := l.Look(ctx, term)
		switch {
		case err == nil:
			conflicts = 0
			if l.failing {
				l.failing = false
				l.cfg.Logger.Info("planning works again")
			}
		case ctx.Err() != nil:
			return nil
		case cluster.Is(err, cluster.StaleEpoch):
			return err
		case cluster.Is(err, cluster.Conflict):
			if conflicts++; conflicts < conflictTries {
				timer.Reset(0)
				continue
			}
			next = retryPause
		default:
			if !l.failing {
				l.failing = true
				l.cfg.Logger.Warn("planning failed, will try again", slog.Any(obs.KeyErr, err))
			}
			next = retryPause
		}
		if next == 0 || next > l.cfg.Poll {
			next = time.Duration(float64(l.cfg.Poll) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // jitter
		}
		// A round costs a read of everything: under a storm of wakes the leader rests half as long as it worked.
		if rest := min(time.Since(begin)/2, maxSpacing); rest > time.Millisecond {
			timer.Reset(rest)
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
			}
		}
		timer.Reset(next)
	}
}

func (l *Loop) prune(ctx context.Context) {
	t := time.NewTicker(pruneEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if _, err := l.cfg.Store.PruneSessions(ctx, keepSessions); err != nil && !errors.Is(err, context.Canceled) {
			l.cfg.Logger.Debug("ended sessions not deleted", slog.Any(obs.KeyErr, err))
		}
		if _, err := l.cfg.Store.PruneKeys(ctx, cluster.KeyLife); err != nil && !errors.Is(err, context.Canceled) {
			l.cfg.Logger.Debug("old request keys not deleted", slog.Any(obs.KeyErr, err))
		}
		if _, err := l.cfg.Store.PruneEvents(ctx, keepEvents, mostEvents); err != nil && !errors.Is(err, context.Canceled) {
			l.cfg.Logger.Debug("old events not deleted", slog.Any(obs.KeyErr, err))
		}
	}
}
