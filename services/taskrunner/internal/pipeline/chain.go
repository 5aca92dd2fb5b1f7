package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// chain is a connector's transformations in order.
type chain struct {
	links []link
	pure  bool             // all of them and their conditions are
	r     transform.Record // the record under way; one for all, as a task has one goroutine
}

// link is one transformation, and the condition under which it is applied.
type link struct {
	class  string
	t      transform.Transformation
	when   transform.Predicate // nil: always
	negate bool

	careful bool // it says where else it keeps a record's maps
}

func newChain(o Options) (c *chain, err error) {
	c = &chain{pure: true}
	defer func() {
		if err != nil {
			c.close(o.Logger)
		}
	}()
	for alias := range strings.SplitSeq(o.Config["transforms"], ",") {
		if alias = strings.TrimSpace(alias); alias == "" {
			continue
		}
		prefix := "transforms." + alias + "."
		p, err := o.versioned(plugin.Transformation, prefix)
		if err != nil {
			return c, err
		}
		props := worker.Prefixed(o.Config, prefix)
		for _, ours := range []string{"type", "predicate", "negate", "plugin.version"} {
			delete(props, ours)
		}
		c.links = append(c.links, link{class: p.Class, t: p.NewTransformation(), negate: strings.EqualFold(strings.TrimSpace(o.Config[prefix+"negate"]), "true")})
		l := &c.links[len(c.links)-1]
		c.pure = c.pure && p.Pure
		_, l.careful = l.t.(transform.Careful)
		if err := l.t.Configure(props); err != nil {
			return c, unusable(err)
		}
		if name := strings.TrimSpace(o.Config[prefix+"predicate"]); name != "" {
			var pure bool
			if l.when, pure, err = o.predicate(name); err != nil {
				return c, err
			}
			c.pure = c.pure && pure
		}
		o.Metrics.Transform(alias, p.Class, p.Version)
	}
	return c, nil
}

func (o *Options) predicate(alias string) (pr transform.Predicate, pure bool, err error) {
	prefix := "predicates." + alias + "."
	if o.Config[prefix+"type"] == "" {
		return nil, false, unusable(unusable(connecterr.New(connecterr.Config, "Unknown configuration '%splugin.version'", prefix)))
	}
	p, err := o.versioned(plugin.Predicate, prefix)
	if err != nil {
		return nil, false, err
	}
	props := worker.Prefixed(o.Config, prefix)
	delete(props, "type")
	delete(props, "plugin.version")
	o.Metrics.Predicate(alias, p.Class, p.Version)
	pr = p.NewPredicate()
	if err := pr.Configure(props); err != nil {
		return pr, false, unusable(err)
	}
	return pr, p.Pure, nil
}

// versioned finds the plugin that the keys behind a prefix ask for.
func (o *Options) versioned(kind plugin.Kind, prefix string) (*plugin.Plugin, error) {
	p, err := o.Find(kind, strings.TrimSpace(o.Config[prefix+"type"]))
	if err != nil {
		return nil, err
	}
	want := o.Config[prefix+"plugin.version"]
	if want == "" {
		return p, nil
	}
	asked, err := plugin.ParseRange(want)
	if err == nil && !asked.Contains(p.Version) {
		err = connecterr.New(connecterr.NotFound, "Plugin %s not found that matches the version range %s, available versions: [%s]", p.Class, asked, p.Version)
	}
	return p, err
}

// unusable is the error of a plugin that could not be configured, as Kafka Connect shows it.
func unusable(cause error) error {
	return connecterr.Wrap(connecterr.General, cause, "%s: %s", connecterr.ClassOf(cause), cause)
}

func (c *chain) close(log *slog.Logger) {
	for _, l := range c.links {
		err := l.t.Close()
		if l.when != nil {
			err = errors.Join(err, l.when.Close())
		}
		if err != nil {
			log.Warn("transformation could not be closed", slog.String("plugin", l.class), slog.Any("err", err))
		}
	}
}

// run applies a transformation where its condition holds. A panic is an error like others: of one record.
func (l *link) run(r *transform.Record) (keep bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			keep, err = false, connecterr.Panicked(p)
		}
	}()
	if l.when != nil {
		if holds, err := l.when.Test(r); err != nil || holds == l.negate {
			return true, err
		}
	}
	if !l.careful {
		defer r.Share()
	}
	return l.t.Apply(r)
}

// apply runs the chain on the record under way; keep is false when it was dropped or set aside.
func (c *chain) apply(ctx context.Context, tol *tolerance, at *place) (keep bool, err error) {
	for i := range c.links {
		l := &c.links[i]
		keep, err := l.run(&c.r)
		if err != nil {
			if keep, err = c.again(ctx, tol, at, l, err); err != nil {
				return false, err
			}
		}
		if !keep {
			return false, nil
		}
	}
	return true, nil
}

// again judges the failure of a transformation, which is repeated where that may help.
func (c *chain) again(ctx context.Context, tol *tolerance, at *place, l *link, cause error) (keep bool, err error) {
	ok, err := tol.judge(ctx, stageTransformation, l.class, at, cause, func() (err error) {
		keep, err = l.run(&c.r)
		return err
	})
	return keep && ok, err
}

// sink runs the chain on a sink record. Where it was read stays what it was.
func (c *chain) sink(ctx context.Context, tol *tolerance, at *place, r *record.Sink) (bool, error) {
	c.begin(r)
	keep, err := c.apply(ctx, tol, at)
	c.end(r)
	return keep, err
}

// attempt is sink without a judgement: an error is a transformation's own.
func (c *chain) attempt(r *record.Sink) (keep bool, err error) {
	c.begin(r)
	keep = true
	for i := 0; i < len(c.links) && keep && err == nil; i++ {
		keep, err = c.links[i].run(&c.r)
	}
	c.end(r)
	return keep, err
}

func (c *chain) begin(r *record.Sink) {
	c.r = transform.Record{Sink: *r}
	for _, part := range [...]struct {
		s *data.Schema
		v any
	}{{r.KeySchema, r.Key}, {r.ValueSchema, r.Value}} {
		if m, ok := part.v.(*data.Map); ok && part.s == nil { // a converter makes it for this record
			c.r.Made(m)
		}
	}
}

func (c *chain) end(r *record.Sink) {
	c.r.OriginalTopic, c.r.OriginalPartition, c.r.OriginalOffset = r.OriginalTopic, r.OriginalPartition, r.OriginalOffset
	*r = c.r.Sink
}

// source runs the chain on a source record, and returns what became of it in out. Its position stays what it was.
func (c *chain) source(ctx context.Context, tol *tolerance, at *place, r, out *record.Source) (bool, error) {
	c.r = transform.Record{Source: r, Sink: record.Sink{Topic: r.Topic, KafkaPartition: r.KafkaPartition, KeySchema: r.KeySchema, Key: r.Key,
		ValueSchema: r.ValueSchema, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}}
	keep, err := c.apply(ctx, tol, at)
	t := &c.r.Sink
	*out = record.Source{Partition: r.Partition, Offset: r.Offset, Topic: t.Topic, KafkaPartition: t.KafkaPartition, KeySchema: t.KeySchema, Key: t.Key,
		ValueSchema: t.ValueSchema, Value: t.Value, Headers: t.Headers, Timestamp: t.Timestamp}
	return keep, err
}
