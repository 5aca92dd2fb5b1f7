package gcfloor

import (
	"runtime"
	"slices"
	"testing"
	"testing/quick"
)

func TestPercent(t *testing.T) {
	const mb = 1 << 20
	for name, c := range map[string]struct {
		heap heap
		want int
	}{
		"nothing is known yet":                  {heap{}, 1600},
		"a small heap":                          {heap{live: 8 * mb}, 700},
		"stacks and globals count":              {heap{live: 8 * mb, stacks: 5 * mb, globals: 1 * mb}, 400},
		"so small that the runtime's own floor": {heap{live: 1 * mb}, 1600},
		"half of the floor":                     {heap{live: 32 * mb}, 100},
		"more than half":                        {heap{live: 48 * mb}, 100},
		"beyond the floor":                      {heap{live: 500 * mb, stacks: 50 * mb}, 100},
	} {
		t.Run(name, func(t *testing.T) {
			if got := percent(c.heap, 64*mb); got != c.want {
				t.Errorf("percent(%+v) = %d, want %d", c.heap, got, c.want)
			}
		})
	}
}

// Whatever a collection found, the next comes at the floor at the latest, or where it would come without one.
func TestPercent_bounds_the_heap(t *testing.T) {
	const floor = 64 << 20
	if err := quick.Check(func(live, stacks, globals uint32) bool {
		h := heap{uint64(live), uint64(stacks), uint64(globals)}
		p := uint64(percent(h, floor)) //nolint:gosec // positive
		sum := h.live + h.stacks + h.globals
		goal := max(h.live+sum*p/100, unscaled*p/100)
		return p >= usual && goal <= max(floor, h.live+sum)
	}, &quick.Config{MaxCount: 100_000}); err != nil {
		t.Error(err)
	}
}

var sink []byte

// With the floor, a process that moves batches and keeps nothing is collected for every 64 MB, not for every 4.
func TestSet_saves_collections(t *testing.T) {
	collections := func() uint32 {
		runtime.GC() // what is under way belongs to nobody
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range batches {
			sink = make([]byte, 1<<20)
		}
		runtime.ReadMemStats(&after)
		return after.NumGC - before.NumGC
	}
	Set(true)
	with := collections()
	Set(false)
	without := collections()
	if most := uint32(2 * batches / (Floor >> 20)); with > most || without < 4*with {
		t.Errorf("%d collections with the floor, at most %d expected, and %d without it", with, most, without)
	}
}

const batches = 512 // of a megabyte

func TestTuner(t *testing.T) {
	now := heap{live: 8 << 20}
	var set []int
	arms := 0
	tn := &tuner{percent: usual, heap: func() heap { return now }, arm: func(*tuner) { arms++ }, set: func(p int) int { set = append(set, p); return 0 }}
	tn.turn(true)
	tn.turn(true)
	now.live = 8<<20 + 100 // hardly different
	tn.tune()
	now.live = 16 << 20
	tn.tune()
	now.live = 500 << 20
	tn.tune()
	now.live = 8 << 20
	tn.tune()
	tn.turn(false)
	tn.tune()
	if want := []int{700, 300, 100, 700, 100}; !slices.Equal(set, want) {
		t.Errorf("set to %d, want %d", set, want)
	}
	if arms != 5 {
		t.Errorf("armed %d times, want 5: as long as there is a floor, and once at a time", arms)
	}
}
