package kafkaio

/*
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

// librdkafka's prototypes and numbers, as in batch.go; layout_test.go compares them with the header of the pinned version.
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
} mr_report;

typedef struct {
	char *topic;
	int   partition_cnt;
	void *partitions;
	int   err;
} mr_metadata_topic;

typedef struct {
	int                broker_cnt;
	void              *brokers;
	int                topic_cnt;
	mr_metadata_topic *topics;
} mr_metadata; // its beginning

enum { MR_PRODUCER = 0 };                                                  // rd_kafka_type_t
enum { MR_COPY = 0x2 };                                                    // RD_KAFKA_MSG_F_COPY
enum { MR_PURGE_QUEUE = 0x1, MR_PURGE_INFLIGHT = 0x2 };                    // RD_KAFKA_PURGE_F_
enum { MR_EVENT_DR = 0x1, MR_EVENT_LOG = 0x4, MR_EVENT_ERROR = 0x8 };      // RD_KAFKA_EVENT_
enum {                                                                     // RD_KAFKA_VTYPE_
	MR_END = 0, MR_RKT = 2, MR_PARTITION = 3, MR_VALUE = 4, MR_KEY = 5, MR_OPAQUE = 6, MR_MSGFLAGS = 7, MR_TIMESTAMP = 8,
	MR_HEADERS = 10
};

extern int         rd_kafka_version(void);
extern void       *rd_kafka_conf_new(void);
extern void        rd_kafka_conf_destroy(void *conf);
extern int         rd_kafka_conf_set(void *conf, const char *name, const char *value, char *errstr, size_t size);
extern void        rd_kafka_conf_set_events(void *conf, int events);
extern void       *rd_kafka_new(int type, void *conf, char *errstr, size_t size);
extern void        rd_kafka_destroy(void *rk);
extern const char *rd_kafka_name(const void *rk);
extern int         rd_kafka_fatal_error(void *rk, char *errstr, size_t size);
extern int         rd_kafka_set_log_queue(void *rk, void *q);
extern void       *rd_kafka_topic_new(void *rk, const char *topic, void *conf);
extern void        rd_kafka_topic_destroy(void *rkt);
extern int         rd_kafka_last_error(void);
extern int         rd_kafka_producev(void *rk, ...);
extern int         rd_kafka_purge(void *rk, int flags);
extern void       *rd_kafka_headers_new(size_t n);
extern void        rd_kafka_headers_destroy(void *headers);
extern int         rd_kafka_header_add(void *headers, const char *name, ssize_t name_size, const void *value, ssize_t size);
extern int         rd_kafka_metadata(void *rk, int all, void *rkt, const mr_metadata **metadata, int timeout_ms);
extern void        rd_kafka_metadata_destroy(const mr_metadata *metadata);
extern void       *rd_kafka_queue_get_main(void *rk);
extern void        rd_kafka_queue_destroy(void *q);
extern void       *rd_kafka_queue_poll(void *q, int timeout_ms);
extern void        rd_kafka_queue_yield(void *q);
extern int         rd_kafka_event_type(const void *ev);
extern void        rd_kafka_event_destroy(void *ev);
extern const mr_report *rd_kafka_event_message_next(void *ev);
extern int         rd_kafka_event_error(void *ev);
extern const char *rd_kafka_event_error_string(void *ev);
extern int         rd_kafka_event_error_is_fatal(void *ev);
extern int         rd_kafka_event_log(void *ev, const char **facility, const char **text, int *level);
extern void       *rd_kafka_init_transactions(void *rk, int timeout_ms);
extern void       *rd_kafka_begin_transaction(void *rk);
extern void       *rd_kafka_commit_transaction(void *rk, int timeout_ms);
extern void       *rd_kafka_abort_transaction(void *rk, int timeout_ms);
extern int         rd_kafka_error_code(const void *e);
extern const char *rd_kafka_error_string(const void *e);
extern int         rd_kafka_error_is_fatal(const void *e);
extern int         rd_kafka_error_is_retriable(const void *e);
extern int         rd_kafka_error_txn_requires_abort(const void *e);
extern void        rd_kafka_error_destroy(void *e);

// mr_out describes one record to be sent; its bytes follow each other: key, value, then per header a 32-bit length and the
// name, a 32-bit length and the value. Lengths of -1 are nulls. It holds no pointers.
typedef struct {
	int64_t timestamp; // 0: now
	int32_t topic;     // which of the handles
	int32_t partition;
	int32_t key_len;
	int32_t value_len;
	int32_t headers;
} mr_out;

static void *mr_headers(int32_t n, const char **bytes) {
	void *hs = rd_kafka_headers_new((size_t)n);
	const char *at = *bytes;
	for (int32_t h = 0; h < n; h++) {
		int32_t name_len, len;
		memcpy(&name_len, at, 4);
		const char *name = at + 4;
		at = name + name_len;
		memcpy(&len, at, 4);
		at += 4;
		rd_kafka_header_add(hs, name, name_len, len < 0 ? NULL : at, len < 0 ? 0 : len);
		if (len > 0)
			at += len;
	}
	*bytes = at;
	return hs;
}

// mr_send enqueues records in order until one is refused, and returns how many were taken; *err says why it stopped, *used
// how many of the bytes belong to those that were taken. Record i is reported under opaque + i.
static int mr_send(void *rk, void **topics, const mr_out *recs, int n, const char *bytes, uint64_t opaque, int *err, size_t *used) {
	const char *at = bytes;
	*err = 0;
	for (int i = 0; i < n; i++) {
		const mr_out *r = &recs[i];
		const char *key = at, *value = key + (r->key_len > 0 ? r->key_len : 0);
		const char *next = value + (r->value_len > 0 ? r->value_len : 0);
		void *hs = r->headers > 0 ? mr_headers(r->headers, &next) : NULL;
		int e = rd_kafka_producev(rk,
			MR_RKT, topics[r->topic],
			MR_PARTITION, r->partition,
			MR_MSGFLAGS, MR_COPY,
			MR_TIMESTAMP, r->timestamp,
			MR_OPAQUE, (void *)(uintptr_t)(opaque + (uint64_t)i),
			MR_KEY, r->key_len < 0 ? NULL : (void *)key, (size_t)(r->key_len < 0 ? 0 : r->key_len),
			MR_VALUE, r->value_len < 0 ? NULL : (void *)value, (size_t)(r->value_len < 0 ? 0 : r->value_len),
			hs ? MR_HEADERS : MR_END, hs,
			MR_END);
		if (e) {
			if (hs)
				rd_kafka_headers_destroy(hs); // not the library's, since it refused them
			*err  = e;
			*used = (size_t)(at - bytes);
			return i;
		}
		at = next;
	}
	*used = (size_t)(at - bytes);
	return n;
}

typedef struct {
	uint64_t opaque;
	int64_t  offset;
	int32_t  partition;
	int32_t  err;
} mr_ack;

// mr_inbox is where reports come from: the queue, and an event whose reports did not all fit.
typedef struct {
	void *q;
	void *ev;
} mr_inbox;

// mr_reports takes what was reported, at most n records; where there is nothing it waits. Another kind of event ends it, and is
// returned in *other: the caller destroys it.
static int mr_reports(mr_inbox *in, int timeout_ms, mr_ack *acks, int n, void **other) {
	int got = 0;
	*other = NULL;
	for (;;) {
		if (!in->ev) {
			in->ev = rd_kafka_queue_poll(in->q, got ? 0 : timeout_ms);
			if (!in->ev)
				return got;
			if (rd_kafka_event_type(in->ev) != MR_EVENT_DR) {
				*other = in->ev;
				in->ev = NULL;
				return got;
			}
		}
		const mr_report *m;
		while ((m = rd_kafka_event_message_next(in->ev))) {
			acks[got].opaque    = (uint64_t)(uintptr_t)m->_private;
			acks[got].offset    = m->offset;
			acks[got].partition = m->partition;
			acks[got].err       = m->err;
			if (++got == n)
				return got; // the rest of this event comes next time
		}
		rd_kafka_event_destroy(in->ev);
		in->ev = NULL;
	}
}

// mr_look asks for metadata: of one topic, whose number of partitions it returns in *partitions, or of none.
static int mr_look(void *rk, void *rkt, int timeout_ms, int *partitions) {
	const mr_metadata *m = NULL;
	int err = rd_kafka_metadata(rk, 0, rkt, &m, timeout_ms);
	*partitions = 0;
	if (err)
		return err;
	if (rkt && m->topic_cnt > 0) {
		err         = m->topics[0].err;
		*partitions = m->topics[0].partition_cnt;
	}
	rd_kafka_metadata_destroy(m);
	return err;
}
*/
import "C"

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// writer is a client of the library that is ours alone: records go in with one crossing per batch, and reports come out
// with one per few thousand, where confluent's producer needs a crossing, an event and several pieces of memory per record.
type writer struct {
	p     *Producer
	rk    unsafe.Pointer
	inbox *C.mr_inbox
	quit  chan struct{}
	done  chan struct{} // closed when reports have ended

	gate // of calls into the library

	// Of send:
	handles *unsafe.Pointer // C memory
	room    int             // in handles
	topics  map[string]int32
	chunk   chunk
}

