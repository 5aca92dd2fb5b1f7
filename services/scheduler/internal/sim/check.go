package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/scheduler/internal/loop"
)

// fail notes a violation; the world stops at the first.
func (w *World) fail(format string, args ...any) {
	w.violations = append(w.violations, fmt.Sprintf("at %s: ", w.now.Sub(newClock().now))+fmt.Sprintf(format, args...))
}

// committed watches the leader's writes: I1, only the newest leader writes, and every assignment has a new epoch.
func (w *World) committed(term cluster.Term, steps []cluster.Decision) {
	w.commits++
	for _, s := range steps {
		w.trace("term %d: %s %v to %s under %d: %s", term, s.Kind, s.Job, s.Session, s.Epoch, s.Why)
	}
	if term < w.maxTerm {
		w.fail("I1: term %d wrote after term %d had begun", term, w.maxTerm)
	}
	moves := 0
	for _, s := range steps {
		if s.Why == cluster.WhyDrain || s.Why == cluster.WhyMisplaced || s.Why == cluster.WhyRebalance {
			moves++
		}
		if s.Kind != cluster.Assign {
			continue
		}
		if s.Epoch <= w.epochs[s.Job] {
			w.fail("I2: %v given out under epoch %d after %d", s.Job, s.Epoch, w.epochs[s.Job])
		}
		w.epochs[s.Job] = s.Epoch
	}
	if moves > w.planCfg.MaxMovesPerRound {
		w.fail("P7: %d jobs moved in one round, at most %d may", moves, w.planCfg.MaxMovesPerRound)
	}
}

// statusStored watches I3: what is stored never comes from an older epoch than the current one.
func (w *World) statusStored(s cluster.Status) {
	if s.Epoch < w.epochs[s.Job] {
		w.fail("I3: status of %v from epoch %d accepted, the current one is %d", s.Job, s.Epoch, w.epochs[s.Job])
	}
}

// checkRound watches I5: every job that is wanted is held, assigned now, or waits for a reason.
func (w *World) checkRound(r loop.Round) {
	explained := map[cluster.JobID]bool{}
	for _, wt := range r.Decisions.Waiting {
		explained[wt.Job] = wt.Why != ""
	}
	for _, s := range r.Decisions.Steps {
		explained[s.Job] = true
	}
	live := map[cluster.SessionID]bool{}
	for _, v := range r.Snapshot.Runners {
		live[v.Session] = v.State != cluster.SessionLost && v.State != cluster.SessionClosed
	}
	for _, j := range r.Snapshot.Jobs {
		if j.Wanted && !live[j.Session] && !explained[j.Job] {
			w.fail("I5: %+v is wanted, nobody runs it, and there is no reason", j)
		}
	}
}

// started watches a copy begin to run: the fence, doubled commands, P2 and DA-4. again: it was fenced before.
func (w *World) started(s *slot, c *jobCopy, again bool) {
	w.trace("%s starts %v under %d, revision %d", c.spec.Session, c.spec.Job, c.spec.Epoch, c.spec.Revision)
	key := startKey{c.spec.Session, c.spec.Job, c.spec.Epoch, c.spec.Revision}
	if w.starts[key]++; w.starts[key] > 1 && !again {
		w.fail("DC: %v started %d times", key, w.starts[key])
	}
	if s.r.copies(c.spec.Job) != nil {
		w.fail("DA-4: %v starts on %s before the older copy has stopped", c.spec.Job, s.r.session)
	}
	if c.spec.Job.IsInstance() {
		return // what it says is refused by epoch; nothing else fences it
	}
	for _, r := range w.runners {
		if r == s.r {
			continue
		}
		for _, other := range r.copies(c.spec.Job) {
			switch {
			case !c.unfenced() && !other.unfenced():
				other.fenced = true // Kafka: the latest start fences the ones before it
			case w.api.mixed[c.spec.Job.UID]: // edits that change whether it is fenced race with starts
			case w.sessionLives(other.spec.Session) && w.sessionLives(c.spec.Session):
				// An unfenced job may run twice only where one of the runners has been given up and does not know it yet (ZT-7).
				w.fail("P2: %v starts on %s while %s, not given up, runs it under epoch %d", c.spec.Job, c.spec.Session, other.spec.Session, other.spec.Epoch)
			}
		}
	}
}

func (w *World) sessionLives(id cluster.SessionID) bool {
	snap, err := w.store.Snapshot(w.ctx)
	if err != nil {
		w.fail("snapshot: %v", err)
	}
	for _, r := range snap.Runners {
		if r.Session == id {
			return r.State == cluster.SessionActive || r.State == cluster.SessionDraining
		}
	}
	return false
}

