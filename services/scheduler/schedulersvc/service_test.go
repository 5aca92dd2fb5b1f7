package schedulersvc

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/membus"
	"github.com/millrace/millrace/controlplane/memstore"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/lifecycle"
	"github.com/millrace/millrace/services/scheduler/internal/signals"
	"github.com/millrace/millrace/services/scheduler/plan"
)

// world is a store and a hub with scheduler replicas on them.
type world struct {
	t     *testing.T
	store *memstore.Store
	hub   *membus.Hub
}

func newWorld(t *testing.T) *world {
	return &world{t: t, store: memstore.New(time.Now), hub: membus.New(membus.Faults{}, nil)}
}

func (w *world) config(id string) Config {
	return Config{ID: id, Plan: plan.DefaultConfig(), Signals: signals.DefaultConfig(), Logger: slog.New(slog.DiscardHandler),
		Registerer: prometheus.NewRegistry(), Poll: time.Second}
}

func (w *world) replica(id string) (s *service, stop func()) {
	w.t.Helper()
	s, _, stop = w.start(w.config(id))
	return s, stop
}

func (w *world) start(cfg Config) (s *service, info Info, stop func()) {
	w.t.Helper()
	bus := w.hub.Connect()
	stack := lifecycle.New(nil)
	s = newService(cfg, w.store, bus)
	require.NoError(w.t, s.start(w.t.Context(), stack, &info))
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			require.NoError(w.t, stack.Close(context.Background()))
			require.NoError(w.t, bus.Close(context.Background()))
		}
	}
	w.t.Cleanup(stop)
	return s, info, stop
}

// ask sends a question as a runner does.
func ask[A any](w *world, bus *membus.Bus, kind wire.Kind, q any, want wire.Kind) (a A) {
	w.t.Helper()
	msg, err := wire.Encode(kind, "1", q)
	require.NoError(w.t, err)
	var b []byte
	w.eventually("an answer", func() bool {
		b, err = bus.Request(w.t.Context(), wire.Scheduler, msg)
		return err == nil
	})
	e, err := wire.Open(b)
	require.NoError(w.t, err)
	a, err = wire.Decode[A](e, want)
	require.NoError(w.t, err)
	return a
}

func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	require.Eventually(w.t, cond, 30*time.Second, 5*time.Millisecond, what)
}

const class = "org.example.Source"

func TestService_from_a_created_connector_to_its_stored_status(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, stop := w.replica("a")
	runner := w.hub.Connect()
	ask[wire.RegisterReply](w, runner, wire.KindRegister, cluster.Registration{Runner: "r:1", Session: "s1",
		Plugins: []cluster.PluginRef{{Class: class, Kind: "source", Version: "1", Digest: "d"}}}, wire.KindRegister)
	specs := make(chan cluster.JobSpec, 8)
	go func() {
		_ = runner.Consume(t.Context(), wire.Runner("s1"), func(_ context.Context, msg []byte) error {
			e, err := wire.Open(msg)
			require.NoError(t, err)
			spec, err := wire.Decode[cluster.JobSpec](e, wire.KindAssign)
			require.NoError(t, err)
			specs <- spec
			return nil
		})
	}()
	changed := make(chan struct{}, 8)
	stopListening, err := runner.Listen(wire.Events, func([]byte) { changed <- struct{}{} })
	require.NoError(t, err)
	defer stopListening()

	// AC-1: nobody publishes the command; the relay, or the poll, finds what was committed.
	_, _, err = w.store.CreateConnector(t.Context(), cluster.NewConnector{UID: "u", Name: "c", Class: class, Type: cluster.TypeSource})
	require.NoError(t, err)
	spec := <-specs
	require.Equal(t, cluster.InstanceJob("u"), spec.Job)
	report := wire.Report{Session: "s1", Statuses: []cluster.Status{{Job: spec.Job, Session: "s1", Epoch: spec.Epoch, Revision: spec.Revision,
		State: cluster.StateRunning, WorkerID: "r:1"}},
		TaskConfigs: []cluster.TaskConfigReport{{Job: spec.Job, Session: "s1", Epoch: spec.Epoch, ConfigVersion: 1, Tasks: []cluster.Config{{}}}}}
	msg, err := wire.Encode(wire.KindReport, "", report)
	require.NoError(t, err)
	require.NoError(t, runner.Publish(t.Context(), wire.Reports, "", msg))
	<-changed
	require.Equal(t, cluster.TaskJob("u", 0), (<-specs).Job)
	v, err := w.store.Connector(t.Context(), "c")
	require.NoError(t, err)
	require.Equal(t, cluster.StateRunning, v.Status.State)

	stop()
	_, ok, _, err := w.store.AcquireLease(t.Context(), "next", time.Second)
	require.NoError(t, err)
	require.True(t, ok, "the leadership was resigned on the way out")
}

func TestFault_SA_1_a_second_replica_takes_over_and_answers_all_along(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, stopA := w.replica("a")
	w.eventually("a leads", a.leading.Load)
	b, _ := w.replica("b")
	runner := w.hub.Connect()
	ask[wire.RegisterReply](w, runner, wire.KindRegister, cluster.Registration{Runner: "r:1", Session: "s1",
		Plugins: []cluster.PluginRef{{Class: class, Kind: "source", Version: "1", Digest: "d"}}}, wire.KindRegister)
	require.False(t, b.leading.Load())
	stopA()
	w.eventually("b leads", b.leading.Load)
	require.True(t, ask[cluster.HeartbeatReply](w, runner, wire.KindBeat, cluster.Heartbeat{Runner: "r:1", Session: "s1", State: cluster.SessionActive}, wire.KindBeat).Known)
	_, _, err := w.store.CreateConnector(t.Context(), cluster.NewConnector{UID: "u", Name: "c", Class: class, Type: cluster.TypeSource})
	require.NoError(t, err)
	w.eventually("b assigns", func() bool {
		snap, err := w.store.Snapshot(t.Context())
		return err == nil && snap.Jobs[0].Session == "s1"
	})
}

func TestFault_NO_2_without_a_bus_the_leader_still_assigns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.replica("a")
	w.eventually("a leads", a.leading.Load)
	_, _, err := w.store.Register(t.Context(), cluster.Registration{Runner: "r:1", Session: "s1", Plugins: []cluster.PluginRef{{Class: class, Kind: "source", Version: "1"}}})
	require.NoError(t, err)
	w.hub.Down()
	_, _, err = w.store.CreateConnector(t.Context(), cluster.NewConnector{UID: "u", Name: "c", Class: class, Type: cluster.TypeSource})
	require.NoError(t, err)
	require.NoError(t, a.ready(t.Context()), "NO-3: it stays ready")
	w.eventually("assigned", func() bool {
		_, _, err := w.store.Heartbeat(t.Context(), cluster.Heartbeat{Session: "s1", State: cluster.SessionActive})
		require.NoError(t, err)
		snap, err := w.store.Snapshot(t.Context())
		return err == nil && snap.Jobs[0].Session == "s1"
	})
}
