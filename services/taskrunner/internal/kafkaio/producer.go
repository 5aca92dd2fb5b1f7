package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

// ProducerConfig says how a producer is made.
type ProducerConfig struct {
	Client Config
	// TransactionalID makes the producer transactional; empty: idempotent only.
	TransactionalID string
	Logger          *slog.Logger // nil: no log
}

// Producer writes records. One goroutine calls Send, Begin, Commit, Abort and Flush; Close may come from another one.
//
// Bytes in flight are bounded (queue.buffering.max.kbytes); Send waits when the bound is reached.
type Producer struct {
	*client
	p      *kafka.Producer
	config *kafka.ConfigMap
	txnal  string
	former sync.WaitGroup // clients that renew replaced

	outstanding atomic.Int64  // records accepted and not yet reported
	room        chan struct{} // a token when reports have come in
	served      chan struct{} // closed when the delivery goroutine has ended

	sending sync.Mutex    // held by Send
	stop    chan struct{} // closed by Close

	queue   sync.Mutex    // guards what follows
	zero    chan struct{} // closed when outstanding falls to 0; nil when nobody waits
	batches map[*outBatch]struct{}
	closing bool

	closed chan struct{} // closed when the client is gone

	aborted bool // the last Commit has aborted the transaction
}

// outBatch is what is remembered of one Send until its last report.
type outBatch struct {
	done func(i int, p record.Produced, err error)
	recs []outRecord
	left atomic.Int64
}

type outRecord struct {
	batch    *outBatch
	i        int
	reported bool // only the delivery goroutine looks at it
}

// slice is how long one call into the library lasts at most, so that a context that ends is noticed.
const slice = 500 * time.Millisecond

var errClosed = errors.New("the Kafka client is closed")

// NewProducer makes a producer. It does not wait for a broker; a configuration that librdkafka does not understand is a
// connecterr.Config error. Close it.
func NewProducer(_ context.Context, pc ProducerConfig) (*Producer, error) {
	c := newClient(pc.Client, obs.Named(pc.Logger, obs.LogProducer))
	forced := Config{}
	if pc.TransactionalID != "" {
		forced["transactional.id"] = pc.TransactionalID
		forced["enable.idempotence"] = "true"
		maps.Copy(forced, deliveryWithinTransaction(pc.Client))
	}
	defaults := []Config{sharedDefaults, producerDefaults}
	if acks := pc.Client["acks"]; acks != "" && acks != "all" && acks != "-1" && pc.TransactionalID == "" {
		defaults = append(defaults, Config{"enable.idempotence": "false"}) // librdkafka refuses the two together
	}
	config := build(c, pc.Client, kafka.ConfigMap{
		"go.delivery.report.fields": "none", // positions are enough; keys and values would be copied back
		"go.events.channel.size":    10000,
		"go.produce.channel.size":   0,
	}, forced, defaults...)
	kp, err := kafka.NewProducer(config)
	if err != nil {
		c.closeLogs()
		return nil, configError("producer", pc.Client, err)
	}
	p := &Producer{
		client: c, p: kp, config: config, txnal: pc.TransactionalID, room: make(chan struct{}, 1), served: make(chan struct{}),
		batches: map[*outBatch]struct{}{}, stop: make(chan struct{}), closed: make(chan struct{}),
	}
	go p.serve(kp, p.served)
	return p, nil
}

// serve is the delivery goroutine of a client. It ends when the library closes the channel.
func (p *Producer) serve(kp *kafka.Producer, served chan<- struct{}) {
	defer close(served)
	for ev := range kp.Events() {
		switch e := ev.(type) {
		case *kafka.Message:
			if r, ok := e.Opaque.(*outRecord); ok {
				p.report(r, e)
			}
		case kafka.Error:
			_ = p.complain("producing", e) // calls that wait look at lastTrouble
		}
	}
}

func (p *Producer) report(r *outRecord, m *kafka.Message) {
	r.reported = true
	where := record.Produced{Partition: m.TopicPartition.Partition, Offset: int64(m.TopicPartition.Offset)}
	if m.TopicPartition.Topic != nil {
		where.Topic = *m.TopicPartition.Topic
	}
	err := m.TopicPartition.Error
	if err == nil {
		p.recovered()
	}
	if err != nil {
		where.Offset = -1
		if isUnknownPartition(err) { // the library has just looked at the topic
			err = noPartition(where.Topic, where.Partition)
		} else {
			err = p.failure("producing to topic "+where.Topic, err)
		}
	}
	p.settle(r, where, err)
}

