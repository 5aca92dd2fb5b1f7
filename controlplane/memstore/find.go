package memstore

import (
	"context"
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
