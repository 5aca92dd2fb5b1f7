package sim

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/memstore"
	"github.com/millrace/millrace/tests/conformance/storetest"
)

var (
	seeds   = flag.Int("sim.seeds", 40, "how many worlds are simulated")
	first   = flag.Uint64("sim.first", 1, "the first seed")
	tracing = flag.Bool("sim.trace", false, "tell what happens; for one seed")
	minutes = flag.Int("sim.minutes", 3, "how long each world's storm lasts, by its own clock")
)

func newStore(now func() time.Time) storetest.Store { return memstore.New(now) }

// settleTime is how long a healed world may need: lost sessions, backoffs, polls.
const settleTime = 2 * time.Minute

// outcome plays one world: a storm, then calm. It returns what was violated, or is not settled in the end.
func outcome(t *testing.T, o Options, storm time.Duration) (violations []string, unsettled string, took time.Duration) {
	t.Helper()
	w := New(t.Context(), o, newStore)
	if *tracing {
		w.Trace = func(s string) { t.Log(s) }
	}
	w.Run(storm)
	w.Heal()
	took, _ = w.RunUntil(settleTime, func() bool { return w.Unsettled() == "" })
	if len(w.violations) == 0 {
		unsettled = w.Unsettled()
	}
	return w.violations, unsettled, took
}

// DA-2 and all of I1 to I5, in any storm.
func TestFault_DA_2_in_any_storm_no_invariant_breaks_and_calm_brings_what_is_wanted(t *testing.T) {
	t.Parallel()
	for i := range *seeds {
		seed := *first + uint64(i)
		v, unsettled, _ := outcome(t, Options{Seed: seed, Replicas: 3, Faults: Stormy()}, time.Duration(*minutes)*time.Minute)
		require.Empty(t, v, replay(seed))
		require.Empty(t, unsettled, replay(seed))
	}
}

func TestSim_the_same_seed_is_the_same_world(t *testing.T) {
	t.Parallel()
	play := func() (int, int, int, int) {
		w := New(t.Context(), Options{Seed: 7, Faults: Stormy()}, newStore)
		w.Run(2 * time.Minute)
		return w.commits, w.stops, w.leaders, len(w.starts)
	}
	a, b, c, d := play()
	e, f, g, h := play()
	require.Equal(t, []int{a, b, c, d}, []int{e, f, g, h})
	require.Positive(t, a)
}

// calm is a world with connectors that run and nothing that goes wrong.
func calm(t *testing.T, seed uint64, runners, connectors, tasks int) *World {
	t.Helper()
	w := New(t.Context(), Options{Seed: seed, Replicas: 2, Runners: runners, Faults: Faults{HTTP: true}}, newStore)
	w.Run(3 * time.Second)
	for i := range connectors {
		w.api.create("c"+string(rune('a'+i)), tasks, true)
	}
	w.settles(t, 30*time.Second)
	return w
}

func (w *World) settles(t *testing.T, within time.Duration) time.Duration {
	t.Helper()
	took, ok := w.RunUntil(within, func() bool { return w.Unsettled() == "" })
	require.Empty(t, w.violations)
	require.True(t, ok, "not settled after %s: %s", within, w.Unsettled())
	return took
}

// poll is the longest pause between two looks of a leader at an unchanged world: 5 s, give or take a fifth.
const poll = 6 * time.Second

func TestFault_SB_1_a_leader_that_was_frozen_between_reading_and_writing_writes_nothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		w := calm(t, seed, 3, 3, 2)
		w.faults.LeaderPause = 0.3 // frozen between reading and writing
		w.faults.Operations = 1
		w.Run(time.Minute)
		require.Empty(t, w.violations, "seed %d", seed)
		w.Heal()
		w.settles(t, settleTime)
	}
}

func TestFault_SB_3_a_leader_cut_from_the_database_starts_and_stops_nothing(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 3, 2)
	for _, r := range w.replicas {
		r.store.cut = true
	}
	starts, stops := len(w.starts), w.stops
	w.Run(time.Minute)
	require.Equal(t, starts, len(w.starts))
	require.Equal(t, stops, w.stops)
}

func TestFault_SB_5_many_leaders_stop_no_task(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 3, 2)
	stops, leaders := w.stops, w.leaders
	for range 50 {
		if l := w.leader(); l != nil {
			l.kill()
			w.Run(3 * time.Second)
			l.reboot()
		}
		w.Run(2 * time.Second)
	}
	require.Empty(t, w.violations)
	require.Greater(t, w.leaders, leaders+20)
	require.Equal(t, stops, w.stops, "no running task notices")
}

func TestFault_LC_1_a_purge_right_after_a_change_costs_at_most_a_poll(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 2, 2)
	for i := range 10 {
		w.api.put("ca", 1+i%4, true)
		w.net.purges++
		w.settles(t, 2*poll)
	}
}

func TestFault_LC_4_half_of_all_messages_lost(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := calm(t, seed, 4, 4, 2)
		w.faults.Loss, w.faults.Operations = 0.5, 0.5
		w.Run(2 * time.Minute)
		w.faults.Operations = 0
		w.settles(t, time.Minute)
	}
}

func TestFault_DC_1_each_message_up_to_ten_times_in_any_order_starts_nothing_twice(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := calm(t, seed, 4, 4, 2)
		w.faults.Duplicate, w.faults.Copies, w.faults.Late, w.faults.MaxLate, w.faults.Operations = 1, 9, 0.5, 20*time.Second, 0.5
		w.Run(2 * time.Minute)
		require.Empty(t, w.violations, "seed %d", seed)
		w.Heal()
		w.settles(t, settleTime)
	}
}

func TestFault_NO_1_without_a_bus_nothing_stops_and_changes_still_happen(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 4, 3, 2)
	stops, lost := w.stops, w.sessionsEnded
	w.net.up = false
	w.Run(30 * time.Minute)
	require.Equal(t, stops, w.stops)
	require.Equal(t, lost, w.sessionsEnded, "heartbeats go by HTTP")
	w.api.create("late", 2, true)
	w.settles(t, 2*poll)
	w.busUp()
	w.settles(t, time.Minute)
	require.Equal(t, stops, w.stops)
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

func TestFault_OK_1_a_killed_runner_is_replaced_within_seconds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := calm(t, seed, 4, 5, 4)
		w.runners[0].kill()
		took := w.settles(t, time.Minute)
		require.Less(t, took, 5*time.Second, "seed %d", seed)
	}
}

func TestFault_EX_1_a_name_used_again_at_once_never_meets_its_past(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 4, 1, 2)
	for range 100 {
		w.api.remove("ca")
		w.api.create("ca", 2, true)
		w.Run(w.upTo(500 * time.Millisecond))
		require.Empty(t, w.violations)
	}
	w.settles(t, time.Minute)
}

func TestFault_EX_9_a_delete_during_anything_ends(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := New(t.Context(), Options{Seed: seed, Replicas: 2, Faults: Stormy()}, newStore)
		w.Run(time.Minute)
		for name := range w.api.want {
			w.api.remove(name)
		}
		w.Heal()
		for name := range w.api.want {
			w.api.remove(name)
		}
		w.settles(t, time.Minute)
		snap, err := w.store.Snapshot(t.Context())
		require.NoError(t, err)
		require.Empty(t, snap.Jobs, "nothing is left behind")
	}
}
