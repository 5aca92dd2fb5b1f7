package filestream

import (
	"bytes"
	"unicode/utf8"
)

// splitter turns bytes into lines. A line ends at \n, \r\n or a lone \r; one whose end has not come yet is kept. Positions
// count bytes.
type splitter struct {
	buf   []byte // bytes[start:end] are not taken yet
	start int
	end   int
	scan  int   // bytes[start:scan] hold no line end
	pos   int64 // of buf[start] in the file
}

const firstBuffer = 64 << 10

// room returns where to read the next bytes into; it grows when a line does not fit. grown is the new size, or 0.
func (s *splitter) room() (space []byte, grown int) {
	if s.start > 0 && (s.start == s.end || s.end == len(s.buf)) {
		copy(s.buf, s.buf[s.start:s.end])
		s.end, s.scan, s.start = s.end-s.start, s.scan-s.start, 0
	}
	if s.end == len(s.buf) {
		bigger := make([]byte, max(firstBuffer, 2*len(s.buf)))
		copy(bigger, s.buf[:s.end])
		if len(s.buf) > 0 {
			grown = len(bigger)
		}
		s.buf = bigger
	}
	return s.buf[s.end:], grown
}

// rest gives the memory back, if no line is begun: very many files may have nothing to tell for long.
func (s *splitter) rest() {
	if s.start == s.end {
		s.buf, s.start, s.end, s.scan = nil, 0, 0, 0
	}
}

// filled says that n bytes were read into room.
func (s *splitter) filled(n int) { s.end += n }

// next returns the next line and the position just after its end; false when none is complete.
func (s *splitter) next() (line string, after int64, ok bool) {
	i := bytes.IndexAny(s.buf[s.scan:s.end], "\r\n")
	if i < 0 {
		s.scan = s.end
		return "", 0, false
	}
	at := s.scan + i
	size := 1
	if s.buf[at] == '\r' {
		if at+1 == s.end {
			s.scan = at // a \n may follow
			return "", 0, false
		}
		if s.buf[at+1] == '\n' {
			size = 2
		}
	}
	raw := s.buf[s.start:at]
	s.pos += int64(at + size - s.start)
	s.start = at + size
	s.scan = s.start
	return text(raw), s.pos, true
}

// text decodes UTF-8; each byte that is none becomes U+FFFD.
func text(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	return string([]rune(string(raw)))
}
