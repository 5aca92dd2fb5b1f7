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
type transactions struct {
	t        *task
	interval time.Duration // 0: a transaction per poll; <0: as the connector says
	timeout  time.Duration // of a transaction: when Kafka ends it

	open    []*batch // of the open transaction, in order
	records int      // in them
	bytes   int      // in them
	begun   time.Time
	fenced  bool // the fence was taken
}

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
	if len(w.open) == 0 {
		w.begun = time.Now()
	}
	w.open, w.records, w.bytes = append(w.open, b), w.records+len(b.out), w.bytes+b.size()
	if len(w.open) > 1 {
		// The transaction is under way: this batch joins it. One that goes wrong is repeated as a whole by commit.
		if err := w.send(ctx, b); err != nil {
			return w.again(ctx, err)
		}
	} else if w.interval != 0 {
		if err := w.begin(ctx); err != nil {
			return w.again(ctx, err)
		}
	}
	if w.interval == 0 || w.interval > 0 && (time.Since(w.begun) >= w.interval || w.bytes >= mostOpen) {
		return w.commit(ctx)
	}
	return nil
}

// mostOpen bounds the bytes of records that are kept until their transaction is committed, in case it has to be repeated: one
// that may end at any time ends then.
const mostOpen = 32 << 20

func (w *transactions) holds() bool { return len(w.open) > 0 }

func (w *transactions) due() time.Time {
	if len(w.open) == 0 || w.interval <= 0 {
		return time.Time{}
	}
	return w.begun.Add(w.interval)
}

func (w *transactions) tick(ctx context.Context) error {
	if len(w.open) > 0 && w.interval > 0 && time.Since(w.begun) >= w.interval {
		return w.commit(ctx)
	}
	return nil
}

func (w *transactions) settle(ctx context.Context) error {
	if len(w.open) == 0 {
		return nil
	}
	return w.commit(ctx)
}

// giveUp aborts, so that readers of the topics do not wait for the transaction's timeout.
func (w *transactions) giveUp(ctx context.Context) {
	if len(w.open) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, w.t.ShutdownTimeout)
	defer cancel()
	if err := w.t.producer.Abort(ctx); err != nil {
		w.t.log.Debug("open transaction left to its timeout", slog.Any(obs.KeyErr, err))
	}
	w.open, w.records, w.bytes = nil, 0, 0
}

// begin begins a transaction and sends all open batches.
func (w *transactions) begin(ctx context.Context) error {
	if err := w.t.wake(ctx, w.open); err != nil {
		return err
	}
	if err := w.t.producer.Begin(); err != nil {
		return err
	}
	for _, b := range w.open {
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

// commit commits the open batches with their offsets, and repeats the whole when Kafka aborted it for a passing reason.
func (w *transactions) commit(ctx context.Context) error {
	var err error
	if w.interval == 0 {
		err = w.begin(ctx)
	}
	if err == nil {
		err = w.end(ctx)
	}
	if err != nil {
		return w.again(ctx, err)
	}
	return nil
}

// end writes the offsets into the transaction and commits it.
func (w *transactions) end(ctx context.Context) error {
	var at newest
	for _, b := range w.open {
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
	if w.records > 0 {
		w.t.metrics.Transaction(w.records)
	}
	done := w.open
	w.open, w.records, w.bytes = nil, 0, 0
	w.t.durable(ctx, done)
	w.t.offsetsDurable(ctx)
	return nil
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

// again repeats the open batches in a new transaction until it commits, the failure is final, or ctx ends.
func (w *transactions) again(ctx context.Context, err error) error {
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
		if err = w.begin(ctx); err == nil {
			if w.interval != 0 && time.Since(w.begun) < w.interval {
				return nil // it goes on
			}
			if err = w.end(ctx); err == nil {
				return nil
			}
		}
	}
}

// abort drops the records of the open transaction, but not their offsets: they are not to be read again.
func (w *transactions) abort(ctx context.Context) error {
	if w.records == 0 {
		w.t.log.Warn("Ignoring request by task to abort transaction as the current transaction is empty")
		return w.settle(ctx)
	}
	if err := w.t.producer.Abort(ctx); err != nil {
		return err
	}
	for _, b := range w.open {
		b.out, b.idx, b.where = nil, nil, nil
	}
	w.records = 0
	if err := w.t.producer.Begin(); err != nil {
		return err
	}
	return w.end(ctx)
}
