package sourcetask

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
)

// task is one run. Everything belongs to the goroutine of Run.
type task struct {
	*Deps
	spec   cluster.JobSpec
	plugin *plugin.Plugin

	log      *slog.Logger
	plugLog  *slog.Logger      // the plugin's own
	config   map[string]string // the task's
	producer *seat
	topics   Topics // nil: the broker's business
	offsets  Offsets
	pipe     Pipeline
	writer   writer
	bounds   *boundaries // nil unless the connector draws its own
	plug     source.Task
	metrics  *connectmetrics.Job

	target <-chan cluster.TargetState
	want   cluster.TargetState
	env    job.Env
	taking context.Context // Run's take
	known  map[string]bool // topics that were seen to be there
	idle   idleness

	transactional bool
	stopped       bool // the plugin was: it is told nothing more

	// News of what was written ends a poll that waits. Both are set from other goroutines, too.
	news      atomic.Bool
	interrupt atomic.Pointer[context.CancelFunc]
}

// batch is what one poll returned, on its way.
type batch struct {
	in    []record.Source
	out   []kafkaio.Record
	idx   []int             // place in `in` of out[i]
	where []record.Produced // of out[i], once acknowledged
}

// size is how many bytes of records are in a batch.
func (b *batch) size() (n int) {
	for i := range b.out {
		n += len(b.out[i].Key) + len(b.out[i].Value)
	}
	return n
}

// leaveOut takes records out of a batch that were not written; they count as dropped.
func (b *batch) leaveOut(places []int) {
	if len(places) == 0 {
		return
	}
	n := 0
	for i := range b.out {
		if slices.Contains(places, i) {
			continue
		}
		b.out[n], b.idx[n], b.where[n] = b.out[i], b.idx[i], b.where[i]
		n++
	}
	b.out, b.idx, b.where = b.out[:n], b.idx[:n], b.where[:n]
}

// writer is one of the two ways of writing. Its errors fail the task, or are job.ErrFenced.
type writer interface {
	// fence takes the fence: afterwards no other holder of the task can add anything.
	fence(ctx context.Context) error
	// write takes a batch over. What is durable is told by task.durable.
	write(ctx context.Context, b *batch) error
	// tick does what is due by time.
	tick(ctx context.Context) error
	// holds tells whether something that was taken over is not durable yet.
	holds() bool
	// due is when tick has something to do, even if no record comes; zero: never.
	due() time.Time
	// settle makes everything durable that was taken over.
	settle(ctx context.Context) error
	// giveUp drops what is not durable, after a failure; once.
	giveUp(ctx context.Context)
	// join waits until nothing that was begun goes on; the context that it was begun with has ended, or all is settled.
	join()
}

// Run implements job.Instance.
func (t *task) Run(take, do context.Context, env job.Env) (err error) {
	t.env, t.target, t.taking, t.known = env, env.Target, take, map[string]bool{}
	t.log = t.Logger.With(slog.String(obs.KeyConnector, t.spec.Name), slog.Int(obs.KeyTask, t.spec.Job.Task))
	t.plugLog = obs.Named(t.log, t.plugin.TaskClass)
	env.Report.Version(t.plugin.Version)
	t.metrics = env.Counting()
	t.metrics.Source(t.TransactionalID != nil)
	t.metrics.Type(string(t.plugin.Kind))
	t.metrics.Plugin("connector", t.plugin.Class, t.plugin.Version)
	t.metrics.Plugin("task", t.plugin.TaskClass, t.plugin.Version)
	defer func() {
		if take.Err() != nil && !errors.Is(err, job.ErrFenced) && errors.Is(err, context.Canceled) {
			err = nil // told to stop
		}
	}()
	// As in Kafka Connect, a task of a paused connector is not started before it is resumed.
	if err := t.await(take); err != nil {
		return err
	}
	returned := false
	defer func() {
		if (err != nil || !returned) && t.writer != nil && do.Err() == nil { // failed, or the plugin panicked
			t.writer.giveUp(do)
		}
		t.close(do)
	}()
	err = t.work(take, do)
	returned = true
	return err
}

