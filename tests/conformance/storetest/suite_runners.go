package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

var runnerTests = []test{
	{"a registered session is seen by the planner, with its plugins", func(w *world) {
		missing, out, err := w.Register(w.Context(), registration("s1"))
		require.NoError(w, err)
		require.Equal(w, []string{"commands wake"}, kinds(w.T, out))
		require.Equal(w, registration("s1").Plugins, missing)
		r := w.snapshot().Runners
		require.Len(w, r, 1)
		require.Equal(w, cluster.SessionID("s1"), r[0].Session)
		require.Equal(w, cluster.RunnerID("runner-s1"), r[0].Runner)
		require.Equal(w, cluster.SessionActive, r[0].State)
		require.Equal(w, "p", r[0].Pool)
		require.Equal(w, 9, r[0].Capacity)
		require.Equal(w, []string{class}, r[0].Plugins)
		require.Less(w, r[0].Age, time.Minute)
		id, err := w.KafkaClusterID(w.Context())
		require.NoError(w, err)
		require.Equal(w, "k1", id)
		require.NoError(w, w.Ping(w.Context()))
	}},
	{"a runner that starts again closes its older session, whose jobs are free", func(w *world) {
		c, e := w.running("c", 0)
		r := registration("s2")
		r.Runner = "runner-s1"
		_, _, err := w.Register(w.Context(), r)
		require.NoError(w, err)
		j := w.job(cluster.InstanceJob(c.UID))
		require.Empty(w, j.Session)
		require.Equal(w, e, j.Epoch)
		reply, _, err := w.Heartbeat(w.Context(), cluster.Heartbeat{Session: "s1", State: cluster.SessionActive})
		require.NoError(w, err)
		require.True(w, reply.Known)
		require.Equal(w, cluster.SessionClosed, reply.State)
		_, _, err = w.Register(w.Context(), registration("s1"))
		require.NoError(w, err, "no error, and no way back")
		require.Len(w, w.snapshot().Runners, 1)
	}},
	{"a heartbeat tells where the runner differs", func(w *world) {
		reply, _, err := w.Heartbeat(w.Context(), cluster.Heartbeat{Session: "never", State: cluster.SessionActive})
		require.NoError(w, err)
		require.False(w, reply.Known)

		c, e := w.running("c", 0)
		held := []cluster.HeldJob{{Job: cluster.InstanceJob(c.UID), Epoch: e, Revision: w.job(cluster.InstanceJob(c.UID)).Revision}}
		beat := cluster.Heartbeat{Session: "s1", State: cluster.SessionActive, Digest: cluster.DigestHeld(nil), StatusDigest: cluster.DigestStatuses(nil)}
		reply, _, err = w.Heartbeat(w.Context(), beat)
		require.NoError(w, err)
		require.True(w, reply.Differs)
		require.Equal(w, held, reply.Held)
		require.False(w, reply.ResendStatuses)

		beat.Digest = cluster.DigestHeld(held)
		st := cluster.Status{Job: held[0].Job, Session: "s1", Epoch: e, Revision: 1, State: cluster.StateRunning, WorkerID: "h:1"}
		beat.StatusDigest = cluster.DigestStatuses([]cluster.Status{st})
		reply, _, err = w.Heartbeat(w.Context(), beat)
		require.NoError(w, err)
		require.False(w, reply.Differs)
		require.True(w, reply.ResendStatuses, "the store has not seen that status")
		_, _, _, err = w.StoreStatuses(w.Context(), []cluster.Status{st})
		require.NoError(w, err)
		reply, _, err = w.Heartbeat(w.Context(), beat)
		require.NoError(w, err)
		require.False(w, reply.ResendStatuses)

		w.commit(cluster.Decision{Kind: cluster.Release, Job: held[0].Job, Session: "s1", Prior: e})
		beat.Digest, beat.StatusDigest = cluster.DigestHeld(nil), cluster.DigestStatuses(nil)
		reply, _, err = w.Heartbeat(w.Context(), beat)
		require.NoError(w, err)
		require.False(w, reply.Differs, "what is to be let go of is not held any more")
		require.Equal(w, held, reply.LetGo, "until its holder says that it did, also one that never knew of it")
		require.False(w, reply.ResendStatuses)
	}},
	{"a goodbye frees the jobs at once; draining has no way back", func(w *world) {
		c, _ := w.running("c", 0)
		_, _, err := w.Heartbeat(w.Context(), cluster.Heartbeat{Session: "s1", State: cluster.SessionDraining})
		require.NoError(w, err)
		reply, _, err := w.Heartbeat(w.Context(), cluster.Heartbeat{Session: "s1", State: cluster.SessionActive})
		require.NoError(w, err)
		require.Equal(w, cluster.SessionDraining, reply.State)
		_, out, err := w.Heartbeat(w.Context(), cluster.Heartbeat{Session: "s1", State: cluster.SessionClosed})
		require.NoError(w, err)
		require.Equal(w, []string{"commands wake"}, kinds(w.T, out))
		require.Empty(w, w.job(cluster.InstanceJob(c.UID)).Session)
		require.Empty(w, w.snapshot().Runners)
	}},
	{"plugins are those of living sessions, or of all when none lives", func(w *world) {
		w.register("s1")
		def := func(class, digest string) cluster.PluginRecord {
			return cluster.PluginRecord{PluginRef: cluster.PluginRef{Class: class, Version: "1", Kind: "source", Digest: digest}, TaskClass: "T", Doc: "d", Definition: []byte(`{"keys":[]}`)}
		}
		require.NoError(w, w.DefinePlugins(w.Context(), []cluster.PluginRecord{def(class, "d1"), def("org.example.Old", "d")}))
		require.NoError(w, w.DefinePlugins(w.Context(), []cluster.PluginRecord{def(class, "d1")}))
		plugins, err := w.Plugins(w.Context())
		require.NoError(w, err)
		require.Equal(w, []cluster.PluginRecord{def(class, "d1")}, plugins)
		other := def(class, "d1")
		other.Doc, other.Definition = "another", []byte(`{"keys":[{"name":"k"}]}`)
		require.NoError(w, w.DefinePlugins(w.Context(), []cluster.PluginRecord{other}))
		plugins, err = w.Plugins(w.Context())
		require.NoError(w, err)
		require.Equal(w, []cluster.PluginRecord{other}, plugins, "what was stored last")
		missing, _, err := w.Register(w.Context(), registration("s1"))
		require.NoError(w, err)
		require.Empty(w, missing, "known by now")
		changed := registration("s1")
		changed.Plugins[0].Digest = "d2"
		missing, _, err = w.Register(w.Context(), changed)
		require.NoError(w, err)
		require.Equal(w, changed.Plugins, missing, "another definition under the same version")
		w.commit(cluster.Decision{Kind: cluster.Lose, Session: "s1"})
		plugins, err = w.Plugins(w.Context())
		require.NoError(w, err)
		require.Len(w, plugins, 2, "all scaled to zero: everything ever registered")
	}},
	{"ended sessions and deleted connectors without jobs are pruned", func(w *world) {
		w.register("s1")
		c := w.create("c")
		_, err := w.DeleteConnector(w.Context(), "c", cluster.Author{})
		require.NoError(w, err)
		n, err := w.PruneSessions(w.Context(), time.Hour)
		require.NoError(w, err)
		require.Equal(w, 1, n, "the connector, whose jobs nobody ever had")
		_, err = w.LastConnector(w.Context(), c.Name)
		w.code(cluster.NotFound, err)
		w.commit(cluster.Decision{Kind: cluster.Lose, Session: "s1"})
		require.Eventually(w, func() bool {
			n, err := w.PruneSessions(w.Context(), time.Millisecond)
			return err == nil && n == 1
		}, soon, often)
		require.Empty(w, w.snapshot().Runners)
	}},
}