// checkStore reads everything once a second: I2 and I3 as a reader sees them, and one owner at most for each job.
func (w *World) checkStore() {
	w.after(time.Second, w.checkStore)
	snap, err := w.store.Snapshot(w.ctx)
	if err != nil {
		w.fail("snapshot: %v", err)
		return
	}
	seen := map[cluster.JobID]bool{}
	for _, j := range snap.Jobs {
		if seen[j.Job] {
			w.fail("I1: %v is in the snapshot twice", j.Job)
		}
		seen[j.Job] = true
		if j.Epoch < w.epochs[j.Job] {
			w.fail("I2: the epoch of %v fell from %d to %d", j.Job, w.epochs[j.Job], j.Epoch)
		}
	}
	for _, v := range w.views() {
		if v.Generation < w.generations[v.UID] {
			w.fail("I2: the generation of %s fell from %d to %d", v.UID, w.generations[v.UID], v.Generation)
		}
		w.generations[v.UID] = v.Generation
		for _, s := range v.TaskStatuses {
			if s.Epoch < w.statusEpochs[s.Job] {
				w.fail("I3: the shown status of %v went back from epoch %d to %d", s.Job, w.statusEpochs[s.Job], s.Epoch)
			}
			w.statusEpochs[s.Job] = s.Epoch
		}
	}
}

// Unsettled says what is not yet as users want it, or "".
func (w *World) Unsettled() string {
	views := w.views()
	for _, name := range slices.Sorted(maps.Keys(w.api.want)) {
		v, ok := views[name]
		if !ok {
			return fmt.Sprintf("I4: connector %s is missing", name)
		}
		if s := w.unsettledConnector(v, w.api.want[name]); s != "" {
			return name + ": " + s
		}
	}
	for name := range views {
		if w.api.want[name] == nil {
			return fmt.Sprintf("I4: connector %s was deleted", name)
		}
	}
	return w.unsettledJobs()
}

func (w *World) unsettledConnector(v cluster.ConnectorView, want *wanted) string {
	if v.UID != want.uid || v.Target != want.target || v.ConfigVersion != want.version {
		return fmt.Sprintf("I4: stored is %+v, wanted %+v", v.Connector, want)
	}
	st := state(want.target)
	if v.Status == nil || v.Status.State != st {
		return fmt.Sprintf("I4: status is %+v, want %s", v.Status, st)
	}
	switch want.target {
	case cluster.Stopped:
		if len(v.Tasks) > 0 || len(v.TaskStatuses) > 0 {
			return fmt.Sprintf("I4: stopped, but has %d tasks and %d task statuses", len(v.Tasks), len(v.TaskStatuses))
		}
		return ""
	case cluster.Started:
		if len(v.Tasks) != want.tasks {
			return fmt.Sprintf("I4: has %d tasks, want %d", len(v.Tasks), want.tasks)
		}
	case cluster.Paused:
	}
	if len(v.TaskStatuses) != len(v.Tasks) {
		return fmt.Sprintf("I4: %d tasks, %d statuses", len(v.Tasks), len(v.TaskStatuses))
	}
	for _, s := range v.TaskStatuses {
		if s.State != st {
			return fmt.Sprintf("I4: task status is %+v, want %s", s, st)
		}
	}
	for _, s := range append(slices.Clone(v.TaskStatuses), *v.Status) {
		if seq := want.restarts[s.Job]; s.RestartSeq < seq {
			return fmt.Sprintf("I4: restart %d of %v not applied: %+v", seq, s.Job, s)
		}
	}
	return ""
}

// unsettledJobs compares the store's holdings with what the runners really run.
func (w *World) unsettledJobs() string {
	snap, err := w.store.Snapshot(w.ctx)
	if err != nil {
		return err.Error()
	}
	byHolder := map[cluster.JobID]cluster.SessionID{}
	for _, j := range snap.Jobs {
		if !j.Wanted {
			return fmt.Sprintf("P9: %+v is unwanted and still there", j)
		}
		byHolder[j.Job] = j.Session
	}
	runs := 0
	for _, r := range w.runners {
		for _, id := range sortedJobs(r.slots) {
			c := r.slots[id].cur
			if c == nil || c.fenced {
				continue
			}
			runs++
			if byHolder[id] != c.spec.Session || c.spec.Epoch != w.epochs[id] {
				return fmt.Sprintf("I1: %s runs %v under epoch %d, the store says %q and %d", c.spec.Session, id, c.spec.Epoch, byHolder[id], w.epochs[id])
			}
		}
	}
	if runs != len(snap.Jobs) {
		return fmt.Sprintf("I5: %d jobs run, %d are wanted", runs, len(snap.Jobs))
	}
	if n, _, err := w.store.OutboxStats(w.ctx); err != nil || n > 0 && w.net.up {
		return fmt.Sprintf("outbox: %d messages left, %v", n, err)
	}
	return ""
}
