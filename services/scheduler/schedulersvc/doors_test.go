package schedulersvc

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/membus"
	"github.com/millrace/millrace/controlplane/memstore"
	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/lifecycle"
)

const token = "let me in"

// post sends an envelope to the internal door as a runner does whose bus is away.
func post(t *testing.T, addr, bearer string, kind wire.Kind, q any) (int, wire.Envelope) {
	t.Helper()
	msg, err := wire.Encode(kind, "id-1", q)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/internal/v1/message", bytes.NewReader(msg))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if resp.StatusCode != http.StatusOK {
		require.Empty(t, b)
		return resp.StatusCode, wire.Envelope{}
	}
	e, err := wire.Open(b)
	require.NoError(t, err)
	return resp.StatusCode, e
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func refuses(t *testing.T, addr string) {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err == nil {
		require.NoError(t, c.Close())
	}
	require.Error(t, err, "nobody listens any more")
}

func TestFault_NO_1_without_a_bus_a_runner_registers_beats_and_is_told_its_jobs_by_HTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := w.config("a")
	cfg.InternalListen, cfg.InternalToken = "127.0.0.1:0", token
	_, info, stop := w.start(cfg)
	w.hub.Down()

	code, _ := post(t, info.Internal, "guess", wire.KindPing, wire.Ack{})
	require.Equal(t, http.StatusNotFound, code, "a stranger learns nothing")
	beat := cluster.Heartbeat{Runner: "r:1", Session: "s1", State: cluster.SessionActive}
	reply := func() cluster.HeartbeatReply {
		code, e := post(t, info.Internal, token, wire.KindBeat, beat)
		require.Equal(t, http.StatusOK, code)
		require.Equal(t, "id-1", e.ID)
		r, err := wire.Decode[cluster.HeartbeatReply](e, wire.KindBeat)
		require.NoError(t, err)
		return r
	}
	require.False(t, reply().Known, "it has to register")
	_, e := post(t, info.Internal, token, wire.KindRegister, cluster.Registration{Runner: "r:1", Session: "s1",
		Plugins: []cluster.PluginRef{{Class: class, Kind: "source", Version: "1", Digest: "d"}}})
	missing, err := wire.Decode[wire.RegisterReply](e, wire.KindRegister)
	require.NoError(t, err)
	require.Len(t, missing.Missing, 1)
	require.True(t, reply().Known)

	_, _, err = w.store.CreateConnector(t.Context(), cluster.NewConnector{UID: "u", Name: "c", Class: class, Type: cluster.TypeSource})
	require.NoError(t, err)
	w.eventually("the heartbeat's answer names the job", func() bool { r := reply(); return r.Differs && len(r.Held) == 1 })
	_, e = post(t, info.Internal, token, wire.KindSpecs, wire.SpecsRequest{Session: "s1", Jobs: []cluster.JobID{cluster.InstanceJob("u")}})
	specs, err := wire.Decode[wire.SpecsReply](e, wire.KindSpecs)
	require.NoError(t, err)
	require.Len(t, specs.Specs, 1)
	st := cluster.Status{Job: specs.Specs[0].Job, Session: "s1", Epoch: specs.Specs[0].Epoch, Revision: 1, State: cluster.StateRunning, WorkerID: "r:1"}
	_, e = post(t, info.Internal, token, wire.KindReport, wire.Report{Session: "s1", Statuses: []cluster.Status{st}})
	require.Equal(t, wire.KindAck, e.Kind, "it is stored when that is said")
	v, err := w.store.Connector(t.Context(), "c")
	require.NoError(t, err)
	require.Equal(t, cluster.StateRunning, v.Status.State)

	stop()
	refuses(t, info.Internal)
}

func TestService_shows_health_metrics_and_signals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, stopFirst := w.replica("first")
	w.eventually("it leads", first.leading.Load)
	cfg := w.config("a")
	cfg.AdminListen = "127.0.0.1:0"
	s, info, stop := w.start(cfg)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/signals": 503, "/other": 404} {
		code, _ := get(t, "http://"+info.Admin+path)
		require.Equal(t, want, code, path)
	}
	stopFirst()
	w.eventually("it leads", s.leading.Load)
	_, _, err := w.store.CreateConnector(t.Context(), cluster.NewConnector{UID: "u", Name: "c", Class: class, Type: cluster.TypeSource})
	require.NoError(t, err)
	w.eventually("a job without a runner wants one", func() bool {
		code, body := get(t, "http://"+info.Admin+"/signals")
		return code == http.StatusOK && strings.Contains(body, `"wanted_runners":1`)
	})
	_, metrics := get(t, "http://"+info.Admin+"/metrics")
	require.Contains(t, metrics, `millrace_scheduler_wanted_runners{pool="default"} 1`)
	require.Contains(t, metrics, "millrace_scheduler_leader 1")
	stop()
	refuses(t, info.Admin)
}

