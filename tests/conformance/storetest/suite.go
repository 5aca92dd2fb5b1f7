package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// Run proves that a store keeps the contract of Store. open makes an empty one for each test; it is closed by its own
// cleanup.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, group := range [][]test{connectorTests, termTests, restartTests, jobTests, topicTests, queryTests, eventTests, planTests, outboxTests, leaseTests, runnerTests} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(&world{T: t, Store: open(t)})
			})
		}
	}
}

type test struct {
	name string
	run  func(w *world)
}

// world is a store under test with the steps that most tests begin with.
type world struct {
	*testing.T
	Store
	term cluster.Term
}

const class = "org.example.Source"

func config(pairs ...string) cluster.Config {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return cluster.ConfigOf(m)
}

func (w *world) create(name string) cluster.Connector {
	w.Helper()
	c, out, err := w.CreateConnector(w.Context(), cluster.NewConnector{UID: cluster.UID("uid-" + name), Name: name, Class: class,
		Type: cluster.TypeSource, Config: config("name", name)})
	require.NoError(w, err)
	require.NotEmpty(w, out)
	return c
}

func (w *world) view(name string) cluster.ConnectorView {
	w.Helper()
	v, err := w.Connector(w.Context(), name)
	require.NoError(w, err)
	return v
}

func (w *world) register(session cluster.SessionID) {
	w.Helper()
	_, _, err := w.Register(w.Context(), registration(session))
	require.NoError(w, err)
}

func registration(session cluster.SessionID) cluster.Registration {
	return cluster.Registration{Runner: cluster.RunnerID("runner-" + session), Session: session, Pool: "p", Labels: map[string]string{"zone": "a"},
		Capacity: 9, Plugins: []cluster.PluginRef{{Class: class, Version: "1", Kind: "source", Digest: "d1"}}, KafkaClusterID: "k1", Version: "0.1"}
}

func (w *world) lead() cluster.Term {
	w.Helper()
	if w.term == 0 {
		l, ok, _, err := w.AcquireLease(w.Context(), "leader", time.Hour)
		require.NoError(w, err)
		require.True(w, ok)
		w.term = l.Term
	}
	return w.term
}

func (w *world) commit(steps ...cluster.Decision) []cluster.OutboxMessage {
	w.Helper()
	out, err := w.CommitPlan(w.Context(), w.lead(), steps)
	require.NoError(w, err)
	return out
}

// hold gives a job to a session under the next epoch.
func (w *world) hold(job cluster.JobID, session cluster.SessionID) cluster.Epoch {
	w.Helper()
	e := w.job(job).Epoch
	w.commit(cluster.Decision{Kind: cluster.Assign, Job: job, Session: session, Prior: e, Epoch: e + 1})
	return e + 1
}

func (w *world) snapshot() cluster.Snapshot {
	w.Helper()
	s, err := w.Snapshot(w.Context())
	require.NoError(w, err)
	return s
}

// job is a job as the planner sees it; the zero value when it does not.
func (w *world) job(id cluster.JobID) cluster.JobView {
	w.Helper()
	for _, j := range w.snapshot().Jobs {
		if j.Job == id {
			return j
		}
	}
	return cluster.JobView{}
}

func (w *world) status(job cluster.JobID, session cluster.SessionID, epoch cluster.Epoch, state cluster.State, change ...func(*cluster.Status)) bool {
	w.Helper()
	st := cluster.Status{Job: job, Session: session, Epoch: epoch, Revision: w.job(job).Revision, State: state, WorkerID: "h:1", Version: "1"}
	for _, c := range change {
		c(&st)
	}
	accepted, _, _, err := w.StoreStatuses(w.Context(), []cluster.Status{st})
	require.NoError(w, err)
	require.Len(w, accepted, 1)
	return accepted[0]
}

func (w *world) split(c cluster.Connector, session cluster.SessionID, epoch cluster.Epoch, version int64, n int) (bool, error) {
	w.Helper()
	r := cluster.TaskConfigReport{Job: cluster.InstanceJob(c.UID), Session: session, Epoch: epoch, ConfigVersion: version, Fenceable: true}
	for i := range n {
		r.Tasks = append(r.Tasks, config("task", string(rune('0'+i))))
	}
	changed, _, err := w.StoreTaskConfigs(w.Context(), r)
	return changed, err
}

// running is a connector whose instance is held by session s1 and that has n tasks.
func (w *world) running(name string, n int) (cluster.Connector, cluster.Epoch) {
	w.Helper()
	c := w.create(name)
	w.register("s1")
	e := w.hold(cluster.InstanceJob(c.UID), "s1")
	changed, err := w.split(c, "s1", e, 1, n)
	require.NoError(w, err)
	require.True(w, changed)
	return c, e
}

func (w *world) code(want cluster.Code, err error) {
	w.Helper()
	require.Error(w, err)
	require.Equal(w, want, cluster.CodeOf(err), "%v", err)
}

func ptr[T any](v T) *T { return &v }

// kinds lists the kinds of messages, by address.
func kinds(t *testing.T, out []cluster.OutboxMessage) (all []string) {
	t.Helper()
	for _, m := range out {
		e, err := wire.Open(m.Payload)
		require.NoError(t, err)
		all = append(all, m.Address+" "+string(e.Kind))
	}
	return all
}
