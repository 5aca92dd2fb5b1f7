package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Messages: lost (LC), doubled (DC), left behind by an api (AC), and none at all (NO).

func TestFault_LC_1_a_purge_right_after_a_change_costs_at_most_a_poll(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 2, 2)
	for i := range 10 {
		w.api.put("ca", 1+i%4, true)
		w.net.purges++
		w.settles(t, 2*poll)
		w.api.create("new", 1, true)
		w.net.purges++
		w.settles(t, 2*poll)
		w.api.remove("new")
		w.net.purges++
		w.settles(t, 2*poll)
	}
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
	require.NotEmpty(t, play(Broken{SplitOnce: true, NoResync: true}), "a runner that splits once is noticed")
}

// A message that this bus loses never comes again, whatever kind it is: that is harsher than a queue that redelivers. A
// create needs the leader twice, for the instance and for its tasks; where both wakes are lost that alone costs two polls.
func TestFault_LC_4_with_half_of_all_messages_lost_every_operation_ends_in_time(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 4, 4, 2)
	w.faults.Loss = 0.5
	var all []time.Duration
	for range long(100) {
		w.api.something()
		all = append(all, w.settles(t, time.Minute))
	}
	slices.Sort(all)
	p90, p99 := all[len(all)*90/100], all[len(all)*99/100]
	t.Logf("%d operations: half within %s, 90 %% within %s, 99 %% within %s, all within %s", len(all), all[len(all)/2], p90, p99, all[len(all)-1])
	require.LessOrEqual(t, all[len(all)/2], poll)
	require.LessOrEqual(t, p90, 3*poll)
	require.LessOrEqual(t, p99, 4*poll)
}

func TestFault_LC_4_operations_that_meet_each_other_end_too(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := calm(t, seed, 4, 4, 2)
		w.faults.Loss, w.faults.Operations = 0.5, 0.5
		w.Run(time.Duration(long(2)) * time.Minute)
		w.faults.Operations = 0
		w.settles(t, time.Minute) // with the loss going on
	}
}

func TestFault_DC_1_each_message_up_to_ten_times_in_any_order_starts_nothing_twice(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := calm(t, seed, 4, 4, 2)
		w.faults.Duplicate, w.faults.Copies, w.faults.Late, w.faults.MaxLate, w.faults.Operations = 1, 9, 0.5, 20*time.Second, 0.5
		w.Run(2 * time.Minute)
		require.Empty(t, w.violations, w.again(t))
		w.Heal()
		w.settles(t, settleTime)
	}
}

func TestFault_DC_3_a_message_that_comes_again_an_hour_later_does_nothing(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 3, 2)
	w.faults.Duplicate, w.faults.Copies, w.faults.Late, w.faults.MaxLate, w.faults.Operations = 1, 3, 0.5, time.Hour, 0.2
	w.faults.LateCopies = true
	w.Run(5 * time.Minute)
	w.Heal() // what is on its way still comes
	w.settles(t, settleTime)
	w.Run(time.Minute) // a new balance is found
	w.settles(t, settleTime)
	owners, stops := w.owners(t), w.stops
	w.Run(90 * time.Minute)
	require.Empty(t, w.violations, w.again(t))
	require.Equal(t, stops, w.stops)
	require.Equal(t, owners, w.owners(t))
}

func TestFault_DC_4_ten_restarts_within_a_second_are_applied_once(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := calm(t, seed, 3, 1, 2)
		starts, owners := len(w.starts), w.owners(t)
		for range 10 {
			w.api.restart(cluster.RestartRequest{Name: "ca", IncludeTasks: true})
			w.Run(w.upTo(100 * time.Millisecond))
		}
		w.settles(t, 2*poll) // the last restart is applied: Unsettled compares its number
		v := w.views()["ca"]
		asked := int(v.RestartSeq)
		for _, task := range v.Tasks {
			asked += int(task.RestartSeq)
		}
		require.Equal(t, asked, len(w.starts)-starts, "each number is applied once: one that is in flight is not asked for again")
		require.Equal(t, owners, w.owners(t))
	}
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

