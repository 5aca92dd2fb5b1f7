package membus

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/millrace/millrace/controlplane/wire"
)

// Faults say how badly a Network behaves. The zero value is a perfect one. The same seed and the same calls give the same
// fates.
type Faults struct {
	Seed      uint64
	Drop      float64       // share of messages that vanish
	Duplicate float64       // share that arrives twice
	Reorder   float64       // share that may be overtaken by those sent later to the same address
	Delay     time.Duration // each message takes up to this long
}

// Network is the heart of the bus: messages under way and timers, in the order in which they are due. It has no
// goroutine, no lock and no clock of its own; a simulation can drive one by itself.
type Network struct {
	faults Faults
	rng    *rand.Rand
	seq    uint64
	events events
	last   map[wire.Address]time.Time // when the last ordered message to an address is due
	cut    map[wire.Address]bool
	down   bool
	lost   int
}

// NewNetwork makes a network.
func NewNetwork(f Faults) *Network {
	return &Network{
		faults: f, rng: rand.New(rand.NewPCG(f.Seed, 0x6d696c6c72616365)), last: map[wire.Address]time.Time{}, cut: map[wire.Address]bool{},
	}
}

// Send lets a message to an address go its way: arrive is called once it is due, never, or twice. Messages to the same
// address arrive in the order they were sent unless Faults.Reorder says otherwise.
func (n *Network) Send(now time.Time, to wire.Address, arrive func()) {
	copies := 1
	if n.chance(n.faults.Drop) {
		copies = 0
		n.lost++
	} else if n.chance(n.faults.Duplicate) {
		copies = 2
	}
	for range copies {
		due := now
		if n.faults.Delay > 0 {
			due = due.Add(time.Duration(n.rng.Int64N(int64(n.faults.Delay) + 1)))
		}
		if n.chance(n.faults.Reorder) {
			due = due.Add(n.faults.Delay)
		} else {
			if last := n.last[to]; due.Before(last) {
				due = last
			}
			n.last[to] = due
		}
		n.at(due, func() {
			if n.down || n.cut[to] {
				n.lost++
				return
			}
			arrive()
		})
	}
}

// At calls f at a time; nothing of Faults applies. cancel makes it not happen.
func (n *Network) At(due time.Time, f func()) (cancel func()) {
	e := n.at(due, f)
	return func() { e.run = nil }
}

func (n *Network) at(due time.Time, f func()) *event {
	n.seq++
	e := &event{due: due, seq: n.seq, run: f}
	heap.Push(&n.events, e)
	return e
}

func (n *Network) chance(p float64) bool { return p > 0 && n.rng.Float64() < p }

// Step lets the first thing that is due by now happen; false when nothing is.
func (n *Network) Step(now time.Time) bool {
	if due, ok := n.Next(); !ok || due.After(now) {
		return false
	}
	e := heap.Pop(&n.events).(*event)
	run := e.run
	e.run = nil
	run()
	return true
}

// Deliver lets everything due by now happen, also what that causes, and says how many steps it took.
func (n *Network) Deliver(now time.Time) int {
	steps := 0
	for n.Step(now) {
		steps++
	}
	return steps
}

// Next tells when the next thing is due.
func (n *Network) Next() (time.Time, bool) {
	for len(n.events) > 0 && n.events[0].run == nil { // cancelled
		heap.Pop(&n.events)
	}
	if len(n.events) == 0 {
		return time.Time{}, false
	}
	return n.events[0].due, true
}

// Pending counts what is still to happen.
func (n *Network) Pending() int {
	count := 0
	for _, e := range n.events {
		if e.run != nil {
			count++
		}
	}
	return count
}

// Lost counts the messages that did not arrive.
func (n *Network) Lost() int { return n.lost }

// Cut makes messages to these addresses vanish, also those under way, until Heal.
func (n *Network) Cut(addresses ...wire.Address) {
	for _, a := range addresses {
		n.cut[a] = true
	}
}

// Heal ends Cut for these addresses; without any, for all.
func (n *Network) Heal(addresses ...wire.Address) {
	if len(addresses) == 0 {
		clear(n.cut)
	}
	for _, a := range addresses {
		delete(n.cut, a)
	}
}

// SetDown makes every message vanish, also those under way, while down.
func (n *Network) SetDown(down bool) { n.down = down }

// Down tells whether the network is down.
func (n *Network) Down() bool { return n.down }

type event struct {
	due time.Time
	seq uint64
	run func() // nil: cancelled or done
}

type events []*event

func (q events) Len() int { return len(q) }
func (q events) Less(i, k int) bool {
	if !q[i].due.Equal(q[k].due) {
		return q[i].due.Before(q[k].due)
	}
	return q[i].seq < q[k].seq
}
func (q events) Swap(i, k int) { q[i], q[k] = q[k], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(*event)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return e
}
