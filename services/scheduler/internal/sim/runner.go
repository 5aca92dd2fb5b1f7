package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// runner models a task runner's side of the protocol: sessions, heartbeats with digests, starting and stopping jobs. It
// follows services/taskrunner/internal/session; slot.go and outbox.go are the rest of it.
type runner struct {
	w        *World
	id       cluster.RunnerID
	process  int // a killed one does nothing more
	session  cluster.SessionID
	n        int // session number
	plugins  []string
	capacity int

	alive, paused, cut, draining, registered bool
	cutAt                                    time.Time

	slots     map[cluster.JobID]*slot
	lingering []*jobCopy                      // copies that a broken runner does not count any more
	ended     map[cluster.JobID]cluster.Epoch // let go: a late message must not start them again
	out       *outbox
	beating   bool     // a heartbeat is on its way
	beatSeq   int      // the next one that is planned
	backlog   []func() // what happens when a pause ends
}

// do runs f now, or when the pause ends.
func (r *runner) do(f func()) {
	process := r.process
	switch {
	case !r.alive:
	case r.paused:
		r.backlog = append(r.backlog, func() {
			if r.process == process {
				f()
			}
		})
	default:
		f()
	}
}

// later runs f in this process after d.
func (r *runner) later(d time.Duration, f func()) {
	process := r.process
	r.w.after(d, func() {
		r.do(func() {
			if r.process == process {
				f()
			}
		})
	})
}

// start begins a new process.
func (r *runner) start() {
	r.process++
	r.alive, r.draining, r.beating = true, false, false
	r.slots, r.lingering, r.out = map[cluster.JobID]*slot{}, nil, &outbox{r: r}
	r.later(r.w.upTo(500*time.Millisecond), r.write)
	r.newSession()
	r.later(r.w.upTo(time.Minute), r.out.resync)
}

// newSession stops everything that runs for an older session and begins again.
func (r *runner) newSession() {
	r.n++
	r.session = cluster.SessionID(fmt.Sprintf("%s.%d", r.id, r.n))
	r.registered, r.beating = false, false
	r.ended = map[cluster.JobID]cluster.Epoch{}
	r.out.reset()
	for _, id := range sortedJobs(r.slots) {
		r.slots[id].letGo()
	}
	r.register(0)
}

// inSession wraps f so that it does nothing once the session is another one.
func (r *runner) inSession(f func()) func() {
	session := r.session
	return func() {
		if r.session == session {
			f()
		}
	}
}

func (r *runner) register(try int) {
	refs := []cluster.PluginRef{}
	for _, class := range r.plugins {
		refs = append(refs, cluster.PluginRef{Class: class, Kind: "source", Version: "1", Digest: "d" + class})
	}
	msg := r.w.encode(wire.KindRegister, cluster.Registration{Runner: r.id, Session: r.session, Capacity: r.capacity, Plugins: refs, KafkaClusterID: "k"})
	again := r.inSession(func() {
		pause := min(100*time.Millisecond<<min(try, 10), 2*time.Second)
		r.later(pause/2+r.w.upTo(pause), r.inSession(func() { r.register(try + 1) }))
	})
	registered := r.inSession(func() {
		r.registered = true
		r.beat()
	})
	r.ask(msg, func(e wire.Envelope) {
		reply, err := wire.Decode[wire.RegisterReply](e, wire.KindRegister)
		if err != nil {
			r.w.fail("register: %v", err)
			return
		}
		if len(reply.Missing) == 0 {
			registered()
			return
		}
		var d wire.Define
		for _, m := range reply.Missing {
			d.Plugins = append(d.Plugins, cluster.PluginRecord{PluginRef: m, Definition: []byte(`{}`)})
		}
		r.ask(r.w.encode(wire.KindDefine, d), func(wire.Envelope) { registered() }, again)
	}, again)
}

// holding is what a heartbeat says, with what its answer is to be compared with.
type holding struct {
	held     []cluster.HeldJob
	statuses []cluster.Status
	fenced   map[cluster.JobID]cluster.Epoch
}

func (r *runner) holding() (h holding) {
	h.fenced = map[cluster.JobID]cluster.Epoch{}
	for _, id := range sortedJobs(r.slots) {
		s := r.slots[id]
		if s.want == nil {
			continue
		}
		h.held = append(h.held, cluster.HeldJob{Job: id, Epoch: s.want.Epoch, Revision: s.want.Revision})
		if s.last != nil && s.last.Epoch == s.want.Epoch {
			h.statuses = append(h.statuses, *s.last)
		}
		if s.fenced {
			h.fenced[id] = s.want.Epoch
		}
	}
	return h
}

// beatPause is between two heartbeats.
const beatPause = time.Second

// poke asks for a heartbeat now.
func (r *runner) poke() { r.planBeat(0) }

func (r *runner) planBeat(d time.Duration) {
	if r.beating || !r.registered {
		return
	}
	r.beatSeq++
	seq := r.beatSeq
	r.later(d, r.inSession(func() {
		if seq == r.beatSeq {
			r.beat()
		}
	}))
}

