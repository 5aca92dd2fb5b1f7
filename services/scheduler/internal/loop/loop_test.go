package loop

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	away     = cluster.Errorf(cluster.Unavailable, "away")
	conflict = cluster.Errorf(cluster.Conflict, "moved on")
	passed   = cluster.Errorf(cluster.StaleEpoch, "term has passed")
)

func TestLook_commits_under_its_term_what_was_decided_and_then_delivers_it(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plan = cluster.Decisions{WakeAt: 3 * time.Second, Steps: []cluster.Decision{
		{Kind: cluster.Lose, Session: "gone", Why: cluster.WhyHeartbeatLost},
		{Kind: cluster.Assign, Job: cluster.InstanceJob("u"), Session: "s", Epoch: 1, Why: cluster.WhyNew}}}
	next, err := w.Look(t.Context(), 7)
	require.NoError(t, err)
	require.Equal(t, 3*time.Second, next)
	require.Equal(t, []cluster.Term{7}, w.f.terms)
	require.Equal(t, [][]cluster.Decision{w.plan.Steps}, w.f.commits)
	require.Len(t, w.f.delivered, 1, "what the commit returned")
	require.Equal(t, []wire.Address{wire.Runner("gone")}, w.f.forgotten, "the queue of a lost session; a failure is no matter")
	require.InDelta(t, 2, w.metric(t, "millrace_scheduler_decisions_total"), 0)
}

func TestLook_without_decisions_writes_nothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plan = cluster.Decisions{Waiting: []cluster.Waiting{{Job: cluster.InstanceJob("u"), Why: cluster.WhyNoRunner}}}
	next, err := w.Look(t.Context(), 1)
	require.NoError(t, err)
	require.Zero(t, next, "only when something changes")
	require.Empty(t, w.f.terms)
	require.Empty(t, w.f.delivered)
	require.InDelta(t, 1, w.metric(t, "millrace_scheduler_waiting_jobs"), 0)
}

func TestFault_SB_3_a_plan_that_is_not_stored_is_told_to_nobody(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]error{"the database is away": away, "the world has moved on": conflict, "somebody else leads": passed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.f.commitErr = func() error { return refusal }
			w.plan.Steps = []cluster.Decision{{Kind: cluster.Lose, Session: "s"}}
			_, err := w.Look(t.Context(), 1)
			require.ErrorIs(t, err, refusal)
			require.Empty(t, w.f.delivered)
			require.Empty(t, w.f.forgotten)
			require.InDelta(t, 1, w.metric(t, "millrace_scheduler_refused_plans_total"), 0)
			require.Zero(t, w.metric(t, "millrace_scheduler_decisions_total"))
		})
	}
}

func TestPrepare_counts_silence_only_while_somebody_could_hear(t *testing.T) {
	t.Parallel()
	const old = time.Minute // since the last heartbeat, by the database
	tests := map[string]struct {
		before func(w *world) // what happens between the start and the look, a second later
		want   time.Duration
	}{
		"since this leadership began": {func(w *world) { w.now = w.now.Add(10 * time.Second) }, 11 * time.Second},
		"not from before it":          {func(*world) {}, time.Second},
		"not through an outage of the store": {func(w *world) {
			w.now = w.now.Add(10 * time.Second)
			w.f.snapErr = func() error { return away }
			_, err := w.Prepare(context.Background())
			require.Error(t, err)
			w.f.snapErr = nil
		}, time.Second},
		"nor through one of the bus that silences everybody": {func(w *world) {
			w.now = w.now.Add(10 * time.Second)
			w.f.connected = time.Second
			_, err := w.Prepare(context.Background())
			require.NoError(t, err)
			w.f.connected = time.Hour
		}, time.Second},
		"a leader that was cancelled learns nothing from that": {func(w *world) {
			w.now = w.now.Add(10 * time.Second)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			w.f.snapErr = ctx.Err
			_, err := w.Prepare(ctx)
			require.Error(t, err)
			w.f.snapErr = nil
		}, 11 * time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.f.snap.Runners = []cluster.RunnerView{runner("s", old)}
			tc.before(w)
			w.now = w.now.Add(time.Second)
			_, err := w.Prepare(t.Context())
			require.NoError(t, err)
			require.Equal(t, tc.want, w.seen.Runners[0].Age)
		})
	}
}

