package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Broken breaks a part on purpose, one rule each, so that tests can show that the checks notice.
type Broken struct {
	// A runner that:
	IgnoreEpochs bool // obeys messages of older epochs and of jobs that have ended
	Overlap      bool // starts a newer copy before the older one has stopped
	ReleaseEarly bool // says that it has let go before the copy has stopped
	Undead       bool // goes on with a session that is over
	DeafToLetGo  bool // does not hear from heartbeats what it should let go
	NoResync     bool // tells its task configs once, though an older report may come later and win
	SplitOnce    bool // does not split again for a target that came back before it heard of the other one

	// A store that:
	NoCompare bool // takes the plans of former leaders, made of older snapshots
	AnyStatus bool // takes statuses of former holders

	// A scheduler that:
	NoPoll    bool // looks only when it is told to
	DropRelay bool // marks what others left behind as published without publishing it
	NoRelay   bool // leaves it where it is
	DropInbox bool // acknowledges reports that it could not store
}

// Faults are what goes wrong, as probabilities: per message, per round of the leader, or per second.
type Faults struct {
	Loss, Duplicate, Late float64 // per message
	Copies                int     // most extra copies of a doubled message
	LateCopies            bool    // only the extra copies are late
	MaxLate               time.Duration

	LeaderPause float64 // per round: stopped between reading and writing

	KillRunner, PauseRunner, CutRunner, DrainRunner float64 // per second
	KillScheduler, PauseScheduler, CutScheduler     float64
	ScaleOut                                        float64 // one runner more, up to eight; drains scale in
	BusDown, Purge, StoreDown                       float64
	Operations                                      float64 // what users do

	HTTP     bool    // runners reach the schedulers without the bus
	CutHTTP  bool    // a runner that is cut off is cut off from that way too
	SlowStop float64 // per stop: it takes seconds
}

// Stormy is everything at once.
func Stormy() Faults {
	return Faults{Loss: 0.05, Duplicate: 0.1, Copies: 3, Late: 0.05, MaxLate: 8 * time.Second, LeaderPause: 0.01,
		KillRunner: 0.02, PauseRunner: 0.03, CutRunner: 0.02, DrainRunner: 0.01, ScaleOut: 0.02,
		KillScheduler: 0.02, PauseScheduler: 0.02, CutScheduler: 0.02,
		BusDown: 0.01, Purge: 0.02, StoreDown: 0.01, Operations: 0.7, HTTP: true, CutHTTP: true, SlowStop: 0.05}
}

// Weather is a storm of its own for each seed: some faults often, some as in Stormy, some never. A mix in which one fault
// is missing finds what that fault hides.
func Weather(seed uint64) Faults {
	f, rng := Stormy(), rand.New(rand.NewPCG(seed, 11)) //nolint:gosec // replayable
	for _, rate := range []*float64{&f.Loss, &f.Duplicate, &f.Late, &f.LeaderPause, &f.KillRunner, &f.PauseRunner, &f.CutRunner, &f.DrainRunner,
		&f.KillScheduler, &f.PauseScheduler, &f.CutScheduler, &f.ScaleOut, &f.BusDown, &f.Purge, &f.StoreDown, &f.SlowStop, &f.Operations} {
		*rate *= []float64{0, 1, 3}[rng.IntN(3)]
	}
	f.Operations = max(f.Operations, 0.2)
	f.HTTP, f.CutHTTP = rng.IntN(5) > 0, rng.IntN(2) > 0
	return f
}

// drawFaults starts faults, and users' operations, once a second.
func (w *World) drawFaults() {
	w.after(time.Second, w.drawFaults)
	f := &w.faults
	if w.chance(f.Operations) {
		w.api.something()
	}
	for _, r := range w.runners {
		w.hurtRunner(r)
	}
	for _, r := range w.replicas {
		w.hurtReplica(r)
	}
	if w.chance(f.ScaleOut) && len(w.runners) < 8 {
		w.addRunner(fmt.Sprintf("runner-%d:8083", len(w.runners)))
	}
	if w.chance(f.BusDown) && w.net.up {
		w.busDown(w.upTo(20 * time.Second))
	}
	if w.chance(f.Purge) {
		w.net.purges++
	}
	if w.chance(f.StoreDown) && !w.storeDown {
		w.storeDown = true
		w.after(w.upTo(15*time.Second), func() { w.storeDown = false })
	}
}

func (w *World) busDown(d time.Duration) {
	w.net.up = false
	w.after(d, w.busUp)
}

func (w *World) busUp() {
	if !w.net.up {
		w.net.up, w.net.upAt = true, w.now
	}
}

func (w *World) hurtRunner(r *runner) {
	f := &w.faults
	switch {
	case !r.alive || r.paused || r.cut:
	case w.chance(f.KillRunner):
		r.kill()
		w.after(w.upTo(15*time.Second), r.restart)
	case w.chance(f.PauseRunner):
		r.paused = true
		w.after(w.upTo(20*time.Second), r.resume)
	case w.chance(f.CutRunner):
		r.cut, r.cutAt = true, w.now
		w.after(w.upTo(20*time.Second), func() { r.cut = false })
	case w.chance(f.DrainRunner):
		r.draining = true
		w.after(w.between(5*time.Second, 30*time.Second), func() { // the deadline of its grace time
			if r.draining && r.alive {
				r.kill()
			}
			r.restart()
		})
	}
}

func (r *runner) restart() {
	if !r.alive {
		r.start()
	}
}

func (w *World) hurtReplica(r *replica) {
	f := &w.faults
	switch {
	case !r.running():
	case w.chance(f.KillScheduler):
		r.kill()
		w.after(w.upTo(5*time.Second), r.reboot)
	case w.chance(f.PauseScheduler):
		r.paused = true
		w.after(w.upTo(10*time.Second), r.resume)
	case w.chance(f.CutScheduler):
		r.port.cut = true
		p := r.port
		w.after(w.upTo(10*time.Second), func() { p.cut, p.at = false, w.now })
	case w.chance(f.CutScheduler):
		d := r.store
		d.cut = true
		w.after(w.upTo(10*time.Second), func() { d.cut = false })
	}
}

func (r *replica) reboot() {
	if r.dead {
		r.boot()
	}
}

// Heal ends all faults and brings everybody back.
func (w *World) Heal() {
	w.faults = Faults{HTTP: w.faults.HTTP}
	w.storeDown = false
	w.busUp()
	for _, r := range w.replicas {
		r.port.cut, r.store.cut, r.dropPublish = false, false, false
		r.resume()
		r.reboot()
	}
	for _, r := range w.runners {
		r.cut = false
		r.resume()
		r.restart()
	}
}
