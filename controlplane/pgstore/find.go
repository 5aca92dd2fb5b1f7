package pgstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/controlplane/cluster"
)

// sqlHasState tells whether a job that fits has a status in one of the states, as readers see it (jobRow.show).
const sqlHasState = `EXISTS (SELECT 1 FROM jobs j JOIN statuses s USING (uid, task) WHERE j.uid = c.uid AND %s AND
    CASE WHEN j.wanted AND s.restart_seq < j.restart_seq AND s.state <> 'UNASSIGNED' THEN 'RESTARTING' ELSE s.state END = ANY(%s))`

// byName is the order of lists, and so that of pages: the same in every database.
const byName = ` ORDER BY c.name COLLATE "C"`

// selection writes the condition under which a row c of connectors is selected.
func selection(q cluster.ConnectorQuery) (condition string, args []any, err error) {
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	where := []string{"c.deleted_at IS NULL"}
	if q.After != "" {
		where = append(where, `c.name COLLATE "C" > `+arg(q.After))
	}
	if q.Prefix != "" { // the first condition is there for the index
		p := arg(q.Prefix)
		where = append(where, `c.name COLLATE "C" >= `+p+` AND starts_with(c.name, `+p+`)`)
	}
	if len(q.Classes) > 0 {
		where = append(where, "c.class = ANY("+arg(q.Classes)+")")
	}
	if len(q.Types) > 0 {
		where = append(where, "c.type = ANY("+arg(q.Types)+")")
	}
	if len(q.States) > 0 {
		where = append(where, fmt.Sprintf(sqlHasState, "j.task < 0", arg(q.States)))
	}
	if len(q.TaskStates) > 0 {
		where = append(where, fmt.Sprintf(sqlHasState, "j.task >= 0", arg(q.TaskStates)))
	}
	for _, l := range q.Labels {
		text, err := json.Marshal(map[string]string{cluster.LabelPrefix + l.Name: l.Value})
		if err != nil {
			return "", nil, err
		}
		where = append(where, "c.own_keys @> "+arg(string(text))+"::text::jsonb")
	}
	return strings.Join(where, " AND "), args, nil
}

// limited writes the query that selects a column of connectors.
func limited(column, condition string, args []any, limit int) (string, []any) {
	sql := "SELECT " + column + " FROM connectors c WHERE " + condition + byName
	if limit > 0 {
		args = append(args, limit)
		sql += fmt.Sprintf(" LIMIT $%d", len(args))
	}
	return sql, args
}

// FindNames implements the store.
func (s *Store) FindNames(ctx context.Context, q cluster.ConnectorQuery) ([]string, error) {
	condition, args, err := selection(q)
	if err != nil {
		return nil, err
	}
	sql, args := limited("c.name", condition, args, q.Limit)
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, classify(err, "listing connectors")
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return names, classify(err, "listing connectors")
}

// found writes the condition of the connectors that a query finds, its limit included.
func found(q cluster.ConnectorQuery) (condition string, args []any, err error) {
	condition, args, err = selection(q)
	if err == nil && q.Limit > 0 {
		condition, args = limited("c.uid", condition, args, q.Limit)
		condition = "c.uid IN (" + condition + ")"
	}
	return condition, args, err
}

// FindConnectors implements the store.
func (s *Store) FindConnectors(ctx context.Context, q cluster.ConnectorQuery) ([]cluster.ConnectorView, error) {
	condition, args, err := found(q)
	if err != nil {
		return nil, err
	}
	return s.views(ctx, sqlViews+condition+byName+", j.task", args...)
}
