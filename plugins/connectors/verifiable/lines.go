package verifiable

import (
	"encoding/json"
	"io"
	"sync"
)

// line is what is printed of a record, as Kafka's own verifiable connectors print it.
type line struct {
	Committed bool   `json:"committed,omitempty"`
	Name      string `json:"name"`
	Task      any    `json:"task"` // the source's
	SinkTask  *int32 `json:"sinkTask,omitempty"`
	Topic     string `json:"topic"`
	TimeMS    int64  `json:"time_ms"`
	Seqno     int64  `json:"seqno"`
	Offset    *int64 `json:"offset,omitempty"`
	Flushed   bool   `json:"flushed,omitempty"`
}

// lines prints lines, each in one call; nil prints none.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) print(one line) {
	if l == nil || l.w == nil {
		return
	}
	text, err := json.Marshal(one)
	if err != nil {
		return // numbers and texts: there is no such error
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.w.Write(append(text, '\n')) // a stdout that is closed is nobody's
}
