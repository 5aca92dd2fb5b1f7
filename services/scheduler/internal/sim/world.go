// Package sim runs the scheduler's real loop, inbox, relay and planner over the in-memory store, a modelled bus, modelled
// runners and a modelled Kafka fence, under one virtual clock and one seed. It draws faults, watches the invariants all
// the time, then lets the faults stop and checks that everything settles.
//
// Start reading at World; net.go is the bus, runner.go the runners, faults.go what goes wrong, api.go what users do,
// check.go the invariants.
package sim

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/services/scheduler/internal/deliver"
	"github.com/millrace/millrace/services/scheduler/internal/inbox"
	"github.com/millrace/millrace/services/scheduler/internal/loop"
	"github.com/millrace/millrace/services/scheduler/internal/relay"
	"github.com/millrace/millrace/services/scheduler/plan"
	"github.com/millrace/millrace/tests/conformance/storetest"
)

// World is one simulated installation. It is for one goroutine.
type World struct {
	*clock
	seed   uint64
	ctx    context.Context //nolint:containedctx // the world has no callers to get one from
	rng    *rand.Rand
	faults Faults
	store  storetest.Store
	net    network
	api    api
	log    *slog.Logger

	replicas []*replica
	runners  []*runner
	compute  func(plan.Config, cluster.Snapshot) cluster.Decisions
	planCfg  plan.Config

	Trace func(string) // nil: nobody reads it

	storeDown     bool
	uncommitted   map[int64]bool // outbox messages that nobody can see yet: their ids were taken, their transaction goes on
	unpublishable string         // id of an outbox message that the bus refuses; "next": of the next one
	forgetful     bool           // what was published is not noted
	deaf          bool           // runners hear no message, only answers
	broken        Broken

	// What the checks keep.
	outbox        map[int64]string // the addresses of messages, by id
	sent          map[int64]bool   // those that were handed to the bus; guarded by net.mu
	violations    []string
	maxTerm       cluster.Term
	epochs        map[cluster.JobID]cluster.Epoch
	generations   map[cluster.UID]cluster.Revision
	statusEpochs  map[cluster.JobID]cluster.Epoch
	starts        map[startKey]int
	stops         int
	fencedOff     int
	sessionsEnded int
	leaders       int
	refused       int // plans of former leaders
	regrants      int // newer grants to a runner that still ran the job under an older one
	calls         int // of the store
	commits       int
}

// startKey names one wanted start: a second one of the same key is a command obeyed twice.
type startKey struct {
	session  cluster.SessionID
	job      cluster.JobID
	epoch    cluster.Epoch
	revision cluster.Revision
}

// Options make a world.
type Options struct {
	Seed     uint64
	Replicas int // 2 when 0
	Runners  int // 4 when 0
	Faults   Faults
	Compute  func(plan.Config, cluster.Snapshot) cluster.Decisions // nil = plan.Compute
	Broken   Broken
	Logger   *slog.Logger
}

// New makes a world in which nothing has happened yet.
func New(ctx context.Context, o Options, newStore func(now func() time.Time) storetest.Store) *World {
	w := &World{clock: newClock(), seed: o.Seed, ctx: ctx, rng: rand.New(rand.NewPCG(o.Seed, 7)), faults: o.Faults, broken: o.Broken, log: o.Logger, compute: o.Compute, //nolint:gosec // replayable
		planCfg: plan.DefaultConfig(),
		epochs:  map[cluster.JobID]cluster.Epoch{}, generations: map[cluster.UID]cluster.Revision{}, statusEpochs: map[cluster.JobID]cluster.Epoch{},
		starts: map[startKey]int{}, outbox: map[int64]string{}, sent: map[int64]bool{}}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.store = newStore(w.Now)
	w.net = network{w: w, up: true, upAt: w.now.Add(-time.Hour)}
	w.api = api{w: w, port: &port{w: w}, want: map[string]*wanted{}, mixed: map[cluster.UID]bool{}, world: map[cluster.UID]int{}}
	for i := range cmp.Or(o.Replicas, 2) {
		r := &replica{w: w, id: fmt.Sprintf("scheduler-%d", i), silent: map[*runner]time.Time{}}
		w.replicas = append(w.replicas, r)
		r.boot()
		w.after(w.upTo(time.Second), r.elect)
		w.after(w.upTo(time.Second), r.relayRound)
		w.after(w.upTo(time.Second), r.probe)
	}
	for i := range cmp.Or(o.Runners, 4) {
		w.addRunner(fmt.Sprintf("runner-%d:8083", i))
	}
	w.after(time.Second, w.drawFaults)
	w.after(time.Second, w.checkStore)
	return w
}

