package verifiable

import (
	"encoding/json"
	"io"
)

// line is what is printed of a record, as Kafka's own verifiable connectors print it.
type line struct {
	Committed bool   `json:"committed,omitempty"`
	Name      string `json:"name"`
	Task      int64  `json:"task"` // the source's
	SinkTask  *int32 `json:"sinkTask,omitempty"`
	Topic     string `json:"topic"`
	TimeMS    int64  `json:"time_ms"`
	Seqno     int64  `json:"seqno"`
	Offset    *int64 `json:"offset,omitempty"`
	Flushed   bool   `json:"flushed,omitempty"`
}

// lines prints lines, each in one call; without a writer none.
type lines struct{ w io.Writer }

func (l lines) print(one line) {
	if l.w == nil {
		return
	}
	text, err := json.Marshal(one)
	if err != nil {
		return // numbers and texts: there is no such error
	}
	_, _ = l.w.Write(append(text, '\n')) // a stdout that is closed is nobody's
}
