package storetest

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

// events reads all behind a token, a few at a time.
func (w *world) events(after cluster.EventToken) (all []cluster.Event) {
	w.Helper()
	for {
		some, err := w.Events(w.Context(), after, 3)
		require.NoError(w, err)
		require.LessOrEqual(w, len(some), 3)
		if len(some) == 0 {
			return all
		}
		all = append(all, some...)
		after = some[len(some)-1].Token()
	}
}

func (w *world) last() cluster.EventToken {
	w.Helper()
	t, err := w.LastEvent(w.Context())
	require.NoError(w, err)
	return t
}

// tells is what a change tells: what it is, in short, of each event since a token.
func (w *world) tells(since cluster.EventToken, want ...string) {
	w.Helper()
	got := []string{}
	for _, e := range w.events(since) {
		text := string(e.Type) + " " + e.Connector
		if e.Task != nil {
			text += fmt.Sprintf("/%d", *e.Task)
		}
		if e.Target != "" {
			text += " " + string(e.Target)
		}
		if e.Tasks != nil {
			text += fmt.Sprintf(" %d", *e.Tasks)
		}
		if e.State != "" {
			text += " " + string(e.State)
		}
		got = append(got, text)
		require.NotEmpty(w, e.UID)
	}
	require.Equal(w, append([]string{}, want...), got)
}

