package pgstore

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/controlplane/cluster"
)

const (
	// What is shown needs no task configurations, and of the connector's only the text.
	sqlShown = `
SELECT c.uid, c.name, c.type, %config AS config, c.deleted_at IS NOT NULL AS deleted, j.task, j.wanted, j.restart_seq,
    %configured AS configured, s.restart_seq, s.state, s.worker_id, s.trace, s.version
FROM connectors c JOIN jobs j USING (uid) LEFT JOIN statuses s USING (uid, task)
WHERE (j.task < 0 OR NOT j.gone) AND `
)

var (
	sqlListed   = strings.NewReplacer("%configured", "j.task_config IS NOT NULL", "%config", "CASE WHEN j.task < 0 THEN c.config::text ELSE '' END").Replace(sqlShown)
	stateOnly   = strings.NewReplacer("%configured", "false", "%config", "''")
	sqlStatuses = stateOnly.Replace(sqlShown + `c.name = ANY ($1) AND c.deleted_at IS NULL ORDER BY c.uid, j.task`)
	// Of the deleted ones of a name the last that is still on its way out.
	sqlLeaving = stateOnly.Replace(sqlShown + `c.uid = ANY (
    SELECT (SELECT d.uid FROM connectors d WHERE d.name = n.name AND d.deleted_at IS NOT NULL
        AND EXISTS (SELECT 1 FROM jobs k WHERE k.uid = d.uid AND NOT k.gone) ORDER BY d.deleted_at DESC LIMIT 1)
    FROM unnest($1::text[]) n (name)) ORDER BY c.uid, j.task`)
)

// Of tables that have just grown the planner knows too little: it may look up one row after another where all are read: a
// list of 1,000 read 330,000 pages, and reads 300 without that.
const sqlNoNestedLoop = `SET LOCAL enable_nestloop TO off`

// shown reads what is shown of connectors.
func (s *Store) shown(ctx context.Context, what, sql string, args ...any) (all []cluster.Shown, err error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err == nil {
		all, err = scanShown(rows)
	}
	return all, classify(err, what)
}

func scanShown(rows pgx.Rows) (all []cluster.Shown, err error) {
	var (
		last                          string
		uid, name, kind, config       string
		deleted, wanted, configured   bool
		task                          int
		seq                           int64
		told                          *int64
		state, worker, trace, version *string
	)
	into := []any{&uid, &name, &kind, &config, &deleted, &task, &wanted, &seq, &configured, &told, &state, &worker, &trace, &version}
	_, err = pgx.ForEachRow(rows, into, func() error {
		if uid != last {
			last = uid
			all = append(all, cluster.Shown{Name: name, Type: cluster.ConnectorType(kind), Config: config, Deleted: deleted})
		}
		c := &all[len(all)-1]
		if task >= 0 && wanted && configured {
			c.Tasks = append(c.Tasks, task)
		}
		if state == nil {
			return nil
		}
		s := cluster.Status{Job: cluster.JobID{Task: task}, State: cluster.State(*state), WorkerID: cluster.RunnerID(*worker), Trace: *trace, Version: *version}
		if restarting(wanted, seq, *told, s.State) {
			s.State = cluster.StateRestarting
		}
		st := s.Shown()
		if task < 0 {
			c.Status = &st
		} else {
			c.TaskStatuses = append(c.TaskStatuses, st)
		}
		return nil
	})
	return all, err
}

// ListConnectors implements the store.
func (s *Store) ListConnectors(ctx context.Context, q cluster.ConnectorQuery) ([]cluster.Shown, error) {
	condition, args, err := found(q)
	if err != nil {
		return nil, err
	}
	const doing = "listing connectors"
	sql := sqlListed + condition + byName + ", j.task"
	if q.Limit > 0 {
		return s.shown(ctx, doing, sql, args...)
	}
	var all []cluster.Shown
	err = inTx(ctx, s.pool, beginRead, doing, func(ctx context.Context, t *tx) error {
		b := &pgx.Batch{}
		b.Queue(sqlNoNestedLoop)
		b.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
			all, err = scanShown(rows)
			return err
		})
		return t.commit(ctx, b)
	})
	return all, err
}

// LastConnector implements the store. Calls that come while others wait for the database are answered by one statement.
func (s *Store) LastConnector(ctx context.Context, name string) (cluster.Shown, error) {
	return s.statuses.get(ctx, name)
}
