package record

import (
	"strconv"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/header"
)

// String prints the record as Java does.
func (r *Source) String() string {
	return "SourceRecord{sourcePartition=" + mapText(r.Partition) + ", sourceOffset=" + mapText(r.Offset) + "} " +
		text(r.Topic, r.KafkaPartition, r.KeySchema, r.Key, r.ValueSchema, r.Value, r.Timestamp, r.Headers)
}

// String prints the record as Java does.
func (r *Sink) String() string {
	return "SinkRecord{kafkaOffset=" + strconv.FormatInt(r.KafkaOffset, 10) + ", timestampType=" + r.TimestampType.String() +
		", originalTopic=" + r.OriginalTopic + ", originalKafkaPartition=" + strconv.Itoa(int(r.OriginalPartition)) +
		", originalKafkaOffset=" + strconv.FormatInt(r.OriginalOffset, 10) + "} " +
		text(r.Topic, r.KafkaPartition, r.KeySchema, r.Key, r.ValueSchema, r.Value, r.Timestamp, r.Headers)
}

var timestampTypes = [...]string{TimestampNone: "NoTimestampType", CreateTime: "CreateTime", LogAppendTime: "LogAppendTime"}

// String is the name that Kafka prints, for example CreateTime.
func (t TimestampType) String() string {
	if int(t) < len(timestampTypes) {
		return timestampTypes[t]
	}
	return strconv.Itoa(int(t))
}

func mapText(m *data.Map) string {
	if m == nil {
		return "null"
	}
	return m.String()
}

func text(topic string, partition int32, keySchema *data.Schema, key any, valueSchema *data.Schema, value any, timestamp int64, headers header.Headers) string {
	orNull := func(n, none int64) string {
		if n == none {
			return "null"
		}
		return strconv.FormatInt(n, 10)
	}
	return "ConnectRecord{topic='" + topic + "', kafkaPartition=" + orNull(int64(partition), int64(AnyPartition)) +
		", key=" + data.Text(key) + ", keySchema=" + keySchema.String() + ", value=" + data.Text(value) + ", valueSchema=" + valueSchema.String() +
		", timestamp=" + orNull(timestamp, NoTimestamp) + ", headers=" + headers.String() + "}"
}
