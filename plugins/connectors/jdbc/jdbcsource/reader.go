package jdbcsource

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/sleep"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
)

// reader reads the targets of a task, one after another, and hands over batches of records.
type reader struct {
	s       *settings
	log     *slog.Logger
	open    func(context.Context) (session, error)
	session session
	mapper  mapper
	queue   []*reading
	out     chan []record.Source

	levelWarned bool
}

// errStopped ends a query whose records nobody takes any more.
var errStopped = errors.New("stopped")

// rowError is an error of a row: the same again would fail again.
type rowError struct{ error }

func (e rowError) Unwrap() error { return e.error }

// run reads until ctx ends or something can't be mended.
func (r *reader) run(ctx context.Context) error {
	for {
		slices.SortStableFunc(r.queue, func(a, b *reading) int {
			return cmp.Or(a.done.Compare(b.done), cmp.Compare(a.name(), b.name()))
		})
		head := r.queue[0]
		if !head.done.IsZero() && !sleep.For(ctx, time.Until(head.done.Add(r.s.poll))) {
			return nil
		}
		err := r.connect(ctx)
		if err == nil {
			for again := true; again; again = errors.Is(err, errAgain) {
				err = r.read(ctx, head)
			}
			if ctx.Err() != nil || errors.Is(err, errStopped) {
				return nil
			}
			err = r.judge(head, err)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		head.done = time.Now()
	}
}

// connect opens the session, or another one for one that is dead.
func (r *reader) connect(ctx context.Context) (err error) {
	if r.session != nil {
		check, cancel := context.WithTimeout(ctx, pingTime)
		defer cancel()
		if r.session.ping(check) == nil {
			return nil
		}
		r.drop()
	}
	for {
		if r.session, err = r.open(ctx); err == nil || ctx.Err() != nil || !r.s.Bool(foreverKey) {
			return err
		}
		r.log.Error("no connection to the database; trying on, as reconnect.forever says", "error", err)
	}
}

// pingTime bounds the question whether a session is alive.
const pingTime = 5 * time.Second

func (r *reader) drop() {
	if r.session != nil {
		_ = r.session.close()
		r.session = nil
	}
}

// judge decides what an error of a query means: nil to go on.
func (r *reader) judge(t *reading, err error) error {
	if err == nil {
		t.failures, t.noTable = 0, time.Time{}
		return nil
	}
	if _, ok := errors.AsType[rowError](err); ok {
		return err
	}
	f := r.session.failure(err)
	if f.broken {
		r.drop()
	}
	if f.noTable {
		if t.noTable.IsZero() {
			t.noTable = time.Now()
		}
		f.final = time.Since(t.noTable) > r.s.monitor
	}
	query := r.s.show(t.said)
	if f.final {
		r.log.Error("Non-transient SQL exception while running query for table: "+t.name(), "query", query, "sqlState", f.state, "vendorCode", f.code, "error", err)
		return connecterr.Wrap(connecterr.General, err, "reading %s (SQLState %s)", t.name(), f.state)
	}
	t.failures++
	retries := int(r.s.Int(retriesKey))
	if retries > 0 && t.failures >= retries {
		return connecterr.Wrap(connecterr.General, err, "Failed to query table after retries")
	}
	if t.failures&(t.failures-1) == 0 { // with growing distance
		r.log.Error("SQL exception while running query for table: "+t.name()+". It is tried again.", "query", query, "sqlState", f.state, "vendorCode", f.code,
			"failures", t.failures, "attempts", retries, "error", err)
	}
	return nil
}

// read runs the query of a target and hands over its records.
func (r *reader) read(ctx context.Context, t *reading) (err error) {
	if r.s.settled {
		if ok, err := r.settle(ctx, t); !ok || err != nil {
			return err
		}
	}
	level := r.level()
	if err := r.session.begin(ctx, level, t.query == ""); err != nil {
		return err
	}
	defer func() {
		if r.session == nil {
			return
		}
		if e := r.session.end(ctx); err == nil {
			err = e
		}
	}()
	q := query{target: t.target, mode: r.s.mode, suffix: r.s.suffix, quote: r.s.quote, clock: r.s.clock, from: t.from, said: func(sql string) {
		if t.said != sql {
			t.said = sql
			r.log.Info("Begin using SQL query: " + r.s.show(sql))
		}
	}}
	switch {
	case r.s.byTimestamp() && r.s.settled:
		q.until = t.settled.at.Add(-r.s.delay)
	case r.s.byTimestamp():
		now, err := r.now(ctx)
		if err != nil {
			return err
		}
		q.until = now.Add(-r.s.delay)
	case r.s.settled:
		q.lastID = &t.settled.id
	}
	result, err := r.session.query(ctx, q)
	if err != nil {
		return err
	}
	sh, err := t.shaped(result.columns(), r.mapper, r.s.mode, func(text string) { r.log.Warn(text, "table", t.name()) })
	if err != nil {
		_ = result.close()
		return rowError{err}
	}
	b := batch{r: r, t: t, lag: lag{safe: t.from}}
	bad := r.rows(ctx, sh, result, &b)
	failed := result.close()
	if failed == nil && bad == nil {
		bad = b.finish(ctx)
	} else if bad == nil {
		bad = b.flush(ctx) // what came is good
	}
	return cmp.Or(bad, failed)
}

// now is the database's time.
func (r *reader) now(ctx context.Context) (time.Time, error) {
	now, err := r.session.now(ctx, r.s.clock, r.s.timeQuery)
	if _, ok := errors.AsType[timeError](err); ok {
		err = rowError{connecterr.New(connecterr.Config, "%s", noTime(err))}
	}
	return now, err
}

// level is the isolation level that the database has, or none.
func (r *reader) level() string {
	if r.s.level == defaultLevel || slices.Contains(r.session.levels(), r.s.level) {
		return r.s.level
	}
	if !r.levelWarned {
		r.levelWarned = true
		r.log.Warn("Unable to set transaction.isolation.mode: " + r.s.level + ". No transaction isolation mode will be set for the queries: Transaction Isolation level not supported by database")
	}
	return defaultLevel
}

func (r *reader) rows(ctx context.Context, sh *shape, result rows, b *batch) error {
	for result.next() {
		raw := result.raw()
		at, err := sh.position(raw)
		if err != nil {
			return rowError{err}
		}
		value, err := sh.value(raw, at)
		if err != nil {
			return rowError{err}
		}
		if err := b.add(ctx, sh, value, at); err != nil {
			return err
		}
	}
	return nil
}
