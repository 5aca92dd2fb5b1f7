// Package herder is what the REST API does: one method per use case. It knows neither HTTP nor SQL nor NATS, only what it
// needs of a store and a bus.
//
// A change is done when the store has committed it, together with a message to the schedulers; sending that message is a
// courtesy (Invariants 1 and 2).
//
// Start reading at Herder, then connectors.go, apply.go, lifecycle.go, offsets.go, plugins.go; views.go has the shapes that are answered.
package herder

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/services/api/internal/feed"
)

// Store is what the api needs of the store; tests/conformance/storetest documents the methods.
type Store interface {
	CreateConnector(ctx context.Context, n cluster.NewConnector) (cluster.Connector, []cluster.OutboxMessage, error)
	PutConnector(ctx context.Context, n cluster.NewConnector) (c cluster.Connector, created bool, out []cluster.OutboxMessage, err error)
	DeleteConnector(ctx context.Context, name string, by cluster.Author) ([]cluster.OutboxMessage, error)
	SetTarget(ctx context.Context, name string, target cluster.TargetState, by cluster.Author) ([]cluster.OutboxMessage, error)
	RequestRestart(ctx context.Context, r cluster.RestartRequest) (cluster.RestartTicket, []cluster.OutboxMessage, error)
	Connector(ctx context.Context, name string) (cluster.ConnectorView, error)
	LastConnector(ctx context.Context, name string) (cluster.Shown, error)
	ActiveTopics(ctx context.Context, name string) ([]string, error)
	ResetTopics(ctx context.Context, name string, by cluster.Author) ([]cluster.OutboxMessage, error)
	FormerTasks(ctx context.Context, name string) (int, error)
	RecordAction(ctx context.Context, name, action, detail string, by cluster.Author) error
	CheckKey(ctx context.Context, o cluster.Once) error
	RecordAnswer(ctx context.Context, o cluster.Once, a cluster.Answer) error
	FindNames(ctx context.Context, q cluster.ConnectorQuery) ([]string, error)
	ListConnectors(ctx context.Context, q cluster.ConnectorQuery) ([]cluster.Shown, error)
	feed.Store
	Plugins(ctx context.Context) ([]cluster.PluginRecord, error)
	KafkaClusterID(ctx context.Context) (string, error)
	MarkPublished(ctx context.Context, ids []int64) error
	Ping(ctx context.Context) error
}

// Bus is what the api needs of the bus.
type Bus interface {
	Publish(ctx context.Context, to wire.Address, id string, msg []byte) error
	Request(ctx context.Context, to wire.Address, msg []byte) ([]byte, error)
	Broadcast(topic wire.Address, msg []byte) error
	Listen(topic wire.Address, h func(msg []byte)) (stop func(), err error)
	Connected() time.Duration
}

// Config is what a Herder is made of.
type Config struct {
	Store  Store
	Bus    Bus
	Logger *slog.Logger // its levels are those that users read and set
	// ValidateTimeout bounds the question to a runner; then the stored definition decides. 0 = 10 s.
	ValidateTimeout time.Duration
	// OffsetsTimeout bounds a question about offsets to a runner. 0 = 60 s.
	OffsetsTimeout time.Duration
	// LeaveTimeout is how long a change of offsets waits for tasks that are just being stopped. 0 = 10 s.
	LeaveTimeout time.Duration
	// NoTopicTracking and NoTopicReset are topic.tracking.enable=false and topic.tracking.allow.reset=false.
	NoTopicTracking, NoTopicReset bool
	// MaxStreams bounds the streams of events at a time. 0 = 256.
	MaxStreams int
}

// Herder is safe for concurrent use. Close it.
type Herder struct {
	store                  Store
	bus                    Bus
	levels                 *obs.Levels
	log                    *slog.Logger
	timeout                time.Duration
	offsets                time.Duration // timeout of questions about them
	leave                  time.Duration
	noTopics, noTopicReset bool
	changes                changes
	feed                   *feed.Feed

	stop, stopLevels func()
	sending          sync.WaitGroup
}

// New makes a herder.
func New(cfg Config) (*Herder, error) {
	h := &Herder{store: cfg.Store, bus: cfg.Bus, timeout: cfg.ValidateTimeout,
		offsets: cfg.OffsetsTimeout, leave: cfg.LeaveTimeout, noTopics: cfg.NoTopicTracking, noTopicReset: cfg.NoTopicReset}
	h.log, h.levels = obs.Leveled(cfg.Logger)
	if h.timeout <= 0 {
		h.timeout = 10 * time.Second
	}
	if h.offsets <= 0 {
		h.offsets = 60 * time.Second
	}
	if h.leave <= 0 {
		h.leave = 10 * time.Second
	}
	h.feed = feed.New(feed.Config{Store: h.store, Changed: h.changes.next, Logger: h.log, Most: cfg.MaxStreams})
	var err error
	if h.stop, err = cfg.Bus.Listen(wire.Events, h.changes.heard); err != nil {
		return nil, err
	}
	if h.stopLevels, err = cfg.Bus.Listen(wire.LogLevels, wire.HearLogLevels(h.levels.Apply)); err != nil {
		h.stop()
		return nil, err
	}
	return h, nil
}

// Close waits until what was committed has been sent, or ctx ends. Streams of events must have been closed.
func (h *Herder) Close(ctx context.Context) error {
	h.stop()
	h.stopLevels()
	done := make(chan struct{})
	go func() { h.sending.Wait(); h.feed.Close(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publishTimeout bounds sending one message; the schedulers' relay sends what was not.
const publishTimeout = 2 * time.Second

// deliver sends committed messages once, without waiting. It tells whether the bus was up: if not, the schedulers find out
// by themselves, a little later.
func (h *Herder) deliver(out []cluster.OutboxMessage) (up bool) {
	h.changes.heard(nil) // whoever watches here need not wait until somebody tells
	if h.bus.Connected() == 0 {
		return false
	}
	if len(out) == 0 {
		return true
	}
	h.sending.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
		defer cancel()
		var sent []int64
		for _, m := range out {
			if err := h.bus.Publish(ctx, wire.Address(m.Address), strconv.FormatInt(m.ID, 10), m.Payload); err != nil {
				h.log.Debug("message left to the relay", slog.Int64(obs.KeyOutboxID, m.ID), slog.Any(obs.KeyErr, err))
				continue
			}
			sent = append(sent, m.ID)
		}
		if len(sent) > 0 {
			if err := h.store.MarkPublished(ctx, sent); err != nil { // they go out once more, which is harmless
				h.log.Debug("published messages not marked", slog.Any(obs.KeyErr, err))
			}
		}
	})
	return true
}

// changes wakes those who wait for a status, or watch.
type changes struct {
	mu   sync.Mutex
	wake chan struct{} // closed at the next change
}

func (c *changes) next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wake == nil {
		c.wake = make(chan struct{})
	}
	return c.wake
}

func (c *changes) heard([]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wake != nil {
		close(c.wake)
		c.wake = nil
	}
}

// lookAgain is how often a condition is looked at when no change is heard of.
const lookAgain = 250 * time.Millisecond

// until looks at a condition after every change that is heard of, and now and then, until it holds or ctx ends.
func (h *Herder) until(ctx context.Context, holds func() (bool, error)) error {
	for {
		wake := h.changes.next()
		ok, err := holds()
		if ok || err != nil {
			return err
		}
		timer := time.NewTimer(lookAgain)
		select {
		case <-wake:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return cluster.Wrapf(cluster.Timeout, ctx.Err(), "Request timed out")
		}
		timer.Stop()
	}
}
