package sourcetask

import (
	"context"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
)

// boundary is how a part of a poll ends.
type boundary struct {
	w             *transactions
	commit, abort bool
}

func (b boundary) apply(ctx context.Context) error {
	switch {
	case b.commit:
		return b.w.settle(ctx)
	case b.abort:
		return b.w.abort(ctx)
	}
	return nil
}

// boundaries collects what a connector says about its transactions; it implements source.Transactions. nil: the connector
// has no say.
type boundaries struct {
	w     *transactions
	batch boundary                    // after the whole poll
	after map[*record.Source]boundary // after one record
}

// Commit implements source.Transactions.
func (b *boundaries) Commit() { b.batch.commit = true }

// Abort implements source.Transactions.
func (b *boundaries) Abort() { b.batch.abort = true }

// CommitAfter implements source.Transactions.
func (b *boundaries) CommitAfter(r *record.Source) {
	b.set(r, func(x *boundary) { x.commit = true })
}

// AbortAfter implements source.Transactions.
func (b *boundaries) AbortAfter(r *record.Source) { b.set(r, func(x *boundary) { x.abort = true }) }

func (b *boundaries) set(r *record.Source, change func(*boundary)) {
	if b.after == nil {
		b.after = map[*record.Source]boundary{}
	}
	x := b.after[r]
	change(&x)
	b.after[r] = x
}

// cut hands over a poll's records in parts, each with what is to happen after it.
func (b *boundaries) cut(in []record.Source, f func(part []record.Source, end boundary) error) error {
	if b == nil {
		return f(in, boundary{})
	}
	whole, after := b.batch, b.after
	b.batch, b.after = boundary{}, nil
	from := 0
	for i := range in {
		end, ok := after[&in[i]]
		if !ok {
			continue
		}
		if err := b.part(in[from:i+1], end, f); err != nil {
			return err
		}
		from = i + 1
	}
	return b.part(in[from:], whole, f)
}

// end does what was asked for at the end of a poll that brought nothing.
func (b *boundaries) end(ctx context.Context) error {
	if b == nil || b.batch == (boundary{}) {
		return nil
	}
	return b.cut(nil, func(_ []record.Source, end boundary) error { return end.apply(ctx) })
}

func (b *boundaries) part(in []record.Source, end boundary, f func([]record.Source, boundary) error) error {
	if end.commit && end.abort {
		return connecterr.New(connecterr.IllegalState, "Connector requested both commit and abort of same transaction")
	}
	end.w = b.w
	return f(in, end)
}
