package sim

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// runner models a task runner's side of the protocol: sessions, heartbeats with digests, starting and stopping jobs. It
// is a model, not the real one: it starts a job by noting that it runs.
type runner struct {
	w        *World
	id       cluster.RunnerID
	session  cluster.SessionID
	n        int // session number
	plugins  []string
	capacity int

	alive, paused, cut, draining, registered bool
	cutAt                                    time.Time

	held    map[cluster.JobID]*jobCopy
	ended   map[cluster.JobID]cluster.Epoch // let go: a late message must not start them again
	last    map[cluster.JobID]cluster.Status
	backlog []func() // what happens when a pause ends
}

// jobCopy is one running copy of a job.
type jobCopy struct {
	spec    cluster.JobSpec
	r       *runner
	fenced  bool // by the broker
	noticed bool // and it knows: it has stopped, and waits for word whether the job still is its runner's
}

// do runs f now, or when the pause ends.
func (r *runner) do(f func()) {
	switch {
	case !r.alive:
	case r.paused:
		r.backlog = append(r.backlog, f)
	default:
		f()
	}
}

// later runs f in this session after d.
func (r *runner) later(d time.Duration, f func()) {
	session := r.session
	r.w.after(d, func() {
		r.do(func() {
			if r.session == session {
				f()
			}
		})
	})
}

// start begins a new session.
func (r *runner) start() {
	r.n++
	r.session = cluster.SessionID(fmt.Sprintf("%s.%d", r.id, r.n))
	r.alive, r.registered, r.draining = true, false, false
	r.held, r.ended, r.last = map[cluster.JobID]*jobCopy{}, map[cluster.JobID]cluster.Epoch{}, map[cluster.JobID]cluster.Status{}
	r.register()
	r.later(r.w.upTo(time.Second), r.beat)
	r.later(r.w.upTo(500*time.Millisecond), r.write)
}

func (r *runner) register() {
	refs := []cluster.PluginRef{}
	for _, class := range r.plugins {
		refs = append(refs, cluster.PluginRef{Class: class, Kind: "source", Version: "1", Digest: "d" + class})
	}
	msg := r.w.encode(wire.KindRegister, cluster.Registration{Runner: r.id, Session: r.session, Capacity: r.capacity, Plugins: refs, KafkaClusterID: "k"})
	r.w.ask(r, msg, func(e wire.Envelope) {
		reply, err := wire.Decode[wire.RegisterReply](e, wire.KindRegister)
		if err != nil {
			r.w.fail("register: %v", err)
			return
		}
		r.registered = true
		if len(reply.Missing) > 0 {
			var d wire.Define
			for _, m := range reply.Missing {
				d.Plugins = append(d.Plugins, cluster.PluginRecord{PluginRef: m, Definition: []byte(`{}`)})
			}
			r.w.ask(r, r.w.encode(wire.KindDefine, d), func(wire.Envelope) {})
		}
	})
}

func (r *runner) heldJobs() []cluster.HeldJob {
	jobs := make([]cluster.HeldJob, 0, len(r.held))
	for id, c := range r.held {
		jobs = append(jobs, cluster.HeldJob{Job: id, Epoch: c.spec.Epoch, Revision: c.spec.Revision})
	}
	return jobs
}

func (r *runner) statuses() []cluster.Status {
	all := make([]cluster.Status, 0, len(r.last))
	for id := range r.held {
		if s, ok := r.last[id]; ok {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b cluster.Status) int {
		if a.Job.Less(b.Job) {
			return -1
		}
		return 1
	})
	return all
}

func (r *runner) beat() {
	r.later(time.Second, r.beat)
	if !r.registered {
		r.register()
		return
	}
	hb := cluster.Heartbeat{Runner: r.id, Session: r.session, State: cluster.SessionActive, Digest: cluster.DigestHeld(r.heldJobs()),
		StatusDigest: cluster.DigestStatuses(r.statuses()), Jobs: len(r.held)}
	if r.draining {
		hb.State = cluster.SessionDraining
		if len(r.held) == 0 {
			hb.State = cluster.SessionClosed
		}
	}
	sent := r.heldJobs()
	r.w.ask(r, r.w.encode(wire.KindBeat, hb), func(e wire.Envelope) {
		reply, err := wire.Decode[cluster.HeartbeatReply](e, wire.KindBeat)
		if err != nil {
			r.w.fail("beat: %v", err)
			return
		}
		r.corrected(hb, sent, reply)
	})
}

