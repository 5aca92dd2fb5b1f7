package herder_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/services/api/internal/herder"
)

const (
	patience = 30 * time.Second
	tick     = 5 * time.Millisecond
)

func TestSetTarget_pauses_resumes_and_stops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running("list", 2)
	for _, target := range []cluster.TargetState{cluster.Paused, cluster.Paused, cluster.Started, cluster.Stopped} {
		delivered, err := w.SetTarget(t.Context(), "list", target, by)
		require.NoError(t, err)
		require.True(t, delivered)
		require.Equal(t, target, w.view("list").Target)
	}
	tasks, err := w.Tasks(t.Context(), "list")
	require.NoError(t, err)
	require.Empty(t, tasks, "a stopped connector has no tasks")
	_, err = w.SetTarget(t.Context(), "nobody", cluster.Paused, by)
	w.refused(err, cluster.NotFound, "Unknown connector nobody")
}

// The states that a restart can meet; time is simulated.
func TestRestart_waits_until_the_restart_is_applied(t *testing.T) {
	t.Parallel()
	one := 0
	type call func(w *world, ctx context.Context) error
	instance := call(func(w *world, ctx context.Context) error { _, err := w.Restart(ctx, "list", by); return err })
	task := call(func(w *world, ctx context.Context) error { _, err := w.RestartTask(ctx, "list", one, by); return err })
	instanceJob := func(v cluster.ConnectorView) cluster.JobID { return cluster.InstanceJob(v.UID) }
	taskJob := func(v cluster.ConnectorView) cluster.JobID { return cluster.TaskJob(v.UID, one) }
	for name, c := range map[string]struct {
		call call
		job  func(cluster.ConnectorView) cluster.JobID
		then func(w *world, job cluster.JobID) // after the call has waited
		code cluster.Code                      // "" for none
	}{
		"the connector runs again":                     {instance, instanceJob, func(w *world, j cluster.JobID) { w.say(j, cluster.StateRunning, "") }, ""},
		"the connector fails":                          {instance, instanceJob, func(w *world, j cluster.JobID) { w.say(j, cluster.StateFailed, "boom") }, cluster.Failed},
		"the connector runs, and fails then":           {instance, instanceJob, func(w *world, j cluster.JobID) { w.say(j, cluster.StateFailed, "boom", cluster.ReasonTooManyTasks) }, ""},
		"the task runs again":                          {task, taskJob, func(w *world, j cluster.JobID) { w.say(j, cluster.StateRunning, "") }, ""},
		"the task fails again, which its status tells": {task, taskJob, func(w *world, j cluster.JobID) { w.say(j, cluster.StateFailed, "boom") }, ""},
		"the connector is deleted meanwhile": {task, taskJob, func(w *world, _ cluster.JobID) {
			_, err := w.Delete(context.Background(), "list", by)
			require.NoError(w, err)
		}, ""},
		"the name is made anew meanwhile": {instance, instanceJob, func(w *world, _ cluster.JobID) {
			_, err := w.Delete(context.Background(), "list", by)
			require.NoError(w, err)
			w.create("list")
		}, ""},
		"nothing happens until the deadline": {instance, instanceJob, func(*world, cluster.JobID) {}, cluster.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				v := w.running("list", 1)
				ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
				defer cancel()
				began := time.Now()
				done := make(chan error, 1)
				go func() { done <- c.call(w, ctx) }()
				synctest.Wait()
				require.Empty(t, done, "it answers before the restart is applied")
				c.then(w, c.job(v))
				err := <-done
				if c.code == "" {
					require.NoError(t, err)
				} else {
					w.refused(err, c.code)
				}
				switch c.code {
				case cluster.Timeout:
					require.Equal(t, 90*time.Second, time.Since(began))
				case cluster.Failed:
					require.Contains(t, err.Error(), "Failed to start connector: list")
				default:
					require.LessOrEqual(t, time.Since(began), time.Second, "it learns of it at once, or by looking again")
				}
			})
		})
	}
}

