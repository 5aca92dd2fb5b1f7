package storetest

import (
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// soon bounds waiting for something that a short duration brings about.
const (
	soon  = 30 * time.Second
	often = 5 * time.Millisecond
)

var planTests = []test{
	{"an assignment names session and epoch, and its runner is told the spec", func(w *world) {
		c := w.create("c")
		w.register("s1")
		out := w.commit(cluster.Decision{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: "s1", Epoch: 1})
		require.Equal(w, []string{"runner.s1 assign"}, kinds(w.T, out))
		e, err := wire.Open(out[0].Payload)
		require.NoError(w, err)
		spec, err := wire.Decode[cluster.JobSpec](e, wire.KindAssign)
		require.NoError(w, err)
		require.Equal(w, cluster.Epoch(1), spec.Epoch)
		require.Equal(w, "c", spec.Name)
		j := w.job(cluster.InstanceJob(c.UID))
		require.Equal(w, cluster.SessionID("s1"), j.Session)
		require.Equal(w, cluster.Epoch(1), j.Epoch)
	}},
	{"a plan of a term that has passed stores nothing (Invariant 6)", func(w *world) {
		c := w.create("c")
		w.register("s1")
		l, ok, _, err := w.AcquireLease(w.Context(), "a", time.Hour)
		require.NoError(w, err)
		require.True(w, ok)
		require.NoError(w, w.ResignLease(w.Context(), l))
		_, ok, _, err = w.AcquireLease(w.Context(), "b", time.Hour)
		require.NoError(w, err)
		require.True(w, ok)
		_, err = w.CommitPlan(w.Context(), l.Term, []cluster.Decision{{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: "s1", Epoch: 1}})
		w.code(cluster.StaleEpoch, err)
		require.Empty(w, w.job(cluster.InstanceJob(c.UID)).Session)
	}},
	{"a plan is stored whole or not at all (SA-4)", func(w *world) {
		a, b := w.create("a"), w.create("b")
		w.register("s1")
		good := cluster.Decision{Kind: cluster.Assign, Job: cluster.InstanceJob(a.UID), Session: "s1", Epoch: 1}
		for name, bad := range map[string]cluster.Decision{
			"an epoch that is not the prior one": {Kind: cluster.Assign, Job: cluster.InstanceJob(b.UID), Session: "s1", Prior: 3, Epoch: 4},
			"an epoch that does not grow":        {Kind: cluster.Assign, Job: cluster.InstanceJob(b.UID), Session: "s1"},
			"a session nobody knows":             {Kind: cluster.Assign, Job: cluster.InstanceJob(b.UID), Session: "nobody", Epoch: 1},
			"a job nobody knows":                 {Kind: cluster.Assign, Job: cluster.InstanceJob("nobody"), Session: "s1", Epoch: 1},
			"a release of what is not held":      {Kind: cluster.Release, Job: cluster.InstanceJob(b.UID), Session: "s1"},
			"forgetting what is wanted":          {Kind: cluster.Forget, Job: cluster.InstanceJob(b.UID)},
			"losing an unknown session":          {Kind: cluster.Lose, Session: "nobody"},
		} {
			_, err := w.CommitPlan(w.Context(), w.lead(), []cluster.Decision{good, bad})
			require.Equal(w, cluster.Conflict, cluster.CodeOf(err), "%s: %v", name, err)
			require.Empty(w, w.job(cluster.InstanceJob(a.UID)).Session, name)
			n, _, err := w.OutboxStats(w.Context())
			require.NoError(w, err)
			require.Equal(w, 3, n, "%s: three commands, no assignment", name)
		}
	}},
	{"a draining or ended session gets nothing new", func(w *world) {
		c := w.create("c")
		w.register("s1")
		_, _, err := w.Heartbeat(w.Context(), cluster.Heartbeat{Session: "s1", State: cluster.SessionDraining})
		require.NoError(w, err)
		assign := cluster.Decision{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: "s1", Epoch: 1}
		_, err = w.CommitPlan(w.Context(), w.lead(), []cluster.Decision{assign})
		w.code(cluster.Conflict, err)
		w.commit(cluster.Decision{Kind: cluster.Lose, Session: "s1"})
		_, err = w.CommitPlan(w.Context(), w.lead(), []cluster.Decision{assign})
		w.code(cluster.Conflict, err)
	}},
	{"a lost session loses its jobs in the same step, and they can be given on", func(w *world) {
		c, e := w.running("c", 0)
		w.register("s2")
		job := cluster.InstanceJob(c.UID)
		w.commit(cluster.Decision{Kind: cluster.Lose, Session: "s1"}, cluster.Decision{Kind: cluster.Assign, Job: job, Session: "s2", Prior: e, Epoch: e + 1})
		require.Equal(w, cluster.SessionID("s2"), w.job(job).Session)
		require.False(w, w.status(job, "s1", e, cluster.StateRunning))
		reply, _, err := w.Heartbeat(w.Context(), cluster.Heartbeat{Session: "s1", State: cluster.SessionActive})
		require.NoError(w, err)
		require.Equal(w, cluster.SessionLost, reply.State, "there is no way back")
	}},
	{"a raised floor lifts every later epoch (Invariant 3)", func(w *world) {
		c := w.create("c")
		w.register("s1")
		require.NoError(w, w.RaiseEpochFloor(w.Context(), 100))
		require.NoError(w, w.RaiseEpochFloor(w.Context(), 50))
		require.Equal(w, cluster.Epoch(100), w.snapshot().Floor)
		assign := cluster.Decision{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: "s1", Epoch: 100}
		_, err := w.CommitPlan(w.Context(), w.lead(), []cluster.Decision{assign})
		w.code(cluster.Conflict, err)
		assign.Epoch = 101
		w.commit(assign)
	}},
	{"two leaders' plans for one job: one wins", func(w *world) {
		c := w.create("c")
		w.register("s1")
		w.register("s2")
		term := w.lead()
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, s := range []cluster.SessionID{"s1", "s2"} {
			wg.Go(func() {
				_, errs[i] = w.CommitPlan(w.Context(), term, []cluster.Decision{{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: s, Epoch: 1}})
			})
		}
		wg.Wait()
		if errs[0] == nil {
			errs[0], errs[1] = errs[1], errs[0]
		}
		w.code(cluster.Conflict, errs[0])
		require.NoError(w, errs[1])
	}},
}

var leaseTests = []test{
	{"one holds the lease, its term grows, and it is free after its end", func(w *world) {
		l, ok, _, err := w.AcquireLease(w.Context(), "a", time.Hour)
		require.NoError(w, err)
		require.True(w, ok)
		_, ok, wait, err := w.AcquireLease(w.Context(), "b", time.Hour)
		require.NoError(w, err)
		require.False(w, ok)
		require.InDelta(w, time.Hour, wait, float64(5*time.Minute))
		require.NoError(w, w.RenewLease(w.Context(), l))
		require.NoError(w, w.ResignLease(w.Context(), l))
		require.NoError(w, w.ResignLease(w.Context(), l))
		w.code(cluster.StaleEpoch, w.RenewLease(w.Context(), l))
		m, ok, _, err := w.AcquireLease(w.Context(), "a", 10*time.Millisecond)
		require.NoError(w, err)
		require.True(w, ok)
		require.Greater(w, m.Term, l.Term, "also for the same holder")
		require.Eventually(w, func() bool {
			n, ok, _, err := w.AcquireLease(w.Context(), "b", time.Hour)
			return err == nil && ok && n.Term > m.Term
		}, soon, often)
		w.code(cluster.StaleEpoch, w.RenewLease(w.Context(), m))
		require.NoError(w, w.ResignLease(w.Context(), m), "a lease that has passed is not there to be given up")
		_, ok, _, err = w.AcquireLease(w.Context(), "c", time.Hour)
		require.NoError(w, err)
		require.False(w, ok)
	}},
	{"of many who ask at once one gets it", func(w *world) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		got := 0
		for range 8 {
			wg.Go(func() {
				_, ok, _, err := w.AcquireLease(w.Context(), "same name", time.Hour)
				require.NoError(w, err)
				if ok {
					mu.Lock()
					got++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		require.Equal(w, 1, got)
	}},
}

var outboxTests = []test{
	{"a message is claimed by one relay, comes back when the claim ends, and goes when it was published", func(w *world) {
		w.create("a")
		w.create("b")
		first, err := w.ClaimOutbox(w.Context(), 10, 0, time.Hour)
		require.NoError(w, err)
		require.Len(w, first, 2)
		require.Equal(w, "commands", first[0].Address)
		again, err := w.ClaimOutbox(w.Context(), 10, 0, time.Hour)
		require.NoError(w, err)
		require.Empty(w, again)
		require.NoError(w, w.MarkPublished(w.Context(), []int64{first[0].ID, 424242}))
		n, _, err := w.OutboxStats(w.Context())
		require.NoError(w, err)
		require.Equal(w, 1, n)

		w.create("c")
		short, err := w.ClaimOutbox(w.Context(), 10, 0, time.Millisecond)
		require.NoError(w, err)
		require.Len(w, short, 1)
		require.Eventually(w, func() bool {
			back, err := w.ClaimOutbox(w.Context(), 10, 0, time.Hour)
			return err == nil && len(back) == 1 && back[0].ID == short[0].ID
		}, soon, often)
	}},
	{"young messages are left to those who made them; a limit holds", func(w *world) {
		for _, name := range []string{"a", "b", "c"} {
			w.create(name)
		}
		young, err := w.ClaimOutbox(w.Context(), 10, time.Hour, time.Hour)
		require.NoError(w, err)
		require.Empty(w, young)
		two, err := w.ClaimOutbox(w.Context(), 2, 0, time.Hour)
		require.NoError(w, err)
		require.Len(w, two, 2)
	}},
	{"relays that claim at once share, and lose nothing", func(w *world) {
		for i := range 20 {
			w.create("c" + string(rune('a'+i)))
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		seen := map[int64]int{}
		for range 4 {
			wg.Go(func() {
				for {
					part, err := w.ClaimOutbox(w.Context(), 3, 0, time.Hour)
					require.NoError(w, err)
					if len(part) == 0 {
						return
					}
					mu.Lock()
					for _, m := range part {
						seen[m.ID]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		// SKIP LOCKED may pass over a row that another was just looking at; who looks again finds it.
		rest, err := w.ClaimOutbox(w.Context(), 100, 0, time.Hour)
		require.NoError(w, err)
		for _, m := range rest {
			seen[m.ID]++
		}
		require.Len(w, seen, 20)
		for id, n := range seen {
			require.Equal(w, 1, n, "message %d", id)
		}
	}},
	{"pruning bounds what nobody could publish (AC-5)", func(w *world) {
		w.create("a")
		n, err := w.PruneOutbox(w.Context(), time.Hour)
		require.NoError(w, err)
		require.Zero(w, n)
		require.Eventually(w, func() bool {
			n, err := w.PruneOutbox(w.Context(), time.Millisecond)
			return err == nil && n == 1
		}, soon, often)
		left, _, err := w.OutboxStats(w.Context())
		require.NoError(w, err)
		require.Zero(w, left)
	}},
}
