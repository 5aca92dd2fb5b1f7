// Package record holds the two kinds of record that pass between Kafka and a connector: Source records, which a source
// task produces, and Sink records, which a sink task is given.
package record

import (
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/header"
)

// NoTimestamp marks a record without a timestamp.
const NoTimestamp int64 = -1

// AnyPartition lets the producer choose the Kafka partition.
const AnyPartition int32 = -1

// SourcePartition names a part of the outside that has a position of its own, for example {"filename":"in.txt"}.
// Keys are strings, values null, numbers, booleans or strings. nil is Kafka Connect's null partition. A task should use
// one *data.Map for all records of a partition: the runtime compares pointers before it compares content.
type SourcePartition = *data.Map

// SourceOffset is a position inside a source partition, for example {"position":42}; same value rules. nil means that
// the record carries no position.
type SourceOffset = *data.Map

// Source is a record on its way from a source task to Kafka.
type Source struct {
	Partition SourcePartition
	Offset    SourceOffset

	Topic          string
	KafkaPartition int32 // AnyPartition: the producer's partitioner decides
	KeySchema      *data.Schema
	Key            any
	ValueSchema    *data.Schema
	Value          any
	Headers        header.Headers
	Timestamp      int64 // ms since the epoch, or NoTimestamp
}

// TimestampType tells what a consumed record's timestamp is.
type TimestampType uint8

// The timestamp types of a Kafka record.
const (
	TimestampNone TimestampType = iota
	CreateTime
	LogAppendTime
)

// TopicPartition names a partition of a Kafka topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Sink is a record on its way from Kafka to a sink task.
type Sink struct {
	Topic          string // as left by the transformations
	KafkaPartition int32
	KeySchema      *data.Schema
	Key            any
	ValueSchema    *data.Schema
	Value          any
	Headers        header.Headers
	Timestamp      int64 // ms since the epoch, or NoTimestamp
	TimestampType  TimestampType
	KafkaOffset    int64

	// Where the record was read, whatever transformations renamed. Offsets are committed and errors reported by these.
	OriginalTopic     string
	OriginalPartition int32
	OriginalOffset    int64
}

// Produced tells where Kafka stored a source record.
type Produced struct {
	Topic     string
	Partition int32
	Offset    int64
}
