package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
)

// fleet is n jobs, five tasks to a connector, on some runners; settled or all new.
func fleet(n, runners int, settled bool) cluster.Snapshot {
	s := cluster.Snapshot{}
	for i := range runners {
		s.Runners = append(s.Runners, cluster.RunnerView{Runner: cluster.RunnerID(fmt.Sprintf("r%03d", i)), Session: cluster.SessionID(fmt.Sprintf("s%03d", i)),
			State: cluster.SessionActive, Plugins: []string{"A", "B", "C"}, Age: 500 * time.Millisecond, Joined: time.Hour})
	}
	for i := range n {
		s.Jobs = append(s.Jobs, cluster.JobView{Job: cluster.JobID{UID: cluster.UID(fmt.Sprintf("u%05d", i/6)), Task: i%6 - 1}, Class: []string{"A", "B", "C"}[i/6%3],
			Wanted: true, Fenceable: true, Load: 1})
	}
	if settled {
		for range 3 {
			if err := apply(&s, Compute(DefaultConfig(), s).Steps); err != nil {
				panic(err)
			}
		}
	}
	return s
}

func BenchmarkCompute(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		for _, settled := range []bool{false, true} {
			b.Run(fmt.Sprintf("jobs=%d/runners=50/settled=%v", n, settled), func(b *testing.B) {
				s := fleet(n, 50, settled)
				cfg := DefaultConfig()
				b.ReportAllocs()
				for b.Loop() {
					Compute(cfg, s)
				}
			})
		}
		b.Run(fmt.Sprintf("jobs=%d/runners=50/lost=1", n), func(b *testing.B) {
			s := fleet(n, 50, true)
			s.Runners[7].Age = 6 * time.Second
			b.ReportAllocs()
			for b.Loop() {
				Compute(DefaultConfig(), s)
			}
		})
	}
}
