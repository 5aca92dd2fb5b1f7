package sourcetask

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// transactions writes records and offsets in transactions of the task's own transactional id.
//
// With a transaction per poll, the polls that come while one is committed go into the next one together (groupcommit.go): a poll is
// never divided, and one that comes alone never waits.
type transactions struct {
	t        *task
	interval time.Duration // 0: a transaction per poll; <0: as the connector says
	timeout  time.Duration // of a transaction: when Kafka ends it

	open   pile // of the open transaction; while a group is committed, of its goroutine
	begun  time.Time
	fenced bool // the fence was taken

	group groupCommit
}

// pile are batches in order.
type pile struct {
	batches        []*batch
	records, bytes int // in them
}

func (p *pile) add(b *batch) {
	p.batches, p.records, p.bytes = append(p.batches, b), p.records+len(b.out), p.bytes+b.size()
}

func (p *pile) empty() bool { return len(p.batches) == 0 }

func newTransactions(t *task, conn map[string]string) (*transactions, error) {
	w := &transactions{t: t, timeout: t.TransactionTimeout}
	if ms, err := strconv.Atoi(conn["producer.override.transaction.timeout.ms"]); err == nil && ms > 0 {
		w.timeout = time.Duration(ms) * time.Millisecond
	}
	switch boundary := strings.ToLower(conn["transaction.boundary"]); boundary {
	case "", "poll":
	case "interval":
		var err error
		if w.interval, err = milliseconds(conn, "transaction.boundary.interval.ms", t.FlushInterval); err != nil {
			return nil, err
		}
		// Kafka aborts a transaction that is open for longer than its timeout, and both are a minute by default.
		w.interval = min(w.interval, w.timeout*2/3)
	case "connector":
		w.interval = -1
		t.bounds = &boundaries{w: w}
	default:
		return nil, connecterr.New(connecterr.Config, "Invalid value %s for configuration transaction.boundary: String must be one of (case insensitive): INTERVAL, POLL, CONNECTOR", boundary)
	}
	return w, nil
}

// fence takes the fence once: the rest of a takeover may have to be repeated, and a producer that has it can't take it again.
func (w *transactions) fence(ctx context.Context) error {
	if w.fenced {
		return nil
	}
	err := w.t.producer.InitTransactions(ctx)
	w.fenced = err == nil
	return err
}

func (w *transactions) write(ctx context.Context, b *batch) error {
	if w.interval == 0 {
		return w.group.write(ctx, w, b)
	}
	if w.open.empty() {
		w.begun = time.Now()
	}
	w.open.add(b)
	var err error
	if len(w.open.batches) > 1 {
		// The transaction is under way: this batch joins it. One that goes wrong is repeated as a whole by commit.
		err = w.send(ctx, b)
	} else {
		err = w.begin(ctx)
	}
	if err != nil {
		if err := w.again(ctx, err, false); err != nil {
			return err
		}
	}
	if w.interval > 0 && (time.Since(w.begun) >= w.interval || w.open.bytes >= mostOpen) {
		return w.commit(ctx)
	}
	return nil
}

// mostOpen bounds the bytes of records that are kept until their transaction is committed, in case it has to be repeated: one
// that may end at any time ends then.
const mostOpen = 32 << 20

func (w *transactions) holds() bool {
	if w.interval == 0 {
		return w.group.holds()
	}
	return !w.open.empty()
}

func (w *transactions) due() time.Time {
	if w.interval <= 0 || w.open.empty() {
		return time.Time{}
	}
	return w.begun.Add(w.interval)
}

func (w *transactions) tick(ctx context.Context) error {
	if w.interval == 0 {
		return w.group.tick(ctx, w)
	}
	if !w.open.empty() && w.interval > 0 && time.Since(w.begun) >= w.interval {
		return w.commit(ctx)
	}
	return nil
}

func (w *transactions) settle(ctx context.Context) error {
	if w.interval == 0 {
		return w.group.settle(ctx, w)
	}
	if w.open.empty() {
		return nil
	}
	return w.commit(ctx)
}

// giveUp aborts, so that readers of the topics do not wait for the transaction's timeout. The failure of a poll does not take
// back the polls before it.
func (w *transactions) giveUp(ctx context.Context) {
	if w.interval == 0 {
		finishing, cancel := context.WithTimeout(ctx, w.t.ShutdownTimeout)
		defer cancel()
		if err := w.group.finish(finishing, w); err != nil {
			w.t.log.Warn("what was polled before the failure is not committed; it will be read again", slog.Any(obs.KeyErr, err))
		}
	}
	if w.open.empty() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, w.t.ShutdownTimeout)
	defer cancel()
	if err := w.t.producer.Abort(ctx); err != nil {
		w.t.log.Debug("open transaction left to its timeout", slog.Any(obs.KeyErr, err))
	}
	w.open = pile{}
}

func (w *transactions) join() { w.group.join() }