func TestFault_AC_3_messages_that_become_visible_in_reverse_order_are_all_published(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 2, 2)
	w.api.crash = true // all is left to the relays
	w.uncommitted = map[int64]bool{}
	before := w.lastMessage()
	w.api.put("ca", 3, true)
	for id := before + 1; id <= w.lastMessage(); id++ {
		w.uncommitted[id] = true // the older transaction takes longer
	}
	w.api.put("cb", 3, true)
	took, ok := w.RunUntil(poll, func() bool {
		n, _, err := w.store.OutboxStats(t.Context())
		return err == nil && n == len(w.uncommitted)
	})
	require.True(t, ok, "the younger ones are not published after %s", took)
	w.uncommitted = nil
	w.settles(t, 30*time.Second) // the outbox is empty
}

// lastMessage is the youngest outbox id.
func (w *World) lastMessage() int64 {
	last := int64(0)
	for id := range w.outbox {
		last = max(last, id)
	}
	return last
}

func TestFault_AC_4_what_is_published_again_and_again_is_obeyed_once(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 2, 2)
	w.forgetful = true
	for i := range 5 {
		w.api.put("ca", 1+i, true)
		w.Run(10 * time.Second)
		require.Empty(t, w.violations, w.again(t)) // a start that is repeated is one
	}
	w.forgetful = false
	w.settles(t, settleTime)
}

func TestFault_AC_5_a_message_that_cannot_be_published_holds_back_no_other_and_is_dropped_in_the_end(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 3, 1, 2)
	w.api.crash = true // so that the relay has to do it
	w.unpublishable = "next"
	w.api.put("ca", 3, true)
	took, ok := w.RunUntil(poll, func() bool { return w.unpublishable != "next" })
	require.True(t, ok, "nobody tried after %s", took)
	w.api.crash = false
	w.api.create("other", 2, true)
	took, ok = w.RunUntil(2*poll, func() bool { v := w.views()["other"]; return v.Status != nil && len(v.TaskStatuses) == 2 })
	require.True(t, ok, "after %s", took)
	w.Run(time.Minute)
	n, oldest, err := w.store.OutboxStats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n, "it waits, and its age shows")
	require.Greater(t, oldest, time.Minute)
	w.Run(20 * time.Minute)
	w.settles(t, time.Second) // the table is bounded
}

func TestFault_NO_1_without_a_bus_nothing_stops(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 4, 3, 2)
	stops, lost := w.stops, w.sessionsEnded
	w.net.up = false
	w.Run(30 * time.Minute)
	require.Equal(t, stops, w.stops)
	require.Equal(t, lost, w.sessionsEnded, "heartbeats go by HTTP")
	w.busUp()
	w.settles(t, time.Minute)
	require.Equal(t, stops, w.stops)
}

func TestFault_NO_1_with_neither_bus_nor_HTTP_nothing_stops(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 4, 3, 2)
	stops, lost := w.stops, w.sessionsEnded
	w.net.up, w.faults.HTTP = false, false
	w.Run(30 * time.Minute)
	require.Equal(t, stops, w.stops)
	w.busUp()
	w.settles(t, time.Minute)
	require.Equal(t, lost, w.sessionsEnded, "nobody was given up")
	require.Equal(t, stops, w.stops)
}

func TestFault_NO_2_what_is_changed_without_a_bus_happens_within_two_polls(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := calm(t, seed, 4, 3, 2)
		w.net.up = false
		for range 30 {
			w.api.something()
			w.settles(t, 2*poll)
		}
	}
}

func TestFault_NO_4_when_the_bus_comes_back_nothing_is_stopped_and_nobody_is_flooded(t *testing.T) {
	t.Parallel()
	w := calm(t, 1, 4, 3, 2)
	calls := w.calls
	w.Run(time.Minute)
	steady := w.calls - calls
	w.net.up = false
	for i := range 20 {
		w.api.put("ca", 1+i%4, true)
		w.Run(10 * time.Second)
	}
	w.settles(t, 2*poll)
	stops := w.stops
	w.busUp()
	calls = w.calls
	w.Run(time.Minute)
	t.Logf("calls of the store in a minute: %d before, %d after", steady, w.calls-calls)
	require.LessOrEqual(t, w.calls-calls, 2*steady)
	require.Equal(t, stops, w.stops)
	n, _, err := w.store.OutboxStats(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}
