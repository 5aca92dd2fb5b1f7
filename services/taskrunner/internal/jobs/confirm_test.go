package jobs_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

// asking is a world whose job asks whether it is still held, as often as the test says; it tells what it hears.
func asking(t *testing.T) (w *world, ask chan time.Duration, heard chan bool) {
	t.Helper()
	ask, heard = make(chan time.Duration), make(chan bool, 1)
	w = newWorld(t, func(take, _ context.Context, env job.Env) error {
		for {
			select {
			case d := <-ask:
				ctx, cancel := context.WithTimeout(take, d)
				heard <- env.Confirmed(ctx)
				cancel()
			case <-take.Done():
				return nil
			}
		}
	})
	w.Apply(spec(3, 1))
	synctest.Wait()
	return w, ask, heard
}

func TestSupervisor_confirms_by_a_heartbeat_that_was_sent_after_the_question(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ask, heard := asking(t)
		before := w.Holding()
		beats := w.out.beats.Load()
		ask <- time.Minute
		synctest.Wait()
		require.Equal(t, beats+1, w.out.beats.Load(), "it asks for a heartbeat")
		w.Correct(before, cluster.HeartbeatReply{Known: true})
		synctest.Wait()
		require.Empty(t, heard, "that answer may be older than a successor")
		w.Correct(w.Holding(), cluster.HeartbeatReply{Known: true})
		require.True(t, <-heard)
	})
}

func TestSupervisor_does_not_confirm_a_job_that_is_held_elsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ask, heard := asking(t)
		ask <- time.Minute
		synctest.Wait()
		w.Correct(w.Holding(), cluster.HeartbeatReply{Known: true, Differs: true})
		require.False(t, <-heard)
		synctest.Wait()
		require.Empty(t, w.Holding().Held)
	})
}

func TestSupervisor_nobody_waits_longer_for_the_control_plane_than_it_has_time(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ask, heard := asking(t)
		ask <- time.Second
		require.False(t, <-heard)
		ask <- time.Minute
		synctest.Wait()
		w.Correct(w.Holding(), cluster.HeartbeatReply{Known: true})
		require.True(t, <-heard)
	})
}
