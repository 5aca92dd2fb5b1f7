package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// DigestHeld is a short text that two sides share exactly when they agree on the set of held jobs. Order of the input
// does not matter; the input is not changed.
func DigestHeld(held []HeldJob) string {
	sorted := slices.Clone(held)
	slices.SortFunc(sorted, func(a, b HeldJob) int { return CompareJobs(a.Job, b.Job) })
	h := sha256.New()
	for _, j := range sorted {
		_, _ = fmt.Fprintf(h, "%s %d %d\n", j.Job, j.Epoch, j.Revision)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// DigestStatuses is DigestHeld for what was reported of each job; traces are left out.
func DigestStatuses(statuses []Status) string {
	sorted := slices.Clone(statuses)
	slices.SortFunc(sorted, func(a, b Status) int { return CompareJobs(a.Job, b.Job) })
	h := sha256.New()
	for _, s := range sorted {
		_, _ = fmt.Fprintf(h, "%s %d %d %d %s\n", s.Job, s.Epoch, s.Revision, s.RestartSeq, s.State)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// CompareJobs orders job ids as Less does.
func CompareJobs(a, b JobID) int {
	switch {
	case a.Less(b):
		return -1
	case b.Less(a):
		return 1
	}
	return 0
}
