package main

/*
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

// librdkafka's prototypes, as in kafkaio, whose layout_test.go compares the layout of a message with the header.
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
} cb_msg;

enum { CB_PRODUCER = 0, CB_CONSUMER = 1, CB_COPY = 0x2, CB_EOF = -191, CB_QUEUE_FULL = -184 };
enum { CB_END = 0, CB_RKT = 2, CB_PARTITION = 3, CB_VALUE = 4, CB_MSGFLAGS = 7 };

extern void    *rd_kafka_conf_new(void);
extern int      rd_kafka_conf_set(void *conf, const char *name, const char *value, char *errstr, size_t size);
extern void     rd_kafka_conf_destroy(void *conf);
extern void     rd_kafka_conf_set_dr_msg_cb(void *conf, void (*cb)(void *rk, const cb_msg *m, void *opaque));
extern void     rd_kafka_conf_set_opaque(void *conf, void *opaque);
extern void    *rd_kafka_new(int type, void *conf, char *errstr, size_t size);
extern void     rd_kafka_destroy(void *rk);
extern int      rd_kafka_poll(void *rk, int timeout_ms);
extern int      rd_kafka_outq_len(void *rk);
extern int      rd_kafka_producev(void *rk, ...);
extern void    *rd_kafka_topic_new(void *rk, const char *topic, void *conf);
extern void     rd_kafka_topic_destroy(void *rkt);
extern void    *rd_kafka_queue_get_consumer(void *rk);
extern void     rd_kafka_queue_destroy(void *q);
extern ssize_t  rd_kafka_consume_batch_queue(void *q, int timeout_ms, cb_msg **msgs, size_t n);
extern void     rd_kafka_message_destroy(cb_msg *m);
extern void    *rd_kafka_topic_partition_list_new(int size);
extern void    *rd_kafka_topic_partition_list_add(void *list, const char *topic, int32_t partition);
extern int      rd_kafka_topic_partition_list_set_offset(void *list, const char *topic, int32_t partition, int64_t offset);
extern void     rd_kafka_topic_partition_list_destroy(void *list);
extern int      rd_kafka_assign(void *rk, const void *list);
extern int      rd_kafka_consumer_close(void *rk);
extern const char *rd_kafka_err2name(int err);

static int64_t cb_now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// cb_consume reads n records in batches, and copies none of their bytes. It returns nanoseconds, or -1 with a text.
static int64_t cb_consume(void *conf, const char *topic, int partitions, int64_t n, size_t batch, char *errstr, size_t size) {
	void *rk = rd_kafka_new(CB_CONSUMER, conf, errstr, size);
	if (!rk) {
		rd_kafka_conf_destroy(conf);
		return -1;
	}
	void *list = rd_kafka_topic_partition_list_new(partitions);
	for (int i = 0; i < partitions; i++) {
		rd_kafka_topic_partition_list_add(list, topic, i);
		rd_kafka_topic_partition_list_set_offset(list, topic, i, 0);
	}
	rd_kafka_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	void *q = rd_kafka_queue_get_consumer(rk);
	cb_msg **msgs = malloc(batch * sizeof(*msgs));
	int64_t *next = calloc((size_t)partitions, sizeof(*next)), began = 0, seen = 0, took = 0;
	while (seen < n && took >= 0) {
		// Asked for more than one with a timeout, librdkafka would wait for a full batch.
		ssize_t got = rd_kafka_consume_batch_queue(q, 0, msgs, batch);
		if (got <= 0)
			got = rd_kafka_consume_batch_queue(q, 1000, msgs, 1);
		if (got > 0 && !began)
			began = cb_now();
		for (ssize_t i = 0; i < got; i++) {
			cb_msg *m = msgs[i];
			if (m->err && m->err != CB_EOF) {
				snprintf(errstr, size, "%s", rd_kafka_err2name(m->err));
				took = -1;
			} else if (!m->err) {
				if (m->offset != next[m->partition]) {
					snprintf(errstr, size, "partition %d: offset %lld follows %lld", (int)m->partition, (long long)m->offset, (long long)next[m->partition] - 1);
					took = -1;
				}
				next[m->partition] = m->offset + 1;
				seen++;
			}
			rd_kafka_message_destroy(m);
		}
	}
	if (took >= 0)
		took = cb_now() - began;
	free(next);
	free(msgs);
	rd_kafka_queue_destroy(q);
	rd_kafka_consumer_close(rk);
	rd_kafka_destroy(rk);
	return took;
}

typedef struct {
	int64_t stored;
	int     err;
} cb_reports;

static void cb_report(void *rk, const cb_msg *m, void *opaque) {
	cb_reports *r = opaque;
	if (m->err)
		r->err = m->err;
	else
		r->stored++;
}

// cb_produce writes n records. It returns nanoseconds, or -1 with a text.
static int64_t cb_produce(void *conf, const char *topic, int partitions, int64_t n, int run, size_t len, char *errstr, size_t size) {
	cb_reports reports = {0, 0};
	rd_kafka_conf_set_opaque(conf, &reports);
	rd_kafka_conf_set_dr_msg_cb(conf, cb_report);
	void *rk = rd_kafka_new(CB_PRODUCER, conf, errstr, size);
	if (!rk) {
		rd_kafka_conf_destroy(conf);
		return -1;
	}
	void *rkt = rd_kafka_topic_new(rk, topic, NULL);
	char *value = calloc(1, len + 1);
	int64_t began = cb_now();
	for (int64_t i = 0; i < n && !reports.err;) {
		int e = rd_kafka_producev(rk, CB_RKT, rkt, CB_PARTITION, (int)(i / run % partitions), CB_MSGFLAGS, CB_COPY, CB_VALUE, value, len, CB_END);
		if (e == CB_QUEUE_FULL)
			rd_kafka_poll(rk, 1);
		else if (e)
			reports.err = e;
		else if (++i % run == 0)
			rd_kafka_poll(rk, 0);
	}
	while (rd_kafka_outq_len(rk) > 0 && !reports.err)
		rd_kafka_poll(rk, 100);
	int64_t took = cb_now() - began;
	if (reports.err || reports.stored != n) {
		snprintf(errstr, size, "%lld of %lld records were stored: %s", (long long)reports.stored, (long long)n, rd_kafka_err2name(reports.err));
		took = -1;
	}
	free(value);
	rd_kafka_topic_destroy(rkt);
	rd_kafka_destroy(rk);
	return took;
}
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"
)

const textSize = 512

// inC makes librdkafka's configuration and calls a loop in C with it.
func inC(w work, loop func(conf unsafe.Pointer, topic, text *C.char) C.int64_t) (time.Duration, error) {
	text, topic := (*C.char)(C.calloc(1, textSize)), C.CString(w.topic)
	defer C.free(unsafe.Pointer(text))
	defer C.free(unsafe.Pointer(topic))
	conf := C.rd_kafka_conf_new()
	for k, v := range w.client {
		name, value := C.CString(k), C.CString(v)
		code := C.rd_kafka_conf_set(conf, name, value, text, textSize)
		C.free(unsafe.Pointer(name))
		C.free(unsafe.Pointer(value))
		if code != 0 {
			C.rd_kafka_conf_destroy(conf)
			return 0, fmt.Errorf("setting %s: %s", k, C.GoString(text))
		}
	}
	took := loop(conf, topic, text)
	if took < 0 {
		return 0, errors.New(C.GoString(text))
	}
	return time.Duration(took), nil
}

// consumeC reads by a loop in C, which copies nothing.
func consumeC(_ context.Context, w work) (time.Duration, error) {
	w.client["group.id"] = w.topic // librdkafka wants one; the partitions are assigned without it
	return inC(w, func(conf unsafe.Pointer, topic, text *C.char) C.int64_t {
		return C.cb_consume(conf, topic, C.int(w.partitions), C.int64_t(w.records), batch, text, textSize)
	})
}

// produceC writes by a loop in C.
func produceC(_ context.Context, w work) (time.Duration, error) {
	return inC(w, func(conf unsafe.Pointer, topic, text *C.char) C.int64_t {
		return C.cb_produce(conf, topic, C.int(w.partitions), C.int64_t(w.records), batch/2, C.size_t(w.size), text, textSize)
	})
}
