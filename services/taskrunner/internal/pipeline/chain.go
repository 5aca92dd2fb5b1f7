package pipeline

import (
	"context"
	"log/slog"
	"strings"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// chain is a connector's transformations in order.
type chain []link

// link is one transformation, and the condition under which it is applied.
type link struct {
	class  string
	t      transform.Transformation
	when   transform.Predicate // nil: always
	negate bool
}

func newChain(o Options) (chain, error) {
	var c chain
	for alias := range strings.SplitSeq(o.Config["transforms"], ",") {
		if alias = strings.TrimSpace(alias); alias == "" {
			continue
		}
		prefix := "transforms." + alias + "."
		p, err := o.Find(plugin.Transformation, o.Config[prefix+"type"])
		if err != nil {
			return nil, err
		}
		l := link{class: p.Class, t: p.NewTransformation(), negate: strings.EqualFold(o.Config[prefix+"negate"], "true")}
		props := worker.Prefixed(o.Config, prefix)
		for _, ours := range []string{"type", "predicate", "negate", "plugin.version"} {
			delete(props, ours)
		}
		if err := l.t.Configure(props); err != nil {
			return nil, err
		}
		if name := o.Config[prefix+"predicate"]; name != "" {
			if l.when, err = o.predicate(name); err != nil {
				return nil, err
			}
		}
		o.Metrics.Transform(alias, p.Class, p.Version)
		c = append(c, l)
	}
	return c, nil
}

func (o *Options) predicate(alias string) (transform.Predicate, error) {
	prefix := "predicates." + alias + "."
	class := o.Config[prefix+"type"]
	if class == "" {
		return nil, connecterr.New(connecterr.Config, "The predicate '%s' that a transformation refers to is not defined: %stype is missing", alias, prefix)
	}
	p, err := o.Find(plugin.Predicate, class)
	if err != nil {
		return nil, err
	}
	props := worker.Prefixed(o.Config, prefix)
	delete(props, "type")
	delete(props, "plugin.version")
	o.Metrics.Predicate(alias, p.Class, p.Version)
	pr := p.NewPredicate()
	return pr, pr.Configure(props)
}

func (c chain) close(log *slog.Logger) {
	for _, l := range c {
		err := l.t.Close()
		if l.when != nil && err == nil {
			err = l.when.Close()
		}
		if err != nil {
			log.Warn("transformation could not be closed", slog.String("plugin", l.class), slog.Any("err", err))
		}
	}
}

// apply runs the chain on a record; keep is false when it was dropped or set aside.
func (c chain) apply(ctx context.Context, tol *tolerance, at *place, r *transform.Record) (keep bool, err error) {
	for _, l := range c {
		keep := true
		ok, err := tol.try(ctx, stageTransformation, l.class, at, func() (err error) {
			if l.when != nil {
				holds, err := l.when.Test(r)
				if err != nil || holds == l.negate {
					return err
				}
			}
			keep, err = l.t.Apply(r)
			return err
		})
		if !ok || err != nil || !keep {
			return false, err
		}
	}
	return true, nil
}

// sink runs the chain on a sink record. Where it was read stays what it was.
func (c chain) sink(ctx context.Context, tol *tolerance, at *place, r *record.Sink) (bool, error) {
	t := transform.Record{Sink: *r}
	keep, err := c.apply(ctx, tol, at, &t)
	t.OriginalTopic, t.OriginalPartition, t.OriginalOffset = r.OriginalTopic, r.OriginalPartition, r.OriginalOffset
	*r = t.Sink
	return keep, err
}

// source runs the chain on a source record. Its position stays what it was.
func (c chain) source(ctx context.Context, tol *tolerance, at *place, r *record.Source) (bool, error) {
	t := transform.Record{Sink: record.Sink{Topic: r.Topic, KafkaPartition: r.KafkaPartition, KeySchema: r.KeySchema, Key: r.Key,
		ValueSchema: r.ValueSchema, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}}
	keep, err := c.apply(ctx, tol, at, &t)
	r.Topic, r.KafkaPartition, r.KeySchema, r.Key = t.Topic, t.KafkaPartition, t.KeySchema, t.Key
	r.ValueSchema, r.Value, r.Headers, r.Timestamp = t.ValueSchema, t.Value, t.Headers, t.Timestamp
	return keep, err
}
