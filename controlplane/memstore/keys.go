package memstore

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
)

// keyed is what is kept of a request's key.
type keyed struct {
	cluster.KeyRecord
	at time.Time
}

func (s *Store) key(key string) *cluster.KeyRecord {
	k, ok := s.keys[key]
	if !ok {
		return nil
	}
	k.Age = s.now().Sub(k.at)
	k.Answer.Header, k.Answer.Body = maps.Clone(k.Answer.Header), slices.Clone(k.Answer.Body)
	return &k.KeyRecord
}

// claimKey fails with what was recorded if a change that is to happen once has happened.
func (s *Store) claimKey(o *cluster.Once) error {
	if o == nil {
		return nil
	}
	return o.Check(s.key(o.Key))
}

// keepAnswer keeps the answer to a change.
func (s *Store) keepAnswer(o *cluster.Once, outcome cluster.Outcome) {
	if o != nil {
		s.keep(*o, o.Answer(outcome))
	}
}

func (s *Store) keep(o cluster.Once, a cluster.Answer) {
	s.keys[o.Key] = keyed{cluster.KeyRecord{Digest: o.Digest, Pending: o.Pending, Answer: a}, s.now()}
}

// CheckKey implements the store.
func (s *Store) CheckKey(ctx context.Context, o cluster.Once) error {
	return s.enter(ctx, func() error { return s.claimKey(&o) })
}

// RecordAnswer implements the store.
func (s *Store) RecordAnswer(ctx context.Context, o cluster.Once, a cluster.Answer) error {
	return s.enter(ctx, func() error {
		if err := o.CheckRecord(s.key(o.Key)); err != nil {
			return err
		}
		final := o
		final.Pending = false
		s.keep(final, a)
		return nil
	})
}

// PruneKeys implements the store.
func (s *Store) PruneKeys(ctx context.Context, keep time.Duration) (deleted int, err error) {
	err = s.enter(ctx, func() error {
		before, now := len(s.keys), s.now()
		maps.DeleteFunc(s.keys, func(_ string, k keyed) bool { return now.Sub(k.at) > keep })
		deleted = before - len(s.keys)
		return nil
	})
	return deleted, err
}