// chunk is the part of a batch that crosses at once. Where the library took only some of it, the rest is offered again.
type chunk struct {
	batch       *outBatch
	from        int // place of recs[0] in the batch
	recs, rest  []C.mr_out
	bytes, tail []byte
}

const (
	chunkBytes   = 1 << 20
	chunkRecords = 4096
	ackRecords   = 4096
)

// newWriter makes the client; config is what librdkafka's own names say, with confluent's additions left out.
func newWriter(p *Producer, config kafka.ConfigMap) (*writer, error) {
	if major := uint(C.rd_kafka_version()) >> 24; major != 2 {
		return nil, fmt.Errorf("librdkafka %d is not the one whose layout is known here (2)", major)
	}
	const size = 512
	text := (*C.char)(C.malloc(size))
	defer C.free(unsafe.Pointer(text))
	conf := C.rd_kafka_conf_new()
	set := func(name, value string) error {
		n, v := C.CString(name), C.CString(value)
		defer C.free(unsafe.Pointer(n))
		defer C.free(unsafe.Pointer(v))
		if C.rd_kafka_conf_set(conf, n, v, text, size) != 0 {
			return kafka.NewError(kafka.ErrInvalidArg, C.GoString(text), false)
		}
		return nil
	}
	_, version := kafka.LibraryVersion()
	all := kafka.ConfigMap{"client.software.name": "millrace", "client.software.version": version, "log.queue": true}
	maps.Copy(all, config)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(name, "go.") {
			continue
		}
		if err := set(name, fmt.Sprint(all[name])); err != nil {
			C.rd_kafka_conf_destroy(conf)
			return nil, err
		}
	}
	C.rd_kafka_conf_set_events(conf, C.MR_EVENT_DR|C.MR_EVENT_LOG|C.MR_EVENT_ERROR)
	rk := C.rd_kafka_new(C.MR_PRODUCER, conf, text, size)
	if rk == nil {
		C.rd_kafka_conf_destroy(conf)
		return nil, kafka.NewError(kafka.ErrInvalidArg, C.GoString(text), false)
	}
	C.rd_kafka_set_log_queue(rk, nil)
	w := &writer{p: p, rk: rk, quit: make(chan struct{}), done: make(chan struct{}), topics: map[string]int32{}}
	w.inbox = (*C.mr_inbox)(C.calloc(1, C.size_t(unsafe.Sizeof(C.mr_inbox{}))))
	w.inbox.q = C.rd_kafka_queue_get_main(rk)
	go w.serve()
	return w, nil
}

