package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

// once is a request with a key; its answer says what it has done.
func once(key string, digest byte) *cluster.Once {
	return &cluster.Once{Key: key, Digest: [32]byte{digest}, Answer: describeOutcome}
}

func describeOutcome(o cluster.Outcome) cluster.Answer {
	return cluster.Answer{Status: 200, Header: map[string]string{"X-Created": fmt.Sprint(o.Created)},
		Body: fmt.Appendf(nil, "%s %d %d tasks, %d of %s restarted", o.View.UID, o.View.ConfigVersion, len(o.View.Tasks), len(o.Ticket.Jobs), o.Ticket.View.UID)}
}

func only(p cluster.Precondition) cluster.Author { return cluster.Author{Terms: cluster.Terms{If: p}} }

func keyedBy(o *cluster.Once) cluster.Author { return cluster.Author{Terms: cluster.Terms{Once: o}} }

func (w *world) putBy(name string, by cluster.Author) error {
	w.Helper()
	_, _, _, err := w.PutConnector(w.Context(), cluster.NewConnector{UID: cluster.UID(fmt.Sprintf("uid-%d", fresh.Add(1))), Name: name, Class: class,
		Type: cluster.TypeSource, Config: config("name", name), By: by})
	return err
}

// fresh numbers uids.
var fresh atomic.Int64

// recorded is the answer that a change was refused with because it was made before.
func (w *world) recorded(err error) cluster.Answer {
	w.Helper()
	var was *cluster.Recorded
	require.ErrorAs(w, err, &was)
	return was.Answer
}

// conditional are the changes of a connector c that look at a precondition.
func (w *world) conditional(ctx context.Context) map[string]func(by cluster.Author) error {
	return map[string]func(by cluster.Author) error{
		"put": func(by cluster.Author) error { return w.putBy("c", by) },
		"delete": func(by cluster.Author) error {
			_, err := w.DeleteConnector(ctx, "c", by)
			return err
		},
		"target": func(by cluster.Author) error {
			_, err := w.SetTarget(ctx, "c", cluster.Paused, by)
			return err
		},
		"restart": func(by cluster.Author) error {
			_, _, err := w.RequestRestart(ctx, cluster.RestartRequest{Name: "c", By: by})
			return err
		},
		"reset topics": func(by cluster.Author) error {
			_, err := w.ResetTopics(ctx, "c", by)
			return err
		},
		"record": func(by cluster.Author) error { return w.RecordAction(ctx, "c", "alter offsets", "", by) },
	}
}

