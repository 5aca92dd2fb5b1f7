package sinktask

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

const patience = 60 * time.Second

// events is an ordered list of what happened, shared by all fakes of a test.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, fmt.Sprintf(format, args...))
}

func (e *events) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.list...)
}

// step is one answer of the fake consumer's Poll. A nil step waits like an idle consumer.
type step func(c *fakeConsumer) ([]kafkaio.Record, error)

type fakeConsumer struct {
	*events
	handler kafkaio.Handler
	steps   []step
	wake    chan struct{}
	idle    chan struct{} // closed when the steps are used up

	pos      map[record.TopicPartition]int64
	ends     map[record.TopicPartition]int64
	paused   map[record.TopicPartition]bool
	waits    []time.Duration
	answers  []func()
	stalled  time.Duration
	away     error // what keeps it from Kafka
	mute     bool  // Kafka does not answer asynchronous commits
	commitFn func(map[record.TopicPartition]int64) error
	mu       sync.Mutex
	shut     bool

	onCommitSoon func(done func(error))
}

func (c *fakeConsumer) Subscribe(topics []string, regex string) error {
	c.add("subscribe %v%s", topics, regex)
	return nil
}

func (c *fakeConsumer) Poll(ctx context.Context, atMost time.Duration, into []kafkaio.Record) ([]kafkaio.Record, error) {
	c.waits = append(c.waits, atMost)
	todo := c.answers
	c.answers = nil
	for _, f := range todo {
		if !c.mute {
			f()
		}
	}
	if len(c.steps) > 0 {
		s := c.steps[0]
		c.steps = c.steps[1:]
		return s(c)
	}
	if c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
	select {
	case <-c.wake:
	case <-time.After(atMost):
	case <-ctx.Done():
		return into[:0], context.Cause(ctx)
	}
	return into[:0], nil
}

func (c *fakeConsumer) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *fakeConsumer) Pause(parts []record.TopicPartition) error {
	for _, tp := range parts {
		c.paused[tp] = true
	}
	return nil
}

func (c *fakeConsumer) Resume(parts []record.TopicPartition) error {
	for _, tp := range parts {
		delete(c.paused, tp)
	}
	return nil
}

func (c *fakeConsumer) Seek(offsets map[record.TopicPartition]int64) error {
	c.add("seek %v", offsets)
	return nil
}

func (c *fakeConsumer) Position(parts []record.TopicPartition) map[record.TopicPartition]int64 {
	out := map[record.TopicPartition]int64{}
	for _, tp := range parts {
		if o, ok := c.pos[tp]; ok {
			out[tp] = o
		}
	}
	return out
}

func (c *fakeConsumer) Assignment() []record.TopicPartition   { return nil }
func (c *fakeConsumer) Lag() map[record.TopicPartition]int64  { return nil }
func (c *fakeConsumer) Ends() map[record.TopicPartition]int64 { return c.ends }
func (c *fakeConsumer) MemberID() string                      { return "member" }
func (c *fakeConsumer) TopicID(_ context.Context, topic string) (string, error) {
	return "id of " + topic, c.away
}

func (c *fakeConsumer) Committed(context.Context, []record.TopicPartition) (map[record.TopicPartition]int64, error) {
	return c.ends, nil
}

func (c *fakeConsumer) Stalled() time.Duration {
	d := c.stalled
	c.stalled = 0
	return d
}

func (c *fakeConsumer) Unreachable(time.Duration) error { return c.away }

func (c *fakeConsumer) Close(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.shut {
		c.shut = true
		c.add("consumer closed")
	}
	return nil
}

func (c *fakeConsumer) commit(offsets map[record.TopicPartition]int64) error {
	if c.commitFn != nil {
		return c.commitFn(offsets)
	}
	return nil
}

func (c *fakeConsumer) Commit(_ context.Context, offsets map[record.TopicPartition]int64) error {
	c.add("commit %v", offsets)
	return c.commit(offsets)
}