// serve takes reports and events until the client is closed.
func (w *writer) serve() {
	defer close(w.done)
	acks := make([]C.mr_ack, ackRecords)
	for {
		select {
		case <-w.quit:
			return
		default:
		}
		var other unsafe.Pointer
		got := C.mr_reports(w.inbox, C.int(slice.Milliseconds()), &acks[0], C.int(len(acks)), &other)
		if got > 0 {
			w.report(acks[:got])
		}
		if other != nil {
			w.event(other)
			C.rd_kafka_event_destroy(other)
		}
	}
}

// report tells of records; those of one batch come in runs.
func (w *writer) report(acks []C.mr_ack) {
	for len(acks) > 0 {
		slot := uint64(acks[0].opaque) >> 32
		n := 1
		for n < len(acks) && uint64(acks[n].opaque)>>32 == slot {
			n++
		}
		b := w.p.inFlight(uint32(slot))
		for i := range acks[:n] {
			a := &acks[i]
			var err error
			if a.err != 0 {
				err = kafka.NewError(kafka.ErrorCode(a.err), "", false)
			}
			w.p.report(b, int(uint32(a.opaque)), int32(a.partition), int64(a.offset), err)
		}
		w.p.settled(b, n)
		acks = acks[n:]
	}
}

func (w *writer) event(ev unsafe.Pointer) {
	switch C.rd_kafka_event_type(ev) {
	case C.MR_EVENT_ERROR:
		code := kafka.ErrorCode(C.rd_kafka_event_error(ev))
		err := kafka.NewError(code, C.GoString(C.rd_kafka_event_error_string(ev)), C.rd_kafka_event_error_is_fatal(ev) != 0)
		if fatal, ok := errors.AsType[kafka.Error](w.fatal()); ok && code == kafka.ErrFatal {
			err = fatal
		}
		_ = w.p.complain("producing", err) // calls that wait look at lastTrouble
	case C.MR_EVENT_LOG:
		var facility, text *C.char
		var level C.int
		if C.rd_kafka_event_log(ev, &facility, &text, &level) == 0 {
			w.p.logs <- kafka.LogEvent{Name: C.GoString(C.rd_kafka_name(w.rk)), Tag: C.GoString(facility), Message: C.GoString(text),
				Level: int(level), Timestamp: time.Now()}
		}
	}
}

