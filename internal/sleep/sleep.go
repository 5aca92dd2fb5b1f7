// Package sleep waits as long as somebody still wants to.
package sleep

import (
	"context"
	"time"
)

// For waits; false: ctx ended first.
func For(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
