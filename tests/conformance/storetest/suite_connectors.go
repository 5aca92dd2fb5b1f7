package storetest

import (
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

var connectorTests = []test{
	{"a created connector is read back, with a command to the scheduler", func(w *world) {
		cfg := config("name", "c", "a", "1")
		cfg["null"] = nil
		c, out, err := w.CreateConnector(w.Context(), cluster.NewConnector{UID: "u1", Name: "c", Class: class, Type: cluster.TypeSource, Config: cfg, Target: cluster.Paused})
		require.NoError(w, err)
		require.Equal(w, []string{"commands wake"}, kinds(w.T, out))
		v := w.view("c")
		require.Equal(w, c, v.Connector)
		require.True(w, cfg.Equal(v.Config), "a null is kept")
		require.Equal(w, int64(1), v.ConfigVersion)
		require.Equal(w, cluster.Paused, v.Target)
		require.Nil(w, v.Status)
		require.Empty(w, v.Tasks)
		names, err := w.FindNames(w.Context(), cluster.ConnectorQuery{})
		require.NoError(w, err)
		require.Equal(w, []string{"c"}, names)
	}},
	{"a name is taken once, also by many at once", func(w *world) {
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				_, _, errs[i] = w.CreateConnector(w.Context(), cluster.NewConnector{UID: cluster.UID("u" + string(rune('0'+i))), Name: "c", Class: class, Type: cluster.TypeSink})
			})
		}
		wg.Wait()
		created := 0
		for _, err := range errs {
			if err == nil {
				created++
				continue
			}
			w.code(cluster.AlreadyExists, err)
			require.EqualError(w, err, "Connector c already exists")
		}
		require.Equal(w, 1, created)
	}},
	{"names with odd characters are kept as they are", func(w *world) {
		for _, name := range []string{"a b", "ä/ö", "q'uote\"", "%", "日本", " "} {
			w.create(name)
			require.Equal(w, name, w.view(name).Name)
		}
		views, err := w.FindConnectors(w.Context(), cluster.ConnectorQuery{})
		require.NoError(w, err)
		require.Len(w, views, 6)
	}},
	{"a put creates, then replaces: version and generation rise, target and tasks stay", func(w *world) {
		_, created, _, err := w.PutConnector(w.Context(), cluster.NewConnector{UID: "uid-c", Name: "c", Class: class, Type: cluster.TypeSource, Config: config("v", "1")})
		require.NoError(w, err)
		require.True(w, created)
		w.register("s1")
		e := w.hold(cluster.InstanceJob("uid-c"), "s1")
		_, err = w.split(w.view("c").Connector, "s1", e, 1, 2)
		require.NoError(w, err)
		_, err = w.SetTarget(w.Context(), "c", cluster.Paused, cluster.Author{})
		require.NoError(w, err)
		before := w.view("c")
		c, created, out, err := w.PutConnector(w.Context(), cluster.NewConnector{UID: "another", Name: "c", Class: class, Type: cluster.TypeSource, Config: config("v", "1")})
		require.NoError(w, err)
		require.False(w, created)
		require.Equal(w, cluster.UID("uid-c"), c.UID)
		require.Equal(w, before.ConfigVersion+1, c.ConfigVersion, "also with equal content")
		require.Greater(w, c.Generation, before.Generation)
		require.Equal(w, cluster.Paused, c.Target)
		require.Equal(w, []string{"commands wake", "runner.s1 assign"}, kinds(w.T, out), "its holder hears at once")
		after := w.view("c")
		require.Equal(w, before.Tasks, after.Tasks, "the tasks wait for the next split")
	}},
	{"a deleted connector is gone at once and its name is free, while its jobs end", func(w *world) {
		c, e := w.running("c", 1)
		_, err := w.DeleteConnector(w.Context(), "c", cluster.Author{})
		require.NoError(w, err)
		_, err = w.Connector(w.Context(), "c")
		w.code(cluster.NotFound, err)
		require.EqualError(w, err, "Connector c not found")
		last, err := w.LastConnector(w.Context(), "c")
		require.NoError(w, err)
		require.True(w, last.Deleted)
		again, _, err := w.CreateConnector(w.Context(), cluster.NewConnector{UID: "second", Name: "c", Class: class, Type: cluster.TypeSource})
		require.NoError(w, err)
		require.Equal(w, cluster.UID("second"), again.UID)

		old := cluster.InstanceJob(c.UID)
		require.False(w, w.job(old).Wanted)
		w.commit(cluster.Decision{Kind: cluster.Release, Job: old, Session: "s1", Prior: e})
		require.True(w, w.status(old, "s1", e, cluster.StateUnassigned, func(s *cluster.Status) { s.Released = true }))
		require.Nil(w, w.view("c").Status, "a status of the old life never shows in the new one")
		w.commit(cluster.Decision{Kind: cluster.Forget, Job: old, Prior: e})
		require.Equal(w, cluster.JobView{}, w.job(old))
	}},
	{"delete and target of an unknown connector", func(w *world) {
		_, err := w.DeleteConnector(w.Context(), "no", cluster.Author{})
		w.code(cluster.NotFound, err)
		_, err = w.SetTarget(w.Context(), "no", cluster.Paused, cluster.Author{})
		w.code(cluster.NotFound, err)
		_, err = w.LastConnector(w.Context(), "no")
		w.code(cluster.NotFound, err)
		w.create("c")
		_, err = w.SetTarget(w.Context(), "c", "HALTED", cluster.Author{})
		w.code(cluster.Invalid, err)
	}},
	{"a target reaches the holders; the same again changes nothing", func(w *world) {
		w.running("c", 1)
		w.hold(cluster.TaskJob("uid-c", 0), "s1")
		before := w.view("c").Generation
		out, err := w.SetTarget(w.Context(), "c", cluster.Paused, cluster.Author{})
		require.NoError(w, err)
		require.Equal(w, []string{"commands wake", "runner.s1 assign", "runner.s1 assign"}, kinds(w.T, out))
		require.Greater(w, w.view("c").Generation, before)
		out, err = w.SetTarget(w.Context(), "c", cluster.Paused, cluster.Author{})
		require.NoError(w, err)
		require.Empty(w, out)
	}},
	{"stopping empties the task set; the instance stays wanted", func(w *world) {
		w.running("c", 2)
		e := w.hold(cluster.TaskJob("uid-c", 0), "s1")
		_, err := w.SetTarget(w.Context(), "c", cluster.Stopped, cluster.Author{})
		require.NoError(w, err)
		v := w.view("c")
		require.Empty(w, v.Tasks)
		require.True(w, w.job(cluster.InstanceJob("uid-c")).Wanted)
		held := w.job(cluster.TaskJob("uid-c", 0))
		require.False(w, held.Wanted)
		require.Equal(w, e, held.Epoch, "it keeps its epoch")
		require.Equal(w, cluster.JobView{}, w.job(cluster.TaskJob("uid-c", 1)), "one that nobody ever had is gone")
	}},
	{"every change leaves an audit entry, newest first", func(w *world) {
		by := cluster.Author{Actor: "ann", RequestID: "r-1"}
		_, _, err := w.CreateConnector(w.Context(), cluster.NewConnector{UID: "u", Name: "c", Class: class, Type: cluster.TypeSource, By: by})
		require.NoError(w, err)
		_, err = w.SetTarget(w.Context(), "c", cluster.Paused, by)
		require.NoError(w, err)
		_, _, err = w.RequestRestart(w.Context(), cluster.RestartRequest{Name: "c", By: by})
		require.NoError(w, err)
		_, err = w.DeleteConnector(w.Context(), "c", by)
		require.NoError(w, err)
		entries, err := w.Audit(w.Context(), 10)
		require.NoError(w, err)
		var actions []string
		for _, e := range entries {
			require.Equal(w, "ann", e.Actor)
			require.Equal(w, "r-1", e.RequestID)
			require.Equal(w, "c", e.Connector)
			require.Equal(w, cluster.UID("u"), e.UID)
			actions = append(actions, e.Action)
		}
		require.Equal(w, []string{"delete", "restart", "target", "create"}, actions)
		entries, err = w.Audit(w.Context(), 1)
		require.NoError(w, err)
		require.Len(w, entries, 1)
	}},
}

