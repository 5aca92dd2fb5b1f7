package storetest

import (
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// uses reports topics of a task.
func (w *world) uses(job cluster.JobID, session cluster.SessionID, epoch cluster.Epoch, resets int64, topics ...string) bool {
	w.Helper()
	accepted, err := w.StoreTopics(w.Context(), []cluster.TopicReport{{Job: job, Session: session, Epoch: epoch, TopicResets: resets, Topics: topics}})
	require.NoError(w, err)
	require.Len(w, accepted, 1)
	return accepted[0]
}

func (w *world) topics(name string, want ...string) {
	w.Helper()
	got, err := w.ActiveTopics(w.Context(), name)
	require.NoError(w, err)
	if len(want) == 0 {
		require.Empty(w, got)
		return
	}
	require.Equal(w, want, got)
}

var topicTests = []test{
	{"used topics are kept once, in order, whoever of the tasks used them", func(w *world) {
		c, _ := w.running("c", 2)
		w.topics("c")
		w.topics("unknown")
		t0, t1 := cluster.TaskJob(c.UID, 0), cluster.TaskJob(c.UID, 1)
		e0, e1 := w.hold(t0, "s1"), w.hold(t1, "s1")
		require.True(w, w.uses(t0, "s1", e0, 0, "b", "a", "b"))
		require.True(w, w.uses(t1, "s1", e1, 0, "a", "", "Z"))
		require.True(w, w.uses(t0, "s1", e0, 0))
		w.topics("c", "Z", "a", "b")
		accepted, err := w.StoreTopics(w.Context(), nil)
		require.NoError(w, err)
		require.Empty(w, accepted)
	}},
	{"only the current holder's topics are kept (Invariant 3)", func(w *world) {
		c, e := w.running("c", 1)
		t0 := cluster.TaskJob(c.UID, 0)
		e0 := w.hold(t0, "s1")
		w.register("s2")
		require.False(w, w.uses(t0, "s2", e0, 0, "t"), "another session")
		require.False(w, w.uses(t0, "s1", e0-1, 0, "t"), "an older epoch")
		require.False(w, w.uses(t0, "", e0, 0, "t"), "nobody")
		require.False(w, w.uses(cluster.InstanceJob(c.UID), "s1", e, 0, "t"), "an instance reads and writes nothing")
		require.False(w, w.uses(cluster.TaskJob("nobody", 0), "s1", 1, 0, "t"))
		require.False(w, w.uses(t0, "s1", e0, 1, "t"), "a clearing that never was")
		e2 := w.hold(t0, "s2")
		require.False(w, w.uses(t0, "s1", e0, 0, "t"), "the former holder")
		w.topics("c")
		require.True(w, w.uses(t0, "s2", e2, 0, "t"))
		w.topics("c", "t")
	}},
	{"a clearing empties the list, and what was used before it does not come back", func(w *world) {
		c, _ := w.running("c", 1)
		w.create("other")
		t0 := cluster.TaskJob(c.UID, 0)
		e0 := w.hold(t0, "s1")
		require.True(w, w.uses(t0, "s1", e0, 0, "t"))
		instance := w.job(cluster.InstanceJob(c.UID)).Revision

		out, err := w.ResetTopics(w.Context(), "c", cluster.Author{Actor: "ann"})
		require.NoError(w, err)
		require.Equal(w, []string{"commands wake", "runner.s1 assign"}, kinds(w.T, out), "the holder hears of it")
		e, err := wire.Open(out[1].Payload)
		require.NoError(w, err)
		spec, err := wire.Decode[cluster.JobSpec](e, wire.KindAssign)
		require.NoError(w, err)
		require.Equal(w, int64(1), spec.TopicResets)
		require.Equal(w, e0, spec.Epoch, "nothing moves")
		require.Equal(w, instance, w.job(cluster.InstanceJob(c.UID)).Revision, "the instance has nothing to do with it")
		specs, err := w.Specs(w.Context(), "s1", []cluster.JobID{t0})
		require.NoError(w, err)
		require.Equal(w, []cluster.JobSpec{spec}, specs, "a heartbeat brings it as well")
		w.topics("c")

		require.False(w, w.uses(t0, "s1", e0, 0, "t"), "used before")
		w.topics("c")
		require.True(w, w.uses(t0, "s1", e0, 1, "t"), "used since")
		w.topics("c", "t")
		log, err := w.Audit(w.Context(), 1)
		require.NoError(w, err)
		require.Equal(w, "reset topics", log[0].Action)
		require.Equal(w, "ann", log[0].Actor)

		out, err = w.ResetTopics(w.Context(), "unknown", cluster.Author{})
		require.NoError(w, err)
		require.Empty(w, out)
	}},
	{"used topics outlive a new config, a restart and a stop, and go with the connector", func(w *world) {
		c, _ := w.running("c", 1)
		t0 := cluster.TaskJob(c.UID, 0)
		e0 := w.hold(t0, "s1")
		require.True(w, w.uses(t0, "s1", e0, 0, "t"))
		_, _, _, err := w.PutConnector(w.Context(), cluster.NewConnector{Name: "c", Class: class, Type: cluster.TypeSource, Config: config("v", "2")})
		require.NoError(w, err)
		_, _, err = w.RequestRestart(w.Context(), cluster.RestartRequest{Name: "c", IncludeTasks: true})
		require.NoError(w, err)
		_, err = w.SetTarget(w.Context(), "c", cluster.Stopped, cluster.Author{})
		require.NoError(w, err)
		w.topics("c", "t")
		require.True(w, w.uses(t0, "s1", e0, 0, "last"), "a task tells what it used while it ends")
		w.topics("c", "last", "t")

		_, err = w.DeleteConnector(w.Context(), "c", cluster.Author{})
		require.NoError(w, err)
		w.topics("c")
		require.False(w, w.uses(t0, "s1", e0, 0, "late"), "nothing comes back with a late report")
		_, _, err = w.CreateConnector(w.Context(), cluster.NewConnector{UID: "uid-c2", Name: "c", Class: class, Type: cluster.TypeSource, Config: config()})
		require.NoError(w, err)
		w.topics("c")
	}},
	{"an action elsewhere is recorded with the connector, and changes nothing of it", func(w *world) {
		c := w.create("c")
		before := w.view("c")
		require.NoError(w, w.RecordAction(w.Context(), "c", "alter offsets", "2 partitions", cluster.Author{Actor: "ann", RequestID: "r"}))
		log, err := w.Audit(w.Context(), 1)
		require.NoError(w, err)
		require.Equal(w, []string{"alter offsets", "2 partitions", "ann", "r", "c", string(c.UID)},
			[]string{log[0].Action, log[0].Detail, log[0].Actor, log[0].RequestID, log[0].Connector, string(log[0].UID)})
		require.Equal(w, before, w.view("c"))
		w.code(cluster.NotFound, w.RecordAction(w.Context(), "unknown", "alter offsets", "", cluster.Author{}))
	}},
	{"the tasks that a name has had are counted, also those of an earlier life", func(w *world) {
		n, err := w.FormerTasks(w.Context(), "c")
		require.NoError(w, err)
		require.Zero(w, n)
		c, e := w.running("c", 3)
		t2 := cluster.TaskJob(c.UID, 2)
		e2 := w.hold(t2, "s1")
		_, err = w.split(c, "s1", e, 1, 1)
		require.NoError(w, err)
		require.True(w, w.status(t2, "s1", e2, cluster.StateUnassigned, func(s *cluster.Status) { s.Released = true }))
		w.commit(cluster.Decision{Kind: cluster.Forget, Job: t2, Prior: e2})
		n, err = w.FormerTasks(w.Context(), "c")
		require.NoError(w, err)
		require.Equal(w, 3, n, "also one that was forgotten: its process may only be cut off")
		_, err = w.DeleteConnector(w.Context(), "c", cluster.Author{})
		require.NoError(w, err)
		_, _, err = w.CreateConnector(w.Context(), cluster.NewConnector{UID: "uid-c2", Name: "c", Class: class, Type: cluster.TypeSource, Config: config()})
		require.NoError(w, err)
		n, err = w.FormerTasks(w.Context(), "c")
		require.NoError(w, err)
		require.Equal(w, 3, n)
	}},
}