// corrected acts on the answer to a heartbeat; what came since it was sent is left alone.
func (r *runner) corrected(hb cluster.Heartbeat, sent []cluster.HeldJob, reply cluster.HeartbeatReply) {
	switch {
	case hb.State == cluster.SessionClosed:
		r.alive = false // exit 0
		return
	case !reply.Known, reply.State == cluster.SessionLost, reply.State == cluster.SessionClosed:
		r.w.sessionsEnded++
		r.start() // stop everything and begin again
		return
	}
	ours := sent
	if reply.Differs {
		ours = reply.Held
	}
	for _, h := range ours { // the fence was taken by somebody who has been given up: take it back
		if c := r.held[h.Job]; c != nil && c.noticed && c.spec.Epoch == h.Epoch {
			r.again(c)
		}
	}
	for _, l := range reply.LetGo {
		r.letGo(l.Job, l.Epoch)
	}
	if reply.Differs {
		want := map[cluster.JobID]cluster.HeldJob{}
		for _, h := range reply.Held {
			want[h.Job] = h
		}
		for _, was := range sent {
			if _, ok := want[was.Job]; !ok {
				r.stop(was.Job, was.Epoch)
			}
		}
		var missing []cluster.JobID
		for _, id := range sortedJobs(want) {
			h, c := want[id], r.held[id]
			if h.Epoch <= r.ended[id] {
				continue // it has ended here; the release is on its way
			}
			if c == nil || c.spec.Epoch < h.Epoch || c.spec.Epoch == h.Epoch && c.spec.Revision < h.Revision {
				missing = append(missing, id)
			}
		}
		for batch := range slices.Chunk(missing, wire.MaxSpecs) {
			r.w.ask(r, r.w.encode(wire.KindSpecs, wire.SpecsRequest{Session: r.session, Jobs: batch}), func(e wire.Envelope) {
				reply, err := wire.Decode[wire.SpecsReply](e, wire.KindSpecs)
				if err != nil {
					r.w.fail("specs: %v", err)
				}
				for _, s := range reply.Specs {
					r.run(s)
				}
			})
		}
	}
	if reply.ResendStatuses {
		r.send(r.statuses(), nil)
	}
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

// run starts a job or changes it. An older epoch or revision does nothing; a newer epoch stops the older copy first.
func (r *runner) run(s cluster.JobSpec) {
	if s.Session != r.session || s.Epoch <= r.ended[s.Job] && !r.w.ignoreEpochs {
		return
	}
	if c := r.held[s.Job]; c != nil && !r.w.ignoreEpochs {
		if s.Epoch < c.spec.Epoch || s.Epoch == c.spec.Epoch && s.Revision <= c.spec.Revision {
			return
		}
	}
	c := &jobCopy{spec: s, r: r}
	r.held[s.Job] = c // the older copy, if any, ends here
	r.w.started(c)
	r.later(r.w.between(2*time.Millisecond, 30*time.Millisecond), func() {
		if r.held[s.Job] != c {
			return
		}
		r.report(c, state(s.Target))
		if s.Job.IsInstance() && s.Target == cluster.Started {
			r.split(c)
		}
	})
}

// again starts a copy that was fenced, under its old epoch.
func (r *runner) again(c *jobCopy) {
	c.noticed = false
	r.later(fencedPause, func() {
		if r.held[c.spec.Job] == c && c.fenced {
			next := &jobCopy{spec: c.spec, r: r}
			r.held[c.spec.Job] = next
			delete(r.w.starts, startOf(next)) // not a command obeyed twice
			r.w.started(next)
		}
	})
}

// fencedPause is how long a fenced job waits before it starts again.
const fencedPause = 500 * time.Millisecond

func state(t cluster.TargetState) cluster.State {
	switch t {
	case cluster.Paused:
		return cluster.StatePaused
	case cluster.Stopped:
		return cluster.StateStopped
	case cluster.Started:
	}
	return cluster.StateRunning
}

// split answers "split yourself": the config says into how many.
func (r *runner) split(c *jobCopy) {
	text, _ := c.spec.Config.Get("tasks.max")
	n, err := strconv.Atoi(text)
	if err != nil {
		r.w.fail("tasks.max is %q", text)
	}
	fence, _ := c.spec.Config.Get("fence")
	rep := cluster.TaskConfigReport{Job: c.spec.Job, Session: r.session, Epoch: c.spec.Epoch, ConfigVersion: c.spec.ConfigVersion, Fenceable: fence == "yes"}
	for i := range n {
		rep.Tasks = append(rep.Tasks, cluster.ConfigOf(map[string]string{"task": strconv.Itoa(i), "of": text}))
	}
	r.send(nil, []cluster.TaskConfigReport{rep})
	// No digest covers task configs, so the report is repeated; the store ignores what it has.
	r.later(splitAgain, func() {
		if r.held[c.spec.Job] == c {
			r.split(c)
		}
	})
}

// splitAgain is how often an instance repeats its report.
const splitAgain = 5 * time.Second

// letGo ends a job, or says at once that what never came is not held.
func (r *runner) letGo(id cluster.JobID, epoch cluster.Epoch) {
	switch c := r.held[id]; {
	case c != nil:
		r.stop(id, epoch) // if it is of this epoch
	case r.ended[id] < epoch:
		r.ended[id] = epoch
		r.released(&jobCopy{r: r, spec: cluster.JobSpec{Job: id, Session: r.session, Epoch: epoch}})
	}
}

// stop ends a job and says so.
func (r *runner) stop(id cluster.JobID, epoch cluster.Epoch) {
	c := r.held[id]
	if c == nil || c.spec.Epoch != epoch {
		return
	}
	r.ended[id] = epoch
	delete(r.held, id)
	r.w.stops++
	r.later(r.w.between(time.Millisecond, 50*time.Millisecond), func() { r.released(c) })
}

// releaseAgain is how often a release is told until it is known to be stored: no digest covers it.
const releaseAgain = 500 * time.Millisecond

func (r *runner) released(c *jobCopy) {
	if c.spec.Session != r.session {
		return
	}
	st := cluster.Status{Job: c.spec.Job, Session: r.session, Epoch: c.spec.Epoch, Revision: c.spec.Revision, RestartSeq: c.spec.RestartSeq,
		State: cluster.StateUnassigned, WorkerID: r.id, Released: true}
	told := false
	r.w.ask(r, r.w.encode(wire.KindReport, wire.Report{Session: r.session, Statuses: []cluster.Status{st}}), func(e wire.Envelope) { told = e.Kind == wire.KindAck })
	r.later(releaseAgain, func() {
		if !told {
			r.released(c)
		}
	})
}

func (r *runner) report(c *jobCopy, st cluster.State) {
	s := cluster.Status{Job: c.spec.Job, Session: r.session, Epoch: c.spec.Epoch, Revision: c.spec.Revision, RestartSeq: c.spec.RestartSeq,
		State: st, WorkerID: r.id}
	r.last[s.Job] = s
	r.send([]cluster.Status{s}, nil)
}

func (r *runner) send(statuses []cluster.Status, tasks []cluster.TaskConfigReport) {
	msg := r.w.encode(wire.KindReport, wire.Report{Session: r.session, Statuses: statuses, TaskConfigs: tasks})
	if !r.cut && r.w.net.up {
		r.w.net.mu.Lock()
		r.w.net.noted = append(r.w.net.noted, message{to: wire.Reports, id: string(r.session), body: msg, purge: r.w.net.purges})
		r.w.net.mu.Unlock()
		return
	}
	r.w.ask(r, msg, func(wire.Envelope) {}) // if that is lost, the digests tell
}

// write is what all copies do all the time; the broker refuses those that it has fenced, and they end.
func (r *runner) write() {
	r.later(500*time.Millisecond, r.write)
	for _, id := range sortedJobs(r.held) {
		if c := r.held[id]; c.fenced && !c.noticed {
			c.noticed = true
			r.w.fencedOff++
		}
	}
}

func (r *runner) kill() {
	r.alive, r.paused, r.backlog = false, false, nil
	r.held = map[cluster.JobID]*jobCopy{}
}

func (r *runner) resume() {
	r.paused = false
	backlog := r.backlog
	r.backlog = nil
	for _, f := range backlog {
		r.do(f)
	}
}
