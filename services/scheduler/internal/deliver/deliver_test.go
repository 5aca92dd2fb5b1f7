package deliver

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a bus and an outbox that remember.
type fake struct {
	mu        sync.Mutex
	connected time.Duration
	refuse    string // id of a message that can't be published
	stuck     chan struct{}
	published []string
	marks     [][]int64
	markErr   error
	wakes     int
}

func (f *fake) Connected() time.Duration { return f.connected }

func (f *fake) Publish(ctx context.Context, _ wire.Address, id string, _ []byte) error {
	if f.stuck != nil {
		select {
		case <-f.stuck:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if id == f.refuse {
		return cluster.Errorf(cluster.Invalid, "too large")
	}
	f.published = append(f.published, id)
	return nil
}

func (f *fake) MarkPublished(ctx context.Context, ids []int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.marks = append(f.marks, ids)
	return f.markErr
}

func (f *fake) Wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wakes++
}

func (f *fake) marked() (all []int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ids := range f.marks {
		all = append(all, ids...)
	}
	return all
}

func (f *fake) direct() Direct {
	return Direct{Bus: f, Store: f, Wake: f.Wake, Logger: slog.New(slog.DiscardHandler)}
}

func message(id int64, to wire.Address) cluster.OutboxMessage {
	return cluster.OutboxMessage{ID: id, Address: string(to)}
}

var some = []cluster.OutboxMessage{message(1, wire.Runner("s")), message(2, wire.Commands), message(3, wire.Runner("s"))}

func TestDirect_sends_and_marks_what_was_sent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		f         *fake
		published []string
		marks     [][]int64
	}{
		"all of it":                             {&fake{connected: 1}, []string{"1", "3"}, [][]int64{{1, 2, 3}}},
		"not what is refused":                   {&fake{connected: 1, refuse: "1"}, []string{"3"}, [][]int64{{2, 3}}},
		"without a bus only what needs none":    {&fake{}, nil, [][]int64{{2}}},
		"a mark that fails is the relay's work": {&fake{connected: 1, markErr: cluster.Errorf(cluster.Unavailable, "away")}, []string{"1", "3"}, [][]int64{{1, 2, 3}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := tc.f.direct()
			d.Deliver(t.Context(), some)
			require.Equal(t, tc.published, tc.f.published)
			require.Equal(t, tc.marks, tc.f.marks)
			require.Equal(t, 1, tc.f.wakes)
		})
	}
}

func TestDirect_without_messages_asks_nobody(t *testing.T) {
	t.Parallel()
	f := &fake{connected: 1}
	d := f.direct()
	d.Deliver(t.Context(), nil)
	require.Empty(t, f.marks)
}

func TestDirect_gives_a_bus_that_does_not_answer_two_seconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{connected: 1, stuck: make(chan struct{})}
		d := f.direct()
		begin := time.Now()
		d.Deliver(t.Context(), some[:1])
		require.Equal(t, publishTimeout, time.Since(begin))
		require.Empty(t, f.marks)
	})
}

// running runs a queue; the returned func ends it and waits.
func running(t *testing.T, f *fake) (*Queue, func()) {
	t.Helper()
	q := NewQueue(f.direct())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { q.Run(ctx); close(done) }()
	return q, func() { cancel(); <-done }
}

func TestQueue_wakes_at_once_and_sends_and_marks_in_the_background(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{connected: 1, stuck: make(chan struct{})}
		q, stop := running(t, f)
		q.Deliver(t.Context(), some)
		require.Equal(t, 1, f.wakes, "before anything is sent")
		close(f.stuck)
		synctest.Wait()
		require.ElementsMatch(t, []string{"1", "3"}, f.published)
		require.ElementsMatch(t, []int64{1, 2, 3}, f.marked())
		stop()
	})
}

func TestQueue_sends_what_is_waiting_when_it_is_told_to_stop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{connected: 1, stuck: make(chan struct{})}
		q, stop := running(t, f)
		const n = 5 * publishers
		for id := range int64(n) {
			q.Deliver(t.Context(), []cluster.OutboxMessage{message(id+1, wire.Runner("s"))})
		}
		synctest.Wait()
		time.AfterFunc(time.Second, func() { close(f.stuck) })
		stop()
		require.Len(t, f.published, n)
		require.Len(t, f.marked(), n, "also after its context has ended")
	})
}

func TestQueue_marks_together_what_was_sent_meanwhile(t *testing.T) {
	t.Parallel()
	f := &fake{}
	q := NewQueue(f.direct())
	for id := range int64(markBatch + 10) {
		q.marks <- id
	}
	close(q.marks)
	q.markAll(t.Context())
	require.Len(t, f.marks, 2)
	require.Len(t, f.marks[0], markBatch)
	require.Len(t, f.marks[1], 10)
}

func TestQueue_that_is_full_leaves_the_rest_to_the_relay_and_blocks_nobody(t *testing.T) {
	t.Parallel()
	f := &fake{connected: 1}
	q := NewQueue(f.direct()) // nobody takes anything out
	for range queueSize {
		q.Deliver(t.Context(), some[:1])
	}
	q.Deliver(t.Context(), some)
	require.Len(t, q.in, queueSize)
	require.Equal(t, 1, f.wakes, "a wake needs no room")
}

func TestQueue_without_a_bus_does_not_wait_for_it(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		q, stop := running(t, f)
		begin := time.Now()
		q.Deliver(t.Context(), some)
		stop()
		require.Zero(t, time.Since(begin))
		require.Equal(t, []int64{2}, f.marked())
	})
}