// begin begins a transaction and sends all open batches.
func (w *transactions) begin(ctx context.Context) error {
	if err := w.t.wake(ctx, w.open.batches); err != nil {
		return err
	}
	if err := w.t.producer.Begin(); err != nil {
		return err
	}
	for _, b := range w.open.batches {
		if err := w.send(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (w *transactions) send(ctx context.Context, b *batch) error {
	if len(b.out) == 0 {
		return nil
	}
	_, err := w.t.producer.Send(ctx, b.out, func(i int, p record.Produced, err error) {
		if err == nil {
			b.where[i] = p // the commit waits for all reports
		}
	})
	return err
}

// commit commits the open batches with their offsets, and tells the plugin.
func (w *transactions) commit(ctx context.Context) error {
	if err := w.end(ctx); err != nil {
		if err := w.again(ctx, err, true); err != nil {
			return err
		}
	}
	w.committed(ctx)
	return nil
}

// end writes the offsets into the transaction and commits it.
func (w *transactions) end(ctx context.Context) error {
	var at newest
	for _, b := range w.open.batches {
		at.add(b.in)
	}
	if err := w.t.standing(at.entries); err != nil {
		return err
	}
	rs, err := w.t.offsetRecords(at.entries)
	if err != nil {
		return err
	}
	if len(rs) > 0 {
		if _, err := w.t.producer.Send(ctx, rs, func(int, record.Produced, error) {}); err != nil {
			return err
		}
	}
	began := time.Now()
	if err := w.t.producer.Commit(ctx); err != nil {
		return err
	}
	w.t.metrics.Committed(time.Since(began))
	if w.open.records > 0 {
		w.t.metrics.Transaction(w.open.records)
	}
	return nil
}

// committed tells the plugin what has become durable.
func (w *transactions) committed(ctx context.Context) {
	done := w.open.batches
	w.open = pile{}
	w.t.durable(ctx, done)
	w.t.offsetsDurable(ctx)
	w.t.stir()
}

// The pauses between attempts at the same transaction.
const (
	retryFirst = 100 * time.Millisecond
	retryMost  = 5 * time.Second
)

// expired explains why Kafka refuses a task that no successor has fenced: it has aborted the transaction itself.
func expired(connector string, task int) string {
	return fmt.Sprintf("The task %s-%d was unable to finish writing records to Kafka before its producer transaction expired. "+
		"It may be necessary to reconfigure this connector in order for it to run healthily with exactly-once support. Options for this include: "+
		"tune the connector's producer configuration for higher throughput, increase the transaction timeout for the connector's producers, "+
		"decrease the offset commit interval (if using interval-based transaction boundaries), or use the 'poll' transaction boundary "+
		"(if the connector is not already configured to use it).", connector, task)
}

// again repeats the open batches in a new transaction, and commits it if that is what failed, until it succeeds, the failure is
// final, or ctx ends.
func (w *transactions) again(ctx context.Context, err error, commit bool) error {
	for attempt := 0; ; attempt++ {
		if errors.Is(err, job.ErrFenced) && time.Since(w.begun) >= w.timeout {
			w.t.log.Error(expired(w.t.spec.Name, w.t.spec.Job.Task), slog.Duration("open_for", time.Since(w.begun)), slog.Duration("timeout", w.timeout))
		}
		if errors.Is(err, job.ErrFenced) || ctx.Err() != nil {
			return err
		}
		if !connecterr.IsRetriable(err) && !kafkaio.RequiresAbort(err) {
			if aerr := w.t.producer.Abort(ctx); errors.Is(aerr, job.ErrFenced) {
				return aerr
			}
			return connecterr.Wrap(connecterr.General, err, "Failed to flush offsets and/or records for task %s-%d", w.t.spec.Name, w.t.spec.Job.Task)
		}
		w.t.log.Warn("transaction aborted, trying it again", slog.Any(obs.KeyErr, err), slog.Int("attempt", attempt+1))
		if aerr := w.t.producer.Abort(ctx); aerr != nil && (errors.Is(aerr, job.ErrFenced) || !connecterr.IsRetriable(aerr)) {
			return aerr
		}
		if rest(ctx, min(retryFirst<<min(attempt, 10), retryMost)) != nil {
			return err
		}
		if err = w.begin(ctx); err == nil && commit {
			err = w.end(ctx)
		}
		if err == nil {
			return nil
		}
	}
}

// abort drops the records of the open transaction, but not their offsets: they are not to be read again.
func (w *transactions) abort(ctx context.Context) error {
	if w.open.records == 0 {
		w.t.log.Warn("Ignoring request by task to abort transaction as the current transaction is empty")
		return w.settle(ctx)
	}
	if err := w.t.producer.Abort(ctx); err != nil {
		return err
	}
	for _, b := range w.open.batches {
		b.out, b.idx, b.where = nil, nil, nil
	}
	w.open.records = 0
	if err := w.t.producer.Begin(); err != nil {
		return err
	}
	if err := w.end(ctx); err != nil {
		return err
	}
	w.committed(ctx)
	return nil
}
