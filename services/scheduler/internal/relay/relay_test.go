package relay

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is an outbox and a bus that remember.
type fake struct {
	mu        sync.Mutex
	claims    [][]cluster.OutboxMessage // what each claim finds; the last one for ever
	claimed   []time.Time
	limits    []int
	claimErr  error
	markErr   error
	marked    []int64
	prunes    int
	pruneErr  error
	oldest    time.Duration
	connected time.Duration
	publish   func(to wire.Address, id string) error // nil: it works
	published []string
	wakes     int
}

func (f *fake) ClaimOutbox(_ context.Context, limit int, minAge, claimFor time.Duration) ([]cluster.OutboxMessage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.claimed, f.limits = append(f.claimed, time.Now()), append(f.limits, limit)
	if minAge != time.Second || claimFor != 10*time.Second {
		return nil, errors.New("claims with other times than the defaults")
	}
	if f.claimErr != nil || len(f.claims) == 0 {
		return nil, f.claimErr
	}
	msgs := f.claims[0]
	if len(f.claims) > 1 {
		f.claims = f.claims[1:]
	}
	return msgs, nil
}

func (f *fake) MarkPublished(_ context.Context, ids []int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.markErr == nil {
		f.marked = append(f.marked, ids...)
	}
	return f.markErr
}

func (f *fake) PruneOutbox(_ context.Context, maxAge time.Duration) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prunes++
	if maxAge != 15*time.Minute {
		return 0, errors.New("prunes with another age than the default")
	}
	return 0, f.pruneErr
}

func (f *fake) OutboxStats(context.Context) (int, time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return 3, f.oldest, nil
}

func (f *fake) Connected() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.connected
}

func (f *fake) Publish(_ context.Context, to wire.Address, id string, _ []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.publish != nil {
		if err := f.publish(to, id); err != nil {
			return err
		}
	}
	f.published = append(f.published, id)
	return nil
}

func (f *fake) Wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wakes++
}

func setup(t *testing.T) (*fake, *Relay, func(name string) float64) {
	t.Helper()
	f := &fake{connected: time.Hour}
	reg := prometheus.NewRegistry()
	r := New(Config{Store: f, Bus: f, Wake: f.Wake, Logger: slog.New(slog.DiscardHandler), Metrics: NewMetrics(reg)})
	return f, r, func(name string) float64 {
		families, err := reg.Gather()
		require.NoError(t, err)
		for _, x := range families {
			if x.GetName() == name {
				return x.GetMetric()[0].GetCounter().GetValue() + x.GetMetric()[0].GetGauge().GetValue()
			}
		}
		t.Fatalf("no series %s", name)
		return 0
	}
}

func messages(ids ...int64) (msgs []cluster.OutboxMessage) {
	for _, id := range ids {
		msgs = append(msgs, cluster.OutboxMessage{ID: id, Address: string(wire.Runner("s"))})
	}
	return msgs
}

func TestOnce_publishes_what_was_left_behind_and_marks_it(t *testing.T) {
	t.Parallel()
	f, r, metric := setup(t)
	f.claims = [][]cluster.OutboxMessage{append(messages(4, 2), cluster.OutboxMessage{ID: 9, Address: string(wire.Commands)})}
	claimed, published, err := r.Once(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, claimed)
	require.Equal(t, 3, published)
	require.ElementsMatch(t, []string{"4", "2"}, f.published, "the outbox id is the message's, whatever the order of ids")
	require.Equal(t, 1, f.wakes, "a command says only: look")
	require.ElementsMatch(t, []int64{2, 4, 9}, f.marked)
	require.InDelta(t, 3, metric("millrace_scheduler_outbox_relayed_total"), 0)
}

func TestOnce_claims_nothing_without_a_bus(t *testing.T) {
	t.Parallel()
	f, r, _ := setup(t)
	f.connected, f.claims = 0, [][]cluster.OutboxMessage{messages(1)}
	claimed, published, err := r.Once(t.Context())
	require.NoError(t, err)
	require.Zero(t, claimed+published)
	require.Empty(t, f.claimed, "a claim would hold the message back")
}

