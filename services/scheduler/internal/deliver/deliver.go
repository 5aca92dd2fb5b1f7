// Package deliver sends committed outbox messages, best effort, and marks them as published. What it can't send stays in
// the outbox for the relay: nothing here is needed for correctness (Invariant 1), only for speed.
//
// Start reading at Direct, which delivers in the caller's goroutine; Queue does the same in the background.
package deliver

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/obs"
)

// Bus is what delivering needs of the bus.
type Bus interface {
	Publish(ctx context.Context, to wire.Address, id string, msg []byte) error
	Connected() time.Duration
}

// Store is what delivering needs of the store.
type Store interface {
	MarkPublished(ctx context.Context, ids []int64) error
}

// publishTimeout bounds one attempt; the relay repeats.
const publishTimeout = 2 * time.Second

// errDown says that the bus is away, so that trying would only take time.
var errDown = errors.New("bus is not connected")

// Direct delivers in the caller's goroutine, one message after another.
type Direct struct {
	Bus   Bus
	Store Store
	// Wake tells the leader, wherever it is, to look. Messages to wire.Commands say only that, and we are a scheduler
	// ourselves: they take this shorter way and never enter the queue.
	Wake   func()
	Logger *slog.Logger
}

// Deliver sends the messages and marks those that were sent. Failures are only logged.
func (d *Direct) Deliver(ctx context.Context, msgs []cluster.OutboxMessage) {
	var sent []int64
	for _, m := range msgs {
		if err := d.send(ctx, m); err != nil {
			d.Logger.Debug("message left to the relay", slog.Int64(obs.KeyOutboxID, m.ID), slog.Any(obs.KeyErr, err))
			continue
		}
		sent = append(sent, m.ID)
	}
	d.mark(ctx, sent)
}

func (d *Direct) send(ctx context.Context, m cluster.OutboxMessage) error {
	if wire.Address(m.Address) == wire.Commands {
		d.Wake()
		return nil
	}
	if d.Bus.Connected() == 0 {
		return errDown
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return d.Bus.Publish(ctx, wire.Address(m.Address), strconv.FormatInt(m.ID, 10), m.Payload)
}

func (d *Direct) mark(ctx context.Context, ids []int64) {
	if len(ids) == 0 {
		return
	}
	if err := d.Store.MarkPublished(ctx, ids); err != nil {
		// They will be published once more, which is harmless.
		d.Logger.Debug("published messages not marked", slog.Int("messages", len(ids)), slog.Any(obs.KeyErr, err))
	}
}

// The bounds of a Queue. A full queue drops, and the relay takes over.
const (
	queueSize  = 4096
	publishers = 16
	markBatch  = 512
)

// Queue delivers in the background so that nobody waits for the bus.
type Queue struct {
	direct Direct
	in     chan cluster.OutboxMessage
	marks  chan int64
}

// NewQueue makes a queue around d; it does nothing until Run.
func NewQueue(d Direct) *Queue {
	return &Queue{direct: d, in: make(chan cluster.OutboxMessage, queueSize), marks: make(chan int64, queueSize)}
}

// Deliver hands the messages over and returns at once.
func (q *Queue) Deliver(_ context.Context, msgs []cluster.OutboxMessage) {
	for _, m := range msgs {
		if wire.Address(m.Address) == wire.Commands {
			q.direct.Wake() // first of all: somebody is waiting for it
		}
		select {
		case q.in <- m:
		default:
			q.direct.Logger.Debug("delivery queue is full, message left to the relay", slog.Int64(obs.KeyOutboxID, m.ID))
		}
	}
}

// Run delivers until ctx ends, then sends what is waiting, each message with one bounded attempt.
func (q *Queue) Run(ctx context.Context) {
	work := context.WithoutCancel(ctx)
	var pubs sync.WaitGroup
	for range publishers {
		pubs.Go(func() {
			for {
				select {
				case m := <-q.in:
					q.publish(work, m)
				case <-ctx.Done():
					for {
						select {
						case m := <-q.in:
							q.publish(work, m)
						default:
							return
						}
					}
				}
			}
		})
	}
	var marker sync.WaitGroup
	marker.Go(func() { q.markAll(work) })
	pubs.Wait()
	close(q.marks)
	marker.Wait()
}

func (q *Queue) publish(ctx context.Context, m cluster.OutboxMessage) {
	if wire.Address(m.Address) != wire.Commands { // those were delivered by the wake
		if err := q.direct.send(ctx, m); err != nil {
			q.direct.Logger.Debug("message left to the relay", slog.Int64(obs.KeyOutboxID, m.ID), slog.Any(obs.KeyErr, err))
			return
		}
	}
	q.marks <- m.ID
}

// markAll marks what has been sent meanwhile in one statement.
func (q *Queue) markAll(ctx context.Context) {
	for id := range q.marks {
		ids := append(make([]int64, 0, 16), id)
	more:
		for len(ids) < markBatch {
			select {
			case id, ok := <-q.marks:
				if !ok {
					break more
				}
				ids = append(ids, id)
			default:
				break more
			}
		}
		q.direct.mark(ctx, ids)
	}
}