var termTests = []test{
	{"a change whose precondition does not hold changes nothing", func(w *world) {
		w.create("c")
		before := w.view("c")
		for what, change := range w.conditional(w.Context()) {
			for _, p := range []cluster.Precondition{
				{Match: []cluster.ConfigRef{{UID: before.UID, Version: 2}, {UID: "another", Version: 1}}}, {Match: []cluster.ConfigRef{}}, {Absent: true},
				{Differ: []cluster.ConfigRef{before.Ref()}},
			} {
				err := change(only(p))
				require.True(w, cluster.Is(err, cluster.PreconditionFailed), "%s %v: %v", what, p, err)
				require.Equal(w, before, w.view("c"), what)
			}
		}
		entries, err := w.Audit(w.Context(), 10)
		require.NoError(w, err)
		require.Len(w, entries, 1, "only the create")
		for _, what := range []string{"record", "reset topics", "restart", "target", "put", "delete"} {
			require.NoError(w, w.conditional(w.Context())[what](only(cluster.Precondition{Exists: true, Match: []cluster.ConfigRef{w.view("c").Ref()}})), what)
		}
	}},
	{"a precondition is of one life: the same name created again does not match", func(w *world) {
		w.create("c")
		old := w.view("c").Ref()
		_, err := w.DeleteConnector(w.Context(), "c", cluster.Author{})
		require.NoError(w, err)
		require.NoError(w, w.putBy("c", cluster.Author{}))
		require.Equal(w, old.Version, w.view("c").ConfigVersion)
		_, err = w.DeleteConnector(w.Context(), "c", only(cluster.Precondition{Match: []cluster.ConfigRef{old}}))
		w.code(cluster.PreconditionFailed, err)
	}},
	{"a put that must find a connector creates none, and one that must not find one replaces none", func(w *world) {
		for _, p := range []cluster.Precondition{{Exists: true}, {Match: []cluster.ConfigRef{{UID: "u", Version: 1}}}} {
			w.code(cluster.PreconditionFailed, w.putBy("c", only(p)))
		}
		_, err := w.Connector(w.Context(), "c")
		w.code(cluster.NotFound, err)
		require.NoError(w, w.putBy("c", only(cluster.Precondition{Absent: true})))
		w.code(cluster.PreconditionFailed, w.putBy("c", only(cluster.Precondition{Absent: true})))
		require.Equal(w, int64(1), w.view("c").ConfigVersion)
		_, err = w.DeleteConnector(w.Context(), "nobody", only(cluster.Precondition{Exists: true}))
		w.code(cluster.NotFound, err)
	}},
	{"of many that change the same version at once one does, and of many that create one", func(w *world) {
		w.create("c")
		for name, p := range map[string]cluster.Precondition{"c": {Match: []cluster.ConfigRef{w.view("c").Ref()}}, "new": {Absent: true}} {
			var wg sync.WaitGroup
			errs := make([]error, 8)
			for i := range errs {
				wg.Go(func() { errs[i] = w.putBy(name, only(p)) })
			}
			wg.Wait()
			done := 0
			for _, err := range errs {
				if err == nil {
					done++
					continue
				}
				w.code(cluster.PreconditionFailed, err)
			}
			require.Equal(w, 1, done, name)
		}
		require.Equal(w, int64(2), w.view("c").ConfigVersion)
		require.Equal(w, int64(1), w.view("new").ConfigVersion)
	}},
	{"a change with a key is made once; its answer is kept with it", func(w *world) {
		w.running("c", 2)
		n := cluster.NewConnector{UID: "made", Name: "made", Class: class, Type: cluster.TypeSource, By: keyedBy(once("create", 1))}
		for i, c := range []struct {
			key, want string
			change    func(by cluster.Author) error
		}{
			{"create", "made 1 0 tasks, 0 of  restarted", func(by cluster.Author) error {
				n.By = by
				_, _, err := w.CreateConnector(w.Context(), n)
				return err
			}},
			{"put", "uid-c 2 2 tasks, 0 of  restarted", w.conditional(w.Context())["put"]},
			{"restart", " 0 0 tasks, 1 of uid-c restarted", w.conditional(w.Context())["restart"]},
			{"restart of nothing", " 0 0 tasks, 0 of uid-c restarted", func(by cluster.Author) error {
				_, _, err := w.RequestRestart(w.Context(), cluster.RestartRequest{Name: "c", OnlyFailed: true, By: by})
				return err
			}},
			{"delete", " 0 0 tasks, 0 of  restarted", w.conditional(w.Context())["delete"]},
		} {
			o := once(c.key, byte(i))
			require.NoError(w, w.CheckKey(w.Context(), *o), c.key)
			require.NoError(w, c.change(keyedBy(o)), c.key)
			before, err := w.FindConnectors(w.Context(), cluster.ConnectorQuery{})
			require.NoError(w, err)
			for _, err := range []error{c.change(keyedBy(o)), w.CheckKey(w.Context(), *o)} {
				a := w.recorded(err)
				require.Equal(w, 200, a.Status)
				require.Equal(w, map[string]string{"X-Created": fmt.Sprint(c.key == "create")}, a.Header)
				require.Equal(w, c.want, string(a.Body), c.key)
			}
			another := once(c.key, byte(i+100))
			w.code(cluster.KeyReused, c.change(keyedBy(another)))
			w.code(cluster.KeyReused, w.CheckKey(w.Context(), *another))
			after, err := w.FindConnectors(w.Context(), cluster.ConnectorQuery{})
			require.NoError(w, err)
			require.Equal(w, before, after, c.key)
		}
	}},
	{"a change that fails leaves no key", func(w *world) {
		w.create("c")
		for what, change := range w.conditional(w.Context()) {
			o := once("k", 1)
			by := keyedBy(o)
			by.If.Absent = true
			w.code(cluster.PreconditionFailed, change(by))
			require.NoError(w, w.CheckKey(w.Context(), *o), what)
		}
		_, _, err := w.CreateConnector(w.Context(), cluster.NewConnector{UID: "x", Name: "c", Class: class, Type: cluster.TypeSource, By: keyedBy(once("k", 1))})
		w.code(cluster.AlreadyExists, err)
		require.NoError(w, w.CheckKey(w.Context(), *once("k", 1)))
		require.NoError(w, w.putBy("c", keyedBy(once("k", 2))), "it is still free, for anything")
	}},
	{"of many with the same key at once one makes the change, and all hear its answer", func(w *world) {
		w.create("c")
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() { errs[i] = w.putBy("c", keyedBy(once("k", 1))) })
		}
		wg.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
				continue
			}
			require.Equal(w, "uid-c 2 0 tasks, 0 of  restarted", string(w.recorded(err).Body))
		}
		require.Equal(w, 1, done)
		require.Equal(w, int64(2), w.view("c").ConfigVersion)
	}},
	{"a preliminary answer is held back until the final one is there", func(w *world) {
		w.create("c")
		o := once("k", 1)
		o.Pending = true
		restart := w.conditional(w.Context())["restart"]
		require.NoError(w, restart(keyedBy(o)))
		w.code(cluster.InProgress, restart(keyedBy(o)))
		w.code(cluster.InProgress, w.CheckKey(w.Context(), *o))
		w.code(cluster.InProgress, w.RecordAnswer(w.Context(), *once("k", 1), cluster.Answer{Status: 404}))
		w.code(cluster.KeyReused, w.CheckKey(w.Context(), *once("k", 2)))
		another := once("k", 2)
		another.Pending = true
		w.code(cluster.KeyReused, w.RecordAnswer(w.Context(), *another, cluster.Answer{Status: 404}))
		require.NoError(w, w.RecordAnswer(w.Context(), *o, cluster.Answer{Status: 500, Body: []byte("it failed")}))
		require.Equal(w, "it failed", string(w.recorded(restart(keyedBy(o))).Body))
		require.Equal(w, 500, w.recorded(w.RecordAnswer(w.Context(), *o, cluster.Answer{Status: 204})).Status, "the first final one counts")
		require.Equal(w, int64(1), w.view("c").RestartSeq)
	}},
	{"the answer to what changed nothing is kept, too, unless there is one", func(w *world) {
		o := once("k", 1)
		a := cluster.Answer{Status: 404, Header: map[string]string{"A": "b"}, Body: []byte{0, 255}}
		require.NoError(w, w.RecordAnswer(w.Context(), *o, a))
		require.Equal(w, a, w.recorded(w.CheckKey(w.Context(), *o)))
		require.Equal(w, a, w.recorded(w.RecordAnswer(w.Context(), *o, cluster.Answer{Status: 400})))
		w.code(cluster.KeyReused, w.RecordAnswer(w.Context(), *once("k", 2), cluster.Answer{Status: 400}))
		w.create("c")
		require.Equal(w, a, w.recorded(w.putBy("c", keyedBy(o))), "and the change is not made afterwards")
		require.Equal(w, int64(1), w.view("c").ConfigVersion)
	}},
	{"old keys are forgotten, others not", func(w *world) {
		require.NoError(w, w.RecordAnswer(w.Context(), *once("k", 1), cluster.Answer{Status: 404}))
		n, err := w.PruneKeys(w.Context(), time.Hour)
		require.NoError(w, err)
		require.Zero(w, n)
		w.recorded(w.CheckKey(w.Context(), *once("k", 1)))
		require.Eventually(w, func() bool { // the clock goes on
			n, err = w.PruneKeys(w.Context(), time.Microsecond)
			return err == nil && n == 1
		}, 20*time.Second, time.Millisecond)
		require.NoError(w, w.CheckKey(w.Context(), *once("k", 2)))
	}},
}
