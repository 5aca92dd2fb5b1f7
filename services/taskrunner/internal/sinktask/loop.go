package sinktask

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/parking"
)

// task is one run of a sink task. Everything in it belongs to Run's goroutine, except for what watch touches.
type task struct {
	*Deps
	spec   cluster.JobSpec
	plugin *plugin.Plugin

	config  map[string]string // of the task, resolved
	client  kafkaio.Config    // of the consumer
	group   string
	log     *slog.Logger
	plugLog *slog.Logger // the plugin's own
	count   *connectmetrics.Job
	report  job.Reporter
	topics  *job.Topics
	do      context.Context

	sink       sink.Task
	endContext context.CancelFunc // of the context Start was given
	pipe       Pipeline
	errant     ErrantPipeline // nil when the pipeline sets nothing aside
	early      EarlyPipeline  // nil when nothing is to be read ahead
	consumer   Consumer       // nil while the task is parked
	seat       seat
	size       int // of a batch at most
	sub        parking.Subscription
	idle       idleness

	pos     *positions
	raw     []kafkaio.Record // for the next Poll
	spare   []kafkaio.Record // in turn with raw
	ahead   []kafkaio.Record // polled, and not yet of the batch
	batch   []record.Sink    // to be put; kept while the plugin refuses it
	refused int              // how often in a row
	retryAt time.Time        // when it is offered again
	target  cluster.TargetState
	targets chan cluster.TargetState

	pluginPaused map[record.TopicPartition]bool
	rewinds      sink.Offsets
	timeout      time.Duration // set by the plugin, used once; none = not set
	requested    bool          // a commit, by the plugin or by a pause
	leaving      <-chan struct{}

	nextCommit time.Time
	committing bool
	began      time.Time    // of the commit that runs
	underway   sink.Offsets // of the commit that runs
	looked     time.Time    // when the last Poll returned
	seq        int          // of the newest commit; answers to older ones are stale
	fenced     error        // the answer of a commit: a newer holder took over
	nextLook   time.Time    // at the lag
	doubting   bool         // whether this task still is the holder
	joined     bool         // the group has let this member in
	complained bool         // that it does not; the task shows as FAILED
	complainAt time.Time    // unless it has joined by then
}

// Run implements job.Instance.
func (t *task) Run(take, do context.Context, env job.Env) (err error) {
	t.do, t.report, t.topics, t.target = do, env.Report, env.Topics, env.Spec.Target
	t.log = t.Logger.With("connector", t.spec.Name, "task", t.spec.Job.Task, "epoch", int64(t.spec.Epoch))
	t.plugLog = obs.Named(t.log, t.plugin.TaskClass)
	t.count = env.Counting()
	t.count.Sink()
	t.count.Type(string(t.plugin.Kind))
	t.count.Plugin("connector", t.plugin.Class, t.plugin.Version)
	t.count.Plugin("task", t.plugin.TaskClass, t.plugin.Version)
	t.report.Version(t.plugin.Version)
	if !t.awaitStarted(take, env.Target) {
		return nil
	}
	if err := t.prepare(take); err != nil {
		t.release()
		if take.Err() != nil {
			return nil // it was told to give up, and did
		}
		return err
	}
	defer t.release()
	t.targets, t.leaving = make(chan cluster.TargetState, 1), env.Leaving
	stop := t.watch(take, env.Target)
	defer stop()

	defer env.FallQuiet()
	// Stop is called also when Start fails or panics, since Start may have taken hold of something.
	defer t.stopPlugin()
	if err := t.start(take); err != nil {
		if take.Err() != nil {
			return nil // it was told to give up, and did
		}
		return err
	}
	t.report.State(cluster.StateRunning)
	t.log.Info("sink task started", "class", t.spec.Class)
	env.AskFormer(take) // what the former holder has put, but not committed, would be put twice
	if err := t.join(take); err != nil {
		return err
	}
	defer t.sweep(t.client, t.group)()
	t.nextCommit = time.Now().Add(t.FlushInterval)
	for err == nil && take.Err() == nil && do.Err() == nil {
		if t.mayPark(time.Now()) {
			err = t.park(take)
			continue
		}
		err = t.turn()
	}
	return t.finish(err)
}

// awaitStarted waits while the task is paused from the start; false: it was told to stop instead.
func (t *task) awaitStarted(take context.Context, targets <-chan cluster.TargetState) bool {
	select {
	case t.target = <-targets:
	default:
	}
	for t.target != cluster.Started {
		t.report.State(cluster.StatePaused)
		select {
		case t.target = <-targets:
		case <-take.Done():
			return false
		}
	}
	return take.Err() == nil
}

