package filestream

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func BenchmarkSplitter(b *testing.B) {
	block := []byte(strings.Repeat(strings.Repeat("x", 99)+"\n", 640))
	b.SetBytes(int64(len(block)))
	var s splitter
	for b.Loop() {
		for rest := block; len(rest) > 0; {
			space, _ := s.room()
			n := copy(space, rest)
			rest = rest[n:]
			s.filled(n)
			for {
				if _, _, ok := s.next(); !ok {
					break
				}
			}
		}
	}
}

func BenchmarkSinkPutAndFlush(b *testing.B) {
	dir := b.TempDir()
	task := &sinkTask{roots: Roots{dir}}
	if err := task.Start(b.Context(), sinkContext{config: map[string]string{"file": filepath.Join(dir, "out")}}); err != nil {
		b.Fatal(err)
	}
	batch := values()
	for range 2000 {
		batch = append(batch, values(strings.Repeat("x", 100))...)
	}
	n := 0
	began := time.Now()
	for b.Loop() {
		if err := task.Put(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		n += len(batch)
	}
	if err := task.Flush(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(n)/time.Since(began).Seconds(), "records/s")
}
