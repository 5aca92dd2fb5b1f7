package natsbus_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/controlplane/wire"
)

// poll is the reconcile poll of the scheduler: what the bus lost must not be missed for longer.
const poll = 5 * time.Second

// patience bounds waits whose length is not the point.
const patience = 20 * time.Second

// consume hands messages to a channel until the test ends.
func consume(t *testing.T, b *natsbus.Bus, from wire.Address) <-chan string {
	t.Helper()
	got := make(chan string, 10_000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Consume(ctx, from, func(_ context.Context, msg []byte) error { got <- string(msg); return nil }) // ends with ctx
	}()
	t.Cleanup(func() { cancel(); <-done })
	return got
}

// await takes messages until want has come.
func await(t *testing.T, got <-chan string, want string, within time.Duration) {
	t.Helper()
	end := time.After(within)
	for {
		select {
		case m := <-got:
			if m == want {
				return
			}
		case <-end:
			t.Fatalf("%q did not arrive within %s", want, within)
		}
	}
}

// publish repeats until the bus took the message.
func publish(t *testing.T, b *natsbus.Bus, to wire.Address, msg string) {
	t.Helper()
	require.Eventually(t, func() bool { return b.Publish(t.Context(), to, msg, []byte(msg)) == nil }, patience, 10*time.Millisecond)
}

// A stream that takes no messages is what the server leaves when one is made while its predecessor is being deleted; here it
// is one that acknowledges nothing, or none at all where somebody else hears the subject.
func TestPublish_replaces_a_stream_that_takes_no_messages(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(ctx context.Context, s *server, js jetstream.JetStream){
		"deaf": func(ctx context.Context, s *server, js jetstream.JetStream) {
			_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "MILLRACE_COMMANDS", Subjects: []string{"millrace.queue.commands"}, NoAck: true})
			require.NoError(s.t, err)
		},
		"somebody else": func(_ context.Context, s *server, _ jetstream.JetStream) {
			nc, err := nats.Connect(s.url())
			require.NoError(s.t, err)
			s.t.Cleanup(nc.Close)
			_, err = nc.SubscribeSync("millrace.queue.commands")
			require.NoError(s.t, err)
			require.NoError(s.t, nc.Flush())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			b := s.connect(t)
			publish(t, b, wire.Commands, "before") // the streams are made
			s.admin(func(ctx context.Context, js jetstream.JetStream) {
				require.NoError(t, js.DeleteStream(ctx, "MILLRACE_COMMANDS"))
				harm(ctx, s, js)
			})
			publish(t, b, wire.Commands, "after")
			await(t, consume(t, b, wire.Commands), "after", patience)
		})
	}
}

// The stream is purged right after publish: that message is gone, which the poll heals; the bus delivers what comes next.
func TestFault_LC_1_purged_streams_deliver_new_messages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	b := s.connect(t)
	for _, to := range []wire.Address{wire.Commands, wire.Runner("s-1")} {
		publish(t, b, to, "purged")
		s.purge()
		got := consume(t, b, to)
		publish(t, b, to, "new")
		select {
		case m := <-got:
			require.Equal(t, "new", m)
		case <-time.After(poll):
			t.Fatal("nothing arrived within a poll interval")
		}
	}
}

// The consumer is deleted while its owner waits, also when nobody tells the owner, and also with its stream.
func TestFault_LC_2_a_deleted_consumer_heals_within_a_poll_interval(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(*server){
		"consumers deleted":         (*server).deleteConsumers,
		"streams deleted":           (*server).deleteStreams,
		"deleted during an outage":  func(s *server) { s.down(); s.lose(); s.up() },
		"deleted and purged, twice": func(s *server) { s.deleteConsumers(); s.purge(); s.deleteConsumers() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			scheduler, runner := s.connect(t), s.connect(t)
			addresses := []wire.Address{wire.Commands, wire.Reports, wire.Runner("s-1"), wire.Runner("s-2")}
			var got []<-chan string
			for _, a := range addresses {
				got = append(got, consume(t, runner, a))
				publish(t, scheduler, a, "before")
				await(t, got[len(got)-1], "before", patience)
			}
			harm(s)
			start := time.Now()
			for i, a := range addresses {
				publish(t, scheduler, a, "after")
				await(t, got[i], "after", poll)
			}
			require.Less(t, time.Since(start), poll)
		})
	}
}

