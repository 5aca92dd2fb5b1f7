package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// DeadLetters takes records that could not be processed. Send does not wait; Settle waits until all that was sent is
// durable, and fails when something is not: then nothing may be committed.
type DeadLetters interface {
	Send(r kafkaio.Record)
	Settle(ctx context.Context) error
	// Rest gives the client back, once all is settled; Send takes one again.
	Rest()
	Close()
}

// letter is a consumed record as it is set aside: its own bytes, and on request headers that describe the failure.
func (t *tolerance) letter(stage, class string, raw *kafkaio.Record, cause error) kafkaio.Record {
	r := kafkaio.Record{Partition: record.AnyPartition, Key: raw.Key, Value: raw.Value, Timestamp: raw.Timestamp, Headers: raw.Headers}
	if !t.contextHeaders {
		return r
	}
	r.Headers = append([]kafkaio.Header{}, raw.Headers...)
	for _, h := range []struct {
		key   string
		value []byte
	}{
		{"topic", []byte(raw.Topic)}, {"partition", strconv.AppendInt(nil, int64(raw.Partition), 10)}, {"offset", strconv.AppendInt(nil, raw.Offset, 10)},
		{"connector.name", []byte(t.connector)}, {"task.id", strconv.AppendInt(nil, int64(t.task), 10)}, {"stage", []byte(stage)}, {"class.name", []byte(class)},
		{"exception.class.name", []byte(connecterr.ClassOf(cause))}, {"exception.message", message(cause)}, {"exception.stacktrace", []byte(connecterr.Trace(cause))},
	} {
		r.Headers = append(r.Headers, kafkaio.Header{Key: "__connect.errors." + h.key, Value: h.value})
	}
	return r
}

// message is the text of an error without that of its causes; nil for one that has none.
func message(err error) []byte {
	e, ok := errors.AsType[*connecterr.Error](err)
	switch {
	case !ok:
		return []byte(err.Error())
	case e.Message != "":
		return []byte(e.Message)
	case e.Cause != nil:
		return []byte(e.Error())
	}
	return nil
}

// errant is the reporter that plugins get.
type errant struct{ p *Pipeline }

// Report implements sink.ErrantRecordReporter.
func (e errant) Report(ctx context.Context, r *record.Sink, cause error) error {
	raw, err := e.p.rawOf(r)
	if err != nil {
		return err
	}
	t := e.p.tol
	if err = t.failed(ctx, stagePut, "org.apache.kafka.connect.sink.SinkTask", &place{raw: raw}, cause); err != nil && t.exceeded == nil {
		t.exceeded = err
	}
	return err
}

// Of how many batches, and of how many bytes besides the newest batch, the consumed records are kept, for plugins that report
// records later than in the Put that brought them.
const (
	keptBatches = 8
	keptBytes   = 16 << 20
)

// kept is a consumed batch.
type kept struct {
	records []kafkaio.Record
	bytes   int
}

// keep remembers the consumed bytes of a batch, if anybody may ask for them.
func (p *Pipeline) keep(in []kafkaio.Record) {
	if len(in) == 0 || p.ErrantRecords() == nil {
		return
	}
	older := 0
	from := len(p.kept)
	for from > 0 && len(p.kept)-from < keptBatches-1 && older+p.kept[from-1].bytes <= keptBytes {
		from--
		older += p.kept[from].bytes
	}
	left := copy(p.kept, p.kept[from:])
	clear(p.kept[left:])
	k := kept{records: slices.Clone(in)}
	for i := range in {
		k.bytes += len(in[i].Key) + len(in[i].Value)
	}
	p.kept = append(p.kept[:left], k)
}

// rawOf is a record as it was consumed or, for one from long ago, as it is converted back.
func (p *Pipeline) rawOf(r *record.Sink) (*kafkaio.Record, error) {
	for i := len(p.kept) - 1; i >= 0; i-- {
		for k := range p.kept[i].records {
			raw := &p.kept[i].records[k]
			if raw.Offset == r.OriginalOffset && raw.Partition == r.OriginalPartition && raw.Topic == r.OriginalTopic {
				return raw, nil
			}
		}
	}
	raw := &kafkaio.Record{Topic: r.OriginalTopic, Partition: r.OriginalPartition, Offset: r.OriginalOffset, Timestamp: r.Timestamp}
	var err error
	if raw.Key, err = p.key.FromConnect(r.Topic, r.KeySchema, r.Key); err != nil {
		return nil, err
	}
	raw.Value, err = p.value.FromConnect(r.Topic, r.ValueSchema, r.Value)
	return raw, err
}

// ErrantRecords is for the plugin's own bad records; nil when neither a dead letter queue nor the error log is set.
func (p *Pipeline) ErrantRecords() sink.ErrantRecordReporter {
	if p.tol.letters == nil && !p.tol.logErrors {
		return nil
	}
	return errant{p}
}

