package plan

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/controlplane/cluster"
)

// nobody is the index of no session.
const nobody = -1

// job is a job with what this round knows of it.
type job struct {
	v      *cluster.JobView
	kind   int
	holder int // index of the session that holds it, also an ended one; nobody when unowned or its session is unknown
	at     int // where it will count after this round: holder or new holder
	weight float64
	why    cluster.Reason // of its placement or move
	prefer int            // session to keep it on if that can be, else nobody
}

// fenced tells whether a successor may start while the old copy still runs: Kafka fences the task, and the only effect
// of a connector instance is its report, which the store refuses by epoch (Invariants 3 and 4).
func fenced(v *cluster.JobView) bool { return v.Fenceable || v.Job.IsInstance() }

func newWorld(cfg Config, s cluster.Snapshot, m mutation) *world {
	w := &world{cfg: cfg, floor: s.Floor, m: m, budget: cfg.MaxMovesPerRound}
	runners := make([]*cluster.RunnerView, len(s.Runners))
	for i := range s.Runners {
		runners[i] = &s.Runners[i]
	}
	jobs := make([]*cluster.JobView, len(s.Jobs))
	for i := range s.Jobs {
		jobs[i] = &s.Jobs[i]
	}
	if !m.keepInputOrder {
		slices.SortFunc(runners, compareSessions)
		byID := func(a, b *cluster.JobView) int {
			return cmp.Or(cmp.Compare(a.Job.UID, b.Job.UID), cmp.Compare(a.Job.Task, b.Job.Task))
		}
		if !slices.IsSortedFunc(jobs, byID) {
			slices.SortFunc(jobs, byID)
		}
	}
	if m.sortInput {
		slices.SortFunc(s.Jobs, func(a, b cluster.JobView) int { return cmp.Compare(b.Job.Task, a.Job.Task) })
	}
	w.sessions = make([]session, len(runners))
	w.tally = make([]int, len(runners))
	w.bySess = make(map[cluster.SessionID]int, len(runners))
	for i, r := range runners {
		w.sessions[i].v = r
		w.bySess[r.Session] = i
	}
	w.jobs = make([]job, len(jobs))
	for i, v := range jobs {
		j := job{v: v, holder: nobody, at: nobody, prefer: nobody, weight: v.Load}
		if j.weight <= 0 {
			j.weight = 1
		}
		if v.Session != "" {
			if at, ok := w.bySess[v.Session]; ok {
				j.holder = at
				if !fenced(v) {
					w.sessions[at].unfenced++
				}
			}
		}
		w.jobs[i] = j
	}
	return w
}

// sortJobs says what each job needs: a runner, a move, an end, patience, or nothing.
func (w *world) sortJobs() {
	index := map[[2]string]int{}
	last := nobody // jobs of one connector are neighbours and of one kind: most lookups end here
	for i := range w.jobs {
		j := &w.jobs[i]
		if last == nobody || w.kinds[last].class != j.v.Class || w.kinds[last].pool != j.v.Pool {
			key := [2]string{j.v.Class, j.v.Pool}
			k, ok := index[key]
			if !ok {
				k = len(w.kinds)
				w.kinds = append(w.kinds, w.newKind(j.v.Class, j.v.Pool))
				index[key] = k
			}
			last = k
		}
		j.kind = last
		w.sortJob(i, j)
	}
}

