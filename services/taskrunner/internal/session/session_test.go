package session_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/membus"
	"github.com/millrace/millrace/controlplane/memstore"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/jobs"
	"github.com/millrace/millrace/services/taskrunner/internal/session"
)

const class = "org.example.Source"

// scheduler is the least that a scheduler does: it answers from a store, and assigns by hand.
type scheduler struct {
	t     *testing.T
	store *memstore.Store
	bus   *membus.Bus
	mute  atomic.Bool // answers nothing over the bus
	kinds sync.Map    // wire.Kind → *atomic.Int64: answered
}

func newScheduler(t *testing.T, hub *membus.Hub) *scheduler {
	s := &scheduler{t: t, store: memstore.New(time.Now), bus: hub.Connect()}
	stop, err := s.bus.Serve(wire.Scheduler, func(ctx context.Context, msg []byte) ([]byte, error) {
		if s.mute.Load() {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return s.answer(ctx, msg)
	})
	require.NoError(t, err)
	t.Cleanup(stop)
	go func() {
		_ = s.bus.Consume(t.Context(), wire.Reports, func(ctx context.Context, msg []byte) error {
			e, err := wire.Open(msg)
			require.NoError(t, err)
			r, err := wire.Decode[wire.Report](e, wire.KindReport)
			require.NoError(t, err)
			return s.keep(ctx, r)
		})
	}()
	return s
}

func (s *scheduler) keep(ctx context.Context, r wire.Report) error {
	if _, err := s.store.StoreTopics(ctx, r.Topics); err != nil {
		return err
	}
	if _, _, _, err := s.store.StoreStatuses(ctx, r.Statuses); err != nil {
		return err
	}
	for _, tc := range r.TaskConfigs {
		if _, _, err := s.store.StoreTaskConfigs(ctx, tc); err != nil {
			return err
		}
	}
	return nil
}

func (s *scheduler) answer(ctx context.Context, msg []byte) ([]byte, error) {
	e, err := wire.Open(msg)
	if err != nil {
		return nil, err
	}
	n, _ := s.kinds.LoadOrStore(e.Kind, &atomic.Int64{})
	n.(*atomic.Int64).Add(1)
	switch e.Kind {
	case wire.KindRegister:
		r, err := wire.Decode[cluster.Registration](e, e.Kind)
		require.NoError(s.t, err)
		missing, _, err := s.store.Register(ctx, r)
		if err != nil {
			return nil, err
		}
		return wire.Encode(e.Kind, e.ID, wire.RegisterReply{Missing: missing})
	case wire.KindDefine:
		d, err := wire.Decode[wire.Define](e, e.Kind)
		require.NoError(s.t, err)
		if err := s.store.DefinePlugins(ctx, d.Plugins); err != nil {
			return nil, err
		}
		return wire.Encode(wire.KindAck, e.ID, wire.Ack{})
	case wire.KindBeat:
		hb, err := wire.Decode[cluster.Heartbeat](e, e.Kind)
		require.NoError(s.t, err)
		reply, _, err := s.store.Heartbeat(ctx, hb)
		if err != nil {
			return nil, err
		}
		return wire.Encode(e.Kind, e.ID, reply)
	case wire.KindSpecs:
		q, err := wire.Decode[wire.SpecsRequest](e, e.Kind)
		require.NoError(s.t, err)
		specs, err := s.store.Specs(ctx, q.Session, q.Jobs)
		if err != nil {
			return nil, err
		}
		return wire.Encode(e.Kind, e.ID, wire.SpecsReply{Specs: specs})
	case wire.KindReport:
		r, err := wire.Decode[wire.Report](e, e.Kind)
		require.NoError(s.t, err)
		if err := s.keep(ctx, r); err != nil {
			return nil, err
		}
		return wire.Encode(wire.KindAck, e.ID, wire.Ack{})
	}
	s.t.Errorf("asked for %s", e.Kind)
	return nil, cluster.Errorf(cluster.Invalid, "kind %s", e.Kind)
}

func (s *scheduler) answered(kind wire.Kind) int64 {
	n, ok := s.kinds.Load(kind)
	if !ok {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

// commit takes decisions as the leader; the messages are sent only if told is true.
func (s *scheduler) commit(told bool, steps ...cluster.Decision) {
	l, ok, _, err := s.store.AcquireLease(s.t.Context(), "test", time.Minute)
	require.NoError(s.t, err)
	require.True(s.t, ok)
	out, err := s.store.CommitPlan(s.t.Context(), l.Term, steps)
	require.NoError(s.t, err)
	require.NoError(s.t, s.store.ResignLease(s.t.Context(), l))
	if told {
		s.publish(out)
	}
}

func (s *scheduler) publish(out []cluster.OutboxMessage) {
	for _, m := range out {
		require.NoError(s.t, s.bus.Publish(s.t.Context(), wire.Address(m.Address), strconv.FormatInt(m.ID, 10), m.Payload))
	}
}

func (s *scheduler) session() cluster.SessionID {
	snap, err := s.store.Snapshot(s.t.Context())
	require.NoError(s.t, err)
	for _, r := range snap.Runners {
		if r.State != cluster.SessionLost {
			return r.Session
		}
	}
	return ""
}

func (s *scheduler) create(name string) cluster.Connector {
	c, _, err := s.store.CreateConnector(s.t.Context(), cluster.NewConnector{UID: cluster.UID("uid-" + name), Name: name, Class: class, Type: cluster.TypeSource})
	require.NoError(s.t, err)
	return c
}

func (s *scheduler) status(name string) *cluster.Status {
	v, err := s.store.Connector(s.t.Context(), name)
	require.NoError(s.t, err)
	return v.Status
}

func (s *scheduler) eventually(what string, cond func() bool) {
	s.t.Helper()
	require.Eventually(s.t, cond, 30*time.Second, 5*time.Millisecond, what)
}

// instance reports RUNNING and one task, tells when the runner is going to leave, and stops when told.
type instance struct{ left chan<- struct{} }

func (i instance) Run(take, _ context.Context, env job.Env) error {
	env.Report.State(cluster.StateRunning)
	env.Report.TaskConfigs(env.Spec.ConfigVersion, []cluster.Config{cluster.ConfigOf(map[string]string{"n": "0"})}, true)
	select {
	case <-env.Leaving:
		close(i.left)
		<-take.Done()
	case <-take.Done():
	}
	return nil
}

type runner struct {
	*session.Session
	jobs    *jobs.Supervisor
	leaving <-chan struct{} // closed when its only job knows
	stop    func()
}

func startRunner(t *testing.T, hub *membus.Hub, http *session.HTTPDoor) *runner {
	t.Helper()
	return startRunnerThat(t, hub, http, func(*session.Options) {})
}

func startRunnerThat(t *testing.T, hub *membus.Hub, http *session.HTTPDoor, change func(*session.Options)) *runner {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	out, leaving := session.NewOutbox(), make(chan struct{})
	sup := jobs.New(jobs.Options{WorkerID: "r:1", Out: out, Logger: log, Factory: func(cluster.JobSpec) (job.Instance, error) { return instance{leaving}, nil }})
	o := session.Options{Registration: cluster.Registration{Runner: "r:1", Capacity: 10},
		Plugins: []cluster.PluginRecord{{PluginRef: cluster.PluginRef{Class: class, Version: "1", Kind: "source", Digest: "d"}, Definition: []byte(`{"keys":[]}`)}},
		Bus:     hub.Connect(), HTTP: http, Jobs: sup, Outbox: out, Heartbeat: 20 * time.Millisecond, Logger: log,
		KafkaClusterID: func() string { return "k1" }}
	change(&o)
	s := session.New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	r := &runner{Session: s, jobs: sup, leaving: leaving, stop: func() { cancel(); <-done }}
	t.Cleanup(func() { r.stop(); require.NoError(t, sup.Close(context.Background())) })
	return r
}

func TestSession_registers_with_its_plugins_and_runs_what_it_is_told(t *testing.T) {
	t.Parallel()
	hub := membus.New(membus.Faults{}, nil)
	s := newScheduler(t, hub)
	r := startRunner(t, hub, nil)
	s.eventually("registered", func() bool { return r.Ready(t.Context()) == nil })
	plugins, err := s.store.Plugins(t.Context())
	require.NoError(t, err)
	require.Len(t, plugins, 1)
	require.JSONEq(t, `{"keys":[]}`, string(plugins[0].Definition))
	id, err := s.store.KafkaClusterID(t.Context())
	require.NoError(t, err)
	require.Equal(t, "k1", id)

	c := s.create("c")
	s.commit(true, cluster.Decision{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: s.session(), Epoch: 1})
	s.eventually("RUNNING and one task", func() bool {
		v, err := s.store.Connector(t.Context(), "c")
		return err == nil && v.Status != nil && v.Status.State == cluster.StateRunning && len(v.Tasks) == 1
	})
	require.Equal(t, cluster.RunnerID("r:1"), s.status("c").WorkerID)
}

func TestSession_tells_the_id_of_the_Kafka_cluster_also_when_the_broker_answers_after_the_registration(t *testing.T) {
	t.Parallel()
	hub := membus.New(membus.Faults{}, nil)
	s := newScheduler(t, hub)
	var kafka atomic.Value
	kafka.Store("")
	r := startRunnerThat(t, hub, nil, func(o *session.Options) { o.KafkaClusterID = func() string { return kafka.Load().(string) } })
	s.eventually("registered", func() bool { return r.Ready(t.Context()) == nil })
	first := s.session()
	kafka.Store("k2")
	s.eventually("the id", func() bool {
		id, err := s.store.KafkaClusterID(t.Context())
		return err == nil && id == "k2"
	})
	require.Equal(t, first, s.session(), "the session goes on")
}

func TestFault_LC_1_an_assignment_and_a_status_that_are_lost_come_with_the_heartbeats(t *testing.T) {
	t.Parallel()
	hub := membus.New(membus.Faults{}, nil)
	s := newScheduler(t, hub)
	startRunner(t, hub, nil)
	s.eventually("registered", func() bool { return s.session() != "" })
	c := s.create("c")
	hub.Cut(wire.Reports) // statuses vanish
	s.commit(false, cluster.Decision{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: s.session(), Epoch: 1})
	s.eventually("task configs, which go by request", func() bool {
		v, err := s.store.Connector(t.Context(), "c")
		return err == nil && len(v.Tasks) == 1
	})
	hub.Heal(wire.Reports)
	s.eventually("RUNNING", func() bool { st := s.status("c"); return st != nil && st.State == cluster.StateRunning })
}

func TestHandover_the_former_holder_lets_go_at_the_request_of_its_successor(t *testing.T) {
	t.Parallel()
	hub := membus.New(membus.Faults{}, nil)
	s := newScheduler(t, hub)
	former := startRunner(t, hub, nil)
	s.eventually("registered", func() bool { return s.session() != "" })
	c := s.create("c")
	id := cluster.InstanceJob(c.UID)
	s.commit(true, cluster.Decision{Kind: cluster.Assign, Job: id, Session: s.session(), Epoch: 1})
	s.eventually("RUNNING", func() bool { st := s.status("c"); return st != nil && st.State == cluster.StateRunning })

	successor := session.New(session.Options{Bus: hub.Connect(), Logger: slog.New(slog.DiscardHandler)})
	successor.Handover(t.Context(), id, cluster.Former{Session: "nobody", Epoch: 1}) // returns
	successor.Handover(t.Context(), id, cluster.Former{Session: s.session(), Epoch: 0})
	require.Len(t, former.jobs.Holding().Held, 1)
	successor.Handover(t.Context(), id, cluster.Former{Session: s.session(), Epoch: 1})
	require.Empty(t, former.jobs.Holding().Held)
}

// A report that a slow scheduler still has in its hands while the runner tells a newer one by another way is stored last.
func TestFault_DC_3_task_configs_that_an_older_report_overwrote_come_again(t *testing.T) {
	t.Parallel()
	hub := membus.New(membus.Faults{}, nil)
	s := newScheduler(t, hub)
	startRunnerThat(t, hub, nil, func(o *session.Options) { o.Resync = 50 * time.Millisecond })
	s.eventually("registered", func() bool { return s.session() != "" })
	c := s.create("c")
	s.commit(true, cluster.Decision{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: s.session(), Epoch: 1})
	tasks := func() int {
		v, err := s.store.Connector(t.Context(), "c")
		require.NoError(t, err)
		return len(v.Tasks)
	}
	s.eventually("one task", func() bool { return tasks() == 1 })
	changed, _, err := s.store.StoreTaskConfigs(t.Context(), cluster.TaskConfigReport{Job: cluster.InstanceJob(c.UID), Session: s.session(), Epoch: 1,
		ConfigVersion: 1, Tasks: make([]cluster.Config, 3)})
	require.NoError(t, err)
	require.True(t, changed, "the store can't tell which is newer")
	s.eventually("one task again", func() bool { return tasks() == 1 })
}

func TestSession_goes_by_HTTP_when_the_bus_is_away_and_keeps_its_jobs_when_all_is_silent(t *testing.T) {
	t.Parallel()
	hub := membus.New(membus.Faults{}, nil)
	s := newScheduler(t, hub)
	var open atomic.Bool
	open.Store(true)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/internal/v1/message" || r.Header.Get("Authorization") != "Bearer tok" || !open.Load() {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		reply, err := s.answer(r.Context(), body)
		if err != nil {
			reply = wire.EncodeError("", err)
		}
		_, _ = w.Write(reply)
	}))
	t.Cleanup(srv.Close)
	r := startRunner(t, hub, &session.HTTPDoor{URLs: []string{"http://127.0.0.1:1", srv.URL}, Token: "tok"})
	s.eventually("registered", func() bool { return s.session() != "" })
	hub.Down()
	c := s.create("c")
	s.commit(false, cluster.Decision{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: s.session(), Epoch: 1})
	s.eventually("assignment and status by HTTP", func() bool { st := s.status("c"); return st != nil && st.State == cluster.StateRunning })

	open.Store(false)
	beats := s.answered(wire.KindBeat)
	require.Never(t, func() bool { return len(r.jobs.Holding().Held) != 1 }, 300*time.Millisecond, 20*time.Millisecond, "a silent control plane stops nothing")
	require.InDelta(t, beats, s.answered(wire.KindBeat), 1)
	require.NoError(t, r.Ready(t.Context()), "and makes no runner unready")
	open.Store(true)
	s.eventually("beats again", func() bool { return s.answered(wire.KindBeat) > beats+2 })
}

