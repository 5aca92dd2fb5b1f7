package natsbus_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/embedded/natsembed"
	"github.com/millrace/millrace/tests/logs"
)

func TestSetAside_keeps_the_message_with_its_reason_and_logs_no_content(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var out logs.Buffer
	reg := prometheus.NewRegistry()
	b := s.connect(t, func(o *natsbus.Options) { o.Logger, o.Registerer = out.Logger(), reg })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = b.Consume(ctx, wire.Reports, func(context.Context, []byte) error { return &wire.PoisonError{Reason: "kind \"dance\"\nline two"} }) // ends with ctx
	}()
	require.NoError(t, b.Publish(ctx, wire.Reports, "r-17", []byte("password=hunter2")))
	require.Eventually(t, func() bool { return s.setAside() == 1 }, patience, 5*time.Millisecond)
	s.admin(func(ctx context.Context, js jetstream.JetStream) {
		st, err := js.Stream(ctx, "MILLRACE_SET_ASIDE")
		require.NoError(t, err)
		m, err := st.GetLastMsgForSubject(ctx, "millrace.aside.reports")
		require.NoError(t, err)
		require.Equal(t, "password=hunter2", string(m.Data))
		require.Equal(t, `kind "dance"`, m.Header.Get("Millrace-Reason"))
		require.Equal(t, "reports", m.Header.Get("Millrace-Address"))
		require.Equal(t, "r-17", m.Header.Get("Millrace-Id"))
	})
	require.EqualValues(t, 1, value(t, reg, "millrace_bus_set_aside_total", "address", "reports"))
	require.Contains(t, out.String(), "message set aside")
	require.Contains(t, out.String(), "id=r-17")
	require.NotContains(t, out.String(), "hunter2")
}

func TestMetrics_count_by_kind_of_address_and_two_buses_share_a_registry(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	reg := prometheus.NewRegistry()
	one := s.connect(t, func(o *natsbus.Options) { o.Name, o.Registerer = "one", reg })
	two := s.connect(t, func(o *natsbus.Options) { o.Name, o.Registerer = "two", reg })
	for _, client := range []string{"one", "two"} {
		require.EqualValues(t, 1, value(t, reg, "millrace_bus_connected", "client", client))
	}
	fails := true
	got := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = two.Consume(ctx, wire.Runner("s-1"), func(context.Context, []byte) error { // ends with ctx
			if fails {
				fails = false
				return fmt.Errorf("once")
			}
			close(got)
			return nil
		})
	}()
	require.NoError(t, one.Publish(ctx, wire.Runner("s-1"), "1", []byte("x")))
	<-got
	_, err := one.Request(ctx, wire.Scheduler, nil)
	require.ErrorIs(t, err, wire.ErrNobody)
	require.Error(t, one.Publish(ctx, wire.Commands, "2", incompressible(2<<20)))
	require.EqualValues(t, 1, value(t, reg, "millrace_bus_published_total", "address", "runner"))
	require.EqualValues(t, 1, value(t, reg, "millrace_bus_publish_errors_total", "address", "commands"))
	require.EqualValues(t, 1, value(t, reg, "millrace_bus_redelivered_total", "address", "runner"))
	require.EqualValues(t, 1, value(t, reg, "millrace_bus_consumed_total", "address", "runner", "result", "error"))
	require.EqualValues(t, 1, value(t, reg, "millrace_bus_requests_total", "address", "scheduler", "result", "nobody"))
	require.Eventually(t, func() bool {
		return value(t, reg, "millrace_bus_consumed_total", "address", "runner", "result", "ok") == 1 &&
			value(t, reg, "millrace_bus_streams_made_total", "stream", "MILLRACE_RUNNERS") >= 1
	}, patience, 5*time.Millisecond)
	s.down()
	require.Eventually(t, func() bool { return value(t, reg, "millrace_bus_connected", "client", "one") == 0 }, patience, 5*time.Millisecond)
}

func TestTopology_of_another_version_is_changed_and_its_messages_and_replicas_stay(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.admin(func(ctx context.Context, js jetstream.JetStream) {
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{
			Name: "MILLRACE_COMMANDS", Subjects: []string{"millrace.queue.commands"}, Retention: jetstream.WorkQueuePolicy, MaxMsgs: 10, MaxAge: time.Hour,
		})
		require.NoError(t, err)
		_, err = js.Publish(ctx, "millrace.queue.commands", []byte("from before"))
		require.NoError(t, err)
	})
	b := s.connect(t)
	await(t, consume(t, b, wire.Commands), "from before", patience)
	require.Eventually(t, func() bool {
		changed := false
		s.admin(func(ctx context.Context, js jetstream.JetStream) {
			st, err := js.Stream(ctx, "MILLRACE_COMMANDS")
			require.NoError(t, err)
			c := st.CachedInfo().Config
			changed = c.MaxMsgs == 20_000 && c.MaxAge == 2*time.Minute && c.Replicas == 1
		})
		return changed
	}, patience, 10*time.Millisecond)
}

func TestPublish_and_set_aside_make_a_missing_stream_by_themselves(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	b := s.connect(t)
	made := 4
	for _, to := range []wire.Address{wire.Commands, wire.Reports, wire.Runner("s-1")} {
		require.Eventually(t, func() bool { // else those that are still being made at the start would mix in
			n := 0
			s.eachStream(func(context.Context, jetstream.JetStream, jetstream.Stream) { n++ })
			return n == made
		}, patience, 5*time.Millisecond)
		made = 1
		s.deleteStreams()
		require.NoError(t, b.Publish(t.Context(), to, "once", []byte("once")), "%s: the one call must do it", to)
		var all []string
		s.eachStream(func(_ context.Context, _ jetstream.JetStream, st jetstream.Stream) {
			all = append(all, st.CachedInfo().Config.Name)
			require.EqualValues(t, 1, st.CachedInfo().State.Msgs)
		})
		require.Len(t, all, 1)
	}
	s.deleteStreams()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = b.Consume(ctx, wire.Reports, func(context.Context, []byte) error { return &wire.PoisonError{Reason: "no"} }) // ends with ctx
	}()
	publish(t, b, wire.Reports, "poison")
	require.Eventually(t, func() bool { return s.setAside() == 1 }, patience, 5*time.Millisecond)
}

func TestInProcess_connections_need_no_socket(t *testing.T) {
	t.Parallel()
	srv, err := natsembed.Start(t.Context(), natsembed.Options{DataDir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close(context.Background())) })
	b, err := natsbus.Connect(t.Context(), natsbus.Options{URL: srv.URL(), NATSOptions: []nats.Option{srv.InProcess()}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close(context.Background())) })
	got := consume(t, b, wire.Commands)
	publish(t, b, wire.Commands, "hello")
	await(t, got, "hello", patience)
}

func TestServe_ends_the_context_of_a_handler_whose_asker_gave_up_and_skips_late_requests(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	b := s.connect(t)
	ended := make(chan error, 1)
	stop, err := b.Serve(wire.Scheduler, func(ctx context.Context, _ []byte) ([]byte, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	require.NoError(t, err)
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = b.Request(ctx, wire.Scheduler, nil)
	require.Error(t, err)
	select {
	case err := <-ended:
		require.ErrorIs(t, err, context.DeadlineExceeded)
	case <-time.After(patience):
		t.Fatal("the handler was not told")
	}
}

func incompressible(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.NewChaCha8([32]byte{}).Read(b); err != nil {
		panic(err) // never
	}
	return b
}
