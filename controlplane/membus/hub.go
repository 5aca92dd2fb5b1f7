// Package membus is the message bus in memory, for tests and simulations: what natsbus does, and on request the harm that
// networks do, repeatable by seed. It passes tests/conformance/bustest.
//
// A Hub is the server. Two ways to use it:
//
//   - Connect gives a Bus with the blocking methods that services expect, by the real clock.
//   - With a Clock the hub stands still until Step or Advance let the next things happen, one after another in the
//     caller's goroutine: a simulation attaches plain functions (sync.go) and stays deterministic.
//
// Start reading at Network (messages under way), then Hub (queues, endpoints, topics), then Bus and sync.go.
package membus

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// The same limits as natsbus has.
const (
	hintAge    = 2 * time.Minute
	remembered = time.Minute
	maxQueued  = 5_000
	maxMessage = 1<<20 - 4<<10
	retryMin   = 50 * time.Millisecond
	retryMax   = 5 * time.Second
)

// Clock is a clock that only Hub.Advance moves.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock makes a clock that stands at now.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now is where the clock stands.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *Clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// Aside is a message that was set aside.
type Aside struct {
	Address wire.Address
	ID      string
	Reason  string
	Msg     []byte
}

// Hub is the bus's server.
type Hub struct {
	clock *Clock // nil: real time, and the hub moves by itself

	mu        sync.Mutex
	net       *Network
	after     []func() // to run once mu is free
	timer     *time.Timer
	upSince   time.Time
	queues    map[wire.Address]*queue
	endpoints map[wire.Address]*ring[*server]
	topics    map[wire.Address][]*listener
	calls     map[*call]struct{}
	seen      map[string]time.Time // repetitions
	aside     []Aside
}

// New makes a hub. With a clock it moves only by Step and Advance; nil means real time.
func New(f Faults, clock *Clock) *Hub {
	h := &Hub{
		clock: clock, net: NewNetwork(f), queues: map[wire.Address]*queue{}, endpoints: map[wire.Address]*ring[*server]{},
		topics: map[wire.Address][]*listener{}, calls: map[*call]struct{}{}, seen: map[string]time.Time{},
	}
	h.upSince = h.now()
	return h
}

func (h *Hub) now() time.Time {
	if h.clock != nil {
		return h.clock.Now()
	}
	return time.Now()
}

// do changes the hub under its lock, and moves it when it moves by itself.
func (h *Hub) do(f func()) {
	h.mu.Lock()
	f()
	if h.clock == nil {
		h.move()
	}
	h.unlockAndRun()
}

func (h *Hub) unlockAndRun() {
	after := h.after
	h.after = nil
	h.mu.Unlock()
	for _, f := range after {
		f()
	}
}

// move lets everything due happen and sets the timer for what comes next. Real time only.
func (h *Hub) move() {
	h.net.Deliver(h.now())
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
	if due, ok := h.net.Next(); ok {
		h.timer = time.AfterFunc(max(time.Until(due), 0), func() { h.do(func() {}) })
	}
}

// Down makes the bus unreachable for everybody; messages and requests under way are lost, what is stored stays.
func (h *Hub) Down() {
	h.do(func() {
		h.net.SetDown(true)
		for c := range h.calls {
			h.finish(c, nil, errAway())
		}
	})
}

// Up ends Down.
func (h *Hub) Up() {
	h.do(func() {
		if h.net.Down() {
			h.net.SetDown(false)
			h.upSince = h.now()
		}
		for _, a := range slices.Sorted(maps.Keys(h.queues)) {
			h.dispatch(h.queues[a])
		}
	})
}

// Cut makes messages, requests and answers to these addresses vanish until Heal.
func (h *Hub) Cut(addresses ...wire.Address) { h.do(func() { h.net.Cut(addresses...) }) }

// Heal ends Cut for these addresses; without any, for all.
func (h *Hub) Heal(addresses ...wire.Address) { h.do(func() { h.net.Heal(addresses...) }) }

// Purge empties all queues, also of messages that somebody is handling or will be offered again. As with
// NATS, ids are still remembered: publish something new.
func (h *Hub) Purge() {
	h.do(func() {
		for _, q := range h.queues {
			q.purge()
		}
	})
}

// SetAside lists the messages that were set aside.
func (h *Hub) SetAside() []Aside {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.aside)
}

// Queued counts the messages that a queue holds, also those being handled.
func (h *Hub) Queued(a wire.Address) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if q := h.queues[a]; q != nil {
		return len(q.held)
	}
	return 0
}

// Lost counts the messages that did not arrive.
func (h *Hub) Lost() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.net.Lost()
}

func (h *Hub) connected() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.net.Down() {
		return 0
	}
	return max(h.now().Sub(h.upSince), 1)
}

// item is a message in a queue.
type item struct {
	id        string
	msg       []byte
	born      time.Time
	delivered int
}

// queue is a queued address. Only items in held count: a purge empties it, whoever still has one has nothing.
type queue struct {
	address   wire.Address
	held      map[*item]struct{}
	ready     []*item
	consumers ring[*consumer]
}

func (q *queue) purge() {
	clear(q.held)
	q.ready = nil
}

// consumer is one Consume call or attached function; it has at most one message at a time.
type consumer struct {
	busy  bool
	gone  bool
	offer func(*delivery) // under the hub's lock; must not block
}

type delivery struct {
	q    *queue
	c    *consumer
	item *item
}

