package herder

import (
	"context"
	"encoding/json"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/api/internal/feed"
)

// Names lists the connectors that a query selects. next is where the next page begins; "" when there is none.
func (h *Herder) Names(ctx context.Context, q cluster.ConnectorQuery) (names []string, next string, err error) {
	if q.Classes, err = h.classes(ctx, q.Classes); err != nil {
		return nil, "", err
	}
	names, err = h.store.FindNames(ctx, oneMore(q))
	if q.Limit > 0 && len(names) > q.Limit {
		names = names[:q.Limit]
		next = names[q.Limit-1]
	}
	if names == nil {
		names = []string{}
	}
	return names, next, err
}

// Expand is Names with details. With status, connectors that have none yet are left out, as in Kafka Connect.
func (h *Herder) Expand(ctx context.Context, q cluster.ConnectorQuery, status, info bool) (object json.RawMessage, next string, err error) {
	if q.Classes, err = h.classes(ctx, q.Classes); err != nil {
		return nil, "", err
	}
	all, err := h.store.ListConnectors(ctx, oneMore(q))
	if err != nil {
		return nil, "", err
	}
	if q.Limit > 0 && len(all) > q.Limit {
		all = all[:q.Limit]
		next = all[q.Limit-1].Name
	}
	return expand(all, status, info), next, nil
}

// oneMore asks for one more than a page has, which tells whether there is a next one.
func oneMore(q cluster.ConnectorQuery) cluster.ConnectorQuery {
	if q.Limit > 0 {
		q.Limit++
	}
	return q
}

// classes turns short names of connectors into class names. One that nobody knows is taken for a class name: there may be
// connectors of a class that no runner has any more.
func (h *Herder) classes(ctx context.Context, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	c, err := h.catalog(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range names {
		if i, ok := c.index.Find(name, plugin.Sink, plugin.Source); ok {
			name = c.records[i].Class
		}
		out = append(out, name)
	}
	return out, nil
}

// Watch begins a stream of events behind a token, or from now on without one.
func (h *Herder) Watch(ctx context.Context, after *cluster.EventToken) (*feed.Stream, error) {
	return h.feed.Watch(ctx, after)
}
