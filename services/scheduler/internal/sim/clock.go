package sim

import (
	"container/heap"
	"time"
)

// clock is virtual time with the things that are to happen. Events of one instant happen in the order in which they were
// planned, so a seed replays.
type clock struct {
	now   time.Time
	seq   int
	queue events
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	if !e[i].at.Equal(e[j].at) {
		return e[i].at.Before(e[j].at)
	}
	return e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

func newClock() *clock { return &clock{now: time.Unix(1_000_000_000, 0)} }

// Now is the virtual time; the store and the loop read it.
func (c *clock) Now() time.Time { return c.now }

// after plans do.
func (c *clock) after(d time.Duration, do func()) {
	c.seq++
	heap.Push(&c.queue, event{at: c.now.Add(max(d, 0)), seq: c.seq, do: do})
}

// step lets the next event happen, if it is due before end.
func (c *clock) step(end time.Time) bool {
	if len(c.queue) == 0 || c.queue[0].at.After(end) {
		return false
	}
	e := heap.Pop(&c.queue).(event)
	c.now = e.at
	e.do()
	return true
}
