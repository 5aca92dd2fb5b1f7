package bustest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

func echo(_ context.Context, msg []byte) ([]byte, error) { return append([]byte("re "), msg...), nil }

func serve(t *testing.T, b Bus, at wire.Address, h func(context.Context, []byte) ([]byte, error)) (stop func()) {
	t.Helper()
	stop, err := b.Serve(at, h)
	require.NoError(t, err)
	t.Cleanup(stop)
	return stop
}

func requests(t *testing.T, in Instance) {
	a, b := connect(t, in), connect(t, in)
	serve(t, a, wire.Validator("org.example.Source"), echo)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, asker := range []Bus{a, b} {
		got, err := asker.Request(ctx, wire.Validator("org.example.Source"), []byte("hello"))
		require.NoError(t, err)
		require.Equal(t, "re hello", string(got))
	}
	serve(t, a, wire.Scheduler, func(context.Context, []byte) ([]byte, error) {
		return nil, fmt.Errorf("storing: %w", cluster.Errorf(cluster.StaleEpoch, "epoch 3 is over"))
	})
	msg, err := wire.Encode(wire.KindPing, "r-1", wire.Ack{})
	require.NoError(t, err)
	got, err := b.Request(ctx, wire.Scheduler, msg)
	require.NoError(t, err, "an error answer comes back as bytes")
	e, err := wire.Open(got)
	require.NoError(t, err)
	require.Equal(t, "r-1", e.ID)
	_, err = wire.Decode[wire.Ack](e, wire.KindAck)
	require.True(t, cluster.Is(err, cluster.StaleEpoch), "%v", err)
}

func panicAnswered(t *testing.T, in Instance) {
	b := connect(t, in)
	serve(t, b, wire.Scheduler, func(_ context.Context, msg []byte) ([]byte, error) {
		if string(msg) == "bomb" {
			panic("boom")
		}
		return msg, nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := b.Request(ctx, wire.Scheduler, []byte("bomb"))
	require.NoError(t, err)
	e, err := wire.Open(got)
	require.NoError(t, err)
	_, err = wire.Decode[wire.Ack](e, wire.KindAck)
	require.True(t, cluster.Is(err, cluster.Internal), "%v", err)
	got, err = b.Request(ctx, wire.Scheduler, []byte("still there"))
	require.NoError(t, err)
	require.Equal(t, "still there", string(got))
}

func nobodyOrTimeout(t *testing.T, in Instance) {
	a, b := connect(t, in), connect(t, in)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	start := time.Now()
	_, err := b.Request(ctx, wire.RunnerCall("s-1"), []byte("ping"))
	require.ErrorIs(t, err, wire.ErrNobody)
	require.Less(t, time.Since(start), soon, "nobody must be told at once")

	release := make(chan struct{})
	stop := serve(t, a, wire.RunnerCall("s-1"), func(context.Context, []byte) ([]byte, error) { <-release; return nil, nil })
	short, cancelShort := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancelShort()
	_, err = b.Request(short, wire.RunnerCall("s-1"), []byte("ping"))
	require.True(t, cluster.Is(err, cluster.Timeout), "%v", err)
	_, err = b.Request(short, wire.RunnerCall("s-1"), []byte("ping"))
	require.True(t, cluster.Is(err, cluster.Timeout), "a context that has ended already: %v", err)

	close(release)
	stop()
	require.Eventually(t, func() bool {
		_, err = b.Request(ctx, wire.RunnerCall("s-1"), []byte("ping"))
		return errors.Is(err, wire.ErrNobody)
	}, patience, time.Millisecond, "after stop nobody serves")
}

func answersConcurrently(t *testing.T, in Instance) {
	const n = 20
	b := connect(t, in)
	var here sync.WaitGroup
	here.Add(n)
	var finished atomic.Int32
	release := make(chan struct{})
	stop := serve(t, b, wire.Scheduler, func(_ context.Context, msg []byte) ([]byte, error) {
		here.Done()
		<-release
		finished.Add(1)
		return msg, nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var asking sync.WaitGroup
	for i := range n {
		asking.Go(func() {
			want := fmt.Appendf(nil, "q%d", i)
			got, err := b.Request(ctx, wire.Scheduler, want)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("request %d: %q, %v", i, got, err)
			}
		})
	}
	here.Wait() // all run at once
	stopped := make(chan int32)
	go func() { stop(); stopped <- finished.Load() }()
	select {
	case <-stopped:
		t.Error("stop did not wait")
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	require.EqualValues(t, n, <-stopped)
	asking.Wait()
}

func oneServes(t *testing.T, in Instance) {
	var first, second atomic.Int32
	count := func(c *atomic.Int32) func(context.Context, []byte) ([]byte, error) {
		return func(_ context.Context, msg []byte) ([]byte, error) { c.Add(1); return msg, nil }
	}
	a, b := connect(t, in), connect(t, in)
	serve(t, a, wire.Scheduler, count(&first))
	serve(t, b, wire.Scheduler, count(&second))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 100 {
		_, err := a.Request(ctx, wire.Scheduler, []byte("q"))
		require.NoError(t, err)
	}
	require.EqualValues(t, 100, first.Load()+second.Load())
	require.Positive(t, first.Load())
	require.Positive(t, second.Load())
}

func broadcasts(t *testing.T, in Instance) {
	a, b := connect(t, in), connect(t, in)
	require.NoError(t, a.Broadcast(wire.Events, []byte("nobody hears")))
	one, two, other, levels := newInbox(), newInbox(), newInbox(), newInbox()
	stop, err := a.Listen(wire.Events, one.add)
	require.NoError(t, err)
	for i, l := range map[*inbox]wire.Address{two: wire.Events, other: wire.Wakes, levels: wire.LogLevels} {
		stop, err := b.Listen(l, i.add)
		require.NoError(t, err)
		t.Cleanup(stop)
	}
	require.NoError(t, a.Broadcast(wire.Events, []byte("1")))
	require.NoError(t, a.Broadcast(wire.Events, []byte("2")))
	one.wait(t, "1", "2")
	two.wait(t, "1", "2")
	stop()
	stop()
	require.NoError(t, b.Broadcast(wire.Wakes, []byte("w")))
	require.NoError(t, b.Broadcast(wire.Events, []byte("3")))
	require.NoError(t, b.Broadcast(wire.LogLevels, []byte("l")))
	levels.wait(t, "l")
	two.wait(t, "3")
	other.wait(t, "w")
	require.Equal(t, []string{"1", "2"}, one.all())
	require.Equal(t, []string{"1", "2", "3"}, two.all())
	require.Equal(t, []string{"w"}, other.all())
}
