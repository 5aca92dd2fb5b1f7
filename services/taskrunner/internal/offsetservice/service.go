// Package offsetservice answers for the offsets of connectors: it reads and changes them where they are. Those of sources are in
// the offsets topics (source.go), those of sinks are what their consumer group has committed (sink.go).
//
// Whoever asks for a change has seen that the connector is stopped and has no tasks. That may be over when the change is made,
// or a task that was given up may still run. So each change comes with what Kafka itself refuses: a group with members keeps
// its offsets, and a source's tasks are fenced before their offsets are written (Invariant 4).
//
// Start reading at Service.Answer.
package offsetservice

import (
	"context"
	"encoding/json"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// Options are what a Service is made of; everything but PageBytes is needed.
type Options struct {
	// Find finds a connector's plugin by the names people use.
	Find func(class string) (*plugin.Plugin, error)
	// Resolve replaces references in a configuration by their values.
	Resolve func(cluster.Config) (map[string]string, error)
	Worker  worker.Config
	// Home finds where a source connector's offsets are.
	Home func(connector string, config map[string]string) (*offsets.Home, error)
	// PageBytes is about how much of a list goes into one reply; 0 = 512 KiB, half of what the bus takes.
	PageBytes int
	Logger    *slog.Logger
}

// Service is safe for concurrent use. Close it.
type Service struct {
	o       Options
	closing sync.WaitGroup // of clients that were used
}

// New makes a service.
func New(o Options) *Service {
	if o.PageBytes <= 0 {
		o.PageBytes = 512 << 10
	}
	return &Service{o: o}
}

// Close waits until all clients are given back. No question may come any more.
func (s *Service) Close() { s.closing.Wait() }

// request is one question on its way.
type request struct {
	*Service
	wire.OffsetsRequest
	plugin *plugin.Plugin
	config map[string]string
	log    *slog.Logger
}

// Answer answers a question. Its errors are *cluster.Error with the texts that users know from Kafka Connect; what Kafka said
// goes to the log.
func (s *Service) Answer(ctx context.Context, q wire.OffsetsRequest) (reply wire.OffsetsReply, err error) {
	r := &request{Service: s, OffsetsRequest: q, log: s.o.Logger.With(slog.String(obs.KeyConnector, q.Connector))}
	class, _ := q.Config.Get("connector.class")
	if r.plugin, err = s.o.Find(class); err != nil {
		return reply, cluster.Errorf(cluster.Failed, "%s", err.Error())
	}
	if r.config, err = s.o.Resolve(q.Config); err != nil {
		return reply, r.failed(q.Failed(), err)
	}
	ctx, cancel := within(ctx)
	defer cancel()
	source := r.plugin.Kind == plugin.Source
	switch {
	case q.Action == wire.ListOffsets && source:
		return r.listSource(ctx)
	case q.Action == wire.ListOffsets:
		return r.listSink(ctx)
	case q.Action == wire.AlterOffsets && source:
		reply.Handled, err = r.alterSource(ctx)
	case q.Action == wire.AlterOffsets:
		reply.Handled, err = r.alterSink(ctx)
	case q.Action == wire.ResetOffsets && source:
		reply.Handled, err = r.resetSource(ctx)
	case q.Action == wire.ResetOffsets:
		reply.Handled, err = r.resetSink(ctx)
	default:
		err = cluster.Errorf(cluster.Invalid, "there is no action %q", string(q.Action))
	}
	if err == nil {
		r.log.Info("offsets were changed", slog.String("action", string(q.Action)), slog.Int("entries", len(q.Changes)))
	}
	return reply, err
}

// within leaves the asker a little time to hear that ours has run out.
func within(ctx context.Context) (context.Context, context.CancelFunc) {
	if d, ok := ctx.Deadline(); ok {
		return context.WithTimeout(ctx, time.Until(d)*9/10)
	}
	return context.WithCancel(ctx)
}

// failed is a failure with the text that users know; why goes to the log.
func (r *request) failed(text string, why error) error {
	r.log.Warn(text, slog.Any(obs.KeyErr, why))
	return cluster.Errorf(cluster.Failed, "%s", text)
}

// judged has the connector judge a change. Its panic is no reason to end.
func (r *request) judged(judge func(connector.Connector) (bool, error)) (handled bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("the connector panicked while it judged a change of its offsets", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			handled, err = false, cluster.Errorf(cluster.Failed, "the connector panicked while it judged the change of its offsets: %v", p)
		}
	}()
	handled, err = judge(r.plugin.NewConnector())
	if err == nil {
		return handled, nil
	}
	if connecterr.KindOf(err) == connecterr.Unsupported {
		return false, cluster.Errorf(cluster.Failed, "Failed to modify offsets for connector %s because it doesn't support external modification of offsets", r.Connector)
	}
	return false, cluster.Errorf(cluster.Failed, "%s", err.Error())
}

// giveBack closes a client; the answer does not wait for it.
func (r *request) giveBack(c interface{ Close(context.Context) error }) {
	r.closing.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), r.o.Worker.TaskShutdownTimeout)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			r.log.Warn("a Kafka client is left behind", slog.Any(obs.KeyErr, err))
		}
	})
}

// listed is an entry of a list in the making; keys grow.
type listed struct {
	key               string
	partition, offset json.RawMessage
}

// page takes as much of a sorted list as goes into a reply.
func (r *request) page(all []listed) (reply wire.OffsetsReply) {
	size := 0
	for _, e := range all {
		if e.key <= r.After && r.After != "" {
			continue
		}
		if size += len(e.partition) + len(e.offset) + 64; size > r.o.PageBytes && len(reply.Offsets) > 0 {
			return reply // Next is the last that is in it
		}
		reply.Offsets = append(reply.Offsets, wire.OffsetEntry{Partition: e.partition, Offset: e.offset})
		reply.Next = e.key
	}
	reply.Next = ""
	return reply
}