// work is a run from its first touch of Kafka to its end.
func (t *task) work(take, do context.Context) error {
	if err := t.setUp(take); err != nil {
		return err
	}
	defer t.env.FallQuiet()
	defer t.stopPlugin(do)
	if err := t.plug.Start(take, taskContext{t}); err != nil {
		return err
	}
	t.stir()
	t.log.Info("source task has started", slog.Int64(obs.KeyEpoch, int64(t.spec.Epoch)))
	t.env.Report.State(cluster.StateRunning)
	if err := t.loop(take, do); err != nil {
		if do.Err() == nil && !errors.Is(err, job.ErrFenced) {
			t.writer.giveUp(do) // while the plugin can still be told what is durable
		}
		return err
	}
	// Told to stop: what was taken over becomes durable before we let go.
	return t.writer.settle(do)
}

// setUp makes what the task needs, in the order of a takeover: the fence first.
func (t *task) setUp(ctx context.Context) error {
	conn, err := t.Resolve(t.spec.Config)
	if err != nil {
		return err
	}
	if t.config, err = t.Resolve(t.spec.TaskConfig); err != nil {
		return err
	}
	s := Settings{Spec: t.spec, Config: conn, Task: t.config, Logger: t.log, Metrics: t.metrics}
	if t.pipe, err = t.Pipeline(s); err != nil {
		return err
	}
	if t.topics, err = t.Topics(s); err != nil {
		return err
	}
	if t.offsets, err = t.Offsets(s); err != nil {
		return err
	}
	transactional := ""
	if t.TransactionalID != nil {
		transactional = t.TransactionalID(t.spec.Name, t.spec.Job.Task)
	}
	t.producer = &seat{open: func() (Producer, error) { return t.Producer(s, transactional) }}
	if err := t.producer.take(); err != nil {
		return err
	}
	if transactional == "" {
		t.writer = &atLeastOnce{t: t}
	} else if t.writer, err = newTransactions(t, conn); err != nil {
		return err
	}
	if t.transactional = transactional != ""; t.transactional {
		t.warnOfForced(conn, transactional)
	}
	if err := t.takeOver(ctx); err != nil {
		return err
	}
	t.plug = t.plugin.NewSourceTask()
	return nil
}

// warnOfForced tells of settings that exactly-once support does not leave to connectors.
func (t *task) warnOfForced(conn map[string]string, transactional string) {
	for _, forced := range [][2]string{{"enable.idempotence", "true"}, {"transactional.id", transactional}} {
		if v, given := conn["producer.override."+forced[0]]; given && v != forced[1] {
			t.log.Warn(fmt.Sprintf("The value '%s' for the '%s' property will be ignored as it cannot be overridden for connectors when exactly-once source support is enabled. "+
				"The value '%s' will be used instead.", v, forced[0], forced[1]))
		}
	}
}

// takeOver takes the fence; the topic that offsets are written to is looked after meanwhile. Positions are read by the plugin,
// once it is fenced. A Kafka that does not answer is waited for: it is shown as a failure, which passes by itself.
func (t *task) takeOver(ctx context.Context) error {
	// An open transaction that is cut off, or one that is being committed, would make Kafka refuse the fence for a while.
	t.env.AskFormer(ctx)
	for {
		part, cancel := context.WithTimeout(ctx, t.ComplainAfter)
		g, gctx := errgroup.WithContext(part)
		g.Go(func() error { return t.writer.fence(gctx) })
		g.Go(func() error { return t.offsets.Ensure(gctx) })
		err := g.Wait()
		late := part.Err() != nil && ctx.Err() == nil
		cancel()
		if !late || !connecterr.IsRetriable(err) {
			return err
		}
		t.env.Report.Failed(connecterr.Wrap(connecterr.General, err,
			"The task can't start yet, because Kafka does not answer; it goes on trying, and will run once Kafka answers. If the address is wrong, correct bootstrap.servers of the worker or producer.override.bootstrap.servers of the connector"))
	}
}

// loop polls and writes until take ends.
func (t *task) loop(take, do context.Context) error {
	w := watch(take, t.target)
	defer func() { w.stop() }()
	for take.Err() == nil {
		select {
		case t.want = <-w.changed:
			w.stop()
			if t.want != cluster.Started {
				if err := t.writer.settle(do); err != nil {
					return err
				}
				if err := t.park(do); err != nil {
					return err
				}
				if err := t.await(take); err != nil {
					return err
				}
			}
			t.env.Report.State(cluster.StateRunning)
			w = watch(take, t.target)
		default:
			if err := t.turn(w.poll, do); err != nil {
				return err
			}
		}
	}
	return nil
}