// A server comes back under its address without its data, several times: streams and consumers are made again, messages
// and requests go on, and no caller was told.
func TestA_server_replaced_by_an_empty_one_goes_unnoticed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	scheduler, runner := s.connect(t), s.connect(t)
	got := consume(t, runner, wire.Runner("s-1"))
	reports := consume(t, scheduler, wire.Reports)
	stop, err := runner.Serve(wire.RunnerCall("s-1"), func(_ context.Context, msg []byte) ([]byte, error) { return msg, nil })
	require.NoError(t, err)
	t.Cleanup(stop)
	for i := range 3 {
		m := fmt.Sprint("round ", i)
		publish(t, scheduler, wire.Runner("s-1"), m)
		await(t, got, m, patience)
		publish(t, runner, wire.Reports, m)
		await(t, reports, m, patience)
		require.Eventually(t, func() bool {
			_, err := scheduler.Request(t.Context(), wire.RunnerCall("s-1"), []byte("ping"))
			return err == nil
		}, patience, 5*time.Millisecond)
		s.down()
		s.lose()
		s.up()
	}
}

// Services start, and stay up, while the bus is away; what they asked for begins when it comes.
func TestConnect_works_without_a_server(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.down()
	b := s.connect(t)
	require.Zero(t, b.Connected())
	start := time.Now()
	require.True(t, cluster.Is(b.Publish(t.Context(), wire.Commands, "1", []byte("x")), cluster.Unavailable))
	_, err := b.Request(t.Context(), wire.Scheduler, []byte("x"))
	require.True(t, cluster.Is(err, cluster.Unavailable), "%v", err)
	require.Less(t, time.Since(start), time.Second)

	got := consume(t, b, wire.Commands)
	stop, err := b.Serve(wire.Scheduler, func(_ context.Context, msg []byte) ([]byte, error) { return msg, nil })
	require.NoError(t, err)
	t.Cleanup(stop)
	s.up()
	publish(t, b, wire.Commands, "at last")
	await(t, got, "at last", patience)
	require.Eventually(t, func() bool {
		_, err := b.Request(t.Context(), wire.Scheduler, []byte("q"))
		return err == nil
	}, patience, 5*time.Millisecond)
	require.Positive(t, b.Connected())
}

// After an outage nothing old is replayed without bound: every stream has an age, a size and a count, and one session's
// queue can't fill the others' stream.
func TestFault_NO_4_no_replay_storm(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	b := s.connect(t)
	publish(t, b, wire.Runner("alive"), "first of all")

	var configs []jetstream.StreamConfig
	require.Eventually(t, func() bool {
		configs = nil
		s.eachStream(func(_ context.Context, _ jetstream.JetStream, st jetstream.Stream) {
			configs = append(configs, st.CachedInfo().Config)
		})
		return len(configs) == 4
	}, patience, 10*time.Millisecond, "streams are made without being asked for")
	for _, c := range configs {
		require.Positive(t, c.MaxMsgs, c.Name)
		require.Positive(t, c.MaxBytes, c.Name)
		require.Positive(t, c.MaxAge, c.Name)
		require.Equal(t, jetstream.DiscardOld, c.Discard, c.Name)
		require.Equal(t, jetstream.FileStorage, c.Storage, c.Name)
		if c.Name != "MILLRACE_SET_ASIDE" {
			require.LessOrEqual(t, c.MaxAge, 5*time.Minute, "%s: messages are hints and grow old fast", c.Name)
			require.Equal(t, jetstream.WorkQueuePolicy, c.Retention, "%s: what was acknowledged must not come again", c.Name)
		}
	}

	// Many messages for a session that is gone, sent past the bus for speed.
	const sent, kept = 5_200, 5_000
	s.admin(func(ctx context.Context, js jetstream.JetStream) {
		var last jetstream.PubAckFuture
		for i := range sent {
			var err error
			last, err = js.PublishAsync("millrace.queue.runner.dead", fmt.Appendf(nil, "d%d", i))
			require.NoError(t, err)
		}
		select {
		case <-last.Ok():
		case err := <-last.Err():
			require.NoError(t, err)
		case <-ctx.Done():
			require.NoError(t, ctx.Err())
		}
	})
	await(t, consume(t, b, wire.Runner("alive")), "first of all", patience)
	got := consume(t, b, wire.Runner("dead"))
	count := 0
	for last := ""; last != fmt.Sprintf("d%d", sent-1); count++ {
		select {
		case last = <-got:
			if count == 0 {
				require.Equal(t, fmt.Sprintf("d%d", sent-kept), last, "the oldest are dropped")
			}
		case <-time.After(patience):
			t.Fatalf("the newest message did not arrive; %d came", count)
		}
	}
	require.Equal(t, kept, count)

	// What was acknowledged does not come again after a restart, once the server has heard of it.
	require.Eventually(t, func() bool {
		left := uint64(0)
		s.eachStream(func(_ context.Context, _ jetstream.JetStream, st jetstream.Stream) {
			left += st.CachedInfo().State.Msgs
		})
		return left == 0
	}, patience, 10*time.Millisecond)
	s.down()
	s.up()
	publish(t, b, wire.Runner("dead"), "fresh")
	select {
	case m := <-got:
		require.Equal(t, "fresh", m)
	case <-time.After(patience):
		t.Fatal("nothing arrived after the restart")
	}
}

