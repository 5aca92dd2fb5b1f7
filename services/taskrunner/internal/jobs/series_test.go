package jobs_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

// shown lists the status series of tasks, and the number of series with a task's label.
func (w *world) shown(t *testing.T) (states []string, series int) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(w.series))
	families, err := r.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "connector" {
					series++
				}
				if l.GetName() == "status" && strings.Contains(f.GetName(), "task") {
					states = append(states, l.GetValue())
				}
			}
		}
	}
	return states, series
}

// A task's series are there while this runner has the task, also when it has failed, and end when it moves away or a newer
// holder has taken over.
func TestSupervisor_series_live_as_long_as_a_job_is_held(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan error)
		w := newWorld(t, func(take, do context.Context, env job.Env) error {
			env.Counting().Sink()
			env.Report.State(cluster.StateRunning)
			select {
			case err := <-end:
				return err
			case <-take.Done():
				return nil
			}
		})
		states := func() []string { s, _ := w.shown(t); return s }
		w.Apply(spec(4, 1))
		synctest.Wait()
		require.Equal(t, []string{"running"}, states())
		end <- errors.New("boom")
		synctest.Wait()
		require.Equal(t, []string{"failed"}, states(), "a failed task is still here")
		w.Apply(spec(4, 2, func(s *cluster.JobSpec) { s.RestartSeq = 1 }))
		synctest.Wait()
		require.Equal(t, []string{"running"}, states())
		w.Release(cluster.TaskJob("u", 0), "s1", 4)
		synctest.Wait()
		_, n := w.shown(t)
		require.Zero(t, n, "it has moved away")

		w.Apply(spec(6, 3))
		synctest.Wait()
		require.Equal(t, []string{"running"}, states())
		end <- job.ErrFenced
		synctest.Wait()
		_, n = w.shown(t)
		require.Zero(t, n, "somebody else runs it")
	})
}
