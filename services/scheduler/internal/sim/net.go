package sim

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/services/scheduler/internal/inbox"
)

// network is the bus. Sending only notes the message; the world hands the notes out after each event, in an order that
// does not depend on goroutines, and draws their fate from its seed.
type network struct {
	w    *World
	up   bool
	upAt time.Time

	mu    sync.Mutex // guards noted: the relay and the prober send from several goroutines
	noted []message

	purges int // messages from before a purge are gone
}

type message struct {
	to    wire.Address
	id    string
	body  []byte
	topic bool
	purge int
}

// port is a replica's or the api's connection to the bus.
type port struct {
	w   *World
	cut bool // this machine does not reach the bus
	at  time.Time
}

func (p *port) down() bool { return p.cut || !p.w.net.up }

// Connected implements the bus.
func (p *port) Connected() time.Duration {
	if p.down() {
		return 0
	}
	since := p.w.net.upAt
	if p.at.After(since) {
		since = p.at
	}
	return p.w.now.Sub(since) + time.Nanosecond
}

func (p *port) note(m message) error {
	if p.down() {
		return cluster.Errorf(cluster.Unavailable, "bus is away")
	}
	p.w.net.note(m)
	return nil
}

func (n *network) note(m message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m.purge = n.purges
	n.noted = append(n.noted, m)
}

// Publish implements the bus.
func (p *port) Publish(_ context.Context, to wire.Address, id string, msg []byte) error {
	if p.w.unpublishable == "next" {
		p.w.unpublishable = id
	}
	if p.w.unpublishable != "" && id == p.w.unpublishable {
		return cluster.Errorf(cluster.Invalid, "this message can't be published")
	}
	err := p.note(message{to: to, id: id, body: msg})
	if n, parseErr := strconv.ParseInt(id, 10, 64); err == nil && parseErr == nil {
		p.w.net.mu.Lock()
		p.w.sent[n] = true
		p.w.net.mu.Unlock()
	}
	return err
}

// sink takes messages and sends none.
type sink struct{ *port }

// Publish implements the bus.
func (sink) Publish(context.Context, wire.Address, string, []byte) error { return nil }

// Broadcast implements the bus.
func (p *port) Broadcast(topic wire.Address, msg []byte) error {
	return p.note(message{to: topic, body: msg, topic: true})
}

// Forget implements the bus.
func (p *port) Forget(context.Context, wire.Address) error { return nil }

// Request implements the bus, for pings. It draws nothing: the prober asks from several goroutines.
func (p *port) Request(_ context.Context, to wire.Address, _ []byte) ([]byte, error) {
	if p.down() {
		return nil, cluster.Errorf(cluster.Unavailable, "bus is away")
	}
	for _, r := range p.w.runners {
		if wire.RunnerCall(r.session) != to || !r.alive {
			continue
		}
		switch {
		case r.cut && p.w.now.Sub(r.cutAt) > 10*time.Second:
			return nil, wire.ErrNobody // the server has closed the dead connection
		case r.cut || r.paused:
			return nil, cluster.Errorf(cluster.Timeout, "no answer")
		}
		return wire.Encode(wire.KindAck, "", wire.Ack{})
	}
	return nil, wire.ErrNobody
}

// flush hands out what was noted.
func (n *network) flush() {
	n.mu.Lock()
	noted := n.noted
	n.noted = nil
	n.mu.Unlock()
	slices.SortStableFunc(noted, func(a, b message) int {
		return cmp.Or(cmp.Compare(a.to, b.to), cmp.Compare(a.id, b.id), slices.Compare(a.body, b.body))
	})
	for _, m := range noted {
		n.send(m)
	}
}

func (n *network) send(m message) {
	f := &n.w.faults
	copies := 1
	switch {
	case n.w.chance(f.Loss):
		copies = 0
	case n.w.chance(f.Duplicate):
		copies = 1 + n.w.rng.IntN(max(f.Copies, 1))
	}
	for i := range copies {
		late := n.w.latency()
		if i == 0 && f.LateCopies {
			late = min(late, 2*time.Millisecond)
		}
		n.w.after(late, func() { n.arrive(m, 0) })
	}
}

