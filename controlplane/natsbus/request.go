package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

const (
	// withinHeader says for how long the asker waits, measured by each side's own clock (Invariant 9).
	withinHeader = "Millrace-Within"
	// serveAtOnce bounds the running handlers of one Serve call; more requests wait.
	serveAtOnce = 64
	// Requests that wait beyond these bounds are dropped; their askers hear nothing and ask again.
	serveWaiting      = 4096
	serveWaitingBytes = 32 << 20
	// serveAtMost ends the context of a handler whose asker named no time.
	serveAtMost = time.Minute
)

// Request asks an endpoint and waits for the answer until ctx ends: code Timeout. wire.ErrNobody at once when nobody
// serves it; Unavailable when the bus is away or goes away meanwhile; Invalid when the message is too large.
func (b *Bus) Request(ctx context.Context, to wire.Address, msg []byte) ([]byte, error) {
	if to.Role() != wire.Endpoint {
		return nil, cluster.Errorf(cluster.Invalid, "address %q is not an endpoint", string(to))
	}
	answer, err := b.request(ctx, to, msg)
	result := "ok"
	switch {
	case errors.Is(err, wire.ErrNobody):
		result = "nobody"
	case err != nil:
		result = string(cluster.CodeOf(err))
	}
	b.metrics.requests.WithLabelValues(to.Family(), result).Inc()
	return answer, err
}

func (b *Bus) request(ctx context.Context, to wire.Address, msg []byte) ([]byte, error) {
	linked, cancel, err := b.linked(ctx)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, cluster.Wrapf(cluster.Timeout, ctx.Err(), "no answer from %s in time", to)
		}
		return nil, err
	}
	defer cancel()
	m := &nats.Msg{Subject: callPrefix + string(to), Data: wire.Pack(msg)}
	if d, ok := ctx.Deadline(); ok {
		m.Header = nats.Header{withinHeader: {time.Until(d).String()}}
	}
	answer, err := b.nc.RequestMsgWithContext(linked, m)
	switch {
	case err == nil:
		return wire.Unpack(answer.Data)
	case errors.Is(err, nats.ErrNoResponders):
		return nil, wire.ErrNobody
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, cluster.Wrapf(cluster.Timeout, err, "no answer from %s in time", to)
	case ctx.Err() != nil:
		return nil, cluster.Wrapf(cluster.Unavailable, ctx.Err(), "asking %s was given up", to)
	case errors.Is(err, nats.ErrMaxPayload):
		return nil, cluster.Wrapf(cluster.Invalid, err, "request to %s has %d bytes, more than the bus takes", to, len(msg))
	case b.nc.IsClosed():
		return nil, errClosed()
	}
	return nil, cluster.Wrapf(cluster.Unavailable, err, "the message bus went away while asking %s", to)
}

// service is one running Serve.
type service struct {
	b     *Bus
	at    wire.Address
	h     func(ctx context.Context, msg []byte) ([]byte, error)
	sub   *nats.Subscription
	ended chan struct{} // closed when no more requests come
	slots chan struct{}
	busy  sync.WaitGroup
	once  sync.Once
}

// Serve answers requests to an endpoint with h, up to 64 at once, until stop is called; stop waits for running handlers,
// so it must not be called from one. An error from h, or a panic, is answered as wire.EncodeError. The context of h ends
// when its asker no longer waits. Serving survives lost connections. When Serve returns and the bus is connected,
// requests arrive.
func (b *Bus) Serve(at wire.Address, h func(ctx context.Context, msg []byte) ([]byte, error)) (stop func(), err error) {
	if at.Role() != wire.Endpoint {
		return nil, cluster.Errorf(cluster.Invalid, "address %q is not an endpoint", string(at))
	}
	s := &service{b: b, at: at, h: h, ended: make(chan struct{}), slots: make(chan struct{}, serveAtOnce)}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, errClosed()
	}
	s.sub, err = b.nc.QueueSubscribe(callPrefix+string(at), callGroup, s.take)
	if err != nil {
		b.mu.Unlock()
		return nil, cluster.Wrapf(cluster.Unavailable, err, "serving %s", at)
	}
	s.sub.SetClosedHandler(func(string) { close(s.ended) })
	b.serving[s] = struct{}{}
	b.mu.Unlock()
	if err := s.sub.SetPendingLimits(serveWaiting, serveWaitingBytes); err != nil {
		s.stop()
		return nil, cluster.Wrapf(cluster.Internal, err, "serving %s", at)
	}
	b.settle()
	return s.stop, nil
}

