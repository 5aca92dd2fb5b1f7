package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Schedulers: split brain (SB), crashes in mid-assignment (SA).

func (w *World) someLeader(t *testing.T) *replica {
	t.Helper()
	took, ok := w.RunUntil(2*leaseTTL, func() bool { return w.leader() != nil })
	require.True(t, ok, "nobody leads after %s", took)
	return w.leader()
}

func TestFault_SB_1_a_leader_frozen_between_reading_and_writing_writes_nothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		w := calm(t, seed, 3, 3, 2)
		old := w.leader()
		term := old.lease.Term
		old.freeze = 3 * leaseTTL
		w.api.create("late", 2, true)
		took, ok := w.RunUntil(poll, func() bool { return old.paused })
		require.True(t, ok, "seed %d: not frozen after %s", seed, took)
		w.settles(t, leaseTTL+2*poll)
		refused := w.refused
		took, ok = w.RunUntil(3*leaseTTL, func() bool { return !old.paused })
		require.True(t, ok, "seed %d: still frozen after %s", seed, took)
		require.Greater(t, w.maxTerm, term)
		require.Equal(t, refused+1, w.refused, "its write was tried and refused")
		took, ok = w.RunUntil(time.Second, func() bool { return !old.leading })
		require.True(t, ok, "leads on after %s", took)
		w.settles(t, poll) // I1: no assignment of its term is among the commits
	}
}

func TestFault_SB_1_leaders_that_are_frozen_again_and_again_break_nothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		w := calm(t, seed, 3, 3, 2)
		w.faults.LeaderPause, w.faults.Operations = 0.3, 1
		w.Run(time.Minute)
		require.Empty(t, w.violations, w.again(t))
		w.Heal()
		w.settles(t, settleTime)
	}
}

func TestFault_SB_3_a_leader_cut_from_the_database_starts_and_stops_nothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := calm(t, seed, 3, 3, 2)
		for _, r := range w.replicas {
			r.store.cut = true
		}
		starts, stops := len(w.starts), w.stops
		w.Run(time.Minute)
		require.Equal(t, starts, len(w.starts))
		require.Equal(t, stops, w.stops)
		for _, r := range w.replicas {
			r.store.cut = false
		}
		w.settles(t, settleTime)

		l := w.someLeader(t)
		l.store.cut = true // it alone; it still has the bus
		w.api.create("late", 2, true)
		w.settles(t, leaseTTL+2*poll)
		require.NotSame(t, l, w.leader())
	}
}

func TestFault_SB_5_many_leaders_stop_no_task(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 3, 2)
	stops, leaders, changes := w.stops, w.leaders, long(200)
	for range changes {
		l := w.someLeader(t)
		if w.chance(0.1) {
			l.kill() // without a word
			took, ok := w.RunUntil(2*leaseTTL, func() bool { return w.leader() != nil })
			require.True(t, ok, "nobody leads after %s", took)
			l.reboot()
			continue
		}
		l.resign()
		for _, r := range w.replicas {
			if r != l {
				r.tryLead()
			}
		}
		w.Run(w.upTo(time.Second))
	}
	require.Empty(t, w.violations, w.again(t))
	require.GreaterOrEqual(t, w.leaders, leaders+changes)
	require.Equal(t, stops, w.stops, "no running task notices")
	w.faults.Operations = 1
	for range changes {
		if l := w.leader(); l != nil {
			l.resign()
		}
		w.Run(w.upTo(2 * time.Second))
		require.Empty(t, w.violations, w.again(t))
	}
	w.Heal()
	w.settles(t, settleTime)
}

func TestFault_SA_1_a_leader_that_dies_in_mid_assignment_costs_a_lease_and_a_poll(t *testing.T) {
	t.Parallel()
	for _, at := range []moment{beforeCommit, beforePublish, afterPublish} {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5) {
				w := calm(t, seed, 3, 2, 2)
				l := w.someLeader(t)
				l.dieAt = at
				w.api.put("ca", 4, true)
				took, ok := w.RunUntil(poll, func() bool { return l.dead })
				require.True(t, ok, "alive after %s", took)
				w.settles(t, leaseTTL+2*poll)
				l.reboot()
				w.settles(t, poll)
			}
		})
	}
}

func TestFault_SA_1_with_every_leader_dying_all_is_as_without(t *testing.T) {
	t.Parallel()
	moments := []moment{beforeCommit, beforePublish, afterPublish}
	for seed := range uint64(5) {
		w := calm(t, seed, 3, 2, 2)
		for i := range 20 {
			if l := w.leader(); l != nil {
				l.dieAt = moments[i%len(moments)]
			}
			w.api.something()
			w.Run(w.upTo(8 * time.Second))
			for _, r := range w.replicas {
				r.reboot()
			}
			require.Empty(t, w.violations, w.again(t))
		}
		w.settles(t, settleTime)
	}
}

func TestFault_SA_2_a_drain_goes_on_under_the_next_leader_within_its_limit(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := calm(t, seed, 4, 6, 5)
		w.api.create("unfenced", 4, false)
		w.settles(t, 30*time.Second)
		w.Run(30 * time.Second) // a balance is found
		r, starts := w.runners[seed%4], len(w.starts)
		runs := len(r.slots)
		require.Greater(t, runs, w.planCfg.MaxMovesPerRound, "else it is over in one round")
		r.draining = true
		for r.alive && len(w.violations) == 0 && len(w.starts) < starts+2*runs {
			if l := w.leader(); l != nil { // each leader does one round of it
				l.dieAt = []moment{beforeCommit, beforePublish, afterPublish}[w.rng.IntN(3)]
			}
			w.Run(time.Second)
			for _, x := range w.replicas {
				x.reboot()
			}
		}
		w.settles(t, settleTime) // P7: no round moved more than it may
		require.Equal(t, starts+runs, len(w.starts), "each job moved once, and no other")
	}
}

func TestFault_SA_3_without_any_scheduler_nothing_stops(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 4, 3, 2)
	stops := w.stops
	for _, r := range w.replicas {
		r.kill()
	}
	w.Run(10 * time.Minute)
	require.Equal(t, stops, w.stops)
	w.api.create("late", 2, true)
	for _, r := range w.replicas {
		r.reboot()
	}
	w.settles(t, time.Minute)
	require.Equal(t, stops, w.stops, "nor when they come back")
}

func TestFault_SA_4_the_assignments_of_a_round_are_all_there_or_none(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 1, 1)
	l := w.someLeader(t)
	owners := w.owners(t)
	w.api.crash = true // nobody hears of it yet
	w.api.create("one", 1, true)
	w.api.create("two", 1, true)
	round, err := l.loop.Prepare(t.Context())
	require.NoError(t, err)
	require.Len(t, round.Decisions.Steps, 2)
	w.api.remove("two") // between reading and writing
	require.True(t, cluster.Is(l.loop.Finish(t.Context(), l.lease.Term, round), cluster.Conflict))
	for job, session := range w.owners(t) {
		require.Equal(t, owners[job], session, "%v was assigned by a round that failed", job)
	}
	w.api.crash = false
	w.settles(t, 2*poll)

	w.faults.StoreDown = 0.3
	for i := range 30 {
		w.api.put("ca", 1+i%5, true)
		w.Run(time.Second)
		require.Empty(t, w.violations, "a round that is stored in part breaks I2 or I5")
	}
	w.Heal()
	w.settles(t, settleTime)
}
