// Package session is the runner's side of the control plane: it registers, beats, takes assignments and tells what the
// jobs say. It talks to the schedulers over the bus and, when the bus is away, over HTTP.
//
// Nothing here stops a job because the control plane is silent (Invariant 5): jobs are let go of only when a scheduler
// says so, or says that the session is over.
//
// Start reading at Session.Run, then beat.go; outbox.go keeps what is to be told, door.go finds a scheduler.
package session

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/sleep"
	"github.com/millrace/millrace/services/taskrunner/internal/jobs"
)

// Bus is what a session needs of the bus.
type Bus interface {
	Publish(ctx context.Context, to wire.Address, id string, msg []byte) error
	Consume(ctx context.Context, from wire.Address, h func(ctx context.Context, msg []byte) error) error
	Request(ctx context.Context, to wire.Address, msg []byte) ([]byte, error)
	Serve(at wire.Address, h func(ctx context.Context, msg []byte) ([]byte, error)) (stop func(), err error)
	Connected() time.Duration
}

// Jobs is what a session needs of the supervisor.
type Jobs interface {
	Begin(session cluster.SessionID)
	Apply(spec cluster.JobSpec)
	Release(id cluster.JobID, session cluster.SessionID, epoch cluster.Epoch)
	HandOver(ctx context.Context, id cluster.JobID, session cluster.SessionID, epoch cluster.Epoch)
	Holding() jobs.Holding
	Leave()
	Correct(h jobs.Holding, reply cluster.HeartbeatReply) (missing []cluster.JobID)
}

// Options are what a Session is made of.
type Options struct {
	// Registration says who we are; Session and KafkaClusterID are filled in here.
	Registration cluster.Registration
	// Plugins with their definitions; the references in Registration.Plugins are made from them.
	Plugins []cluster.PluginRecord
	// KafkaClusterID tells the broker's cluster id once it is known; nil or "" before.
	KafkaClusterID func() string

	Bus       Bus
	HTTP      *HTTPDoor // nil: no way around the bus
	Jobs      Jobs
	Outbox    *Outbox
	Heartbeat time.Duration // default 1 s
	Resync    time.Duration // between repetitions of what no heartbeat covers; default 1 min, give or take a fifth
	Logger    *slog.Logger
	Metrics   *Metrics // nil = none
}

// Session is one runner's standing with the control plane, through as many session ids as it takes.
type Session struct {
	o        Options
	door     door
	log      *slog.Logger
	draining atomic.Bool
	first    chan struct{} // closed at the first registration
	once     sync.Once     // for first

	mu         sync.Mutex
	id         cluster.SessionID
	registered bool // under id

	toldKafkaID string // with the last registration; only the goroutine of Run touches it
}

// New makes a session; Run starts it.
func New(o Options) *Session {
	if o.Heartbeat <= 0 {
		o.Heartbeat = time.Second
	}
	if o.Resync <= 0 {
		o.Resync = time.Minute
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	for _, p := range o.Plugins {
		o.Registration.Plugins = append(o.Registration.Plugins, p.PluginRef)
	}
	return &Session{o: o, first: make(chan struct{}), door: door{bus: o.Bus, http: o.HTTP, metrics: o.Metrics}, log: o.Logger}
}

// Run keeps the standing until ctx ends.
func (s *Session) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.send(ctx) })
	for ctx.Err() == nil {
		s.oneSession(ctx)
	}
}

// oneSession lives from registration until the control plane says that the session is over.
func (s *Session) oneSession(ctx context.Context) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	id := cluster.SessionID(uuid.NewString())
	log := s.log.With(slog.String(obs.KeySession, string(id)))
	s.o.Outbox.reset()
	s.o.Jobs.Begin(id)
	s.mu.Lock()
	s.id, s.registered = id, false
	s.mu.Unlock()

	// Whoever asks whether we are there must find us before anybody can know of the session.
	stop := s.serve(ctx, wire.RunnerCall(id), s.answer)
	defer stop()
	if !s.register(ctx, id, log) {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer end()
	wg.Go(func() {
		if err := s.o.Bus.Consume(ctx, wire.Runner(id), s.receive); err != nil && ctx.Err() == nil {
			log.Error("can't take assignments from the bus; heartbeats bring them", slog.Any(obs.KeyErr, err))
		}
	})
	s.beats(ctx, id, log)
}