// prepare resolves the configuration and makes the plugin, the pipeline and the consumer; nothing is started yet.
func (t *task) prepare(take context.Context) error {
	conn, err := t.Resolve(t.spec.Config)
	if err != nil {
		return err
	}
	own, err := t.Resolve(t.spec.TaskConfig)
	if err != nil {
		return err
	}
	t.config = make(map[string]string, len(own)+1)
	maps.Copy(t.config, own)
	for _, key := range []string{"topics", "topics.regex"} { // Kafka Connect hands them to every sink task
		if v, ok := conn[key]; ok {
			t.config[key] = v
		}
	}
	size := t.BatchSize
	if n, err := strconv.Atoi(conn["consumer.override.max.poll.records"]); err == nil && n > 0 {
		size = n
	}
	t.client, err = t.ConsumerConfig(conn, t.spec.Job, t.spec.Name)
	if err != nil {
		return err
	}
	t.pipe, err = t.Pipeline(take, Settings{Spec: t.spec, Config: conn, Task: t.config, Logger: t.log, Topics: t.topics, Metrics: t.count})
	if err != nil {
		return err
	}
	t.errant, _ = t.pipe.(ErrantPipeline)
	t.early, _ = t.pipe.(EarlyPipeline)
	t.group = Group(t.spec.Name, t.client)
	t.size = size
	if err := t.subscribeTo(); err != nil {
		return err
	}
	if err := t.takeClient(); err != nil {
		return err
	}
	t.sink = t.plugin.NewSinkTask()
	t.pos = newPositions()
	t.pluginPaused = map[record.TopicPartition]bool{}
	t.timeout = none
	return nil
}

// Subscription reads what a sink connector reads from; the configuration was checked when it was accepted.
func Subscription(config map[string]string) (topics []string, regex string) {
	if re := config["topics.regex"]; re != "" {
		return nil, re
	}
	seen := map[string]bool{}
	for name := range strings.SplitSeq(config["topics"], ",") {
		if name = strings.TrimSpace(name); name != "" && !seen[name] {
			seen[name] = true
			topics = append(topics, name)
		}
	}
	return topics, ""
}

// watch wakes the loop when something changes, and lets go of Kafka when the job is given up: a plugin that ignores its
// context must not keep the membership (ZT-4).
func (t *task) watch(take context.Context, targets <-chan cluster.TargetState) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		taken, leaving := take.Done(), t.leaving
		for {
			select {
			case s := <-targets:
				select { // only the newest counts
				case <-t.targets:
				default:
				}
				t.targets <- s
			case <-taken:
				taken = nil
			case <-leaving:
				leaving = nil
			case <-t.do.Done():
				ctx, cancel := context.WithTimeout(context.Background(), t.ShutdownTimeout)
				_ = t.seat.close(ctx) // release says what came of it
				cancel()
				return
			case <-quit:
				return
			}
			t.seat.wake()
		}
	}()
	return func() { close(quit); <-done }
}

// start runs the plugin's Start. Its context ends early when the task is to stop meanwhile; after that it lives as long as
// the task, for plugins that keep it.
func (t *task) start(take context.Context) error {
	ctx, cancel := context.WithCancel(t.do)
	t.endContext = cancel
	released := context.AfterFunc(take, cancel)
	defer released()
	return t.sink.Start(ctx, (*pluginContext)(t))
}

// turn is one iteration of the loop (Kafka Connect's WorkerSinkTask.iteration).
func (t *task) turn() error {
	select {
	case s := <-t.targets:
		if err := t.aim(s); err != nil {
			return err
		}
	default:
	}
	select {
	case <-t.leaving: // what is not committed when a successor takes over is put twice
		t.requested = true
	default:
	}
	now := time.Now()
	if !t.committing && (t.requested || !now.Before(t.nextCommit)) {
		t.nextCommit = now.Add(t.FlushInterval)
		t.requested = false
		if err := t.commitSoon(); err != nil {
			return err
		}
	}
	if t.committing && now.Sub(t.began) >= t.FlushTimeout {
		t.log.Warn("Commit of offsets timed out", "timeout", t.FlushTimeout)
		t.count.CommitFailed()
		t.committing = false
	}
	if err := t.applyRewinds(); err != nil {
		return err
	}
	if !t.looked.IsZero() && kafkaio.Elapsed(t.looked, now) >= t.Doubt {
		t.doubting = true // a long put, or a freeze
	}
	recs, err := t.next(now)
	if err == nil {
		err = t.fenced
	}
	if err != nil {
		if t.do.Err() != nil {
			return nil // Run looks at do itself
		}
		return err
	}
	t.look()
	t.complain()
	if err := t.convert(recs); err != nil {
		return err
	}
	if len(t.ahead) > 0 {
		t.early.Begin(t.ahead)
	}
	if t.consumer.Stalled() >= t.Doubt {
		t.doubting = true
	}
	if t.doubting && len(t.batch) > 0 && (t.refused == 0 || !time.Now().Before(t.retryAt)) {
		if stop, err := t.doubt(); stop {
			return err
		}
	}
	return t.put()
}

// patience is how long to wait for records: until the next commit is due or times out, or as the plugin asked.
func (t *task) patience(now time.Time) time.Duration {
	wait := max(0, t.nextCommit.Sub(now))
	if t.idle.may && !t.busy() {
		wait = min(wait, max(0, t.idle.next.Sub(now)))
	}
	if t.mayComplain() {
		wait = min(wait, max(0, t.complainAt.Sub(now)))
	}
	if t.committing {
		wait = min(wait, max(0, t.began.Add(t.FlushTimeout).Sub(now)))
	}
	switch {
	case t.timeout != none:
		wait = min(wait, t.timeout)
		t.timeout = none
	case t.refused > 0:
		wait = min(wait, max(0, t.retryAt.Sub(now)))
	}
	return wait
}

