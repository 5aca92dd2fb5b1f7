package bustest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// Harness is what the suite needs to know of a bus.
type Harness struct {
	// New makes an empty bus that ends with the test.
	New func(t *testing.T) Instance
}

// Instance is one bus with its server.
type Instance struct {
	// Connect makes a client. The suite closes it.
	Connect func(t *testing.T) Bus
	// Purge removes every stored message.
	Purge func(t *testing.T)
	// Delete removes queues and whatever belongs to their consumers, behind the back of those who use them.
	Delete func(t *testing.T)
	// Down ends all connections; Up lets clients connect again, with what was stored.
	Down, Up func(t *testing.T)
	// SetAside counts the messages that were set aside.
	SetAside func(t *testing.T) int
}

// patience bounds every wait of the suite; soon is what "at once" means, with room for a busy machine.
const (
	patience = 20 * time.Second
	soon     = time.Second
)

// Run runs the suite. Each behaviour has a bus of its own.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(t *testing.T, in Instance)
	}{
		{"hands_each_message_of_a_queue_over_in_order", inOrder},
		{"keeps_messages_until_somebody_consumes", keepsMessages},
		{"drops_a_repetition_but_not_another_message_under_the_same_id", dropsRepetition},
		{"offers_a_message_again_after_an_error", offersAgain},
		{"a_failing_message_does_not_block_those_behind_it", failingDoesNotBlock},
		{"sets_poison_aside_and_goes_on", setsPoisonAside},
		{"a_panic_in_a_handler_sets_the_message_aside", panicSetsAside},
		{"two_consumers_share_a_queue", consumersShare},
		{"sessions_get_only_their_own_messages", sessionsApart},
		{"a_message_not_handled_to_the_end_goes_to_another_consumer_at_once", handedBack},
		{"forget_removes_a_queue_and_is_idempotent", forgets},
		{"refuses_addresses_of_the_wrong_role", refusesRoles},
		{"request_gets_the_answer_and_errors_as_error_messages", requests},
		{"a_panic_while_answering_is_an_error_answer", panicAnswered},
		{"nobody_differs_from_no_answer", nobodyOrTimeout},
		{"answers_concurrently_and_stop_waits_for_them", answersConcurrently},
		{"each_request_goes_to_one_of_those_that_serve", oneServes},
		{"broadcasts_to_all_who_listen_now", broadcasts},
		{"after_a_purge_new_messages_arrive", purgeHeals},
		{"after_streams_and_consumers_are_deleted_new_messages_arrive", deleteHeals},
		{"while_down_everything_is_unavailable_at_once", downIsUnavailable},
		{"delivers_each_message_after_reconnect", deliversAfterReconnect},
		{"serving_and_listening_survive_an_outage", servingSurvives},
		{"oversized_messages_are_invalid", oversized},
		{"large_messages_that_repeat_themselves_pass", large},
		{"close_twice_and_use_after_close", closeTwice},
		{"close_waits_for_handlers_and_ctx_bounds_it", closeWaits},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, h.New(t))
		})
	}
}

// RunLeak runs once without parallel tests beside it and fails when a goroutine is left, but for those that ignore names.
func RunLeak(t *testing.T, h Harness, ignore ...goleak.Option) {
	t.Helper()
	t.Run("no_goroutine_left", func(t *testing.T) {
		ignore = append(ignore, goleak.IgnoreCurrent())
		t.Run("use", func(t *testing.T) {
			in := h.New(t)
			b := connect(t, in)
			got := consume(t, b, wire.Commands)
			_, err := b.Serve(wire.Scheduler, echo)
			require.NoError(t, err)
			_, err = b.Listen(wire.Events, func([]byte) {})
			require.NoError(t, err)
			publish(t, b, wire.Commands, "1")
			got.wait(t, "1")
			in.Delete(t)
			in.Down(t)
			in.Up(t)
			publish(t, b, wire.Commands, "2")
			got.wait(t, "2")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			require.NoError(t, b.Close(ctx))
		})
		goleak.VerifyNone(t, ignore...)
	})
}

func connect(t *testing.T, in Instance) Bus {
	t.Helper()
	b := in.Connect(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, b.Close(ctx))
	})
	require.Eventually(t, func() bool { return b.Connected() > 0 }, patience, time.Millisecond)
	return b
}

// publish repeats until the bus took the message, as a relay does.
func publish(t *testing.T, b Bus, to wire.Address, msgs ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, m := range msgs {
		var told []string // why it was not taken, each reason once
		for err := b.Publish(ctx, to, "id of "+m, []byte(m)); err != nil; err = b.Publish(ctx, to, "id of "+m, []byte(m)) {
			if !slices.Contains(told, err.Error()) {
				told = append(told, err.Error())
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				require.Fail(t, "not taken", "publishing %q to %s: %q", m, to, told)
			}
		}
	}
}

// inbox collects messages.
type inbox struct {
	mu   sync.Mutex
	got  []string
	more chan struct{}
}

func newInbox() *inbox { return &inbox{more: make(chan struct{})} }

