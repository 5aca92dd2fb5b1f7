package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/controlplane/cluster"
)

const (
	sqlKafkaID    = `UPDATE cluster_state SET kafka_cluster_id = $1 WHERE $1 <> '' AND kafka_cluster_id <> $1`
	sqlRunnerMake = `INSERT INTO runners (id) VALUES ($1) ON CONFLICT DO NOTHING`
	sqlRunnerLock = `SELECT 1 FROM runners WHERE id = $1 FOR NO KEY UPDATE`
	// FOR UPDATE, unlike a heartbeat's update, makes assignments wait, which hold FOR KEY SHARE: a session never ends
	// while it is given a job.
	sqlRunnerSessions = `
SELECT id, runner, state FROM sessions WHERE id = $2 OR (runner = $1 AND state IN ('active', 'draining')) ORDER BY id FOR UPDATE`
	sqlSessionStore = `
INSERT INTO sessions (id, runner, state, pool, labels, capacity, kafka_cluster_id, internal_url, version)
VALUES ($1, $2, 'active', $3, $4::text::json, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE SET pool = excluded.pool, labels = excluded.labels, capacity = excluded.capacity,
    kafka_cluster_id = excluded.kafka_cluster_id, internal_url = excluded.internal_url, version = excluded.version,
    beat_at = clock_timestamp()`
	sqlSessionPluginsClear = `DELETE FROM session_plugins WHERE session = $1`
	sqlSessionPluginsStore = `
INSERT INTO session_plugins (session, kind, class, version, digest)
SELECT $1, k.kind, k.class, k.version, k.digest FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS k (kind, class, version, digest)
ON CONFLICT DO NOTHING`

	sqlSessionsLock    = `SELECT id FROM sessions WHERE id = ANY($1) AND state IN ('active', 'draining') ORDER BY id FOR UPDATE`
	sqlSessionJobsLock = `SELECT 1 FROM jobs WHERE session = ANY($1) ORDER BY uid, task FOR NO KEY UPDATE`
	sqlSessionJobsFree = `UPDATE jobs SET session = NULL, releasing = false WHERE session = ANY($1)`
	sqlSessionsEnd     = `
UPDATE sessions SET state = $2, ended_at = clock_timestamp() WHERE id = ANY($1) AND state IN ('active', 'draining')`

	sqlAsync = `SET LOCAL synchronous_commit = off`
	sqlBeat  = `
UPDATE sessions SET beat_at = clock_timestamp(), jobs = $2, load = $3, state = CASE WHEN $4 THEN 'draining' ELSE state END
WHERE id = $1 AND state IN ('active', 'draining')`
	sqlSessionState = `SELECT state FROM sessions WHERE id = $1`
	sqlSessionJobs  = `SELECT ` + sqlJobColumns + ` FROM jobs j LEFT JOIN statuses s USING (uid, task) WHERE j.session = $1`
	sqlSessionHeld  = sqlSessionJobs + ` AND j.wanted AND NOT j.releasing`
	sqlSpecJobs     = sqlSessionHeld + ` AND (j.uid, j.task) IN (SELECT * FROM unnest($2::text[], $3::int[]))`
	sqlSpecs        = `SELECT ` + sqlConnectorColumns + ` FROM connectors WHERE uid = ANY($1)`

	sqlSessionsPrune = `DELETE FROM sessions s WHERE s.ended_at < clock_timestamp() - $1::bigint * interval '1 microsecond'
    AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.session = s.id)`
	sqlConnectorsPrune = `DELETE FROM connectors c WHERE c.deleted_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.uid = c.uid AND NOT j.gone)`
	sqlRunnersPrune = `DELETE FROM runners r WHERE NOT EXISTS (SELECT 1 FROM sessions s WHERE s.runner = r.id)`
)

type sessionRow struct{ ID, Runner, State string }

func (r sessionRow) ended() bool {
	return r.State == string(cluster.SessionLost) || r.State == string(cluster.SessionClosed)
}