var restartTests = []test{
	{"a restart raises the sequence of what it selects, one in flight at a time", func(w *world) {
		c, e := w.running("c", 2)
		t0 := cluster.TaskJob(c.UID, 0)
		e0 := w.hold(t0, "s1")
		require.True(w, w.status(cluster.InstanceJob(c.UID), "s1", e, cluster.StateRunning))
		require.True(w, w.status(t0, "s1", e0, cluster.StateFailed, func(s *cluster.Status) { s.Trace = "boom" }))

		ticket, out, err := w.RequestRestart(w.Context(), cluster.RestartRequest{Name: "c", IncludeTasks: true, OnlyFailed: true})
		require.NoError(w, err)
		require.Equal(w, map[cluster.JobID]int64{t0: 1}, ticket.Jobs)
		require.Equal(w, "boom", ticket.View.TaskStatuses[0].Trace, "the view is from before")
		require.Contains(w, kinds(w.T, out), "runner.s1 assign")
		require.Equal(w, cluster.StateRestarting, w.view("c").TaskStatuses[0].State)

		// DC-4: another request while it is in flight joins it.
		ticket, out, err = w.RequestRestart(w.Context(), cluster.RestartRequest{Name: "c", Task: ptr(0)})
		require.NoError(w, err)
		require.Equal(w, map[cluster.JobID]int64{t0: 1}, ticket.Jobs)
		require.Empty(w, out)

		require.True(w, w.status(t0, "s1", e0, cluster.StateRunning, func(s *cluster.Status) { s.RestartSeq = 1 }))
		require.Equal(w, cluster.StateRunning, w.view("c").TaskStatuses[0].State)
		ticket, _, err = w.RequestRestart(w.Context(), cluster.RestartRequest{Name: "c", Task: ptr(0)})
		require.NoError(w, err)
		require.Equal(w, map[cluster.JobID]int64{t0: 2}, ticket.Jobs)
	}},
	{"a plain restart is the instance alone; with tasks it is all", func(w *world) {
		c, _ := w.running("c", 1)
		ticket, _, err := w.RequestRestart(w.Context(), cluster.RestartRequest{Name: "c"})
		require.NoError(w, err)
		require.Equal(w, map[cluster.JobID]int64{cluster.InstanceJob(c.UID): 1}, ticket.Jobs)
		ticket, _, err = w.RequestRestart(w.Context(), cluster.RestartRequest{Name: "c", IncludeTasks: true})
		require.NoError(w, err)
		require.Equal(w, map[cluster.JobID]int64{cluster.InstanceJob(c.UID): 1, cluster.TaskJob(c.UID, 0): 1}, ticket.Jobs)
	}},
	{"restarts of what is not there", func(w *world) {
		_, _, err := w.RequestRestart(w.Context(), cluster.RestartRequest{Name: "no"})
		w.code(cluster.NotFound, err)
		require.EqualError(w, err, "Unknown connector: no")
		w.running("c", 1)
		_, _, err = w.RequestRestart(w.Context(), cluster.RestartRequest{Name: "c", Task: ptr(7)})
		w.code(cluster.NotFound, err)
		require.EqualError(w, err, "Unknown task: c-7")
	}},
	{"many restarts at once are one", func(w *world) {
		w.running("c", 1)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				_, _, err := w.RequestRestart(w.Context(), cluster.RestartRequest{Name: "c"})
				require.NoError(w, err)
			})
		}
		wg.Wait()
		require.Equal(w, int64(1), w.view("c").RestartSeq)
	}},
}
