package plan

import (
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Config holds the planner's settings. DefaultConfig gives usable values; Compute takes every field as it is.
type Config struct {
	SuspectAfter time.Duration // age of a heartbeat from which a session gets nothing new
	LostAfter    time.Duration // age from which its jobs move
	ConfirmAfter time.Duration // the same when the bus says that nobody listens for the session

	HoldShare float64       // a loss of more than this share of the sessions is held
	HoldMin   int           // … if it is at least this many
	HoldGrace time.Duration // for how long, counted from LostAfter

	MaxMovesPerRound int           // most voluntary moves (drain, misplaced, rebalance) per round
	MoveInterval     time.Duration // pause before the next round when moves are left over

	RebalanceSlack float64       // load difference, in units of job load, that is left alone
	RebalanceShare float64       // the same as a share of the busier runner's load; the larger one counts
	RebalanceAfter time.Duration // a runner must have stayed this long before jobs are moved to it
}

// DefaultConfig is what fits a heartbeat of one second.
func DefaultConfig() Config {
	return Config{
		SuspectAfter: 3 * time.Second, LostAfter: 5 * time.Second, ConfirmAfter: 1500 * time.Millisecond,
		HoldShare: 0.5, HoldMin: 2, HoldGrace: 30 * time.Second,
		MaxMovesPerRound: 4, MoveInterval: 100 * time.Millisecond,
		RebalanceSlack: 2, RebalanceShare: 0.1, RebalanceAfter: 10 * time.Second,
	}
}

// Compute decides; it never does. Equal snapshots give equal decisions, whatever the order of their slices, and the
// snapshot is not changed. Steps are in the order in which they are to be stored: Lose, Forget, Release, Assign.
func Compute(cfg Config, s cluster.Snapshot) cluster.Decisions {
	return compute(cfg, s, mutation{})
}

// mutation breaks the planner on purpose, one rule per field, so that tests can show that they would notice. Its zero
// value, the only one outside tests, breaks nothing.
type mutation struct {
	sameEpoch          bool // hands an epoch out again
	ignoreFloor        bool
	assignToSuspect    bool
	assignToDraining   bool
	ignorePlugin       bool
	ignorePool         bool
	ignoreRoom         bool
	stealUnfenced      bool // starts an unfenced job while its holder lives
	noHold             bool
	noBudget           bool
	shuffleHealthy     bool // moves jobs for no reason
	keepUnwanted       bool
	forgetHeld         bool
	keepInputOrder     bool // lets the order of the snapshot decide
	sortInput          bool // sorts the caller's slice
	loseNobody         bool
	noRebalance        bool
	silentWaiting      bool // says nothing of jobs it can't place
	ignoreRoomReserved bool // doesn't count what this round has assigned
}

func compute(cfg Config, s cluster.Snapshot, m mutation) cluster.Decisions {
	w := newWorld(cfg, s, m)
	w.judgeSessions()
	w.sortJobs()
	w.placeAll()
	w.moveAll()
	w.rebalance()
	return w.decisions()
}

// world is one computation: the snapshot, indexed, and the decisions so far.
type world struct {
	cfg   Config
	floor cluster.Epoch
	m     mutation

	sessions []session
	bySess   map[cluster.SessionID]int
	jobs     []job // ascending by id, so that a connector's jobs are neighbours
	kinds    []kind
	takers   []int // sessions that may get jobs, ascending
	tally    []int // by session: a counter that is all zero between uses

	hold     bool
	vanished int
	budget   int // voluntary moves left in this round

	place []int // jobs that need a runner now
	move  []int // jobs that run where they should not stay

	lose, forget, release, assign []cluster.Decision
	waiting                       []cluster.Waiting
	wakeAt                        time.Duration
}

// wake asks for another look after d at the latest.
func (w *world) wake(d time.Duration) {
	if d = max(d, time.Millisecond); w.wakeAt == 0 || d < w.wakeAt {
		w.wakeAt = d
	}
}

func (w *world) decisions() cluster.Decisions {
	n := len(w.lose) + len(w.forget) + len(w.release) + len(w.assign)
	d := cluster.Decisions{Hold: w.hold, WakeAt: w.wakeAt}
	if n > 0 {
		d.Steps = make([]cluster.Decision, 0, n)
		d.Steps = append(append(append(append(d.Steps, w.lose...), w.forget...), w.release...), w.assign...)
	}
	if !w.m.silentWaiting {
		d.Waiting = w.waiting
	}
	return d
}
