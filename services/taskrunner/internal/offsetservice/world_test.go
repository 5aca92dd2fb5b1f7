package offsetservice_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	sdksink "github.com/millrace/millrace/sdk/sink"
	sdksource "github.com/millrace/millrace/sdk/source"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
	"github.com/millrace/millrace/services/taskrunner/internal/offsetservice"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
	"github.com/millrace/millrace/tests/servers"
)

const patience = 30 * time.Second

// Connectors: plain ones have no opinion on their offsets, the others do as a test says.
const (
	plainSource  = "x.PlainSource"
	plainSink    = "x.PlainSink"
	mindedSource = "x.MindedSource"
	mindedSink   = "x.MindedSink"
	ownSink      = "x.OwnSink" // has positions of its own
)

type minded struct {
	connector.Connector
	w *world
}

type source struct{ minded }

func (s source) AlterOffsets(_ context.Context, config map[string]string, entries []connector.SourceOffsetEntry) (bool, error) {
	return s.w.onSource(config, entries)
}

type sink struct{ minded }

func (s sink) AlterOffsets(_ context.Context, config map[string]string, offsets map[record.TopicPartition]int64) (bool, error) {
	return s.w.onSink(config, offsets)
}

type own struct{ sink }

func (o own) ResetOffsets(_ context.Context, config map[string]string) (bool, error) {
	return o.w.onReset(config)
}

type plain struct{ connector.Connector }

// world is a service beside a broker.
type world struct {
	*testing.T
	bootstrap string
	name      string // of the connector; unique
	topic     string
	props     map[string]string
	worker    worker.Config
	set       *offsets.Set
	service   *offsetservice.Service
	page      int

	onSource func(map[string]string, []connector.SourceOffsetEntry) (bool, error)
	onSink   func(map[string]string, map[record.TopicPartition]int64) (bool, error)
	onReset  func(map[string]string) (bool, error)
}

var names atomic.Int64

// onBrokers runs a test against the embedded broker and a real one.
func onBrokers(t *testing.T, props map[string]string, test func(w *world)) {
	t.Helper()
	t.Parallel()
	servers.Brokers(t, func(t *testing.T, bootstrap string) {
		w := &world{T: t, bootstrap: bootstrap, props: props}
		w.open()
		test(w)
	})
}

func (w *world) open() {
	n := fmt.Sprintf("%d-%d", time.Now().UnixNano(), names.Add(1)) // a real broker may have seen other runs
	w.name, w.topic = "c"+n, "t"+n
	props := map[string]string{"bootstrap.servers": w.bootstrap, "offset.storage.topic": "o" + n, "offset.storage.partitions": "3", "group.id": "g" + n}
	for k, v := range w.props {
		props[k] = v
	}
	var err error
	w.worker, err = worker.FromProperties(props)
	require.NoError(w, err)
	w.set = offsets.NewSet(offsets.Options{Topic: w.worker.OffsetsTopic, Partitions: 3, Replication: 1, Consumer: w.client(), Admin: w.client(),
		Logger: slog.New(slog.DiscardHandler)}, w.worker.ExactlyOnce)
	w.Cleanup(w.set.Close)
	w.onSource = func(map[string]string, []connector.SourceOffsetEntry) (bool, error) { return true, nil }
	w.onSink = func(map[string]string, map[record.TopicPartition]int64) (bool, error) { return true, nil }
	make := func(class string, kind plugin.Kind, conn func() connector.Connector) plugin.Plugin {
		return plugin.Plugin{Class: class, Kind: kind, Version: "1", TaskClass: class + "Task", NewConnector: conn,
			NewSourceTask: func() sdksource.Task { return nil }, NewSinkTask: func() sdksink.Task { return nil }}
	}
	registry, err := plugin.New(make(plainSource, plugin.Source, func() connector.Connector { return plain{} }),
		make(plainSink, plugin.Sink, func() connector.Connector { return plain{} }),
		make(mindedSource, plugin.Source, func() connector.Connector { return source{minded{w: w}} }),
		make(mindedSink, plugin.Sink, func() connector.Connector { return sink{minded{w: w}} }),
		make(ownSink, plugin.Sink, func() connector.Connector { return own{sink{minded{w: w}}} }))
	require.NoError(w, err)
	w.service = offsetservice.New(offsetservice.Options{Find: registry.Connector, Worker: w.worker, PageBytes: w.page, Logger: slog.New(slog.NewTextHandler(w.output(), nil)),
		Resolve: func(c cluster.Config) (map[string]string, error) { return c.Plain(), nil },
		Home: func(name string, config map[string]string) (*offsets.Home, error) {
			return w.set.Home(name, config, offsets.Clients{Consumer: w.client(), Admin: w.client()}), nil
		}})
	w.Cleanup(w.service.Close)
}

// output is the test's, until it ends: a client that was left behind may log later.
func (w *world) output() io.Writer {
	o := &output{to: w.Output()}
	w.Cleanup(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.to = io.Discard
	})
	return o
}

type output struct {
	mu sync.Mutex
	to io.Writer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.to.Write(b)
}

func (w *world) client() kafkaio.Config { return kafkaio.Config{"bootstrap.servers": w.bootstrap} }

