package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/controlplane/cluster"
)

const (
	sqlTopicsDelete = `DELETE FROM active_topics WHERE uid = $1`
	sqlTopics       = `
SELECT t.topic FROM active_topics t JOIN connectors c USING (uid) WHERE c.name = $1 AND c.deleted_at IS NULL ORDER BY t.topic COLLATE "C"`
	// Locked in the order in which everything else locks: a clearing comes before this or after it, never in between.
	sqlTopicConnectors = `SELECT uid, topic_resets FROM connectors WHERE uid = ANY($1) AND deleted_at IS NULL ORDER BY uid FOR SHARE`
	sqlTopicsStore     = `
INSERT INTO active_topics (uid, topic) SELECT DISTINCT k.uid, k.topic FROM unnest($1::text[], $2::text[]) AS k (uid, topic)
ORDER BY 1, 2 ON CONFLICT DO NOTHING`
	sqlFormerTasks = `
SELECT coalesce(max(j.task) + 1, 0) FROM jobs j JOIN connectors c USING (uid) WHERE c.name = $1`
)

// StoreTopics implements the store.
func (s *Store) StoreTopics(ctx context.Context, reports []cluster.TopicReport) (accepted []bool, err error) {
	if len(reports) == 0 {
		return []bool{}, nil
	}
	err = s.inTx(ctx, "storing used topics", func(ctx context.Context, t *tx) error {
		accepted, err = storeTopics(ctx, t, reports)
		return err
	})
	if err != nil {
		return nil, err
	}
	return accepted, nil
}

func storeTopics(ctx context.Context, t *tx, reports []cluster.TopicReport) ([]bool, error) {
	var uids []string
	var k keys
	for _, r := range reports {
		uids = append(uids, string(r.Job.UID))
		k.add(r.Job)
	}
	resets := map[string]int64{}
	var rows []jobRow
	b := &pgx.Batch{}
	b.Queue(sqlTopicConnectors, uids).Query(func(found pgx.Rows) error {
		var uid string
		var n int64
		_, err := pgx.ForEachRow(found, []any{&uid, &n}, func() error { resets[uid] = n; return nil })
		return err
	})
	b.Queue(sqlStatusJobsLock, k.uids, k.tasks)
	b.Queue(sqlStatusJobs, k.uids, k.tasks).Query(into(&rows))
	if err := t.send(ctx, b); err != nil {
		return nil, err
	}
	jobs := map[cluster.JobID]*jobRow{}
	for i := range rows {
		jobs[rows[i].id()] = &rows[i]
	}
	accepted := make([]bool, len(reports))
	var owners, topics []string
	for i, r := range reports {
		j, live := jobs[r.Job], false
		if n, ok := resets[string(r.Job.UID)]; ok {
			live = n == r.TopicResets
		}
		// Invariant 3: only the current holder speaks for a job.
		if j == nil || !live || r.Job.IsInstance() || r.Session == "" || !j.held(r.Session, r.Epoch) {
			continue
		}
		accepted[i] = true
		for _, topic := range r.Topics {
			if topic = clean(topic); topic != "" {
				owners, topics = append(owners, j.UID), append(topics, topic)
			}
		}
	}
	b = &pgx.Batch{}
	if len(topics) > 0 {
		b.Queue(sqlTopicsStore, owners, topics)
	}
	return accepted, t.commit(ctx, b)
}

// ActiveTopics implements the store.
func (s *Store) ActiveTopics(ctx context.Context, name string) ([]string, error) {
	rows, err := s.pool.Query(ctx, sqlTopics, name)
	if err != nil {
		return nil, classify(err, "listing used topics")
	}
	topics, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return topics, classify(err, "listing used topics")
}

// ResetTopics implements the store.
func (s *Store) ResetTopics(ctx context.Context, name string, by cluster.Author) (out []cluster.OutboxMessage, err error) {
	err = s.inTx(ctx, "clearing used topics", func(ctx context.Context, t *tx) error {
		out = nil
		c, err := lockConnector(ctx, t, name)
		if err != nil || c == nil {
			return err
		}
		if err := c.meets(by, name); err != nil {
			return err
		}
		c.TopicResets++
		c.Generation++
		for i := range c.Jobs {
			if j := &c.Jobs[i]; j.Wanted && j.Task >= 0 {
				j.Revision = c.Generation
				c.change(j)
			}
		}
		notes, err := c.tell([]note{wake(c.UID, c.Generation)})
		if err != nil {
			return err
		}
		b := &pgx.Batch{}
		b.Queue(sqlTopicsDelete, c.UID)
		audit(b, &c.connectorRow, by, "reset topics", "")
		out, err = s.store(ctx, t, b, c, notes)
		return err
	})
	return out, err
}

// FormerTasks implements the store.
func (s *Store) FormerTasks(ctx context.Context, name string) (n int, err error) {
	err = s.pool.QueryRow(ctx, sqlFormerTasks, name).Scan(&n)
	return n, classify(err, "counting former tasks")
}
