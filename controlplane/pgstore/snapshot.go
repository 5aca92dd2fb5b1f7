package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Ages are worked out by the database's clock (Invariant 9).
const (
	sqlSnapshotFloor   = `SELECT epoch_floor FROM cluster_state`
	sqlSnapshotRunners = `
SELECT s.id, s.runner, s.state, s.pool, s.capacity,
    (extract(epoch FROM clock_timestamp() - s.beat_at) * 1000000)::bigint AS age,
    (extract(epoch FROM clock_timestamp() - s.registered_at) * 1000000)::bigint AS joined,
    ARRAY(SELECT DISTINCT p.class COLLATE "C" FROM session_plugins p WHERE p.session = s.id AND p.kind IN ('source', 'sink') ORDER BY 1) AS plugins
FROM sessions s WHERE s.state <> 'closed'
ORDER BY s.runner COLLATE "C", s.id COLLATE "C"`
	sqlSnapshotJobs = `
SELECT j.uid, j.task, j.wanted, j.revision, j.session, j.epoch, j.releasing, c.name, c.class, c.fenceable,
    coalesce(c.own_keys ->> '` + cluster.PoolKey + `', '') AS pool
FROM jobs j JOIN connectors c USING (uid) WHERE NOT j.gone
ORDER BY j.uid COLLATE "C", j.task`
)

type runnerRow struct {
	ID, Runner, State, Pool string
	Capacity                int
	Age, Joined             int64
	Plugins                 []string
}

type plannedRow struct {
	UID       string
	Task      int
	Wanted    bool
	Revision  int64
	Session   *string
	Epoch     int64
	Releasing bool
	Name      string
	Class     string
	Fenceable bool
	Pool      string
}

// Snapshot implements the store: one repeatable-read transaction in one round trip.
func (s *Store) Snapshot(ctx context.Context) (cluster.Snapshot, error) {
	var snap cluster.Snapshot
	err := inTx(ctx, s.pool, beginRead, "reading the snapshot", func(ctx context.Context, t *tx) error {
		var floor int64
		var runners []runnerRow
		var jobs []plannedRow
		b := &pgx.Batch{}
		b.Queue(sqlSnapshotFloor).QueryRow(func(row pgx.Row) error { return row.Scan(&floor) })
		b.Queue(sqlSnapshotRunners).Query(into(&runners))
		b.Queue(sqlSnapshotJobs).Query(into(&jobs))
		if err := t.commit(ctx, b); err != nil {
			return err
		}
		snap = cluster.Snapshot{Floor: cluster.Epoch(floor)}
		for _, r := range runners {
			v := cluster.RunnerView{Runner: cluster.RunnerID(r.Runner), Session: cluster.SessionID(r.ID), State: cluster.SessionState(r.State),
				Pool: r.Pool, Capacity: r.Capacity, Age: microseconds(r.Age), Joined: microseconds(r.Joined)}
			if len(r.Plugins) > 0 {
				v.Plugins = r.Plugins
			}
			snap.Runners = append(snap.Runners, v)
		}
		for _, j := range jobs {
			v := cluster.JobView{Job: cluster.JobID{UID: cluster.UID(j.UID), Task: j.Task}, Name: j.Name, Class: j.Class, Pool: j.Pool, Wanted: j.Wanted,
				Fenceable: j.Fenceable && j.Task >= 0, Revision: cluster.Revision(j.Revision), Load: 1, Epoch: cluster.Epoch(j.Epoch), Releasing: j.Releasing}
			if j.Session != nil {
				v.Session = cluster.SessionID(*j.Session)
			}
			snap.Jobs = append(snap.Jobs, v)
		}
		return nil
	})
	return snap, err
}
