package inbox

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// sessions is a fake that also registers and takes heartbeats as the test says.
type sessions struct {
	*fake
	reply     cluster.HeartbeatReply
	out       []cluster.OutboxMessage
	err       error
	forgotten []wire.Address
	defined   []cluster.PluginRecord
}

func (s *sessions) Register(context.Context, cluster.Registration) ([]cluster.PluginRef, []cluster.OutboxMessage, error) {
	return []cluster.PluginRef{{Class: "missing"}}, s.out, s.err
}

func (s *sessions) DefinePlugins(_ context.Context, plugins []cluster.PluginRecord) error {
	s.defined = append(s.defined, plugins...)
	return s.err
}

func (s *sessions) Heartbeat(context.Context, cluster.Heartbeat) (cluster.HeartbeatReply, []cluster.OutboxMessage, error) {
	return s.reply, s.out, s.err
}

func (s *sessions) Forget(_ context.Context, a wire.Address) error {
	s.forgotten = append(s.forgotten, a)
	return cluster.Errorf(cluster.Unavailable, "best effort")
}

func withSessions(t *testing.T) (*sessions, *Inbox, *prometheus.Registry) {
	t.Helper()
	s, reg := &sessions{fake: &fake{}}, prometheus.NewRegistry()
	return s, New(Config{Store: s, Bus: s, Deliver: s, Wake: s.wake, Inline: true, Logger: slog.New(slog.DiscardHandler), Metrics: NewMetrics(reg)}), reg
}

// counted is a counter's value under a label.
func counted(t *testing.T, reg *prometheus.Registry, name, label string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func TestAnswer_a_registration_wakes_the_leader_and_names_the_definitions_that_lack(t *testing.T) {
	t.Parallel()
	s, b, _ := withSessions(t)
	s.out = []cluster.OutboxMessage{{ID: 5}}
	e, err := wire.Open(b.AnswerHTTP(t.Context(), encode(t, wire.KindRegister, cluster.Registration{Runner: "r", Session: "s"})))
	require.NoError(t, err)
	reply, err := wire.Decode[wire.RegisterReply](e, wire.KindRegister)
	require.NoError(t, err)
	require.Equal(t, []cluster.PluginRef{{Class: "missing"}}, reply.Missing)
	require.Equal(t, 1, s.wakes)
	require.Equal(t, s.out, s.delivered)

	_, err = b.Answer(t.Context(), encode(t, wire.KindDefine, wire.Define{Plugins: []cluster.PluginRecord{{PluginRef: reply.Missing[0]}}}))
	require.NoError(t, err)
	require.Len(t, s.defined, 1)
}

func TestAnswer_a_heartbeat(t *testing.T) {
	t.Parallel()
	known := cluster.HeartbeatReply{Known: true, State: cluster.SessionActive}
	differs := known
	differs.Differs = true
	tests := map[string]struct {
		said   cluster.SessionState
		reply  cluster.HeartbeatReply
		out    []cluster.OutboxMessage
		wakes  int
		forget bool
		counts string
	}{
		"of a runner that works gives the planner nothing to do": {cluster.SessionActive, known, nil, 0, false, "same"},
		"that differs is corrected by its answer":                {cluster.SessionActive, differs, nil, 0, false, "differs"},
		"that changed something wakes the leader":                {cluster.SessionActive, known, []cluster.OutboxMessage{{ID: 1}}, 1, false, "same"},
		"of a runner that leaves wakes it too":                   {cluster.SessionDraining, known, nil, 1, false, "same"},
		"of one that has left ends its queue": {cluster.SessionClosed, cluster.HeartbeatReply{Known: true, State: cluster.SessionClosed},
			nil, 1, true, "ended"},
		"of a session that was given up says so":     {cluster.SessionActive, cluster.HeartbeatReply{Known: true, State: cluster.SessionLost}, nil, 0, false, "ended"},
		"of a session that nobody knows says so too": {cluster.SessionActive, cluster.HeartbeatReply{}, nil, 0, false, "unknown"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, b, reg := withSessions(t)
			s.reply, s.out = tc.reply, tc.out
			e, err := wire.Open(b.AnswerHTTP(t.Context(), encode(t, wire.KindBeat, cluster.Heartbeat{Session: "s", State: tc.said})))
			require.NoError(t, err)
			reply, err := wire.Decode[cluster.HeartbeatReply](e, wire.KindBeat)
			require.NoError(t, err)
			require.Equal(t, tc.reply, reply)
			require.Equal(t, tc.wakes, s.wakes)
			require.Equal(t, tc.forget, len(s.forgotten) == 1)
			require.Equal(t, tc.out, s.delivered)
			require.InDelta(t, 1, counted(t, reg, "millrace_scheduler_heartbeats_total", tc.counts), 0)
		})
	}
}

