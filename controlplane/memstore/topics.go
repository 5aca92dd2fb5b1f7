package memstore

import (
	"context"
	"maps"
	"slices"

	"github.com/millrace/millrace/controlplane/cluster"
)

// StoreTopics implements the store.
func (s *Store) StoreTopics(ctx context.Context, reports []cluster.TopicReport) (accepted []bool, err error) {
	err = s.enter(ctx, func() error {
		accepted = make([]bool, len(reports))
		for i, r := range reports {
			j := s.job(r.Job)
			// Invariant 3: only the current holder speaks for a job.
			if j == nil || r.Job.IsInstance() || r.Session == "" || j.session != r.Session || j.epoch != r.Epoch {
				continue
			}
			c := s.connectors[r.Job.UID]
			if c.Deleted || c.TopicResets != r.TopicResets {
				continue
			}
			accepted[i] = true
			for _, topic := range r.Topics {
				if topic = clean(topic); topic != "" {
					c.topics[topic] = true
				}
			}
		}
		return nil
	})
	return accepted, err
}

// ActiveTopics implements the store.
func (s *Store) ActiveTopics(ctx context.Context, name string) (topics []string, err error) {
	err = s.enter(ctx, func() error {
		if c := s.names[name]; c != nil {
			topics = slices.Sorted(maps.Keys(c.topics))
		}
		return nil
	})
	return topics, err
}

// ResetTopics implements the store.
func (s *Store) ResetTopics(ctx context.Context, name string, by cluster.Author) (out []cluster.OutboxMessage, err error) {
	err = s.enter(ctx, func() error {
		c := s.names[name]
		if c == nil {
			return nil
		}
		if err := c.meets(by, name); err != nil {
			return err
		}
		before := c.visible()
		clear(c.topics)
		c.TopicResets++
		c.Generation++
		for _, j := range c.tasks() {
			if j.wanted {
				j.revision = c.Generation
			}
		}
		s.log(by, "reset topics", c, "")
		s.emit(cluster.Changes(before, c.visible())...)
		out = s.tell(c, append(out, s.wake(c)))
		return nil
	})
	return out, err
}

// FormerTasks implements the store.
func (s *Store) FormerTasks(ctx context.Context, name string) (n int, err error) {
	err = s.enter(ctx, func() error {
		for _, c := range s.connectors {
			if c.Name == name {
				for task := range c.jobs {
					n = max(n, task+1)
				}
			}
		}
		return nil
	})
	return n, err
}
