package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
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
	// OneByOne hands records to the library one at a time, by its public interface: the yardstick for the other way.
	OneByOne bool
	Logger   *slog.Logger // nil: no log
}

// Producer writes records. One goroutine calls Send, Begin, Commit, Abort and Flush; Close may come from another one.
//
// Bytes in flight are bounded (queue.buffering.max.kbytes); Send waits when the bound is reached.
type Producer struct {
	*client
	out    outlet
	config kafka.ConfigMap
	plain  bool
	txnal  string
	former sync.WaitGroup // clients that renew replaced

	outstanding atomic.Int64  // records accepted and not yet reported
	room        chan struct{} // a token when reports have come in

	sending sync.Mutex    // held by Send
	stop    chan struct{} // closed by Close

	queue   sync.Mutex    // guards what follows
	zero    chan struct{} // closed when outstanding falls to 0; nil when nobody waits
	batches []*outBatch   // in flight, each in its slot
	free    []uint32      // slots
	closing bool

	closed chan struct{} // closed when the client is gone

	aborted bool // the last Commit has aborted the transaction
}

// outlet is a client of the library that sends; calls that come after close has begun answer errClosed. It tells the producer of reports: report for each record, in order per
// partition, from one goroutine, and settled for so many of them.
type outlet interface {
	// send enqueues recs[from:] in order and returns how many were taken. An error is about the next one; with
	// kafka.ErrQueueFull it is to be offered again.
	send(b *outBatch, recs []Record, from int) (taken int, err error)
	// reach tells whether a broker has answered.
	reach(timeout time.Duration) bool
	// partitions asks a broker how many partitions a topic has.
	partitions(topic string, timeout time.Duration) (int, error)
	initTransactions(ctx context.Context) error
	begin() error
	commit(ctx context.Context) error
	abort(ctx context.Context) error
	fatal() error
	// purge gives up what was not sent and not answered; it is reported.
	purge()
	served() <-chan struct{} // closed when no reports come any more
	// close waits for calls that run in other goroutines: the library must not be freed under them.
	close()
}

// outBatch is what is remembered of one Send until its last report.
type outBatch struct {
	slot     uint32
	done     func(i int, p record.Produced, err error)
	topic    string   // of all records, unless there are
	topics   []string // of each
	reported []uint64 // a bit for each record
	left     atomic.Int64
}

func (b *outBatch) topicOf(i int) string {
	if b.topics != nil {
		return b.topics[i]
	}
	return b.topic
}

// mark notes that a record is settled; false: it was already.
func (b *outBatch) mark(i int) bool {
	bit := uint64(1) << (i % 64)
	if b.reported[i/64]&bit != 0 {
		return false
	}
	b.reported[i/64] |= bit
	return true
}

func newOutBatch(batch []Record, done func(i int, p record.Produced, err error)) *outBatch {
	b := &outBatch{done: done, topic: batch[0].Topic, reported: make([]uint64, (len(batch)+63)/64)}
	b.left.Store(int64(len(batch)))
	for i := range batch {
		if batch[i].Topic != b.topic {
			b.topics = make([]string, len(batch))
			for k := range batch {
				b.topics[k] = batch[k].Topic
			}
			break
		}
	}
	return b
}

// slice is how long one call into the library lasts at most, so that a context that ends is noticed.
const slice = 500 * time.Millisecond

var errClosed = errors.New("the Kafka client is closed")

// NewProducer makes a producer. It does not wait for a broker; a configuration that librdkafka does not understand is a
// connecterr.Config error. Close it.
func NewProducer(_ context.Context, pc ProducerConfig) (*Producer, error) {
	c := newClient(pc.Client, obs.Named(pc.Logger, obs.LogProducer))
	forced := Config{"delivery.report.only.error": "false"} // Flush and done count on a report for each record
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
	p := &Producer{
		client: c, config: *config, plain: pc.OneByOne, txnal: pc.TransactionalID, room: make(chan struct{}, 1),
		stop: make(chan struct{}), closed: make(chan struct{}),
	}
	var err error
	if p.out, err = p.connect(); err != nil {
		c.closeLogs()
		return nil, configError("producer", pc.Client, err)
	}
	return p, nil
}

