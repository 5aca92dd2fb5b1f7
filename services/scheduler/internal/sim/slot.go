package sim

import (
	"strconv"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
)

// slot models one job's place on a runner, rule by rule as services/taskrunner/internal/jobs has it: an older copy has
// stopped before a newer one starts, a release is told when the copy has stopped, a fenced copy waits for word.
type slot struct {
	r    *runner
	id   cluster.JobID
	want *cluster.JobSpec // newest spec; nil: let go
	cur  *jobCopy         // what runs, also while it stops
	last *cluster.Status

	fenced  bool // Kafka refused us; waits to hear whether the job is still ours
	tries   int  // fenced starts in a row
	waiting bool // the pause before a fenced job starts again runs
}

// jobCopy is one running copy of a job.
type jobCopy struct {
	spec     cluster.JobSpec
	r        *runner
	stopping bool
	fenced   bool // by the broker; it learns of it when it writes
}

// unfenced tells whether nothing but the control plane keeps a second copy away.
func (c *jobCopy) unfenced() bool {
	fence, _ := c.spec.Config.Get("fence")
	return fence != "yes" && !c.spec.Job.IsInstance()
}

func (s *slot) offer(spec cluster.JobSpec) {
	if w := s.want; w != nil && !s.r.w.broken.IgnoreEpochs && (spec.Epoch < w.Epoch || spec.Epoch == w.Epoch && spec.Revision <= w.Revision) {
		return
	}
	s.want = &spec
	s.act()
}

func (s *slot) letGo() {
	s.want = nil
	s.act()
}

// differs tells whether b can't be reached from a without a restart.
func differs(a, b cluster.JobSpec) bool {
	return a.Epoch != b.Epoch || a.RestartSeq != b.RestartSeq || a.ConfigVersion != b.ConfigVersion ||
		a.TaskCount != b.TaskCount || !a.TaskConfig.Equal(b.TaskConfig)
}

// act compares what is wanted with what runs.
func (s *slot) act() {
	w := s.want
	switch {
	case s.cur != nil && s.cur.stopping && !s.r.w.broken.Overlap:
	case w == nil && s.cur != nil:
		s.stop()
	case w == nil:
		s.leave()
	case s.cur != nil && differs(s.cur.spec, *w):
		if w.Epoch > s.cur.spec.Epoch {
			s.r.w.regrants++
		}
		s.stop()
	case s.cur != nil && (s.cur.spec.Revision != w.Revision || s.cur.spec.Target != w.Target):
		s.retarget()
	case s.cur != nil, s.fenced, s.waiting:
	case s.tries > 0:
		s.waiting = true
		s.r.later(min(fencedPause<<min(s.tries-1, 10), 30*time.Second), func() {
			s.waiting = false
			switch {
			case s.r.slots[s.id] != s: // it has ended; another may have its place
			case s.cur != nil, s.want == nil, s.fenced:
				s.act()
			default:
				s.start()
			}
		})
	default:
		s.start()
	}
}

// fencedPause is the first pause of a fenced job before it starts again.
const fencedPause = 500 * time.Millisecond

func (s *slot) start() {
	c := &jobCopy{spec: *s.want, r: s.r}
	s.r.w.started(s, c, s.tries > 0)
	s.cur = c
	s.r.later(s.r.w.between(2*time.Millisecond, 30*time.Millisecond), func() { s.follow(c) })
}

// follow brings a copy to the target and tells; an instance splits itself.
func (s *slot) follow(c *jobCopy) {
	if s.cur != c || c.stopping || c.spec.Session != s.r.session {
		return
	}
	s.tries = 0
	s.say(s.status(c.spec, state(c.spec.Target)))
	if c.spec.Job.IsInstance() && c.spec.Target == cluster.Started {
		s.split(c)
	}
}

func (s *slot) status(spec cluster.JobSpec, st cluster.State) cluster.Status {
	return cluster.Status{Job: spec.Job, Session: spec.Session, Epoch: spec.Epoch, Revision: spec.Revision, RestartSeq: spec.RestartSeq,
		State: st, WorkerID: s.r.id}
}

