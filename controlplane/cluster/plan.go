package cluster

import "time"

// Snapshot is what the planner sees: one consistent read of the store plus what the loop observed. Ages are durations by
// the database's clock, so no two machines' clocks are ever compared (Invariant 9).
type Snapshot struct {
	Runners []RunnerView
	Jobs    []JobView
	Floor   Epoch
}

// RunnerView is one session that is not closed.
type RunnerView struct {
	Runner   RunnerID
	Session  SessionID
	State    SessionState
	Pool     string
	Capacity int
	Plugins  []string      // classes of connectors it can run, sorted
	Age      time.Duration // since its last heartbeat was stored
	Joined   time.Duration // since it registered
	// Unreachable: the bus says that nobody listens for this session. Set by the loop, never by the store.
	Unreachable bool
}

// PoolKey is the connector configuration key that names the pool of runners its jobs need.
const PoolKey = "millrace.pool"

// JobView is one job that is wanted or held.
type JobView struct {
	Job       JobID
	Name      string // connector name
	Class     string
	Pool      string // required pool; empty = any
	Wanted    bool   // false: deleted, stopped, or more tasks than the set has
	Fenceable bool
	Revision  Revision
	Load      float64 // relative cost; 1 where unknown

	// Ownership. Session is empty when nobody holds it; Epoch is the last one given out (0: never).
	Session   SessionID
	Epoch     Epoch
	Releasing bool // its holder was told to let go
}

// DecisionKind is what to do with a job or session.
type DecisionKind string

// The kinds of decision.
const (
	// Assign gives the job to Session under Epoch. Prior is the epoch it replaces.
	Assign DecisionKind = "assign"
	// Release tells the holder to let go; the job stays its until it says so, is lost, or the session ends.
	Release DecisionKind = "release"
	// Forget removes an unwanted job that nobody holds, with its status.
	Forget DecisionKind = "forget"
	// Lose ends a session that is gone for good.
	Lose DecisionKind = "lose"
)

// Decision is one step, with the reason that users and metrics see.
type Decision struct {
	Kind    DecisionKind
	Job     JobID
	Runner  RunnerID
	Session SessionID
	Prior   Epoch // the epoch the job must still have when this is committed
	Epoch   Epoch // Assign only: always above every epoch the job has had
	Why     Reason
}

// Reason says why a decision was taken or a job waits.
type Reason string

// The reasons.
const (
	WhyNew            Reason = "NEW"
	WhyRunnerLost     Reason = "RUNNER_LOST"
	WhyRunnerClosed   Reason = "RUNNER_CLOSED"
	WhyDrain          Reason = "DRAIN"
	WhyRebalance      Reason = "REBALANCE"
	WhyUnwanted       Reason = "UNWANTED"
	WhyMisplaced      Reason = "MISPLACED" // its runner no longer has the plugin or pool
	WhyNoRunner       Reason = "WAITING_NO_RUNNER"
	WhyNoPlugin       Reason = "WAITING_NO_PLUGIN"
	WhyNoPool         Reason = "WAITING_NO_POOL"
	WhyNoCapacity     Reason = "WAITING_NO_CAPACITY"
	WhyHold           Reason = "HOLD_MASS_LOSS"
	WhyBudget         Reason = "WAITING_MOVE_BUDGET"
	WhyStillHeld      Reason = "WAITING_RELEASE"
	WhySessionEnded   Reason = "SESSION_ENDED"
	WhyHeartbeatLost  Reason = "HEARTBEAT_LOST"
	WhyConnectionGone Reason = "CONNECTION_GONE"
)

// Waiting is a job that should run and does not, with the reason.
type Waiting struct {
	Job JobID
	Why Reason
}

// Decisions is the planner's output.
type Decisions struct {
	Steps   []Decision
	Waiting []Waiting
	Hold    bool          // mass loss: nothing moves until the grace time ends
	WakeAt  time.Duration // look again after this long; 0 = when something changes
}

// LeaderLease is the scheduler's leadership as granted by the store.
type LeaderLease struct {
	Holder string
	Term   Term
	TTL    time.Duration
}
