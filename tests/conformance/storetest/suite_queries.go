package storetest

import (
	"fmt"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

// finds checks that a query selects connectors, by both methods.
func (w *world) finds(q cluster.ConnectorQuery, want ...string) {
	w.Helper()
	names, err := w.FindNames(w.Context(), q)
	require.NoError(w, err)
	views, err := w.FindConnectors(w.Context(), q)
	require.NoError(w, err)
	if len(want) == 0 {
		require.Empty(w, names, "%+v", q)
		require.Empty(w, views, "%+v", q)
		return
	}
	require.Equal(w, want, names, "%+v", q)
	require.Len(w, views, len(want), "%+v", q)
	for i, v := range views {
		require.Equal(w, w.view(want[i]), v, "read as one alone is read")
	}
}

func (w *world) createWith(name, class string, typ cluster.ConnectorType, c cluster.Config) {
	w.Helper()
	_, _, err := w.CreateConnector(w.Context(), cluster.NewConnector{UID: cluster.UID("uid-" + name), Name: name, Class: class, Type: typ, Config: c})
	require.NoError(w, err)
}

var queryTests = []test{
	{"no condition selects all that live, in byte order", func(w *world) {
		w.finds(cluster.ConnectorQuery{})
		for _, name := range []string{"b", "a", "Z", "ä", "a b", "a-b", "10", "9", "gone"} {
			w.create(name)
		}
		_, err := w.DeleteConnector(w.Context(), "gone", cluster.Author{})
		require.NoError(w, err)
		w.finds(cluster.ConnectorQuery{}, "10", "9", "Z", "a", "a b", "a-b", "b", "ä")
	}},
	{"pages follow one another without a gap, whatever comes and goes before them", func(w *world) {
		for i := range 10 {
			w.create(fmt.Sprintf("c%d", i))
		}
		w.finds(cluster.ConnectorQuery{Limit: 4}, "c0", "c1", "c2", "c3")
		_, err := w.DeleteConnector(w.Context(), "c3", cluster.Author{})
		require.NoError(w, err)
		w.create("c00")
		w.finds(cluster.ConnectorQuery{After: "c3", Limit: 4}, "c4", "c5", "c6", "c7")
		w.finds(cluster.ConnectorQuery{After: "c7", Limit: 4}, "c8", "c9")
		w.finds(cluster.ConnectorQuery{After: "c9", Limit: 4})
	}},
	{"the beginning of a name is taken as it is", func(w *world) {
		for _, name := range []string{"a_b", "a_c", "aXb", "a%", "A_b", "ä"} {
			w.create(name)
		}
		w.finds(cluster.ConnectorQuery{Prefix: "a_"}, "a_b", "a_c")
		w.finds(cluster.ConnectorQuery{Prefix: "a%"}, "a%")
		w.finds(cluster.ConnectorQuery{Prefix: "ä"}, "ä")
		w.finds(cluster.ConnectorQuery{Prefix: "a_", After: "a_b", Limit: 1}, "a_c")
		w.finds(cluster.ConnectorQuery{Prefix: "b"})
	}},
	{"by class and by type", func(w *world) {
		w.createWith("a", "org.example.A", cluster.TypeSource, config())
		w.createWith("b", "org.example.B", cluster.TypeSink, config())
		w.createWith("c", "org.example.C", cluster.TypeSink, config())
		w.finds(cluster.ConnectorQuery{Classes: []string{"org.example.B"}}, "b")
		w.finds(cluster.ConnectorQuery{Classes: []string{"org.example.A", "org.example.C", "none"}}, "a", "c")
		w.finds(cluster.ConnectorQuery{Types: []cluster.ConnectorType{cluster.TypeSink}}, "b", "c")
		w.finds(cluster.ConnectorQuery{Types: []cluster.ConnectorType{cluster.TypeSink, cluster.TypeSource}, Classes: []string{"org.example.A"}}, "a")
		w.finds(cluster.ConnectorQuery{Types: []cluster.ConnectorType{cluster.TypeUnknown}})
	}},
	{"by labels, which are keys of the configuration", func(w *world) {
		w.createWith("a", class, cluster.TypeSource, config("millrace.label.team", "pay", "millrace.label.env", "prod"))
		w.createWith("b", class, cluster.TypeSource, config("millrace.label.team", "pay", "team", "x"))
		null := config("team", "pay")
		null["millrace.label.team"] = nil
		w.createWith("c", class, cluster.TypeSource, null)
		label := func(pairs ...string) cluster.ConnectorQuery {
			var q cluster.ConnectorQuery
			for i := 0; i < len(pairs); i += 2 {
				q.Labels = append(q.Labels, cluster.Label{Name: pairs[i], Value: pairs[i+1]})
			}
			return q
		}
		w.finds(label("team", "pay"), "a", "b")
		w.finds(label("team", "pay", "env", "prod"), "a")
		w.finds(label("team", "pay", "team", "other"))
		w.finds(label("team", ""))
		w.finds(label("no", "pay"))
		_, _, _, err := w.PutConnector(w.Context(), cluster.NewConnector{Name: "a", Class: class, Type: cluster.TypeSource, Config: config("millrace.label.team", `"q'`)})
		require.NoError(w, err)
		w.finds(label("team", "pay"), "b")
		w.finds(label("team", `"q'`), "a")
	}},
	{"a NUL in a configuration harms neither labels nor the plan", func(w *world) {
		w.createWith("a", class, cluster.TypeSource, config("x", "\x00", "y", `\u0000`, "millrace.label.team", "p\x00ay", "millrace.pool", "p\x00", "z", "\\\x00\\"))
		w.finds(cluster.ConnectorQuery{Labels: []cluster.Label{{Name: "team", Value: "pay"}}}, "a")
		require.Equal(w, "p", w.snapshot().Jobs[0].Pool)
		v, _ := w.view("a").Config.Get("x")
		require.Equal(w, "\x00", v, "it is kept as it was given")
	}},
	{"by the state that readers see, of the instance or of a task", func(w *world) {
		c, e := w.running("c", 2)
		w.create("new")
		t1 := cluster.TaskJob(c.UID, 1)
		state := func(s ...cluster.State) cluster.ConnectorQuery { return cluster.ConnectorQuery{States: s} }
		task := func(s ...cluster.State) cluster.ConnectorQuery { return cluster.ConnectorQuery{TaskStates: s} }
		w.finds(state(cluster.StateRunning, cluster.StateUnassigned))
		require.True(w, w.status(cluster.InstanceJob(c.UID), "s1", e, cluster.StateRunning))
		require.True(w, w.status(t1, "s1", w.hold(t1, "s1"), cluster.StateFailed))
		w.finds(state(cluster.StateRunning), "c")
		w.finds(state(cluster.StateFailed, cluster.StatePaused))
		w.finds(task(cluster.StateFailed), "c")
		w.finds(task(cluster.StatePaused, cluster.StateFailed), "c")
		w.finds(task(cluster.StateRunning))
		_, _, err := w.RequestRestart(w.Context(), cluster.RestartRequest{Name: "c", IncludeTasks: true, OnlyFailed: true})
		require.NoError(w, err)
		w.finds(task(cluster.StateFailed))
		w.finds(task(cluster.StateRestarting), "c")
		w.finds(state(cluster.StateRunning), "c")
	}},
}