// isUnknownPartition tells that the topic is there, and has no partition of the number that a record asks for.
func isUnknownPartition(err error) bool { return hasCode(err, kafka.ErrUnknownPartition) }

func noPartition(topic string, partition int32) error {
	return connecterr.New(connecterr.General, "producing to topic %s: it has no partition %d, for which the record asks; give the topic more partitions", topic, partition)
}

// seesPartition asks Kafka about a topic that had no such partition when it was last looked at.
func (p *Producer) seesPartition(topic string, partition int32) (bool, error) {
	m, err := p.p.GetMetadata(&topic, false, int(slice.Milliseconds()))
	if err != nil {
		return false, p.failure("looking at topic "+topic, err)
	}
	t := m.Topics[topic]
	if t.Error.Code() != kafka.ErrNoError {
		return false, p.failure("looking at topic "+topic, t.Error)
	}
	return int(partition) < len(t.Partitions), nil
}

// settle tells the caller about one record, after which it is forgotten.
func (p *Producer) settle(r *outRecord, where record.Produced, err error) {
	r.batch.done(r.i, where, err)
	if r.batch.left.Add(-1) == 0 {
		p.queue.Lock()
		delete(p.batches, r.batch)
		p.queue.Unlock()
	}
	p.less(1)
	select {
	case p.room <- struct{}{}:
	default:
	}
}

func (p *Producer) less(n int) {
	if p.outstanding.Add(int64(-n)) != 0 {
		return
	}
	p.queue.Lock()
	if p.zero != nil && p.outstanding.Load() == 0 {
		close(p.zero)
		p.zero = nil
	}
	p.queue.Unlock()
}

// failure classifies err; a fatal state of the client explains more than the error of one record.
func (p *Producer) failure(doing string, err error) error {
	if fatal := p.p.GetFatalError(); fatal != nil {
		err = fatal
	}
	return p.classify(doing, err)
}

// Send enqueues batch in order and returns how many records were accepted; done is called once for each of these, in order
// per partition, from one goroutine that must not be blocked for long and must not call Send. It may be called before
// Send returns. Where err is not nil, record accepted is the one it is about and nothing after it was taken; the
// records' bytes are copied, so they are the caller's again when Send returns.
//
// Send waits while too much is in flight, until ctx ends. Errors: job.ErrFenced, connecterr.Retriable for what may
// pass, others (a record that is too large, say) are final.
func (p *Producer) Send(ctx context.Context, batch []Record, done func(i int, p record.Produced, err error)) (accepted int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	p.sending.Lock()
	defer p.sending.Unlock()
	b := &outBatch{done: done, recs: make([]outRecord, len(batch))}
	b.left.Store(int64(len(batch)))
	p.queue.Lock()
	if p.closing {
		p.queue.Unlock()
		return 0, fmt.Errorf("producing: %w", errClosed)
	}
	p.batches[b] = struct{}{}
	p.outstanding.Add(int64(len(batch)))
	p.queue.Unlock()
	for i := range batch {
		b.recs[i] = outRecord{batch: b, i: i}
		if err = p.enqueue(ctx, &batch[i], &b.recs[i]); err != nil {
			p.untaken(b, i)
			return i, err
		}
	}
	return len(batch), nil
}

// untaken takes the records from the i-th on out of the count, since no report will come for them.
func (p *Producer) untaken(b *outBatch, i int) {
	n := len(b.recs) - i
	for k := i; k < len(b.recs); k++ {
		b.recs[k] = outRecord{batch: b, i: k, reported: true}
	}
	if b.left.Add(int64(-n)) == 0 {
		p.queue.Lock()
		delete(p.batches, b)
		p.queue.Unlock()
	}
	p.less(n)
}

