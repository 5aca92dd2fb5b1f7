package parking

import (
	"context"
	"errors"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// fakeAdmin is a Kafka cluster that is what the test sets.
type fakeAdmin struct {
	mu     sync.Mutex
	ends   map[kafkaio.TopicPartition]int64
	shapes map[string]kafkaio.Shape
	failed error
	asked  int // for ends
	most   int // partitions at once
	closed bool
}

func (a *fakeAdmin) set(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func (a *fakeAdmin) Ends(_ context.Context, parts []kafkaio.TopicPartition) (map[kafkaio.TopicPartition]int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	a.most = max(a.most, len(parts))
	out := map[kafkaio.TopicPartition]int64{}
	for _, p := range parts {
		if end, ok := a.ends[p]; ok {
			out[p] = end
		}
	}
	return out, a.failed
}

func (a *fakeAdmin) Shapes(_ context.Context, names []string) (map[string]kafkaio.Shape, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[string]kafkaio.Shape{}
	for _, n := range names {
		if s, ok := a.shapes[n]; ok {
			out[n] = s
		}
	}
	return out, a.failed
}

func (a *fakeAdmin) Matching(_ context.Context, match *regexp.Regexp) (out []string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n := range a.shapes {
		if match.MatchString(n) {
			out = append(out, n)
		}
	}
	return out, a.failed
}

func (a *fakeAdmin) Members(context.Context, string) ([]kafkaio.Member, error) {
	return []kafkaio.Member{{ID: "m-2", InstanceID: "i"}, {ID: "m-3", InstanceID: "other"}}, nil
}

func (a *fakeAdmin) Close(context.Context) error {
	a.set(func() { a.closed = true })
	return nil
}

func at(topic string, p int32) kafkaio.TopicPartition {
	return kafkaio.TopicPartition{Topic: topic, Partition: p}
}

func newFake(t *testing.T) (*Lot, *fakeAdmin, *atomic.Int64) {
	t.Helper()
	a := &fakeAdmin{ends: map[kafkaio.TopicPartition]int64{at("a", 0): 5, at("a", 1): 0, at("b", 0): 7},
		shapes: map[string]kafkaio.Shape{"a": {ID: "1", Partitions: 2}, "b": {ID: "2", Partitions: 1}}}
	var clients atomic.Int64
	l := New(Options{Idle: time.Second, Look: time.Millisecond, Shapes: 2 * time.Millisecond, Starts: 2,
		NewAdmin: func(kafkaio.Config) (Admin, error) { clients.Add(1); return a, nil }})
	t.Cleanup(func() {
		require.NoError(t, l.Close(context.Background()))
	})
	return l, a, &clients
}

func park(t *testing.T, l *Lot, s Subscription) <-chan Reason {
	t.Helper()
	c := l.Cluster(kafkaio.Config{"bootstrap.servers": "b"})
	v, err := c.Look(t.Context(), s)
	require.NoError(t, err)
	require.True(t, v.Complete())
	wake, leave, err := c.Park(s, v)
	require.NoError(t, err)
	t.Cleanup(leave)
	return wake
}

func woken(t *testing.T, wake <-chan Reason, why Reason) {
	t.Helper()
	select {
	case r := <-wake:
		require.Equal(t, why, r)
	case <-time.After(patience):
		t.Fatalf("not woken for %s", why)
	}
}

// looksAgain waits until everything was looked at once more.
func looksAgain(t *testing.T, a *fakeAdmin) {
	t.Helper()
	var from int
	a.set(func() { from = a.asked })
	require.Eventually(t, func() (ok bool) { a.set(func() { ok = a.asked > from+10 }); return ok }, patience, time.Millisecond)
}

func TestTasksAreWokenForWhatIsTheirs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(a *fakeAdmin)
		why    Reason
	}{
		"more records":                      {func(a *fakeAdmin) { a.ends[at("a", 1)] = 1 }, Data},
		"fewer records":                     {func(a *fakeAdmin) { a.ends[at("a", 0)] = 4 }, Data},
		"a new partition":                   {func(a *fakeAdmin) { a.shapes["a"] = kafkaio.Shape{ID: "1", Partitions: 3} }, Topics},
		"made anew with as many records":    {func(a *fakeAdmin) { a.shapes["a"] = kafkaio.Shape{ID: "9", Partitions: 2} }, Topics},
		"deleted":                           {func(a *fakeAdmin) { delete(a.shapes, "a"); delete(a.ends, at("a", 0)); delete(a.ends, at("a", 1)) }, Topics},
		"a topic that was not there before": {func(a *fakeAdmin) { a.shapes["missing"] = kafkaio.Shape{ID: "3", Partitions: 1} }, Topics},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, a, _ := newFake(t)
			concerned, other := park(t, l, Subscription{Topics: []string{"a", "missing"}}), park(t, l, Subscription{Topics: []string{"b"}})
			looksAgain(t, a)
			require.Empty(t, concerned)
			a.set(func() { c.change(a) })
			woken(t, concerned, c.why)
			looksAgain(t, a)
			require.Empty(t, other)
		})
	}
}

