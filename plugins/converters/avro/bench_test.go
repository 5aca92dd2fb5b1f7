package avro

import (
	"testing"

	"github.com/millrace/millrace/tests/conformance/convertertest"
)

func BenchmarkAvro_reads_a_row(b *testing.B) { convertertest.Reads(b, with(b, "", nil)) }

func BenchmarkAvro_writes_a_row(b *testing.B) { convertertest.Writes(b, with(b, "", nil)) }

func TestAvro_allocates_for_values_only(t *testing.T) {
	convertertest.Allocates(t, with(t, "", nil), 2, 24)
}
