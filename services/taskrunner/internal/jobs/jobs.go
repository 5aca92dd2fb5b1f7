// Package jobs supervises what a runner runs. It owns the goroutine of every job, starts and stops job.Instances as the
// control plane wants, and turns what they say into statuses that name session and epoch.
//
// It is level-triggered: Apply and Release are hints that may be lost, doubled or late; Correct, fed by every heartbeat's
// answer, makes up for them (Invariant 1).
//
// Start reading at Supervisor, then slot.go: one job's life.
package jobs

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

// Outgoing takes what is to be told to the control plane. Its methods never block; it keeps the newest status of a job and
// every release and task config report until they are stored.
type Outgoing interface {
	Status(cluster.Status)
	TaskConfigs(cluster.TaskConfigReport)
	// Topics adds to what a task is known to use; it is kept until it is stored.
	Topics(cluster.TopicReport)
	// Beat asks for a heartbeat now instead of in a second.
	Beat()
}

// Options are what a Supervisor is made of.
type Options struct {
	WorkerID cluster.RunnerID
	Factory  job.Factory
	Out      Outgoing
	Logger   *slog.Logger
	Metrics  *Metrics // nil = none
	// Series are what jobs count, by the names of Kafka Connect. nil = none.
	Series *connectmetrics.Set
	// Handover asks a former holder to let go and waits a moment for it. nil: nobody is asked.
	Handover func(ctx context.Context, id cluster.JobID, former cluster.Former)
	// Grace is how long a stopping job may finish its work; HardStop how long it may then take to give it up before it is
	// abandoned. Defaults: 5 s each.
	Grace, HardStop time.Duration
	// TrackTopics has tasks tell which topics they use.
	TrackTopics bool
}

// Supervisor is safe for concurrent use.
type Supervisor struct {
	o   Options
	log *slog.Logger

	mu      sync.Mutex
	session cluster.SessionID
	slots   map[cluster.JobID]*slot
	ended   endings
	closed  bool
	running sync.WaitGroup
	leaving chan struct{} // closed by Leave
	left    sync.Once
}

