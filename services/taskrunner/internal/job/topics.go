package job

import "sync/atomic"

// Topics notes which topics a task uses and tells of each once. Use belongs to the task's goroutine; Cleared may come from
// any. A nil *Topics notes nothing.
type Topics struct {
	tell   func(topic string, resets int64)
	resets atomic.Int64

	at   int64 // resets under which seen was noted
	last string
	seen map[string]bool
}

// NewTopics makes one. tell hears of every topic at its first use since resets was what it is.
func NewTopics(resets int64, tell func(topic string, resets int64)) *Topics {
	t := &Topics{tell: tell, at: resets, seen: map[string]bool{}}
	t.resets.Store(resets)
	return t
}

// Use notes that a record of the topic was read or written. It is cheap: a topic that is used again costs a comparison.
func (t *Topics) Use(topic string) {
	if t == nil {
		return
	}
	resets := t.resets.Load()
	if resets == t.at && topic == t.last {
		return
	}
	if resets != t.at {
		clear(t.seen)
		t.at = resets
	}
	t.last = topic
	if !t.seen[topic] {
		t.seen[topic] = true
		t.tell(topic, resets)
	}
}

// Cleared says that the list of used topics was cleared: what is used from now on is told again.
func (t *Topics) Cleared(resets int64) {
	if t != nil {
		t.resets.Store(resets)
	}
}
