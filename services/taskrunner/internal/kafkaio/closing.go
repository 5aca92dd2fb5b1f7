package kafkaio

/*
#include <stddef.h>

// Prototypes of librdkafka, as in batch.go.
extern void *rd_kafka_queue_new(void *rk);
extern void  rd_kafka_queue_destroy(void *q);
extern void *rd_kafka_queue_poll(void *q, int timeout_ms);
extern int   rd_kafka_event_type(const void *ev);
extern int   rd_kafka_event_error(void *ev);
extern void *rd_kafka_event_topic_partition_list(void *ev);
extern void  rd_kafka_event_destroy(void *ev);
extern int   rd_kafka_assign(void *rk, const void *partitions);
extern void *rd_kafka_incremental_unassign(void *rk, const void *partitions);
extern void *rd_kafka_consumer_close_queue(void *rk, void *q);
extern int   rd_kafka_consumer_closed(void *rk);
extern void  rd_kafka_error_destroy(void *error);

enum { mr_event_rebalance = 0x10, mr_revoke = -174 }; // RD_KAFKA_EVENT_REBALANCE, RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS

// mr_leave ends the client's part in its group, and gives back what the group gives it meanwhile.
static void mr_leave(void *rk, int cooperative) {
	void *q = rd_kafka_queue_new(rk), *error = rd_kafka_consumer_close_queue(rk, q);
	if (error)
		rd_kafka_error_destroy(error); // it was fenced: there is nothing to end
	else
		while (!rd_kafka_consumer_closed(rk)) {
			void *ev = rd_kafka_queue_poll(q, 100);
			if (!ev)
				continue;
			// An answer that was on its way can still come when it is closed. To ask anything then is to wait for good.
			if (rd_kafka_event_type(ev) == mr_event_rebalance && !rd_kafka_consumer_closed(rk)) {
				if (!cooperative || rd_kafka_event_error(ev) != mr_revoke)
					rd_kafka_assign(rk, NULL);
				else if ((error = rd_kafka_incremental_unassign(rk, rd_kafka_event_topic_partition_list(ev))))
					rd_kafka_error_destroy(error);
			}
			rd_kafka_event_destroy(ev);
		}
	rd_kafka_queue_destroy(q);
}
*/
import "C"

// leave ends a consumer's part in its group, as confluent's Close does. That, however, waits for good when an assignment
// comes just after the end; after leave it finds nothing left to do but to free the client. No other call may be running.
func (h handle) leave(cooperative bool) {
	kind := C.int(0)
	if cooperative {
		kind = 1
	}
	C.mr_leave(h.rk, kind)
}