func TestSession_that_was_given_up_stops_its_jobs_and_begins_a_new_one(t *testing.T) {
	t.Parallel()
	hub := membus.New(membus.Faults{}, nil)
	s := newScheduler(t, hub)
	r := startRunner(t, hub, nil)
	s.eventually("registered", func() bool { return s.session() != "" })
	old := s.session()
	c := s.create("c")
	s.commit(true, cluster.Decision{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: old, Epoch: 1})
	s.eventually("RUNNING", func() bool { return s.status("c") != nil })
	s.commit(true, cluster.Decision{Kind: cluster.Lose, Session: old})
	s.eventually("a new session", func() bool { id := s.session(); return id != "" && id != old })
	s.eventually("nothing held", func() bool { return len(r.jobs.Holding().Held) == 0 })
	s.commit(true, cluster.Decision{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: s.session(), Prior: 1, Epoch: 2})
	s.eventually("RUNNING under the new epoch", func() bool {
		st := s.status("c")
		return st != nil && st.Epoch == 2 && st.State == cluster.StateRunning
	})
}

func TestSession_drains_lets_go_and_says_goodbye(t *testing.T) {
	t.Parallel()
	hub := membus.New(membus.Faults{}, nil)
	s := newScheduler(t, hub)
	r := startRunner(t, hub, nil)
	s.eventually("registered", func() bool { return s.session() != "" })
	c := s.create("c")
	s.commit(true, cluster.Decision{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: s.session(), Epoch: 1})
	s.eventually("RUNNING", func() bool { return s.status("c") != nil })

	drained := make(chan struct{})
	go func() { r.Drain(t.Context()); close(drained) }()
	s.eventually("DRAINING is known", func() bool {
		snap, err := s.store.Snapshot(t.Context())
		return err == nil && len(snap.Runners) == 1 && snap.Runners[0].State == cluster.SessionDraining
	})
	s.commit(true, cluster.Decision{Kind: cluster.Release, Job: cluster.InstanceJob(c.UID), Session: s.session(), Prior: 1})
	<-drained
	<-r.leaving
	require.NoError(t, r.jobs.Close(t.Context()))
	s.eventually("the release is stored", func() bool {
		snap, err := s.store.Snapshot(t.Context())
		return err == nil && snap.Jobs[0].Session == ""
	})
	r.stop()
	require.NoError(t, r.Goodbye(t.Context()))
	snap, err := s.store.Snapshot(t.Context())
	require.NoError(t, err)
	require.Empty(t, snap.Runners, "nobody has to wait for its silence")
}

