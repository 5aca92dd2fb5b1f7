package values_test

import (
	"testing"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/values"
)

func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{"text": "trace-1a2b3c4d", "number": "1234567", "float": "12.5", "timestamp": "2019-08-23T14:34:54.346Z", "list": `[1,2,3,4]`, "map": `{"a":1,"b":2}`} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				values.Parse(text)
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	buf := make([]byte, 0, 256)
	for name, v := range map[string]any{"text": "trace-1a2b3c4d", "number": int64(1234567), "float": 12.5, "timestamp": data.Instant(1566570894346),
		"list": []any{int8(1), int8(2)}, "map": data.MapOf("a", int8(1), "b", "x")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := values.Append(buf[:0], v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
