package transforms

import (
	"fmt"
	"strconv"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
)

var timestampTypes = map[record.TimestampType]string{record.TimestampNone: "NoTimestampType", record.CreateTime: "CreateTime", record.LogAppendTime: "LogAppendTime"}

// recordText prints a record as Java does.
func recordText(r *transform.Record) string {
	orNull := func(n, null int64) string {
		if n == null {
			return "null"
		}
		return strconv.FormatInt(n, 10)
	}
	origin := fmt.Sprintf("SinkRecord{kafkaOffset=%d, timestampType=%s, originalTopic=%s, originalKafkaPartition=%d, originalKafkaOffset=%d}",
		r.KafkaOffset, timestampTypes[r.TimestampType], r.OriginalTopic, r.OriginalPartition, r.OriginalOffset)
	if r.Source != nil {
		origin = fmt.Sprintf("SourceRecord{sourcePartition=%s, sourceOffset=%s}", mapText(r.Source.Partition), mapText(r.Source.Offset))
	}
	return fmt.Sprintf("%s ConnectRecord{topic='%s', kafkaPartition=%s, key=%s, keySchema=%s, value=%s, valueSchema=%s, timestamp=%s, headers=%s}", origin, r.Topic,
		orNull(int64(r.KafkaPartition), int64(record.AnyPartition)), data.Text(r.Key), r.KeySchema, data.Text(r.Value), r.ValueSchema, orNull(r.Timestamp, record.NoTimestamp), r.Headers)
}

func mapText(m *data.Map) string {
	if m == nil {
		return "null"
	}
	return data.Text(m)
}