// New makes a supervisor. It takes nothing before Begin.
func New(o Options) *Supervisor {
	if o.Grace <= 0 {
		o.Grace = 5 * time.Second
	}
	if o.HardStop <= 0 {
		o.HardStop = 5 * time.Second
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Series == nil {
		o.Series = connectmetrics.New(connectmetrics.Options{})
	}
	return &Supervisor{o: o, log: o.Logger, slots: map[cluster.JobID]*slot{}, leaving: make(chan struct{})}
}

// Leave tells all jobs, also those that come later, that the runner is going to leave: they go on, and keep little
// uncommitted.
func (s *Supervisor) Leave() { s.left.Do(func() { close(s.leaving) }) }

// Begin starts a new session: what runs for an older one is stopped and says nothing more; only specs of this session are
// taken from now on.
func (s *Supervisor) Begin(session cluster.SessionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session = session
	s.ended = endings{}
	for _, sl := range s.slots {
		sl.letGo()
	}
}

// Apply takes a spec. Specs of another session, of an older epoch or revision, or of a job that has ended here under this
// epoch, do nothing; equal ones neither.
func (s *Supervisor) Apply(spec cluster.JobSpec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || spec.Session != s.session || spec.Epoch <= s.ended.of(spec.Job) {
		return
	}
	sl := s.slots[spec.Job]
	if sl == nil {
		sl = newSlot(s, spec.Job)
		s.slots[spec.Job] = sl
		s.running.Go(sl.live)
	}
	sl.offer(spec)
}

// Renew starts the job anew as it is wanted, if it is still held under this epoch: what its configuration stands for has changed.
func (s *Supervisor) Renew(id cluster.JobID, epoch cluster.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sl := s.slots[id]; sl != nil && sl.want != nil && sl.want.Epoch == epoch {
		sl.renew = true
		sl.poke()
	}
}

// Release lets go of a job under an epoch. What is not held under it, perhaps because the assignment never came, is said to
// be let go of at once: somebody waits for that word.
func (s *Supervisor) Release(id cluster.JobID, session cluster.SessionID, epoch cluster.Epoch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if session == s.session {
		s.release(id, epoch)
	}
}

// HandOver is Release for a successor that waits: it returns when the job writes nothing more here, or ctx ends.
func (s *Supervisor) HandOver(ctx context.Context, id cluster.JobID, session cluster.SessionID, epoch cluster.Epoch) {
	s.mu.Lock()
	sl := s.slots[id]
	if session != s.session || sl == nil || sl.want != nil && sl.want.Epoch > epoch {
		s.mu.Unlock()
		return
	}
	s.release(id, epoch)
	var quiet chan struct{}
	if sl.cur != nil {
		quiet = sl.cur.quiet
	}
	s.mu.Unlock()
	select {
	case <-quiet:
	case <-sl.gone:
	case <-ctx.Done():
	}
}

// release is called with mu held.
func (s *Supervisor) release(id cluster.JobID, epoch cluster.Epoch) {
	sl := s.slots[id]
	switch {
	case sl != nil && sl.want != nil && sl.want.Epoch > epoch:
		return // an older word
	case sl != nil && sl.want != nil && sl.want.Epoch == epoch:
		s.ended.add(id, epoch)
		sl.letGo()
	case sl == nil:
		s.ended.add(id, epoch)
		s.o.Out.Status(cluster.Status{Job: id, Session: s.session, Epoch: epoch, State: cluster.StateUnassigned, WorkerID: s.o.WorkerID, Released: true})
	}
}

// Holding is what a heartbeat says of the jobs, with what Correct needs to understand the answer.
type Holding struct {
	Held     []cluster.HeldJob
	Statuses []cluster.Status
	fenced   map[cluster.JobID]cluster.Epoch
	asked    map[cluster.JobID][]chan struct{} // who waits for the answer
}

// Holding lists what is held now. A job that is being let go is not held any more.
func (s *Supervisor) Holding() Holding {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := Holding{fenced: map[cluster.JobID]cluster.Epoch{}, asked: map[cluster.JobID][]chan struct{}{}}
	for id, sl := range s.slots {
		if sl.want == nil {
			continue
		}
		h.Held = append(h.Held, cluster.HeldJob{Job: id, Epoch: sl.want.Epoch, Revision: sl.want.Revision})
		if sl.last != nil && sl.last.Epoch == sl.want.Epoch {
			h.Statuses = append(h.Statuses, *sl.last)
		}
		if sl.fenced {
			h.fenced[id] = sl.want.Epoch
		}
		if len(sl.asked) > 0 {
			h.asked[id] = slices.Clone(sl.asked)
		}
	}
	slices.SortFunc(h.Held, func(a, b cluster.HeldJob) int { return compare(a.Job, b.Job) })
	slices.SortFunc(h.Statuses, func(a, b cluster.Status) int { return compare(a.Job, b.Job) })
	return h
}

// Correct acts on the answer to a heartbeat that told h: jobs that are not ours any more are let go, and the jobs whose
// specs must be fetched are returned. What changed since the heartbeat was sent is left alone; the next one sees it.
func (s *Supervisor) Correct(h Holding, reply cluster.HeartbeatReply) (missing []cluster.JobID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ours := h.Held
	if reply.Differs {
		ours = reply.Held
	}
	want := make(map[cluster.JobID]cluster.HeldJob, len(ours))
	for _, o := range ours {
		want[o.Job] = o
	}
	for _, was := range h.Held {
		sl := s.slots[was.Job]
		if sl == nil || sl.want == nil || sl.want.Epoch != was.Epoch {
			continue
		}
		o, still := want[was.Job]
		switch {
		case !still:
			s.ended.add(was.Job, was.Epoch)
			sl.letGo()
		case o.Epoch == was.Epoch && h.fenced[was.Job] == was.Epoch:
			sl.confirmed() // Kafka fenced us, and yet the job is ours
		}
		if still && o.Epoch == was.Epoch {
			sl.answer(h.asked[was.Job])
		}
	}
	for _, l := range reply.LetGo {
		s.release(l.Job, l.Epoch)
	}
	for _, o := range ours {
		sl := s.slots[o.Job]
		have := sl != nil && sl.want != nil && (sl.want.Epoch > o.Epoch || sl.want.Epoch == o.Epoch && sl.want.Revision >= o.Revision)
		if !have && o.Epoch > s.ended.of(o.Job) {
			missing = append(missing, o.Job)
		}
	}
	return missing
}

// States counts the held jobs by their last state; a job without one counts as STARTING.
func (s *Supervisor) States() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := map[string]int{}
	for _, sl := range s.slots {
		switch {
		case sl.want == nil:
			n["STOPPING"]++
		case sl.last == nil || sl.last.Epoch != sl.want.Epoch:
			n["STARTING"]++
		default:
			n[string(sl.last.State)]++
		}
	}
	return n
}

// Close lets go of everything and waits until it has stopped or ctx ends. Nothing is taken afterwards.
func (s *Supervisor) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for id, sl := range s.slots {
		if sl.want != nil {
			s.ended.add(id, sl.want.Epoch)
		}
		sl.letGo()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func compare(a, b cluster.JobID) int {
	switch {
	case a.Less(b):
		return -1
	case b.Less(a):
		return 1
	}
	return 0
}

// endings remembers under which epochs jobs have ended here, so that a message that comes late doesn't start one again. It
// is bounded: should an older one be forgotten, the next heartbeat puts it right.
type endings struct {
	epochs map[cluster.JobID]cluster.Epoch
	order  []cluster.JobID
}

const rememberEnded = 4096

func (e *endings) of(id cluster.JobID) cluster.Epoch { return e.epochs[id] }

func (e *endings) add(id cluster.JobID, epoch cluster.Epoch) {
	if e.epochs == nil {
		e.epochs = map[cluster.JobID]cluster.Epoch{}
	}
	if _, known := e.epochs[id]; !known {
		e.order = append(e.order, id)
	}
	e.epochs[id] = max(e.epochs[id], epoch)
	if len(e.order) > rememberEnded {
		delete(e.epochs, e.order[0])
		e.order = e.order[1:]
	}
}
