package feed

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/memstore"
)

// log is a store that counts how often it is asked, and is away when a test says so.
type log struct {
	*memstore.Store
	mu   sync.Mutex
	asks int
	err  error
}

func (l *log) ask() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asks++
	return l.err
}

func (l *log) Events(ctx context.Context, after cluster.EventToken, limit int) ([]cluster.Event, error) {
	if err := l.ask(); err != nil {
		return nil, err
	}
	return l.Store.Events(ctx, after, limit)
}

func (l *log) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asks
}

func (l *log) away(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *log) create(t *testing.T, from, n int) {
	t.Helper()
	for i := range n {
		name := fmt.Sprintf("c%04d", from+i)
		_, _, err := l.CreateConnector(t.Context(), cluster.NewConnector{UID: cluster.UID(name), Name: name, Class: "x", Type: cluster.TypeSource})
		require.NoError(t, err)
	}
}

// pass lets time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// hints are changes that are heard of.
type hints struct {
	mu sync.Mutex
	c  chan struct{}
}

func (h *hints) next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.c
}

func (h *hints) give() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.c)
	h.c = make(chan struct{})
}

// watched runs a test in a bubble whose time passes by itself.
func watched(t *testing.T, cfg Config, f func(t *testing.T, l *log, h *hints, feed *Feed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, h := &log{Store: memstore.New(time.Now)}, &hints{c: make(chan struct{})}
		cfg.Store, cfg.Changed, cfg.Logger = l, h.next, slog.New(slog.DiscardHandler)
		feed := New(cfg)
		f(t, l, h, feed)
		require.Zero(t, feed.Streams())
		feed.Close()
	})
}

func watch(t *testing.T, f *Feed, after *cluster.EventToken) *Stream {
	t.Helper()
	s, err := f.Watch(t.Context(), after)
	require.NoError(t, err)
	synctest.Wait() // the reader has found the end
	return s
}

// take reads n events and checks that they are the connectors from a number on.
func take(t *testing.T, s *Stream, from, n int) {
	t.Helper()
	for got := 0; got < n; {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		events, err := s.Next(ctx)
		cancel()
		require.NoError(t, err)
		require.LessOrEqual(t, len(events), batch)
		for _, e := range events {
			require.Equal(t, fmt.Sprintf("c%04d", from+got), e.Connector)
			got++
		}
		require.LessOrEqual(t, got, n)
	}
}

func nothing(t *testing.T, s *Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := s.Next(ctx)
	require.True(t, cluster.Is(err, cluster.Timeout), "%v", err)
}

func TestWatch_from_now_on_or_behind_a_token(t *testing.T) {
	t.Parallel()
	watched(t, Config{}, func(t *testing.T, l *log, _ *hints, f *Feed) {
		first := watch(t, f, nil)
		defer first.Close()
		l.create(t, 0, 3)
		take(t, first, 0, 3)
		now, again := watch(t, f, nil), watch(t, f, &cluster.EventToken{})
		defer now.Close()
		defer again.Close()
		take(t, again, 0, 3)
		nothing(t, now)
		l.create(t, 3, 2)
		for _, s := range []*Stream{first, now, again} {
			take(t, s, 3, 2)
			nothing(t, s)
			require.Equal(t, int64(5), s.At().Seq)
		}
	})
}

// All read the same once: the store is asked once a second, however many watch, and not at all when nobody does.
func TestWatch_costs_the_store_one_look_for_all(t *testing.T) {
	t.Parallel()
	watched(t, Config{}, func(t *testing.T, l *log, _ *hints, f *Feed) {
		pass(time.Minute)
		require.Zero(t, l.asked())
		var streams []*Stream
		for range 50 {
			streams = append(streams, watch(t, f, nil))
		}
		pass(time.Minute)
		require.InDelta(t, 60, l.asked(), 10)
		l.create(t, 0, 10)
		pass(5 * time.Second)
		before := l.asked()
		for _, s := range streams {
			take(t, s, 0, 10)
			s.Close()
		}
		require.LessOrEqual(t, l.asked()-before, 1, "what came last is in memory")
		synctest.Wait()
		before = l.asked()
		pass(time.Minute)
		require.Equal(t, before, l.asked())
	})
}