func (w *world) request(action wire.OffsetsAction, class string, pairs ...string) wire.OffsetsRequest {
	c := map[string]string{"connector.class": class, "topics": w.topic}
	for i := 0; i < len(pairs); i += 2 {
		c[pairs[i]] = pairs[i+1]
	}
	typ := cluster.TypeSource
	if strings.HasSuffix(class, "Sink") {
		typ = cluster.TypeSink
	}
	return wire.OffsetsRequest{Action: action, Connector: w.name, UID: "uid", Type: typ, Config: cluster.ConfigOf(c)}
}

func (w *world) answer(q wire.OffsetsRequest) (wire.OffsetsReply, error) {
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	return w.service.Answer(ctx, q)
}

// entries reads pairs of a partition and an offset; "" is a missing one.
func entries(pairs ...string) (out []wire.OffsetEntry) {
	for i := 0; i < len(pairs); i += 2 {
		e := wire.OffsetEntry{}
		if pairs[i] != "" {
			e.Partition = json.RawMessage(pairs[i])
		}
		if pairs[i+1] != "" {
			e.Offset = json.RawMessage(pairs[i+1])
		}
		out = append(out, e)
	}
	return out
}

// alter changes offsets and tells whether the connector vouches for them.
func (w *world) alter(class string, changes []wire.OffsetEntry, pairs ...string) bool {
	w.Helper()
	q := w.request(wire.AlterOffsets, class, pairs...)
	q.Changes = changes
	reply, err := w.answer(q)
	require.NoError(w, err)
	return reply.Handled
}

func (w *world) reset(class string, pairs ...string) bool {
	w.Helper()
	reply, err := w.answer(w.request(wire.ResetOffsets, class, pairs...))
	require.NoError(w, err)
	return reply.Handled
}

// lists compares all offsets, as pairs.
func (w *world) lists(class string, want []string, pairs ...string) {
	w.Helper()
	reply, err := w.answer(w.request(wire.ListOffsets, class, pairs...))
	require.NoError(w, err)
	require.Empty(w, reply.Next)
	got := []string{}
	for _, e := range reply.Offsets {
		got = append(got, string(e.Partition), string(e.Offset))
	}
	require.Equal(w, want, got)
}

func (w *world) refused(q wire.OffsetsRequest, want string) {
	w.Helper()
	_, err := w.answer(q)
	require.EqualError(w, err, want)
	require.Equal(w, cluster.Failed, cluster.CodeOf(err))
}

func (w *world) refusedChange(class string, changes []wire.OffsetEntry, want string) {
	w.Helper()
	q := w.request(wire.AlterOffsets, class)
	q.Changes = changes
	w.refused(q, want)
}

func TestAnswer_an_unknown_class_an_unknown_action_and_a_connector_that_panics(t *testing.T) {
	onBrokers(t, nil, func(w *world) {
		_, err := w.answer(w.request(wire.ListOffsets, "x.Gone"))
		require.True(w, cluster.Is(err, cluster.Failed))
		require.Contains(w, err.Error(), "Failed to find any class that implements Connector")
		_, err = w.answer(w.request("burn", plainSource))
		require.True(w, cluster.Is(err, cluster.Invalid))
		w.onSource = func(map[string]string, []connector.SourceOffsetEntry) (bool, error) { panic("oh") }
		w.refused(w.request(wire.ResetOffsets, mindedSource), "the connector panicked while it judged the change of its offsets: oh")
		w.onSource = func(map[string]string, []connector.SourceOffsetEntry) (bool, error) {
			return false, connecterr.New(connecterr.Unsupported, "no")
		}
		w.refused(w.request(wire.ResetOffsets, mindedSource), "Failed to modify offsets for connector "+w.name+" because it doesn't support external modification of offsets")
	})
}

func TestAnswer_Kafka_that_is_away_is_told_in_the_words_that_users_know(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action  wire.OffsetsAction
		class   string
		want    string
		support string
	}{
		{wire.AlterOffsets, plainSource, "Timed out while attempting to modify offsets for source connector NAME", "disabled"},
		{wire.ResetOffsets, plainSource, "Timed out while attempting to modify offsets for source connector NAME", "disabled"},
		{wire.ListOffsets, plainSource, "Failed to retrieve offsets for source connector NAME", ""},
		{wire.AlterOffsets, plainSource, "Failed to perform zombie fencing for source connector prior to modifying offsets", ""},
		{wire.ResetOffsets, plainSource, "Failed to perform zombie fencing for source connector prior to modifying offsets", ""},
		{wire.ListOffsets, plainSink, "Failed to retrieve consumer group offsets for sink connector NAME", ""},
		{wire.AlterOffsets, plainSink, "Failed to alter consumer group offsets for connector NAME", ""},
		{wire.ResetOffsets, plainSink, "Failed to list offsets prior to resetting offsets for sink connector NAME", ""},
	} {
		w := &world{T: t, bootstrap: "127.0.0.1:1", props: map[string]string{"exactly.once.source.support": cmp.Or(c.support, "enabled")}}
		w.open()
		q := w.request(c.action, c.class)
		q.Changes = entries(`{"kafka_topic":"t","kafka_partition":0}`, `{"kafka_offset":1}`)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := w.service.Answer(ctx, q)
		require.NoError(t, ctx.Err(), "the asker still listens")
		cancel()
		require.EqualError(t, err, strings.ReplaceAll(c.want, "NAME", w.name))
	}
}
