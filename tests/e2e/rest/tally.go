package rest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Tally counts what became of recorded exchanges. The zero value is ready, and nil counts nothing.
type Tally struct {
	mu    sync.Mutex
	equal int
	left  map[string]int // by reason
}

// note counts an exchange whose answer was compared, or was not for a reason.
func (t *Tally) note(reason string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if reason == "" {
		t.equal++
		return
	}
	if t.left == nil {
		t.left = map[string]int{}
	}
	t.left[reason]++
}

// String is one line of figures, and one for each reason.
func (t *Tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var s strings.Builder
	n := 0
	for _, reason := range slices.Sorted(maps.Keys(t.left)) {
		n += t.left[reason]
		fmt.Fprintf(&s, "\n%6d: %s", t.left[reason], reason)
	}
	return fmt.Sprintf("%d recorded exchanges replayed: %d compared, %d not comparable%s", t.equal+n, t.equal, n, s.String())
}

// leftOut tells why the answer to a row does not count, "" if it does, and whether the row is to be sent at all.
func (p *Player) leftOut(r row) (reason string, send bool) {
	follows, undo := p.follows(r)
	if p.needsMissing(r) {
		return "it is about a plugin that is not installed here", false
	}
	if follows {
		return "it is about a connector whose plugin is not installed here", undo
	}
	if reason, ok := NotSent[p.file+" "+r.ID]; ok {
		return reason, false
	}
	if refusedByJetty(r) {
		return "a path that Kafka Connect's HTTP server refuses and Millrace decodes", false
	}
	if rebalancing(r.Response.Status, []byte(r.Response.Body)) {
		return "Kafka Connect was in a rebalance", true
	}
	if p.file == Recorded && r.Request.Body != nil {
		if reason := intended(*r.Request.Body); reason != "" {
			return reason, true
		}
	}
	if reason, ok := p.target.Ours[p.file+" "+r.ID]; ok {
		return reason, true
	}
	if strings.HasPrefix(r.ID, cleanup) {
		return "it undoes what was made outside the recording", true
	}
	return "", true
}
