package membus

import (
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// The methods of this file are for a hub with a Clock, driven by one goroutine. What they attach is called by Step and
// Advance, and may call every method of this file but those two.

// Step lets the next thing that is due happen, if one is due by the clock: one message arrives, one handler runs, or one
// timer ends. It tells whether something happened.
func (h *Hub) Step() bool {
	h.mu.Lock()
	happened := h.net.Step(h.now())
	h.unlockAndRun()
	return happened
}

// Pending counts what is under way, waits for its time, or waits for a handler to run.
func (h *Hub) Pending() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.net.Pending()
}

// Next tells when the next thing is due; false when nothing is under way.
func (h *Hub) Next() (time.Time, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.net.Next()
}

// Advance moves the clock by d, letting each thing happen at its time, and says how many happened.
func (h *Hub) Advance(d time.Duration) int {
	until := h.clock.Now().Add(d)
	steps := 0
	for {
		for h.Step() {
			steps++
		}
		due, ok := h.Next()
		if !ok || due.After(until) {
			h.clock.set(until)
			return steps
		}
		h.clock.set(due)
	}
}

// Send is Bus.Publish without waiting.
func (h *Hub) Send(to wire.Address, id string, msg []byte) error { return h.publish(to, id, msg) }

// Tell is Bus.Broadcast.
func (h *Hub) Tell(topic wire.Address, msg []byte) error { return h.tell(topic, msg) }

// Drop is Bus.Forget.
func (h *Hub) Drop(a wire.Address) error { return h.forget(a) }

// Ask is Bus.Request without waiting: done hears the answer, wire.ErrNobody, Unavailable, or Timeout after within.
func (h *Hub) Ask(to wire.Address, msg []byte, within time.Duration, done func(reply []byte, err error)) error {
	var stopTimer func()
	answered := false
	later := func(reply []byte, err error) {
		answered = true
		if stopTimer != nil {
			stopTimer()
		}
		h.after = append(h.after, func() { done(reply, err) })
	}
	giveUp, err := h.ask(to, msg, later)
	if err != nil {
		return err
	}
	h.do(func() {
		if answered {
			return
		}
		stopTimer = h.net.At(h.now().Add(within), func() {
			h.after = append(h.after, func() {
				giveUp()
				done(nil, cluster.Errorf(cluster.Timeout, "no answer from %s in time", to))
			})
		})
	})
	return nil
}

// Attach is Bus.Consume: f handles the messages of a queue, one per step, until detach.
func (h *Hub) Attach(from wire.Address, f func(msg []byte) error) (detach func(), err error) {
	if from.Role() != wire.Queue {
		return nil, cluster.Errorf(cluster.Invalid, "address %q is not a queue", string(from))
	}
	c := &consumer{}
	c.offer = func(d *delivery) {
		h.net.At(h.now(), func() {
			h.after = append(h.after, func() {
				if c.gone {
					h.settle(d, errClosed(), true)
					return
				}
				h.settle(d, safely(func() error { return f(d.item.msg) }), false)
			})
		})
	}
	return h.attach(from, c), nil
}

// Answer is Bus.Serve: f answers requests to an endpoint, one per step, until leave.
func (h *Hub) Answer(at wire.Address, f func(msg []byte) ([]byte, error)) (leave func(), err error) {
	return h.serve(at, &server{offer: func(msg []byte, answer func([]byte, error)) {
		h.after = append(h.after, func() { answer(answering(func() ([]byte, error) { return f(msg) })) })
	}})
}

// Hear is Bus.Listen.
func (h *Hub) Hear(topic wire.Address, f func(msg []byte)) (leave func(), err error) {
	return h.listen(topic, &listener{offer: func(msg []byte) { h.after = append(h.after, func() { f(msg) }) }})
}
