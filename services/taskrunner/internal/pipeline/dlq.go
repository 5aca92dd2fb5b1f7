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
	Close()
}

// letter is a consumed record as it is set aside: its own bytes, and on request headers that describe the failure.
func (t *tolerance) letter(stage, class string, raw *kafkaio.Record, cause error) kafkaio.Record {
	r := kafkaio.Record{Partition: record.AnyPartition, Key: raw.Key, Value: raw.Value, Timestamp: raw.Timestamp, Headers: raw.Headers}
	if !t.contextHeaders {
		return r
	}
	r.Headers = append([]kafkaio.Header{}, raw.Headers...)
	for _, h := range []struct{ key, value string }{
		{"topic", raw.Topic}, {"partition", strconv.Itoa(int(raw.Partition))}, {"offset", strconv.FormatInt(raw.Offset, 10)},
		{"connector.name", t.connector}, {"task.id", strconv.Itoa(t.task)}, {"stage", stage}, {"class.name", class},
		{"exception.class.name", connecterr.ClassOf(cause)}, {"exception.message", message(cause)}, {"exception.stacktrace", connecterr.Trace(cause)},
	} {
		r.Headers = append(r.Headers, kafkaio.Header{Key: "__connect.errors." + h.key, Value: []byte(h.value)})
	}
	return r
}

func message(err error) string {
	if e, ok := errors.AsType[*connecterr.Error](err); ok && e.Message != "" {
		return e.Message
	}
	return err.Error()
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

// keptBatches is for how many batches the consumed bytes are kept, for plugins that report records later than in the Put
// that brought them.
const keptBatches = 8

// keep remembers the consumed bytes of a batch, if anybody may ask for them.
func (p *Pipeline) keep(in []kafkaio.Record) {
	if len(in) == 0 || p.ErrantRecords() == nil {
		return
	}
	if len(p.kept) == keptBatches {
		p.kept = append(p.kept[:0], p.kept[1:]...)
	}
	p.kept = append(p.kept, slices.Clone(in))
}

// rawOf is a record as it was consumed or, for one from long ago, as it is converted back.
func (p *Pipeline) rawOf(r *record.Sink) (*kafkaio.Record, error) {
	for i := len(p.kept) - 1; i >= 0; i-- {
		for k := range p.kept[i] {
			raw := &p.kept[i][k]
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
	if p.tol.letters == nil {
		return nil
	}
	return p.tol.letters.Settle(ctx)
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
	p       Producer
	log     *slog.Logger
	metrics *connectmetrics.Job

	mu     sync.Mutex
	failed error // the first one since the last Settle
}

// NewQueue makes a dead letter queue of a producer, which it closes.
func NewQueue(topic string, p Producer, log *slog.Logger, m *connectmetrics.Job) DeadLetters {
	return &queue{topic: topic, p: p, log: log, metrics: m}
}

// enqueueTime bounds how long a full producer may hold up a task that sets a record aside.
const enqueueTime = 30 * time.Second

func (q *queue) Send(r kafkaio.Record) {
	r.Topic = q.topic
	ctx, cancel := context.WithTimeout(context.Background(), enqueueTime)
	defer cancel()
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
	if err := q.p.Flush(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	err := q.failed
	q.failed = nil
	return err
}

func (q *queue) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), enqueueTime)
	defer cancel()
	if err := q.p.Close(ctx); err != nil {
		q.log.Warn("dead letter queue's producer left behind", slog.Any("err", err))
	}
}
