package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/scheduler/plan"
)

// trial puts a planner through calm, a loss, a drain and a storm, and says what is wrong with it, or "".
func trial(t *testing.T, seed uint64, compute func(plan.Config, cluster.Snapshot) cluster.Decisions) string {
	t.Helper()
	w := New(t.Context(), Options{Seed: seed, Replicas: 2, Runners: 4, Faults: Faults{HTTP: true}, Compute: compute}, newStore)
	settles := func(what string, within time.Duration, also func() bool) string {
		if took, ok := w.RunUntil(within, func() bool { return w.Unsettled() == "" && also() }); len(w.violations) == 0 && !ok {
			return what + " is not over after " + took.String() + ": " + w.Unsettled()
		}
		return ""
	}
	always := func() bool { return true }
	w.Run(3 * time.Second)
	w.api.create("fenced", 3, true)
	w.api.create("unfenced", 5, false)
	found := settles("the start", 30*time.Second, always)
	if found == "" {
		w.runners[0].kill()
		found = settles("the loss of a runner", 15*time.Second, always)
	}
	if found == "" {
		w.Run(30 * time.Second) // a new balance is found
		commits, stops := w.commits, w.stops
		w.Run(time.Minute)
		if w.commits != commits || w.stops != stops {
			found = "nothing happens, and yet jobs are moved"
		}
	}
	if found == "" {
		w.runners[1].draining = true
		found = settles("a drain", 30*time.Second, func() bool { return !w.runners[1].alive })
	}
	if len(w.violations) > 0 {
		return w.violations[0]
	}
	if found != "" {
		return found
	}
	v, unsettled, _ := outcome(t, Options{Seed: seed, Replicas: 2, Faults: Stormy(), Compute: compute}, time.Minute)
	if len(v) > 0 {
		return v[0]
	}
	return unsettled
}

// A planner that is broken on purpose is noticed.
func TestSim_notices_broken_planners(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		require.Empty(t, trial(t, seed, plan.Compute), "the real planner, seed %d", seed)
	}
	edit := func(change func(*cluster.Decision)) func(plan.Config, cluster.Snapshot) cluster.Decisions {
		return func(c plan.Config, s cluster.Snapshot) cluster.Decisions {
			d := plan.Compute(c, s)
			for i := range d.Steps {
				change(&d.Steps[i])
			}
			return d
		}
	}
	for name, compute := range map[string]func(plan.Config, cluster.Snapshot) cluster.Decisions{
		"hands out epochs again": edit(func(d *cluster.Decision) { d.Epoch = d.Prior }),
		"never releases": func(c plan.Config, s cluster.Snapshot) (d cluster.Decisions) {
			for _, step := range plan.Compute(c, s).Steps {
				if step.Kind != cluster.Release {
					d.Steps = append(d.Steps, step)
				}
			}
			return d
		},
		"never loses anybody": func(c plan.Config, s cluster.Snapshot) cluster.Decisions {
			for i := range s.Runners {
				s.Runners[i].Age, s.Runners[i].Unreachable = 0, false
			}
			return plan.Compute(c, s)
		},
		"moves what is healthy": func(c plan.Config, s cluster.Snapshot) cluster.Decisions {
			d := plan.Compute(c, s)
			for _, j := range s.Jobs {
				for _, r := range s.Runners {
					if len(d.Steps) == 0 && j.Wanted && j.Fenceable && j.Session != "" && !j.Releasing && r.State == cluster.SessionActive && r.Session != j.Session {
						d.Steps = append(d.Steps, cluster.Decision{Kind: cluster.Assign, Job: j.Job, Runner: r.Runner, Session: r.Session, Prior: j.Epoch, Epoch: max(j.Epoch, s.Floor) + 1})
					}
				}
			}
			return d
		},
		"forgets to assign tasks": func(c plan.Config, s cluster.Snapshot) (d cluster.Decisions) {
			for _, step := range plan.Compute(c, s).Steps {
				if step.Kind != cluster.Assign || step.Job.IsInstance() {
					d.Steps = append(d.Steps, step)
				}
			}
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5) {
				if found := trial(t, seed, compute); found != "" {
					t.Logf("seed %d: %s", seed, found)
					return
				}
			}
			t.Error("nobody notices")
		})
	}
}
