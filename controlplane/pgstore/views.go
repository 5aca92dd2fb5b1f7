package pgstore

import (
	"context"

	"github.com/millrace/millrace/controlplane/cluster"
)

const (
	// A connector's config comes with its first row only.
	sqlViews = `
SELECT c.name, CASE WHEN j.task < 0 THEN c.config::text ELSE '' END AS config, c.config_version, c.class, c.type, c.target,
    c.generation, c.task_set, c.topic_resets, c.deleted_at IS NOT NULL AS deleted, ` + sqlJobColumns + `
FROM connectors c JOIN jobs j USING (uid) LEFT JOIN statuses s USING (uid, task)
WHERE (j.task < 0 OR NOT j.gone) AND `
	sqlViewOne = sqlViews + `c.name = $1 AND c.deleted_at IS NULL ORDER BY j.task`
)

type viewRow struct {
	Name          string
	Config        string
	ConfigVersion int64
	Class         string
	Type          string
	Target        string
	Generation    int64
	TaskSet       int64
	TopicResets   int64
	Deleted       bool
	jobRow
}

func (s *Store) views(ctx context.Context, sql string, args ...any) ([]cluster.ConnectorView, error) {
	rows, err := collect[viewRow](ctx, s, "reading connectors", sql, args...)
	if err != nil {
		return nil, err
	}
	var views []cluster.ConnectorView
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].UID == rows[0].UID {
			n++
		}
		r := rows[0]
		c := connector{connectorRow: connectorRow{UID: r.UID, Name: r.Name, Config: r.Config, ConfigVersion: r.ConfigVersion, Class: r.Class,
			Type: r.Type, Target: r.Target, Generation: r.Generation, TaskSet: r.TaskSet, TopicResets: r.TopicResets, Deleted: r.Deleted}}
		for _, r := range rows[:n] {
			c.Jobs = append(c.Jobs, r.jobRow)
		}
		v, err := c.view()
		if err != nil {
			return nil, err
		}
		views = append(views, v)
		rows = rows[n:]
	}
	return views, nil
}

func (s *Store) oneView(ctx context.Context, sql, name string) (cluster.ConnectorView, error) {
	views, err := s.views(ctx, sql, name)
	if err != nil {
		return cluster.ConnectorView{}, err
	}
	if len(views) == 0 {
		return cluster.ConnectorView{}, unknown(name)
	}
	return views[0], nil
}

// Connector implements the store.
func (s *Store) Connector(ctx context.Context, name string) (cluster.ConnectorView, error) {
	return s.oneView(ctx, sqlViewOne, name)
}
