package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// The stages of a record, by their Kafka Connect names.
const (
	stageKey            = "KEY_CONVERTER"
	stageValue          = "VALUE_CONVERTER"
	stageHeader         = "HEADER_CONVERTER"
	stageTransformation = "TRANSFORMATION"
	stagePut            = "TASK_PUT"
	stageProduce        = "KAFKA_PRODUCE"
)

// firstDelay is the first pause before a step is tried again; it doubles.
const firstDelay = 300 * time.Millisecond

var errorsDef = &config.Def{Keys: []config.Key{
	{Name: "errors.retry.timeout", Type: config.Long, Default: config.Default("0")},
	{Name: "errors.retry.delay.max.ms", Type: config.Long, Default: config.Default("60000")},
	{Name: "errors.tolerance", Type: config.String, Default: config.Default("none"), Validators: []config.Rule{config.OneOf("none", "all")}},
	{Name: "errors.log.enable", Type: config.Boolean, Default: config.Default("false")},
	{Name: "errors.log.include.messages", Type: config.Boolean, Default: config.Default("false")},
	{Name: "errors.deadletterqueue.topic.name", Type: config.String, Default: config.Default("")},
	{Name: "errors.deadletterqueue.topic.replication.factor", Type: config.Short, Default: config.Default("3")},
	{Name: "errors.deadletterqueue.context.headers.enable", Type: config.Boolean, Default: config.Default("false")},
}}

// place says which record is under way: a consumed one or one from the source.
type place struct {
	raw    *kafkaio.Record
	source *record.Source
}

// String names the record without its content: it is also shown to users, in traces.
func (p *place) String() string {
	if p.raw == nil {
		return fmt.Sprintf("source record is for topic '%s'", p.source.Topic)
	}
	r := p.raw
	when := ""
	if r.TimestampType != record.TimestampNone {
		when = fmt.Sprintf(", timestamp=%d, timestampType=%s", r.Timestamp, r.TimestampType)
	}
	return fmt.Sprintf("consumed record is {topic='%s', partition=%d, offset=%d%s}", r.Topic, r.Partition, r.Offset, when)
}

// Full is String with the content of a source record, for logs that are asked to include it.
func (p *place) Full() string {
	if p.raw != nil {
		return p.String()
	}
	return "source record is = " + p.source.String()
}

// tolerance runs the steps of a record and judges their failures.
type tolerance struct {
	connector string
	task      int
	log       *slog.Logger
	metrics   *connectmetrics.Job

	retryFor, delayMax time.Duration
	forever            bool
	all                bool // errors.tolerance=all
	logErrors          bool
	logRecords         bool
	letters            DeadLetters // nil: none
	contextHeaders     bool
	exceeded           error // of an errant record's report
	untold             untold
}

func newTolerance(o Options) (*tolerance, error) {
	v, problems := errorsDef.Parse(o.Config)
	if len(problems) > 0 {
		return nil, connecterr.New(connecterr.Config, "%s", problems[0].Message)
	}
	t := &tolerance{connector: o.Connector, task: o.Task, log: obs.Named(o.Logger, obs.LogErrors), metrics: o.Metrics,
		retryFor: time.Duration(v.Int("errors.retry.timeout")) * time.Millisecond, forever: v.Int("errors.retry.timeout") < 0,
		delayMax: time.Duration(v.Int("errors.retry.delay.max.ms")) * time.Millisecond,
		all:      v.String("errors.tolerance") == "all", logErrors: v.Bool("errors.log.enable"), logRecords: v.Bool("errors.log.include.messages"),
		contextHeaders: v.Bool("errors.deadletterqueue.context.headers.enable")}
	if topic := strings.TrimSpace(v.String("errors.deadletterqueue.topic.name")); topic != "" && o.DeadLetters != nil {
		letters, err := o.DeadLetters(topic, int(v.Int("errors.deadletterqueue.topic.replication.factor")))
		if err != nil {
			return nil, connecterr.Wrap(connecterr.General, err, "Could not initialize dead letter queue with topic=%s", topic)
		}
		t.letters = letters
	}
	return t, nil
}

func (t *tolerance) close() {
	t.tell(context.Background(), true)
	if t.letters != nil {
		t.letters.Close()
	}
}

