package jobs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

const (
	fencedBackoff    = 500 * time.Millisecond // first pause before a fenced job that is still ours starts again; doubles
	fencedBackoffMax = 30 * time.Second
)

// slot is one job's place. Its goroutine (live) runs one instance at a time; an older one has always stopped, or was
// abandoned, before a newer one starts (DA-4).
type slot struct {
	s       *Supervisor
	id      cluster.JobID
	changed chan struct{} // cap 1: want or fenced changed
	gone    chan struct{} // closed when it has ended

	// Guarded by Supervisor.mu.
	want   *cluster.JobSpec    // newest spec; nil: let go
	cur    *run                // what runs now
	last   *cluster.Status     // last status told
	fenced bool                // Kafka refused us; waiting to hear whether the job is still ours
	failed *cluster.JobSpec    // the spec that ended in FAILED
	tries  int                 // fenced starts in a row
	stuck  bool                // the last run was abandoned
	count  *connectmetrics.Job // of the last run; nil before the first
	renew  bool                // what runs, or has failed, is to start anew
	asked  []chan struct{}     // each closed when the control plane has said that the job is still ours
}

// run is one run of one instance.
type run struct {
	sl      *slot
	spec    cluster.JobSpec // as applied; target, revision and restart sequence move on with the slot's. Guarded by Supervisor.mu.
	version string          // guarded by Supervisor.mu
	over    bool            // nothing it says counts any more; guarded by Supervisor.mu
	targets chan cluster.TargetState
	topics  *job.Topics // nil: not told
	take    context.CancelFunc
	do      context.CancelFunc
	done    chan error    // cap 1
	quiet   chan struct{} // closed when nothing is written any more; a run that ends without a word leaves it open
	log     *slog.Logger
}

func newSlot(s *Supervisor, id cluster.JobID) *slot {
	return &slot{s: s, id: id, changed: make(chan struct{}, 1), gone: make(chan struct{})}
}

func (sl *slot) poke() {
	select {
	case sl.changed <- struct{}{}:
	default:
	}
}

// offer, letGo and confirmed are called with Supervisor.mu held.

func (sl *slot) offer(spec cluster.JobSpec) {
	if w := sl.want; w != nil && (spec.Epoch < w.Epoch || spec.Epoch == w.Epoch && spec.Revision <= w.Revision) {
		return
	}
	sl.want = &spec
	sl.poke()
}

func (sl *slot) letGo() {
	sl.want = nil
	sl.poke()
}

func (sl *slot) confirmed() {
	sl.fenced = false
	sl.poke()
}

// live is the slot's goroutine.
func (sl *slot) live() {
	var paused <-chan time.Time // while a fenced job waits before it starts again
	for {
		next, cur := sl.next()
		switch next {
		case doEnd:
			sl.stop(cur)
			if sl.leave() {
				return
			}
			continue
		case doReplace:
			sl.stop(cur)
			sl.start()
			continue
		case doStart:
			wait := sl.backoff()
			if wait == 0 {
				sl.start()
				continue
			}
			if paused == nil {
				paused = time.After(wait)
			}
		case doRetarget:
			sl.retarget(cur)
			continue
		case doNothing:
		}
		var done chan error
		if cur != nil {
			done = cur.done
		}
		select {
		case <-sl.changed:
		case err := <-done:
			sl.ended(cur, err)
		case <-paused:
			paused = nil
			sl.start()
		}
	}
}

type action int

const (
	doNothing action = iota
	doEnd
	doReplace
	doStart
	doRetarget
)

// next compares what is wanted with what runs. It is the whole decision.
func (sl *slot) next() (action, *run) {
	sl.s.mu.Lock()
	defer sl.s.mu.Unlock()
	w, cur := sl.want, sl.cur
	switch {
	case w == nil:
		return doEnd, cur
	case cur != nil && (sl.renew || differs(cur.spec, *w)):
		return doReplace, cur
	case cur != nil && (cur.spec.Revision != w.Revision || cur.spec.Target != w.Target):
		return doRetarget, cur
	case cur != nil:
		return doNothing, cur
	case sl.fenced:
		return doNothing, nil
	case sl.failed == nil || sl.renew || differs(*sl.failed, *w):
		return doStart, nil
	case sl.failed.Target != w.Target && w.Target == cluster.Stopped:
		return doStart, nil // stopping clears the failure, as Kafka Connect does
	case sl.failed.Revision != w.Revision:
		return doRetarget, nil
	}
	return doNothing, nil
}

// differs tells whether b can't be reached from a without a restart.
func differs(a, b cluster.JobSpec) bool {
	return a.Epoch != b.Epoch || a.RestartSeq != b.RestartSeq || a.ConfigVersion != b.ConfigVersion ||
		a.TaskCount != b.TaskCount || !a.TaskConfig.Equal(b.TaskConfig)
}

func (sl *slot) backoff() time.Duration {
	sl.s.mu.Lock()
	defer sl.s.mu.Unlock()
	if sl.tries == 0 {
		return 0
	}
	return min(fencedBackoff<<min(sl.tries-1, 10), fencedBackoffMax)
}

