package inbox

import (
	"context"
	"time"

	"github.com/millrace/millrace/controlplane/wire"
)

// maxBatch bounds how many reports share a transaction, so that one is never held open for long.
const maxBatch = 64

// finishTime bounds the wait for a transaction that was begun before we were told to stop.
const finishTime = 3 * time.Second

// waiting is a report on its way into a batch.
type waiting struct {
	report wire.Report
	done   chan error // capacity 1: the writer never waits for the submitter
}

// Submit stores a report together with others that arrive at the same time. The first one is written at once; what
// comes while it is being written shares the next transaction, so batching never adds a delay. The results are Store's.
func (b *Inbox) Submit(ctx context.Context, r wire.Report) error {
	if b.cfg.Inline {
		return b.Store(ctx, []wire.Report{r})[0]
	}
	w := &waiting{report: r, done: make(chan error, 1)}
	select {
	case b.reports <- w:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	// It is being written: its result is worth waiting for, so that a drain acknowledges what it stored.
	late := time.NewTimer(finishTime)
	defer late.Stop()
	select {
	case err := <-w.done:
		return err
	case <-late.C:
		return context.Cause(ctx)
	}
}

// HandleReport is the consumer of wire.Reports.
func (b *Inbox) HandleReport(ctx context.Context, msg []byte) error {
	r, err := OpenReport(msg)
	if err != nil {
		b.cfg.Metrics.poison()
		return err
	}
	return b.Submit(ctx, r)
}

// Run writes batches until ctx ends. A batch that was begun is finished: its reports are acknowledged afterwards.
func (b *Inbox) Run(ctx context.Context) {
	work := context.WithoutCancel(ctx)
	batch := make([]*waiting, 0, maxBatch)
	reports := make([]wire.Report, 0, maxBatch)
	for {
		batch, reports = batch[:0], reports[:0]
		select {
		case w := <-b.reports:
			batch, reports = append(batch, w), append(reports, w.report)
		case <-ctx.Done():
			return
		}
	more:
		for len(batch) < maxBatch {
			select {
			case w := <-b.reports:
				batch, reports = append(batch, w), append(reports, w.report)
			default:
				break more
			}
		}
		errs := b.Store(work, reports)
		for i, w := range batch {
			w.done <- errs[i]
		}
	}
}
