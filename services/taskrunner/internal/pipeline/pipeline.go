// Package pipeline is what lies between Kafka's bytes and a plugin's records: converters, transformations with their
// predicates, and what happens to a record that one of them refuses (errors.*): it is tried again, set aside, or fails the
// task.
//
// Start reading at New, then Sink and Source; tolerance.go judges failures, chain.go runs transformations, dlq.go sets
// records aside; lanes.go spreads a batch over the cores.
package pipeline

import (
	"context"
	"log/slog"
	"time"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// Options are what a Pipeline is made from. DeadLetters, Metrics and Logger may be nil.
type Options struct {
	// Find finds a plugin by the name people use.
	Find   func(kind plugin.Kind, name string) (*plugin.Plugin, error)
	Worker worker.Config
	// Config is the connector's configuration with references resolved.
	Config    map[string]string
	Connector string
	Task      int
	// DeadLetters makes the writer of the dead letter queue, and the topic with so many replicas if it is not there; asked only
	// when a topic is configured. Sinks only.
	DeadLetters func(topic string, replication int) (DeadLetters, error)
	// Used is called with a record's topic once key, value and headers of it are converted; nil: nobody wants to know. Sinks only.
	Used    func(topic string)
	Metrics *connectmetrics.Job
	Logger  *slog.Logger
}

// Pipeline belongs to one task's goroutine.
type Pipeline struct {
	plugins
	options Options
	changed record.Source // what became of the source record under way
	tol     *tolerance
	used    func(topic string)
	waiters []converter.Waiter
	kept    []kept // consumed records of the last batches, where a plugin may report them
	lanes   lanes
}

// New makes a pipeline. Its errors are about the configuration.
func New(o Options) (*Pipeline, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = connectmetrics.Alone()
	}
	own, err := newPlugins(o)
	if err != nil {
		return nil, err
	}
	p := &Pipeline{plugins: own, used: o.Used, options: o, lanes: lanes{may: own.pure}}
	for _, c := range p.converters() {
		if w, ok := c.(converter.Waiter); ok {
			p.waiters = append(p.waiters, w)
		}
	}
	if p.tol, err = newTolerance(o); err != nil {
		p.close(o.Logger)
		return nil, err
	}
	return p, nil
}

// within lets converters that wait for others give up when the batch must.
func (p *Pipeline) within(ctx context.Context) {
	for _, c := range p.waiters {
		c.Within(ctx)
	}
}

// Close releases converters and transformations. What was set aside must have been settled before.
func (p *Pipeline) Close() {
	p.Forget()
	p.close(p.tol.log)
	p.lanes.close(p.tol.log)
	p.tol.close()
}

// Sink converts consumed records and transforms them. Records that were dropped or set aside are left out; an error fails
// the task. out is appended to.
func (p *Pipeline) Sink(ctx context.Context, in []kafkaio.Record, out []record.Sink) ([]record.Sink, error) {
	p.keep(in)
	p.within(ctx)
	defer p.tol.tell(ctx, false)
	if begun := p.lanes.begun; len(begun) > 0 && len(begun) == len(in) && &begun[0] == &in[0] {
		p.lanes.begun = nil
		return p.collect(ctx, in, out)
	}
	p.Forget()
	if p.lanes.worth(len(in)) {
		return p.spread(ctx, in, out)
	}
	began := time.Now()
	out, err := p.oneByOne(ctx, in, out)
	p.lanes.took(len(in), time.Since(began))
	return out, err
}

