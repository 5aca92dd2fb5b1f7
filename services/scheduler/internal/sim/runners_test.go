package sim

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// Runners: double assignment (DA), zombies (ZT), death (OK), scale-in, names and deletes (EX).

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

// Tasks are dropped and wanted again while their copies take long to stop: the same runner gets a newer grant. That it
// starts nothing before the older copy has stopped is watched in started.
func TestFault_DA_4_a_newer_grant_to_the_same_runner_stops_the_older_copy_first(t *testing.T) {
	t.Parallel()
	regrants := 0
	for seed := range uint64(5) {
		w := calm(t, seed, 2, 3, 3)
		w.faults.SlowStop = 0.5
		for range 20 {
			for _, name := range slices.Sorted(maps.Keys(w.api.want)) {
				w.api.target(name, cluster.Stopped)
				w.api.target(name, cluster.Started)
			}
			w.Run(w.upTo(3 * time.Second))
			w.net.purges++ // half of the releases are lost
		}
		w.faults.SlowStop = 0
		w.settles(t, settleTime)
		regrants += w.regrants
	}
	t.Logf("%d newer grants met an older copy", regrants)
	require.Positive(t, regrants)
}

func TestFault_ZT_5_what_a_former_holder_says_late_is_never_shown(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := calm(t, seed, 3, 4, 3)
		w.Run(30 * time.Second)
		zombie := w.runners[0]
		old := zombie.holding().statuses
		require.NotEmpty(t, old)
		zombie.paused = true
		w.Run(15 * time.Second) // its jobs run elsewhere
		before := w.views()
		for i := range old {
			old[i].State, old[i].Trace = cluster.StateFailed, "of a zombie"
		}
		released := slices.Clone(old)
		for i := range released {
			released[i].Released = true
		}
		for _, statuses := range [][]cluster.Status{old, released} {
			msg := w.encode(wire.KindReport, wire.Report{Session: zombie.session, Statuses: statuses})
			w.net.note(message{to: wire.Reports, body: msg})
			w.replicas[0].inbox.AnswerHTTP(t.Context(), msg)
			w.Run(time.Second)
		}
		require.Equal(t, before, w.views(), "seed %d", seed)
		zombie.resume()
		w.settles(t, settleTime)
	}
}

func TestFault_OK_1_a_killed_runner_with_a_hundred_tasks_is_replaced_within_seconds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		w := calm(t, seed, 4, 4, 100)
		require.Greater(t, len(w.runners[0].slots), 90)
		w.runners[0].kill()
		took := w.settles(t, time.Minute)
		t.Logf("seed %d: after %s", seed, took)
		require.Less(t, took, 5*time.Second, "seed %d", seed)
	}
}

func TestFault_EX_1_a_name_used_again_at_once_never_meets_its_past(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 4, 1, 2)
	for range long(150) {
		w.api.remove("ca")
		w.api.create("ca", 2, true)
		w.Run(w.upTo(500 * time.Millisecond))
		require.Empty(t, w.violations, w.again(t))
		v := w.views()["ca"]
		for _, s := range v.TaskStatuses {
			require.Equal(t, v.UID, s.Job.UID)
		}
		require.True(t, v.Status == nil || v.Status.Job.UID == v.UID)
	}
	w.settles(t, time.Minute)
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

func TestFault_EX_3_runners_that_are_drained_one_after_another_at_any_time_end_by_themselves(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := calm(t, seed, 4, 5, 4)
		w.faults.Operations = 0.5
		for i := range 8 {
			r := w.runners[i%4]
			r.draining = true
			took, ok := w.RunUntil(30*time.Second, func() bool { return !r.alive })
			require.True(t, ok, "seed %d: %s is there after %s with %d jobs; %v", seed, r.session, took, len(r.slots), w.violations)
			w.Run(w.upTo(3 * time.Second))
			r.restart()
			w.Run(w.upTo(10 * time.Second))
		}
		w.faults.Operations = 0
		w.settles(t, time.Minute)
	}
}

func TestFault_EX_9_a_delete_during_anything_ends(t *testing.T) {
	t.Parallel()
	for seed := range uint64(long(10)) {
		w := New(t.Context(), Options{Seed: seed, Replicas: 2, Faults: Stormy()}, newStore)
		w.traced(t)
		w.Run(time.Minute)
		w.storeDown = false
		for _, name := range slices.Sorted(maps.Keys(w.api.want)) {
			w.api.remove(name)
		}
		w.Heal()
		w.settles(t, time.Minute)
		snap, err := w.store.Snapshot(t.Context())
		require.NoError(t, err)
		require.Empty(t, snap.Jobs, "seed %d: nothing is left behind", seed)
		w.Run(15 * time.Second) // a copy that Kafka has fenced may take long to stop
		for _, r := range w.runners {
			require.Empty(t, r.slots, fmt.Sprintf("seed %d: %s", seed, r.session))
		}
	}
}