func (p *Producer) enqueue(ctx context.Context, r *Record, o *outRecord) error {
	m := kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &r.Topic, Partition: r.Partition},
		Key:            r.Key, Value: r.Value, Opaque: o,
	}
	if r.Timestamp > 0 {
		m.Timestamp = time.UnixMilli(r.Timestamp)
	}
	if len(r.Headers) > 0 {
		m.Headers = make([]kafka.Header, len(r.Headers))
		for i, h := range r.Headers {
			m.Headers[i] = kafka.Header(h)
		}
	}
	for {
		err := p.p.Produce(&m, nil)
		if err == nil {
			return nil
		}
		if isUnknownPartition(err) && r.Partition >= 0 {
			switch there, uerr := p.seesPartition(r.Topic, r.Partition); {
			case uerr != nil:
				return uerr
			case there: // since a moment ago: the caller comes again
				return connecterr.Wrap(connecterr.Retriable, err, "producing to topic %s", r.Topic)
			}
			return noPartition(r.Topic, r.Partition)
		}
		if ke, ok := errors.AsType[kafka.Error](err); !ok || ke.Code() != kafka.ErrQueueFull {
			return p.failure("producing to topic "+r.Topic, err)
		}
		t := time.NewTimer(slice) // a report's token can be missed only by other waiters; the timer is a second way out
		select {
		case <-ctx.Done():
			t.Stop()
			return p.gaveUp(ctx, "producing to topic "+r.Topic)
		case <-p.stop:
			t.Stop()
			return fmt.Errorf("producing to topic %s: %w", r.Topic, errClosed)
		case <-p.room:
		case <-t.C:
		}
		t.Stop()
	}
}

// Flush waits until every accepted record was reported (done has returned).
func (p *Producer) Flush(ctx context.Context) error {
	p.queue.Lock()
	if p.outstanding.Load() == 0 {
		p.queue.Unlock()
		return nil
	}
	if p.zero == nil {
		p.zero = make(chan struct{})
	}
	zero := p.zero
	p.queue.Unlock()
	select {
	case <-zero:
		return nil
	case <-p.served:
		return fmt.Errorf("flushing the producer: %w", errClosed)
	case <-ctx.Done():
		return p.gaveUp(ctx, fmt.Sprintf("flushing %d records", p.outstanding.Load()))
	}
}

// InitTransactions takes the fence (Invariant 4): the transactional id's older holders can write no more, and what they had
// begun is aborted. Call it once, before Begin.
func (p *Producer) InitTransactions(ctx context.Context) error {
	// While Kafka aborts what an older holder had begun, it refuses us, for some milliseconds. librdkafka then rests 500 ms
	// before it asks again, as it does after other small mishaps; a new client asks at once.
	patience := fencePatience
	for range fenceClients {
		if !p.greet(ctx) {
			break
		}
		again, err := p.tryFence(ctx, patience)
		if err == nil {
			return nil
		}
		if !again {
			break // there is more to it
		}
		if err := p.renew(); err != nil {
			return err
		}
		patience += patience / 2 // the broker may be slow
	}
	return p.sliced(ctx, "taking transactional.id="+p.txnal, p.p.InitTransactions)
}

const (
	fenceClients  = 8                      // how many clients ask in a row; seen: 2
	fencePatience = 100 * time.Millisecond // with the first of them; seen: 12 ms where nothing is to be aborted
)

// tryFence asks for the fence with the present client, until Kafka refuses it for now or patience ends: then a new client may
// do better.
func (p *Producer) tryFence(ctx context.Context, patience time.Duration) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = p.p.InitTransactions(ctx)
	ke, ok := errors.AsType[kafka.Error](err)
	return ok && (ke.IsTimeout() || ke.IsRetriable()) && !ke.TxnRequiresAbort() && p.lastTrouble() == nil, err
}

// greet waits for a first answer of a broker. Asked for the fence before it has a connection, librdkafka rests 500 ms before
// it looks again. Without an answer the question for the fence does the waiting, and tells what is wrong.
func (p *Producer) greet(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	_, err := p.p.GetMetadata(nil, false, int(slice.Milliseconds()))
	return err == nil
}

// renew replaces the client, which has sent nothing, by a new one. The old one goes in the background.
func (p *Producer) renew() error {
	p.queue.Lock()
	defer p.queue.Unlock()
	if p.closing {
		return errClosed
	}
	kp, err := kafka.NewProducer(p.config)
	if err != nil {
		return configError("producer", nil, err) // it was accepted before
	}
	old, served := p.p, p.served
	p.p, p.served = kp, make(chan struct{})
	go p.serve(kp, p.served)
	p.former.Go(func() {
		old.Close()
		<-served
	})
	return nil
}