// A holder that vanishes with a message does not take it along: another gets it once the acknowledgement is overdue. A
// holder that works for longer keeps it, and then goes on with what came meanwhile.
func TestConsume_slow_and_lost_holders(t *testing.T) {
	if testing.Short() {
		t.Skip("slow: waits for overdue acknowledgements, 12 s; run without -short")
	}
	t.Parallel()
	s := newServer(t)
	b := s.connect(t)

	// Lost: a client outside the bus takes the message and is gone.
	publish(t, b, wire.Reports, "orphan")
	consumed := consume(t, b, wire.Commands) // makes the consumer of commands exist
	publish(t, b, wire.Commands, "warm")
	await(t, consumed, "warm", patience)
	s.admin(func(ctx context.Context, js jetstream.JetStream) {
		c, err := js.CreateOrUpdateConsumer(ctx, "MILLRACE_REPORTS", jetstream.ConsumerConfig{
			Durable: "reports", FilterSubject: "millrace.queue.reports", AckPolicy: jetstream.AckExplicitPolicy,
			AckWait: 10 * time.Second, MaxDeliver: -1, MaxAckPending: 512,
		})
		require.NoError(t, err)
		m, err := c.Next()
		require.NoError(t, err)
		require.Equal(t, "orphan", string(m.Data()))
	})

	// Slow: the handler of the first message takes longer than an acknowledgement may.
	slow := wire.Runner("slow")
	var begun atomic.Int32
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	finished := make(chan string, 100)
	handler := func(_ context.Context, msg []byte) error {
		if string(msg) == "long" {
			begun.Add(1)
			<-release
		}
		finished <- string(msg)
		return nil
	}
	go func() { _ = b.Consume(ctx, slow, handler) }() // ends with ctx
	publish(t, b, slow, "long")
	require.Eventually(t, func() bool { return begun.Load() == 1 }, patience, time.Millisecond)
	start := time.Now()
	orphan := consume(t, b, wire.Reports)
	await(t, orphan, "orphan", patience)
	require.Less(t, time.Since(start), 12*time.Second)
	select {
	case <-time.After(time.Until(start.Add(12 * time.Second))):
	case <-ctx.Done():
	}
	require.EqualValues(t, 1, begun.Load(), "a message that is being worked on must not be offered to another")
	publish(t, b, slow, "came meanwhile") // after seconds of silence, which must not have clogged the subscription
	close(release)
	await(t, finished, "long", poll)
	await(t, finished, "came meanwhile", poll)
}

func TestConnect_tells_mistakes_in_its_options(t *testing.T) {
	t.Parallel()
	_, err := natsbus.Connect(t.Context(), natsbus.Options{URL: "nats://bad host:x"})
	require.True(t, cluster.Is(err, cluster.Invalid), "%v", err)
	_, err = natsbus.Connect(t.Context(), natsbus.Options{URL: "nats://user:hush@one:x, nats://hush@two:2,nats://three:3"})
	require.ErrorContains(t, err, `at "nats://one:x,nats://two:2,nats://three:3"`)
	require.NotContains(t, err.Error(), "hush")
	_, err = natsbus.Connect(t.Context(), natsbus.Options{URL: "nats://127.0.0.1:1", NATSOptions: []nats.Option{
		func(*nats.Options) error { return errors.New("no such file") },
	}})
	require.True(t, cluster.Is(err, cluster.Invalid), "%v", err)
	require.ErrorContains(t, err, "no such file")
}