func (w *World) addRunner(id string) *runner {
	r := &runner{w: w, id: cluster.RunnerID(id), plugins: []string{className}}
	w.runners = append(w.runners, r)
	r.start()
	return r
}

// trace tells what happens, where a test wants to read it.
func (w *World) trace(format string, args ...any) {
	if w.Trace != nil {
		w.Trace(fmt.Sprintf("%12s ", w.now.Sub(newClock().now)) + fmt.Sprintf(format, args...))
	}
}

// Run lets d pass.
func (w *World) Run(d time.Duration) {
	end := w.now.Add(d)
	for len(w.violations) == 0 && w.step(end) {
		for {
			w.net.flush()
			if !w.wakeLeaders() {
				break
			}
		}
	}
	w.now = end
}

// RunUntil lets time pass until ok, at most d, and tells how long it took.
func (w *World) RunUntil(d time.Duration, ok func() bool) (time.Duration, bool) {
	begin := w.now
	for w.now.Sub(begin) < d && len(w.violations) == 0 {
		if ok() {
			return w.now.Sub(begin), true
		}
		w.Run(10 * time.Millisecond)
	}
	return w.now.Sub(begin), ok()
}

func (w *World) wakeLeaders() (any bool) {
	for _, r := range w.replicas {
		select {
		case <-r.waker.C():
			if r.running() && r.leading {
				r.schedule(0)
				any = true
			}
		default:
		}
	}
	return any
}

func (w *World) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

func (w *World) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }

func (w *World) between(a, b time.Duration) time.Duration { return a + w.upTo(b-a) }

// latency of a message; now and then it takes much longer, which also changes the order.
func (w *World) latency() time.Duration {
	if w.chance(w.faults.Late) {
		return w.upTo(w.faults.MaxLate)
	}
	return w.between(200*time.Microsecond, 2*time.Millisecond)
}

func (w *World) encode(kind wire.Kind, payload any) []byte {
	b, err := wire.Encode(kind, "", payload)
	if err != nil {
		w.fail("encoding %s: %v", kind, err)
	}
	return b
}

// someReplica picks a scheduler that answers: over the bus, or by HTTP whatever the bus does.
func (w *World) someReplica(byHTTP bool) *replica {
	var can []*replica
	for _, r := range w.replicas {
		if r.running() && (byHTTP || !r.port.cut) {
			can = append(can, r)
		}
	}
	if len(can) == 0 {
		return nil
	}
	return can[w.rng.IntN(len(can))]
}

func (w *World) leader() *replica {
	for _, r := range w.replicas {
		if r.leading && r.running() {
			return r
		}
	}
	return nil
}

func sortedJobs[V any](m map[cluster.JobID]V) []cluster.JobID {
	ids := make([]cluster.JobID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b cluster.JobID) int {
		if a.Less(b) {
			return -1
		}
		return 1
	})
	return ids
}

// replica is one scheduler process: the real loop, inbox and relay with a modelled election around them.
type replica struct {
	w     *World
	id    string
	port  *port
	store *door
	waker *loop.Waker
	inbox *inbox.Inbox
	loop  *loop.Loop
	relay *relay.Relay

	dead, paused bool
	backlog      []func()
	leading      bool
	looking      bool // between reading and writing
	lookAgain    bool
	lookSeq      int
	silent       map[*runner]time.Time // since when it does not answer
	lease        cluster.LeaderLease
	trusted      time.Time // the lease is ours until then, by our own clock
	boots        int
	dropPublish  bool          // dies between commit and publish: delivers nothing
	freeze       time.Duration // stops for so long between reading and writing, once
	dieAt        moment
}

