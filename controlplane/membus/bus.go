package membus

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// serveAtOnce bounds the running handlers of one Serve call; more requests wait.
const serveAtOnce = 64

// heardAtMost bounds the broadcasts that wait for one listener; more are dropped.
const heardAtMost = 1024

// Bus is a client of a Hub with the methods that services use; bustest.Bus documents them.
type Bus struct {
	hub    *Hub
	taking context.Context // ends when Close begins
	stop   context.CancelFunc
	hard   context.Context // ends when Close's time is over
	abort  context.CancelFunc

	mu      sync.Mutex
	closed  bool
	next    int
	leaving map[int]func() // ends what Serve and Listen began
	running sync.WaitGroup
}

// Connect makes a client.
func (h *Hub) Connect() *Bus {
	b := &Bus{hub: h, leaving: map[int]func(){}}
	b.taking, b.stop = context.WithCancel(context.Background())
	b.hard, b.abort = context.WithCancel(context.Background())
	return b
}

func (b *Bus) usable(ctx context.Context) error {
	if b.hard.Err() != nil {
		return errClosed()
	}
	if ctx.Err() != nil {
		return cluster.Wrapf(cluster.Unavailable, ctx.Err(), "no time left for the message bus")
	}
	return nil
}

// Publish puts a message into a queue.
func (b *Bus) Publish(ctx context.Context, to wire.Address, id string, msg []byte) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	return b.hub.publish(to, id, msg)
}

// Forget ends the queue of a session.
func (b *Bus) Forget(ctx context.Context, a wire.Address) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	return b.hub.forget(a)
}

// Broadcast tells whoever listens now.
func (b *Bus) Broadcast(topic wire.Address, msg []byte) error {
	if err := b.usable(context.Background()); err != nil {
		return err
	}
	return b.hub.tell(topic, msg)
}

// Connected tells for how long the hub has been up; 0 when it is down or the client closed.
func (b *Bus) Connected() time.Duration {
	if b.hard.Err() != nil {
		return 0
	}
	return b.hub.connected()
}

// Consume hands the messages of a queue to h until ctx ends, then returns nil.
func (b *Bus) Consume(ctx context.Context, from wire.Address, h func(ctx context.Context, msg []byte) error) error {
	if from.Role() != wire.Queue {
		return cluster.Errorf(cluster.Invalid, "address %q is not a queue", string(from))
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errClosed()
	}
	b.running.Add(1)
	b.mu.Unlock()
	defer b.running.Done()

	handling, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.hard, cancel)()

	offered := make(chan *delivery, 1)
	detach := b.hub.attach(from, &consumer{offer: func(d *delivery) { offered <- d }})
	defer func() {
		detach()
		select {
		case d := <-offered: // not begun: somebody else's
			b.hub.settle(d, errClosed(), true)
		default:
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.taking.Done():
			return errClosed()
		case d := <-offered:
			if ctx.Err() != nil || b.taking.Err() != nil {
				b.hub.settle(d, errClosed(), true)
				continue
			}
			err := safely(func() error { return h(handling, d.item.msg) })
			b.hub.settle(d, err, handling.Err() != nil)
		}
	}
}

// Request asks an endpoint and waits for the answer.
func (b *Bus) Request(ctx context.Context, to wire.Address, msg []byte) ([]byte, error) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, cluster.Wrapf(cluster.Timeout, ctx.Err(), "no answer from %s in time", to)
	}
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	type result struct {
		reply []byte
		err   error
	}
	done := make(chan result, 1)
	giveUp, err := b.hub.ask(to, msg, func(reply []byte, err error) { done <- result{reply, err} })
	if err != nil {
		return nil, err
	}
	select {
	case r := <-done:
		return r.reply, r.err
	case <-b.hard.Done():
		giveUp()
		return nil, errClosed()
	case <-ctx.Done():
		giveUp()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, cluster.Wrapf(cluster.Timeout, ctx.Err(), "no answer from %s in time", to)
		}
		return nil, cluster.Wrapf(cluster.Unavailable, ctx.Err(), "asking %s was given up", to)
	}
}

// Serve answers requests to an endpoint with h until stop, which waits for running handlers.
func (b *Bus) Serve(at wire.Address, h func(ctx context.Context, msg []byte) ([]byte, error)) (stop func(), err error) {
	var busy sync.WaitGroup
	slots := make(chan struct{}, serveAtOnce)
	leave, err := b.begin(func() (func(), error) {
		return b.hub.serve(at, &server{offer: func(msg []byte, answer func([]byte, error)) {
			busy.Go(func() {
				select {
				case slots <- struct{}{}:
				case <-b.hard.Done():
					return
				}
				defer func() { <-slots }()
				answer(answering(func() ([]byte, error) { return h(b.hard, msg) }))
			})
		}})
	})
	if err != nil {
		return nil, err
	}
	return b.keep(func() { leave(); busy.Wait() }), nil
}

// Listen hands broadcasts to h, one after another, until stop.
func (b *Bus) Listen(topic wire.Address, h func(msg []byte)) (stop func(), err error) {
	heard := make(chan []byte, heardAtMost)
	leave, err := b.begin(func() (func(), error) {
		return b.hub.listen(topic, &listener{offer: func(msg []byte) {
			select {
			case heard <- msg:
			default: // best effort
			}
		}})
	})
	if err != nil {
		return nil, err
	}
	ended, end := context.WithCancel(b.hard)
	go func() {
		for {
			select {
			case <-ended.Done():
				return
			case msg := <-heard:
				if ended.Err() == nil {
					_ = safely(func() error { h(msg); return nil }) // a listener that panics hears the next one, too
				}
			}
		}
	}()
	return b.keep(func() { leave(); end() }), nil
}

// begin begins something unless the client is closed.
func (b *Bus) begin(f func() (func(), error)) (func(), error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed()
	}
	return f()
}

// keep makes Close call leave, too; it is called once at most.
func (b *Bus) keep(leave func()) (stop func()) {
	once := sync.OnceFunc(leave)
	b.mu.Lock()
	if b.closed { // meanwhile
		b.mu.Unlock()
		once()
		return once
	}
	defer b.mu.Unlock()
	b.next++
	n := b.next
	b.leaving[n] = once
	return func() {
		b.mu.Lock()
		delete(b.leaving, n)
		b.mu.Unlock()
		once()
	}
}

// Close ends the client: nothing new is taken, running handlers finish, or are told to give up when ctx ends.
func (b *Bus) Close(ctx context.Context) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	leaving := b.leaving
	b.leaving = nil
	b.mu.Unlock()
	defer b.abort()

	b.stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, leave := range leaving {
			leave()
		}
		b.running.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return cluster.Wrapf(cluster.Timeout, ctx.Err(), "message handlers did not end in time")
	}
}
