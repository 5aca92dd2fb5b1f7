package kafkaio

/*
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// The prototypes and public structures of librdkafka that this needs, see handle.go. confluent-kafka-go does not offer the call.
typedef struct { char *topic; int32_t partition; int64_t offset; void *metadata; size_t metadata_size; void *opaque; int err; void *private_; } millrace_partition;
typedef struct { int cnt; int size; millrace_partition *elems; } millrace_partitions;
extern millrace_partitions *rd_kafka_topic_partition_list_new(int size);
extern millrace_partition *rd_kafka_topic_partition_list_add(millrace_partitions *list, const char *topic, int32_t partition);
extern void rd_kafka_topic_partition_list_destroy(millrace_partitions *list);
extern void *rd_kafka_queue_new(void *rk);
extern void rd_kafka_queue_destroy(void *queue);
extern void *rd_kafka_queue_poll(void *queue, int timeout_ms);
extern void *rd_kafka_AdminOptions_new(void *rk, int for_api);
extern int rd_kafka_AdminOptions_set_request_timeout(void *options, int timeout_ms, char *errstr, size_t errstr_size);
extern void rd_kafka_AdminOptions_destroy(void *options);
extern void *rd_kafka_DeleteConsumerGroupOffsets_new(const char *group, const millrace_partitions *partitions);
extern void rd_kafka_DeleteConsumerGroupOffsets_destroy(void *request);
extern void rd_kafka_DeleteConsumerGroupOffsets(void *rk, void **requests, size_t n, const void *options, void *queue);
extern const void *rd_kafka_event_DeleteConsumerGroupOffsets_result(void *event);
extern const void **rd_kafka_DeleteConsumerGroupOffsets_result_groups(const void *result, size_t *n);
extern const void *rd_kafka_group_result_error(const void *group);
extern const millrace_partitions *rd_kafka_group_result_partitions(const void *group);
extern int rd_kafka_error_code(const void *error);
extern int rd_kafka_event_error(void *event);
extern void rd_kafka_event_destroy(void *event);

// millrace_ask sends the request; the answer comes to the queue.
static void millrace_ask(void *rk, const char *group, const millrace_partitions *partitions, int timeout_ms, void *queue) {
	char why[256];
	void *options = rd_kafka_AdminOptions_new(rk, 0);
	void *request = rd_kafka_DeleteConsumerGroupOffsets_new(group, partitions);
	rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, why, sizeof(why));
	rd_kafka_DeleteConsumerGroupOffsets(rk, &request, 1, options, queue);
	rd_kafka_DeleteConsumerGroupOffsets_destroy(request);
	rd_kafka_AdminOptions_destroy(options);
}

// millrace_verdict is the first error code in an answer, 0 without one.
static int millrace_verdict(void *event) {
	int code = rd_kafka_event_error(event);
	if (code) return code;
	size_t n = 0;
	const void **groups = rd_kafka_DeleteConsumerGroupOffsets_result_groups(rd_kafka_event_DeleteConsumerGroupOffsets_result(event), &n);
	for (size_t i = 0; i < n; i++) {
		const void *error = rd_kafka_group_result_error(groups[i]);
		if (error && (code = rd_kafka_error_code(error))) return code;
		const millrace_partitions *parts = rd_kafka_group_result_partitions(groups[i]);
		for (int k = 0; parts && k < parts->cnt; k++) {
			if (parts->elems[k].err) return parts->elems[k].err;
		}
	}
	return 0;
}
*/
import "C"

import (
	"context"
	"unsafe"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// DeleteGroupOffsets removes the committed offsets of some partitions of a group that has no members; ErrGroupInUse when it
// has. A partition without an offset is no error; a group that Kafka does not know is.
func (a *Admin) DeleteGroupOffsets(ctx context.Context, group string, parts []TopicPartition) error {
	if len(parts) == 0 {
		return nil
	}
	doing := "removing offsets of group " + group
	h, err := handleOf(a.a)
	if err != nil {
		return err
	}
	list := C.rd_kafka_topic_partition_list_new(C.int(len(parts)))
	defer C.rd_kafka_topic_partition_list_destroy(list)
	for _, p := range parts {
		topic := C.CString(p.Topic)
		C.rd_kafka_topic_partition_list_add(list, topic, C.int32_t(p.Partition))
		C.free(unsafe.Pointer(topic))
	}
	name := C.CString(group)
	defer C.free(unsafe.Pointer(name))
	queue := C.rd_kafka_queue_new(h.rk)
	defer C.rd_kafka_queue_destroy(queue) // an answer that comes later is dropped
	C.millrace_ask(h.rk, name, list, C.int(patienceOf(ctx).Milliseconds()), queue)
	for {
		if event := C.rd_kafka_queue_poll(queue, 100); event != nil {
			code := kafka.ErrorCode(C.millrace_verdict(event))
			C.rd_kafka_event_destroy(event)
			if code == kafka.ErrNoError {
				return nil
			}
			return a.groupFailed(ctx, doing, kafka.NewError(code, "", false))
		}
		if ctx.Err() != nil {
			return a.gaveUp(ctx, doing)
		}
	}
}