func (i *inbox) add(msg []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got = append(i.got, string(msg))
	close(i.more)
	i.more = make(chan struct{})
}

func (i *inbox) all() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.got)
}

// wait waits until each of the messages has come, in any order, also more than once.
func (i *inbox) wait(t *testing.T, want ...string) {
	t.Helper()
	end := time.After(patience)
	for {
		i.mu.Lock()
		got, more := slices.Clone(i.got), i.more
		i.mu.Unlock()
		missing := slices.DeleteFunc(slices.Clone(want), func(w string) bool { return slices.Contains(got, w) })
		if len(missing) == 0 {
			return
		}
		select {
		case <-more:
		case <-end:
			t.Fatalf("still waiting for %d of %d messages, first %q, got %d", len(missing), len(want), missing[0], len(got))
		}
	}
}

// consume consumes into an inbox until the test ends.
func consume(t *testing.T, b Bus, from wire.Address) *inbox {
	t.Helper()
	in := newInbox()
	consumeWith(t, b, from, func(_ context.Context, msg []byte) error { in.add(msg); return nil })
	return in
}

// consumeWith consumes until stop or the end of the test.
func consumeWith(t *testing.T, b Bus, from wire.Address, h func(context.Context, []byte) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Consume(ctx, from, h) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil && !cluster.Is(err, cluster.Unavailable) { // the bus may be closed already
				t.Errorf("Consume: %v", err)
			}
		case <-time.After(patience):
			t.Error("Consume did not end")
		}
	})
	t.Cleanup(stop)
	return stop
}

func numbered(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("m%03d", i)
	}
	return all
}

func inOrder(t *testing.T, in Instance) {
	b := connect(t, in)
	got := consume(t, b, wire.Runner("s-1"))
	publish(t, b, wire.Runner("s-1"), numbered(100)...)
	got.wait(t, numbered(100)...)
	require.Equal(t, numbered(100), got.all())
}

func keepsMessages(t *testing.T, in Instance) {
	b := connect(t, in)
	for _, a := range []wire.Address{wire.Commands, wire.Reports, wire.Runner("s.with/odd name")} {
		publish(t, b, a, "early")
		consume(t, connect(t, in), a).wait(t, "early")
	}
}

func dropsRepetition(t *testing.T, in Instance) {
	b := connect(t, in)
	ctx := t.Context()
	require.NoError(t, b.Publish(ctx, wire.Reports, "7", []byte("one")))
	require.NoError(t, b.Publish(ctx, wire.Reports, "7", []byte("one")))
	require.NoError(t, b.Publish(ctx, wire.Reports, "7", []byte("another")))
	require.NoError(t, b.Publish(ctx, wire.Reports, "", []byte("no id")))
	require.NoError(t, b.Publish(ctx, wire.Reports, "", []byte("no id")))
	require.NoError(t, b.Publish(ctx, wire.Reports, "8", []byte("last")))
	got := consume(t, b, wire.Reports)
	got.wait(t, "last")
	require.Equal(t, []string{"one", "another", "no id", "no id", "last"}, got.all())
}

func offersAgain(t *testing.T, in Instance) {
	b := connect(t, in)
	got := newInbox()
	var mu sync.Mutex
	var times []time.Time
	consumeWith(t, b, wire.Commands, func(_ context.Context, msg []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if times = append(times, time.Now()); len(times) < 4 {
			return errors.New("not yet")
		}
		got.add(msg)
		return nil
	})
	publish(t, b, wire.Commands, "stubborn")
	got.wait(t, "stubborn")
	mu.Lock()
	defer mu.Unlock()
	require.Greater(t, times[3].Sub(times[2]), times[1].Sub(times[0]), "the pause must grow: %v", times)
	require.GreaterOrEqual(t, times[1].Sub(times[0]), 30*time.Millisecond, "an error must not be answered by an instant retry")
}

func failingDoesNotBlock(t *testing.T, in Instance) {
	b := connect(t, in)
	got := newInbox()
	consumeWith(t, b, wire.Commands, func(_ context.Context, msg []byte) error {
		if string(msg) == "bad" {
			return errors.New("never")
		}
		got.add(msg)
		return nil
	})
	publish(t, b, wire.Commands, append([]string{"bad"}, numbered(20)...)...)
	got.wait(t, numbered(20)...)
}

func setsPoisonAside(t *testing.T, in Instance) {
	b := connect(t, in)
	got, attempts := newInbox(), newInbox()
	consumeWith(t, b, wire.Reports, func(_ context.Context, msg []byte) error {
		if strings.HasPrefix(string(msg), "junk") {
			attempts.add(msg)
			return fmt.Errorf("reading report: %w", &wire.PoisonError{Reason: "not JSON"})
		}
		got.add(msg)
		return nil
	})
	publish(t, b, wire.Reports, "junk 1", "m1", "junk 2", "m2")
	got.wait(t, "m1", "m2")
	require.Eventually(t, func() bool { return in.SetAside(t) == 2 }, patience, 5*time.Millisecond)
	require.ElementsMatch(t, []string{"junk 1", "junk 2"}, attempts.all(), "poison must be offered once")
}