// watcher ends a poll that waits when the target changes.
type watcher struct {
	poll    context.Context // for polls; ends when the target changes, or with its parent
	end     context.CancelFunc
	changed chan cluster.TargetState // cap 1
	done    chan struct{}
}

func watch(take context.Context, target <-chan cluster.TargetState) *watcher {
	poll, end := context.WithCancel(take)
	w := &watcher{poll: poll, end: end, changed: make(chan cluster.TargetState, 1), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		select {
		case to := <-target:
			w.changed <- to
			end()
		case <-poll.Done():
		}
	}()
	return w
}

// stop ends the watching; afterwards the target is nobody's but the caller's.
func (w *watcher) stop() {
	w.end()
	<-w.done
}

// await reports PAUSED and waits until the target is STARTED; at once when it is.
func (t *task) await(take context.Context) error {
	for {
		if t.want == "" {
			select {
			case t.want = <-t.target:
			case <-take.Done():
				return take.Err()
			}
		}
		if t.want == cluster.Started {
			return nil
		}
		t.env.Report.State(cluster.StatePaused)
		t.want = ""
	}
}

// retryPoll is the least pause after a poll that failed for now.
const retryPoll = 100 * time.Millisecond

// turn is one poll and what follows from it. A poll that waits is ended when something is due.
func (t *task) turn(poll, do context.Context) error {
	asked, cancel := context.WithCancel(poll)
	if due := t.due(); !due.IsZero() {
		asked, cancel = context.WithDeadline(poll, due)
	}
	defer cancel()
	t.interrupt.Store(&cancel)
	if t.news.Swap(false) { // before anything could be interrupted
		return t.writer.tick(do)
	}
	began := time.Now()
	in, err := t.plug.Poll(asked)
	switch {
	case err == nil:
	case asked.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, asked.Err())):
		if poll.Err() != nil {
			return nil
		}
		in = nil
	case connecterr.IsRetriable(err):
		t.log.Warn("failed to poll records from SourceTask. Will retry operation.", slog.Any(obs.KeyErr, err))
		_ = rest(poll, retryPoll) // ended early: the loop sees why
		return t.tick(do)
	default:
		return err
	}
	if len(in) == 0 {
		if err := t.bounds.end(do); err != nil {
			return err
		}
		return t.tick(do)
	}
	t.metrics.Polled(len(in), time.Since(began))
	defer t.stir()
	return t.bounds.cut(in, func(part []record.Source, end boundary) error {
		if err := t.write(do, part); err != nil {
			return err
		}
		return end.apply(do)
	})
}

// poke ends the poll that waits, or keeps the next one from waiting: a record was refused, or a transaction has ended.
func (t *task) poke() {
	t.news.Store(true)
	if cancel := t.interrupt.Load(); cancel != nil {
		(*cancel)()
	}
}

// rest waits; its error is that ctx ended.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write converts a part of a poll and hands it to the writer.
func (t *task) write(ctx context.Context, in []record.Source) error {
	if len(in) == 0 {
		return nil
	}
	b := &batch{in: in}
	var err error
	if b.out, b.idx, err = t.pipe.Source(ctx, in, make([]kafkaio.Record, 0, len(in)), make([]int, 0, len(in))); err != nil {
		return err
	}
	b.where = make([]record.Produced, len(b.out))
	if err := t.ensureTopics(ctx, b.out); err != nil {
		return err
	}
	return t.writer.write(ctx, b)
}

// ensureTopics looks at each topic before its first record: connectors may have topics made in their own way, and none may
// write into its own offsets, among which its transactions would write theirs.
func (t *task) ensureTopics(ctx context.Context, out []kafkaio.Record) error {
	last := ""
	for i := range out {
		topic := out[i].Topic
		if topic == last || t.known[topic] {
			continue
		}
		if t.transactional && topic == t.offsets.Topics()[0] {
			return connecterr.New(connecterr.General, "Source tasks may not produce to their own offsets topics when exactly-once support is enabled")
		}
		if err := t.ensureTopic(ctx, topic); err != nil {
			return err
		}
		t.known[topic], last = true, topic
	}
	return nil
}

