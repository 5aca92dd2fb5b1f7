package sourcetask

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

// atLeastOnce writes without transactions: records go out at once, and their offsets follow once all records before them
// have been acknowledged. Nobody fences it.
type atLeastOnce struct {
	t      *task
	flight []*flight // in the order in which they were sent
	next   time.Time // when offsets are due
	behind []*batch  // acknowledged, their offsets not yet written
}

// flight is a batch whose acknowledgements are awaited.
type flight struct {
	b *batch

	mu   sync.Mutex
	left int
	err  error
}

// done tells whether all records of the batch are acknowledged.
func (f *flight) done() (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.left == 0, f.err
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
		n, err := w.t.producer.Send(ctx, b.out[from:], func(i int, p record.Produced, err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.left--
			b.where[from+i] = p
			if err != nil && f.err == nil {
				f.err = err
			}
		})
		sent += n
		if err == nil {
			continue
		}
		if !connecterr.IsRetriable(err) || ctx.Err() != nil {
			return connecterr.Wrap(connecterr.General, err, "Unrecoverable exception trying to send")
		}
		w.t.log.Warn("Failed to send record. Backing off before retrying", slog.Any(obs.KeyErr, err))
		timer := time.NewTimer(retryFirst)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return w.tick(ctx)
}

// landed takes the batches from the front that are acknowledged, without a gap.
func (w *atLeastOnce) landed(ctx context.Context) error {
	n := 0
	var batches []*batch
	for _, f := range w.flight {
		done, err := f.done()
		if err != nil {
			if errors.Is(err, job.ErrFenced) {
				return err
			}
			return connecterr.Wrap(connecterr.General, err, "Unrecoverable exception from producer send callback")
		}
		if !done {
			break
		}
		batches = append(batches, f.b)
		n++
	}
	w.flight = w.flight[n:]
	w.t.durable(ctx, batches)
	w.behind = append(w.behind, batches...)
	return nil
}

func (w *atLeastOnce) tick(ctx context.Context) error {
	if err := w.landed(ctx); err != nil {
		return err
	}
	if time.Now().Before(w.next) {
		return nil
	}
	w.next = time.Now().Add(w.t.FlushInterval)
	flushing, cancel := context.WithTimeout(ctx, w.t.FlushTimeout)
	defer cancel()
	if err := w.writeOffsets(flushing); err != nil {
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
	if len(w.behind) > 0 {
		rs, err := w.t.offsetRecords(positions(w.behind))
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
		w.behind = nil
	}
	w.t.offsetsDurable(ctx)
	return nil
}

func (w *atLeastOnce) settle(ctx context.Context) error {
	flushing, cancel := context.WithTimeout(ctx, w.t.FlushTimeout)
	defer cancel()
	if err := w.t.producer.Flush(flushing); err != nil {
		return err
	}
	if err := w.landed(ctx); err != nil {
		return err
	}
	return w.writeOffsets(flushing)
}

// giveUp has nothing to take back: what was sent may stay, without its offsets.
func (w *atLeastOnce) giveUp(context.Context) {}
