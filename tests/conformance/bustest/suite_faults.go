package bustest

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

var queues = []wire.Address{wire.Commands, wire.Reports, wire.Runner("s-1")}

// heals uses every queue, does harm, and requires that new messages arrive while the same Consume calls go on.
func heals(t *testing.T, in Instance, harm func(*testing.T)) {
	publisher, consumer := connect(t, in), connect(t, in)
	inboxes := map[wire.Address]*inbox{}
	for _, a := range queues {
		inboxes[a] = consume(t, consumer, a)
		publish(t, publisher, a, "before")
		inboxes[a].wait(t, "before")
	}
	for _, round := range []string{"after 1", "after 2"} {
		harm(t)
		for _, a := range queues {
			start := time.Now()
			publish(t, publisher, a, round)
			inboxes[a].wait(t, round)
			require.Less(t, time.Since(start), 5*time.Second, "%s must heal within a poll interval", a)
		}
	}
}

func purgeHeals(t *testing.T, in Instance) { heals(t, in, in.Purge) }

func deleteHeals(t *testing.T, in Instance) { heals(t, in, in.Delete) }

func downIsUnavailable(t *testing.T, in Instance) {
	b := connect(t, in)
	publish(t, b, wire.Commands, "stored")
	in.Down(t)
	require.Eventually(t, func() bool { return b.Connected() == 0 }, patience, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	start := time.Now()
	require.True(t, cluster.Is(b.Publish(ctx, wire.Commands, "1", []byte("lost")), cluster.Unavailable))
	_, err := b.Request(ctx, wire.Scheduler, []byte("q"))
	require.True(t, cluster.Is(err, cluster.Unavailable), "nobody can be told only while connected: %v", err)
	require.False(t, errors.Is(err, wire.ErrNobody))
	require.True(t, cluster.Is(b.Forget(ctx, wire.Runner("s-1")), cluster.Unavailable))
	require.True(t, cluster.Is(b.Broadcast(wire.Events, []byte("e")), cluster.Unavailable))
	require.Less(t, time.Since(start), soon)

	in.Up(t)
	publish(t, b, wire.Commands, "again")
	consume(t, b, wire.Commands).wait(t, "stored", "again")
	require.Positive(t, b.Connected())
}

func deliversAfterReconnect(t *testing.T, in Instance) {
	publisher, consumer := connect(t, in), connect(t, in)
	got := consume(t, consumer, wire.Reports)
	all := numbered(60)
	publish(t, publisher, wire.Reports, all[:20]...)
	in.Down(t)
	in.Up(t)
	publish(t, publisher, wire.Reports, all[20:40]...)
	in.Down(t)
	in.Up(t)
	publish(t, publisher, wire.Reports, all[40:]...)
	got.wait(t, all...)
}

func servingSurvives(t *testing.T, in Instance) {
	a, b := connect(t, in), connect(t, in)
	serve(t, a, wire.Scheduler, echo)
	heard := newInbox()
	stop, err := a.Listen(wire.Wakes, heard.add)
	require.NoError(t, err)
	t.Cleanup(stop)

	in.Down(t)
	require.Eventually(t, func() bool { return a.Connected() == 0 }, patience, time.Millisecond)
	serve(t, a, wire.RunnerCall("s-1"), echo) // begun while down
	in.Up(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, at := range []wire.Address{wire.Scheduler, wire.RunnerCall("s-1")} {
		require.Eventually(t, func() bool {
			got, err := b.Request(ctx, at, []byte("q"))
			return err == nil && string(got) == "re q"
		}, patience, 5*time.Millisecond, "%s", at)
	}
	require.Eventually(t, func() bool {
		_ = b.Broadcast(wire.Wakes, []byte("look")) // fails until the connection is back
		return len(heard.all()) > 0
	}, patience, 5*time.Millisecond)
}

func oversized(t *testing.T, in Instance) {
	b := connect(t, in)
	big := make([]byte, 2<<20)
	_, err := rand.NewChaCha8([32]byte{}).Read(big) // what can't be packed
	require.NoError(t, err)
	require.True(t, cluster.Is(b.Publish(t.Context(), wire.Commands, "1", big), cluster.Invalid))
	serve(t, b, wire.Scheduler, func(context.Context, []byte) ([]byte, error) { return big, nil })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = b.Request(ctx, wire.Scheduler, big)
	require.True(t, cluster.Is(err, cluster.Invalid), "%v", err)
	got, err := b.Request(ctx, wire.Scheduler, []byte("q"))
	require.NoError(t, err, "an answer that does not fit must not look like silence")
	e, err := wire.Open(got)
	require.NoError(t, err)
	_, err = wire.Decode[wire.Ack](e, wire.KindAck)
	require.True(t, cluster.Is(err, cluster.Internal), "%v", err)
}

// large messages are the configurations of many tasks of one connector.
func large(t *testing.T, in Instance) {
	b := connect(t, in)
	big := "{" + strings.Repeat(`"connection.url":"jdbc:postgresql://db/orders",`, 100_000)
	queued, heard := consume(t, b, wire.Reports), newInbox()
	stop, err := b.Listen(wire.Wakes, heard.add)
	require.NoError(t, err)
	t.Cleanup(stop)
	require.NoError(t, b.Publish(t.Context(), wire.Reports, "1", []byte(big)))
	queued.wait(t, big)
	require.NoError(t, b.Broadcast(wire.Wakes, []byte(big)))
	heard.wait(t, big)
	serve(t, b, wire.Scheduler, echo)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := b.Request(ctx, wire.Scheduler, []byte(big))
	require.NoError(t, err)
	require.True(t, string(got) == "re "+big)
}

func closeTwice(t *testing.T, in Instance) {
	b := in.Connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	serve(t, b, wire.Scheduler, echo)
	require.NoError(t, b.Close(ctx))
	require.NoError(t, b.Close(ctx))
	require.Zero(t, b.Connected())
	require.True(t, cluster.Is(b.Publish(ctx, wire.Commands, "1", nil), cluster.Unavailable))
	require.True(t, cluster.Is(b.Consume(ctx, wire.Commands, nil), cluster.Unavailable))
	require.True(t, cluster.Is(b.Forget(ctx, wire.Runner("s")), cluster.Unavailable))
	require.True(t, cluster.Is(b.Broadcast(wire.Events, nil), cluster.Unavailable))
	_, err := b.Request(ctx, wire.Scheduler, nil)
	require.True(t, cluster.Is(err, cluster.Unavailable), "%v", err)
	_, err = b.Serve(wire.Scheduler, echo)
	require.True(t, cluster.Is(err, cluster.Unavailable), "%v", err)
	_, err = b.Listen(wire.Events, func([]byte) {})
	require.True(t, cluster.Is(err, cluster.Unavailable), "%v", err)
}

func closeWaits(t *testing.T, in Instance) {
	begin := func(work string) (b Bus, release chan struct{}, told chan struct{}) {
		b = in.Connect(t)
		begun := make(chan struct{}, 2)
		release, told = make(chan struct{}), make(chan struct{}, 2)
		hold := func(ctx context.Context) {
			begun <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
				told <- struct{}{}
			}
		}
		consumeWith(t, b, wire.Commands, func(ctx context.Context, _ []byte) error { hold(ctx); return ctx.Err() })
		serve(t, b, wire.Scheduler, func(ctx context.Context, _ []byte) ([]byte, error) { hold(ctx); return nil, ctx.Err() })
		publish(t, b, wire.Commands, work)
		go func() { _, _ = b.Request(t.Context(), wire.Scheduler, []byte("q")) }() // ends with the bus
		<-begun
		<-begun
		return b, release, told
	}

	b, _, told := begin("first")
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.True(t, cluster.Is(b.Close(short), cluster.Timeout))
	<-told
	<-told
	in.Purge(t)

	b, release, told := begin("second")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- b.Close(ctx) }()
	select {
	case err := <-closed:
		t.Errorf("Close did not wait for handlers (%v)", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	require.NoError(t, <-closed)
	require.Empty(t, told, "nobody had to be told to give up")
}
