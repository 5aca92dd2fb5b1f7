package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/millrace/millrace/controlplane/wire"
)

// Handler takes one message of a queue.
type Handler = func(ctx context.Context, msg []byte) error

// A failed message is offered again after retryMin, doubling up to retryMax, give or take a fifth.
const (
	retryMin = 50 * time.Millisecond
	retryMax = 5 * time.Second
)

// errLook ends a round of consuming to see whether the consumer still exists.
var errLook = errors.New("streams may have changed")

// Consume hands the messages of a queue to h, one after another, until ctx ends (then it returns nil) or the bus is
// closed. All who consume the same queue share its messages. nil from h acknowledges; *wire.PoisonError, and a panic,
// set the message aside; any other error offers it again after a growing pause, here or elsewhere, while those behind it
// go on. A message whose ctx ended under h is offered again at once.
func (b *Bus) Consume(ctx context.Context, from wire.Address, h func(ctx context.Context, msg []byte) error) error {
	q, err := queueOf(from)
	if err != nil {
		return err
	}
	if !b.enter() {
		return errClosed()
	}
	defer b.running.Done()
	taking, cancel := join(ctx, b.taking)
	defer cancel()
	handling, cancelHandling := join(ctx, b.hard)
	defer cancelHandling()

	for failed := 0; taking.Err() == nil; {
		changed := b.changes(q.stream)
		took, err := b.consumeRound(taking, handling, q, h)
		switch {
		case taking.Err() != nil:
			continue
		case errors.Is(err, errLook):
			failed = 0
			continue
		case took:
			failed = 0
		}
		// Down is told once by onDown. What is left heals by making consumer and stream again.
		if failed == 0 && b.Connected() > 0 {
			b.log.Warn("consuming is interrupted, will begin again", slog.String("queue", string(from)), slog.Any("err", err))
		}
		select {
		case <-taking.Done():
		case <-changed:
		case <-time.After(reconnectDelay(failed)):
		}
		failed++
	}
	if ctx.Err() == nil {
		return errClosed()
	}
	return nil
}

// consumeRound consumes until something breaks; took tells whether a message came. When it returns, h does not run.
func (b *Bus) consumeRound(taking, handling context.Context, q queue, h Handler) (took bool, err error) {
	c, err := b.makeConsumer(taking, q)
	if err != nil {
		return false, err
	}
	changed := b.changes(q.stream) // from here on: that the stream was made just now is no change
	// Messages come one after another, from one goroutine of the library. What it notices (the consumer is gone, or
	// silent) ends the round: making the consumer again is cheap and always right.
	var busy sync.Mutex
	ending := false
	broken := make(chan error, 1)
	cc, err := c.Consume(func(msg jetstream.Msg) {
		busy.Lock()
		defer busy.Unlock()
		if ending || taking.Err() != nil { // fetched and not begun: others would else wait for ackWait
			if err := msg.Nak(); err != nil {
				b.log.Debug("message not handed back", slog.Any("err", err))
			}
			return
		}
		took = true
		b.handle(handling, q, msg, h)
	}, jetstream.PullMaxMessages(prefetch), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullBeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			select {
			case broken <- err:
			default:
			}
		}))
	if err != nil {
		return false, fmt.Errorf("pulling from %s: %w", q.address, err)
	}
	select {
	case <-taking.Done():
		err = errLook
	case <-changed:
		err = errLook
	case err = <-broken:
	}
	busy.Lock() // waits for a running h
	ending = true
	busy.Unlock()
	closed := cc.Closed()
	if b.nc.IsConnected() {
		cc.Drain()
	} else {
		cc.Stop()
	}
	select {
	case <-closed:
	case <-time.After(flushTimeout):
		cc.Stop()
	}
	return took, err
}

// makeConsumer makes the queue's consumer, and its stream if that is gone, too.
func (b *Bus) makeConsumer(ctx context.Context, q queue) (jetstream.Consumer, error) {
	linked, cancel, err := b.linked(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	c, err := b.js.CreateOrUpdateConsumer(linked, q.stream, consumerConfig(q))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if err := b.makeStream(linked, q.stream); err != nil {
			return nil, err
		}
		c, err = b.js.CreateOrUpdateConsumer(linked, q.stream, consumerConfig(q))
	}
	if err != nil {
		return nil, fmt.Errorf("making the consumer of %s: %w", q.address, err)
	}
	return c, nil
}

// handle runs h for one message and settles it (Invariant 10).
func (b *Bus) handle(ctx context.Context, q queue, msg jetstream.Msg, h Handler) {
	delivered := uint64(1)
	if meta, err := msg.Metadata(); err == nil {
		delivered = meta.NumDelivered
	}
	if delivered > 1 {
		b.metrics.redelivered.WithLabelValues(q.family).Inc()
	}
	working := stillWorking(msg)
	err := safely(func() error {
		b, err := wire.Unpack(msg.Data())
		if err != nil {
			return err
		}
		return h(ctx, b)
	})
	working()

	poison := &wire.PoisonError{}
	var settled error
	switch {
	case err == nil:
		b.metrics.consumed.WithLabelValues(q.family, "ok").Inc()
		settled = msg.Ack()
	case errors.As(err, &poison):
		b.metrics.consumed.WithLabelValues(q.family, "poison").Inc()
		b.setAside(q, msg, poison.Reason)
		settled = msg.Term()
	case ctx.Err() != nil:
		b.metrics.consumed.WithLabelValues(q.family, "error").Inc()
		settled = msg.Nak()
	default:
		b.metrics.consumed.WithLabelValues(q.family, "error").Inc()
		pause := retryPause(delivered)
		b.log.Debug("message will be offered again", slog.String("queue", string(q.address)), slog.String("id", msg.Headers().Get(idHeader)),
			slog.Uint64("delivered", delivered), slog.Duration("pause", pause), slog.Any("err", err))
		settled = msg.NakWithDelay(pause)
	}
	if settled != nil { // it comes again after ackWait, which does no harm (Invariant 1)
		b.log.Debug("message not acknowledged", slog.String("queue", string(q.address)), slog.Any("err", settled))
	}
}

// retryPause is the pause after a message failed for the n-th time.
func retryPause(n uint64) time.Duration {
	d := min(retryMin<<min(n-1, 10), retryMax)
	return d*4/5 + rand.N(d*2/5)
}

// stillWorking tells the server again and again that the message is being worked on, until the returned function is
// called.
func stillWorking(msg jetstream.Msg) (done func()) {
	const every = ackWait / 3
	var t *time.Timer
	ready := make(chan struct{})
	t = time.AfterFunc(every, func() {
		<-ready
		if msg.InProgress() == nil {
			t.Reset(every)
		}
	})
	close(ready)
	return func() { t.Stop() }
}

// safely turns a panic of a handler into a PoisonError: the next attempt would panic, too.
func safely(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &wire.PoisonError{Reason: fmt.Sprintf("handler panicked: %v\n%s", p, debug.Stack())}
		}
	}()
	return f()
}