func TestAnswer_says_what_the_store_said_and_does_nothing_more(t *testing.T) {
	t.Parallel()
	for kind, q := range map[wire.Kind]any{wire.KindBeat: cluster.Heartbeat{Session: "s", State: cluster.SessionDraining},
		wire.KindRegister: cluster.Registration{Runner: "r", Session: "s"}, wire.KindDefine: wire.Define{}} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s, b, _ := withSessions(t)
			s.err = cluster.Errorf(cluster.Unavailable, "away")
			e, err := wire.Open(b.AnswerHTTP(t.Context(), encode(t, kind, q)))
			require.NoError(t, err)
			_, err = wire.Decode[wire.Ack](e, wire.KindAck)
			require.True(t, cluster.Is(err, cluster.Unavailable), err)
			require.Equal(t, "id-1", e.ID)
			require.Zero(t, s.wakes)
			require.Empty(t, s.delivered)
		})
	}
}

func TestFault_ZT_5_a_status_of_a_former_holder_is_refused_counted_and_not_told(t *testing.T) {
	t.Parallel()
	s, b, reg := withSessions(t)
	s.accept = func(st cluster.Status) bool { return st.Job.UID != "old" }
	r := report("old", "new")
	r.Statuses[0].Released = true // a former holder's release wakes nobody either
	require.Equal(t, []error{nil}, b.Store(t.Context(), []wire.Report{r}))
	require.InDelta(t, 1, counted(t, reg, "millrace_scheduler_reports_refused_total", ""), 0)
	require.InDelta(t, 1, counted(t, reg, "millrace_scheduler_reports_stored_total", ""), 0)
	require.Zero(t, s.wakes)
	changed, err := wire.Decode[wire.Changed](s.broadcasts[0], wire.KindChanged)
	require.NoError(t, err)
	require.Equal(t, []cluster.UID{"new"}, changed.UIDs)
}

func TestHandleReport_sets_aside_what_can_not_be_read(t *testing.T) {
	t.Parallel()
	_, b, reg := withSessions(t)
	for name, msg := range map[string][]byte{"no JSON": []byte("{"), "another kind": encode(t, wire.KindWake, wire.Wake{}), "an error": wire.EncodeError("1", errors.New("x"))} {
		_, poison := errors.AsType[*wire.PoisonError](b.HandleReport(t.Context(), msg))
		require.True(t, poison, name)
	}
	require.InDelta(t, 3, counted(t, reg, "millrace_scheduler_reports_poison_total", ""), 0)
}

// submitting starts a writer and one report that it is writing.
func submitting(t *testing.T, f *fake) (submitted <-chan error, stopSubmitter, stopWriter func()) {
	t.Helper()
	b := New(Config{Store: f, Bus: f, Deliver: f, Wake: func() {}, Logger: slog.New(slog.DiscardHandler)})
	work, endWork := context.WithCancel(t.Context())
	written := make(chan struct{})
	go func() { b.Run(work); close(written) }()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Submit(ctx, report("a")) }()
	synctest.Wait()
	return done, cancel, func() { endWork(); <-written }
}

func TestSubmit_a_drain_waits_for_what_is_being_written(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{goOn: make(chan struct{})}
		done, cancel, stop := submitting(t, f)
		cancel()
		time.AfterFunc(time.Second, func() { f.goOn <- struct{}{} })
		require.NoError(t, <-done, "it was stored, so it is acknowledged")
		stop()
	})
}

func TestSubmit_a_drain_does_not_wait_for_ever(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{goOn: make(chan struct{})}
		done, cancel, stop := submitting(t, f)
		begin := time.Now()
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		require.Equal(t, finishTime, time.Since(begin))
		f.goOn <- struct{}{}
		stop() // the writer finishes what it began
		require.Len(t, f.batches, 1)
	})
}

func TestSubmit_without_a_writer_ends_with_its_context(t *testing.T) {
	t.Parallel()
	b := New(Config{Store: &fake{}, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.Submit(ctx, report("a")), context.Canceled)
}