func (r *runner) beat() {
	began, h := r.w.now, r.holding()
	hb := cluster.Heartbeat{Runner: r.id, Session: r.session, State: cluster.SessionActive, Digest: cluster.DigestHeld(h.held),
		StatusDigest: cluster.DigestStatuses(h.statuses), Jobs: len(h.held)}
	if r.draining {
		hb.State = cluster.SessionDraining
		if len(h.held) == 0 && len(r.slots) == 0 && !r.out.pending() {
			hb.State = cluster.SessionClosed
		}
	}
	r.beating = true
	next := r.inSession(func() {
		r.beating = false
		r.planBeat(max(beatPause-r.w.now.Sub(began), beatPause/10))
	})
	r.ask(r.w.encode(wire.KindBeat, hb), func(e wire.Envelope) {
		reply, err := wire.Decode[cluster.HeartbeatReply](e, wire.KindBeat)
		switch {
		case err != nil:
			r.w.fail("beat: %v", err)
		case hb.Session != r.session:
		case hb.State == cluster.SessionClosed:
			r.kill() // exit 0
		case (!reply.Known || reply.State == cluster.SessionLost || reply.State == cluster.SessionClosed) && !r.w.broken.Undead:
			r.w.sessionsEnded++
			r.newSession()
		default:
			missing := r.corrected(h, reply)
			if reply.ResendStatuses {
				r.out.again(r.holding().statuses)
			}
			r.fetch(missing, next)
		}
	}, next)
}

// corrected acts on the answer to a heartbeat; what came since it was sent is left alone.
func (r *runner) corrected(h holding, reply cluster.HeartbeatReply) (missing []cluster.JobID) {
	ours := h.held
	if reply.Differs {
		ours = reply.Held
	}
	want := map[cluster.JobID]cluster.HeldJob{}
	for _, o := range ours {
		want[o.Job] = o
	}
	for _, was := range h.held {
		s := r.slots[was.Job]
		if s == nil || s.want == nil || s.want.Epoch != was.Epoch {
			continue
		}
		o, still := want[was.Job]
		switch {
		case !still:
			r.ended[was.Job] = max(r.ended[was.Job], was.Epoch)
			s.letGo()
		case o.Epoch == was.Epoch && h.fenced[was.Job] == was.Epoch:
			s.fenced = false // the fence was taken by somebody who has been given up: take it back
			s.act()
		}
	}
	for _, l := range reply.LetGo {
		if !r.w.broken.DeafToLetGo {
			r.letGo(l.Job, l.Epoch)
		}
	}
	for _, o := range ours {
		s := r.slots[o.Job]
		have := s != nil && s.want != nil && (s.want.Epoch > o.Epoch || s.want.Epoch == o.Epoch && s.want.Revision >= o.Revision)
		if !have && o.Epoch > r.ended[o.Job] {
			missing = append(missing, o.Job)
		}
	}
	return missing
}

// fetch asks for the specs of jobs that are ours and unknown here.
func (r *runner) fetch(missing []cluster.JobID, next func()) {
	if len(missing) == 0 {
		next()
		return
	}
	part := missing[:min(len(missing), wire.MaxSpecs)]
	r.ask(r.w.encode(wire.KindSpecs, wire.SpecsRequest{Session: r.session, Jobs: part}), func(e wire.Envelope) {
		reply, err := wire.Decode[wire.SpecsReply](e, wire.KindSpecs)
		if err != nil {
			r.w.fail("specs: %v", err)
		}
		for _, s := range reply.Specs {
			r.run(s)
		}
		r.fetch(missing[len(part):], next)
	}, next)
}

// receive takes a message from the session's queue.
func (r *runner) receive(msg []byte) {
	e, err := wire.Open(msg)
	if err != nil {
		r.w.fail("a runner's message can't be read: %v", err)
		return
	}
	switch e.Kind {
	case wire.KindAssign:
		if spec, err := wire.Decode[cluster.JobSpec](e, wire.KindAssign); err == nil {
			r.run(spec)
		}
	case wire.KindRelease:
		if rel, err := wire.Decode[wire.Release](e, wire.KindRelease); err == nil && rel.Session == r.session {
			r.letGo(rel.Job, rel.Epoch)
		}
	default:
		r.w.fail("a runner got a message of kind %q", e.Kind)
	}
}

// run takes a spec. One of another session, of an older epoch or of a job that has ended here does nothing.
func (r *runner) run(spec cluster.JobSpec) {
	if spec.Session != r.session || spec.Epoch <= r.ended[spec.Job] && !r.w.broken.IgnoreEpochs {
		return
	}
	s := r.slots[spec.Job]
	if s == nil {
		s = &slot{r: r, id: spec.Job}
		r.slots[spec.Job] = s
	}
	s.offer(spec)
}

// letGo ends a job, or says at once that what never came is not held.
func (r *runner) letGo(id cluster.JobID, epoch cluster.Epoch) {
	s := r.slots[id]
	switch {
	case s != nil && s.want != nil && s.want.Epoch == epoch:
		r.ended[id] = max(r.ended[id], epoch)
		s.letGo()
	case s == nil:
		r.ended[id] = max(r.ended[id], epoch)
		r.out.status(r.release(id, epoch))
	}
}

func (r *runner) release(id cluster.JobID, epoch cluster.Epoch) cluster.Status {
	return cluster.Status{Job: id, Session: r.session, Epoch: epoch, State: cluster.StateUnassigned, WorkerID: r.id, Released: true}
}

func (r *runner) write() {
	r.later(500*time.Millisecond, r.write)
	for _, id := range sortedJobs(r.slots) {
		r.slots[id].write()
	}
}

// copies lists what runs here, also what is being stopped.
func (r *runner) copies(id cluster.JobID) (all []*jobCopy) {
	if s := r.slots[id]; s != nil && s.cur != nil {
		all = append(all, s.cur)
	}
	for _, c := range r.lingering {
		if c.spec.Job == id {
			all = append(all, c)
		}
	}
	return all
}

func (r *runner) kill() {
	r.alive, r.paused, r.backlog, r.lingering = false, false, nil, nil
	r.slots = map[cluster.JobID]*slot{}
}

func (r *runner) resume() {
	r.paused = false
	backlog := slices.Clip(r.backlog)
	r.backlog = nil
	for _, f := range backlog {
		r.do(f)
	}
}