// convert adds what was polled to the batch. While a batch is refused, all partitions are paused and nothing comes.
func (t *task) convert(recs []kafkaio.Record) error {
	if len(recs) == 0 {
		return nil
	}
	for i := 0; i < len(recs); { // records come in runs of one partition
		tp, first := recs[i].Where(), recs[i].Offset
		last := first
		for ; i < len(recs) && recs[i].Partition == tp.Partition && recs[i].Topic == tp.Topic; i++ {
			last = recs[i].Offset
		}
		t.pos.consume(tp, first, last)
	}
	t.stir()
	t.count.Read(len(recs))
	t.count.Active(t.pos.active())
	var err error
	t.batch, err = t.pipe.Sink(t.do, recs, t.batch)
	clear(recs) // they would keep the memory of their batch until others take their places
	return err
}

// put offers the batch, also an empty one.
func (t *task) put() error {
	began := time.Now()
	if t.refused > 0 && began.Before(t.retryAt) {
		return nil
	}
	err := t.sink.Put(t.do, t.batch)
	if err == nil && t.errant != nil {
		err = t.errant.Exceeded()
	}
	switch {
	case err == nil:
		t.count.Put(len(t.batch), time.Since(began))
		t.pos.accept()
		clear(t.batch)
		t.batch = t.batch[:0]
		return t.takenAgain()
	case t.do.Err() != nil:
		return nil
	case connecterr.IsRetriable(err):
		return t.refuse(err)
	default:
		t.log.Error("Task threw an uncaught and unrecoverable exception. Task is being killed and will not recover until manually restarted", "error", err)
		return connecterr.Wrap(connecterr.General, err, "Exiting WorkerSinkTask due to unrecoverable exception.")
	}
}

// aim follows a new target state.
func (t *task) aim(s cluster.TargetState) error {
	if s == t.target {
		return nil
	}
	t.target = s
	t.stir()
	if err := t.applyHolds(); err != nil {
		return err
	}
	if s == cluster.Started {
		t.report.State(cluster.StateRunning)
		return nil
	}
	t.requested = true // what was written is committed soon, however long the pause
	t.report.State(cluster.StatePaused)
	return nil
}

// look brings the lag up to date, once a second.
func (t *task) look() {
	now := time.Now()
	if now.Before(t.nextLook) {
		return
	}
	t.nextLook = now.Add(time.Second)
	var most, sum int64
	for _, n := range t.consumer.Lag() {
		most, sum = max(most, n), sum+n
	}
	t.count.Lag(most, sum)
}

// reach bounds a look whether any broker answers.
const reach = time.Second

// complain shows that Kafka could not be reached since the start. That passes by itself: the client goes on trying.
func (t *task) complain() {
	now := time.Now()
	if !t.mayComplain() || now.Before(t.complainAt) {
		return
	}
	t.complainAt = now.Add(t.ComplainAfter)
	if err := t.consumer.Unreachable(reach); err != nil {
		t.complained = true
		t.report.Failed(connecterr.Wrap(connecterr.General, err,
			"The task can't read yet, because Kafka does not answer; it goes on trying, and will run once Kafka answers. If the address is wrong, correct bootstrap.servers of the worker or consumer.override.bootstrap.servers of the connector"))
	}
}

func (t *task) mayComplain() bool {
	return !t.joined && !t.complained && t.target == cluster.Started
}

// arrived notes that the group has let this member in.
func (t *task) arrived() {
	t.joined = true
	t.idle.arrived()
	if t.complained && t.target == cluster.Started {
		t.report.State(cluster.StateRunning)
	}
	t.complained = false
}

// finish ends a run in order: PreCommit, the plugin's Close, the last commit; Stop and the client's close follow in Run's
// defers. It returns what Run returns.
func (t *task) finish(err error) error {
	switch {
	case t.do.Err() != nil: // given up: nothing may be written any more
		return nil
	case errors.Is(err, job.ErrFenced):
		t.log.Info("sink task stands down: a newer holder took over")
		if cerr := t.closePartitions(t.pos.assigned(), false); cerr != nil {
			t.log.Warn("the sink failed to close its partitions", "error", cerr)
		}
		return job.ErrFenced
	}
	// Also after a failure: what the plugin accepted before the batch that failed is kept.
	cerr := t.closePartitions(t.pos.assigned(), true)
	if err != nil {
		return err
	}
	return cerr
}

func (t *task) stopPlugin() {
	ctx, cancel := context.WithTimeout(context.Background(), t.ShutdownTimeout)
	defer cancel()
	defer t.endContext()
	if err := t.sink.Stop(ctx); err != nil {
		t.log.Warn("stopping the sink failed", "error", err)
	}
}

// release gives back what prepare made. It runs also after a panic.
func (t *task) release() {
	if t.pipe != nil {
		t.pipe.Close()
	}
	t.dropClient()
}
