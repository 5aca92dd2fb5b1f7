package pgstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Events are written with the change they tell of and read by number (seq), which a transaction of its own gives to those that
// have committed. That is why no reader can miss one, although ids are taken before they commit:
//
//   - Whoever gives out numbers holds the one row of event_log until the commit. So numbers become visible in their order: who
//     sees a number sees all smaller ones, and every later one is greater.
//   - An event that commits late simply gets a later number; nobody waits for it, and writers never wait for each other.
//   - Changes of one connector wait for each other's rows, and take their ids while they hold them. So of two events of a
//     connector that are both to be numbered the one with the smaller id came first; and what shows the second one shows the
//     first, so that the first is never numbered later.
const (
	sqlEventsInsert = `
INSERT INTO events (connector, data) SELECT k.connector, k.data::json
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (connector, data, n) ORDER BY k.n`

	sqlEventsNew  = `SELECT EXISTS (SELECT 1 FROM events WHERE seq IS NULL)`
	sqlEventsLock = `SELECT 1 FROM event_log FOR UPDATE`
	// Up to a number, since others wait meanwhile. A statement of its own, after the lock: it sees what the holder before has numbered.
	sqlEventsNumber = `
WITH new AS (
    SELECT n.id, l.head + row_number() OVER (ORDER BY n.id) AS seq
    FROM (SELECT id FROM events WHERE seq IS NULL ORDER BY id LIMIT $1) n CROSS JOIN event_log l
), numbered AS (UPDATE events e SET seq = new.seq FROM new WHERE e.id = new.id RETURNING e.seq)
UPDATE event_log SET head = m.head FROM (SELECT max(seq) AS head FROM numbered) m WHERE m.head IS NOT NULL`

	// The one at the token comes along, as a proof that nothing behind it has been removed.
	sqlEventsRead = `SELECT seq, at, data::text AS data FROM events WHERE seq >= $1 ORDER BY seq LIMIT $2`
	sqlEventsHead = `SELECT seq, at, '' AS data FROM events WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT 1`

	// The oldest go first, whatever their times say, and the last one stays: it is the place of those who wait.
	sqlEventsPrune = `
DELETE FROM events e USING event_log l WHERE e.seq < l.head AND (e.seq <= l.head - $2 OR e.seq <= (
    SELECT max(o.seq) FROM (SELECT seq, at FROM events WHERE seq IS NOT NULL ORDER BY seq LIMIT 10000) o
    WHERE o.at < clock_timestamp() - $1::bigint * interval '1 microsecond'))`

	// Statuses that end while their connector lives. Their jobs are locked.
	sqlStatusesOfLive = `
SELECT s.uid, s.task, c.name FROM statuses s JOIN connectors c USING (uid) JOIN unnest($1::text[], $2::int[]) AS k (uid, task) USING (uid, task)
WHERE c.deleted_at IS NULL AND s.task >= 0`
)

const numberedAtOnce = 10_000

// queueEvents queues events, to be committed with the change that they tell of.
func queueEvents(b *pgx.Batch, events []cluster.Event) error {
	if len(events) == 0 {
		return nil
	}
	names, data := make([]string, len(events)), make([]string, len(events))
	for i, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		names[i], data[i] = e.Connector, string(text)
	}
	b.Queue(sqlEventsInsert, names, data)
	return nil
}

// visible is the connector as events tell of it.
func (c *connector) visible() cluster.Visible {
	v := cluster.Visible{TaskCount: c.TaskCount, Connector: cluster.Connector{UID: cluster.UID(c.UID), Name: c.Name, ConfigVersion: c.ConfigVersion,
		Target: cluster.TargetState(c.Target), Generation: cluster.Revision(c.Generation), TaskSet: c.TaskSet, Deleted: c.Deleted}}
	for i := range c.Jobs {
		if s := c.Jobs[i].shown(); s != nil {
			v.States = append(v.States, *s)
		}
	}
	return v
}