func TestATopicThatMatchesWakes(t *testing.T) {
	t.Parallel()
	l, a, _ := newFake(t)
	matching := park(t, l, Subscription{Pattern: regexp.MustCompile(`^(?:a|new)$`)})
	other := park(t, l, Subscription{Pattern: regexp.MustCompile(`^(?:b)$`)})
	a.set(func() { a.shapes["new"] = kafkaio.Shape{ID: "3", Partitions: 1} })
	woken(t, matching, Topics)
	looksAgain(t, a)
	require.Empty(t, other)
}

func TestAClusterThatDoesNotAnswerWakesNobody(t *testing.T) {
	t.Parallel()
	l, a, _ := newFake(t)
	wake := park(t, l, Subscription{Topics: []string{"a"}})
	a.set(func() { a.failed = errors.New("away"); clear(a.ends) })
	looksAgain(t, a)
	require.Empty(t, wake)
	a.set(func() { a.failed = nil; a.ends[at("a", 0)] = 6 })
	woken(t, wake, Data)
}

func TestOneClientAndOneRequestForAll(t *testing.T) {
	t.Parallel()
	l, a, clients := newFake(t)
	park(t, l, Subscription{Topics: []string{"a"}})
	park(t, l, Subscription{Topics: []string{"a", "b"}})
	looksAgain(t, a)
	require.EqualValues(t, 1, clients.Load())
	a.set(func() { require.Equal(t, 3, a.most) })
	// What a consumer does with what it reads does not make it another cluster; who it logs in as does.
	one := l.Cluster(kafkaio.Config{"bootstrap.servers": "b", "client.id": "x", "group.id": "g", "fetch.min.bytes": "9", "max.poll.interval.ms": "5"})
	require.Equal(t, l.Cluster(kafkaio.Config{"bootstrap.servers": "b"}).key, one.key)
	require.NotEqual(t, l.Cluster(kafkaio.Config{"bootstrap.servers": "b", "sasl.username": "u"}).key, one.key)
}

func TestAPlaceThatSomebodyElseHas(t *testing.T) {
	t.Parallel()
	l, _, _ := newFake(t)
	c := l.Cluster(kafkaio.Config{"bootstrap.servers": "b"})
	for member, want := range map[string]Place{"m-1": Taken, "m-2": Own} {
		got, err := c.Place(t.Context(), "g", "i", member)
		require.NoError(t, err)
		require.Equal(t, want, got, member)
	}
	got, err := c.Place(t.Context(), "g", "nobody's", "m-1")
	require.NoError(t, err)
	require.Equal(t, Free, got)
}

func TestTurnsAreBounded(t *testing.T) {
	t.Parallel()
	l, _, _ := newFake(t)
	first, second := l.Turn(t.Context()), l.Turn(t.Context())
	full, cancel := context.WithCancel(t.Context())
	cancel()
	l.Turn(full)() // takes none and gives none back
	require.Len(t, l.starts, 2)
	first()
	first()
	require.Len(t, l.starts, 1)
	second()
	l.Turn(t.Context()) // never given back
	require.Eventually(t, func() bool { return len(l.starts) == 0 }, patience, 10*time.Millisecond, "a turn ends by itself")
	var none *Lot
	none.Turn(t.Context())()
	require.Zero(t, none.Idle())
}

func TestAClosedLotWatchesNothing(t *testing.T) {
	t.Parallel()
	l, a, _ := newFake(t)
	park(t, l, Subscription{Topics: []string{"a"}})
	require.NoError(t, l.Close(t.Context()))
	a.set(func() { require.True(t, a.closed) })
	_, err := l.Cluster(kafkaio.Config{"bootstrap.servers": "b"}).Look(t.Context(), Subscription{})
	require.ErrorContains(t, err, "the runner ends")
}
