package pipeline_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// What a record costs on the way through a pipeline is what its values need, and nothing for the way: no closure, no place, no
// copy of a record that a transformation leaves alone.
//
// Not parallel: allocations are counted for the process.
func TestAllocationsPerRecord(t *testing.T) {
	const n = 500
	for _, tc := range []struct {
		name       string
		converter  string
		value      string
		transforms bool
		sink       float64 // allocations a record
		source     float64
	}{
		{name: "bytes", converter: "ByteArrayConverter", value: "abc", sink: 1, source: 0},                                  // a []byte in an interface
		{name: "bytes, transformed", converter: "ByteArrayConverter", value: "abc", transforms: true, sink: 1},              // the same
		{name: "text", converter: "StringConverter", value: "some text", sink: 1, source: 1},                                // it in an interface; its bytes
		{name: "text, transformed", converter: "StringConverter", value: "some text", transforms: true, sink: 1, source: 1}, // the same
	} {
		t.Run(tc.name, func(t *testing.T) {
			config := map[string]string{"value.converter": tc.converter}
			if tc.transforms {
				config["transforms"], config["transforms.a.type"] = "a", "x.Smt"
			}
			s := setup{config: config, apply: func(*transform.Record) (bool, error) { return true, nil }}
			p := s.build(t)
			in := make([]kafkaio.Record, n)
			for i := range in {
				in[i] = kafkaio.Record{Topic: "t", Offset: int64(i), Value: fmt.Appendf(nil, "%s", tc.value), Timestamp: 5}
			}
			out := make([]record.Sink, 0, n)
			var err error
			got := testing.AllocsPerRun(10, func() { out, err = p.Sink(t.Context(), in, out[:0]) }) / n
			require.NoError(t, err)
			require.Len(t, out, n)
			require.LessOrEqual(t, got, tc.sink+0.02, "to the sink")

			from := make([]record.Source, n)
			for i := range from {
				from[i] = record.Source{Topic: "t", KafkaPartition: record.AnyPartition, ValueSchema: out[i].ValueSchema, Value: out[i].Value, Timestamp: 5}
			}
			raw, idx := make([]kafkaio.Record, 0, n), make([]int, 0, n)
			got = testing.AllocsPerRun(10, func() { raw, idx, err = p.Source(t.Context(), from, raw[:0], idx[:0]) }) / n
			require.NoError(t, err)
			require.Len(t, raw, n)
			require.LessOrEqual(t, got, tc.source+0.02, "from the source")
		})
	}
}