type eventRow struct {
	Seq  int64
	At   time.Time
	Data string
}

func (r eventRow) token() cluster.EventToken {
	return cluster.Event{Seq: r.Seq, At: r.At}.Token()
}

// Events implements the store.
func (s *Store) Events(ctx context.Context, after cluster.EventToken, limit int) ([]cluster.Event, error) {
	var unnumbered bool
	var rows []eventRow
	b := &pgx.Batch{}
	b.Queue(sqlEventsNew).QueryRow(func(row pgx.Row) error { return row.Scan(&unnumbered) })
	b.Queue(sqlEventsRead, after.Seq, limit+1).Query(into(&rows))
	err := s.pool.SendBatch(ctx, b).Close()
	if err != nil {
		return nil, classify(err, "reading events")
	}
	if unnumbered {
		if err := s.numberEvents(ctx); err != nil {
			return nil, err
		}
		if rows, err = collect[eventRow](ctx, s, "reading events", sqlEventsRead, after.Seq, limit+1); err != nil {
			return nil, err
		}
	}
	switch {
	case after.Seq > 0:
		if len(rows) == 0 || rows[0].token() != after {
			return nil, cluster.EventsGone(after)
		}
		rows = rows[1:]
	case after != cluster.EventToken{} || len(rows) > 0 && rows[0].Seq > 1:
		return nil, cluster.EventsGone(after)
	}
	events := make([]cluster.Event, 0, len(rows))
	for _, r := range rows[:min(limit, len(rows))] {
		var e cluster.Event
		if err := json.Unmarshal([]byte(r.Data), &e); err != nil {
			return nil, fmt.Errorf("reading event %d: %w", r.Seq, err)
		}
		e.Seq, e.At = r.Seq, r.At
		events = append(events, e)
	}
	return events, nil
}

func (s *Store) numberEvents(ctx context.Context) error {
	return s.inTx(ctx, "numbering events", func(ctx context.Context, t *tx) error {
		b := &pgx.Batch{}
		b.Queue(sqlEventsLock)
		b.Queue(sqlEventsNumber, numberedAtOnce)
		return t.commit(ctx, b)
	})
}

// LastEvent implements the store.
func (s *Store) LastEvent(ctx context.Context) (cluster.EventToken, error) {
	if err := s.numberEvents(ctx); err != nil {
		return cluster.EventToken{}, err
	}
	rows, err := collect[eventRow](ctx, s, "reading the last event", sqlEventsHead)
	if err != nil || len(rows) == 0 {
		return cluster.EventToken{}, err
	}
	return rows[0].token(), nil
}

// PruneEvents implements the store.
func (s *Store) PruneEvents(ctx context.Context, maxAge time.Duration, most int) (deleted int, err error) {
	err = s.inTx(ctx, "pruning events", func(ctx context.Context, t *tx) error {
		b := &pgx.Batch{}
		b.Queue(sqlEventsLock)
		b.Queue(sqlEventsNumber, nil) // all: what has no number is never deleted
		b.Queue(sqlEventsPrune, maxAge.Microseconds(), max(most, 1)).Exec(func(tag pgconn.CommandTag) error {
			deleted = int(tag.RowsAffected())
			return nil
		})
		b.Queue(sqlShownPrune, maxAge.Microseconds())
		return t.commit(ctx, b)
	})
	return deleted, err
}

// endedStatuses are the events of tasks' statuses that end.
func endedStatuses(ended []endedStatus) []cluster.Event {
	slices.SortFunc(ended, func(a, b endedStatus) int { return cluster.CompareJobs(a.job(), b.job()) })
	var events []cluster.Event
	for _, s := range ended {
		if e, changed := cluster.StateChange(s.Name, s.job(), &cluster.Status{}, nil); changed {
			events = append(events, e)
		}
	}
	return events
}

type endedStatus struct {
	UID  string
	Task int
	Name string
}

func (s endedStatus) job() cluster.JobID { return cluster.TaskJob(cluster.UID(s.UID), s.Task) }