// start makes and runs an instance of what is wanted now.
func (sl *slot) start() {
	s := sl.s
	s.mu.Lock()
	if sl.want == nil || sl.cur != nil {
		s.mu.Unlock()
		return
	}
	spec := *sl.want
	r := &run{sl: sl, spec: spec, targets: make(chan cluster.TargetState, 1), done: make(chan error, 1), quiet: make(chan struct{}),
		log: s.log.With(slog.String(obs.KeyConnector, spec.Name), slog.Int(obs.KeyTask, spec.Job.Task), slog.Int64(obs.KeyEpoch, int64(spec.Epoch)))}
	r.targets <- spec.Target
	if s.o.TrackTopics && !spec.Job.IsInstance() {
		r.topics = job.NewTopics(spec.TopicResets, r.used)
	}
	take, takeEnd := context.WithCancel(context.Background())
	do, doEnd := context.WithCancel(context.Background())
	r.take, r.do = takeEnd, func() { takeEnd(); doEnd() }
	sl.cur, sl.failed, sl.renew = r, nil, false
	sl.count = s.o.Series.Begin(spec.Name, spec.Job)
	count := sl.count
	s.mu.Unlock()

	s.o.Metrics.starts.Inc()
	go func() {
		r.done <- r.body(take, do, spec, count)
	}()
}

// body runs the instance of a spec, for r.spec moves on meanwhile; a panic is this job's failure alone.
func (r *run) body(take, do context.Context, spec cluster.JobSpec, count *connectmetrics.Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.sl.s.o.Metrics.panics.Inc()
			err = connecterr.Panicked(p)
		}
	}()
	inst, err := r.sl.s.o.Factory(spec)
	if err != nil {
		return err
	}
	env := job.Env{Spec: spec, Report: r, Target: r.targets, Leaving: r.sl.s.leaving, Topics: r.topics, Metrics: count, Confirm: r.sl.confirm,
		Quiet: sync.OnceFunc(func() { close(r.quiet) })}
	if handover := r.sl.s.o.Handover; handover != nil && spec.Former != nil {
		env.Handover = func(ctx context.Context) { handover(ctx, spec.Job, *spec.Former) }
	}
	return inst.Run(take, do, env)
}

// retarget hands a running instance its new target, or repeats what was said under the new revision.
func (sl *slot) retarget(r *run) {
	s := sl.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if sl.want == nil {
		return
	}
	w := *sl.want
	if r == nil {
		sl.failed = &w
		sl.repeat(w)
		return
	}
	target := r.spec.Target
	r.spec = w
	r.topics.Cleared(w.TopicResets)
	if sl.last != nil && (target == w.Target || sl.last.State == stateOf(w.Target) || sl.last.State == cluster.StateFailed) {
		sl.repeat(w)
	}
	// An instance hears its target again even when it is the same: it may have been another one in between, of which
	// nobody here has heard. A stop then dropped its task configs, and a pause refused them: it must split again (LC-2).
	if target != w.Target || sl.id.IsInstance() {
		select {
		case <-r.targets: // only the newest waits
		default:
		}
		r.targets <- w.Target
	}
}

// repeat says the last state again, under a new revision.
func (sl *slot) repeat(w cluster.JobSpec) {
	if sl.last == nil || sl.last.Epoch != w.Epoch {
		return
	}
	st := *sl.last
	st.Revision, st.RestartSeq = w.Revision, w.RestartSeq
	sl.say(st)
}

func stateOf(t cluster.TargetState) cluster.State {
	switch t {
	case cluster.Paused:
		return cluster.StatePaused
	case cluster.Stopped:
		return cluster.StateStopped
	case cluster.Started:
	}
	return cluster.StateRunning
}

// say tells a status; called with Supervisor.mu held.
func (sl *slot) say(st cluster.Status) {
	sl.last = &st
	if sl.count != nil {
		sl.count.State(st.State)
	}
	sl.s.o.Out.Status(st)
}

// status is a status of a run; called with Supervisor.mu held.
func (r *run) status(state cluster.State) cluster.Status {
	return cluster.Status{Job: r.spec.Job, Session: r.spec.Session, Epoch: r.spec.Epoch, Revision: r.spec.Revision, RestartSeq: r.spec.RestartSeq,
		State: state, WorkerID: r.sl.s.o.WorkerID, Version: r.version}
}

// ended takes note that a run ended by itself.
func (sl *slot) ended(r *run, err error) {
	r.do()
	s := sl.s
	s.mu.Lock()
	defer s.mu.Unlock()
	r.over = true
	sl.cur = nil
	if errors.Is(err, job.ErrFenced) {
		sl.fenced = true
		sl.tries++
		sl.count.End() // somebody else runs it
		s.o.Metrics.fenced.Inc()
		r.log.Info("stands down: a newer holder has taken over")
		s.o.Out.Beat()
		return
	}
	if err == nil {
		err = connecterr.New(connecterr.General, "ended without being told to stop")
	}
	failed := r.spec
	sl.failed, sl.tries = &failed, 0
	s.o.Metrics.failures.Inc()
	sl.count.Failed()
	r.log.Error("failed, and will not recover until it is restarted", slog.Any(obs.KeyErr, err))
	st := r.status(cluster.StateFailed)
	st.Trace = connecterr.Trace(err)
	if connecterr.KindOf(err) == connecterr.TooManyTasks {
		st.Reason = cluster.ReasonTooManyTasks
	}
	if s.session == r.spec.Session {
		sl.say(st)
	}
}