func (h *Hub) queue(a wire.Address) *queue {
	q := h.queues[a]
	if q == nil {
		q = &queue{address: a, held: map[*item]struct{}{}}
		h.queues[a] = q
	}
	return q
}

// publish is Bus.Publish without waiting.
func (h *Hub) publish(to wire.Address, id string, msg []byte) error {
	if to.Role() != wire.Queue {
		return cluster.Errorf(cluster.Invalid, "address %q is not a queue", string(to))
	}
	if len(wire.Pack(msg)) > maxMessage {
		return cluster.Errorf(cluster.Invalid, "message for %s has %d bytes, more than the bus takes", to, len(msg))
	}
	var err error
	h.do(func() {
		if h.net.Down() {
			err = errAway()
			return
		}
		if h.repeats(to, id, msg) {
			return
		}
		msg := slices.Clone(msg)
		h.net.Send(h.now(), to, func() {
			q := h.queue(to)
			it := &item{id: id, msg: msg, born: h.now()}
			q.held[it] = struct{}{}
			q.ready = append(q.ready, it)
			if len(q.ready) > maxQueued {
				delete(q.held, q.ready[0])
				q.ready = q.ready[1:]
			}
			h.dispatch(q)
		})
	})
	return err
}

// repeats tells whether the same message was published within the last minute; without an id nothing repeats.
func (h *Hub) repeats(to wire.Address, id string, msg []byte) bool {
	if id == "" {
		return false
	}
	sum := fnv.New64a()
	_, _ = sum.Write(msg) // a hash takes everything
	key := fmt.Sprintf("%s/%s/%x", to, id, sum.Sum64())
	now := h.now()
	if at, ok := h.seen[key]; ok && now.Sub(at) < remembered {
		return true
	}
	if len(h.seen) >= 10_000 {
		maps.DeleteFunc(h.seen, func(_ string, at time.Time) bool { return now.Sub(at) >= remembered })
	}
	h.seen[key] = now
	return false
}

// dispatch gives ready messages to idle consumers, in turn.
func (h *Hub) dispatch(q *queue) {
	for len(q.ready) > 0 && !h.net.Down() {
		it := q.ready[0]
		_, held := q.held[it]
		if !held || h.now().Sub(it.born) > hintAge {
			delete(q.held, it)
			q.ready = q.ready[1:]
			continue
		}
		c, ok := q.consumers.next(func(c *consumer) bool { return !c.busy })
		if !ok {
			return
		}
		q.ready = q.ready[1:]
		c.busy = true
		it.delivered++
		c.offer(&delivery{q: q, c: c, item: it})
	}
}

// settle ends a delivery with the handler's answer. atOnce offers a failed message again without a pause.
func (h *Hub) settle(d *delivery, err error, atOnce bool) {
	h.do(func() {
		d.c.busy = false
		if _, held := d.q.held[d.item]; held {
			poison := &wire.PoisonError{}
			switch {
			case err == nil:
				delete(d.q.held, d.item)
			case errors.As(err, &poison):
				delete(d.q.held, d.item)
				h.aside = append(h.aside, Aside{Address: d.q.address, ID: d.item.id, Reason: poison.Reason, Msg: d.item.msg})
			case atOnce:
				d.q.ready = append([]*item{d.item}, d.q.ready...)
			default:
				pause := min(retryMin<<min(d.item.delivered-1, 10), retryMax)
				h.net.At(h.now().Add(pause), func() {
					if _, held := d.q.held[d.item]; held {
						d.q.ready = append(d.q.ready, d.item)
						h.dispatch(d.q)
					}
				})
			}
		}
		h.dispatch(d.q)
	})
}

// attach adds a consumer. detach ends it: the hub offers it nothing more.
func (h *Hub) attach(a wire.Address, c *consumer) (detach func()) {
	var q *queue
	h.do(func() {
		q = h.queue(a)
		q.consumers.add(c)
		h.dispatch(q)
	})
	return func() {
		h.do(func() {
			c.gone = true
			q.consumers.remove(c)
		})
	}
}

func (h *Hub) forget(a wire.Address) error {
	if a.Role() != wire.Queue || a == wire.Commands || a == wire.Reports {
		return cluster.Errorf(cluster.Invalid, "queue %q is shared or none and can't be forgotten", string(a))
	}
	var err error
	h.do(func() {
		if h.net.Down() {
			err = errAway()
			return
		}
		if q := h.queues[a]; q != nil {
			q.purge()
			if len(q.consumers.all) == 0 {
				delete(h.queues, a)
			}
		}
	})
	return err
}

func errAway() error { return cluster.Errorf(cluster.Unavailable, "the message bus is away") }

func errClosed() error {
	return cluster.Errorf(cluster.Unavailable, "the message bus connection is closed")
}

// ring hands out its members in turn.
type ring[T comparable] struct {
	all  []T
	turn int
}

func (r *ring[T]) add(x T) { r.all = append(r.all, x) }

func (r *ring[T]) remove(x T) {
	if i := slices.Index(r.all, x); i >= 0 {
		r.all = slices.Delete(r.all, i, i+1)
	}
}

func (r *ring[T]) next(fit func(T) bool) (T, bool) {
	for i := range r.all {
		x := r.all[(r.turn+i)%len(r.all)]
		if fit(x) {
			r.turn = (r.turn + i + 1) % len(r.all)
			return x, true
		}
	}
	var none T
	return none, false
}