// oneByOne converts records in turn, and judges those that fail.
func (p *Pipeline) oneByOne(ctx context.Context, in []kafkaio.Record, out []record.Sink) ([]record.Sink, error) {
	var at place // one for all: failures let it escape
	for i := range in {
		raw := &in[i]
		at.raw = raw
		var r record.Sink
		ok, err := p.decode(ctx, &at, &r)
		if err != nil {
			return out, err
		}
		if !ok {
			continue
		}
		if p.used != nil {
			p.used(raw.Topic)
		}
		if len(p.chain.links) > 0 {
			keep, err := p.chain.sink(ctx, p.tol, &at, &r)
			if err != nil {
				return out, err
			}
			if !keep {
				continue
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// decode converts key, value and headers; false when the record was set aside.
func (p *Pipeline) decode(ctx context.Context, at *place, r *record.Sink) (bool, error) {
	raw := at.raw
	if raw.Timestamp < 0 && raw.Timestamp != record.NoTimestamp {
		return false, connecterr.New(connecterr.Data, "Invalid record timestamp %d", raw.Timestamp)
	}
	var key, value data.SchemaAndValue
	ok, err := p.tol.try(ctx, stageKey, p.classes.key, at, func() (err error) { key, err = p.read.key(raw.Topic, raw.Key); return err })
	if !ok || err != nil {
		return ok, err
	}
	ok, err = p.tol.try(ctx, stageValue, p.classes.value, at, func() (err error) { value, err = p.read.value(raw.Topic, raw.Value); return err })
	if !ok || err != nil {
		return ok, err
	}
	*r = consumed(raw, key, value)
	if len(raw.Headers) == 0 {
		return true, nil
	}
	return p.tol.try(ctx, stageHeader, p.classes.header, at, func() (err error) { r.Headers, err = headersOf(p.header, raw); return err })
}

// Source transforms records and converts them. idx[i] is the place in `in` of out[i]; records that are not in it were
// dropped or skipped. Both slices are appended to. An error fails the task.
func (p *Pipeline) Source(ctx context.Context, in []record.Source, out []kafkaio.Record, idx []int) ([]kafkaio.Record, []int, error) {
	p.within(ctx)
	defer p.tol.tell(ctx, false)
	var at place // one for all: failures let it escape
	for i := range in {
		r := &in[i]
		at.source = r
		if len(p.chain.links) > 0 {
			keep, err := p.chain.source(ctx, p.tol, &at, r, &p.changed)
			if err != nil {
				return out, idx, err
			}
			if !keep {
				continue
			}
			r = &p.changed
		}
		var raw kafkaio.Record
		ok, err := p.encode(ctx, &at, r, &raw)
		if err != nil {
			return out, idx, err
		}
		if ok {
			out, idx = append(out, raw), append(idx, i)
		}
	}
	return out, idx, nil
}

// Unwritten judges a source record that Kafka did not take, as a converted record that fails is judged: nil when that is
// tolerated and the record is skipped.
func (p *Pipeline) Unwritten(ctx context.Context, r *record.Source, cause error) error {
	p.tol.metrics.Wrong(connectmetrics.Errors{Failures: 1})
	defer p.tol.tell(ctx, false)
	return p.tol.failed(ctx, stageProduce, "org.apache.kafka.connect.runtime.WorkerSourceTask", &place{source: r}, cause)
}

// encode converts headers, key and value, in that order; false when the record was skipped.
func (p *Pipeline) encode(ctx context.Context, at *place, r *record.Source, raw *kafkaio.Record) (bool, error) {
	if r.Timestamp < 0 && r.Timestamp != record.NoTimestamp {
		return false, connecterr.New(connecterr.Data, "Invalid record timestamp %d", r.Timestamp)
	}
	*raw = kafkaio.Record{Topic: r.Topic, Partition: r.KafkaPartition, Timestamp: r.Timestamp}
	if len(r.Headers) > 0 {
		ok, err := p.tol.try(ctx, stageHeader, p.classes.header, at, func() error {
			raw.Headers = make([]kafkaio.Header, len(r.Headers))
			for i, h := range r.Headers {
				b, err := p.header.FromConnectHeader(r.Topic, h.Key, h.Schema, h.Value)
				if err != nil {
					return err
				}
				raw.Headers[i] = kafkaio.Header{Key: h.Key, Value: b}
			}
			return nil
		})
		if !ok || err != nil {
			return ok, err
		}
	}
	ok, err := p.tol.try(ctx, stageKey, p.classes.key, at, func() (err error) {
		raw.Key, err = p.key.FromConnect(r.Topic, r.KeySchema, r.Key)
		return err
	})
	if !ok || err != nil {
		return ok, err
	}
	return p.tol.try(ctx, stageValue, p.classes.value, at, func() (err error) {
		raw.Value, err = p.value.FromConnect(r.Topic, r.ValueSchema, r.Value)
		return err
	})
}
