package pgstore

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

const (
	// FOR KEY SHARE lets heartbeats through, and makes whoever wants to end the session wait.
	sqlTargetsLock = `SELECT id FROM sessions WHERE id = ANY($1) AND state = 'active' ORDER BY id FOR KEY SHARE`
	sqlPlanLock    = `
SELECT 1 FROM jobs j JOIN (
    SELECT * FROM unnest($1::text[], $2::int[]) UNION SELECT uid, task FROM jobs WHERE session = ANY($3)
) AS k (uid, task) USING (uid, task)
ORDER BY j.uid, j.task FOR NO KEY UPDATE OF j`
	sqlPlanJobs = `
SELECT j.uid, j.task, j.wanted, j.gone, j.revision, j.restart_seq, j.task_config::text AS task_config, j.session, j.epoch, j.releasing
FROM jobs j JOIN (
    SELECT * FROM unnest($1::text[], $2::int[]) UNION SELECT uid, task FROM jobs WHERE session = ANY($3)
) AS k (uid, task) USING (uid, task)`
	sqlPlanStore = `
UPDATE jobs j SET session = nullif(k.session, ''), epoch = k.epoch, releasing = k.releasing, gone = k.gone
FROM unnest($1::text[], $2::int[], $3::text[], $4::bigint[], $5::bool[], $6::bool[]) AS k (uid, task, session, epoch, releasing, gone)
WHERE j.uid = k.uid AND j.task = k.task`
)

// plan is a plan while it is checked, step by step, against rows that are locked.
type plan struct {
	leads      bool
	floor      int64
	open       map[string]bool // sessions that may end
	active     map[string]bool // sessions that take jobs
	jobs       map[cluster.JobID]*jobRow
	connectors map[string]*connectorRow

	changed   map[cluster.JobID]bool
	former    map[cluster.JobID]*cluster.Former
	forgotten keys
	ended     []endedStatus // of forgotten jobs
	told      []cluster.Decision
}

// CommitPlan implements the store: two round trips, however many steps.
func (s *Store) CommitPlan(ctx context.Context, term cluster.Term, steps []cluster.Decision) (out []cluster.OutboxMessage, err error) {
	err = s.inTx(ctx, "storing decisions", func(ctx context.Context, t *tx) error {
		p, lose, err := lockPlan(ctx, t, term, steps)
		if err != nil {
			return err
		}
		// Invariant 6: a deposed leader changes nothing. The row stays locked until the end, so that nobody takes over
		// between this check and the commit.
		if !p.leads {
			return cluster.Errorf(cluster.StaleEpoch, "term %d has passed", term)
		}
		for _, d := range steps {
			if err := p.step(d); err != nil { // SA-4: all or nothing
				return err
			}
		}
		b := &pgx.Batch{}
		p.queue(b)
		if len(lose) > 0 {
			b.Queue(sqlSessionsEnd, lose, string(cluster.SessionLost))
		}
		notes, err := p.notes()
		if err != nil {
			return err
		}
		if err := queueEvents(b, endedStatuses(p.ended)); err != nil {
			return err
		}
		if out, err = s.notes(ctx, t, b, notes); err != nil {
			return err
		}
		return t.commit(ctx, b)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// lockPlan locks and reads everything that the steps are about.
func lockPlan(ctx context.Context, t *tx, term cluster.Term, steps []cluster.Decision) (*plan, []string, error) {
	var k, forget keys
	var lose, targets, uids []string
	for _, d := range steps {
		switch d.Kind {
		case cluster.Lose:
			lose = append(lose, string(d.Session))
			continue
		case cluster.Assign:
			targets, uids = append(targets, string(d.Session)), append(uids, string(d.Job.UID))
		case cluster.Forget:
			forget.add(d.Job)
		case cluster.Release:
		}
		k.add(d.Job)
	}
	targets, uids = distinct(targets), distinct(uids)
	p := &plan{open: map[string]bool{}, active: map[string]bool{}, jobs: map[cluster.JobID]*jobRow{}, connectors: map[string]*connectorRow{},
		changed: map[cluster.JobID]bool{}, former: map[cluster.JobID]*cluster.Former{}}
	set := func(m map[string]bool) func(pgx.Rows) error {
		return func(rows pgx.Rows) error {
			ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
			for _, id := range ids {
				m[id] = true
			}
			return err
		}
	}
	var jobs []planRow
	var connectors []connectorRow
	b := &pgx.Batch{}
	b.Queue(sqlFloorCheck).QueryRow(func(row pgx.Row) error { return row.Scan(&p.floor) })
	if len(lose) > 0 {
		b.Queue(sqlSessionsLock, lose).Query(set(p.open))
	}
	b.Queue(sqlTargetsLock, targets).Query(set(p.active))
	b.Queue(sqlPlanLock, k.uids, k.tasks, lose)
	b.Queue(sqlPlanJobs, k.uids, k.tasks, lose).Query(into(&jobs))
	if len(uids) > 0 {
		b.Queue(sqlSpecs, uids).Query(into(&connectors))
	}
	if len(forget.uids) > 0 {
		b.Queue(sqlStatusesOfLive, forget.uids, forget.tasks).Query(into(&p.ended))
	}
	// Last, so that nobody waits for this row while we wait for others.
	b.Queue(sqlLeaseCheck, int64(term)).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, pgx.RowTo[int])
		p.leads = len(found) == 1
		return err
	})
	if err := t.send(ctx, b); err != nil {
		return nil, nil, err
	}
	for _, j := range jobs {
		row := j.job()
		p.jobs[row.id()] = row
	}
	for i := range connectors {
		p.connectors[connectors[i].UID] = &connectors[i]
	}
	return p, lose, nil
}

