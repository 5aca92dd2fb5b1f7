package jdbcsource

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/sleep"
)

// watch looks for tables again and again and tells when they are others than before.
type watch struct {
	list     func(context.Context) (tables []table, missing []string, err error)
	interval time.Duration
	changed  func()
	log      *slog.Logger

	mu      sync.Mutex
	tables  []table
	missing []string
	err     error // of the last look, if nothing was ever found
	first   chan struct{}
}

func newWatch(interval time.Duration, changed func(), log *slog.Logger, list func(context.Context) ([]table, []string, error)) *watch {
	return &watch{list: list, interval: interval, changed: changed, log: log, first: make(chan struct{})}
}

// run looks until ctx ends. A database that does not answer costs a look and nothing else: the tables stay as they were.
func (w *watch) run(ctx context.Context) {
	for {
		tables, missing, err := w.list(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.log.Error("Error while trying to get updated table list, ignoring and waiting for next table poll interval", "error", err)
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
		} else if w.keep(tables, missing) {
			w.changed()
		}
		if !sleep.For(ctx, w.interval) {
			return
		}
	}
}

// keep remembers what was found, and tells whether that is news.
func (w *watch) keep(tables []table, missing []string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(missing) > 0 && !slices.Equal(missing, w.missing) {
		w.log.Warn("Tables of table.whitelist do not exist", "tables", missing)
	}
	w.missing = missing
	w.err = nil
	select {
	case <-w.first:
		if slices.Equal(tables, w.tables) {
			return false
		}
	default:
		close(w.first)
	}
	w.tables = tables
	return true
}

// found gives the tables once there was a look, for which it waits so long; false: there was none.
func (w *watch) found(ctx context.Context, wait time.Duration) ([]table, bool) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-w.first:
	case <-t.C:
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.first:
		return w.tables, true
	default:
		return nil, false
	}
}
