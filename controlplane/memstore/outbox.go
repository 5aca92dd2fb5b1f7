package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
)

// message is an unpublished outbox row; published ones are deleted.
type message struct {
	cluster.OutboxMessage
	at      time.Time
	claimed time.Time // until when
}

// ClaimOutbox implements the store.
func (s *Store) ClaimOutbox(ctx context.Context, limit int, minAge, claimFor time.Duration) (out []cluster.OutboxMessage, err error) {
	err = s.enter(ctx, func() error {
		now := s.now()
		var free []*message
		for _, m := range s.outbox {
			if now.Sub(m.at) >= minAge && !m.claimed.After(now) {
				free = append(free, m)
			}
		}
		// What was never tried comes first, so that messages that can't be published hold back nobody.
		slices.SortStableFunc(free, func(a, b *message) int { return a.claimed.Compare(b.claimed) })
		free = free[:min(limit, len(free))]
		for _, m := range free {
			m.claimed = now.Add(claimFor)
			o := m.OutboxMessage
			o.Age = now.Sub(m.at)
			out = append(out, o)
		}
		slices.SortFunc(out, func(a, b cluster.OutboxMessage) int { return cmp.Compare(a.ID, b.ID) })
		return nil
	})
	return out, err
}

// MarkPublished implements the store.
func (s *Store) MarkPublished(ctx context.Context, ids []int64) error {
	return s.enter(ctx, func() error {
		done := make(map[int64]bool, len(ids))
		for _, id := range ids {
			done[id] = true
		}
		s.outbox = slices.DeleteFunc(s.outbox, func(m *message) bool { return done[m.ID] })
		return nil
	})
}

// PruneOutbox implements the store.
func (s *Store) PruneOutbox(ctx context.Context, maxAge time.Duration) (deleted int, err error) {
	err = s.enter(ctx, func() error {
		before := len(s.outbox)
		s.outbox = slices.DeleteFunc(s.outbox, func(m *message) bool { return s.now().Sub(m.at) > maxAge })
		deleted = before - len(s.outbox)
		return nil
	})
	return deleted, err
}

// OutboxStats implements the store.
func (s *Store) OutboxStats(ctx context.Context) (n int, oldest time.Duration, err error) {
	err = s.enter(ctx, func() error {
		if n = len(s.outbox); n > 0 {
			oldest = s.now().Sub(s.outbox[0].at)
		}
		return nil
	})
	return n, oldest, err
}
