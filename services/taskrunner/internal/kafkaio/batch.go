package kafkaio

/*
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

// librdkafka is linked into confluent-kafka-go. These are its prototypes, written down here since its header is not ours to
// include. The layout of mr_msg is rd_kafka_message_t's, public and unchanged since 0.8; batch_test.go reads the same
// records through both ways, and newReader refuses other major versions.
typedef struct {
	int      err;
	void    *rkt;
	int32_t  partition;
	void    *payload;
	size_t   len;
	void    *key;
	size_t   key_len;
	int64_t  offset;
	void    *_private;
} mr_msg;

extern int         rd_kafka_version(void);
extern void       *rd_kafka_queue_new(void *rk);
extern void        rd_kafka_queue_destroy(void *q);
extern void       *rd_kafka_queue_get_partition(void *rk, const char *topic, int32_t partition);
extern void        rd_kafka_queue_forward(void *src, void *dst);
extern ssize_t     rd_kafka_consume_batch_queue(void *q, int timeout_ms, mr_msg **msgs, size_t n);
extern void        rd_kafka_message_destroy(mr_msg *m);
extern int64_t     rd_kafka_message_timestamp(const mr_msg *m, int *type);
extern int         rd_kafka_message_headers(const mr_msg *m, void **headers);
extern size_t      rd_kafka_header_cnt(const void *headers);
extern int         rd_kafka_header_get_all(const void *headers, size_t i, const char **name, const void **value, size_t *size);
extern const char *rd_kafka_topic_name(const void *rkt);

// mr_rec describes one record whose bytes follow each other in the arena: topic name (only where the partition differs from
// the record before), key, value, then per header a 32-bit length and the name, a 32-bit length and the value. Lengths
// of -1 are nulls. It holds no pointers.
typedef struct {
	int64_t offset;
	int64_t timestamp;
	int32_t partition;
	int32_t topic_len; // -1: the same partition as before
	int32_t key_len;
	int32_t value_len;
	int32_t headers;
	int32_t err;
	int32_t timestamp_type;
} mr_rec;

// mr_take takes up to n messages: what is there, or, where there is nothing, the first to come within timeout_ms. (Asked for
// more than one with a timeout, librdkafka would wait for a full batch.) It fills recs and tells how large an arena the
// bytes need.
static ssize_t mr_take(void *q, int timeout_ms, mr_msg **msgs, mr_rec *recs, size_t n, size_t *arena) {
	ssize_t got = rd_kafka_consume_batch_queue(q, 0, msgs, n);
	if (got <= 0 && timeout_ms > 0) {
		got = rd_kafka_consume_batch_queue(q, timeout_ms, msgs, 1);
		if (got == 1 && n > 1) {
			ssize_t more = rd_kafka_consume_batch_queue(q, 0, msgs + 1, n - 1);
			if (more > 0)
				got += more;
		}
	}
	size_t total = 0;
	void *rkt = NULL;
	int32_t partition = -1;
	for (ssize_t i = 0; i < got; i++) {
		mr_msg *m = msgs[i];
		mr_rec *r = &recs[i];
		r->err       = m->err;
		r->offset    = m->offset;
		r->partition = m->partition;
		r->topic_len = -1;
		r->headers   = 0;
		if (i == 0 || m->rkt != rkt || m->partition != partition) {
			rkt       = m->rkt;
			partition = m->partition;
			r->topic_len = rkt ? (int32_t)strlen(rd_kafka_topic_name(rkt)) : 0;
			total += (size_t)r->topic_len;
		}
		r->value_len = m->payload ? (int32_t)m->len : -1;
		r->key_len   = m->key && !m->err ? (int32_t)m->key_len : -1;
		if (r->value_len > 0)
			total += m->len;
		if (r->key_len > 0)
			total += m->key_len;
		int type = 0;
		r->timestamp = m->err ? -1 : rd_kafka_message_timestamp(m, &type);
		r->timestamp_type = type;
		void *hs;
		if (!m->err && !rd_kafka_message_headers(m, &hs)) {
			size_t count = rd_kafka_header_cnt(hs), size;
			const char *name;
			const void *value;
			for (size_t h = 0; h < count && !rd_kafka_header_get_all(hs, h, &name, &value, &size); h++) {
				total += 8 + strlen(name) + (value ? size : 0);
				r->headers++;
			}
		}
	}
	*arena = total;
	return got;
}

static char *mr_put(char *to, const void *from, size_t n) {
	if (n > 0)
		memcpy(to, from, n);
	return to + n;
}

// mr_copy copies the bytes of what mr_take took into the arena and gives the messages back.
static void mr_copy(mr_msg **msgs, const mr_rec *recs, size_t n, char *to) {
	for (size_t i = 0; i < n; i++) {
		mr_msg *m = msgs[i];
		const mr_rec *r = &recs[i];
		if (r->topic_len > 0)
			to = mr_put(to, rd_kafka_topic_name(m->rkt), (size_t)r->topic_len);
		if (r->key_len > 0)
			to = mr_put(to, m->key, (size_t)r->key_len);
		if (r->value_len > 0)
			to = mr_put(to, m->payload, (size_t)r->value_len);
		void *hs;
		if (r->headers > 0 && !rd_kafka_message_headers(m, &hs)) {
			const char *name;
			const void *value;
			size_t size;
			for (int32_t h = 0; h < r->headers && !rd_kafka_header_get_all(hs, (size_t)h, &name, &value, &size); h++) {
				int32_t len = (int32_t)strlen(name);
				to  = mr_put(to, &len, 4);
				to  = mr_put(to, name, (size_t)len);
				len = value ? (int32_t)size : -1;
				to  = mr_put(to, &len, 4);
				if (len > 0)
					to = mr_put(to, value, size);
			}
		}
		rd_kafka_message_destroy(m);
	}
}
*/
import "C"

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/millrace/millrace/sdk/record"
)