// ensureTopic has a topic made unless it is there; what may pass is tried again.
func (t *task) ensureTopic(ctx context.Context, topic string) error {
	if t.topics == nil {
		return nil
	}
	for {
		err := t.topics.Ensure(ctx, topic)
		if err == nil || !connecterr.IsRetriable(err) || ctx.Err() != nil {
			return err
		}
		t.log.Warn("Failed to look after a topic. Backing off before retrying", slog.String(obs.KeyTopic, topic), slog.Any(obs.KeyErr, err))
		if err := rest(ctx, retryFirst); err != nil {
			return err
		}
	}
}

// durable tells the plugin that batches, in order, and everything before them are durable.
func (t *task) durable(ctx context.Context, batches []*batch) {
	for _, b := range batches {
		t.metrics.Written(len(b.out), len(b.in))
		for i := range b.out {
			t.env.Topics.Use(b.out[i].Topic)
		}
	}
	if rc, ok := t.plug.(source.RecordCommitter); ok && !t.stopped {
		for _, b := range batches {
			if err := rc.CommitRecords(ctx, committed(b)); err != nil {
				t.log.Error("exception thrown while calling task.commitRecord()", slog.Any(obs.KeyErr, err))
			}
		}
	}
}

// committed lists a batch's records with where each was stored; dropped ones without.
func committed(b *batch) []source.Committed {
	done := make([]source.Committed, len(b.in))
	for i := range b.in {
		done[i].Record = &b.in[i]
	}
	for i, at := range b.idx {
		done[at].Produced = &b.where[i]
	}
	return done
}

// offsetRecords are positions as records of the offsets topics.
func (t *task) offsetRecords(entries []offsets.Entry) (rs []kafkaio.Record, err error) {
	for _, topic := range t.offsets.Topics() {
		more, err := offsets.Records(topic, t.spec.Name, entries)
		if err != nil {
			return nil, err
		}
		rs = append(rs, more...)
	}
	return rs, nil
}

// offsetsDurable tells the plugin that all positions so far are durable.
func (t *task) offsetsDurable(ctx context.Context) {
	if c, ok := t.plug.(source.Committer); ok && !t.stopped {
		if err := c.Commit(ctx); err != nil {
			t.log.Error("exception thrown while calling task.commit()", slog.Any(obs.KeyErr, err))
		}
	}
}

// stopPlugin stops the plugin.
func (t *task) stopPlugin(do context.Context) {
	t.stopped = true
	ctx, cancel := context.WithTimeout(do, t.ShutdownTimeout)
	defer cancel()
	if err := t.plug.Stop(ctx); err != nil {
		t.log.Warn("task failed while it was stopping", slog.Any(obs.KeyErr, err))
	}
}

// close gives back what setUp took.
func (t *task) close(do context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(do), t.ShutdownTimeout)
	defer cancel()
	if t.writer != nil {
		t.writer.join()
	}
	t.unpark(ctx)
	if t.producer != nil {
		if err := t.producer.Close(ctx); err != nil {
			t.log.Warn("producer left behind", slog.Any(obs.KeyErr, err))
		}
	}
	if t.topics != nil {
		if err := t.topics.Close(ctx); err != nil {
			t.log.Warn("admin client left behind", slog.Any(obs.KeyErr, err))
		}
	}
	if t.offsets != nil {
		t.offsets.Close()
	}
	if t.pipe != nil {
		t.pipe.Close()
	}
}

// taskContext is what the plugin sees of us.
type taskContext struct{ t *task }

func (c taskContext) Config() map[string]string    { return c.t.config }
func (c taskContext) Logger() *slog.Logger         { return c.t.plugLog }
func (c taskContext) Offsets() source.OffsetReader { return c.t.offsets.Reader() }
func (c taskContext) Transactions() source.Transactions {
	if c.t.bounds == nil {
		return nil
	}
	return c.t.bounds
}

// milliseconds reads a key that is a number of milliseconds.
func milliseconds(config map[string]string, key string, otherwise time.Duration) (time.Duration, error) {
	text, ok := config[key]
	if !ok || text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, connecterr.New(connecterr.Config, "Invalid value %s for configuration %s: it must be a number of milliseconds from 0", text, key)
	}
	return time.Duration(n) * time.Millisecond, nil
}
