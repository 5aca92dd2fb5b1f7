package schemasource

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/internal/sleep"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
)

// task numbers its records from behind the stored offset. Its fields belong to the task's goroutine.
type task struct {
	flavour
	settings
	stdout io.Writer

	partition record.SourcePartition
	seqno     int64 // of the next record
	count     int64 // records of this run
	began     time.Time
	deficit   time.Duration // that is still to be slept
}

func (t *task) Start(ctx context.Context, tc source.Context) error {
	var err error
	if t.settings, err = t.read(tc.Config()); err != nil {
		return err
	}
	t.partition = data.MapOf(idField, int64(t.id))
	offset, err := tc.Offsets().Offset(ctx, t.partition)
	if err != nil {
		return err
	}
	t.seqno, t.count, t.deficit = 0, 0, 0
	if last, there := offset.Get(seqnoField); there {
		n, whole := last.(int64)
		if !whole {
			return connecterr.New(connecterr.General, "The stored offset of partition %s has a %s that is no whole number: %v", data.Text(t.partition), seqnoField, last)
		}
		t.seqno = n + 1
	}
	t.began = time.Now()
	tc.Logger().Info(fmt.Sprintf("Started SchemaSourceTask %s-%d producing to topic %s resuming from seqno %d", t.name, t.id, t.topic, t.seqno))
	return nil
}

// Poll returns one record; once all of this run are out it waits for the end.
func (t *task) Poll(ctx context.Context) ([]record.Source, error) {
	if t.count >= t.messages {
		<-ctx.Done()
		return nil, nil
	}
	if !t.pace(ctx) {
		return nil, nil
	}
	if t.print {
		// Who reads the lines may be gone; the records still count.
		_, _ = fmt.Fprintf(t.stdout, "{\"task\": %d, \"seqno\": %d}\n", t.id, t.seqno)
	}
	r := t.make(t.partition, t.seqno, t.count)
	t.seqno++
	t.count++
	return []record.Source{r}, nil
}

// leastSleep is the shortest pause worth to be made.
const leastSleep = 2 * time.Millisecond

// pace waits as the throughput asks for; false when the task is to stop.
func (t *task) pace(ctx context.Context) bool {
	switch {
	case t.throughput < 0:
		return ctx.Err() == nil
	case !t.corrects:
		return sleep.For(ctx, time.Second/time.Duration(t.throughput))
	}
	since := time.Since(t.began).Seconds()
	if since <= 0 || float64(t.count)/since <= float64(t.throughput) {
		return ctx.Err() == nil
	}
	if t.throughput == 0 {
		<-ctx.Done()
		return false
	}
	if t.deficit += time.Second / time.Duration(t.throughput); t.deficit < leastSleep {
		return ctx.Err() == nil
	}
	before := time.Now()
	ok := sleep.For(ctx, t.deficit)
	t.deficit -= time.Since(before)
	return ok
}

func (t *task) Stop(context.Context) error { return nil }
