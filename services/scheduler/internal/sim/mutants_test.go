package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/services/scheduler/plan"
)

// planner decides instead of plan.Compute.
type planner = func(plan.Config, cluster.Snapshot) cluster.Decisions

// trial puts an installation through what can go wrong, one thing after another, then through a storm, and says what is
// wrong with it, or "".
func trial(t *testing.T, o Options) string {
	t.Helper()
	calm := o
	calm.Replicas, calm.Runners, calm.Faults = 2, 4, Faults{HTTP: true}
	w := New(t.Context(), calm, newStore)
	settles := func(within time.Duration, also func() bool) string {
		if took, ok := w.RunUntil(within, func() bool { return w.Unsettled() == "" && also() }); len(w.violations) == 0 && !ok {
			return "not over after " + took.String() + ": " + w.Unsettled()
		}
		return ""
	}
	always := func() bool { return true }
	for _, step := range []struct {
		what string
		do   func() string
	}{
		{"the start", func() string {
			w.Run(3 * time.Second)
			w.api.create("fenced", 3, true)
			w.api.create("unfenced", 5, false)
			return settles(30*time.Second, always)
		}},
		{"a command that is lost", func() string {
			w.api.create("unheard", 1, true)
			w.net.purges++
			return settles(2*poll, always)
		}},
		{"an api that dies before it publishes", func() string {
			w.api.crash = true
			w.api.put("fenced", 4, true)
			w.api.crash = false
			return settles(2*poll, always)
		}},
		{"a stop and a resume at once", func() string {
			w.deaf = true
			w.api.target("fenced", cluster.Stopped)
			w.api.target("fenced", cluster.Started)
			found := settles(2*poll, always)
			w.deaf = false
			return found
		}},
		{"a delete before the runner has heard of the job", func() string {
			w.deaf = true
			w.api.create("brief", 2, false)
			w.Run(20 * time.Millisecond)
			w.api.remove("brief")
			w.Run(20 * time.Millisecond)
			w.deaf = false
			return settles(2*poll, always)
		}},
		{"the loss of a runner", func() string {
			w.runners[0].kill()
			return settles(15*time.Second, always)
		}},
		{"quiet", func() string {
			w.Run(30 * time.Second) // a new balance is found
			commits, stops := w.commits, w.stops
			w.Run(time.Minute)
			if w.commits != commits || w.stops != stops {
				return "nothing happens, and yet jobs are moved"
			}
			return ""
		}},
		{"a drain", func() string {
			w.runners[1].draining = true
			return settles(30*time.Second, func() bool { return !w.runners[1].alive })
		}},
		{"an older report that comes last", func() string {
			for _, r := range w.runners {
				if s := r.slots[cluster.InstanceJob(w.api.want["fenced"].uid)]; s != nil && s.cur != nil {
					late := cluster.TaskConfigReport{Job: s.id, Session: r.session, Epoch: s.cur.spec.Epoch, ConfigVersion: s.cur.spec.ConfigVersion,
						Fenceable: true, Tasks: []cluster.Config{{}}}
					w.replicas[0].inbox.Store(t.Context(), []wire.Report{{Session: r.session, TaskConfigs: []cluster.TaskConfigReport{late}}})
				}
			}
			return settles(90*time.Second, always)
		}},
		{"a leader that is frozen", func() string {
			w.RunUntil(poll, func() bool { return w.leader() != nil })
			if l := w.leader(); l != nil {
				l.freeze = 3 * leaseTTL
			}
			w.api.create("later", 2, false)
			w.Run(4 * leaseTTL)
			return settles(2*poll, always)
		}},
		{"the loss of everybody", func() string {
			for _, r := range w.runners {
				r.kill()
			}
			w.Run(time.Minute)
			for _, r := range w.runners {
				r.restart()
			}
			return settles(30*time.Second, always)
		}},
		{"reports while the database is away", func() string {
			w.api.put("fenced", 2, true)
			w.Run(w.upTo(50 * time.Millisecond))
			w.storeDown = true
			w.Run(5 * time.Second)
			w.storeDown = false
			return settles(30*time.Second, always)
		}},
	} {
		found := step.do()
		if len(w.violations) > 0 {
			found = w.violations[0]
		}
		if found != "" {
			return step.what + ": " + found
		}
	}
	o.Replicas, o.Faults = 3, Stormy()
	v, unsettled, _ := outcome(t, o, time.Minute)
	if len(v) > 0 {
		return "the storm: " + v[0]
	}
	if unsettled != "" {
		return "after the storm: " + unsettled
	}
	return ""
}

