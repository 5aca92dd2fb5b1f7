package kafkaio

/*
#include <stddef.h>
// librdkafka is linked into confluent-kafka-go; this is its prototype, written down here since the header is not ours to
// include: rd_kafka_fatal_error gives an error code, 0 without a fatal error.
extern int rd_kafka_fatal_error(void *rk, char *errstr, size_t errstr_size);
// The member id in the group, to be freed by rd_kafka_mem_free; NULL without one.
extern char *rd_kafka_memberid(const void *rk);
extern void rd_kafka_mem_free(void *rk, void *ptr);
*/
import "C"

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// handle is the C client of a confluent client. The library keeps it to itself; we need it for a call that it does not offer
// (deleteoffsets.go), and to learn of a fence at once: the
// event that tells waits in line behind every record that was fetched before, and a fenced member must not go on
// handing those out (Invariant 4).
type handle struct{ rk unsafe.Pointer }

// handleOf finds the client. The library's version is pinned; an error says that it has changed inside.
func handleOf[T kafka.Consumer | kafka.AdminClient](k *T) (handle, error) {
	h := reflect.ValueOf(k).Elem().FieldByName("handle")
	if h.Kind() == reflect.Pointer {
		h = h.Elem()
	}
	if h.Kind() != reflect.Struct {
		return handle{}, fmt.Errorf("looking into confluent-kafka-go: %T has no struct handle", k)
	}
	rk := h.FieldByName("rk")
	if rk.Kind() != reflect.Pointer || rk.IsNil() {
		return handle{}, fmt.Errorf("looking into confluent-kafka-go: handle has no pointer rk")
	}
	return handle{rk: rk.UnsafePointer()}, nil
}

// fatal is the error that ended the client; nil normally. The client must be alive.
func (h handle) fatal() error {
	if code := C.rd_kafka_fatal_error(h.rk, nil, 0); code != 0 {
		return kafka.NewError(kafka.ErrorCode(code), "", true)
	}
	return nil
}

// member is the id under which the client is in its group; empty without one.
func (h handle) member() string {
	id := C.rd_kafka_memberid(h.rk)
	if id == nil {
		return ""
	}
	defer C.rd_kafka_mem_free(h.rk, unsafe.Pointer(id))
	return C.GoString(id)
}