func TestPrepare_without_a_bus_still_counts_the_silence_of_one_among_others_that_beat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.f.connected = 0
	w.f.snap.Runners = []cluster.RunnerView{runner("a", time.Minute), runner("b", time.Second)} // b by HTTP
	w.now = w.now.Add(20 * time.Second)
	_, err := w.Prepare(t.Context())
	require.NoError(t, err)
	require.Equal(t, 20*time.Second, w.seen.Runners[0].Age)
	require.Empty(t, w.f.asked, "a bus that is away says nothing about runners")
}

func TestFinish_tells_of_a_mass_loss_when_it_begins_and_when_it_ends(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, hold := range []bool{true, true, false} {
		w.plan.Hold = hold
		_, err := w.Look(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, hold, w.holding)
		want := 0.0
		if hold {
			want = 1
		}
		require.InDelta(t, want, w.metric(t, "millrace_scheduler_mass_loss_hold"), 0)
	}
}

// lead runs Lead in a bubble and returns its result.
func (w *world) lead(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	go func() { done <- w.Lead(ctx, 7) }()
	synctest.Wait()
	return done
}

// pass lets the bubble's clock run.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// led plays with a loop that leads, between before and an end that must not be an error.
func led(t *testing.T, before func(w *world), play func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Now = nil })
		before(w)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := w.lead(ctx)
		play(t, w)
		cancel()
		require.NoError(t, <-done, "nobody deposed it")
		require.Zero(t, w.metric(t, "millrace_scheduler_leader"))
	})
}

func TestLead_looks_at_once_then_polls_until_its_context_ends(t *testing.T) {
	t.Parallel()
	led(t, func(*world) {}, func(t *testing.T, w *world) {
		require.Equal(t, 1, w.f.rounds())
		require.InDelta(t, 1, w.metric(t, "millrace_scheduler_leader"), 0)
		require.InDelta(t, 7, w.metric(t, "millrace_scheduler_leader_term_number"), 0)
		pass(10 * time.Minute)
		for i, at := range w.f.reads[1:] {
			require.InDelta(t, 5, at.Sub(w.f.reads[i]).Seconds(), 1, "5 s, give or take a fifth")
		}
		require.Equal(t, 10, w.f.prunes, "once a minute")
		require.Equal(t, slices.Repeat([]time.Duration{cluster.KeyLife}, 10), w.f.kept)
		require.Equal(t, slices.Repeat([][2]int{{24, 100_000}}, 10), w.f.eventPrunes)
	})
}

func TestLead_looks_when_it_is_woken_and_when_the_planner_said(t *testing.T) {
	t.Parallel()
	led(t, func(*world) {}, func(t *testing.T, w *world) {
		w.waker.Wake()
		synctest.Wait()
		require.Equal(t, 2, w.f.rounds())
		w.wakeAt(100 * time.Millisecond)
		w.waker.Wake()
		synctest.Wait()
		pass(100 * time.Millisecond)
		require.Equal(t, 4, w.f.rounds())
		w.wakeAt(time.Hour) // longer than a poll
		pass(6200 * time.Millisecond)
		require.GreaterOrEqual(t, w.f.rounds(), 6)
	})
}

func TestFault_SB_1_a_leader_whose_write_is_refused_gives_the_role_up(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Now = nil })
		w.plan.Steps = []cluster.Decision{{Kind: cluster.Lose, Session: "s"}}
		w.f.commitErr = func() error { return passed }
		require.True(t, cluster.Is(<-w.lead(t.Context()), cluster.StaleEpoch))
		require.Equal(t, 1, w.f.rounds())
	})
}

func TestLead_after_a_lost_race_looks_again_at_once_but_not_for_ever(t *testing.T) {
	t.Parallel()
	led(t, func(w *world) {
		w.plan.Steps = []cluster.Decision{{Kind: cluster.Lose, Session: "s"}}
		w.f.commitErr = func() error { return conflict }
	}, func(t *testing.T, w *world) {
		pass(time.Millisecond)
		require.Equal(t, conflictTries, w.f.rounds())
		pass(retryPause)
		require.Greater(t, w.f.rounds(), conflictTries)
	})
}

func TestLead_waits_a_little_for_a_database_that_is_away_and_goes_on(t *testing.T) {
	t.Parallel()
	broken := true
	led(t, func(w *world) {
		w.f.snapErr = func() error {
			if broken {
				return away
			}
			return nil
		}
	}, func(t *testing.T, w *world) {
		pass(10*retryPause + time.Millisecond)
		require.Equal(t, 11, w.f.rounds())
		w.f.mu.Lock()
		broken = false
		w.f.mu.Unlock()
		pass(retryPause)
		require.False(t, w.failing)
	})
}
