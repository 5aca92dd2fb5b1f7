package kafkaio

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What this package writes down of librdkafka's layouts and numbers is what the header of the pinned version says.
func TestLayoutsAreThoseOfTheLibrary(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-json", "github.com/confluentinc/confluent-kafka-go/v2").Output()
	require.NoError(t, err)
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &module))

	// Our types and numbers, without the prototypes: those clash with the header's on purpose (void pointers).
	ours := regexp.MustCompile(`(?ms)^typedef struct \{$.*?^\} (?:mr|cb)_\w+;|^enum \{.*?\};`)
	program := []string{`#include <stddef.h>`, `#include <stdint.h>`, `#include <sys/types.h>`, `#include "rdkafka.h"`}
	for _, file := range []string{"batch.go", "writer.go", filepath.Join("clientbench", "bare.go")} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		program = append(program, ours.FindAllString(string(text), -1)...)
	}
	for mine, theirs := range map[string]string{"mr_msg": "rd_kafka_message_t", "mr_report": "rd_kafka_message_t", "cb_msg": "rd_kafka_message_t", "mr_metadata_topic": "struct rd_kafka_metadata_topic"} {
		program = append(program, `_Static_assert(sizeof(`+mine+`) == sizeof(`+theirs+`), "size of `+mine+`");`)
	}
	fields := func(mine, theirs string, names ...string) {
		for _, f := range names {
			program = append(program, `_Static_assert(offsetof(`+mine+`, `+f+`) == offsetof(`+theirs+`, `+f+`), "`+mine+`.`+f+`");`,
				`_Static_assert(sizeof(((`+mine+` *)0)->`+f+`) == sizeof(((`+theirs+` *)0)->`+f+`), "size of `+mine+`.`+f+`");`)
		}
	}
	message := []string{"err", "rkt", "partition", "payload", "len", "key", "key_len", "offset", "_private"}
	fields("mr_msg", "rd_kafka_message_t", message...)
	fields("mr_report", "rd_kafka_message_t", message...)
	fields("cb_msg", "rd_kafka_message_t", message...)
	fields("mr_metadata_topic", "struct rd_kafka_metadata_topic", "topic", "partition_cnt", "partitions", "err")
	fields("mr_metadata", "struct rd_kafka_metadata", "broker_cnt", "brokers", "topic_cnt", "topics")
	for mine, theirs := range map[string]string{
		"MR_PRODUCER": "RD_KAFKA_PRODUCER", "MR_COPY": "RD_KAFKA_MSG_F_COPY",
		"MR_PURGE_QUEUE": "RD_KAFKA_PURGE_F_QUEUE", "MR_PURGE_INFLIGHT": "RD_KAFKA_PURGE_F_INFLIGHT",
		"MR_EVENT_DR": "RD_KAFKA_EVENT_DR", "MR_EVENT_LOG": "RD_KAFKA_EVENT_LOG", "MR_EVENT_ERROR": "RD_KAFKA_EVENT_ERROR",
		"MR_END": "RD_KAFKA_VTYPE_END", "MR_RKT": "RD_KAFKA_VTYPE_RKT", "MR_PARTITION": "RD_KAFKA_VTYPE_PARTITION",
		"MR_VALUE": "RD_KAFKA_VTYPE_VALUE", "MR_KEY": "RD_KAFKA_VTYPE_KEY", "MR_OPAQUE": "RD_KAFKA_VTYPE_OPAQUE",
		"MR_MSGFLAGS": "RD_KAFKA_VTYPE_MSGFLAGS", "MR_TIMESTAMP": "RD_KAFKA_VTYPE_TIMESTAMP", "MR_HEADERS": "RD_KAFKA_VTYPE_HEADERS",
		"CB_PRODUCER": "RD_KAFKA_PRODUCER", "CB_CONSUMER": "RD_KAFKA_CONSUMER", "CB_COPY": "RD_KAFKA_MSG_F_COPY",
		"CB_EOF": "RD_KAFKA_RESP_ERR__PARTITION_EOF", "CB_QUEUE_FULL": "RD_KAFKA_RESP_ERR__QUEUE_FULL",
		"CB_END": "RD_KAFKA_VTYPE_END", "CB_RKT": "RD_KAFKA_VTYPE_RKT", "CB_PARTITION": "RD_KAFKA_VTYPE_PARTITION",
		"CB_VALUE": "RD_KAFKA_VTYPE_VALUE", "CB_MSGFLAGS": "RD_KAFKA_VTYPE_MSGFLAGS",
	} {
		program = append(program, `_Static_assert((int)`+mine+` == (int)`+theirs+`, "`+mine+`");`)
	}
	source := filepath.Join(t.TempDir(), "layout.c")
	require.NoError(t, os.WriteFile(source, []byte(strings.Join(program, "\n")+"\n"), 0o600))
	said, err := exec.CommandContext(t.Context(), "cc", "-fsyntax-only", "-I", filepath.Join(module.Dir, "kafka", "librdkafka_vendor"), source).CombinedOutput() //nolint:gosec // a test's own file
	require.NoError(t, err, "%s", said)
}