// send implements outlet.
func (w *writer) send(b *outBatch, recs []Record, from int) (taken int, err error) {
	if !w.enter() {
		return 0, errClosed
	}
	defer w.leave()
	for at := from; at < len(recs); {
		c := &w.chunk
		if c.batch != b || c.from+len(c.recs)-len(c.rest) != at || len(c.rest) == 0 {
			if err := w.fill(b, recs, at); err != nil {
				return at - from, err
			}
		}
		var code C.int
		var used C.size_t
		n := int(C.mr_send(w.rk, w.handles, &c.rest[0], C.int(len(c.rest)), (*C.char)(unsafe.Pointer(&c.tail[0])),
			C.uint64_t(uint64(b.slot)<<32|uint64(at)), &code, &used)) //nolint:gosec // places in a batch
		c.rest, c.tail, at = c.rest[n:], c.tail[used:], at+n
		if code != 0 {
			return at - from, kafka.NewError(kafka.ErrorCode(code), "", false)
		}
	}
	w.chunk.batch = nil
	return len(recs) - from, nil
}

// fill encodes the records from the place at on, until the chunk is full.
func (w *writer) fill(b *outBatch, recs []Record, at int) error {
	c := &w.chunk
	c.batch, c.from, c.recs, c.bytes = b, at, c.recs[:0], c.bytes[:0]
	last, topic := "", int32(-1)
	for i := at; i < len(recs) && len(c.recs) < chunkRecords && len(c.bytes) < chunkBytes; i++ {
		r := &recs[i]
		if topic < 0 || r.Topic != last {
			var err error
			if topic, err = w.handle(r.Topic); err != nil {
				if i > at {
					break // those before it go first
				}
				return err
			}
			last = r.Topic
		}
		if len(r.Key) > math.MaxInt32 || len(r.Value) > math.MaxInt32 {
			if i > at {
				break
			}
			return kafka.NewError(kafka.ErrMsgSizeTooLarge, "", false)
		}
		out := C.mr_out{topic: C.int32_t(topic), partition: C.int32_t(r.Partition), timestamp: C.int64_t(max(0, r.Timestamp)),
			key_len: lengthOf(r.Key), value_len: lengthOf(r.Value), headers: C.int32_t(len(r.Headers))} //nolint:gosec // few
		c.bytes = append(append(c.bytes, r.Key...), r.Value...)
		for _, h := range r.Headers {
			c.bytes = binary.NativeEndian.AppendUint32(c.bytes, uint32(len(h.Key))) //nolint:gosec // a name
			c.bytes = append(c.bytes, h.Key...)
			c.bytes = binary.NativeEndian.AppendUint32(c.bytes, uint32(lengthOf(h.Value))) //nolint:gosec // -1 is meant
			c.bytes = append(c.bytes, h.Value...)
		}
		c.recs = append(c.recs, out)
	}
	traffic.add(len(c.bytes) + len(c.recs)*messageBytes)
	// Never empty: empty values need an address, too.
	c.bytes = append(c.bytes, 0)
	c.rest, c.tail = c.recs, c.bytes
	return nil
}

func lengthOf(b []byte) C.int32_t {
	if b == nil {
		return -1
	}
	return C.int32_t(len(b)) //nolint:gosec // checked by fill
}

// handle is the place of a topic's handle; they live as long as the client, as the library's own state of a topic does.
func (w *writer) handle(topic string) (int32, error) {
	if i, ok := w.topics[topic]; ok {
		return i, nil
	}
	name := C.CString(topic)
	defer C.free(unsafe.Pointer(name))
	h := C.rd_kafka_topic_new(w.rk, name, nil)
	if h == nil {
		return 0, kafka.NewError(kafka.ErrorCode(C.rd_kafka_last_error()), "", false)
	}
	n := len(w.topics)
	if n == w.room {
		w.room = max(8, 2*w.room)
		w.handles = (*unsafe.Pointer)(C.realloc(unsafe.Pointer(w.handles), C.size_t(w.room)*C.size_t(unsafe.Sizeof(h)))) //nolint:gosec // small
	}
	unsafe.Slice(w.handles, w.room)[n] = h
	w.topics[topic] = int32(n) //nolint:gosec // small
	return int32(n), nil       //nolint:gosec // small
}

