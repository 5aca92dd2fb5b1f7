package sinktask

import (
	"time"
)

const (
	firstBackoff = 100 * time.Millisecond
	mostBackoff  = 5 * time.Second
)

// backoff is how long a batch that was refused n times in a row rests when the plugin has not said. Kafka Connect waits
// until the next commit is due, up to a minute.
func backoff(n int) time.Duration {
	return min(mostBackoff, firstBackoff<<min(n-1, 10))
}

// refuse keeps the batch to offer it again. All partitions are paused meanwhile, and polling goes on: that keeps the
// membership alive.
func (t *task) refuse(err error) error {
	t.refused++
	wait := backoff(t.refused)
	if t.timeout != none {
		wait, t.timeout = t.timeout, none
	}
	t.retryAt = time.Now().Add(wait)
	what := "RetriableException from SinkTask"
	if t.doubting {
		what = "no answer from Kafka whether this task still is the holder; its batch waits"
	}
	t.log.Error(what, "attempt", t.refused, "records", len(t.batch), "again_in", wait, "error", err)
	t.count.Refused()
	if t.refused == 1 {
		return t.applyHolds()
	}
	return nil
}

// takenAgain ends the pause when a batch was accepted or given up.
func (t *task) takenAgain() error {
	if t.refused == 0 {
		return nil
	}
	t.refused = 0
	return t.applyHolds()
}
