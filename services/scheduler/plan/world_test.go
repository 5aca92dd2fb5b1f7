package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
)

// planner is Compute or a mutant of it.
type planner func(Config, cluster.Snapshot) cluster.Decisions

func clone(s cluster.Snapshot) cluster.Snapshot {
	s.Runners = slices.Clone(s.Runners)
	for i := range s.Runners {
		s.Runners[i].Plugins = slices.Clone(s.Runners[i].Plugins)
	}
	s.Jobs = slices.Clone(s.Jobs)
	return s
}

func findJob(s *cluster.Snapshot, id cluster.JobID) *cluster.JobView {
	for i := range s.Jobs {
		if s.Jobs[i].Job == id {
			return &s.Jobs[i]
		}
	}
	return nil
}

func findSession(s *cluster.Snapshot, id cluster.SessionID) *cluster.RunnerView {
	for i := range s.Runners {
		if s.Runners[i].Session == id {
			return &s.Runners[i]
		}
	}
	return nil
}

// apply does to a snapshot what a store does when it commits the steps, and refuses what a store refuses.
func apply(s *cluster.Snapshot, steps []cluster.Decision) error {
	for _, d := range steps {
		if d.Kind == cluster.Lose {
			r := findSession(s, d.Session)
			if r == nil || r.State == cluster.SessionLost || r.State == cluster.SessionClosed {
				return fmt.Errorf("%v: no such session", d)
			}
			r.State = cluster.SessionLost
			for i := range s.Jobs {
				if s.Jobs[i].Session == d.Session {
					s.Jobs[i].Session, s.Jobs[i].Releasing = "", false
				}
			}
			continue
		}
		j := findJob(s, d.Job)
		if j == nil || j.Epoch != d.Prior {
			return fmt.Errorf("%v: job is %+v", d, j)
		}
		switch d.Kind {
		case cluster.Assign:
			r := findSession(s, d.Session)
			if r == nil || r.State != cluster.SessionActive || r.Runner != d.Runner {
				return fmt.Errorf("%v: session is %+v", d, r)
			}
			j.Session, j.Epoch, j.Releasing = d.Session, d.Epoch, false
		case cluster.Release:
			if j.Session != d.Session {
				return fmt.Errorf("%v: held by %s", d, j.Session)
			}
			j.Releasing = true
		case cluster.Forget:
			if r := findSession(s, j.Session); r != nil && r.State != cluster.SessionLost && r.State != cluster.SessionClosed {
				return fmt.Errorf("%v: held by %s", d, j.Session)
			}
			s.Jobs = slices.DeleteFunc(s.Jobs, func(v cluster.JobView) bool { return v.Job == d.Job })
		}
	}
	return nil
}

// alive tells by the stated rules, written once more and not shared with the planner, what a session is.
func alive(cfg Config, r *cluster.RunnerView) bool {
	return r != nil && r.State != cluster.SessionLost && r.State != cluster.SessionClosed && r.Age <= cfg.LostAfter
}

func suspect(cfg Config, r *cluster.RunnerView) bool {
	return r.Age >= cfg.SuspectAfter || r.Unreachable
}

func ended(r *cluster.RunnerView) bool {
	return r == nil || r.State == cluster.SessionLost || r.State == cluster.SessionClosed
}

func fits(r *cluster.RunnerView, j *cluster.JobView) bool {
	return slices.Contains(r.Plugins, j.Class) && (j.Pool == "" || j.Pool == r.Pool)
}

func massLoss(cfg Config, s *cluster.Snapshot) bool {
	gone, here := 0, 0
	for i := range s.Runners {
		r := &s.Runners[i]
		switch {
		case ended(r):
		case !suspect(cfg, r):
			here++
		case r.Age <= cfg.LostAfter+cfg.HoldGrace:
			gone++
		}
	}
	return gone > 0 && here == 0 || gone >= cfg.HoldMin && float64(gone) > cfg.HoldShare*float64(gone+here)
}

