package record_test

import (
	"testing"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/header"
	"github.com/millrace/millrace/sdk/record"
)

func TestString_prints_records_as_Java_does(t *testing.T) {
	t.Parallel()
	sink := record.Sink{Topic: "t", KafkaPartition: 0, ValueSchema: data.Int32Schema, Value: int32(5), Timestamp: 7, TimestampType: record.CreateTime,
		KafkaOffset: 1, OriginalTopic: "t0", OriginalOffset: 1, Headers: header.Headers{}.Add("h", nil, true)}
	want := "SinkRecord{kafkaOffset=1, timestampType=CreateTime, originalTopic=t0, originalKafkaPartition=0, originalKafkaOffset=1} " +
		"ConnectRecord{topic='t', kafkaPartition=0, key=null, keySchema=null, value=5, valueSchema=Schema{INT32}, timestamp=7, " +
		"headers=ConnectHeaders(headers=[ConnectHeader(key=h, value=true, schema=null)])}"
	if got := sink.String(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	source := record.Source{Partition: data.MapOf("f", "in"), Offset: data.MapOf("p", int64(1)), Topic: "t", KafkaPartition: record.AnyPartition, Key: "k",
		KeySchema: data.StringSchema, Timestamp: record.NoTimestamp}
	want = "SourceRecord{sourcePartition={f=in}, sourceOffset={p=1}} ConnectRecord{topic='t', kafkaPartition=null, key=k, keySchema=Schema{STRING}, " +
		"value=null, valueSchema=null, timestamp=null, headers=ConnectHeaders(headers=)}"
	if got := source.String(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	source.Partition, source.Offset = nil, nil
	if got, want := source.String()[:53], "SourceRecord{sourcePartition=null, sourceOffset=null}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