// Begin begins a transaction.
func (p *Producer) Begin() error {
	if err := p.p.BeginTransaction(); err != nil {
		return p.failure("beginning a transaction", err)
	}
	p.aborted = false
	return nil
}

// Commit waits for all records, then commits. When Kafka says that the transaction can only be aborted, Commit aborts it and
// returns a retriable error: its records may be sent again in the next transaction. The abort also finds out whether the
// reason is a newer holder: then the error is job.ErrFenced. An error because ctx ended leaves open what became of the
// transaction: call Commit again, or close the producer and let the next InitTransactions settle it.
func (p *Producer) Commit(ctx context.Context) error {
	if err := p.Flush(ctx); err != nil {
		return err
	}
	err := p.sliced(ctx, "committing a transaction", p.p.CommitTransaction)
	if err == nil || !RequiresAbort(err) {
		return err
	}
	if aerr := p.Abort(ctx); aerr != nil {
		if Fenced(aerr) {
			return aerr
		}
		return errors.Join(err, aerr)
	}
	p.aborted = true
	return err
}

// Abort drops what was sent since Begin, and reports what is still in flight with an error. After a Commit that aborted it
// does nothing.
func (p *Producer) Abort(ctx context.Context) error {
	if p.aborted {
		return nil
	}
	if err := p.sliced(ctx, "aborting a transaction", p.p.AbortTransaction); err != nil {
		return err
	}
	return p.Flush(ctx)
}

// sliced repeats a call that may be resumed after a timeout until it ends or ctx does.
func (p *Producer) sliced(ctx context.Context, doing string, call func(context.Context) error) error {
	for {
		part, cancel := context.WithTimeout(ctx, slice)
		err := call(part)
		cancel()
		if err == nil {
			return nil
		}
		ke, ok := errors.AsType[kafka.Error](err)
		if !ok || !ke.IsRetriable() && !ke.IsTimeout() || ke.TxnRequiresAbort() {
			return p.failure(doing, err)
		}
		if t, ok := errors.AsType[kafka.Error](p.lastTrouble()); ok && verdictOf(t.Code()) == forbidden {
			return p.classify(doing, t) // librdkafka would go on trying with the same wrong credentials
		}
		if !ke.IsTimeout() { // a refusal that came at once: do not spin
			t := time.NewTimer(50 * time.Millisecond)
			select {
			case <-t.C:
			case <-ctx.Done():
			}
			t.Stop()
		}
		if ctx.Err() != nil {
			return p.gaveUp(ctx, doing)
		}
	}
}

// Close gives the client back. What was not flushed is dropped and reported with an error; an open transaction is left to
// Kafka, which aborts it at the next InitTransactions or at its timeout. When the library does not let go until ctx ends,
// Close returns an error and the rest happens in the background. Safe to call twice.
func (p *Producer) Close(ctx context.Context) error {
	p.queue.Lock()
	first := !p.closing
	p.closing = true
	p.queue.Unlock()
	if first {
		close(p.stop)
		go p.destroy()
	}
	select {
	case <-p.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing the producer of %s: %w", strings.TrimSpace(p.bootstrap), context.Cause(ctx))
	}
}

func (p *Producer) destroy() {
	defer close(p.closed)
	p.sending.Lock()   // a Send that waits has been woken by stop
	p.sending.Unlock() //nolint:staticcheck // empty on purpose: only to let a running Send end
	if p.outstanding.Load() > 0 {
		if err := p.p.Purge(kafka.PurgeQueue | kafka.PurgeInFlight); err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			_ = p.Flush(ctx) // the purged records are reported; those that are not are settled below
			cancel()
		}
	}
	p.p.Close()
	<-p.served
	p.former.Wait()
	p.queue.Lock()
	rest := p.batches
	p.batches = map[*outBatch]struct{}{}
	p.queue.Unlock()
	for b := range rest {
		for i := range b.recs {
			if r := &b.recs[i]; !r.reported && r.batch != nil {
				r.reported = true
				p.settle(r, record.Produced{Partition: record.AnyPartition, Offset: -1},
					connecterr.Wrap(connecterr.Retriable, errClosed, "producing"))
			}
		}
	}
	p.closeLogs()
}

// Fenced tells whether err says that a newer holder took over.
func Fenced(err error) bool { return errors.Is(err, job.ErrFenced) }
