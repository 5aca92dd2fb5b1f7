// Package connector is what the author of a connector implements beside the task: how the work is split, and where
// wanted the optional powers below, each found by type assertion in one place.
package connector

import (
	"context"
	"log/slog"

	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
)

// Connector splits its work into task configs and watches the outside for changes. One goroutine calls its methods:
// Start, TaskConfigs…, Stop. Stop is called once whenever Start was called.
type Connector interface {
	// Start prepares the connector. An error makes it FAILED.
	Start(ctx context.Context, cc Context) error
	// TaskConfigs returns the configurations of at most maxTasks tasks.
	TaskConfigs(ctx context.Context, maxTasks int) ([]map[string]string, error)
	// Stop releases what the connector holds. ctx bounds how long it may take.
	Stop(ctx context.Context) error
}

// Context is what the runtime gives a connector instance. All methods may be called from any goroutine.
type Context interface {
	// Config is the connector's configuration with references resolved.
	Config() map[string]string
	// Logger carries the connector attribute.
	Logger() *slog.Logger
	// RequestTaskReconfiguration asks the runtime to call TaskConfigs again soon.
	RequestTaskReconfiguration()
	// RaiseError makes the connector FAILED with this error.
	RaiseError(err error)
	// Offsets reads committed source offsets; nil for sinks.
	Offsets() source.OffsetReader
}

// Finding is one message about a configuration, from a connector's own check.
type Finding struct {
	Key     string
	Message string
}

// Validator checks relations between keys, or asks the outside, after every key passed its own definition. It is called
// on a connector that was not started.
type Validator interface {
	Validate(ctx context.Context, config map[string]string) []Finding
}

// Recommender knows values of keys that only the outside knows, such as the tables of a database. It is called after Validate if
// that is called, on the same connector, and for configurations with errors too: what it can't find out it leaves out, and
// it is quick about it.
type Recommender interface {
	Recommend(ctx context.Context, config map[string]string) map[string][]string
}

// SourceOffsetEntry is one partition whose offset is to be set; a nil Offset removes it.
type SourceOffsetEntry struct {
	Partition record.SourcePartition
	Offset    record.SourceOffset
}

// SourceOffsetAlterer judges an offset change before it is made. handled tells that the connector vouches for the result
// (it also moved positions it keeps outside). An error vetoes the change; one of kind connecterr.Unsupported says that the
// connector's offsets can't be changed at all. It is called on a connector that was not started.
type SourceOffsetAlterer interface {
	AlterOffsets(ctx context.Context, config map[string]string, entries []SourceOffsetEntry) (handled bool, err error)
}

// SinkOffsetAlterer is SourceOffsetAlterer for sinks; an offset of -1 removes the partition's.
type SinkOffsetAlterer interface {
	AlterOffsets(ctx context.Context, config map[string]string, offsets map[record.TopicPartition]int64) (handled bool, err error)
}

// SinkOffsetResetter is what a sink connector also has if it keeps positions of its own: all of them are to be forgotten,
// also of partitions whose offsets Kafka does not know. Where it is missing, AlterOffsets is asked to remove those it knows.
type SinkOffsetResetter interface {
	ResetOffsets(ctx context.Context, config map[string]string) (handled bool, err error)
}

// Support is an answer about a guarantee.
type Support uint8

// Answers of ExactlyOnce and TransactionBoundaries. SupportUnknown is Kafka Connect's null.
const (
	SupportUnknown Support = iota
	Supported
	Unsupported
)

// ExactlyOnce tells whether a source can give exactly-once delivery with this configuration.
type ExactlyOnce interface {
	ExactlyOnceSupport(config map[string]string) (Support, error)
}

// TransactionBoundaries tells whether a source can draw its own transaction boundaries with this configuration.
type TransactionBoundaries interface {
	CanDefineTransactionBoundaries(config map[string]string) (Support, error)
}