// Register implements the store.
func (s *Store) Register(ctx context.Context, r cluster.Registration) (missing []cluster.PluginRef, out []cluster.OutboxMessage, err error) {
	labels, err := json.Marshal(r.Labels)
	if r.Labels == nil {
		labels = []byte("{}")
	}
	if err != nil {
		return nil, nil, err
	}
	refs := splitRefs(r.Plugins)
	err = s.inTx(ctx, "registering runner", func(ctx context.Context, t *tx) error {
		var sessions []sessionRow
		out = nil
		b := &pgx.Batch{}
		b.Queue(sqlKafkaID, r.KafkaClusterID)
		b.Queue(sqlRunnerMake, string(r.Runner))
		b.Queue(sqlRunnerLock, string(r.Runner))
		b.Queue(sqlRunnerSessions, string(r.Runner), string(r.Session)).Query(into(&sessions))
		b.Queue(sqlPluginsMissing, refs.kinds, refs.classes, refs.versions, refs.digests).Query(into(&missing))
		if err := t.send(ctx, b); err != nil {
			return err
		}
		var older []string
		for _, v := range sessions {
			switch {
			case v.ID != string(r.Session):
				older = append(older, v.ID)
			case v.ended():
				return errEnded // lost and closed are final; the next heartbeat says so
			case v.Runner != string(r.Runner):
				return cluster.Errorf(cluster.Invalid, "session %s belongs to runner %s, not to %s", r.Session, v.Runner, r.Runner)
			default:
				older = nil
			}
		}
		b = &pgx.Batch{}
		queueEnd(b, older, cluster.SessionClosed)
		b.Queue(sqlSessionStore, string(r.Session), string(r.Runner), clean(r.Pool), string(labels), r.Capacity, clean(r.KafkaClusterID),
			clean(r.InternalURL), clean(r.Version))
		b.Queue(sqlSessionPluginsClear, string(r.Session))
		b.Queue(sqlSessionPluginsStore, string(r.Session), refs.kinds, refs.classes, refs.versions, refs.digests)
		var err error
		if out, err = s.notes(ctx, t, b, []note{wake("", 0)}); err != nil {
			return err
		}
		return t.commit(ctx, b)
	})
	if errors.Is(err, errEnded) {
		err = nil
	}
	if err != nil {
		return nil, nil, err
	}
	return missing, out, nil
}

// errEnded rolls a registration back that comes from a session which has ended; its caller is told by its next heartbeat.
var errEnded = cluster.Errorf(cluster.StaleEpoch, "the session has ended")

// queueEnd queues what ends sessions for good: their jobs are nobody's then and keep their epochs. The sessions are locked.
func queueEnd(b *pgx.Batch, ids []string, state cluster.SessionState) {
	if len(ids) == 0 {
		return
	}
	b.Queue(sqlSessionJobsLock, ids)
	b.Queue(sqlSessionJobsFree, ids)
	b.Queue(sqlSessionsEnd, ids, string(state))
}

// Heartbeat implements the store. It takes one round trip on a reserved connection, and does not wait for the disk: what a
// crash of the database loses, the next heartbeat says again.
func (s *Store) Heartbeat(ctx context.Context, hb cluster.Heartbeat) (cluster.HeartbeatReply, []cluster.OutboxMessage, error) {
	if hb.State == cluster.SessionClosed {
		return s.goodbye(ctx, hb)
	}
	var reply cluster.HeartbeatReply
	err := inTx(ctx, s.reserved, beginWrite, "storing heartbeat", func(ctx context.Context, t *tx) error {
		var states []string
		var jobs []jobRow
		b := &pgx.Batch{}
		b.Queue(sqlAsync)
		b.Queue(sqlBeat, string(hb.Session), hb.Jobs, hb.Load, hb.State == cluster.SessionDraining)
		b.Queue(sqlSessionState, string(hb.Session)).Query(func(rows pgx.Rows) (err error) {
			states, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		})
		b.Queue(sqlSessionJobs, string(hb.Session)).Query(into(&jobs))
		if err := t.commit(ctx, b); err != nil {
			return err
		}
		reply = cluster.HeartbeatReply{}
		if len(states) == 0 {
			return nil
		}
		reply.Known, reply.State = true, cluster.SessionState(states[0])
		if reply.State != cluster.SessionActive && reply.State != cluster.SessionDraining {
			return nil
		}
		compare(&reply, hb, jobs)
		return nil
	})
	return reply, nil, err
}

