// Package source is what the author of a source connector implements: Task, and where wanted the optional powers below,
// each found by type assertion in one place of the runtime.
package source

import (
	"context"
	"log/slog"

	"github.com/millrace/millrace/sdk/record"
)

// Task copies records from the outside into Kafka.
//
// One goroutine calls all methods of a task, in the order Start, Poll…, Stop. Stop is called once whenever Start was
// called, also when Start failed. A panic fails this task alone.
type Task interface {
	// Start prepares the task. Reading back positions belongs here (tc.Offsets). ctx ends when the task is to stop.
	Start(ctx context.Context, tc Context) error

	// Poll returns the next records, blocking until there are some or ctx ends. (nil, nil) means "nothing now": the
	// runtime calls again at once, so a task without data must wait inside, in select with ctx.Done. A
	// connecterr.Retriable error is logged and Poll is called again; any other error fails the task. The returned
	// records and their content belong to the runtime until the next Commit.
	Poll(ctx context.Context) ([]record.Source, error)

	// Stop releases what the task holds. ctx bounds how long it may take.
	Stop(ctx context.Context) error
}

// Committer is told that all positions up to some point are durable in Kafka. Errors are logged and ignored.
type Committer interface {
	Commit(ctx context.Context) error
}

// Committed is one record that is done: Produced is nil when the record was dropped or skipped.
type Committed struct {
	Record   *record.Source
	Produced *record.Produced
}

// RecordCommitter is told of each record that Kafka acknowledged or the pipeline dropped, in batches, in order. Errors
// are logged and ignored.
type RecordCommitter interface {
	CommitRecords(ctx context.Context, done []Committed) error
}

// Context is what the runtime gives a source task.
type Context interface {
	// Config is the task's configuration with references resolved. It is the caller's to keep, not to change.
	Config() map[string]string
	// Offsets reads positions that were committed by earlier runs of this connector.
	Offsets() OffsetReader
	// Logger carries the connector and task attributes.
	Logger() *slog.Logger
	// Transactions is nil unless the connector draws its own transaction boundaries (transaction.boundary=connector).
	Transactions() Transactions
}

// OffsetReader reads committed source offsets.
type OffsetReader interface {
	// Offset returns the last committed offset of a partition, or nil if there is none.
	Offset(ctx context.Context, p record.SourcePartition) (record.SourceOffset, error)
	// Offsets is Offset for several partitions; the result has the same length, nil where there is none.
	Offsets(ctx context.Context, ps []record.SourcePartition) ([]record.SourceOffset, error)
}

// Transactions lets a task draw transaction boundaries; calls take effect after the batch that Poll is about to return.
type Transactions interface {
	Commit()
	CommitAfter(r *record.Source)
	Abort()
	AbortAfter(r *record.Source)
}
