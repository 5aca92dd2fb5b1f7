package jdbcsource

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/sleep"
)

// A row that commits late may have a smaller id or an earlier timestamp than rows that were read, and would be missed. With
// wait.for.transactions a mark is set: the greatest id there is, or the present time. A transaction that begins later draws
// greater ids and later times. So once all transactions have ended that ran after the mark was set, no row before it can come any
// more, and rows are read up to it.

// transactions are those that run, by an identity that none has again while it runs, with a word about each for logs.
type transactions struct {
	active   map[string]string
	prepared map[string]string // of two phases, which no session has any more
}

// mark is how far rows are read: to a time, exclusive, or to an id.
type mark struct {
	at time.Time
	id int64
}

// barrier is a mark, and the transactions that have to end before it counts.
type barrier struct {
	mark
	active map[string]bool
	// An active transaction may become a prepared one, which has another identity. While there are active ones each new
	// prepared one may be one of them.
	prepared map[string]bool
	closed   bool // no active one is left: no prepared one is new
}

func newBarrier(m mark, now transactions) *barrier {
	b := &barrier{mark: m, active: map[string]bool{}, prepared: map[string]bool{}}
	for id := range now.active {
		b.active[id] = true
	}
	for id := range now.prepared {
		b.prepared[id] = true
	}
	return b
}

// passed tells whether the mark counts, by the transactions that run now, and else which it waits for.
func (b *barrier) passed(now transactions) (waits []string, ok bool) {
	if !b.closed {
		for id := range b.active {
			if now.active[id] == "" {
				delete(b.active, id)
			}
		}
		for id := range now.prepared {
			b.prepared[id] = true
		}
		b.closed = len(b.active) == 0
	}
	for id := range b.prepared {
		if now.prepared[id] == "" {
			delete(b.prepared, id)
		}
	}
	for id := range b.active {
		waits = append(waits, now.active[id])
	}
	for id := range b.prepared {
		waits = append(waits, now.prepared[id])
	}
	slices.Sort(waits)
	return waits, len(waits) == 0
}

const (
	// clockMargin is how much later a transaction may be seen than its time is taken: the server takes it when a statement arrives.
	clockMargin = time.Second
	// shortly and atMost are how long short transactions are waited for before rows wait until the next time.
	shortly = 5 * time.Millisecond
	atMost  = 100 * time.Millisecond
)

// settle moves a target's mark on as far as it goes now. false: nothing can be read yet.
func (r *reader) settle(ctx context.Context, t *reading) (ok bool, err error) {
	for wait := shortly; ; wait *= 2 {
		fresh := t.barrier == nil
		if fresh {
			m, there, err := r.mark(ctx, t)
			if err != nil || !there {
				return t.settled != nil, err
			}
			now, err := r.session.transactions(ctx) // behind the mark
			if err != nil {
				return false, err
			}
			t.barrier = newBarrier(m, now)
		}
		now, err := r.session.transactions(ctx)
		if err != nil {
			return false, err
		}
		waits, passed := t.barrier.passed(now)
		if passed {
			m := t.barrier.mark
			t.settled, t.barrier, t.held = &m, nil, 0
			if fresh {
				return true, nil
			}
			continue // there may be a later one
		}
		if wait > atMost || !sleep.For(ctx, wait) {
			t.waiting(waits, r)
			return t.settled != nil, ctx.Err()
		}
	}
}

// waiting warns, ever more seldom, of transactions that hold rows back.
func (t *reading) waiting(waits []string, r *reader) {
	const patient = 8
	if t.held++; t.held >= patient && t.held&(t.held-1) == 0 {
		r.log.Warn(settledKey+": rows wait for transactions that began before they were there and still run", "table", t.name(), "transactions", strings.Join(waits, ", "), "queries", t.held)
	}
}

// mark is the one that can be set now; false: there is nothing to read.
func (r *reader) mark(ctx context.Context, t *reading) (m mark, there bool, err error) {
	if r.s.byTimestamp() {
		m.at, err = r.now(ctx)
		m.at = m.at.Add(-clockMargin)
		return m, true, err
	}
	m.id, there, err = r.session.last(ctx, t.target, r.s.quote)
	return m, there, err
}

// last implements session.
func (p *postgres) last(ctx context.Context, t target, quote bool) (id int64, there bool, err error) {
	answer := p.pg.PgConn().ExecParams(ctx, postgresWriter(quote).last(t), nil, nil, nil, nil).Read()
	if answer.Err != nil || len(answer.Rows) == 0 || answer.Rows[0][0] == nil {
		return 0, false, answer.Err
	}
	if id, err = idOf(answer.Rows[0][0]); err != nil {
		return 0, false, rowError{err}
	}
	return id, true, nil
}

// transactions are known by their virtual locks, which each has from its begin until what it wrote is there for all; it is in
// pg_locks also where roles may not see what others do. Those of other databases and of the vacuum write no rows here.
// Prepared ones are read behind them: one that is prepared in between is seen.
func (p *postgres) transactions(ctx context.Context) (now transactions, err error) {
	read := func(query string) (map[string]string, error) {
		found := map[string]string{}
		answer := p.pg.PgConn().ExecParams(ctx, query, nil, nil, nil, nil).Read()
		for _, row := range answer.Rows {
			found[string(row[0])] = string(row[1])
		}
		return found, answer.Err
	}
	if now.active, err = read(`SELECT l.virtualxid, 'session ' || l.pid FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
 AND (a.pid IS NULL OR a.usesysid IS NOT NULL AND a.datname = pg_catalog.current_database())`); err != nil {
		return now, err
	}
	now.prepared, err = read(`SELECT transaction::text, 'prepared ' || gid FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()`)
	return now, err
}

// settles implements session: a standby does not know the transactions of its primary.
func (p *postgres) settles(ctx context.Context) (why string, needless bool, err error) {
	standby := false
	err = p.conn.QueryRowContext(ctx, "SELECT pg_catalog.pg_is_in_recovery()").Scan(&standby)
	if standby {
		why = "the server is a standby, which does not know the transactions of its primary. Read the primary."
	}
	return why, false, err
}

func (*sqlSession) last(context.Context, target, bool) (id int64, there bool, err error) {
	return 0, false, nil
}
func (*sqlSession) transactions(context.Context) (now transactions, err error) { return now, nil }

func (*sqlSession) settles(context.Context) (why string, needless bool, err error) {
	return "only PostgreSQL can be asked which transactions run. Set timestamp.delay.interval.ms to more than the longest transaction takes.", false, nil
}

func (*sqlite) settles(context.Context) (why string, needless bool, err error) { return "", true, nil }