// reader takes records out of librdkafka many at a time: two crossings into C and one piece of memory per batch, where
// confluent's Poll needs a crossing and several pieces per record. The partitions' queues are forwarded to one of ours;
// confluent's Poll goes on serving rebalances and errors.
//
// All bytes of a batch are one allocation: a record that is kept keeps its batch's memory.
type reader struct {
	rk    unsafe.Pointer
	queue unsafe.Pointer
	msgs  **C.mr_msg // C memory for cap(recs) pointers
	recs  []C.mr_rec
}

// newReader makes a reader for batches of at most size records, more after grow.
func newReader(h handle) (*reader, error) {
	if major := uint(C.rd_kafka_version()) >> 24; major != 2 {
		return nil, fmt.Errorf("librdkafka %d is not the one whose layout is known here (2)", major)
	}
	r := &reader{rk: h.rk, queue: C.rd_kafka_queue_new(h.rk)}
	return r, nil
}

func (r *reader) grow(n int) {
	if len(r.recs) >= n {
		return
	}
	C.free(unsafe.Pointer(r.msgs))
	r.msgs = (**C.mr_msg)(C.malloc(C.size_t(n) * C.size_t(unsafe.Sizeof(uintptr(0)))))
	r.recs = make([]C.mr_rec, n)
}

// attach makes a partition's records come here; it is called before the library is told to read it.
func (r *reader) attach(tp TopicPartition) { r.forward(tp, r.queue) }

// detach undoes it.
func (r *reader) detach(tp TopicPartition) { r.forward(tp, nil) }

func (r *reader) forward(tp TopicPartition, to unsafe.Pointer) {
	topic := C.CString(tp.Topic)
	defer C.free(unsafe.Pointer(topic))
	if q := C.rd_kafka_queue_get_partition(r.rk, topic, C.int32_t(tp.Partition)); q != nil {
		C.rd_kafka_queue_forward(q, to)
		C.rd_kafka_queue_destroy(q)
	}
}

// close gives the queue back; the client must be alive still, and no other call may be running.
func (r *reader) close() {
	C.rd_kafka_queue_destroy(r.queue)
	C.free(unsafe.Pointer(r.msgs))
	r.queue, r.msgs, r.recs = nil, nil, nil
}

// read hands the records that are there to c, at most n; where there are none it waits for the first.
func (r *reader) read(c *Consumer, wait time.Duration, n int) {
	r.grow(n)
	var size C.size_t
	got := int(C.mr_take(r.queue, C.int(max(0, wait.Milliseconds())), r.msgs, &r.recs[0], C.size_t(n), &size))
	if got <= 0 {
		return
	}
	c.bytes += int(size)
	traffic.add(int(size) + got*messageBytes)
	arena := newArena(int(size) + 1) // never empty: it needs an address, and empty values need one too
	C.mr_copy(r.msgs, &r.recs[0], C.size_t(got), (*C.char)(unsafe.Pointer(&arena[0])))
	cut := func(n C.int32_t) []byte {
		if n < 0 {
			return nil
		}
		b := arena[:n:n]
		arena = arena[n:]
		return b
	}
	var topic string
	var p *part
	for i := range r.recs[:got] {
		m := &r.recs[i]
		if m.topic_len >= 0 {
			topic = string(cut(m.topic_len))
			p = c.parts[TopicPartition{Topic: topic, Partition: int32(m.partition)}]
		}
		rec := Record{
			Topic: topic, Partition: int32(m.partition), Offset: int64(m.offset), Timestamp: record.NoTimestamp,
			Key: cut(m.key_len), Value: cut(m.value_len),
		}
		if m.timestamp_type != 0 && m.timestamp >= 0 {
			rec.Timestamp, rec.TimestampType = int64(m.timestamp), record.TimestampType(m.timestamp_type)
		}
		if m.headers > 0 {
			rec.Headers = make([]Header, m.headers)
			for h := range rec.Headers {
				rec.Headers[h].Key = string(cut(length(cut(4))))
				rec.Headers[h].Value = cut(length(cut(4)))
			}
		}
		switch {
		case m.err == errPartitionEOF:
			p.reached(int64(m.offset))
		case m.err != 0:
			c.event(kafka.NewError(kafka.ErrorCode(m.err), string(rec.Value), false))
		case p != nil:
			rec.Topic = p.tp.Topic // one string for all records of a partition
			p.next = rec.Offset + 1
			c.taken = append(c.taken, rec)
		}
	}
	c.recovered()
}

// newArena is memory that was not zeroed, since all of it is written at once. Only strings.Builder gives out such.
func newArena(n int) []byte {
	var b strings.Builder
	b.Grow(n)
	b.WriteByte(0) // an empty string need not have an address
	return unsafe.Slice(unsafe.StringData(b.String()), n)
}

// messageBytes is about what the library needs for a record beside its bytes.
const messageBytes = 256

const errPartitionEOF = C.int32_t(kafka.ErrPartitionEOF)

func length(b []byte) C.int32_t { return C.int32_t(binary.NativeEndian.Uint32(b)) }