func TestSession_says_goodbye_again_while_it_may_and_leaves_all_the_same(t *testing.T) {
	t.Parallel()
	hub := membus.New(membus.Faults{}, nil)
	s := newScheduler(t, hub)
	r := startRunner(t, hub, nil)
	<-r.Registered()
	r.stop()
	hub.Cut(wire.Scheduler, wire.Reports)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.NoError(t, r.Goodbye(ctx), "it was told to stop, and stops")
	require.NotEmpty(t, s.session())

	healed := time.AfterFunc(100*time.Millisecond, func() { hub.Heal(wire.Scheduler, wire.Reports) })
	t.Cleanup(func() { healed.Stop() })
	require.NoError(t, r.Goodbye(t.Context()))
	snap, err := s.store.Snapshot(t.Context())
	require.NoError(t, err)
	require.Empty(t, snap.Runners, "said when somebody listened")
}

func TestSession_a_release_is_told_until_it_is_stored(t *testing.T) {
	t.Parallel()
	hub := membus.New(membus.Faults{}, nil)
	s := newScheduler(t, hub)
	startRunner(t, hub, nil)
	s.eventually("registered", func() bool { return s.session() != "" })
	c := s.create("c")
	s.commit(true, cluster.Decision{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: s.session(), Epoch: 1})
	s.eventually("RUNNING", func() bool { return s.status("c") != nil })
	s.commit(true, cluster.Decision{Kind: cluster.Release, Job: cluster.InstanceJob(c.UID), Session: s.session(), Prior: 1})
	hub.Cut(wire.Scheduler, wire.Reports)
	require.Never(t, func() bool {
		snap, err := s.store.Snapshot(t.Context())
		return err != nil || snap.Jobs[0].Session == ""
	}, 100*time.Millisecond, 20*time.Millisecond)
	hub.Heal(wire.Scheduler, wire.Reports)
	s.eventually("released", func() bool {
		snap, err := s.store.Snapshot(t.Context())
		return err == nil && snap.Jobs[0].Session == ""
	})
}
