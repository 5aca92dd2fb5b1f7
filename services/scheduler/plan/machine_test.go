package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/controlplane/cluster"
)

// machine is a cluster that lives: runners come, go and freeze, connectors come and go, time passes, and the planner has
// its rounds in between.
type machine struct {
	cfg  Config
	plan planner
	s    cluster.Snapshot
	dead map[cluster.SessionID]bool // does not beat
	high map[cluster.JobID]cluster.Epoch
	n    int // numbers for names
}

func (m *machine) join(t *rapid.T) {
	if len(m.s.Runners) > 8 {
		t.Skip("enough runners")
	}
	m.n++
	r := genRunner(t, m.n)
	r.Age, r.Joined, r.Unreachable, r.State = 0, 0, false, cluster.SessionActive
	m.s.Runners = append(m.s.Runners, r)
}

func (m *machine) pick(t *rapid.T) *cluster.RunnerView {
	if len(m.s.Runners) == 0 {
		t.Skip("no runner")
	}
	return &m.s.Runners[rapid.IntRange(0, len(m.s.Runners)-1).Draw(t, "runner")]
}

func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"join":   m.join,
		"crash":  func(t *rapid.T) { r := m.pick(t); m.dead[r.Session], r.Unreachable = true, true },
		"freeze": func(t *rapid.T) { m.dead[m.pick(t).Session] = true },
		"thaw": func(t *rapid.T) {
			r := m.pick(t)
			delete(m.dead, r.Session)
			r.Unreachable = false
		},
		"drain": func(t *rapid.T) {
			if r := m.pick(t); r.State == cluster.SessionActive {
				r.State = cluster.SessionDraining
			}
		},
		"goodbye": func(t *rapid.T) {
			s := m.pick(t).Session
			m.s.Runners = slices.DeleteFunc(m.s.Runners, func(r cluster.RunnerView) bool { return r.Session == s })
			for i := range m.s.Jobs {
				if m.s.Jobs[i].Session == s && rapid.Bool().Draw(t, "cleared") {
					m.s.Jobs[i].Session, m.s.Jobs[i].Releasing = "", false
				}
			}
		},
		"create": func(t *rapid.T) {
			if len(m.s.Jobs) > 40 {
				t.Skip("enough jobs")
			}
			m.n++
			class, fence := rapid.SampledFrom(classes[:2]).Draw(t, "class"), rapid.Bool().Draw(t, "fenceable")
			for task := range rapid.IntRange(1, 5).Draw(t, "jobs") {
				m.s.Jobs = append(m.s.Jobs, cluster.JobView{Job: cluster.JobID{UID: cluster.UID(fmt.Sprintf("u%d", m.n)), Task: task - 1},
					Class: class, Wanted: true, Fenceable: fence && task > 0, Load: 1})
			}
		},
		"toggle": func(t *rapid.T) {
			if len(m.s.Jobs) == 0 {
				t.Skip("no job")
			}
			uid := m.s.Jobs[rapid.IntRange(0, len(m.s.Jobs)-1).Draw(t, "job")].Job.UID
			for i := range m.s.Jobs {
				if m.s.Jobs[i].Job.UID == uid {
					m.s.Jobs[i].Wanted = !m.s.Jobs[i].Wanted
				}
			}
		},
		"let go": func(t *rapid.T) {
			for i := range m.s.Jobs {
				if j := &m.s.Jobs[i]; j.Releasing && !m.dead[j.Session] && rapid.Bool().Draw(t, "acknowledges") {
					j.Session, j.Releasing = "", false
				}
			}
		},
		"tick": func(t *rapid.T) {
			d := time.Duration(rapid.SampledFrom([]int{300, 1000, 4000}).Draw(t, "ms")) * time.Millisecond
			for i := range m.s.Runners {
				r := &m.s.Runners[i]
				r.Joined += d
				if m.dead[r.Session] {
					r.Age += d
				} else {
					r.Age = 0
				}
			}
			for i := range m.s.Runners { // the store forgets ended sessions that hold nothing
				if r := m.s.Runners[i]; r.State == cluster.SessionLost {
					m.s.Runners = slices.Delete(m.s.Runners, i, i+1)
					break
				}
			}
		},
		"round": m.round,
		"": func(t *rapid.T) {
			for _, j := range m.s.Jobs {
				if j.Epoch < m.high[j.Job] {
					t.Fatalf("P1: the epoch of %v fell from %d to %d", j.Job, m.high[j.Job], j.Epoch)
				}
				m.high[j.Job] = j.Epoch
			}
		},
	}
}

func (m *machine) round(t *rapid.T) {
	if err := checkRound(m.cfg, m.s, m.plan); err != nil {
		t.Fatal(err)
	}
	if err := apply(&m.s, m.plan(m.cfg, m.s).Steps); err != nil {
		t.Fatalf("P1: the store would refuse: %v", err)
	}
}

// TestMachine drives random histories and lets each of them settle.
func TestMachine(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { runMachine(t, Compute) })
}

func runMachine(t *rapid.T, p planner) {
	m := &machine{cfg: testConfig(), plan: p, dead: map[cluster.SessionID]bool{}, high: map[cluster.JobID]cluster.Epoch{}}
	m.join(t)
	t.Repeat(m.actions())
	if err := settle(m.cfg, m.s, p); err != nil {
		t.Fatal(err)
	}
}
