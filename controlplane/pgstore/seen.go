package pgstore

import (
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/controlplane/cluster"
)

const (
	// What has committed since a snapshot was taken, exactly: see migration 0005. Without a snapshot nothing is looked for.
	sqlShownSince = `
SELECT pg_current_snapshot()::text, pg_postmaster_start_time()::text, coalesce(l.pruned >= pg_snapshot_xmin($1::pg_snapshot), false),
    ARRAY (SELECT c.name FROM shown_changes c
        WHERE c.xid >= pg_snapshot_xmin($1::pg_snapshot) AND NOT pg_visible_in_snapshot(c.xid, $1::pg_snapshot) ORDER BY c.xid LIMIT $2)
FROM shown_log l`

	sqlShownPrune = `
WITH old AS (DELETE FROM shown_changes WHERE at < clock_timestamp() - $1::bigint * interval '1 microsecond' RETURNING xid)
UPDATE shown_log l SET pruned = greatest(l.pruned, o.xid) FROM (SELECT xid FROM old ORDER BY xid DESC LIMIT 1) o`
)

const (
	seenBytes   = 64 << 20 // what is remembered, about
	seenChanges = 2000     // of more at once it is cheaper to forget everything
)

// seen remembers the states that were read, up to a snapshot. They are used only after asking the database, in the read that
// needs them, what has changed since: so a read still shows every write that was answered before it, by whichever process, and
// costs one small statement for all who wait instead of one join for each.
type seen struct {
	mu    sync.Mutex
	at    place // up to which states are known
	turn  int   // of the last look
	known map[string]cluster.Shown
	size  int
}

// place is a point in the history of a database. The zero place is before everything.
type place struct {
	snapshot string
	server   string // when it started: another one may be an older copy
}

// look is one look at what has changed.
type look struct {
	at     place // where it began
	asked  []string
	turn   int                      // of the look; -1: it came too late to be one
	known  map[string]cluster.Shown // of the names that were wanted
	behind []string                 // wanted, remembered before, and changed since
}

func (l *look) add(all []cluster.Shown) {
	for _, c := range all {
		l.known[c.Name] = c
	}
}

// begin tells which of the names are not remembered, and where to look from.
func (s *seen) begin(names []string) look {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := look{at: s.at, turn: s.turn}
	for _, n := range names {
		if _, ok := s.known[n]; !ok {
			l.asked = append(l.asked, n)
		}
	}
	return l
}

// moved takes what a look has found: now is the snapshot in which it was found.
func (s *seen) moved(l *look, names []string, now place, lost bool, changed []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if lost || l.at == (place{}) || l.at.server != now.server || len(changed) > seenChanges {
		s.known, s.size = nil, 0
	}
	for _, n := range changed {
		s.drop(n)
	}
	// Somebody may have moved on since this look began. What is remembered was then right at a later place than this look began
	// at, and all changes since have just been dropped: it is right now. But the place stays, for it only ever moves from where
	// it is: what others remember there must not lose the changes that this look has not seen.
	if s.turn == l.turn {
		s.at = now
		s.turn++
		l.turn = s.turn
	} else {
		l.turn = -1
	}
	l.known = make(map[string]cluster.Shown, len(names))
	for _, n := range names {
		if c, ok := s.known[n]; ok {
			l.known[n] = c
		} else if !slices.Contains(l.asked, n) {
			l.behind = append(l.behind, n)
		}
	}
}

// keep remembers what was read after a look, unless somebody has moved on since: a change that he has seen might be missing in it.
func (s *seen) keep(l look, all []cluster.Shown) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn != l.turn {
		return
	}
	if s.known == nil {
		s.known = map[string]cluster.Shown{}
	}
	for _, c := range all {
		s.drop(c.Name)
		s.known[c.Name] = c
		s.size += weight(c)
	}
	for n := range s.known {
		if s.size <= seenBytes {
			break
		}
		s.drop(n) // any: all are read again just as easily
	}
}

func (s *seen) drop(name string) {
	if c, ok := s.known[name]; ok {
		s.size -= weight(c)
		delete(s.known, name)
	}
}

// forget is for when the database may be another than before.
func (s *seen) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.known, s.size = place{}, nil, 0
	s.turn++
}

// weight is about what a state takes in memory, in bytes.
func weight(c cluster.Shown) int {
	n := 512 + 2*len(c.Name)
	if c.Status != nil {
		n += 256 + len(c.Status.Trace)
	}
	for _, s := range c.TaskStatuses {
		n += 256 + len(s.Trace)
	}
	return n
}

// readStatuses reads connectors by name; those that are not there are left out. Only for names without a live connector it
// looks among the deleted ones.
func (s *Store) readStatuses(ctx context.Context, names []string) (map[string]cluster.Shown, error) {
	l := s.seen.begin(names)
	if err := s.look(ctx, &l, names); err != nil {
		s.seen.forget()
		return nil, err
	}
	read := func(sql string, ask []string) error {
		if len(ask) == 0 {
			return nil
		}
		all, err := s.shown(ctx, "reading statuses", sql, ask)
		if err != nil {
			return err // what came before it may be half a connector
		}
		l.add(all)
		s.seen.keep(l, all)
		return nil
	}
	if err := read(sqlStatuses, l.behind); err != nil {
		return nil, err
	}
	missing := slices.DeleteFunc(slices.Clone(names), func(name string) bool { _, ok := l.known[name]; return ok })
	if err := read(sqlLeaving, missing); err != nil {
		return nil, err
	}
	return l.known, nil
}

// look asks what has changed and, in the same round trip but after that, for the names that are not remembered.
func (s *Store) look(ctx context.Context, l *look, names []string) error {
	var since *string
	if l.at.snapshot != "" {
		since = &l.at.snapshot
	}
	var now place
	var lost bool
	var changed []string
	var fresh []cluster.Shown
	scan := func(row pgx.Row) error { return row.Scan(&now.snapshot, &now.server, &lost, &changed) }
	var err error
	if len(l.asked) == 0 {
		err = scan(s.pool.QueryRow(ctx, sqlShownSince, since, seenChanges+1))
	} else {
		b := &pgx.Batch{}
		b.Queue(sqlShownSince, since, seenChanges+1).QueryRow(scan)
		b.Queue(sqlStatuses, l.asked).Query(func(rows pgx.Rows) (err error) {
			fresh, err = scanShown(rows)
			return err
		})
		err = s.pool.SendBatch(ctx, b).Close()
	}
	if err != nil {
		return classify(err, "reading statuses")
	}
	s.seen.moved(l, names, now, lost, changed)
	l.add(fresh)
	s.seen.keep(*l, fresh)
	return nil
}
