// Package scratch keeps a buffer for what is written again and again.
package scratch

import "bytes"

// most is the size of a buffer that is worth keeping for the next value.
const most = 1 << 20

// Buffer is memory to append to. The zero value is ready; it belongs to one goroutine.
type Buffer struct{ b []byte }

// Empty is where to begin.
func (s *Buffer) Empty() []byte { return s.b[:0] }

// Copy is a copy of what was appended to Empty, whose memory is kept unless it is large.
func (s *Buffer) Copy(b []byte) []byte {
	if s.b = b; cap(b) > most {
		s.b = nil
	}
	return bytes.Clone(b)
}