func (p *Producer) connect() (outlet, error) {
	if p.plain {
		return newPlain(p, p.config)
	}
	return newWriter(p, p.config)
}

// report tells the caller about one record.
func (p *Producer) report(b *outBatch, i int, partition int32, offset int64, err error) {
	where := record.Produced{Topic: b.topicOf(i), Partition: partition, Offset: offset}
	if err != nil {
		where.Offset = -1
		if isUnknownPartition(err) { // the library has just looked at the topic
			err = noPartition(where.Topic, where.Partition)
		} else {
			err = p.failure("producing to topic "+where.Topic, err)
		}
	} else {
		p.recovered()
	}
	if b.mark(i) {
		b.done(i, where, err)
	}
}

// settled counts n records of a batch that were reported; after the last the batch is forgotten.
func (p *Producer) settled(b *outBatch, n int) {
	p.gone(b, n)
	select {
	case p.room <- struct{}{}:
	default:
	}
}

func (p *Producer) gone(b *outBatch, n int) {
	last := b.left.Add(int64(-n)) == 0
	none := p.outstanding.Add(int64(-n)) == 0
	if !last && !none {
		return
	}
	p.queue.Lock()
	defer p.queue.Unlock()
	if last {
		p.batches[b.slot] = nil
		p.free = append(p.free, b.slot)
	}
	if none && p.zero != nil && p.outstanding.Load() == 0 {
		close(p.zero)
		p.zero = nil
	}
}

// keep remembers a batch until its last report.
func (p *Producer) keep(b *outBatch) error {
	p.queue.Lock()
	defer p.queue.Unlock()
	if p.closing {
		return errClosed
	}
	if n := len(p.free); n > 0 {
		b.slot, p.free = p.free[n-1], p.free[:n-1]
	} else {
		b.slot = uint32(len(p.batches)) //nolint:gosec // as many as are in flight
		p.batches = append(p.batches, nil)
	}
	p.batches[b.slot] = b
	p.outstanding.Add(b.left.Load())
	return nil
}

// inFlight is the batch in a slot.
func (p *Producer) inFlight(slot uint32) *outBatch {
	p.queue.Lock()
	defer p.queue.Unlock()
	return p.batches[slot]
}