func TestWatch_a_change_that_is_heard_of_is_read_at_once(t *testing.T) {
	t.Parallel()
	watched(t, Config{Look: time.Hour}, func(t *testing.T, l *log, h *hints, f *Feed) {
		s := watch(t, f, nil)
		defer s.Close()
		pass(time.Second)
		l.create(t, 0, 1)
		h.give()
		began := time.Now()
		take(t, s, 0, 1)
		require.Less(t, time.Since(began), time.Second)
		before := l.asked()
		for range 1000 { // a storm of hints
			h.give()
			pass(time.Millisecond)
		}
		require.LessOrEqual(t, l.asked()-before, 51, "each 20 ms")
	})
}

func TestWatch_who_is_far_behind_reads_the_store_and_misses_nothing(t *testing.T) {
	t.Parallel()
	watched(t, Config{Kept: 10}, func(t *testing.T, l *log, _ *hints, f *Feed) {
		s := watch(t, f, nil)
		defer s.Close()
		l.create(t, 0, 500)
		pass(5 * time.Second)
		f.mu.Lock()
		kept := len(f.recent)
		f.mu.Unlock()
		require.Equal(t, 10, kept)
		take(t, s, 0, 500)
		l.create(t, 500, 3)
		take(t, s, 500, 3)
	})
}

func TestWatch_who_is_too_far_behind_is_told(t *testing.T) {
	t.Parallel()
	watched(t, Config{Kept: 10}, func(t *testing.T, l *log, _ *hints, f *Feed) {
		s := watch(t, f, nil)
		defer s.Close()
		l.create(t, 0, 50)
		pass(5 * time.Second)
		_, err := l.PruneEvents(t.Context(), time.Hour, 20)
		require.NoError(t, err)
		_, err = s.Next(t.Context())
		require.True(t, cluster.Is(err, cluster.Gone), "%v", err)
		_, err = f.Watch(t.Context(), &cluster.EventToken{})
		require.True(t, cluster.Is(err, cluster.Gone), "%v", err)
		require.Equal(t, 1, f.Streams())
	})
}

func TestWatch_a_store_that_is_away_makes_watchers_wait(t *testing.T) {
	t.Parallel()
	watched(t, Config{Kept: 10}, func(t *testing.T, l *log, _ *hints, f *Feed) {
		s := watch(t, f, nil)
		defer s.Close()
		l.create(t, 0, 1)
		take(t, s, 0, 1)
		l.away(cluster.Errorf(cluster.Unavailable, "away"))
		l.create(t, 1, 50)
		nothing(t, s)
		_, err := f.Watch(t.Context(), &cluster.EventToken{})
		require.True(t, cluster.Is(err, cluster.Unavailable), "%v", err)
		// What came meanwhile is deleted before it is back: the reader goes on at the end.
		_, err = l.PruneEvents(t.Context(), time.Hour, 1)
		require.NoError(t, err)
		l.away(nil)
		pass(5 * time.Second)
		now := watch(t, f, nil)
		defer now.Close()
		l.create(t, 51, 2)
		take(t, now, 51, 2)
		_, err = s.Next(t.Context())
		require.True(t, cluster.Is(err, cluster.Gone), "%v", err)
	})
}

func TestWatch_has_a_bound(t *testing.T) {
	t.Parallel()
	watched(t, Config{Most: 2}, func(t *testing.T, _ *log, _ *hints, f *Feed) {
		a, b := watch(t, f, nil), watch(t, f, nil)
		_, err := f.Watch(t.Context(), nil)
		require.True(t, cluster.Is(err, cluster.Busy), "%v", err)
		require.ErrorContains(t, err, "2 streams")
		a.Close()
		c := watch(t, f, nil)
		b.Close()
		c.Close()
	})
}