func (c *fakeConsumer) CommitAsync(offsets map[record.TopicPartition]int64, done func(error)) {
	c.add("commit soon %v", offsets)
	if c.onCommitSoon != nil {
		c.onCommitSoon(done)
		return
	}
	c.answers = append(c.answers, func() { done(c.commit(offsets)) })
}

// fakePlugin is a sink whose behaviour is what the test sets.
type fakePlugin struct {
	*events
	ctx       sink.Context
	start     func(ctx context.Context) error
	put       func(ctx context.Context, batch []record.Sink) error
	preCommit func(current sink.Offsets) (sink.Offsets, error)
	open      func(parts []record.TopicPartition) error
}

func (p *fakePlugin) Start(ctx context.Context, tc sink.Context) error {
	p.add("start")
	p.ctx = tc
	if p.start != nil {
		return p.start(ctx)
	}
	return nil
}

func (p *fakePlugin) Put(ctx context.Context, batch []record.Sink) error {
	if len(batch) > 0 {
		p.add("put %s", values(batch))
	}
	if p.put != nil {
		return p.put(ctx, batch)
	}
	return nil
}

func (p *fakePlugin) PreCommit(_ context.Context, current sink.Offsets) (sink.Offsets, error) {
	p.add("precommit %v", current)
	if p.preCommit != nil {
		return p.preCommit(current)
	}
	return current, nil
}

func (p *fakePlugin) Open(_ context.Context, parts []record.TopicPartition) error {
	p.add("open %v", parts)
	if p.open != nil {
		return p.open(parts)
	}
	return nil
}

func (p *fakePlugin) Close(_ context.Context, parts []record.TopicPartition) error {
	p.add("close %v", parts)
	return nil
}

func (p *fakePlugin) Stop(context.Context) error { p.add("stop"); return nil }

func values(batch []record.Sink) string {
	s := ""
	for i := range batch {
		s += string(batch[i].Value.([]byte))
	}
	return s
}

// passing is a pipeline that changes nothing; a record with the value "-" is dropped, "!" is an error.
type passing struct {
	*events
	settle   func() error
	exceeded error
}

func (p *passing) Sink(_ context.Context, in []kafkaio.Record, out []record.Sink) ([]record.Sink, error) {
	for _, r := range in {
		switch string(r.Value) {
		case "-":
			continue
		case "!":
			return out, fmt.Errorf("bad record at %d", r.Offset)
		}
		out = append(out, record.Sink{
			Topic: "renamed", Value: r.Value, KafkaPartition: r.Partition, KafkaOffset: r.Offset,
			OriginalTopic: r.Topic, OriginalPartition: r.Partition, OriginalOffset: r.Offset,
		})
	}
	return out, nil
}

func (p *passing) Close()                                   { p.add("pipeline closed") }
func (p *passing) ErrantRecords() sink.ErrantRecordReporter { return nil }
func (p *passing) Exceeded() error                          { return p.exceeded }
func (p *passing) Settle(context.Context) error {
	if p.settle != nil {
		return p.settle()
	}
	return nil
}

type reports struct{ *events }

func (r reports) State(s cluster.State)                     { r.add("%s", s) }
func (r reports) Failed(err error)                          { r.add("failed %v", err) }
func (r reports) Version(string)                            {}
func (r reports) TaskConfigs(int64, []cluster.Config, bool) {}

// bench is a task on fakes.
type bench struct {
	*events
	t        *testing.T
	consumer *fakeConsumer
	plugin   *fakePlugin
	pipe     *passing
	deps     Deps
	targets  chan cluster.TargetState
	leaving  chan struct{}
	spec     cluster.JobSpec
	take, do context.CancelFunc
	done     chan error
}

