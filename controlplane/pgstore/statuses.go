package pgstore

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/controlplane/cluster"
)

const (
	// The lock makes an assignment wait for us or us for it: a status is judged by the epoch that is current when it
	// commits (Invariant 3).
	sqlStatusJobsLock = `
SELECT 1 FROM jobs j JOIN unnest($1::text[], $2::int[]) AS k (uid, task) USING (uid, task)
ORDER BY j.uid, j.task FOR NO KEY UPDATE OF j`
	sqlStatusJobs = `SELECT ` + sqlJobColumns + `
FROM jobs j JOIN unnest($1::text[], $2::int[]) AS k (uid, task) USING (uid, task) LEFT JOIN statuses s USING (uid, task)`
	sqlOwners = `SELECT uid, name, generation, deleted_at IS NOT NULL AS deleted FROM connectors WHERE uid = ANY($1)`

	sqlStatusStore = `
INSERT INTO statuses (uid, task, session, epoch, revision, restart_seq, state, worker_id, trace, version, released, reason)
SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::bool[], $12::text[])
ON CONFLICT (uid, task) DO UPDATE SET session = excluded.session, epoch = excluded.epoch, revision = excluded.revision,
    restart_seq = excluded.restart_seq, state = excluded.state, worker_id = excluded.worker_id, trace = excluded.trace,
    version = excluded.version, released = excluded.released, reason = excluded.reason, stored_at = clock_timestamp()`
	sqlStatusDelete = `DELETE FROM statuses s USING unnest($1::text[], $2::int[]) AS k (uid, task) WHERE s.uid = k.uid AND s.task = k.task`
	sqlJobsRelease  = `
UPDATE jobs j SET session = NULL, releasing = false FROM unnest($1::text[], $2::int[]) AS k (uid, task)
WHERE j.uid = k.uid AND j.task = k.task`
)

// keys collects job ids as two columns.
type keys struct {
	uids  []string
	tasks []int
}

func (k *keys) add(id cluster.JobID) {
	k.uids, k.tasks = append(k.uids, string(id.UID)), append(k.tasks, id.Task)
}

// slot is a job while a batch of statuses is applied to it.
type slot struct {
	jobRow
	was, now *cluster.Status
	released bool
}

// StoreStatuses implements the store.
func (s *Store) StoreStatuses(ctx context.Context, statuses []cluster.Status) (accepted []bool, changed []cluster.UID, out []cluster.OutboxMessage, err error) {
	if len(statuses) == 0 {
		return []bool{}, nil, nil, nil
	}
	err = s.inTx(ctx, "storing statuses", func(ctx context.Context, t *tx) error {
		accepted, changed, out, err = s.storeStatuses(ctx, t, statuses)
		return err
	})
	if err != nil {
		return nil, nil, nil, err
	}
	return accepted, changed, out, nil
}

func (s *Store) storeStatuses(ctx context.Context, t *tx, statuses []cluster.Status) ([]bool, []cluster.UID, []cluster.OutboxMessage, error) {
	slots, owners, err := lockSlots(ctx, t, statuses)
	if err != nil {
		return nil, nil, nil, err
	}
	accepted := make([]bool, len(statuses))
	var woken []string
	for i, st := range statuses {
		j := slots[st.Job]
		// Invariant 3: only the current holder speaks for a job.
		if j == nil || st.Session == "" || !j.held(st.Session, st.Epoch) {
			continue
		}
		accepted[i] = true
		st.Trace, st.Version, st.Reason = clean(st.Trace), clean(st.Version), clean(st.Reason)
		st.WorkerID = cluster.RunnerID(clean(string(st.WorkerID)))
		j.now = &st
		if st.Released {
			st.State, st.Trace = cluster.StateUnassigned, ""
			j.Session, j.Releasing, j.released = nil, false, true
			woken = append(woken, j.UID)
			if !j.Wanted {
				j.now = nil
			}
		}
	}
	b := &pgx.Batch{}
	changed, events := queueStatuses(b, slots, owners)
	if b.Len() == 0 {
		return accepted, nil, nil, nil
	}
	if err := queueEvents(b, events); err != nil {
		return nil, nil, nil, err
	}
	var notes []note
	slices.Sort(woken)
	for _, uid := range slices.Compact(woken) {
		notes = append(notes, wake(uid, owners[uid].Generation))
	}
	out, err := s.notes(ctx, t, b, notes)
	if err != nil {
		return nil, nil, nil, err
	}
	return accepted, changed, out, t.commit(ctx, b)
}