// Settle waits until everything set aside so far is durable. An error means that it may not be.
func (p *Pipeline) Settle(ctx context.Context) error {
	p.tol.tell(ctx, false)
	if p.tol.letters == nil {
		return nil
	}
	return p.tol.letters.Settle(ctx)
}

// Rest says that nothing comes for a while: what is there for dead letters is given back until there is one.
func (p *Pipeline) Rest() {
	if p.tol.letters != nil {
		p.tol.letters.Rest()
	}
}

// Exceeded is the error of a report that went beyond the tolerance, also when the plugin has swallowed it.
func (p *Pipeline) Exceeded() error { return p.tol.exceeded }

// Producer is what a dead letter queue needs of kafkaio.Producer.
type Producer interface {
	Send(ctx context.Context, batch []kafkaio.Record, done func(i int, p record.Produced, err error)) (int, error)
	Flush(ctx context.Context) error
	Close(ctx context.Context) error
}

// queue is the dead letter queue in Kafka.
type queue struct {
	topic   string
	open    func() (Producer, error)
	log     *slog.Logger
	metrics *connectmetrics.Job

	seat  sync.Mutex // held by who uses p: plugins report records whenever they like
	p     Producer   // nil: given back
	ended bool       // by Close

	mu     sync.Mutex
	failed error // the first one since the last Settle
}

// NewQueue makes a dead letter queue. It takes a producer at once, and another after that was given back.
func NewQueue(topic string, open func() (Producer, error), log *slog.Logger, m *connectmetrics.Job) (DeadLetters, error) {
	p, err := open()
	return &queue{topic: topic, open: open, p: p, log: log, metrics: m}, err
}

// Admin is what making the topic of a dead letter queue needs of kafkaio.Admin.
type Admin interface {
	DescribeTopic(ctx context.Context, name string) (kafkaio.Topic, error)
	CreateTopics(ctx context.Context, topics ...kafkaio.Topic) (map[string]error, error)
}

// EnsureTopic makes the topic of a dead letter queue unless it is there.
func EnsureTopic(ctx context.Context, a Admin, topic kafkaio.Topic, log *slog.Logger) error {
	_, err := a.DescribeTopic(ctx, topic.Name)
	if err == nil || !kafkaio.IsUnknownTopic(err) {
		return err
	}
	log.ErrorContext(ctx, "Topic "+topic.Name+" doesn't exist. Will attempt to create topic.")
	made, err := a.CreateTopics(ctx, topic)
	if err == nil {
		err = made[topic.Name]
	}
	if errors.Is(err, kafkaio.ErrTopicExists) {
		return nil
	}
	return err
}

// enqueueTime bounds how long a full producer may hold up a task that sets a record aside.
const enqueueTime = 30 * time.Second

func (q *queue) Send(r kafkaio.Record) {
	r.Topic = q.topic
	ctx, cancel := context.WithTimeout(context.Background(), enqueueTime)
	defer cancel()
	q.seat.Lock()
	defer q.seat.Unlock()
	if q.ended {
		q.fail(errors.New("the task has ended"))
		return
	}
	if q.p == nil {
		p, err := q.open()
		if err != nil {
			q.fail(err)
			return
		}
		q.p = p
	}
	n, err := q.p.Send(ctx, []kafkaio.Record{r}, func(_ int, _ record.Produced, err error) {
		if err != nil {
			q.fail(err)
		}
	})
	if n == 0 {
		q.fail(err)
	}
}

func (q *queue) fail(err error) {
	q.log.Error("Could not produce message to dead letter queue. topic="+q.topic, slog.Any("err", err))
	q.metrics.Wrong(connectmetrics.Errors{LettersLost: 1})
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failed == nil {
		q.failed = fmt.Errorf("setting a record aside in topic %s: %w", q.topic, err)
	}
}

func (q *queue) Settle(ctx context.Context) error {
	if err := q.flush(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	err := q.failed
	q.failed = nil
	return err
}

func (q *queue) flush(ctx context.Context) error {
	q.seat.Lock()
	defer q.seat.Unlock()
	if q.p == nil {
		return nil
	}
	return q.p.Flush(ctx)
}

// Rest leaves the producer where something is still under way: that is for the next Settle to judge.
func (q *queue) Rest() {
	q.seat.Lock()
	defer q.seat.Unlock()
	if q.p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), enqueueTime)
	defer cancel()
	if err := q.p.Flush(ctx); err != nil {
		q.log.Debug("dead letter queue's producer is kept", slog.Any("err", err))
		return
	}
	q.giveBack(ctx)
}

// giveBack closes the producer; called with seat held.
func (q *queue) giveBack(ctx context.Context) {
	if q.p == nil {
		return
	}
	if err := q.p.Close(ctx); err != nil {
		q.log.Warn("dead letter queue's producer left behind", slog.Any("err", err))
	}
	q.p = nil
}

func (q *queue) Close() {
	q.seat.Lock()
	defer q.seat.Unlock()
	q.ended = true
	ctx, cancel := context.WithTimeout(context.Background(), enqueueTime)
	defer cancel()
	q.giveBack(ctx)
}