// planRow is a jobRow without a status.
type planRow struct {
	UID        string
	Task       int
	Wanted     bool
	Gone       bool
	Revision   int64
	RestartSeq int64
	TaskConfig *string
	Session    *string
	Epoch      int64
	Releasing  bool
}

func (r planRow) job() *jobRow {
	return &jobRow{UID: r.UID, Task: r.Task, Wanted: r.Wanted, Gone: r.Gone, Revision: r.Revision, RestartSeq: r.RestartSeq,
		TaskConfig: r.TaskConfig, Session: r.Session, Epoch: r.Epoch, Releasing: r.Releasing}
}

// step checks one decision and applies it to the rows in memory.
func (p *plan) step(d cluster.Decision) error {
	session := string(d.Session)
	if d.Kind == cluster.Lose {
		if !p.open[session] {
			return cluster.Errorf(cluster.Conflict, "session %s has ended already", d.Session)
		}
		delete(p.open, session)
		delete(p.active, session)
		for id, j := range p.jobs {
			if j.Session != nil && *j.Session == session {
				j.Session, j.Releasing = nil, false
				p.changed[id] = true
			}
		}
		return nil
	}
	j := p.jobs[d.Job]
	if j == nil || j.Gone || j.Epoch != int64(d.Prior) {
		return cluster.Errorf(cluster.Conflict, "job %s is not at epoch %d any more", d.Job, d.Prior)
	}
	p.changed[d.Job] = true
	switch d.Kind {
	case cluster.Assign:
		switch {
		case !j.Wanted:
			return cluster.Errorf(cluster.Conflict, "job %s is not wanted any more", d.Job)
		case d.Epoch <= d.Prior || int64(d.Epoch) <= p.floor: // Invariant 3: epochs only grow, from above the floor
			return cluster.Errorf(cluster.Conflict, "epoch %d of job %s must be above %d and the floor %d", d.Epoch, d.Job, d.Prior, p.floor)
		case !p.active[session]:
			return cluster.Errorf(cluster.Conflict, "session %s takes no jobs", d.Session)
		}
		if j.Session != nil && *j.Session != session {
			p.former[d.Job] = &cluster.Former{Session: cluster.SessionID(*j.Session), Epoch: d.Prior}
		}
		j.Session, j.Epoch, j.Releasing = &session, int64(d.Epoch), false
		p.told = append(p.told, d)
	case cluster.Release:
		if !j.held(d.Session, d.Prior) {
			return cluster.Errorf(cluster.Conflict, "session %s does not hold %s", d.Session, d.Job)
		}
		j.Releasing = true
		p.told = append(p.told, d)
	case cluster.Forget:
		if j.Wanted || j.Session != nil {
			return cluster.Errorf(cluster.Conflict, "job %s is wanted or held", d.Job)
		}
		j.Gone = true
		p.forgotten.add(d.Job)
	default:
		return cluster.Errorf(cluster.Invalid, "there is no decision %q", d.Kind)
	}
	return nil
}

// queue queues the rows that changed.
func (p *plan) queue(b *pgx.Batch) {
	var k keys
	var sessions []string
	var epochs []int64
	var releasing, gone []bool
	for id := range p.changed {
		j := p.jobs[id]
		session := ""
		if j.Session != nil {
			session = *j.Session
		}
		k.add(id)
		sessions, epochs = append(sessions, session), append(epochs, j.Epoch)
		releasing, gone = append(releasing, j.Releasing), append(gone, j.Gone)
	}
	if len(k.uids) > 0 {
		b.Queue(sqlPlanStore, k.uids, k.tasks, sessions, epochs, releasing, gone)
	}
	if len(p.forgotten.uids) > 0 {
		b.Queue(sqlStatusDelete, p.forgotten.uids, p.forgotten.tasks)
	}
}

// notes are the messages to the runners, in the order of the steps.
func (p *plan) notes() ([]note, error) {
	notes := make([]note, 0, len(p.told))
	for _, d := range p.told {
		to := wire.Runner(d.Session)
		if d.Kind == cluster.Release {
			notes = append(notes, note{to, wire.KindRelease, wire.Release{Job: d.Job, Session: d.Session, Epoch: d.Prior}})
			continue
		}
		spec, err := p.jobs[d.Job].spec(p.connectors[string(d.Job.UID)])
		if err != nil {
			return nil, err
		}
		spec.Former = p.former[d.Job]
		notes = append(notes, note{to, wire.KindAssign, spec})
	}
	return notes, nil
}

func distinct(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}
