package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

// owners is who owns what, to be compared later.
func (w *World) owners(t *testing.T) map[cluster.JobID]cluster.SessionID {
	t.Helper()
	snap, err := w.store.Snapshot(t.Context())
	require.NoError(t, err)
	m := map[cluster.JobID]cluster.SessionID{}
	for _, j := range snap.Jobs {
		m[j.Job] = j.Session
	}
	return m
}

func TestFault_LC_2_a_runner_that_hears_no_message_is_corrected_by_its_heartbeats(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 1, 2, 2)
	w.deaf = true
	for i := range 5 {
		w.api.put("ca", 1+i, true)
		w.settles(t, 2*poll)
	}
}

// The runner sees the target come back without ever having seen it leave; its tasks are wanted anew all the same.
func TestFault_LC_2_a_stop_and_a_resume_that_a_runner_hears_as_one_bring_the_tasks_back(t *testing.T) {
	t.Parallel()
	play := func(b Broken) string {
		w := calm(t, 1, 1, 2, 2)
		w.broken, w.deaf = b, true
		for _, target := range []cluster.TargetState{cluster.Stopped, cluster.Paused} {
			w.api.target("ca", target)
			w.api.target("ca", cluster.Started)
			w.RunUntil(2*poll, func() bool { return w.Unsettled() == "" })
		}
		return w.Unsettled()
	}
	require.Empty(t, play(Broken{}))
	require.NotEmpty(t, play(Broken{SplitOnce: true}), "a runner that splits once is noticed")
}

func TestFault_DC_3_a_message_that_comes_again_an_hour_later_does_nothing(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 3, 2)
	w.faults.Duplicate, w.faults.Copies, w.faults.Late, w.faults.MaxLate, w.faults.Operations = 1, 3, 0.5, time.Hour, 0.2
	w.Run(5 * time.Minute)
	w.Heal() // what is on its way still comes
	w.settles(t, settleTime)
	w.Run(time.Minute) // a new balance is found
	w.settles(t, settleTime)
	owners, stops := w.owners(t), w.stops
	w.Run(90 * time.Minute)
	require.Empty(t, w.violations)
	require.Equal(t, stops, w.stops)
	require.Equal(t, owners, w.owners(t))
}

func TestFault_DC_4_ten_restarts_within_a_second_are_applied_once(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 1, 2)
	starts, owners := len(w.starts), w.owners(t)
	for range 10 {
		w.api.restart(cluster.RestartRequest{Name: "ca", IncludeTasks: true})
		w.Run(w.upTo(100 * time.Millisecond))
	}
	w.settles(t, 2*poll) // the last restart is applied: Unsettled compares its number
	require.LessOrEqual(t, len(w.starts)-starts, 10*3, "an instance and two tasks, for each request at most")
	require.Equal(t, owners, w.owners(t))
}

func TestFault_DA_3_a_restart_with_tasks_starts_them_where_they_are(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 4, 4, 3)
	owners := w.owners(t)
	for _, name := range []string{"ca", "cb", "cc", "cd"} {
		w.api.restart(cluster.RestartRequest{Name: name, IncludeTasks: true})
	}
	w.settles(t, 2*poll)
	require.Equal(t, owners, w.owners(t))
}

func TestFault_SA_1_a_leader_that_dies_between_commit_and_publish_costs_a_lease_and_a_poll(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := calm(t, seed, 3, 2, 2)
		l := w.leader()
		require.NotNil(t, l)
		l.dropPublish = true
		w.api.put("ca", 4, true)
		w.Run(w.upTo(50 * time.Millisecond)) // before, in the middle of or after its round
		l.kill()
		w.settles(t, leaseTTL+2*poll)
		l.reboot()
		w.settles(t, poll)
	}
}

func TestFault_SA_4_the_assignments_of_a_round_are_all_there_or_none(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 1, 1)
	w.faults.StoreDown = 0.3
	for i := range 30 {
		w.api.put("ca", 1+i%5, true)
		w.Run(time.Second)
		require.Empty(t, w.violations, "a round that is stored in part breaks I2 or I5")
	}
	w.Heal()
	w.settles(t, settleTime)
}

func TestFault_AC_1_an_api_that_dies_after_the_commit_costs_a_poll(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 1, 2)
	w.api.crash = true
	for i := range 10 {
		w.api.put("ca", 1+i%4, true)
		w.settles(t, 2*poll)
	}
}

func TestFault_AC_4_what_is_published_again_and_again_is_obeyed_once(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 2, 2)
	w.forgetful = true
	for i := range 5 {
		w.api.put("ca", 1+i, true)
		w.Run(10 * time.Second)
		require.Empty(t, w.violations) // a start that is repeated is one
	}
	w.forgetful = false
	w.settles(t, settleTime)
}

func TestFault_AC_5_a_message_that_cannot_be_published_holds_back_no_other(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 1, 2)
	w.api.crash = true // so that the relay has to do it
	w.unpublishable = "next"
	w.api.put("ca", 3, true)
	w.api.crash = false
	w.Run(time.Second)
	w.api.create("other", 2, true)
	took, ok := w.RunUntil(2*poll, func() bool { v := w.views()["other"]; return v.Status != nil && len(v.TaskStatuses) == 2 })
	require.True(t, ok, "after %s", took)
	w.unpublishable = ""
	w.settles(t, settleTime)
}

func TestFault_NO_4_when_the_bus_comes_back_nothing_is_stopped_and_the_outbox_empties(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 4, 3, 2)
	w.net.up = false
	for i := range 20 {
		w.api.put("ca", 1+i%4, true)
		w.Run(10 * time.Second)
	}
	w.settles(t, 2*poll)
	stops := w.stops
	w.busUp()
	took := w.settles(t, time.Minute)
	require.Equal(t, stops, w.stops)
	n, _, err := w.store.OutboxStats(t.Context())
	require.NoError(t, err)
	require.Zero(t, n, "after %s", took)
}

func TestFault_EX_3_a_drained_runner_ends_by_itself(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := calm(t, seed, 4, 5, 4)
		w.api.create("unfenced", 3, false)
		w.settles(t, 30*time.Second)
		r := w.runners[seed%4]
		r.draining = true
		took, ok := w.RunUntil(30*time.Second, func() bool { return !r.alive && w.Unsettled() == "" })
		require.True(t, ok, "seed %d: not over after %s: %s", seed, took, w.Unsettled())
	}
}
