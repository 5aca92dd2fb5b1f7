package natsbus_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/embedded/natsembed"
	"github.com/millrace/millrace/tests/conformance/bustest"
)

// server is a NATS server that can go away and come back under the same address, with or without its data.
type server struct {
	t    testing.TB
	dir  string
	port int
	srv  *natsembed.Server
}

func newServer(t testing.TB) *server {
	s := &server{t: t, dir: t.TempDir(), port: freePort(t)}
	s.up()
	t.Cleanup(func() { s.down() })
	return s
}

func (s *server) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.port) }

func (s *server) up() {
	s.t.Helper()
	srv, err := natsembed.Start(context.Background(), natsembed.Options{DataDir: s.dir, Port: s.port})
	require.NoError(s.t, err)
	s.srv = srv
}

func (s *server) down() {
	if s.srv != nil {
		require.NoError(s.t, s.srv.Close(context.Background()))
		s.srv = nil
	}
}

// lose forgets everything stored; only while down.
func (s *server) lose() { s.dir = s.t.TempDir() }

// freePort finds a port below the range from which the system gives out ports by itself, so that nobody takes it while
// the server is away.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(12000)
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			require.NoError(t, ln.Close())
			return port
		}
	}
	t.Fatal("no free port found")
	return 0
}

// admin does something behind the bus's back.
func (s *server) admin(f func(ctx context.Context, js jetstream.JetStream)) {
	s.t.Helper()
	nc, err := nats.Connect(s.url())
	require.NoError(s.t, err)
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(10_000))
	require.NoError(s.t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	f(ctx, js)
}

func (s *server) eachStream(f func(ctx context.Context, js jetstream.JetStream, st jetstream.Stream)) {
	s.t.Helper()
	s.admin(func(ctx context.Context, js jetstream.JetStream) {
		names := js.StreamNames(ctx)
		for name := range names.Name() {
			st, err := js.Stream(ctx, name)
			if errors.Is(err, jetstream.ErrStreamNotFound) {
				continue
			}
			require.NoError(s.t, err)
			f(ctx, js, st)
		}
		require.NoError(s.t, names.Err())
	})
}

func (s *server) purge() {
	s.eachStream(func(ctx context.Context, _ jetstream.JetStream, st jetstream.Stream) {
		require.NoError(s.t, st.Purge(ctx))
	})
}

func (s *server) deleteStreams() {
	s.eachStream(func(ctx context.Context, js jetstream.JetStream, st jetstream.Stream) {
		if err := js.DeleteStream(ctx, st.CachedInfo().Config.Name); err != nil {
			require.ErrorIs(s.t, err, jetstream.ErrStreamNotFound)
		}
	})
}

func (s *server) deleteConsumers() {
	s.eachStream(func(ctx context.Context, js jetstream.JetStream, st jetstream.Stream) {
		names := st.ConsumerNames(ctx)
		for name := range names.Name() {
			require.NoError(s.t, st.DeleteConsumer(ctx, name))
		}
		require.NoError(s.t, names.Err())
	})
}

func (s *server) setAside() int {
	n := 0
	s.eachStream(func(_ context.Context, _ jetstream.JetStream, st jetstream.Stream) {
		if info := st.CachedInfo(); info.Config.Name == "MILLRACE_SET_ASIDE" {
			n = int(info.State.Msgs)
		}
	})
	return n
}

func (s *server) connect(t testing.TB, change ...func(*natsbus.Options)) *natsbus.Bus {
	t.Helper()
	o := natsbus.Options{URL: s.url(), Name: t.Name()}
	for _, c := range change {
		c(&o)
	}
	b, err := natsbus.Connect(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, b.Close(ctx))
	})
	return b
}

func harness(del func(*server)) bustest.Harness {
	return bustest.Harness{New: func(t *testing.T) bustest.Instance {
		s := newServer(t)
		return bustest.Instance{
			Connect: func(t *testing.T) bustest.Bus {
				b, err := natsbus.Connect(t.Context(), natsbus.Options{URL: s.url(), Name: t.Name()})
				require.NoError(t, err)
				return b
			},
			Purge:    func(*testing.T) { s.purge() },
			Delete:   func(*testing.T) { del(s) },
			Down:     func(*testing.T) { s.down() },
			Up:       func(*testing.T) { s.up() },
			SetAside: func(*testing.T) int { return s.setAside() },
		}
	}}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	bustest.Run(t, harness((*server).deleteStreams))
}

func TestConformance_leak(t *testing.T) {
	bustest.RunLeak(t, harness((*server).deleteStreams),
		// The server's own, which it keeps for a while after streams are deleted and after it is shut down.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

// value is a metric's value; the labels are pairs of name and value.
func value(t *testing.T, reg *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	metrics:
		for _, m := range f.GetMetric() {
			have := map[string]string{}
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			for i := 0; i < len(labels); i += 2 {
				if have[labels[i]] != labels[i+1] {
					continue metrics
				}
			}
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return 0
}