// checkRound checks one round for everything that can be said of a round by itself.
func checkRound(cfg Config, s cluster.Snapshot, plan planner) error {
	before := clone(s)
	d := plan(cfg, s)
	if err := checkOrder(cfg, before, s, d, plan); err != nil {
		return err
	}
	hold := massLoss(cfg, &s)
	if hold != d.Hold {
		return fmt.Errorf("P8: hold is %v, want %v", d.Hold, hold)
	}
	load := map[cluster.SessionID]int{}
	for _, j := range s.Jobs {
		if !ended(findSession(&s, j.Session)) {
			load[j.Session]++
		}
	}
	voluntary, seen := 0, map[cluster.JobID]bool{}
	for _, step := range d.Steps {
		if step.Kind == cluster.Lose {
			r := findSession(&s, step.Session)
			if ended(r) || r.Age <= cfg.ConfirmAfter || !r.Unreachable && r.Age <= cfg.LostAfter {
				return fmt.Errorf("P7: %v loses %+v", step, r)
			}
			if hold && r.Age <= cfg.LostAfter+cfg.HoldGrace {
				return fmt.Errorf("P8: %v in a mass loss", step)
			}
			continue
		}
		if seen[step.Job] {
			return fmt.Errorf("P1: %v is a second step for its job", step)
		}
		seen[step.Job] = true
		moved, err := checkStep(cfg, &s, step, hold)
		if err != nil {
			return err
		}
		if moved {
			voluntary++
		}
		if step.Kind == cluster.Assign {
			if j := findJob(&s, step.Job); j.Session != step.Session {
				if !ended(findSession(&s, j.Session)) {
					load[j.Session]--
				}
				load[step.Session]++
			}
		}
	}
	if voluntary > cfg.MaxMovesPerRound {
		return fmt.Errorf("P7: %d moves in one round, at most %d", voluntary, cfg.MaxMovesPerRound)
	}
	for _, step := range d.Steps {
		if r := findSession(&s, step.Session); step.Kind == cluster.Assign && r.Capacity > 0 && load[step.Session] > r.Capacity {
			return fmt.Errorf("P3: %s gets %d jobs, has room for %d", step.Runner, load[step.Session], r.Capacity)
		}
	}
	return nil
}

// checkOrder is P4.
func checkOrder(cfg Config, before, after cluster.Snapshot, d cluster.Decisions, plan planner) error {
	if diff := fmt.Sprint(before); diff != fmt.Sprint(after) {
		return fmt.Errorf("P4: the input was modified: %s -> %v", diff, after)
	}
	turned := clone(before)
	slices.Reverse(turned.Runners)
	slices.Reverse(turned.Jobs)
	if e := plan(cfg, turned); fmt.Sprint(e) != fmt.Sprint(d) {
		return fmt.Errorf("P4: another order of the input gives another plan:\n%v\n%v", d, e)
	}
	return nil
}

// checkStep checks a step about a job; moved tells whether it moves a job that could have stayed where it is.
func checkStep(cfg Config, s *cluster.Snapshot, step cluster.Decision, hold bool) (moved bool, err error) {
	j := findJob(s, step.Job)
	if j == nil || step.Prior != j.Epoch {
		return false, fmt.Errorf("P1: %v names the wrong prior epoch of %+v", step, j)
	}
	holder := findSession(s, j.Session)
	healthy := !ended(holder) && j.Wanted && !j.Releasing && !suspect(cfg, holder)
	switch step.Kind {
	case cluster.Assign:
		to := findSession(s, step.Session)
		if step.Epoch <= j.Epoch || step.Epoch <= s.Floor {
			return false, fmt.Errorf("P1: %v: epoch is not above %d and floor %d", step, j.Epoch, s.Floor)
		}
		if !j.Wanted {
			return false, fmt.Errorf("P9: %v starts what is not wanted", step)
		}
		if to == nil || to.State != cluster.SessionActive || suspect(cfg, to) || !fits(to, j) {
			return false, fmt.Errorf("P3: %v for %+v goes to %+v", step, j, to)
		}
		free := ended(holder) || !alive(cfg, holder)
		if !j.Fenceable && !j.Job.IsInstance() && !free {
			return false, fmt.Errorf("P2: %v starts an unfenced job while %+v holds it", step, holder)
		}
		if hold && !ended(holder) && suspect(cfg, holder) && holder.Age <= cfg.LostAfter+cfg.HoldGrace && !j.Releasing {
			return false, fmt.Errorf("P8: %v moves a job in a mass loss", step)
		}
		if healthy {
			fine := holder.State == cluster.SessionActive && fits(holder, j)
			if fine != (step.Why == cluster.WhyRebalance) || hold {
				return false, fmt.Errorf("P7: %v moves a healthy job of %+v", step, holder)
			}
			return true, nil
		}
	case cluster.Release:
		if ended(holder) || j.Session != step.Session || j.Releasing {
			return false, fmt.Errorf("P9: %v releases %+v", step, j)
		}
		if j.Wanted {
			if hold || holder.State == cluster.SessionActive && fits(holder, j) {
				return false, fmt.Errorf("P7: %v releases a healthy job of %+v", step, holder)
			}
			return true, nil
		}
	case cluster.Forget:
		if j.Wanted || !ended(holder) {
			return false, fmt.Errorf("P9: %v forgets %+v held by %+v", step, j, holder)
		}
	}
	return false, nil
}

