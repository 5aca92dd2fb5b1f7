package kafkaio

import (
	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/millrace/millrace/sdk/record"
)

// toRecord takes over a message's bytes, which the library has copied out of C memory.
func toRecord(m *kafka.Message) Record {
	r := Record{
		Topic: *m.TopicPartition.Topic, Partition: m.TopicPartition.Partition, Offset: int64(m.TopicPartition.Offset),
		Key: m.Key, Value: m.Value, Timestamp: record.NoTimestamp,
	}
	switch m.TimestampType {
	case kafka.TimestampCreateTime:
		r.Timestamp, r.TimestampType = m.Timestamp.UnixMilli(), record.CreateTime
	case kafka.TimestampLogAppendTime:
		r.Timestamp, r.TimestampType = m.Timestamp.UnixMilli(), record.LogAppendTime
	case kafka.TimestampNotAvailable:
	}
	if len(m.Headers) > 0 {
		r.Headers = make([]Header, len(m.Headers))
		for i, h := range m.Headers {
			r.Headers[i] = Header(h)
		}
	}
	return r
}
