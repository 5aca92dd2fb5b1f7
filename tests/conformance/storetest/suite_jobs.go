package storetest

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

var jobTests = []test{
	{"only the current holder's status is stored (Invariant 3)", func(w *world) {
		c, e := w.running("c", 0)
		job := cluster.InstanceJob(c.UID)
		w.register("s2")
		require.False(w, w.status(job, "s2", e, cluster.StateRunning), "another session")
		require.False(w, w.status(job, "s1", e-1, cluster.StateRunning), "an older epoch")
		require.False(w, w.status(job, "s1", e+1, cluster.StateRunning), "an epoch nobody gave out")
		require.False(w, w.status(cluster.InstanceJob("nobody"), "s1", 1, cluster.StateRunning))
		require.True(w, w.status(job, "s1", e, cluster.StateRunning))
		e2 := w.hold(job, "s2")
		require.False(w, w.status(job, "s1", e, cluster.StateFailed), "the former holder")
		require.Equal(w, cluster.StateRunning, w.view("c").Status.State)
		require.True(w, w.status(job, "s2", e2, cluster.StatePaused))
		require.Equal(w, cluster.StatePaused, w.view("c").Status.State)
		require.Equal(w, cluster.Started, w.view("c").Target, "a status never changes what is wanted")
	}},
	{"what changed for readers is named, and only that", func(w *world) {
		c, e := w.running("c", 0)
		st := cluster.Status{Job: cluster.InstanceJob(c.UID), Session: "s1", Epoch: e, Revision: 1, State: cluster.StateRunning, WorkerID: "h:1"}
		accepted, changed, out, err := w.StoreStatuses(w.Context(), []cluster.Status{st, st})
		require.NoError(w, err)
		require.Equal(w, []bool{true, true}, accepted)
		require.Equal(w, []cluster.UID{c.UID}, changed)
		require.Empty(w, out)
		_, changed, _, err = w.StoreStatuses(w.Context(), []cluster.Status{st})
		require.NoError(w, err)
		require.Empty(w, changed)
	}},
	{"a batch has one verdict for each, and the last word wins", func(w *world) {
		c, e := w.running("c", 0)
		job := cluster.InstanceJob(c.UID)
		make := func(epoch cluster.Epoch, state cluster.State) cluster.Status {
			return cluster.Status{Job: job, Session: "s1", Epoch: epoch, Revision: 1, State: state, WorkerID: "h:1"}
		}
		accepted, _, _, err := w.StoreStatuses(w.Context(), []cluster.Status{make(e, cluster.StateRunning), make(e+5, cluster.StateFailed), make(e, cluster.StatePaused)})
		require.NoError(w, err)
		require.Equal(w, []bool{true, false, true}, accepted)
		require.Equal(w, cluster.StatePaused, w.view("c").Status.State)
	}},
	{"a release ends the holding, keeps the epoch and wakes the leader", func(w *world) {
		c, e := w.running("c", 0)
		job := cluster.InstanceJob(c.UID)
		require.True(w, w.status(job, "s1", e, cluster.StateRunning))
		_, _, out, err := w.StoreStatuses(w.Context(), []cluster.Status{{Job: job, Session: "s1", Epoch: e, State: cluster.StateUnassigned, Released: true, WorkerID: "h:1"}})
		require.NoError(w, err)
		require.Equal(w, []string{"commands wake"}, kinds(w.T, out))
		j := w.job(job)
		require.Empty(w, j.Session)
		require.Equal(w, e, j.Epoch)
		require.Equal(w, cluster.StateUnassigned, w.view("c").Status.State)
		require.False(w, w.status(job, "s1", e, cluster.StateRunning), "it speaks for the job no more")
	}},
	{"texts that a database can't hold are kept as well as possible", func(w *world) {
		c, e := w.running("c", 0)
		require.True(w, w.status(cluster.InstanceJob(c.UID), "s1", e, cluster.StateFailed, func(s *cluster.Status) { s.Trace = "nul\x00 and \xff and " + strings.Repeat("x", 100_000) }))
		trace := w.view("c").Status.Trace
		require.True(w, strings.HasPrefix(trace, "nul and \uFFFD and xxx"))
	}},
	{"task configs are stored for the current holder and config only", func(w *world) {
		c := w.create("c")
		w.register("s1")
		e := w.hold(cluster.InstanceJob(c.UID), "s1")
		_, err := w.split(c, "s1", e-1, 1, 2)
		w.code(cluster.StaleEpoch, err)
		_, err = w.split(c, "s2", e, 1, 2)
		w.code(cluster.StaleEpoch, err)
		_, err = w.split(c, "s1", e, 7, 2)
		w.code(cluster.Conflict, err)
		changed, err := w.split(c, "s1", e, 1, 2)
		require.NoError(w, err)
		require.True(w, changed)
		v := w.view("c")
		require.Len(w, v.Tasks, 2)
		require.Equal(w, config("task", "1"), v.Tasks[1].Config)
		j := w.job(cluster.TaskJob(c.UID, 1))
		require.True(w, j.Wanted)
		require.True(w, j.Fenceable)
		require.False(w, w.job(cluster.InstanceJob(c.UID)).Fenceable)

		changed, err = w.split(c, "s1", e, 1, 2)
		require.NoError(w, err)
		require.False(w, changed, "the same again")
		changed, err = w.split(c, "s1", e, 1, 1)
		require.NoError(w, err)
		require.True(w, changed)
		require.Len(w, w.view("c").Tasks, 1)

		_, err = w.SetTarget(w.Context(), "c", cluster.Paused, cluster.Author{})
		require.NoError(w, err)
		_, err = w.split(c, "s1", e, 1, 2)
		w.code(cluster.Conflict, err)
		_, _, err = w.StoreTaskConfigs(w.Context(), cluster.TaskConfigReport{Job: cluster.TaskJob(c.UID, 0), Session: "s1", Epoch: e})
		w.code(cluster.Invalid, err)
	}},
	{"a new config restarts every task even when the split is the same", func(w *world) {
		c, e := w.running("c", 2)
		before := w.view("c").Tasks
		_, _, _, err := w.PutConnector(w.Context(), cluster.NewConnector{Name: "c", Class: class, Type: cluster.TypeSource, Config: config("v", "2")})
		require.NoError(w, err)
		changed, err := w.split(c, "s1", e, 2, 2)
		require.NoError(w, err)
		require.True(w, changed)
		for i, task := range w.view("c").Tasks {
			require.Greater(w, task.Revision, before[i].Revision)
		}
	}},
	{"a smaller set takes tasks away from their holders, a larger one brings them back with a higher epoch", func(w *world) {
		c, e := w.running("c", 2)
		t1 := cluster.TaskJob(c.UID, 1)
		e1 := w.hold(t1, "s1")
		_, err := w.split(c, "s1", e, 1, 1)
		require.NoError(w, err)
		j := w.job(t1)
		require.False(w, j.Wanted)
		require.Equal(w, cluster.SessionID("s1"), j.Session)
		require.True(w, w.status(t1, "s1", e1, cluster.StateUnassigned, func(s *cluster.Status) { s.Released = true }))
		w.commit(cluster.Decision{Kind: cluster.Forget, Job: t1, Prior: e1})
		_, err = w.split(c, "s1", e, 1, 2)
		require.NoError(w, err)
		require.Equal(w, e1, w.job(t1).Epoch, "epochs never fall, also for a task that was forgotten")
	}},
	{"a job that moves names its former holder to the new one", func(w *world) {
		c, _ := w.running("c", 1)
		w.register("s2")
		t0 := cluster.TaskJob(c.UID, 0)
		told := func(out []cluster.OutboxMessage) *cluster.Former {
			w.Helper()
			require.Len(w, out, 1)
			e, err := wire.Open(out[0].Payload)
			require.NoError(w, err)
			spec, err := wire.Decode[cluster.JobSpec](e, wire.KindAssign)
			require.NoError(w, err)
			return spec.Former
		}
		assign := func(to cluster.SessionID) []cluster.OutboxMessage {
			w.Helper()
			e := w.job(t0).Epoch
			return w.commit(cluster.Decision{Kind: cluster.Assign, Job: t0, Session: to, Prior: e, Epoch: e + 1})
		}
		require.Nil(w, told(assign("s1")), "it was free")
		e := w.job(t0).Epoch
		require.Equal(w, &cluster.Former{Session: "s1", Epoch: e}, told(assign("s2")))
		require.Nil(w, told(assign("s2")), "it stays where it is")
		specs, err := w.Specs(w.Context(), "s2", []cluster.JobID{t0})
		require.NoError(w, err)
		require.Len(w, specs, 1)
		require.Nil(w, specs[0].Former, "a heartbeat's answer does not know any more")
	}},
	{"a spec holds what its runner needs, for its holder only", func(w *world) {
		c, e := w.running("c", 2)
		t0 := cluster.TaskJob(c.UID, 0)
		e0 := w.hold(t0, "s1")
		specs, err := w.Specs(w.Context(), "s1", []cluster.JobID{t0, cluster.InstanceJob(c.UID), cluster.TaskJob(c.UID, 1)})
		require.NoError(w, err)
		require.Len(w, specs, 2)
		for _, s := range specs {
			require.Equal(w, "c", s.Name)
			require.Equal(w, class, s.Class)
			require.Equal(w, cluster.SessionID("s1"), s.Session)
			if s.Job == t0 {
				require.Equal(w, e0, s.Epoch)
				require.Equal(w, 2, s.TaskCount)
				require.Equal(w, config("task", "0"), s.TaskConfig)
				continue
			}
			require.Equal(w, e, s.Epoch)
			require.Nil(w, s.TaskConfig)
		}
		specs, err = w.Specs(w.Context(), "s2", []cluster.JobID{t0})
		require.NoError(w, err)
		require.Empty(w, specs)
		w.commit(cluster.Decision{Kind: cluster.Release, Job: t0, Session: "s1", Prior: e0})
		specs, err = w.Specs(w.Context(), "s1", []cluster.JobID{t0})
		require.NoError(w, err)
		require.Empty(w, specs, "what is to be let go of is not to be started")
	}},
}
