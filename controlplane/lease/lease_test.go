package lease_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/lease"
	"github.com/millrace/millrace/controlplane/memstore"
)

// flaky is a store that fails or hangs on request.
type flaky struct {
	*memstore.Store
	mu   sync.Mutex
	fail error
	hang bool
}

func (f *flaky) set(fail error, hang bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail, f.hang = fail, hang
}

// door is passed by every call.
func (f *flaky) door(ctx context.Context) error {
	f.mu.Lock()
	fail, hang := f.fail, f.hang
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return fail
}

func (f *flaky) AcquireLease(ctx context.Context, holder string, ttl time.Duration) (cluster.LeaderLease, bool, time.Duration, error) {
	if err := f.door(ctx); err != nil {
		return cluster.LeaderLease{}, false, 0, err
	}
	return f.Store.AcquireLease(ctx, holder, ttl)
}

func (f *flaky) RenewLease(ctx context.Context, l cluster.LeaderLease) error {
	if err := f.door(ctx); err != nil {
		return err
	}
	return f.Store.RenewLease(ctx, l)
}

func (f *flaky) ResignLease(ctx context.Context, l cluster.LeaderLease) error {
	if err := f.door(ctx); err != nil {
		return err
	}
	return f.Store.ResignLease(ctx, l)
}

// log notes who leads when.
type log struct {
	mu      sync.Mutex
	entries []entry
}

type entry struct {
	who        string
	term       cluster.Term
	start, end time.Time
}

func (l *log) lead(who string) func(context.Context, cluster.LeaderLease) {
	return func(ctx context.Context, held cluster.LeaderLease) {
		l.mu.Lock()
		i := len(l.entries)
		l.entries = append(l.entries, entry{who: who, term: held.Term, start: time.Now()})
		l.mu.Unlock()
		<-ctx.Done()
		l.mu.Lock()
		l.entries[i].end = time.Now()
		l.mu.Unlock()
	}
}

func (l *log) all() []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]entry(nil), l.entries...)
}

func run(t *testing.T, store lease.Store, who string, l *log) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		lease.Run(ctx, store, lease.Options{Holder: who, Logger: slog.New(slog.DiscardHandler)}, l.lead(who))
	}()
	return func() { cancel(); <-done }
}

func pass(d time.Duration) { <-time.After(d); synctest.Wait() }

func TestRun_one_leads_and_the_other_takes_over_at_once_when_it_resigns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, l := memstore.New(time.Now), &log{}
		stopA := run(t, store, "a", l)
		synctest.Wait()
		stopB := run(t, store, "b", l)
		pass(time.Minute)
		require.Len(t, l.all(), 1, "renewed, it stays")
		stopA()
		pass(1500 * time.Millisecond)
		all := l.all()
		require.Len(t, all, 2)
		require.Equal(t, "b", all[1].who)
		require.Greater(t, all[1].term, all[0].term)
		stopB()
	})
}

func TestFault_SB_4_two_holders_of_one_name_have_different_terms_and_never_overlap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		store := &flaky{Store: memstore.New(time.Now)}
		stopA := run(t, store, "same", l)
		synctest.Wait()
		stopB := run(t, store.Store, "same", l)
		pass(10 * time.Second)
		require.Len(t, l.all(), 1)
		store.set(nil, true) // the first is cut off
		pass(10 * time.Second)
		all := l.all()
		require.Len(t, all, 2)
		require.NotEqual(t, all[0].term, all[1].term)
		require.True(t, all[0].end.Before(all[1].start), "it stopped %s before the next began", all[1].start.Sub(all[0].end))
		stopA()
		stopB()
	})
}

func TestRun_a_store_that_is_away_for_a_moment_deposes_nobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, l := &flaky{Store: memstore.New(time.Now)}, &log{}
		stop := run(t, store, "a", l)
		pass(10 * time.Second)
		store.set(errors.New("connection refused"), false)
		pass(900 * time.Millisecond)
		store.set(nil, false)
		pass(time.Minute)
		require.Len(t, l.all(), 1)
		require.True(t, l.all()[0].end.IsZero())
		stop()
	})
}

func TestRun_stops_a_margin_before_the_lease_ends_when_nothing_answers(t *testing.T) {
	t.Parallel()
	for name, hang := range map[string]bool{"the store fails": false, "the store hangs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store, l := &flaky{Store: memstore.New(time.Now)}, &log{}
				stop := run(t, store, "a", l)
				pass(10*time.Second + 500*time.Millisecond) // between two renewals
				cut := time.Now()
				store.set(errors.New("away"), hang)
				pass(2 * time.Second)
				require.Len(t, l.all(), 1)
				lasted := l.all()[0].end.Sub(cut)
				require.LessOrEqual(t, lasted, 2*time.Second, "TTL less margin, counted from before the last renewal")
				require.Positive(t, lasted)
				stop()
			})
		})
	}
}

func TestRun_a_deposed_leader_stops_at_the_next_renewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, l := &flaky{Store: memstore.New(time.Now)}, &log{}
		stop := run(t, store, "a", l)
		pass(10*time.Second + 500*time.Millisecond)
		store.set(cluster.Errorf(cluster.StaleEpoch, "term has passed"), false)
		pass(time.Second)
		require.False(t, l.all()[0].end.IsZero())
		stop()
	})
}

func TestRun_a_leader_that_returns_by_itself_resigns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		terms := 0
		lease.Run(ctx, store, lease.Options{Holder: "a", Logger: slog.New(slog.DiscardHandler)}, func(context.Context, cluster.LeaderLease) {
			if terms++; terms == 3 {
				cancel()
			}
		})
		require.Equal(t, 3, terms)
		_, ok, _, err := store.AcquireLease(t.Context(), "b", time.Second)
		require.NoError(t, err)
		require.True(t, ok, "free at once")
	})
}
