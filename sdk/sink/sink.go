// Package sink is what the author of a sink connector implements: Task, and where wanted the optional powers below, each
// found by type assertion in one place of the runtime.
package sink

import (
	"context"
	"log/slog"
	"time"

	"github.com/millrace/millrace/sdk/record"
)

// Offsets are next positions to read, by partition.
type Offsets = map[record.TopicPartition]int64

// Task copies records from Kafka to the outside.
//
// One goroutine calls all methods of a task: Start, then Open/Put/PreCommit/Close as partitions come and go, then Stop.
// Stop is called once whenever Start was called, also when Start failed. A panic fails this task alone.
type Task interface {
	// Start prepares the task. ctx ends when the task is to stop.
	Start(ctx context.Context, tc Context) error

	// Put hands over a batch, also an empty one (on every poll). A task may keep records back and write later; what it
	// has not made durable it must not let PreCommit report. connecterr.Retriable: the same batch is offered again,
	// after tc.Timeout if that was set. Any other error fails the task and nothing of the batch is committed.
	// The slice is reused after Put returns; the records' values may be kept.
	Put(ctx context.Context, batch []record.Sink) error

	// Stop releases what the task holds. ctx bounds how long it may take.
	Stop(ctx context.Context) error
}

// Flusher makes everything put so far durable. It is called before offsets are committed, unless the task is a
// PreCommitter. A failure means that the offsets are not committed and the records come again.
type Flusher interface {
	Flush(ctx context.Context, current Offsets) error
}

// PreCommitter chooses which offsets may be committed: at most current, per partition. Leaving a partition out commits
// nothing for it; an empty answer commits nothing at all.
type PreCommitter interface {
	PreCommit(ctx context.Context, current Offsets) (Offsets, error)
}

// PartitionAware is told which partitions the task gets and loses. Close comes after PreCommit and before the commit.
type PartitionAware interface {
	Open(ctx context.Context, parts []record.TopicPartition) error
	Close(ctx context.Context, parts []record.TopicPartition) error
}

// Context is what the runtime gives a sink task. Its methods are called from the task's goroutine only.
type Context interface {
	// Config is the task's configuration with references resolved. It is the caller's to keep, not to change.
	Config() map[string]string
	// Logger carries the connector and task attributes.
	Logger() *slog.Logger
	// Assignment lists the partitions the task holds now.
	Assignment() []record.TopicPartition
	// Rewind makes the next poll read from these offsets.
	Rewind(to Offsets)
	// Timeout sets how long the runtime waits before it offers a refused batch again, or polls at most; used once.
	Timeout(d time.Duration)
	// Pause stops reading from partitions that are assigned; remembered until Resume.
	Pause(parts ...record.TopicPartition) error
	// Resume undoes Pause.
	Resume(parts ...record.TopicPartition) error
	// RequestCommit asks for an offset commit soon.
	RequestCommit()
	// ErrantRecords reports single records the task can't write; nil unless a dead letter queue or error log is set.
	ErrantRecords() ErrantRecordReporter
}

// ErrantRecordReporter sets a bad record aside (KIP-610). The offset of its partition is committed only after the report
// is durable. The returned error is not nil when the tolerance is exceeded: the task must then return it.
type ErrantRecordReporter interface {
	Report(ctx context.Context, r *record.Sink, cause error) error
}