func TestFault_AC_5_a_message_that_cannot_be_published_holds_back_no_other(t *testing.T) {
	t.Parallel()
	f, r, metric := setup(t)
	f.claims = [][]cluster.OutboxMessage{messages(1, 2, 3)}
	f.publish = func(_ wire.Address, id string) error {
		if id == "2" {
			return cluster.Errorf(cluster.Invalid, "too large")
		}
		return nil
	}
	claimed, published, err := r.Once(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, claimed)
	require.Equal(t, 2, published)
	require.ElementsMatch(t, []int64{1, 3}, f.marked, "it stays, for another try")
	require.InDelta(t, 1, metric("millrace_scheduler_outbox_failures_total"), 0)
	f.oldest = 61 * time.Second
	require.NoError(t, r.Tidy(t.Context()))
	require.InDelta(t, 61, metric("millrace_scheduler_outbox_age_seconds"), 0, "what the alarm looks at")
	require.InDelta(t, 3, metric("millrace_scheduler_outbox_messages"), 0)
}

func TestFault_AC_4_what_cannot_be_marked_is_published_again(t *testing.T) {
	t.Parallel()
	f, r, _ := setup(t)
	f.claims, f.markErr = [][]cluster.OutboxMessage{messages(1)}, cluster.Errorf(cluster.Unavailable, "away")
	_, _, err := r.Once(t.Context())
	require.ErrorIs(t, err, f.markErr)
	f.markErr = nil
	_, _, err = r.Once(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"1", "1"}, f.published, "under the same id, so that the bus may notice")
	require.Equal(t, []int64{1}, f.marked)
}

func TestTidy_says_what_went_wrong(t *testing.T) {
	t.Parallel()
	f, r, _ := setup(t)
	f.pruneErr = cluster.Errorf(cluster.Unavailable, "away")
	require.ErrorIs(t, r.Tidy(t.Context()), f.pruneErr)
}

// runs lets Run run for d of the bubble's time.
func runs(t *testing.T, r *Relay, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	r.Run(ctx)
}

func TestRun_goes_on_for_a_minute_about_once_a_second_and_tidies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, r, _ := setup(t)
		runs(t, r, time.Minute)
		require.InDelta(t, 60, len(f.claimed), 14)
		for i, at := range f.claimed[1:] {
			require.InDelta(t, 1, at.Sub(f.claimed[i]).Seconds(), 0.21)
		}
		require.InDelta(t, 4, f.prunes, 1, "every 15 s")
	})
}

func TestRun_does_not_rest_while_more_is_waiting_unless_nothing_can_be_published(t *testing.T) {
	t.Parallel()
	full := messages(make([]int64, batch)...)
	for name, tc := range map[string]struct {
		err      error
		at, most int
	}{"it goes out": {nil, 100, 1000}, "nothing goes out": {cluster.Errorf(cluster.Timeout, "no answer"), 5, 14}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, r, _ := setup(t)
				f.claims = [][]cluster.OutboxMessage{full}
				f.publish = func(wire.Address, string) error { return tc.err }
				runs(t, r, 10*time.Second)
				require.GreaterOrEqual(t, len(f.claimed), tc.at)
				require.LessOrEqual(t, len(f.claimed), tc.most)
				require.Equal(t, batch, slices.Max(f.limits))
			})
		})
	}
}

func TestRun_outlives_a_store_that_is_away(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, r, _ := setup(t)
		f.claimErr = cluster.Errorf(cluster.Unavailable, "away")
		time.AfterFunc(5*time.Second, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.claimErr, f.claims = nil, [][]cluster.OutboxMessage{messages(1), nil}
		})
		runs(t, r, 10*time.Second)
		require.Equal(t, []int64{1}, f.marked)
	})
}
