package sourcetask

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// atLeastOnce writes without transactions: records go out at once, and their offsets follow once all records before them
// have been acknowledged. Nobody fences it.
type atLeastOnce struct {
	t      *task
	flight []*flight // in the order in which they were sent
	next   time.Time // when offsets are due
	landed newest    // of what was acknowledged without a gap; not yet written
	gaveUp bool

	refused atomic.Bool // a record was, since the last look; set by the producer
}

// flight is a batch whose acknowledgements are awaited.
type flight struct {
	b *batch

	mu     sync.Mutex
	left   int
	failed []failure // not yet judged

	// Of the task's goroutine:
	skipped []int // places in b.out of records that Kafka did not take, which is tolerated
	fatal   error // one was not taken, and that is not tolerated
	head    int   // the place in b.in of the first of these; what comes before it may land
}

// failure is what became of b.out[i].
type failure struct {
	i   int
	err error
}

// settled notes what became of a record; the producer calls it.
func (w *atLeastOnce) settled(f *flight, i int, p record.Produced, err error) {
	f.mu.Lock()
	f.left--
	f.b.where[i] = p
	if err != nil {
		f.failed = append(f.failed, failure{i, err})
	}
	f.mu.Unlock()
	if err != nil {
		w.refused.Store(true)
		w.t.poke()
	}
}

// news tells whether all records have come to an end, and which have failed since the last call.
func (f *flight) news() (done bool, failed []failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	failed, f.failed = f.failed, nil
	return f.left == 0, failed
}

func (w *atLeastOnce) fence(context.Context) error {
	w.next = time.Now().Add(w.t.FlushInterval)
	return nil
}

func (w *atLeastOnce) write(ctx context.Context, b *batch) error {
	f := &flight{b: b, left: len(b.out)}
	w.flight = append(w.flight, f)
	for sent := 0; sent < len(b.out); {
		from := sent
		n, err := w.t.producer.Send(ctx, b.out[from:], func(i int, p record.Produced, err error) { w.settled(f, from+i, p, err) })
		sent += n
		if err == nil {
			continue
		}
		if kafkaio.IsTooLarge(err) { // this record's fault alone: it is judged as one that the broker refused
			w.settled(f, sent, record.Produced{}, err)
			sent++
			continue
		}
		if !connecterr.IsRetriable(err) || ctx.Err() != nil {
			return connecterr.Wrap(connecterr.General, err, "Unrecoverable exception trying to send")
		}
		w.t.log.Warn("Failed to send record. Backing off before retrying", slog.Any(obs.KeyErr, err))
		if err := rest(ctx, retryFirst); err != nil {
			return err
		}
	}
	return w.tick(ctx)
}

// land takes the batches from the front that are acknowledged, without a gap. Of a batch with a record that fails the task, what
// comes before that record. Where a record was refused, all batches are looked at: the failure need not wait for its turn.
func (w *atLeastOnce) land(ctx context.Context) error {
	n, gap := 0, false
	all := w.refused.Swap(false)
	var batches []*batch
	var fatal error
	for _, f := range w.flight {
		if gap && !all {
			break
		}
		done := w.judge(ctx, f)
		if f.fatal != nil && fatal == nil {
			fatal = f.fatal
			if done && !gap { // acknowledgements of several Kafka partitions come in any order
				w.landed.add(f.b.in[:f.head])
			}
		}
		if gap = gap || !done || f.fatal != nil; gap {
			continue
		}
		f.b.leaveOut(f.skipped)
		batches = append(batches, f.b)
		w.landed.add(f.b.in)
		n++
	}
	w.flight = slices.Delete(w.flight, 0, n)
	w.t.durable(ctx, batches)
	return fatal
}

// judge tells whether all records of a batch have come to an end, and what is to become of those that failed.
func (w *atLeastOnce) judge(ctx context.Context, f *flight) (done bool) {
	done, failed := f.news()
	for _, x := range failed {
		at := f.b.idx[x.i]
		err := x.err
		if !errors.Is(err, job.ErrFenced) {
			if err = w.t.pipe.Unwritten(ctx, &f.b.in[at], x.err); err == nil {
				f.skipped = append(f.skipped, x.i)
				continue
			}
			w.t.log.Error("failed to send record to "+f.b.out[x.i].Topic+": ", slog.Any(obs.KeyErr, x.err))
			err = connecterr.Wrap(connecterr.General, err, "Unrecoverable exception from producer send callback")
		}
		if f.fatal == nil || at < f.head {
			f.fatal, f.head = err, at
		}
	}
	return done
}

func (w *atLeastOnce) holds() bool { return len(w.flight) > 0 || !w.landed.empty() }

func (w *atLeastOnce) due() time.Time {
	if !w.holds() {
		return time.Time{}
	}
	return w.next
}

func (w *atLeastOnce) tick(ctx context.Context) error {
	if err := w.land(ctx); err != nil {
		return err
	}
	if time.Now().Before(w.next) {
		return nil
	}
	w.next = time.Now().Add(w.t.FlushInterval)
	if err := w.writeOffsets(ctx); err != nil {
		if ctx.Err() != nil || errors.Is(err, job.ErrFenced) {
			return err
		}
		w.t.metrics.CommitFailed()
		w.t.log.Error("Failed to commit offsets; will try again on next flush interval with latest offsets", slog.Any(obs.KeyErr, err))
	}
	return nil
}

// writeOffsets writes the positions of what has been acknowledged, and tells the plugin once they are durable.
func (w *atLeastOnce) writeOffsets(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.t.FlushTimeout)
	defer cancel()
	if !w.landed.empty() {
		rs, err := w.t.offsetRecords(w.landed.entries)
		if err != nil {
			return err
		}
		began, results := time.Now(), make(chan error, len(rs))
		n, err := w.t.producer.Send(ctx, rs, func(_ int, _ record.Produced, err error) { results <- err })
		for range n {
			select {
			case e := <-results:
				err = errors.Join(err, e)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err != nil {
			return err
		}
		w.t.metrics.Committed(time.Since(began))
		w.landed = newest{}
	}
	w.t.offsetsDurable(ctx)
	return nil
}

// settle waits for what is in flight, and writes the positions of what has landed, also when not all of it has.
func (w *atLeastOnce) settle(ctx context.Context) error {
	flushing, cancel := context.WithTimeout(ctx, w.t.FlushTimeout)
	defer cancel()
	flushed := w.t.producer.Flush(flushing)
	landed := w.land(ctx)
	return errors.Join(flushed, landed, w.writeOffsets(ctx))
}

func (w *atLeastOnce) join() {}

// giveUp has nothing to take back: what was sent may stay. What of it has landed need not be read again.
func (w *atLeastOnce) giveUp(ctx context.Context) {
	if w.gaveUp {
		return
	}
	w.gaveUp = true
	if err := w.settle(ctx); err != nil {
		w.t.log.Warn("not all that was sent before the failure is known to be durable; it will be read again", slog.Any(obs.KeyErr, err))
	}
}
