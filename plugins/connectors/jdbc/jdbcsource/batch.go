package jdbcsource

import (
	"context"
	"time"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
)

// batch collects the records of a query.
type batch struct {
	r       *reader
	t       *reading
	records []record.Source
	filled  int // how many the batch before had
	began   time.Time

	// In mode timestamp a record waits for the row behind it.
	lag    lag
	held   *record.Source
	heldAt position
}

// add takes a row.
func (b *batch) add(ctx context.Context, sh *shape, value *data.Struct, at position) error {
	rec := record.Source{Topic: b.t.topic, KafkaPartition: record.AnyPartition, Timestamp: record.NoTimestamp, ValueSchema: sh.schema, Value: value, Partition: b.t.partition}
	sh.keyed(&rec, value)
	switch b.r.s.mode {
	case bulk:
		rec.Partition = b.t.bare
	case timestamp:
		if err := b.release(ctx, &at); err != nil {
			return err
		}
		b.held, b.heldAt = &rec, at
		return nil
	default:
		b.t.from = at
		rec.Offset = at.offset()
	}
	return b.put(ctx, rec)
}

// release lets go of the record that waits, now that the row behind it is known.
func (b *batch) release(ctx context.Context, following *position) error {
	if b.held == nil {
		return nil
	}
	rec := *b.held
	b.held = nil
	at := b.lag.next(b.heldAt, following)
	if at.hasAt || at.hasID {
		rec.Offset = at.offset()
	}
	b.t.from = at
	return b.put(ctx, rec)
}

func (b *batch) put(ctx context.Context, rec record.Source) error {
	if len(b.records) == 0 {
		b.records = make([]record.Source, 0, min(b.r.s.batch, max(firstRoom, b.filled)))
		b.began = time.Now()
	}
	b.records = append(b.records, rec)
	if len(b.records) >= b.r.s.batch || len(b.records)&127 == 0 && len(b.r.out) == 0 && time.Since(b.began) > patience {
		return b.flush(ctx)
	}
	return nil
}

const (
	firstRoom = 1024
	// patience is how long rows of a slow query wait for others.
	patience = 200 * time.Millisecond
)

func (b *batch) flush(ctx context.Context) error {
	if len(b.records) == 0 {
		return nil
	}
	select {
	case b.r.out <- b.records:
		b.filled, b.records = len(b.records), nil
		return nil
	case <-ctx.Done():
		return errStopped
	}
}

// finish ends a result that was read to its end.
func (b *batch) finish(ctx context.Context) error {
	if err := b.release(ctx, nil); err != nil {
		return err
	}
	return b.flush(ctx)
}