const retryAfter = 500 * time.Millisecond

func (n *network) arrive(m message, tries int) {
	if m.purge < n.purges {
		return
	}
	again := func() {
		if !m.topic {
			n.w.after(retryAfter<<min(tries, 3), func() { n.arrive(m, tries+1) })
		}
	}
	if !n.up {
		again()
		return
	}
	switch m.to {
	case wire.Wakes:
		for _, r := range n.w.replicas {
			if r.running() && !r.port.cut {
				r.waker.Heard(m.body)
			}
		}
	case wire.Events:
	case wire.Commands:
		if r := n.w.someReplica(false); r != nil {
			r.waker.Wake()
			return
		}
		again()
	case wire.Reports:
		r := n.w.someReplica(false)
		if r == nil {
			again()
			return
		}
		report, err := inbox.OpenReport(m.body)
		if err != nil {
			n.w.fail("a report can't be read: %v", err)
			return
		}
		if err := r.inbox.Store(n.w.ctx, []wire.Report{report})[0]; err != nil {
			again()
		}
	default:
		for _, r := range n.w.runners {
			if wire.Runner(r.session) != m.to || !r.alive || n.w.deaf {
				continue
			}
			if r.cut || !r.registered {
				again()
				return
			}
			r.do(func() { r.receive(m.body) })
		}
	}
}

// ask is a runner's request to any scheduler, over the bus or, when it is away or says nothing, by HTTP. Either answer or
// failed is called, unless the process has ended.
func (r *runner) ask(msg []byte, answer func(wire.Envelope), failed func()) {
	q := &question{w: r.w, r: r, process: r.process, msg: msg, answer: answer, failed: failed}
	if r.cut || !r.w.net.up {
		q.byHTTP()
		return
	}
	q.send(false, q.byHTTP)
}

// askTimeout is how long one way may be silent before a runner tries the next.
const askTimeout = 2 * time.Second

// mostLate is how late a question can be answered: nobody keeps it, as a queue does, but a scheduler may be slow.
const mostLate = 8 * time.Second

type question struct {
	w       *World
	r       *runner
	process int
	msg     []byte
	answer  func(wire.Envelope)
	failed  func()
}

func (q *question) byHTTP() {
	if !q.w.faults.HTTP || q.r.cut && q.w.faults.CutHTTP {
		q.r.later(askTimeout, q.failed)
		return
	}
	q.send(true, q.failed)
}

// send asks by one way; otherwise is called when that brings nothing. A question that was given up may still arrive, once
// or more often: its effect then comes late, and its answer to nobody.
func (q *question) send(byHTTP bool, otherwise func()) {
	w, over := q.w, false
	once := func(f func()) {
		q.r.do(func() {
			if !over && q.r.process == q.process {
				over = true
				f()
			}
		})
	}
	w.after(askTimeout, func() { once(otherwise) })
	if !byHTTP && w.chance(w.faults.Loss) {
		return
	}
	late := min(w.latency(), mostLate)
	if w.faults.LateCopies {
		late = min(late, 2*time.Millisecond)
	}
	w.after(late, func() {
		if !byHTTP && (q.r.cut || !w.net.up) {
			return
		}
		s := w.someReplica(byHTTP)
		if s == nil {
			if byHTTP {
				once(otherwise) // connection refused
			}
			return
		}
		reply := s.inbox.AnswerHTTP(w.ctx, q.msg)
		if !byHTTP && w.chance(w.faults.Loss) {
			return
		}
		w.after(w.latency(), func() {
			if !byHTTP && (q.r.cut || !w.net.up) {
				return
			}
			e, err := wire.Open(reply)
			switch {
			case err != nil:
				w.fail("a scheduler's answer can't be read: %v", err)
			case e.Kind == wire.KindError:
				if _, err := wire.Decode[wire.Ack](e, wire.KindAck); cluster.Is(err, cluster.Invalid) {
					w.fail("a scheduler refuses for good: %v", err)
				}
				once(q.failed) // an answer, if not a good one: no other way is tried
			default:
				once(func() { q.answer(e) })
			}
		})
	})
}