// settle lets faults stop and checks what must hold once a fixpoint is reached: who is silent stays silent for good, who
// lives beats and lets go of what it is told to.
func settle(cfg Config, start cluster.Snapshot, plan planner) error {
	s := clone(start)
	for i := range s.Runners {
		if r := &s.Runners[i]; suspect(cfg, r) {
			r.Age += cfg.LostAfter + cfg.HoldGrace + time.Second
		} else {
			r.Age = 0
		}
		s.Runners[i].Joined += time.Hour
	}
	const rounds = 60
	for range rounds {
		if err := checkRound(cfg, s, plan); err != nil {
			return err
		}
		d := plan(cfg, s)
		acked := false
		if err := apply(&s, d.Steps); err != nil {
			return fmt.Errorf("P1: the store would refuse: %w", err)
		}
		for i := range s.Jobs {
			if j := &s.Jobs[i]; j.Releasing {
				j.Session, j.Releasing, acked = "", false, true
			}
		}
		if len(d.Steps) == 0 && !acked {
			return checkSettled(cfg, s, d)
		}
		if again := plan(cfg, s); len(d.Steps) > 0 && fmt.Sprint(again) == fmt.Sprint(d) {
			return fmt.Errorf("P10: the same steps again after they were applied: %v", d.Steps)
		}
	}
	return fmt.Errorf("P5: no fixpoint after %d rounds: %v", rounds, plan(cfg, s))
}

func checkSettled(cfg Config, s cluster.Snapshot, d cluster.Decisions) error {
	reason := map[cluster.JobID]cluster.Reason{}
	for _, w := range d.Waiting {
		reason[w.Job] = w.Why
	}
	loads, jobs := map[cluster.SessionID]float64{}, map[cluster.SessionID]int{}
	for _, j := range s.Jobs {
		loads[j.Session] += max(j.Load, 1)
		jobs[j.Session]++
	}
	for i := range s.Jobs {
		j := &s.Jobs[i]
		at := findSession(&s, j.Session)
		if !j.Wanted {
			return fmt.Errorf("P9: %+v is still there", j)
		}
		if !alive(cfg, at) {
			if reason[j.Job] == "" {
				return fmt.Errorf("P5: %+v neither runs nor has a reason", j)
			}
			for k := range s.Runners {
				r := &s.Runners[k]
				if alive(cfg, r) && r.State == cluster.SessionActive && !suspect(cfg, r) && fits(r, j) && (r.Capacity == 0 || jobs[r.Session] < r.Capacity) {
					return fmt.Errorf("P5: %+v waits although %s can take it", j, r.Runner)
				}
			}
			continue
		}
		for k := range s.Runners { // P6
			lo := &s.Runners[k]
			if !alive(cfg, lo) || lo.State != cluster.SessionActive || suspect(cfg, lo) || !fits(lo, j) || lo.Capacity > 0 && jobs[lo.Session] >= lo.Capacity {
				continue
			}
			if at.State == cluster.SessionDraining || !fits(at, j) {
				return fmt.Errorf("P5: %+v stays on %s although %s can take it", j, at.Runner, lo.Runner)
			}
			bound := max(cfg.RebalanceSlack, cfg.RebalanceShare*loads[at.Session], max(j.Load, 1))
			if diff := loads[at.Session] - loads[lo.Session]; (j.Fenceable || j.Job.IsInstance()) && diff > bound {
				return fmt.Errorf("P6: %s has %v more than %s, %v is the bound", at.Runner, diff, lo.Runner, bound)
			}
		}
	}
	return nil
}