func panicSetsAside(t *testing.T, in Instance) {
	b := connect(t, in)
	got := newInbox()
	consumeWith(t, b, wire.Commands, func(_ context.Context, msg []byte) error {
		if string(msg) == "bomb" {
			panic("boom")
		}
		got.add(msg)
		return nil
	})
	publish(t, b, wire.Commands, "bomb", "after")
	got.wait(t, "after")
	require.Eventually(t, func() bool { return in.SetAside(t) == 1 }, patience, 5*time.Millisecond)
}

func consumersShare(t *testing.T, in Instance) {
	a, b := connect(t, in), connect(t, in)
	first, second := newInbox(), newInbox()
	both := make(chan struct{})
	var seen sync.Map
	part := func(i *inbox, name string) func(context.Context, []byte) error {
		return func(ctx context.Context, msg []byte) error {
			i.add(msg)
			if seen.Store(name, true); len(maps.Collect(entries(&seen))) == 2 {
				select {
				case <-both:
				default:
					close(both)
				}
			}
			select { // nobody takes all: each holds its first until the other has one, too
			case <-both:
			case <-ctx.Done():
			case <-time.After(patience):
			}
			return nil
		}
	}
	consumeWith(t, a, wire.Commands, part(first, "first"))
	consumeWith(t, b, wire.Commands, part(second, "second"))
	publish(t, a, wire.Commands, numbered(60)...)
	require.Eventually(t, func() bool { return len(first.all())+len(second.all()) >= 60 }, patience, 5*time.Millisecond)
	got := append(first.all(), second.all()...)
	slices.Sort(got)
	require.Equal(t, numbered(60), got, "each message goes to one of them")
}

func entries(m *sync.Map) func(func(string, bool) bool) {
	return func(yield func(string, bool) bool) {
		m.Range(func(k, v any) bool { return yield(k.(string), v.(bool)) })
	}
}

func sessionsApart(t *testing.T, in Instance) {
	b := connect(t, in)
	one, two := consume(t, b, wire.Runner("s-1")), consume(t, b, wire.Runner("s-2"))
	publish(t, b, wire.Runner("s-1"), "for 1")
	publish(t, b, wire.Runner("s-2"), "for 2")
	one.wait(t, "for 1")
	two.wait(t, "for 2")
	require.Equal(t, []string{"for 1"}, one.all())
	require.Equal(t, []string{"for 2"}, two.all())
}

func handedBack(t *testing.T, in Instance) {
	b := connect(t, in)
	publish(t, b, wire.Commands, numbered(10)...)
	begun := make(chan struct{}, 10)
	stop := consumeWith(t, b, wire.Commands, func(ctx context.Context, _ []byte) error {
		begun <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	<-begun
	stop()
	start := time.Now()
	consume(t, b, wire.Commands).wait(t, numbered(10)...)
	require.Less(t, time.Since(start), 5*time.Second, "must not wait until an acknowledgement is overdue")
}

func forgets(t *testing.T, in Instance) {
	b := connect(t, in)
	gone, stays := wire.Runner("gone"), wire.Runner("stays")
	require.NoError(t, b.Forget(t.Context(), gone), "an unknown one is no error")
	publish(t, b, gone, "old")
	publish(t, b, stays, "kept")
	require.NoError(t, b.Forget(t.Context(), gone))
	require.NoError(t, b.Forget(t.Context(), gone))
	got := consume(t, b, gone)
	publish(t, b, gone, "new")
	got.wait(t, "new")
	require.Equal(t, []string{"new"}, got.all())
	consume(t, b, stays).wait(t, "kept")
	require.Error(t, b.Forget(t.Context(), wire.Commands))
}

func refusesRoles(t *testing.T, in Instance) {
	b := connect(t, in)
	ctx := t.Context()
	for _, a := range []wire.Address{wire.Events, wire.Scheduler, "", "runner.*", "runner.a.b"} {
		require.True(t, cluster.Is(b.Publish(ctx, a, "", nil), cluster.Invalid), "Publish %q", a)
		require.True(t, cluster.Is(b.Consume(ctx, a, nil), cluster.Invalid), "Consume %q", a)
		require.True(t, cluster.Is(b.Forget(ctx, a), cluster.Invalid), "Forget %q", a)
	}
	for _, a := range []wire.Address{wire.Events, wire.Commands, "", "call.>"} {
		_, err := b.Request(ctx, a, nil)
		require.True(t, cluster.Is(err, cluster.Invalid), "Request %q", a)
		_, err = b.Serve(a, echo)
		require.True(t, cluster.Is(err, cluster.Invalid), "Serve %q", a)
	}
	for _, a := range []wire.Address{wire.Commands, wire.Scheduler, ""} {
		require.True(t, cluster.Is(b.Broadcast(a, nil), cluster.Invalid), "Broadcast %q", a)
		_, err := b.Listen(a, func([]byte) {})
		require.True(t, cluster.Is(err, cluster.Invalid), "Listen %q", a)
	}
}
