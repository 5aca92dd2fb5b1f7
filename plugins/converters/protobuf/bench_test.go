package protobuf

import (
	"testing"

	"github.com/millrace/millrace/tests/conformance/convertertest"
)

func BenchmarkProtobuf_reads_a_row(b *testing.B) { convertertest.Reads(b, with(b, "", nil)) }

func BenchmarkProtobuf_writes_a_row(b *testing.B) { convertertest.Writes(b, with(b, "", nil)) }

func TestProtobuf_allocates_for_values_only(t *testing.T) {
	convertertest.Allocates(t, with(t, "", nil), 2, 25)
}