func TestRestart_hears_of_a_change_without_waiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		v := w.running("list", 1)
		done := make(chan error, 1)
		began := time.Now()
		go func() { _, err := w.RestartTask(t.Context(), "list", 0, by); done <- err }()
		synctest.Wait()
		w.say(cluster.TaskJob(v.UID, 0), cluster.StateRunning, "")
		require.NoError(t, <-done)
		require.Zero(t, time.Since(began))
	})
}

func TestRestart_has_nothing_to_wait_for_where_nobody_runs_it(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create("list")
	delivered, err := w.Restart(t.Context(), "list", by)
	require.NoError(t, err)
	require.True(t, delivered)

	_, err = w.Restart(t.Context(), "nobody", by)
	w.refused(err, cluster.NotFound, "Unknown connector: nobody")
	_, err = w.RestartTask(t.Context(), "list", 3, by)
	w.refused(err, cluster.NotFound, "Unknown task: list-3")
}

func TestRestartSome_selects_and_shows_what_will_restart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tasks, onlyFailed bool
		connector         cluster.State
		states            []cluster.State
	}{
		"the connector and all tasks": {true, false, cluster.StateRestarting, []cluster.State{cluster.StateRestarting, cluster.StateRestarting}},
		"failed tasks":                {true, true, cluster.StateRunning, []cluster.State{cluster.StateRunning, cluster.StateRestarting}},
		"a failed connector only":     {false, true, cluster.StateRunning, []cluster.State{cluster.StateRunning, cluster.StateFailed}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			v := w.running("list", 2)
			w.say(cluster.TaskJob(v.UID, 1), cluster.StateFailed, "boom")
			info, delivered, err := w.RestartSome(t.Context(), cluster.RestartRequest{Name: "list", IncludeTasks: c.tasks, OnlyFailed: c.onlyFailed, By: by})
			require.NoError(t, err)
			require.True(t, delivered)
			require.Equal(t, c.connector, info.Connector.State)
			for i, want := range c.states {
				require.Equal(t, want, info.Tasks[i].State.State)
			}
			require.Equal(t, "boom", info.Tasks[1].Trace)
		})
	}
	w := newWorld(t)
	w.create("young")
	_, _, err := w.RestartSome(t.Context(), cluster.RestartRequest{Name: "young", IncludeTasks: true})
	w.refused(err, cluster.NotFound, "Status for connector young not found")
	_, _, err = w.RestartSome(t.Context(), cluster.RestartRequest{Name: "nobody", IncludeTasks: true})
	w.refused(err, cluster.NotFound, "Unknown connector: nobody")
}

// Invariant 1: a change is done when it is committed; the bus only makes it quick.
func TestChanges_are_done_also_without_the_bus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create("list")
	w.hub.Down()
	info, delivered, err := w.Create(t.Context(), herder.CreateRequest{Name: "other", Config: list(), By: by})
	require.NoError(t, err, "the stored definition decides")
	require.Equal(t, "other", info.Name)
	require.False(t, delivered)
	delivered, err = w.SetTarget(t.Context(), "list", cluster.Paused, by)
	require.NoError(t, err)
	require.False(t, delivered)
	delivered, err = w.Delete(t.Context(), "list", by)
	require.NoError(t, err)
	require.False(t, delivered)
	n, _, err := w.store.OutboxStats(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, n, 3, "the schedulers' relay sends them later")
	require.NoError(t, w.Health(t.Context()), "the api can work")
}

func TestA_message_that_could_not_be_marked_is_only_sent_twice(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, func(s herder.Store) herder.Store { return &unmarked{s} })
	_, delivered, err := w.Create(t.Context(), herder.CreateRequest{Name: "list", Config: list(), By: by})
	require.NoError(t, err)
	require.True(t, delivered)
	require.NoError(t, w.Close(t.Context()), "Close waits for what is being sent")
	require.Equal(t, 1, w.hub.Queued(wire.Commands))
}

// unmarked is a store that can't take note of what was sent.
type unmarked struct{ herder.Store }

func (*unmarked) MarkPublished(context.Context, []int64) error { return errors.New("away") }