// try runs a step. ok=false without an error: the record has failed and is skipped. An error fails the task. Kafka Connect
// skips a record whose repetitions ran out even when nothing is tolerated, and so loses it; here that fails the task.
func (t *tolerance) try(ctx context.Context, stage, class string, at *place, step func() error) (ok bool, err error) {
	if err = once(step); err == nil {
		return true, nil
	}
	return t.judge(ctx, stage, class, at, err, step)
}

// judge is try after the first failure.
func (t *tolerance) judge(ctx context.Context, stage, class string, at *place, err error, step func() error) (ok bool, _ error) {
	if connecterr.IsRetriable(err) {
		if err = t.repeat(ctx, err, step); err == nil {
			return true, nil
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	t.metrics.Wrong(connectmetrics.Errors{Failures: 1})
	return false, t.failed(ctx, stage, class, at, err)
}

// once runs a step. A panic is the failure of this record, as a RuntimeException is in Kafka Connect.
func once(step func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = connecterr.Panicked(p)
		}
	}()
	return step()
}

// repeat tries a step again until it works, fails for good, or its time is over.
func (t *tolerance) repeat(ctx context.Context, err error, step func() error) error {
	deadline := time.Now().Add(t.retryFor)
	for attempt := 0; connecterr.IsRetriable(err); attempt++ {
		t.metrics.Wrong(connectmetrics.Errors{Failures: 1})
		left := time.Until(deadline)
		if !t.forever && left <= 0 {
			return err
		}
		delay := firstDelay << min(attempt, 20)
		if delay > t.delayMax {
			delay = rand.N(max(t.delayMax, 1))
		}
		if !t.forever {
			delay = min(delay, left)
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		t.metrics.Wrong(connectmetrics.Errors{Retries: 1})
		if err = once(step); err == nil {
			return nil
		}
	}
	return err
}

// keepThem says how a sink's bad records are not lost; a source has no place for them.
func keepThem(at *place) string {
	if at.raw == nil {
		return ""
	}
	return "; errors.deadletterqueue.topic.name keeps them"
}

// failed reports a record that has failed for good, and says whether the task has, too.
func (t *tolerance) failed(ctx context.Context, stage, class string, at *place, cause error) error {
	wrong := connectmetrics.Errors{Records: 1}
	defer func() { t.metrics.Wrong(wrong) }()
	if t.logErrors {
		where := ""
		if t.logRecords {
			where = ", where " + at.Full()
		}
		t.log.ErrorContext(ctx, fmt.Sprintf("Error encountered in task %s-%d. Executing stage '%s' with class '%s'%s.", t.connector, t.task, stage, class, where), slog.Any("err", cause))
		wrong.Logged = 1
	}
	if t.letters != nil && at.raw != nil {
		wrong.Letters = 1
		t.letters.Send(t.letter(stage, class, at.raw, cause))
	}
	if !t.all {
		cause = connecterr.Wrap(connecterr.General, cause, "Stage %s with class %s failed, where %s. To go on without such records set errors.tolerance=all%s",
			stage, class, at, keepThem(at))
		return connecterr.Wrap(connecterr.General, cause, "Tolerance exceeded in error handler")
	}
	wrong.Skipped = 1
	if !t.logErrors {
		t.untold.add(stage, class, at, cause)
	}
	return nil
}

// tellEvery is the least time between two lines about skipped records.
const tellEvery = time.Second

// untold are skipped records that no line of the log has told of yet: without errors.log.enable there is not one for each, but
// none is skipped in silence.
type untold struct {
	records int
	first   string // what happened to the first of them
	cause   error
	next    time.Time // when the next line may be written
}

func (u *untold) add(stage, class string, at *place, cause error) {
	if u.records++; u.records == 1 {
		u.first, u.cause = fmt.Sprintf("stage %s, class %s, where %s", stage, class, at), cause
	}
}

// tell writes a line about the records skipped since the last one, at most once a second unless it is now or never.
func (t *tolerance) tell(ctx context.Context, last bool) {
	u := &t.untold
	if u.records == 0 {
		return
	}
	now := time.Now()
	if !last && now.Before(u.next) {
		return
	}
	t.log.WarnContext(ctx, "records were skipped, since errors.tolerance=all; errors.log.enable=true tells of each",
		slog.Int("records", u.records), slog.Bool("dead_letter_queue", t.letters != nil), slog.String("first", u.first), slog.Any(obs.KeyErr, u.cause))
	*u = untold{next: now.Add(tellEvery)}
}
