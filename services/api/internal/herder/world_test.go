package herder_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/membus"
	"github.com/millrace/millrace/controlplane/memstore"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/services/api/internal/herder"
)

const (
	source  = "org.example.ListSource"
	sink    = "org.example.ListSink"
	text    = "org.apache.kafka.connect.storage.StringConverter"
	session = cluster.SessionID("s1")
	worker  = cluster.RunnerID("worker:8083")
)

var by = cluster.Author{Actor: "ann", RequestID: "req-1"}

// world is a herder with what surrounds it: a store, a bus, and a runner that is played by hand.
type world struct {
	*testing.T
	*herder.Herder
	store *memstore.Store
	hub   *membus.Hub
	bus   *membus.Bus // of the runner and the scheduler
	logs  *strings.Builder
	term  cluster.Term
}

// brokenStore fails where a test says so.
type brokenStore struct {
	herder.Store
	err error
}

func (b *brokenStore) ListConnectors(context.Context, cluster.ConnectorQuery) ([]cluster.Shown, error) {
	return nil, b.err
}
func (b *brokenStore) FindNames(context.Context, cluster.ConnectorQuery) ([]string, error) {
	return nil, b.err
}
func (b *brokenStore) Connector(context.Context, string) (cluster.ConnectorView, error) {
	return cluster.ConnectorView{}, b.err
}
func (b *brokenStore) LastConnector(context.Context, string) (cluster.Shown, error) {
	return cluster.Shown{}, b.err
}
func (b *brokenStore) Plugins(context.Context) ([]cluster.PluginRecord, error) { return nil, b.err }
func (b *brokenStore) MarkPublished(context.Context, []int64) error            { return b.err }
func (b *brokenStore) Ping(context.Context) error                              { return b.err }

func newWorld(t *testing.T) *world { return newWorldOn(t, nil) }

// newWorldOn makes a world whose herder sees the store that change makes of it.
func newWorldOn(t *testing.T, change func(herder.Store) herder.Store) *world {
	t.Helper()
	w := &world{T: t, store: memstore.New(time.Now), hub: membus.New(membus.Faults{}, nil), logs: &strings.Builder{}}
	w.bus = w.hub.Connect()
	var seen herder.Store = w.store
	if change != nil {
		seen = change(seen)
	}
	own := w.hub.Connect()
	var err error
	w.Herder, err = herder.New(herder.Config{Store: seen, Bus: own, ValidateTimeout: time.Second, Logger: slog.New(slog.NewTextHandler(w.logs, nil))})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, w.Close(ctx))
		require.NoError(t, own.Close(ctx))
		require.NoError(t, w.bus.Close(ctx))
	})
	w.register()
	return w
}

func definition(t *testing.T, keys ...config.Key) []byte {
	t.Helper()
	b, err := json.Marshal(config.Def{Keys: keys})
	require.NoError(t, err)
	return b
}

// register makes the runner known, with its plugins.
func (w *world) register() {
	w.Helper()
	records := []cluster.PluginRecord{
		{PluginRef: cluster.PluginRef{Class: source, Version: "1.2", Kind: "source", Digest: "a"}, Definition: definition(w.T,
			config.Key{Name: "items", Type: config.Int, Required: true, Importance: config.High},
			config.Key{Name: "secret", Type: config.Password, Default: config.Default(""), Importance: config.Low})},
		{PluginRef: cluster.PluginRef{Class: sink, Version: "1.2", Kind: "sink", Digest: "b"}, Definition: definition(w.T)},
		{PluginRef: cluster.PluginRef{Class: text, Version: "1.2", Kind: "converter", Digest: "c"}, Definition: definition(w.T)},
	}
	refs := make([]cluster.PluginRef, len(records))
	for i, r := range records {
		refs[i] = r.PluginRef
	}
	_, out, err := w.store.Register(w.Context(), cluster.Registration{Runner: worker, Session: session, Plugins: refs, KafkaClusterID: "kafka-1"})
	require.NoError(w, err)
	require.NoError(w, w.store.DefinePlugins(w.Context(), records))
	for _, m := range out { // a scheduler's business
		require.NoError(w, w.store.MarkPublished(w.Context(), []int64{m.ID}))
	}
}

func list(pairs ...string) cluster.Config {
	m := map[string]string{"connector.class": source, "items": "3", "value.converter": text}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return cluster.ConfigOf(m)
}

func (w *world) create(name string) herder.ConnectorInfo {
	w.Helper()
	info, _, err := w.Create(w.Context(), herder.CreateRequest{Name: name, Config: list(), By: by})
	require.NoError(w, err)
	return info
}

func (w *world) view(name string) cluster.ConnectorView {
	w.Helper()
	v, err := w.store.Connector(w.Context(), name)
	require.NoError(w, err)
	return v
}

// hold gives a job to the runner.
func (w *world) hold(job cluster.JobID) {
	w.Helper()
	if w.term == 0 {
		l, ok, _, err := w.store.AcquireLease(w.Context(), "leader", time.Hour)
		require.NoError(w, err)
		require.True(w, ok)
		w.term = l.Term
	}
	_, err := w.store.CommitPlan(w.Context(), w.term, []cluster.Decision{{Kind: cluster.Assign, Job: job, Session: session, Epoch: 1}})
	require.NoError(w, err)
}

// say reports a state of a job as the runner would, and tells those who listen. The restart that is asked for is applied.
func (w *world) say(job cluster.JobID, state cluster.State, trace string, reason ...string) {
	w.Helper()
	specs, err := w.store.Specs(w.Context(), session, []cluster.JobID{job})
	require.NoError(w, err)
	require.Len(w, specs, 1, "the runner does not hold the job")
	accepted, changed, _, err := w.store.StoreStatuses(w.Context(), []cluster.Status{{Job: job, Session: session, Epoch: specs[0].Epoch,
		Revision: specs[0].Revision, RestartSeq: specs[0].RestartSeq, State: state, WorkerID: worker, Trace: trace, Version: "1.2", Reason: strings.Join(reason, "")}})
	require.NoError(w, err)
	require.Equal(w, []bool{true}, accepted)
	msg, err := wire.Encode(wire.KindChanged, "", wire.Changed{UIDs: changed})
	require.NoError(w, err)
	require.NoError(w, w.bus.Broadcast(wire.Events, msg))
}

// running makes a connector that runs with its tasks.
func (w *world) running(name string, tasks int) cluster.ConnectorView {
	w.Helper()
	w.create(name)
	uid := w.view(name).UID
	w.hold(cluster.InstanceJob(uid))
	w.say(cluster.InstanceJob(uid), cluster.StateRunning, "")
	report := cluster.TaskConfigReport{Job: cluster.InstanceJob(uid), Session: session, Epoch: 1, ConfigVersion: 1}
	for range tasks {
		report.Tasks = append(report.Tasks, list())
	}
	_, _, err := w.store.StoreTaskConfigs(w.Context(), report)
	require.NoError(w, err)
	for i := range tasks {
		w.hold(cluster.TaskJob(uid, i))
		w.say(cluster.TaskJob(uid, i), cluster.StateRunning, "")
	}
	return w.view(name)
}

// refused checks an error's code and what its text says.
func (w *world) refused(err error, code cluster.Code, parts ...string) {
	w.Helper()
	require.Error(w, err)
	require.Equal(w, code, cluster.CodeOf(err), "%v", err)
	for _, p := range parts {
		require.Contains(w, err.Error(), p)
	}
}

// wakes counts the messages that wait for the schedulers.
func (w *world) wakes() int { return w.hub.Queued(wire.Commands) }