// settle waits until the server has seen a new subscription. When the connection is down it is made when it comes up.
func (b *Bus) settle() {
	if b.nc.IsConnected() {
		if err := b.nc.FlushTimeout(flushTimeout); err != nil {
			b.log.Debug("subscription not confirmed yet", slog.Any("err", err))
		}
	}
}

// stop lets requests that have arrived be answered and takes no more.
func (s *service) stop() {
	s.once.Do(func() {
		var err error
		if s.b.nc.IsConnected() {
			err = s.sub.Drain()
		}
		if !s.b.nc.IsConnected() || err != nil {
			if err := s.sub.Unsubscribe(); err != nil {
				s.b.log.Debug("subscription had ended", slog.Any("err", err))
			}
		}
		s.b.mu.Lock()
		delete(s.b.serving, s)
		s.b.mu.Unlock()
	})
	select {
	case <-s.ended:
		s.busy.Wait()
	case <-s.b.hard.Done(): // Close's time is over
	}
}

// take runs one after another, in the order of arrival.
func (s *service) take(m *nats.Msg) {
	arrived := time.Now()
	select {
	case s.slots <- struct{}{}:
	case <-s.b.hard.Done():
		return
	}
	s.busy.Go(func() {
		defer func() { <-s.slots }()
		s.answer(m, arrived)
	})
}

func (s *service) answer(m *nats.Msg, arrived time.Time) {
	within := serveAtMost
	if d, err := time.ParseDuration(m.Header.Get(withinHeader)); err == nil {
		within = min(d, serveAtMost)
	}
	ctx, cancel := context.WithDeadline(s.b.hard, arrived.Add(within))
	defer cancel()
	if ctx.Err() != nil { // nobody waits any more
		s.b.metrics.served.WithLabelValues(s.at.Family(), "late").Inc()
		return
	}
	result := "ok"
	msg, err := wire.Unpack(m.Data)
	var reply []byte
	if err == nil {
		reply, err = s.call(ctx, msg)
	}
	if ctx.Err() != nil { // nobody waits any more
		s.b.metrics.served.WithLabelValues(s.at.Family(), "late").Inc()
		return
	}
	if err != nil {
		result = "error"
		reply = wire.EncodeError(requestID(msg), err)
	}
	err = m.Respond(wire.Pack(reply))
	if errors.Is(err, nats.ErrMaxPayload) {
		result = "error"
		err = m.Respond(wire.EncodeError(requestID(msg), cluster.Errorf(cluster.Internal, "the answer has %d bytes, more than the bus takes", len(reply))))
	}
	if err != nil {
		result = "unsent"
		s.b.log.Debug("answer not sent", slog.String("endpoint", string(s.at)), slog.Any("err", err))
	}
	s.b.metrics.served.WithLabelValues(s.at.Family(), result).Inc()
}

func (s *service) call(ctx context.Context, msg []byte) (reply []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.b.log.Error("request handler panicked", slog.String("endpoint", string(s.at)), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = cluster.Errorf(cluster.Internal, "answering failed: %v", fmt.Sprint(p))
		}
	}()
	return s.h(ctx, msg)
}

// requestID is the id to answer under; empty when the request can't be read.
func requestID(msg []byte) string {
	e, err := wire.Open(msg)
	if err != nil {
		return ""
	}
	return e.ID
}

// Listen hands broadcasts to h, one after another, until stop is called. h must not block: those behind it are dropped.
func (b *Bus) Listen(topic wire.Address, h func(msg []byte)) (stop func(), err error) {
	if topic.Role() != wire.Topic {
		return nil, cluster.Errorf(cluster.Invalid, "address %q is not a topic", string(topic))
	}
	var stopped atomic.Bool
	sub, err := b.nc.Subscribe(topicPrefix+string(topic), func(m *nats.Msg) {
		if stopped.Load() {
			return
		}
		b.metrics.consumed.WithLabelValues(topic.Family(), "ok").Inc()
		if err := safely(func() error {
			msg, err := wire.Unpack(m.Data)
			if err == nil {
				h(msg)
			}
			return err
		}); err != nil {
			b.log.Error("listener panicked", slog.String("topic", string(topic)), slog.Any("err", err))
		}
	})
	if errors.Is(err, nats.ErrConnectionClosed) {
		return nil, errClosed()
	}
	if err != nil {
		return nil, cluster.Wrapf(cluster.Unavailable, err, "listening to %s", topic)
	}
	b.settle()
	return func() {
		if stopped.Swap(true) {
			return
		}
		if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			b.log.Debug("subscription had ended", slog.Any("err", err))
		}
	}, nil
}
