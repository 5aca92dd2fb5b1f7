package jobs

import (
	"context"
	"slices"
)

// confirm asks the control plane whether the job is still held here and waits for its answer; it is job.Env's Confirm. Only an
// answer to a heartbeat that was sent after the call counts: one that was under way may be older than a successor.
func (sl *slot) confirm(ctx context.Context) bool {
	s, mine := sl.s, make(chan struct{})
	s.mu.Lock()
	sl.asked = append(sl.asked, mine)
	s.mu.Unlock()
	s.o.Out.Beat()
	select {
	case <-mine:
		return true
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		sl.asked = slices.DeleteFunc(sl.asked, func(c chan struct{}) bool { return c == mine })
		return false
	}
}

// answer tells those who asked before the heartbeat was sent that the job is ours. Called with Supervisor.mu held.
func (sl *slot) answer(asked []chan struct{}) {
	for _, c := range asked {
		if i := slices.Index(sl.asked, c); i >= 0 {
			sl.asked = slices.Delete(sl.asked, i, i+1)
			close(c)
		}
	}
}