const (
	leaseTTL    = 3 * time.Second
	leaseMargin = time.Second
)

func (r *replica) running() bool { return !r.dead && !r.paused }

// boot starts the process anew.
func (r *replica) boot() {
	w := r.w
	r.boots++
	r.dead, r.paused, r.leading, r.looking, r.backlog = false, false, false, false, nil
	r.dropPublish, r.dieAt, r.freeze = false, "", 0
	r.port = &port{w: w}
	r.store = &door{Store: w.store, w: w, r: r}
	r.waker = loop.NewWaker(r.port.Broadcast, func() bool { return r.leading })
	d := &maybe{r: r, Direct: &deliver.Direct{Bus: r.port, Store: r.store, Wake: r.waker.Wake, Logger: w.log}}
	r.inbox = inbox.New(inbox.Config{Store: r.store, Bus: r.port, Deliver: d, Wake: r.waker.Wake, Logger: w.log, Inline: true})
	r.loop = loop.New(loop.Config{Store: r.store, Bus: r.port, Deliver: d, Waker: r.waker, Plan: w.planCfg, Logger: w.log, Compute: w.compute, Now: w.Now})
	var relayed relay.Bus = r.port
	if w.broken.DropRelay {
		relayed = sink{r.port}
	}
	r.relay = relay.New(relay.Config{Store: r.store, Bus: relayed, Wake: r.waker.Wake, Logger: w.log})
}

// moment is where in a round a replica dies.
type moment string

const (
	beforeCommit  moment = "before the commit"
	beforePublish moment = "between commit and publish"
	afterPublish  moment = "after the publish"
)

// maybe delivers unless its process is about to die.
type maybe struct {
	r *replica
	*deliver.Direct
}

// Deliver implements the deliverer.
func (m *maybe) Deliver(ctx context.Context, msgs []cluster.OutboxMessage) {
	if !m.r.dropPublish {
		m.Direct.Deliver(ctx, msgs)
	}
}

// do runs f now, when the pause ends, or never.
func (r *replica) do(f func()) {
	boot := r.boots
	g := func() {
		if r.boots == boot && !r.dead {
			f()
		}
	}
	if r.paused {
		r.backlog = append(r.backlog, g)
		return
	}
	g()
}

func (r *replica) kill() { r.dead, r.leading = true, false }

func (r *replica) resume() {
	r.paused = false
	backlog := r.backlog
	r.backlog = nil
	for _, f := range backlog {
		f()
	}
}

// elect models controlplane/lease: renew every second, stand down a margin before the store would let another in.
func (r *replica) elect() {
	r.w.after(time.Second, r.elect)
	r.do(func() {
		now := r.w.now
		if r.leading && now.After(r.trusted) {
			r.leading = false
		}
		if r.leading {
			switch err := r.store.RenewLease(r.w.ctx, r.lease); {
			case err == nil:
				r.trusted = now.Add(leaseTTL - leaseMargin)
			case cluster.Is(err, cluster.StaleEpoch):
				r.leading = false
			}
			return
		}
		l, ok, wait, err := r.store.AcquireLease(r.w.ctx, r.id+fmt.Sprint(r.boots), leaseTTL)
		if err != nil || !ok {
			if err == nil && wait < time.Second {
				r.w.after(wait, func() { r.do(r.tryLead) })
			}
			return
		}
		r.lead(l, now)
	})
}

func (r *replica) tryLead() {
	if r.leading {
		return
	}
	now := r.w.now
	if l, ok, _, err := r.store.AcquireLease(r.w.ctx, r.id+fmt.Sprint(r.boots), leaseTTL); err == nil && ok {
		r.lead(l, now)
	}
}

