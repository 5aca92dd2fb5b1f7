// Package gcfloor lets garbage gather up to a floor before Go collects it.
//
// By default Go collects when the heap has doubled, but from 4 MB on. A task that moves batches of a few megabytes and keeps
// nothing has a heap of that size, and would have it collected for nearly every batch: a quarter of its CPU. With a floor
// the heap may be larger by as much; where more than half of the floor is in use it changes nothing.
package gcfloor

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// Floor is the size of the heap, in bytes, up to which nothing is collected.
const Floor = 64 << 20

const (
	usual     = 100     // Go's percent
	unscaled  = 4 << 20 // the runtime's own floor at 100 %; it grows with the percent
	tolerance = 10      // a percent that differs by less than one of so many parts is not worth stopping the world for
)

var process = &tuner{percent: usual, set: debug.SetGCPercent, heap: heapNow, arm: func(t *tuner) {
	sentinel := new([32]byte) // gone with the next collection
	runtime.AddCleanup(sentinel, (*tuner).tune, t)
}}

// Set says whether the process has the floor. It changes nothing where GOGC is not what it is by default: whoever sets that knows
// better.
func Set(on bool) {
	if !chosen() {
		process.turn(on)
	}
}

// chosen tells whether somebody else has set the percent; it is asked before the first change.
var chosen = sync.OnceValue(func() bool {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return s[0].Value.Uint64() != usual
})

// tuner keeps the percent such that the next collection comes at the floor.
type tuner struct {
	set  func(percent int) (before int)
	heap func() heap
	arm  func(*tuner) // has tune called after the next collection

	mu      sync.Mutex
	on      bool
	armed   bool
	percent int
}

func (t *tuner) turn(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.on == on {
		return
	}
	t.on = on
	t.adjust()
}

// tune follows a collection.
func (t *tuner) tune() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.armed = false
	t.adjust()
}

func (t *tuner) adjust() {
	p := usual
	if t.on {
		p = percent(t.heap(), Floor)
		if !t.armed {
			t.armed = true
			t.arm(t)
		}
	}
	if d := p - t.percent; d*tolerance > t.percent || -d*tolerance > t.percent || p == usual && d != 0 {
		t.percent = p
		t.set(p)
	}
}

// heap is what the last collection found, in bytes. Go's percent is of the sum.
type heap struct{ live, stacks, globals uint64 }

func heapNow() heap {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(s)
	return heap{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64()}
}

// percent is what Go has to be told so that the next collection comes at the floor, or later where it usually does.
func percent(h heap, floor uint64) int {
	if h.live >= floor {
		return usual
	}
	of := max(1, h.live+h.stacks+h.globals)
	return int(max(usual, min(floor/unscaled*usual, (floor-h.live)*usual/of))) //nolint:gosec // at most that of an empty heap
}