// answer answers a scheduler that asks whether we are there, and a runner that takes a job over from us.
func (s *Session) answer(ctx context.Context, msg []byte) ([]byte, error) {
	e, err := wire.Open(msg)
	if err != nil {
		return nil, cluster.Wrapf(cluster.Invalid, err, "message can't be read")
	}
	if e.Kind == wire.KindRelease {
		r, err := wire.Decode[wire.Release](e, wire.KindRelease)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, handoverTime)
		defer cancel()
		s.o.Jobs.HandOver(ctx, r.Job, r.Session, r.Epoch)
	}
	return wire.Encode(wire.KindAck, e.ID, wire.Ack{})
}

// serve serves an endpoint; without a bus, nobody asks.
func (s *Session) serve(ctx context.Context, at wire.Address, h func(context.Context, []byte) ([]byte, error)) (stop func()) {
	stop, err := s.o.Bus.Serve(at, h)
	if err != nil {
		s.log.Warn("can't answer questions of schedulers", slog.Any(obs.KeyErr, err))
		return func() {}
	}
	return stop
}

// register registers until it succeeds; false when ctx ended first.
func (s *Session) register(ctx context.Context, id cluster.SessionID, log *slog.Logger) bool {
	for try := 0; ; try++ {
		err := s.registerOnce(ctx, id)
		if err == nil {
			s.mu.Lock()
			s.registered = true
			s.mu.Unlock()
			s.once.Do(func() { close(s.first) })
			log.Info("registered", slog.String(obs.KeyRunner, string(s.o.Registration.Runner)))
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		level := slog.LevelDebug
		if try%20 == 5 {
			level = slog.LevelWarn
		}
		log.Log(ctx, level, "no scheduler takes the registration yet", slog.Any(obs.KeyErr, err))
		if !sleep.For(ctx, backoff(try)) {
			return false
		}
	}
}

func (s *Session) registerOnce(ctx context.Context, id cluster.SessionID) error {
	r := s.o.Registration
	r.Session = id
	if s.o.KafkaClusterID != nil {
		r.KafkaClusterID = s.o.KafkaClusterID()
	}
	reply, err := ask[wire.RegisterReply](ctx, s.door, wire.KindRegister, r, wire.KindRegister)
	if err != nil {
		return err
	}
	s.toldKafkaID = r.KafkaClusterID
	return s.define(ctx, reply.Missing)
}

// tellKafkaID registers again when the broker told its cluster's id only after the registration. Registering twice is
// harmless; when it fails, the next heartbeat tries again.
func (s *Session) tellKafkaID(ctx context.Context, id cluster.SessionID, log *slog.Logger) {
	if s.o.KafkaClusterID == nil || s.o.KafkaClusterID() == s.toldKafkaID {
		return
	}
	if err := s.registerOnce(ctx, id); err != nil {
		log.Debug("the id of the Kafka cluster is not told yet", slog.Any(obs.KeyErr, err))
	}
}

// defineAtOnce keeps a message of definitions below the bus's limit.
const defineAtOnce = 8

// define sends the definitions that the store lacks.
func (s *Session) define(ctx context.Context, missing []cluster.PluginRef) error {
	var d wire.Define
	flush := func() error {
		if len(d.Plugins) == 0 {
			return nil
		}
		_, err := ask[wire.Ack](ctx, s.door, wire.KindDefine, d, wire.KindAck)
		d.Plugins = nil
		return err
	}
	for _, m := range missing {
		for _, p := range s.o.Plugins {
			if p.PluginRef == m {
				d.Plugins = append(d.Plugins, p)
			}
		}
		if len(d.Plugins) == defineAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// receive takes a message from the session's queue. Everything in it is a hint: it names session and epoch.
func (s *Session) receive(_ context.Context, msg []byte) error {
	e, err := wire.Open(msg)
	if err != nil {
		return err
	}
	switch e.Kind {
	case wire.KindAssign:
		spec, err := wire.Decode[cluster.JobSpec](e, wire.KindAssign)
		if err != nil {
			return err
		}
		s.o.Jobs.Apply(spec)
	case wire.KindRelease:
		r, err := wire.Decode[wire.Release](e, wire.KindRelease)
		if err != nil {
			return err
		}
		s.o.Jobs.Release(r.Job, r.Session, r.Epoch)
	default:
		return &wire.PoisonError{Reason: "a runner takes no messages of kind " + string(e.Kind)}
	}
	return nil
}

// Registered is closed once the runner has registered for the first time, its plugins' definitions included.
func (s *Session) Registered() <-chan struct{} { return s.first }

// Ready tells whether the runner can take jobs. A silent control plane is no reason to be restarted (NO-3): once it has
// registered, a runner stays ready.
func (s *Session) Ready(context.Context) error {
	select {
	case <-s.first:
		return nil
	default:
		return errors.New("not registered with a scheduler yet")
	}
}