func (s *slot) say(st cluster.Status) {
	s.last = &st
	s.r.out.status(st)
}

func (s *slot) retarget() {
	w, c := *s.want, s.cur
	target := c.spec.Target
	c.spec = w
	if s.last != nil && s.last.Epoch == w.Epoch && (target == w.Target || s.last.State == state(w.Target)) {
		st := *s.last
		st.Revision, st.RestartSeq = w.Revision, w.RestartSeq
		s.say(st)
	}
	if target != w.Target || w.Job.IsInstance() && !s.r.w.broken.SplitOnce {
		s.r.later(s.r.w.between(time.Millisecond, 20*time.Millisecond), func() { s.follow(c) })
	}
}

// stop ends the copy; now and then that takes long.
func (s *slot) stop() {
	c, w := s.cur, s.r.w
	c.stopping = true
	w.stops++
	w.trace("%s stops %v under %d", c.spec.Session, c.spec.Job, c.spec.Epoch)
	took := w.between(time.Millisecond, 50*time.Millisecond)
	if w.chance(w.faults.SlowStop) {
		took = w.upTo(10 * time.Second)
	}
	stopped := func() {
		if s.cur == c {
			s.cur = nil
		}
		s.fenced, s.tries = false, 0
		if s.last == nil || s.last.Epoch != c.spec.Epoch {
			st := s.status(c.spec, cluster.StateUnassigned)
			s.last = &st
		}
		s.act()
	}
	switch {
	case w.broken.Overlap:
		s.cur = nil
		s.act()
		s.r.lingering = append(s.r.lingering, c)
		s.r.later(took, func() { s.r.lingering = without(s.r.lingering, c) })
	case w.broken.ReleaseEarly && s.want == nil:
		s.r.lingering = append(s.r.lingering, c)
		s.r.later(took, func() { s.r.lingering = without(s.r.lingering, c) })
		stopped()
	default:
		s.r.later(took, stopped)
	}
}

func without(all []*jobCopy, c *jobCopy) (rest []*jobCopy) {
	for _, x := range all {
		if x != c {
			rest = append(rest, x)
		}
	}
	return rest
}

// leave ends the slot and says that the job is let go of.
func (s *slot) leave() {
	r := s.r
	last, epoch := s.last, r.ended[s.id]
	if last != nil && last.Session == r.session && last.Epoch >= epoch {
		st := *last
		st.State, st.Released = cluster.StateUnassigned, true
		r.out.status(st)
	} else if epoch > 0 {
		r.out.status(r.release(s.id, epoch))
	}
	s.last = nil
	delete(r.slots, s.id)
}

// write is what every copy does all the time; the broker refuses those that it has fenced, and they end.
func (s *slot) write() {
	c := s.cur
	if c == nil || c.stopping || !c.fenced {
		return
	}
	s.cur, s.fenced = nil, true
	s.tries++
	s.r.w.fencedOff++
	s.r.poke()
}

// splitAgain is the plugin's wish.
func (s *slot) splitAgain(c *jobCopy) {
	if s.cur == c && !c.stopping && c.spec.Target == cluster.Started && s.last != nil && s.last.State == cluster.StateRunning {
		s.split(c)
	}
}

// split answers "split yourself": the config says into how many.
func (s *slot) split(c *jobCopy) {
	text, _ := c.spec.Config.Get("tasks.max")
	n, err := strconv.Atoi(text)
	if err != nil {
		s.r.w.fail("tasks.max is %q", text)
	}
	if outside, changed := s.r.w.api.world[c.spec.Job.UID]; changed {
		n = outside
	}
	fence, _ := c.spec.Config.Get("fence")
	rep := cluster.TaskConfigReport{Job: c.spec.Job, Session: c.spec.Session, Epoch: c.spec.Epoch, ConfigVersion: c.spec.ConfigVersion, Fenceable: fence == "yes"}
	for i := range n {
		rep.Tasks = append(rep.Tasks, cluster.ConfigOf(map[string]string{"task": strconv.Itoa(i), "of": strconv.Itoa(n)}))
	}
	s.r.out.taskConfigs(rep)
}

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