var eventTests = []test{
	{"events tell of a connector's life, each change once", func(w *world) {
		ctx, by := w.Context(), cluster.Author{}
		require.Equal(w, cluster.EventToken{}, w.last())
		began := time.Now()
		c, e := w.running("c", 2)
		w.tells(cluster.EventToken{}, "connector.created c STARTED", "connector.tasks c 2")
		first := w.events(cluster.EventToken{})[0]
		require.Equal(w, cluster.Event{Seq: 1, At: first.At, Type: cluster.EventCreated, Connector: "c", UID: c.UID, Target: cluster.Started, ConfigVersion: 1, Generation: 1}, first)
		require.WithinDuration(w, began, first.At, time.Minute)

		at := w.last()
		job, t1 := cluster.InstanceJob(c.UID), cluster.TaskJob(c.UID, 1)
		e1 := w.hold(t1, "s1")
		w.tells(at) // who has it is no reader's business until it says something
		require.True(w, w.status(job, "s1", e, cluster.StateRunning))
		require.True(w, w.status(job, "s1", e, cluster.StateRunning), "the same again")
		require.True(w, w.status(job, "s1", e, cluster.StateRunning, func(s *cluster.Status) { s.Reason = "nobody sees it" }))
		trace := strings.Repeat("ä", cluster.MaxEventTrace)
		require.True(w, w.status(t1, "s1", e1, cluster.StateFailed, func(s *cluster.Status) { s.Trace = trace }))
		w.tells(at, "connector.state c RUNNING", "task.state c/1 FAILED")
		failed := w.events(at)[1]
		require.Equal(w, cluster.RunnerID("h:1"), failed.WorkerID)
		require.Equal(w, "1", failed.Version)
		require.LessOrEqual(w, len(failed.Trace), cluster.MaxEventTrace)
		require.True(w, strings.HasPrefix(trace, strings.TrimSuffix(failed.Trace, "\n[cut]")), "cut between characters")
		require.Equal(w, w.job(t1).Revision, failed.Generation)

		at = w.last()
		_, _, err := w.RequestRestart(ctx, cluster.RestartRequest{Name: "c", Task: ptr(1)})
		require.NoError(w, err)
		require.True(w, w.status(t1, "s1", e1, cluster.StateFailed, func(s *cluster.Status) { s.Trace = "late" })) // still shown as restarting
		require.True(w, w.status(t1, "s1", e1, cluster.StateRunning, func(s *cluster.Status) { s.RestartSeq = 1 }))
		w.tells(at, "task.state c/1 RESTARTING", "task.state c/1 RESTARTING", "task.state c/1 RUNNING")

		at = w.last()
		_, _, _, err = w.PutConnector(ctx, cluster.NewConnector{Name: "c", Class: class, Type: cluster.TypeSource, Config: config()})
		require.NoError(w, err)
		for range 2 {
			_, err = w.SetTarget(ctx, "c", cluster.Stopped, by)
			require.NoError(w, err)
		}
		w.tells(at, "connector.config c", "connector.target c STOPPED", "connector.tasks c 0")
		require.Equal(w, int64(2), w.events(at)[0].ConfigVersion)
		require.Equal(w, w.view("c").Generation, w.events(at)[1].Generation)

		at = w.last()
		require.True(w, w.status(t1, "s1", e1, cluster.StateUnassigned, func(s *cluster.Status) { s.Released = true }))
		require.True(w, w.status(job, "s1", e, cluster.StateStopped))
		w.tells(at, "task.deleted c/1", "connector.state c STOPPED")

		at = w.last()
		_, err = w.ResetTopics(ctx, "c", by)
		require.NoError(w, err)
		require.NoError(w, w.RecordAction(ctx, "c", "x", "", by))
		w.tells(at)
		_, err = w.DeleteConnector(ctx, "c", by)
		require.NoError(w, err)
		require.True(w, w.status(job, "s1", e, cluster.StatePaused))
		require.True(w, w.status(job, "s1", e, cluster.StateUnassigned, func(s *cluster.Status) { s.Released = true }))
		w.commit(cluster.Decision{Kind: cluster.Forget, Job: job, Prior: e})
		w.tells(at, "connector.deleted c") // the last one of a uid
	}},
	{"what is refused tells nothing", func(w *world) {
		c, e := w.running("c", 1)
		at := w.last()
		require.False(w, w.status(cluster.InstanceJob(c.UID), "s1", e+1, cluster.StateFailed))
		_, _, err := w.CreateConnector(w.Context(), cluster.NewConnector{UID: "u", Name: "c", Class: class, Type: cluster.TypeSource})
		w.code(cluster.AlreadyExists, err)
		_, err = w.DeleteConnector(w.Context(), "no", cluster.Author{})
		w.code(cluster.NotFound, err)
		changed, err := w.split(c, "s1", e, 1, 1)
		require.NoError(w, err)
		require.False(w, changed)
		w.tells(at)
	}},
	{"a status that is forgotten without a last word tells so", func(w *world) {
		c, e := w.running("c", 2)
		t1 := cluster.TaskJob(c.UID, 1)
		e1 := w.hold(t1, "s1")
		require.True(w, w.status(t1, "s1", e1, cluster.StateRunning))
		_, err := w.split(c, "s1", e, 1, 1)
		require.NoError(w, err)
		w.commit(cluster.Decision{Kind: cluster.Lose, Session: "s1"})
		at := w.last()
		w.commit(cluster.Decision{Kind: cluster.Forget, Job: t1, Prior: e1})
		w.tells(at, "task.deleted c/1")
	}},
	{"many statuses at once tell in the order of jobs", func(w *world) {
		c, _ := w.running("c", 3)
		var all []cluster.Status
		for _, task := range []int{2, 0, 1, 0} {
			job := cluster.TaskJob(c.UID, task)
			if w.job(job).Epoch == 0 {
				w.hold(job, "s1")
			}
			all = append(all, cluster.Status{Job: job, Session: "s1", Epoch: 1, State: cluster.StateRunning, WorkerID: "h:1"})
		}
		all[3].State = cluster.StateFailed
		at := w.last()
		_, _, _, err := w.StoreStatuses(w.Context(), all)
		require.NoError(w, err)
		w.tells(at, "task.state c/0 FAILED", "task.state c/1 RUNNING", "task.state c/2 RUNNING")
	}},
	{"numbers have no gaps, and each token reads on where it stands", func(w *world) {
		for i := range 5 {
			w.create(fmt.Sprintf("c%d", i))
		}
		all := w.events(cluster.EventToken{})
		require.Len(w, all, 5)
		for i, e := range all {
			require.Equal(w, int64(i+1), e.Seq)
			rest := w.events(e.Token())
			require.Equal(w, len(all)-i-1, len(rest))
			back, err := cluster.ParseEventToken(e.Token().String())
			require.NoError(w, err)
			require.Equal(w, e.Token(), back)
		}
		require.Equal(w, all[4].Token(), w.last())
	}},
	{"many writers and readers: everybody reads the same, nothing is missing and nothing comes twice", func(w *world) {
		const writers, each = 4, 15
		var wg, done sync.WaitGroup
		ended := make(chan struct{})
		seen := make([][]cluster.Event, 3)
		for r := range seen {
			wg.Go(func() {
				var at cluster.EventToken
				for last := false; ; {
					some, err := w.Events(w.Context(), at, 7)
					if err != nil {
						w.Error(err)
						return
					}
					if len(some) > 0 {
						at = some[len(some)-1].Token()
						seen[r] = append(seen[r], some...)
						continue
					}
					if last {
						return
					}
					select {
					case <-ended:
						last = true
					default:
					}
				}
			})
		}
		w.create("shared")
		for i := range writers {
			done.Go(func() {
				for k := range each {
					name := "shared"
					if k%2 == 0 {
						name = fmt.Sprintf("w%d", i)
					}
					_, _, _, err := w.PutConnector(w.Context(), cluster.NewConnector{UID: cluster.UID("uid-" + name), Name: name, Class: class, Type: cluster.TypeSource})
					if err != nil {
						w.Error(err)
					}
				}
			})
		}
		done.Wait()
		close(ended)
		wg.Wait()
		require.Len(w, seen[0], 1+writers*each)
		versions := map[string]int64{}
		for i, e := range seen[0] {
			require.Equal(w, int64(i+1), e.Seq)
			require.Equal(w, versions[e.Connector]+1, e.ConfigVersion, "the changes of %s come in their order", e.Connector)
			versions[e.Connector]++
		}
		require.Equal(w, seen[0], seen[1])
		require.Equal(w, seen[0], seen[2])
	}},
	{"old events go, oldest first, and a token before them is refused", func(w *world) {
		n, err := w.PruneEvents(w.Context(), time.Hour, 3)
		require.NoError(w, err)
		require.Zero(w, n)
		for i := range 8 {
			w.create(fmt.Sprintf("c%d", i))
		}
		all := w.events(cluster.EventToken{})
		n, err = w.PruneEvents(w.Context(), time.Hour, 3)
		require.NoError(w, err)
		require.Equal(w, 5, n)
		for _, gone := range []cluster.EventToken{{}, all[0].Token(), all[4].Token()} {
			_, err = w.Events(w.Context(), gone, 10)
			w.code(cluster.Gone, err)
			require.ErrorContains(w, err, "list the connectors and watch anew")
		}
		require.Equal(w, all[6:], w.events(all[5].Token()))
		require.Eventually(w, func() bool { // once they are older than a millisecond
			_, err = w.PruneEvents(w.Context(), time.Millisecond, 100)
			require.NoError(w, err)
			_, err = w.Events(w.Context(), all[6].Token(), 10)
			return cluster.Is(err, cluster.Gone)
		}, 20*time.Second, time.Millisecond)
		require.Empty(w, w.events(all[7].Token()), "who has seen the last one waits for the next")
		w.create("next")
		w.tells(all[7].Token(), "connector.created next STARTED")
	}},
	{"a token of another history is refused", func(w *world) {
		w.create("c")
		at := w.last()
		for _, other := range []cluster.EventToken{{Seq: at.Seq, Stamp: at.Stamp + 1}, {Seq: at.Seq + 1, Stamp: at.Stamp}, {Stamp: 1}} {
			_, err := w.Events(w.Context(), other, 10)
			w.code(cluster.Gone, err)
		}
	}},
}