// enough is within how many seeds every mutant must be noticed.
const enough = 25

func TestSim_finds_nothing_wrong_with_the_real_thing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(long(4)) {
		require.Empty(t, trial(t, Options{Seed: seed}), "seed %d", seed)
	}
}

// noticed fails unless some trial finds something.
func noticed(t *testing.T, o Options) {
	t.Helper()
	for seed := range uint64(enough) {
		o.Seed = seed
		if found := trial(t, o); found != "" {
			t.Logf("noticed with seed %d: %s", seed, found)
			return
		}
	}
	t.Errorf("survived %d seeds: the checks would not notice this in the product either", enough)
}

// A part that is broken on purpose is noticed.
func TestSim_notices_broken_parts(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]Broken{
		"a runner that ignores epochs":                          {IgnoreEpochs: true},
		"a runner that starts the newer before the older stops": {Overlap: true},
		"a runner that says it has let go before it has":        {ReleaseEarly: true},
		"a runner that goes on after its session is over":       {Undead: true},
		"a runner that is deaf to what heartbeats let go":       {DeafToLetGo: true},
		"a runner that tells its task configs only once":        {NoResync: true},
		"a connector that splits only when it starts":           {SplitOnce: true},
		"a store without compare-and-set":                       {NoCompare: true},
		"a store that takes statuses of former holders":         {AnyStatus: true},
		"a loop that does not poll":                             {NoPoll: true},
		"a relay that drops":                                    {DropRelay: true},
		"a relay that does nothing":                             {NoRelay: true},
		"an inbox that acknowledges what it has not stored":     {DropInbox: true, NoResync: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			noticed(t, Options{Broken: b})
		})
	}
}

// edited changes the steps of real plans; a step that keep refuses is left out.
func edited(keep func(*cluster.Decision) bool) planner {
	return func(c plan.Config, s cluster.Snapshot) cluster.Decisions {
		d := plan.Compute(c, s)
		d.Steps = slices.DeleteFunc(d.Steps, func(x cluster.Decision) bool { return !keep(&x) })
		return d
	}
}

// lied lets the real planner see a snapshot that is not true.
func lied(lie func(*cluster.Snapshot)) planner {
	return func(c plan.Config, s cluster.Snapshot) cluster.Decisions {
		s.Runners, s.Jobs = slices.Clone(s.Runners), slices.Clone(s.Jobs)
		lie(&s)
		return plan.Compute(c, s)
	}
}

// A planner that is broken on purpose is noticed.
func TestSim_notices_broken_planners(t *testing.T) {
	t.Parallel()
	for name, compute := range map[string]planner{
		"hands out epochs again": func(c plan.Config, s cluster.Snapshot) cluster.Decisions {
			d := plan.Compute(c, s)
			for i := range d.Steps {
				d.Steps[i].Epoch = d.Steps[i].Prior
			}
			return d
		},
		"never releases":          edited(func(d *cluster.Decision) bool { return d.Kind != cluster.Release }),
		"never forgets":           edited(func(d *cluster.Decision) bool { return d.Kind != cluster.Forget }),
		"forgets to assign tasks": edited(func(d *cluster.Decision) bool { return d.Kind != cluster.Assign || d.Job.IsInstance() }),
		"never loses anybody": lied(func(s *cluster.Snapshot) {
			for i := range s.Runners {
				s.Runners[i].Age, s.Runners[i].Unreachable = 0, false
			}
		}),
		"reassigns before a release": lied(func(s *cluster.Snapshot) {
			for i := range s.Jobs {
				s.Jobs[i].Fenceable = true
			}
		}),
		"does not see drains": lied(func(s *cluster.Snapshot) {
			for i := range s.Runners {
				if s.Runners[i].State == cluster.SessionDraining {
					s.Runners[i].State = cluster.SessionActive
				}
			}
		}),
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
		"says nothing of jobs that wait": func(c plan.Config, s cluster.Snapshot) cluster.Decisions {
			d := plan.Compute(c, s)
			d.Waiting = nil
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			noticed(t, Options{Compute: compute})
		})
	}
}