func (w *world) sortJob(i int, j *job) {
	v := j.v
	if v.Session == "" || j.holder == nobody || w.sessions[j.holder].ended {
		w.sortFree(i, j)
		return
	}
	s := &w.sessions[j.holder]
	switch {
	case !v.Wanted:
		if !v.Releasing && !w.m.keepUnwanted {
			w.release = append(w.release, w.decide(cluster.Release, j, s, cluster.WhyUnwanted))
		}
		if w.m.forgetHeld {
			w.forget = append(w.forget, w.decide(cluster.Forget, j, s, cluster.WhyUnwanted))
		}
		w.count(j, j.holder)
	case s.gone && (fenced(v) || w.m.stealUnfenced):
		// The connection is gone, but the session also holds unfenced jobs, so it is not marked lost yet.
		j.why = cluster.WhyRunnerLost
		w.place = append(w.place, i)
	case s.gone:
		w.wait(j, cluster.WhyStillHeld)
		w.count(j, j.holder)
	case w.hold && s.vanished:
		if s.overdue {
			w.wait(j, cluster.WhyHold)
		}
		w.count(j, j.holder)
	case v.Releasing && (fenced(v) || w.m.stealUnfenced):
		// Wanted again before its holder let go. A new epoch is safe at once, on the same runner if it can be: the
		// runner stops the older copy first.
		j.why, j.prefer = cluster.WhyNew, j.holder
		w.place = append(w.place, i)
		w.count(j, j.holder) // it takes room there until it is placed
	case v.Releasing:
		w.wait(j, cluster.WhyStillHeld)
		w.count(j, j.holder)
	case s.v.State == cluster.SessionDraining:
		j.why = cluster.WhyDrain
		w.move = append(w.move, i)
		w.count(j, j.holder)
	case !w.kinds[j.kind].fits[j.holder]:
		j.why = cluster.WhyMisplaced
		w.move = append(w.move, i)
		w.count(j, j.holder)
	default:
		w.count(j, j.holder)
		s.held = append(s.held, i)
		if w.m.shuffleHealthy && !s.suspect {
			j.why = cluster.WhyRebalance
			w.place = append(w.place, i)
		}
	}
}

// sortFree handles a job that nobody holds (any more).
func (w *world) sortFree(i int, j *job) {
	v := j.v
	if !v.Wanted {
		if w.m.keepUnwanted {
			return
		}
		if j.holder != nobody && w.sessions[j.holder].v.State != cluster.SessionLost &&
			w.sessions[j.holder].v.State != cluster.SessionClosed {
			w.wake(0) // its session ends in this round; forget it in the next, when that is stored
			return
		}
		w.forget = append(w.forget, cluster.Decision{Kind: cluster.Forget, Job: v.Job, Prior: v.Epoch, Why: cluster.WhyUnwanted})
		return
	}
	switch {
	case v.Session == "" && v.Epoch == 0:
		j.why = cluster.WhyNew
	case v.Session == "":
		j.why = cluster.WhySessionEnded
	case j.holder == nobody || w.sessions[j.holder].v.State == cluster.SessionClosed:
		j.why = cluster.WhyRunnerClosed
	default:
		j.why = cluster.WhyRunnerLost
	}
	w.place = append(w.place, i)
}

// count books a job on a session.
func (w *world) count(j *job, at int) {
	j.at = at
	w.sessions[at].jobs++
	w.sessions[at].load += j.weight
}

func (w *world) uncount(j *job) {
	w.sessions[j.at].jobs--
	w.sessions[j.at].load -= j.weight
	j.at = nobody
}

func (w *world) wait(j *job, why cluster.Reason) {
	w.waiting = append(w.waiting, cluster.Waiting{Job: j.v.Job, Why: why})
}

// decide makes a step about a job; for an Assign the epoch is above every one the job has had and above the floor
// (Invariant 3).
func (w *world) decide(k cluster.DecisionKind, j *job, s *session, why cluster.Reason) cluster.Decision {
	d := cluster.Decision{Kind: k, Job: j.v.Job, Runner: s.v.Runner, Session: s.v.Session, Prior: j.v.Epoch, Why: why}
	if k == cluster.Assign {
		d.Epoch = max(j.v.Epoch, w.floor) + 1
		if w.m.ignoreFloor {
			d.Epoch = j.v.Epoch + 1
		}
		if w.m.sameEpoch {
			d.Epoch = max(j.v.Epoch, 1)
		}
	}
	return d
}
