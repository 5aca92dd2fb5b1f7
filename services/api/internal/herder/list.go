package herder

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/millrace/millrace/controlplane/cluster"
)

// expand gives details of connectors, as a JSON object. With status, those that have none yet are left out, as in Kafka Connect.
//
// A list may be of ten thousand connectors: it is written as it comes, and configurations stay the text that is stored.
func expand(all []cluster.Shown, status, info bool) json.RawMessage {
	size := 2
	for _, c := range all {
		size += len(c.Config) + 512
	}
	b := append(make([]byte, 0, size), '{')
	for _, c := range all {
		if status && c.Status == nil {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(appendText(b, c.Name), ":{"...)
		if status {
			b = appendStatus(append(b, `"status":`...), c)
		}
		if status && info {
			b = append(b, ',')
		}
		if info {
			b = appendInfo(append(b, `"info":`...), c)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendStatus(b []byte, c cluster.Shown) []byte {
	b = appendText(append(b, `{"name":`...), c.Name)
	b = append(appendState(append(b, `,"connector":{`...), *c.Status), `},"tasks":[`...)
	for i, s := range c.TaskStatuses {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendInt(append(b, `{"id":`...), int64(s.Task), 10), ',')
		b = append(appendState(b, s), '}')
	}
	kind := c.Type
	if c.Deleted {
		kind = cluster.TypeUnknown
	}
	return append(appendText(append(b, `],"type":`...), string(kind)), '}')
}

func appendState(b []byte, shown cluster.ShownState) []byte {
	s := stateOf(shown)
	b = appendText(append(b, `"state":`...), string(s.State))
	b = appendText(append(b, `,"worker_id":`...), string(s.WorkerID))
	if s.Trace != "" {
		b = appendText(append(b, `,"trace":`...), s.Trace)
	}
	if s.Version != "" {
		b = appendText(append(b, `,"version":`...), s.Version)
	}
	return b
}

func appendInfo(b []byte, c cluster.Shown) []byte {
	b = appendText(append(b, `{"name":`...), c.Name)
	b = append(append(append(b, `,"config":`...), c.Config...), `,"tasks":[`...)
	for i, t := range c.Tasks {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, `{"connector":`...), c.Name)
		b = append(strconv.AppendInt(append(b, `,"task":`...), int64(t), 10), '}')
	}
	return append(appendText(append(b, `],"type":`...), string(c.Type)), '}')
}

// appendText writes a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return appendEscaped(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendEscaped(b []byte, s string) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return append(b, `""`...) // a string has no error
	}
	return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}