func TestService_that_can_not_start_leaves_nothing_behind(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	w := newWorld(t)
	cfg := w.config("a")
	cfg.AdminListen, cfg.InternalListen = "127.0.0.1:0", taken.Addr().String()
	stack, info := lifecycle.New(nil), Info{}
	s := newService(cfg, w.store, w.hub.Connect())
	require.ErrorContains(t, s.start(t.Context(), stack, &info), "listening for runners")
	require.NoError(t, stack.Close(context.Background()))
	refuses(t, info.Admin)
	require.False(t, s.leading.Load())
	_, ok, _, err := w.store.AcquireLease(t.Context(), "next", time.Second)
	require.NoError(t, err)
	require.True(t, ok, "it never asked for the leadership")
}

// slow is a store whose statuses take as long as the test wants.
type slow struct {
	*memstore.Store
	begun chan struct{}
	goOn  chan struct{}
	wrote atomic.Bool
}

func (s *slow) StoreStatuses(ctx context.Context, all []cluster.Status) ([]bool, []cluster.UID, []cluster.OutboxMessage, error) {
	close(s.begun)
	<-s.goOn
	s.wrote.Store(true)
	return s.Store.StoreStatuses(ctx, all)
}

func TestService_a_drain_finishes_the_report_that_it_is_writing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	st := &slow{Store: w.store, begun: make(chan struct{}), goOn: make(chan struct{})}
	bus, stack := w.hub.Connect(), lifecycle.New(nil)
	s := newService(w.config("a"), st, bus)
	require.NoError(t, s.start(t.Context(), stack, &Info{}))
	msg, err := wire.Encode(wire.KindReport, "", wire.Report{Statuses: []cluster.Status{{Job: cluster.InstanceJob("u"), Session: "s1", State: cluster.StateRunning}}})
	require.NoError(t, err)
	require.NoError(t, w.hub.Connect().Publish(t.Context(), wire.Reports, "", msg))
	<-st.begun
	closed := make(chan error, 1)
	go func() { closed <- stack.Close(context.Background()) }()
	w.eventually("it has resigned", func() bool {
		_, ok, _, err := w.store.AcquireLease(t.Context(), "next", time.Hour)
		require.NoError(t, err)
		return ok
	})
	require.Empty(t, closed, "it waits for the report")
	close(st.goOn)
	require.NoError(t, <-closed)
	require.True(t, st.wrote.Load())
	w.eventually("acknowledged: nobody gets it again", func() bool { return w.hub.Queued(wire.Reports) == 0 })
	require.NoError(t, bus.Close(context.Background()))
}

// deafBus loses its consumers again and again.
type deafBus struct {
	*membus.Bus
	began atomic.Int64
}

func (b *deafBus) Consume(ctx context.Context, from wire.Address, h func(context.Context, []byte) error) error {
	if b.began.Add(1) <= 2*(reportConsumers+1) {
		return cluster.Errorf(cluster.Unavailable, "the consumer was deleted")
	}
	return b.Bus.Consume(ctx, from, h)
}

func TestFault_LC_2_a_consumer_that_ends_is_started_again(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := &deafBus{Bus: w.hub.Connect()}
	stack := lifecycle.New(nil)
	require.NoError(t, newService(w.config("a"), w.store, b).start(t.Context(), stack, &Info{}))
	w.eventually("all consume for the third time", func() bool { return b.began.Load() >= 3*(reportConsumers+1) })
	require.NoError(t, stack.Close(context.Background()))
}

func TestRun_says_by_its_exit_code_what_is_wrong(t *testing.T) {
	t.Parallel()
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := closed.Addr().String()
	require.NoError(t, closed.Close())
	for name, tc := range map[string]struct {
		postgres string
		want     int
	}{
		"an address that is none":      {"postgres://%zz", exitcode.BadInput},
		"a database that is not there": {"postgres://nobody@" + addr + "/none?connect_timeout=1", exitcode.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // it would wait for a minute
			defer cancel()
			err := Run(ctx, Config{Postgres: tc.postgres, NATS: natsbus.Options{URL: "nats://" + addr}, Logger: slog.New(slog.DiscardHandler),
				Ready: func(Info) { t.Error("is not ready") }})
			require.Error(t, err)
			require.Equal(t, tc.want, exitcode.Of(err), err)
		})
	}
}