// failure classifies err; a fatal state of the client explains more than the error of one record.
func (p *Producer) failure(doing string, err error) error {
	if fatal := p.out.fatal(); fatal != nil {
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
	b := newOutBatch(batch, done)
	if err := p.keep(b); err != nil {
		return 0, fmt.Errorf("producing: %w", err)
	}
	for accepted < len(batch) {
		n, err := p.out.send(b, batch, accepted)
		if accepted += n; err == nil {
			continue
		}
		if hasCode(err, kafka.ErrQueueFull) {
			err = p.await(ctx, "producing to topic "+batch[accepted].Topic)
		} else {
			err = p.refused(&batch[accepted], err)
		}
		if err != nil {
			p.gone(b, len(batch)-accepted) // no report will come for these
			return accepted, err
		}
	}
	return accepted, nil
}

// refused says why the library does not take a record.
func (p *Producer) refused(r *Record, err error) error {
	if !isUnknownPartition(err) || r.Partition < 0 {
		return p.failure("producing to topic "+r.Topic, err)
	}
	// It had no such partition when it was last looked at.
	switch n, uerr := p.out.partitions(r.Topic, slice); {
	case uerr != nil:
		return p.failure("looking at topic "+r.Topic, uerr)
	case int(r.Partition) < n: // since a moment ago: the caller comes again
		return connecterr.Wrap(connecterr.Retriable, err, "producing to topic %s", r.Topic)
	}
	return noPartition(r.Topic, r.Partition)
}

// isUnknownPartition tells that the topic is there, and has no partition of the number that a record asks for.
func isUnknownPartition(err error) bool { return hasCode(err, kafka.ErrUnknownPartition) }

func noPartition(topic string, partition int32) error {
	return connecterr.New(connecterr.General, "producing to topic %s: it has no partition %d, for which the record asks; give the topic more partitions", topic, partition)
}

// await waits until reports have come in, which makes room.
func (p *Producer) await(ctx context.Context, doing string) error {
	t := time.NewTimer(slice) // a report's token can be missed only by other waiters; the timer is a second way out
	defer t.Stop()
	select {
	case <-ctx.Done():
		return p.gaveUp(ctx, doing)
	case <-p.stop:
		return fmt.Errorf("%s: %w", doing, errClosed)
	case <-p.room:
	case <-t.C:
	}
	return nil
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
	case <-p.out.served():
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
	return p.sliced(ctx, "taking transactional.id="+p.txnal, p.out.initTransactions)
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
	err = p.out.initTransactions(ctx)
	ke, ok := errors.AsType[kafka.Error](err)
	return ok && (ke.IsTimeout() || retriable(err)) && !RequiresAbort(err) && p.lastTrouble() == nil, err
}

// greet waits for a first answer of a broker. Asked for the fence before it has a connection, librdkafka rests 500 ms before
// it looks again. Without an answer the question for the fence does the waiting, and tells what is wrong.
func (p *Producer) greet(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	return p.out.reach(slice)
}

// renew replaces the client, which has sent nothing, by a new one. The old one goes in the background.
func (p *Producer) renew() error {
	p.queue.Lock()
	defer p.queue.Unlock()
	if p.closing {
		return errClosed
	}
	out, err := p.connect()
	if err != nil {
		return configError("producer", nil, err) // it was accepted before
	}
	old := p.out
	p.out = out
	p.former.Go(old.close)
	return nil
}

// Begin begins a transaction.
func (p *Producer) Begin() error {
	if err := p.out.begin(); err != nil {
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
	err := p.sliced(ctx, "committing a transaction", p.out.commit)
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
	if err := p.sliced(ctx, "aborting a transaction", p.out.abort); err != nil {
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
		if !ok || !retriable(err) && !ke.IsTimeout() || RequiresAbort(err) {
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
			case <-p.stop: // the next call says so
			}
			t.Stop()
		}
		if ctx.Err() != nil {
			return p.gaveUp(ctx, doing)
		}
	}
}

// Close gives the client back. What was not flushed is dropped and reported with an error; an open transaction is aborted, or,
// where Kafka does not answer at once, left to Kafka, which aborts it at the next InitTransactions or at its timeout. When the
// library does not let go until ctx ends, Close returns an error and the rest happens in the background. Safe to call twice.
//
// A client that is given back in the midst of a transaction could end the process: librdkafka (2.15) then still tries to add the
// partitions that are new to the transaction, and an assertion fails because the answer, that it ends, comes before it has counted
// the question. After the begin of an abort it adds none.
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
		p.out.purge()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = p.Flush(ctx) // the purged records are reported; those that are not are settled below
		cancel()
	}
	p.out.close()
	p.former.Wait()
	p.queue.Lock()
	rest := slices.Clone(p.batches)
	p.queue.Unlock()
	for _, b := range rest {
		p.abandon(b)
	}
	p.closeLogs()
}

// abandon reports what the library did not, now that nothing more comes from it.
func (p *Producer) abandon(b *outBatch) {
	if b == nil {
		return
	}
	n := int(b.left.Load())
	left := n
	for i := 0; left > 0; i++ {
		if b.mark(i) {
			left--
			b.done(i, record.Produced{Topic: b.topicOf(i), Partition: record.AnyPartition, Offset: -1},
				connecterr.Wrap(connecterr.Retriable, errClosed, "producing"))
		}
	}
	p.gone(b, n)
}

// Fenced tells whether err says that a newer holder took over.
func Fenced(err error) bool { return errors.Is(err, job.ErrFenced) }
