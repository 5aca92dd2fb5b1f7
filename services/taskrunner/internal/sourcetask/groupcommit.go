package sourcetask

import (
	"context"
	"time"

	"github.com/millrace/millrace/sdk/source"
)

// groupCommit commits polls in the background: those that come while a transaction is committed wait, and go into the next one
// together. What the plugin is told, it is told by the task's goroutine.
type groupCommit struct {
	waiting pile
	flight  chan error // cap 1: what became of the transaction that is committed; nil: none is
	cut     context.CancelFunc
	failed  bool // the open transaction has
}

// mostWaiting bounds what waits, in bytes: then the task waits too. A record counts recordCost more than its content.
const (
	mostWaiting = 4 << 20
	recordCost  = 128
)

// holds tells whether something is not committed yet.
func (g *groupCommit) holds() bool { return g.flight != nil || !g.waiting.empty() }

func (g *groupCommit) write(ctx context.Context, w *transactions, b *batch) error {
	g.waiting.add(b)
	if err := g.tick(ctx, w); err != nil {
		return err
	}
	if g.waiting.bytes+recordCost*g.waiting.records >= mostWaiting || w.alone() {
		return g.settle(ctx, w)
	}
	return nil
}

// alone tells whether each poll is to be durable before the next: a plugin that is told of commits may take all that it has
// handed out for committed.
func (w *transactions) alone() bool {
	_, told := w.t.plug.(source.Committer)
	return told
}

// tick ends a commit that is done, and begins the next.
func (g *groupCommit) tick(ctx context.Context, w *transactions) error {
	if g.flight != nil {
		select {
		case err := <-g.flight:
			if err := g.landed(ctx, w, err); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	if !g.waiting.empty() {
		g.depart(ctx, w)
	}
	return nil
}

// depart commits what waits, in a goroutine of its own; the task is woken when it is done.
func (g *groupCommit) depart(ctx context.Context, w *transactions) {
	w.open, g.waiting, w.begun = g.waiting, pile{}, time.Now()
	ctx, g.cut = context.WithCancel(ctx)
	flight := make(chan error, 1)
	g.flight = flight
	go func() {
		err := w.begin(ctx)
		if err == nil {
			err = w.end(ctx)
		}
		if err != nil {
			err = w.again(ctx, err, true)
		}
		flight <- err
		w.t.poke()
	}()
}

// landed takes over what became of a transaction.
func (g *groupCommit) landed(ctx context.Context, w *transactions, err error) error {
	g.cut()
	g.flight = nil
	if err != nil {
		g.failed = true
		return err
	}
	w.committed(ctx)
	return nil
}

// settle commits all that waits.
func (g *groupCommit) settle(ctx context.Context, w *transactions) error {
	for {
		if err := g.tick(ctx, w); err != nil || g.flight == nil {
			return err
		}
		if err := g.landed(ctx, w, <-g.flight); err != nil { // its goroutine ends with ctx
			return err
		}
	}
}

// finish commits what waits after a failure, unless it is that of a transaction. Nothing is committed any more afterwards.
func (g *groupCommit) finish(ctx context.Context, w *transactions) error {
	defer g.join()
	if g.failed {
		return nil
	}
	if g.flight != nil {
		defer context.AfterFunc(ctx, g.cut)() // it was begun with a longer time
	}
	return g.settle(ctx, w)
}

// join waits until nothing is under way; what was begun is cut off.
func (g *groupCommit) join() {
	if g.flight != nil {
		g.cut()
		<-g.flight //nolint:errcheck // nobody asks any more
		g.flight = nil
	}
}
