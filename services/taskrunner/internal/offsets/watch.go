package offsets

import (
	"context"
	"maps"
	"sync"
)

// Watch notes of which source partitions of a connector offsets are written, by whomever, also where they are removed.
type Watch struct {
	s         *Store
	connector string
	seen      map[string]struct{} // by identity
}

// watches are a store's, by connector.
type watches struct {
	mu  sync.Mutex
	all map[string][]*Watch
}

// noted tells the watches of a record.
func (w *watches) noted(connector, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.all[connector] {
		one.seen[id] = struct{}{}
	}
}

// watch begins to watch behind everything that is committed before the call.
func (s *Store) watch(ctx context.Context, connector string) (*Watch, error) {
	w := &Watch{s: s, connector: connector, seen: map[string]struct{}{}}
	err := s.sync(ctx, func() {
		s.watches.mu.Lock()
		defer s.watches.mu.Unlock()
		s.watches.all[connector] = append(s.watches.all[connector], w)
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Watch begins to watch the topic that counts, behind everything that is committed before the call. Stop it before the home is
// closed.
func (h *Home) Watch(ctx context.Context) (*Watch, error) {
	if h.own != nil {
		return h.own.watch(ctx, h.connector)
	}
	return h.set.worker.watch(ctx, h.connector)
}

// Seen are the identities of the source partitions of which offsets were written since the watch began; all that was committed
// before the call is in it.
func (w *Watch) Seen(ctx context.Context) (ids map[string]struct{}, err error) {
	err = w.s.sync(ctx, func() {
		w.s.watches.mu.Lock()
		defer w.s.watches.mu.Unlock()
		ids = maps.Clone(w.seen)
	})
	return ids, err
}

// Stop ends the watching.
func (w *Watch) Stop() {
	w.s.watches.mu.Lock()
	defer w.s.watches.mu.Unlock()
	all := w.s.watches.all
	left := all[w.connector][:0:0]
	for _, one := range all[w.connector] {
		if one != w {
			left = append(left, one)
		}
	}
	if all[w.connector] = left; len(left) == 0 {
		delete(all, w.connector)
	}
}
