package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
)

// visible is the connector as events tell of it.
func (c *connector) visible() cluster.Visible {
	v := cluster.Visible{Connector: c.Connector, TaskCount: c.taskCount()}
	for _, j := range c.all() {
		if s := j.shown(); s != nil {
			v.States = append(v.States, *s)
		}
	}
	return v
}

// emit keeps events. They can be read as soon as the mutex is free, in the order in which they came.
func (s *Store) emit(events ...cluster.Event) {
	for _, e := range events {
		s.lastEvent++
		e.Seq, e.At = s.lastEvent, s.now().Truncate(time.Microsecond)
		s.events = append(s.events, e)
	}
}

// Events implements the store.
func (s *Store) Events(ctx context.Context, after cluster.EventToken, limit int) (events []cluster.Event, err error) {
	err = s.enter(ctx, func() error {
		i, found := slices.BinarySearchFunc(s.events, after.Seq, func(e cluster.Event, seq int64) int { return cmp.Compare(e.Seq, seq) })
		switch {
		case after == cluster.EventToken{} && (len(s.events) == 0 || s.events[0].Seq == 1):
		case !found || s.events[i].Token() != after:
			return cluster.EventsGone(after)
		default:
			i++
		}
		events = slices.Clone(s.events[i:min(i+limit, len(s.events))])
		return nil
	})
	return events, err
}

// LastEvent implements the store.
func (s *Store) LastEvent(ctx context.Context) (t cluster.EventToken, err error) {
	err = s.enter(ctx, func() error {
		if n := len(s.events); n > 0 {
			t = s.events[n-1].Token()
		}
		return nil
	})
	return t, err
}

// PruneEvents implements the store.
func (s *Store) PruneEvents(ctx context.Context, maxAge time.Duration, most int) (deleted int, err error) {
	err = s.enter(ctx, func() error {
		n := len(s.events)
		for i, e := range s.events {
			if s.now().Sub(e.At) > maxAge || i < n-max(most, 1) {
				deleted = i + 1
			}
		}
		deleted = max(min(deleted, n-1), 0) // the last one stays: it is the place of those who wait
		s.events = slices.Clone(s.events[deleted:])
		return nil
	})
	return deleted, err
}