// transact makes a call that is limited by ctx's deadline.
func (w *writer) transact(ctx context.Context, call func(timeout C.int) unsafe.Pointer) error {
	if !w.enter() {
		return errClosed
	}
	defer w.leave()
	timeout := time.Duration(0)
	if until, ok := ctx.Deadline(); ok {
		timeout = max(0, time.Until(until))
	}
	return transactError(call(C.int(timeout.Milliseconds())))
}

// transactError takes an error from the library.
func transactError(e unsafe.Pointer) error {
	if e == nil {
		return nil
	}
	defer C.rd_kafka_error_destroy(e)
	return &callError{
		ofLibrary: kafka.NewError(kafka.ErrorCode(C.rd_kafka_error_code(e)), C.GoString(C.rd_kafka_error_string(e)), C.rd_kafka_error_is_fatal(e) != 0),
		retriable: C.rd_kafka_error_is_retriable(e) != 0, abort: C.rd_kafka_error_txn_requires_abort(e) != 0,
	}
}

func (w *writer) initTransactions(ctx context.Context) error {
	return w.transact(ctx, func(ms C.int) unsafe.Pointer { return C.rd_kafka_init_transactions(w.rk, ms) })
}

func (w *writer) begin() error {
	return w.transact(context.Background(), func(C.int) unsafe.Pointer { return C.rd_kafka_begin_transaction(w.rk) })
}

func (w *writer) commit(ctx context.Context) error {
	return w.transact(ctx, func(ms C.int) unsafe.Pointer { return C.rd_kafka_commit_transaction(w.rk, ms) })
}

func (w *writer) abort(ctx context.Context) error {
	return w.transact(ctx, func(ms C.int) unsafe.Pointer { return C.rd_kafka_abort_transaction(w.rk, ms) })
}

func (w *writer) reach(timeout time.Duration) bool {
	_, err := w.look(nil, timeout)
	return err == nil
}

// partitions is for topics that records were sent to.
func (w *writer) partitions(topic string, timeout time.Duration) (int, error) {
	i, err := w.handle(topic)
	if err != nil {
		return 0, err
	}
	return w.look(unsafe.Slice(w.handles, w.room)[i], timeout)
}

func (w *writer) look(topic unsafe.Pointer, timeout time.Duration) (int, error) {
	if !w.enter() {
		return 0, errClosed
	}
	defer w.leave()
	var n C.int
	if code := C.mr_look(w.rk, topic, C.int(timeout.Milliseconds()), &n); code != 0 {
		return 0, kafka.NewError(kafka.ErrorCode(code), "", false)
	}
	return int(n), nil
}

// fatal is the error that ended the client; nil normally.
func (w *writer) fatal() error {
	if !w.enter() {
		return nil
	}
	defer w.leave()
	const size = 512
	if C.rd_kafka_fatal_error(w.rk, nil, 0) == 0 {
		return nil
	}
	text := (*C.char)(C.calloc(1, size))
	defer C.free(unsafe.Pointer(text))
	code := C.rd_kafka_fatal_error(w.rk, text, size)
	return kafka.NewError(kafka.ErrorCode(code), C.GoString(text), true)
}

func (w *writer) purge() {
	if w.enter() {
		C.rd_kafka_purge(w.rk, C.MR_PURGE_QUEUE|C.MR_PURGE_INFLIGHT)
		w.leave()
	}
}

func (w *writer) served() <-chan struct{} { return w.done }

// close lets calls that run come to an end, with reports served as some of them need, and gives the client back.
func (w *writer) close() {
	w.shut()
	if w.p.txnal != "" {
		_ = transactError(C.rd_kafka_abort_transaction(w.rk, C.int(slice.Milliseconds()))) // there may be none; see Producer.Close
	}
	close(w.quit)
	C.rd_kafka_queue_yield(w.inbox.q)
	<-w.done
	if w.inbox.ev != nil {
		C.rd_kafka_event_destroy(w.inbox.ev)
	}
	C.rd_kafka_queue_destroy(w.inbox.q)
	C.free(unsafe.Pointer(w.inbox))
	for _, h := range unsafe.Slice(w.handles, len(w.topics)) {
		C.rd_kafka_topic_destroy(h)
	}
	C.free(unsafe.Pointer(w.handles))
	C.rd_kafka_destroy(w.rk)
}
