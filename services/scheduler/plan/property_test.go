package plan

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/controlplane/cluster"
)

func testConfig() Config {
	cfg := DefaultConfig()
	cfg.MaxMovesPerRound = 3
	return cfg
}

var classes = []string{"A", "B", "C"}

func genRunner(t *rapid.T, i int) cluster.RunnerView {
	r := cluster.RunnerView{
		Runner:   cluster.RunnerID(fmt.Sprintf("r%d", i)),
		Session:  cluster.SessionID(fmt.Sprintf("s%d", i)),
		State:    rapid.SampledFrom([]cluster.SessionState{cluster.SessionActive, cluster.SessionActive, cluster.SessionActive, cluster.SessionDraining, cluster.SessionLost}).Draw(t, "state"),
		Pool:     rapid.SampledFrom([]string{"", "", "p"}).Draw(t, "pool"),
		Capacity: rapid.SampledFrom([]int{0, 0, 1, 4}).Draw(t, "capacity"),
		Plugins:  classes[:rapid.IntRange(0, 2).Draw(t, "plugins")],
		Age:      time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1000, 1600, 3000, 3500, 5000, 5001, 35001}).Draw(t, "age")) * time.Millisecond,
		Joined:   time.Duration(rapid.SampledFrom([]int{0, 60}).Draw(t, "joined")) * time.Second,
	}
	r.Unreachable = r.Age > time.Second && rapid.Bool().Draw(t, "unreachable")
	return r
}

func genSnapshot(t *rapid.T) cluster.Snapshot {
	s := cluster.Snapshot{Floor: cluster.Epoch(rapid.SampledFrom([]int{0, 0, 5}).Draw(t, "floor"))}
	runners := rapid.IntRange(0, 5).Draw(t, "runners")
	for i := range runners {
		s.Runners = append(s.Runners, genRunner(t, i))
	}
	for u := range rapid.IntRange(0, 4).Draw(t, "connectors") {
		class := rapid.SampledFrom(classes).Draw(t, "class")
		pool := rapid.SampledFrom([]string{"", "", "p"}).Draw(t, "pool")
		fence := rapid.Bool().Draw(t, "fenceable")
		wanted := rapid.IntRange(0, 4).Draw(t, "wanted") > 0
		for task := range rapid.IntRange(0, 6).Draw(t, "jobs") {
			j := cluster.JobView{
				Job: cluster.JobID{UID: cluster.UID(fmt.Sprintf("u%d", u)), Task: task - 1}, Class: class, Pool: pool,
				Wanted: wanted, Fenceable: fence && task > 0, Load: float64(rapid.SampledFrom([]int{1, 1, 1, 3}).Draw(t, "load")),
				Epoch: cluster.Epoch(rapid.SampledFrom([]int{0, 1, 9}).Draw(t, "epoch")),
			}
			if at := rapid.IntRange(-2, runners-1).Draw(t, "holder"); at >= 0 {
				j.Session, j.Epoch = s.Runners[at].Session, j.Epoch+1
				j.Releasing = rapid.IntRange(0, 5).Draw(t, "releasing") == 0
			} else if at == -2 && rapid.Bool().Draw(t, "stale holder") {
				j.Session, j.Epoch = "closed", j.Epoch+1
			}
			s.Jobs = append(s.Jobs, j)
		}
	}
	return s
}

// genUneven is a healthy fleet of one kind whose jobs sit where history left them, with now and then a draining runner.
func genUneven(t *rapid.T) cluster.Snapshot {
	var s cluster.Snapshot
	for i := range rapid.IntRange(2, 4).Draw(t, "runners") {
		r := cluster.RunnerView{Runner: cluster.RunnerID(fmt.Sprintf("r%d", i)), Session: cluster.SessionID(fmt.Sprintf("s%d", i)),
			State: cluster.SessionActive, Plugins: classes, Joined: time.Hour}
		if i == 0 && rapid.Bool().Draw(t, "draining") {
			r.State = cluster.SessionDraining
		}
		s.Runners = append(s.Runners, r)
	}
	for i := range rapid.IntRange(8, 24).Draw(t, "jobs") {
		s.Jobs = append(s.Jobs, cluster.JobView{Job: cluster.TaskJob(cluster.UID(fmt.Sprintf("u%d", i/3)), i%3), Class: "A", Wanted: true,
			Fenceable: i%5 > 0, Load: 1, Epoch: 1, Session: s.Runners[rapid.IntRange(0, 1).Draw(t, "holder")].Session})
	}
	return s
}

// TestProperties_P1_P2_P3_P4_P7_P8_P9 checks single rounds on random snapshots.
func TestProperties_P1_P2_P3_P4_P7_P8_P9(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		if err := checkRound(testConfig(), genSnapshot(t), Compute); err != nil {
			t.Fatal(err)
		}
	})
}

// TestProperties_P5_P6_P10 lets random snapshots settle.
func TestProperties_P5_P6_P10(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.SampledFrom([]func(*rapid.T) cluster.Snapshot{genSnapshot, genUneven}).Draw(t, "world")
		if err := settle(testConfig(), gen(t), Compute); err != nil {
			t.Fatal(err)
		}
	})
}

// TestProperty_P7_RebalanceMovesNoMoreThanNeeded joins one empty runner to a balanced fleet.
func TestProperty_P7_RebalanceMovesNoMoreThanNeeded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		old, per := rapid.IntRange(1, 6).Draw(t, "runners"), rapid.IntRange(0, 12).Draw(t, "jobs each")
		cfg := DefaultConfig()
		cfg.MaxMovesPerRound, cfg.RebalanceShare = 1000, 0
		s := cluster.Snapshot{}
		for i := range old + 1 {
			s.Runners = append(s.Runners, cluster.RunnerView{Runner: cluster.RunnerID(fmt.Sprintf("r%d", i)), Session: cluster.SessionID(fmt.Sprintf("s%d", i)),
				State: cluster.SessionActive, Plugins: []string{"A"}, Joined: time.Hour})
		}
		for i := range old * per {
			s.Jobs = append(s.Jobs, cluster.JobView{Job: cluster.TaskJob(cluster.UID(fmt.Sprintf("u%03d", i)), 0), Class: "A", Wanted: true, Fenceable: true,
				Load: 1, Epoch: 1, Session: s.Runners[i%old].Session})
		}
		// The new one needs x with per-x/old-x ≤ slack; whole jobs make that at most one more for each old runner.
		moves := len(Compute(cfg, s).Steps)
		if fair := old * per / (old + 1); moves > fair {
			t.Fatalf("%d of %d jobs moved, its fair share is %d", moves, old*per, fair)
		}
		if per > 2 && moves == 0 {
			t.Fatal("nothing moved to the new runner")
		}
	})
}