func newBench(t *testing.T, steps ...step) *bench {
	ev := &events{}
	b := &bench{
		events: ev, t: t, targets: make(chan cluster.TargetState, 1), leaving: make(chan struct{}), done: make(chan error, 1),
		consumer: &fakeConsumer{
			events: ev, steps: steps, wake: make(chan struct{}, 1), idle: make(chan struct{}),
			pos: map[record.TopicPartition]int64{}, paused: map[record.TopicPartition]bool{},
		},
		plugin: &fakePlugin{events: ev}, pipe: &passing{events: ev},
		spec: cluster.JobSpec{
			Job: cluster.TaskJob("uid", 3), Name: "c", Class: "FakeSink", Target: cluster.Started,
			Config: cluster.ConfigOf(map[string]string{"topics": "t"}), TaskConfig: cluster.ConfigOf(map[string]string{"k": "v"}),
		},
	}
	b.deps = Deps{
		Plugin: func(plugin.Kind, string) (*plugin.Plugin, error) {
			return &plugin.Plugin{Class: "FakeSink", Version: "1", NewSinkTask: func() sink.Task { return b.plugin }}, nil
		},
		Resolve: func(c cluster.Config) (map[string]string, error) { return c.Plain(), nil },
		ConsumerConfig: func(map[string]string, cluster.JobID, string) (kafkaio.Config, error) {
			return kafkaio.Config{}, nil
		},
		Pipeline:   func(context.Context, Settings) (Pipeline, error) { return b.pipe, nil },
		SweepAfter: time.Hour,
		NewConsumer: func(_ context.Context, cc kafkaio.ConsumerConfig) (Consumer, error) {
			b.consumer.handler = cc.Rebalance
			b.add("consumer %s %s", cc.Group, cc.InstanceID)
			return b.consumer, nil
		},
	}
	return b
}

func (b *bench) start() {
	b.t.Helper()
	in, err := New(b.deps)(b.spec)
	require.NoError(b.t, err)
	var take, do context.Context
	do, b.do = context.WithCancel(b.t.Context())
	take, b.take = context.WithCancel(do)
	env := job.Env{Spec: b.spec, Report: reports{b.events}, Target: b.targets, Leaving: b.leaving}
	if b.spec.Former != nil {
		env.Handover, env.Quiet = func(context.Context) { b.add("ask former") }, func() { b.add("quiet") }
	}
	go func() { b.done <- in.Run(take, do, env) }()
}

// run starts the task, lets it use up its steps, stops it, and returns what happened and Run's error.
func (b *bench) run() ([]string, error) {
	b.t.Helper()
	idle := b.consumer.idle
	b.start()
	select {
	case <-idle:
		b.take()
	case err := <-b.done:
		b.do()
		return b.all(), err
	case <-time.After(patience):
		b.t.Fatalf("the steps were not used up; so far: %q", b.all())
	}
	err := b.ended()
	b.do()
	return b.all(), err
}

// commits counts the commits that waited for an answer.
func commits(got []string) (n int) {
	for _, e := range got {
		if strings.HasPrefix(e, "commit map") {
			n++
		}
	}
	return n
}

func count(got []string, what string) (n int) {
	for _, e := range got {
		if e == what {
			n++
		}
	}
	return n
}

func (b *bench) ended() error {
	b.t.Helper()
	select {
	case err := <-b.done:
		return err
	case <-time.After(patience):
		b.t.Fatalf("the task did not end; so far: %q", b.all())
		return nil
	}
}

// assign makes the consumer get partitions that start at these offsets.
func assign(starts map[record.TopicPartition]int64) step {
	return func(c *fakeConsumer) ([]kafkaio.Record, error) {
		maps.Copy(c.pos, starts)
		p := newPositions()
		for tp := range starts {
			p.assign(tp, 0)
		}
		return nil, c.handler.Assigned(p.assigned())
	}
}

// records are one partition's, one per letter of s, from an offset on.
func records(part int32, from int64, s string) step {
	return func(*fakeConsumer) ([]kafkaio.Record, error) {
		return recs(part, from, s), nil
	}
}

func recs(part int32, from int64, s string) []kafkaio.Record {
	var out []kafkaio.Record
	for i, c := range s {
		out = append(out, kafkaio.Record{Topic: "t", Partition: part, Offset: from + int64(i), Value: []byte(string(c))})
	}
	return out
}

// then runs f between two polls.
func then(f func()) step {
	return func(*fakeConsumer) ([]kafkaio.Record, error) { f(); return nil, nil }
}