// stop ends a run: first it may finish, then it must give up, then it is abandoned.
func (sl *slot) stop(r *run) {
	if r == nil {
		return
	}
	s := sl.s
	r.take()
	abandoned := false
	err, ok := await(r.done, s.o.Grace)
	if !ok {
		r.log.Warn("did not stop in time, is told to give up", slog.Duration("grace", s.o.Grace))
		r.do()
		if err, ok = await(r.done, s.o.HardStop); !ok {
			abandoned = true
			s.o.Metrics.abandoned.Inc()
			r.log.Error("did not stop and is abandoned; what it still writes is fenced")
			go func() { <-r.done; s.o.Metrics.abandoned.Dec() }() //nolint:errcheck // nobody waits for it any more
		}
	}
	r.do()
	if ok && err != nil && !errors.Is(err, job.ErrFenced) && !errors.Is(err, context.Canceled) {
		r.log.Warn("failed while it was stopping", slog.Any(obs.KeyErr, err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.over = true
	sl.cur, sl.failed, sl.fenced, sl.tries, sl.stuck = nil, nil, false, 0, abandoned
	sl.last = withVersion(sl.last, r)
}

// withVersion keeps what a release says truthful: the epoch of the run that ended.
func withVersion(last *cluster.Status, r *run) *cluster.Status {
	st := r.status(cluster.StateUnassigned)
	if last != nil && last.Epoch == st.Epoch {
		return last
	}
	return &st
}

func await(done chan error, d time.Duration) (error, bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case err := <-done:
		return err, true
	case <-t.C:
		return nil, false
	}
}

// leave ends the slot unless something is wanted again, and says that the job is let go of.
func (sl *slot) leave() bool {
	s := sl.s
	s.mu.Lock()
	defer s.mu.Unlock()
	// A newer grant may have come and gone while the older copy stopped: the word is about the newest.
	last, epoch := sl.last, sl.epochHere()
	switch {
	case last != nil && last.Session == s.session && last.Epoch >= epoch:
		st := *last
		st.State, st.Trace, st.Released, st.Reason = cluster.StateUnassigned, "", true, ""
		if sl.stuck {
			st.Reason = ReasonStuck
		}
		s.o.Out.Status(st)
	case epoch > 0:
		s.o.Out.Status(cluster.Status{Job: sl.id, Session: s.session, Epoch: epoch, State: cluster.StateUnassigned,
			WorkerID: s.o.WorkerID, Released: true})
	}
	sl.last = nil
	sl.count.End()
	if sl.want != nil {
		return false
	}
	delete(s.slots, sl.id)
	close(sl.gone)
	return true
}

// epochHere is the epoch under which the job was let go of in this session; 0 when it never was held.
func (sl *slot) epochHere() cluster.Epoch { return sl.s.ended.of(sl.id) }

// ReasonStuck is the reason of a release whose job did not stop.
const ReasonStuck = "STUCK_STOPPING"

// State implements job.Reporter.
func (r *run) State(st cluster.State) {
	r.tell(func() {
		r.sl.tries = 0
		r.sl.say(r.status(st))
	})
}

// Failed implements job.Reporter.
func (r *run) Failed(err error) {
	r.tell(func() {
		st := r.status(cluster.StateFailed)
		st.Trace = connecterr.Trace(err)
		r.sl.say(st)
	})
}

// Version implements job.Reporter.
func (r *run) Version(v string) { r.tell(func() { r.version = v }) }

// TaskConfigs implements job.Reporter.
func (r *run) TaskConfigs(configVersion int64, tasks []cluster.Config, fenceable bool) {
	r.tell(func() {
		r.sl.s.o.Out.TaskConfigs(cluster.TaskConfigReport{Job: r.spec.Job, Session: r.spec.Session, Epoch: r.spec.Epoch,
			ConfigVersion: configVersion, Tasks: tasks, Fenceable: fenceable})
	})
}

// used tells of a topic.
func (r *run) used(topic string, resets int64) {
	r.tell(func() {
		r.sl.s.o.Out.Topics(cluster.TopicReport{Job: r.spec.Job, Session: r.spec.Session, Epoch: r.spec.Epoch, TopicResets: resets, Topics: []string{topic}})
	})
}

// tell runs f unless what the run says no longer counts.
func (r *run) tell(f func()) {
	r.sl.s.mu.Lock()
	defer r.sl.s.mu.Unlock()
	if !r.over && r.sl.s.session == r.spec.Session {
		f()
	}
}

var _ job.Reporter = (*run)(nil)
