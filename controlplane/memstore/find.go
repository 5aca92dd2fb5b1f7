package memstore

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/millrace/millrace/controlplane/cluster"
)

// FindConnectors implements the store.
func (s *Store) FindConnectors(ctx context.Context, q cluster.ConnectorQuery) (views []cluster.ConnectorView, err error) {
	err = s.enter(ctx, func() error {
		for _, name := range slices.Sorted(maps.Keys(s.names)) {
			if v := s.names[name].view(); name > q.After && q.Matches(v) {
				views = append(views, v)
			}
			if q.Limit > 0 && len(views) == q.Limit {
				break
			}
		}
		return nil
	})
	return views, err
}

// FindNames implements the store.
func (s *Store) FindNames(ctx context.Context, q cluster.ConnectorQuery) (names []string, err error) {
	views, err := s.FindConnectors(ctx, q)
	for _, v := range views {
		names = append(names, v.Name)
	}
	return names, err
}

// ListConnectors implements the store.
func (s *Store) ListConnectors(ctx context.Context, q cluster.ConnectorQuery) (all []cluster.Shown, err error) {
	views, err := s.FindConnectors(ctx, q)
	for _, v := range views {
		c := shown(v)
		text, err := json.Marshal(v.Config)
		if err != nil {
			return nil, err
		}
		c.Config = string(text)
		for _, t := range v.Tasks {
			c.Tasks = append(c.Tasks, t.Task)
		}
		all = append(all, c)
	}
	return all, err
}

// shown is the state of a connector as readers see it.
func shown(v cluster.ConnectorView) cluster.Shown {
	c := cluster.Shown{Name: v.Name, Type: v.Type, Deleted: v.Deleted}
	if v.Status != nil {
		st := v.Status.Shown()
		c.Status = &st
	}
	for _, s := range v.TaskStatuses {
		c.TaskStatuses = append(c.TaskStatuses, s.Shown())
	}
	return c
}
