// Package relay publishes outbox messages that nobody has published: those of a process that died after its commit, and
// those from the time when the bus was away. It runs on every replica; a claim in the store keeps them apart. Messages
// are taken by state, never by "id above the last" (Invariant 2).
//
// Start reading at Once, one round as a plain function.
package relay

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/obs"
)

// Store is what the relay needs of the store.
type Store interface {
	ClaimOutbox(ctx context.Context, limit int, minAge, claimFor time.Duration) ([]cluster.OutboxMessage, error)
	MarkPublished(ctx context.Context, ids []int64) error
	PruneOutbox(ctx context.Context, maxAge time.Duration) (deleted int, err error)
	OutboxStats(ctx context.Context) (n int, oldest time.Duration, err error)
}

// Bus is what the relay needs of the bus.
type Bus interface {
	Publish(ctx context.Context, to wire.Address, id string, msg []byte) error
	Connected() time.Duration
}

// Config is what a Relay is made of. Store, Bus, Wake and Logger are required; zero durations take defaults.
type Config struct {
	Store  Store
	Bus    Bus
	Wake   func() // tells the leader to look: all that messages to wire.Commands say
	Logger *slog.Logger

	Every    time.Duration // between rounds; 1 s, ± 20 %
	MinAge   time.Duration // younger messages are still their writer's to publish; 1 s
	ClaimFor time.Duration // a claim ends by itself after this long; 10 s
	MaxAge   time.Duration // older messages are dropped: they are hints and the loops have looked since; 15 min

	Metrics *Metrics // nil = none
}

const (
	batch          = 256
	publishTimeout = 2 * time.Second
	atOnce         = 16
	pruneEvery     = 15 * time.Second
)

// Relay publishes what was left behind.
type Relay struct{ cfg Config }

// New makes a relay.
func New(cfg Config) *Relay {
	for _, d := range []struct {
		p   *time.Duration
		def time.Duration
	}{{&cfg.Every, time.Second}, {&cfg.MinAge, time.Second}, {&cfg.ClaimFor, 10 * time.Second}, {&cfg.MaxAge, 15 * time.Minute}} {
		if *d.p == 0 {
			*d.p = d.def
		}
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(nil)
	}
	return &Relay{cfg: cfg}
}

// Once claims a batch, publishes each message by itself and marks those that went out, so that one that can't be
// published holds back no other. It claims nothing while the bus is down. claimed tells whether there may be more.
func (r *Relay) Once(ctx context.Context) (claimed, published int, err error) {
	if r.cfg.Bus.Connected() == 0 {
		return 0, 0, nil
	}
	msgs, err := r.cfg.Store.ClaimOutbox(ctx, batch, r.cfg.MinAge, r.cfg.ClaimFor)
	if err != nil || len(msgs) == 0 {
		return 0, 0, err
	}
	var (
		mu   sync.Mutex // guards sent
		sent []int64
		wg   sync.WaitGroup
	)
	slots := make(chan struct{}, atOnce)
	for _, m := range msgs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := r.publish(ctx, m); err != nil {
				r.cfg.Metrics.failed.Inc()
				r.cfg.Logger.Debug("message not published, will try again", slog.Int64(obs.KeyOutboxID, m.ID), slog.Any(obs.KeyErr, err))
				return
			}
			mu.Lock()
			defer mu.Unlock()
			sent = append(sent, m.ID)
		})
	}
	wg.Wait()
	if len(sent) > 0 {
		r.cfg.Metrics.published.Add(float64(len(sent)))
		err = r.cfg.Store.MarkPublished(ctx, sent)
	}
	return len(msgs), len(sent), err
}

func (r *Relay) publish(ctx context.Context, m cluster.OutboxMessage) error {
	if wire.Address(m.Address) == wire.Commands {
		r.cfg.Wake()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return r.cfg.Bus.Publish(ctx, wire.Address(m.Address), strconv.FormatInt(m.ID, 10), m.Payload)
}

// Tidy deletes what was published or is too old to matter, and measures what is left.
func (r *Relay) Tidy(ctx context.Context) error {
	if _, err := r.cfg.Store.PruneOutbox(ctx, r.cfg.MaxAge); err != nil {
		return err
	}
	return r.measure(ctx)
}

func (r *Relay) measure(ctx context.Context) error {
	n, oldest, err := r.cfg.Store.OutboxStats(ctx)
	if err == nil {
		r.cfg.Metrics.backlog.Set(float64(n))
		r.cfg.Metrics.age.Set(oldest.Seconds())
	}
	return err
}

// Run repeats Once until ctx ends.
func (r *Relay) Run(ctx context.Context) {
	failing := false
	var tidied time.Time
	for {
		claimed, published, err := r.Once(ctx)
		if err == nil && time.Since(tidied) > pruneEvery {
			tidied = time.Now()
			err = r.Tidy(ctx)
		} else if err == nil && claimed > 0 {
			err = r.measure(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if bad := err != nil; bad != failing {
			failing = bad
			if bad {
				r.cfg.Logger.Warn("outbox can't be relayed, will try again", slog.Any(obs.KeyErr, err))
			} else {
				r.cfg.Logger.Info("outbox is relayed again")
			}
		}
		pause := time.Duration(float64(r.cfg.Every) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // jitter
		if claimed == batch && published > 0 {
			pause = pause / 20 // more is waiting; still no storm
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// Metrics are the relay's series.
type Metrics struct {
	published prometheus.Counter
	failed    prometheus.Counter
	backlog   prometheus.Gauge
	age       prometheus.Gauge
}

// NewMetrics registers the series with reg; nil registers nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		published: prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_scheduler_outbox_relayed_total",
			Help: "Outbox messages that the relay published because their writer had not."}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_scheduler_outbox_failures_total",
			Help: "Attempts of the relay to publish a message that failed."}),
		backlog: prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_scheduler_outbox_messages",
			Help: "Unpublished outbox messages."}),
		age: prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_scheduler_outbox_age_seconds",
			Help: "Age of the oldest unpublished outbox message, in seconds. Alarm above 60."}),
	}
	if reg != nil {
		reg.MustRegister(m.published, m.failed, m.backlog, m.age)
	}
	return m
}