// owner is what a status needs to know of its connector.
type owner struct {
	UID, Name  string
	Generation int64
	Deleted    bool
}

// lockSlots locks the jobs that the statuses are about, and reads their connectors by uid.
func lockSlots(ctx context.Context, t *tx, statuses []cluster.Status) (map[cluster.JobID]*slot, map[string]owner, error) {
	slots := make(map[cluster.JobID]*slot, len(statuses))
	var k keys
	for _, st := range statuses {
		if _, ok := slots[st.Job]; !ok {
			slots[st.Job] = nil
			k.add(st.Job)
		}
	}
	var jobs []jobRow
	var all []owner
	b := &pgx.Batch{}
	b.Queue(sqlStatusJobsLock, k.uids, k.tasks)
	b.Queue(sqlStatusJobs, k.uids, k.tasks).Query(into(&jobs))
	b.Queue(sqlOwners, k.uids).Query(into(&all))
	if err := t.send(ctx, b); err != nil {
		return nil, nil, err
	}
	for _, j := range jobs {
		st := j.status()
		slots[j.id()] = &slot{jobRow: j, was: st, now: st}
	}
	owners := make(map[string]owner, len(all))
	for _, o := range all {
		owners[o.UID] = o
	}
	return slots, owners, nil
}

// queueStatuses queues what differs from what is stored and lists the connectors it is about, sorted, and what readers can see
// of it.
func queueStatuses(b *pgx.Batch, slots map[cluster.JobID]*slot, owners map[string]owner) ([]cluster.UID, []cluster.Event) {
	var set, gone, free keys
	var sessions, states, workers, traces, versions, reasons []string
	var epochs, revisions, restarts []int64
	var released []bool
	var changed []cluster.UID
	var events []cluster.Event
	ordered := make([]*slot, 0, len(slots))
	for _, j := range slots {
		if j != nil {
			ordered = append(ordered, j)
		}
	}
	slices.SortFunc(ordered, func(a, b *slot) int {
		if a.id().Less(b.id()) {
			return -1
		}
		return 1
	})
	for _, j := range ordered {
		if j.released {
			free.add(j.id())
		}
		if o := owners[j.UID]; !o.Deleted {
			if e, seen := cluster.StateChange(o.Name, j.id(), j.show(j.was), j.show(j.now)); seen {
				events = append(events, e)
			}
		}
		switch {
		case j.now == nil && (j.was != nil || j.released):
			changed = append(changed, j.id().UID)
			gone.add(j.id())
		case j.now != nil && (j.was == nil || *j.now != *j.was):
			changed = append(changed, j.id().UID)
			st := j.now
			set.add(st.Job)
			sessions, states, workers = append(sessions, string(st.Session)), append(states, string(st.State)), append(workers, string(st.WorkerID))
			traces, versions, reasons = append(traces, st.Trace), append(versions, st.Version), append(reasons, st.Reason)
			epochs, revisions, restarts = append(epochs, int64(st.Epoch)), append(revisions, int64(st.Revision)), append(restarts, st.RestartSeq)
			released = append(released, st.Released)
		}
	}
	if len(set.uids) > 0 {
		b.Queue(sqlStatusStore, set.uids, set.tasks, sessions, epochs, revisions, restarts, states, workers, traces, versions, released, reasons)
	}
	if len(gone.uids) > 0 {
		b.Queue(sqlStatusDelete, gone.uids, gone.tasks)
	}
	if len(free.uids) > 0 {
		b.Queue(sqlJobsRelease, free.uids, free.tasks)
	}
	return slices.Compact(changed), events
}
