package loop

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

func nobodyAt(gone ...cluster.SessionID) func(cluster.SessionID) error {
	return func(s cluster.SessionID) error {
		for _, g := range gone {
			if g == s {
				return wire.ErrNobody
			}
		}
		return nil
	}
}

func TestPrepare_asks_the_bus_about_those_whose_heartbeat_is_late(t *testing.T) {
	t.Parallel()
	lost := runner("lost", time.Hour)
	lost.State = cluster.SessionLost
	late := []cluster.RunnerView{runner("a", 2*time.Second), runner("b", 2*time.Second), runner("c", 0), lost}
	tests := map[string]struct {
		answer      func(cluster.SessionID) error
		asked       int
		unreachable []bool
	}{
		"they answer: nothing is wrong":                  {nil, 2, []bool{false, false, false, false}},
		"one is gone: a mass loss must be seen, all are": {nobodyAt("a"), 3, []bool{true, false, false, false}},
		"all are gone": {nobodyAt("a", "b", "c"), 3, []bool{true, true, true, false}},
		"one does not answer in time, which proves nothing": {func(cluster.SessionID) error { return context.DeadlineExceeded }, 2, []bool{false, false, false, false}},
		"one that is gone but beats is not asked":           {nobodyAt("c"), 2, []bool{false, false, false, false}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.now = w.now.Add(time.Minute)
			w.f.snap.Runners, w.f.answer = late, tc.answer
			_, err := w.Prepare(t.Context())
			require.NoError(t, err)
			require.Len(t, w.f.asked, tc.asked)
			for i, want := range tc.unreachable {
				require.Equal(t, want, w.seen.Runners[i].Unreachable, "runner %d", i)
			}
		})
	}
}

func TestPrepare_does_not_ask_again_while_an_answer_is_fresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.now = w.now.Add(time.Minute)
	w.f.snap.Runners = []cluster.RunnerView{runner("a", 2*time.Second)}
	for _, want := range []int{1, 1, 2} {
		_, err := w.Prepare(t.Context())
		require.NoError(t, err)
		require.Len(t, w.f.asked, want)
		w.now = w.now.Add(probeFresh / 2)
	}
}

func TestPrepare_trusts_only_a_connection_that_has_lasted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		connected time.Duration
		asked     int
	}{{0, 0}, {trustAfter - 1, 0}, {trustAfter, 1}} {
		w := newWorld(t)
		w.now = w.now.Add(time.Minute)
		w.f.connected = tc.connected
		w.f.snap.Runners = []cluster.RunnerView{runner("a", 2*time.Second), runner("b", 0)}
		_, err := w.Prepare(t.Context())
		require.NoError(t, err)
		require.Len(t, w.f.asked, tc.asked, "connected for %s", tc.connected)
	}
}

func TestNext_is_soon_while_silence_is_news_and_no_longer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.now = w.now.Add(time.Minute)
	w.f.snap.Runners = []cluster.RunnerView{runner("a", 2*time.Second)}
	w.f.answer = nobodyAt("a")
	look := func(wakeAt time.Duration) time.Duration {
		w.plan.WakeAt = wakeAt
		r, err := w.Prepare(t.Context())
		require.NoError(t, err)
		return w.Next(r)
	}
	require.Equal(t, suspectPoll, look(0))
	w.now = w.now.Add(time.Second)
	require.Equal(t, suspectPoll, look(time.Hour))
	w.now = w.now.Add(time.Second)
	require.Equal(t, time.Millisecond, look(time.Millisecond))
	w.now = w.now.Add(silentNews)
	require.Zero(t, look(0), "it beats by another way, or the rules have had their time")
	w.f.answer = nil
	w.now = w.now.Add(time.Second)
	require.Zero(t, look(0))
	w.f.answer = nobodyAt("a")
	w.now = w.now.Add(time.Second)
	require.Equal(t, suspectPoll, look(0), "silent anew is news anew")
	w.f.snap.Runners = nil
	w.now = w.now.Add(time.Second)
	require.Zero(t, look(0), "what is known of others is dropped")
}

func TestFault_OK_1_the_leader_is_woken_when_a_session_is_gone_before_its_heartbeat_is_due(t *testing.T) {
	t.Parallel()
	led(t, func(w *world) {
		w.f.snap.Runners = []cluster.RunnerView{runner("a", 0)}
	}, func(t *testing.T, w *world) {
		pass(4 * time.Second)
		before := w.f.rounds()
		require.LessOrEqual(t, before, 2)
		w.f.mu.Lock()
		w.f.answer = nobodyAt("a")
		w.f.mu.Unlock()
		pass(time.Second)
		require.GreaterOrEqual(t, w.f.rounds(), before+3)
		pass(silentNews)
		before = w.f.rounds()
		pass(4 * time.Second)
		require.LessOrEqual(t, w.f.rounds(), before+1, "old silence wakes nobody")
	})
}

func TestProber_rests_while_the_bus_can_not_be_trusted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{snap: cluster.Snapshot{Runners: []cluster.RunnerView{runner("a", 0)}}}
		p := &prober{bus: f, now: time.Now}
		p.reset()
		p.remember(f.snap.Runners)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.run(ctx, time.Second, func() { t.Error("nothing to see") }); close(done) }()
		pass(10 * time.Second)
		cancel()
		<-done
		require.Empty(t, f.asked)
	})
}

func TestWaker_tells_the_leader_wherever_it_is(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		leading    bool
		broadcasts int
	}{{"here", true, 0}, {"elsewhere", false, 2}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			n := 0
			w := NewWaker(func(topic wire.Address, msg []byte) error {
				n++
				require.Equal(t, wire.Wakes, topic)
				e, err := wire.Open(msg)
				require.NoError(t, err)
				require.Equal(t, wire.KindWake, e.Kind)
				return cluster.Errorf(cluster.Unavailable, "best effort")
			}, func() bool { return tc.leading })
			w.Wake()
			w.Wake()
			require.Equal(t, tc.broadcasts, n)
			require.Len(t, w.C(), 1, "any number of wakes is one look")
			<-w.C()
			w.Heard([]byte("anything"))
			require.Len(t, w.C(), 1)
		})
	}
}