// compare tells where what is stored differs from what the session says it has.
func compare(reply *cluster.HeartbeatReply, hb cluster.Heartbeat, jobs []jobRow) {
	var held []cluster.HeldJob
	var statuses []cluster.Status
	for i := range jobs {
		j := &jobs[i]
		h := cluster.HeldJob{Job: j.id(), Epoch: cluster.Epoch(j.Epoch), Revision: cluster.Revision(j.Revision)}
		if !j.told() {
			reply.LetGo = append(reply.LetGo, h)
			continue
		}
		held = append(held, h)
		if st := j.status(); st != nil && j.held(st.Session, st.Epoch) {
			statuses = append(statuses, *st)
		}
	}
	byJob := func(a, b cluster.HeldJob) int {
		if a.Job.Less(b.Job) {
			return -1
		}
		return 1
	}
	slices.SortFunc(reply.LetGo, byJob)
	if reply.Differs = cluster.DigestHeld(held) != hb.Digest; reply.Differs {
		slices.SortFunc(held, byJob)
		reply.Held = held
	}
	reply.ResendStatuses = cluster.DigestStatuses(statuses) != hb.StatusDigest
}

// goodbye ends a session at its runner's wish.
func (s *Store) goodbye(ctx context.Context, hb cluster.Heartbeat) (reply cluster.HeartbeatReply, out []cluster.OutboxMessage, err error) {
	err = inTx(ctx, s.reserved, beginWrite, "closing session", func(ctx context.Context, t *tx) error {
		reply, out = cluster.HeartbeatReply{}, nil
		var states, open []string
		b := &pgx.Batch{}
		b.Queue(sqlSessionsLock, []string{string(hb.Session)}).Query(func(rows pgx.Rows) (err error) {
			open, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		})
		b.Queue(sqlSessionState, string(hb.Session)).Query(func(rows pgx.Rows) (err error) {
			states, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		})
		if err := t.send(ctx, b); err != nil || len(states) == 0 {
			return err
		}
		reply.Known, reply.State = true, cluster.SessionState(states[0])
		if len(open) == 0 {
			return nil
		}
		reply.State = cluster.SessionClosed
		b = &pgx.Batch{}
		queueEnd(b, open, cluster.SessionClosed)
		var err error
		if out, err = s.notes(ctx, t, b, []note{wake("", 0)}); err != nil {
			return err
		}
		return t.commit(ctx, b)
	})
	if err != nil {
		return cluster.HeartbeatReply{}, nil, err
	}
	return reply, out, nil
}

// Specs implements the store.
func (s *Store) Specs(ctx context.Context, session cluster.SessionID, jobs []cluster.JobID) ([]cluster.JobSpec, error) {
	var k keys
	for _, j := range jobs {
		k.add(j)
	}
	var specs []cluster.JobSpec
	err := inTx(ctx, s.pool, beginRead, "reading specs", func(ctx context.Context, t *tx) error {
		var held []jobRow
		var connectors []connectorRow
		b := &pgx.Batch{}
		b.Queue(sqlSpecJobs, string(session), k.uids, k.tasks).Query(into(&held))
		b.Queue(sqlSpecs, k.uids).Query(into(&connectors))
		if err := t.commit(ctx, b); err != nil {
			return err
		}
		byUID := make(map[string]*connectorRow, len(connectors))
		for i := range connectors {
			byUID[connectors[i].UID] = &connectors[i]
		}
		specs = nil
		for i := range held {
			spec, err := held[i].spec(byUID[held[i].UID])
			if err != nil {
				return err
			}
			specs = append(specs, spec)
		}
		return nil
	})
	slices.SortFunc(specs, func(a, b cluster.JobSpec) int {
		if a.Job.Less(b.Job) {
			return -1
		}
		return 1
	})
	return specs, err
}

// PruneSessions implements the store.
func (s *Store) PruneSessions(ctx context.Context, keep time.Duration) (int, error) {
	deleted := 0
	err := s.inTx(ctx, "pruning sessions", func(ctx context.Context, t *tx) error {
		deleted = 0
		b := &pgx.Batch{}
		for _, q := range []*pgx.QueuedQuery{
			b.Queue(sqlSessionsPrune, keep.Microseconds()),
			b.Queue(sqlConnectorsPrune),
		} {
			q.Exec(func(tag pgconn.CommandTag) error {
				deleted += int(tag.RowsAffected())
				return nil
			})
		}
		b.Queue(sqlRunnersPrune)
		return t.commit(ctx, b)
	})
	return deleted, err
}
