package childproc

import (
	"bytes"
	"strings"
	"sync"
)

// Tail is a writer for a child's output: it keeps the last lines, for error
// messages, and hands each whole line to Line if that is set.
type Tail struct {
	// Line receives each line without its end. Called from one goroutine at a
	// time per child.
	Line func(string)

	mu   sync.Mutex
	rest []byte
	last []string
}

const tailLines = 40

// Write never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.rest = append(t.rest, p...)
	var lines []string
	for {
		i := bytes.IndexByte(t.rest, '\n')
		if i < 0 {
			break
		}
		lines = append(lines, strings.TrimRight(string(t.rest[:i]), "\r"))
		t.rest = t.rest[i+1:]
	}
	t.last = append(t.last, lines...)
	if n := len(t.last) - tailLines; n > 0 {
		t.last = append([]string(nil), t.last[n:]...)
	}
	t.mu.Unlock()
	if t.Line != nil {
		for _, l := range lines {
			t.Line(l)
		}
	}
	return len(p), nil
}

// String returns the last lines.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(append(append([]string(nil), t.last...), string(t.rest)), "\n")
}