// resign hands the leadership over at once, as a replica does that is told to stop.
func (r *replica) resign() {
	if err := r.store.ResignLease(r.w.ctx, r.lease); err == nil {
		r.leading = false
	}
}

func (r *replica) lead(l cluster.LeaderLease, now time.Time) {
	r.w.leaders++
	if l.Term <= r.w.maxTerm {
		r.w.fail("I1: term %d given out after %d", l.Term, r.w.maxTerm)
	}
	r.w.maxTerm = l.Term
	r.leading, r.lease, r.trusted = true, l, now.Add(leaseTTL-leaseMargin)
	r.loop.Begin()
	r.schedule(0)
}

// schedule plans the next look; it replaces one planned before.
func (r *replica) schedule(d time.Duration) {
	r.lookSeq++
	seq := r.lookSeq
	r.w.after(d, func() {
		r.do(func() { // a timer that is due during a pause goes off after it
			if seq == r.lookSeq {
				r.look()
			}
		})
	})
}

// look is one round of the real loop; time passes between its reading and its writing, sometimes very much.
func (r *replica) look() {
	if !r.leading || !r.running() {
		return
	}
	if r.looking {
		r.lookAgain = true
		return
	}
	w, term := r.w, r.lease.Term
	round, err := r.loop.Prepare(w.ctx)
	if err != nil {
		r.schedule(250 * time.Millisecond)
		return
	}
	w.checkRound(round)
	r.looking = true
	switch {
	case r.freeze > 0 && len(round.Decisions.Steps) > 0:
		r.paused = true
		w.after(r.freeze, r.resume)
		r.freeze = 0
	case w.chance(w.faults.LeaderPause):
		r.paused = true
		w.after(w.upTo(3*leaseTTL), r.resume)
	}
	w.after(w.between(200*time.Microsecond, 2*time.Millisecond), func() {
		r.do(func() {
			r.looking = false
			again := r.lookAgain
			r.lookAgain = false
			die := r.dieAt
			if len(round.Decisions.Steps) == 0 {
				die = ""
			}
			r.dropPublish = r.dropPublish || die == beforePublish
			if die == beforeCommit {
				r.kill()
				return
			}
			err := r.loop.Finish(w.ctx, term, round)
			if die != "" {
				r.kill()
				return
			}
			switch {
			case err == nil:
				next := r.loop.Next(round)
				if next == 0 || next > 5*time.Second {
					next = 5 * time.Second
				}
				if again {
					next = 0
				}
				if !w.broken.NoPoll || again {
					r.schedule(next)
				}
			case cluster.Is(err, cluster.StaleEpoch):
				w.refused++
				if r.lease.Term == term {
					r.leading = false
				}
			case cluster.Is(err, cluster.Conflict):
				r.schedule(0)
			default:
				r.schedule(250 * time.Millisecond)
			}
		})
	})
}

// probe models the prober's goroutine: somebody who has stopped answering a short while ago wakes the leader.
func (r *replica) probe() {
	r.w.after(500*time.Millisecond, r.probe)
	wake := false
	for _, x := range r.w.runners {
		if x.alive && !x.paused && !x.cut {
			delete(r.silent, x)
			continue
		}
		if _, known := r.silent[x]; !known {
			r.silent[x] = r.w.now
		}
		wake = wake || r.w.now.Sub(r.silent[x]) < silentNews
	}
	if wake && r.leading && r.running() && r.port.Connected() >= 3*time.Second {
		r.schedule(0)
	}
}

// silentNews is how long silence is news.
const silentNews = 10 * time.Second

func (r *replica) relayRound() {
	r.w.after(time.Second, r.relayRound)
	if r.w.broken.NoRelay {
		return
	}
	r.do(func() {
		if _, _, err := r.relay.Once(r.w.ctx); err != nil && !cluster.Is(err, cluster.Unavailable) {
			r.w.fail("relay: %v", err)
		}
		if r.w.chance(0.1) {
			_ = r.relay.Tidy(r.w.ctx)
		}
	})
}
