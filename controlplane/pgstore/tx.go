package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// tx is a transaction that sends statements in batches: BEGIN travels with the first and COMMIT with the last, so that a
// read-decide-write transaction takes two round trips.
type tx struct {
	conn  *pgxpool.Conn
	begin string
	state txState
}

type txState int

const (
	txNew txState = iota
	txOpen
	txDone
)

// send runs a batch inside the transaction. Each of its statements sees what was committed before that statement.
func (t *tx) send(ctx context.Context, b *pgx.Batch) error {
	if t.state == txNew {
		t.state = txOpen
		first := &pgx.Batch{}
		first.Queue(t.begin)
		first.QueuedQueries = append(first.QueuedQueries, b.QueuedQueries...)
		b = first
	}
	return t.conn.SendBatch(ctx, b).Close()
}

// commit runs a last batch, which may be empty, and commits.
func (t *tx) commit(ctx context.Context, b *pgx.Batch) error {
	if b == nil {
		b = &pgx.Batch{}
	}
	if t.state == txNew && b.Len() == 0 {
		t.state = txDone
		return nil
	}
	b.Queue("COMMIT")
	err := t.send(ctx, b)
	if err == nil {
		t.state = txDone
	}
	return err
}

const (
	beginWrite = "BEGIN"
	beginRead  = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

	txAttempts      = 6
	rollbackTimeout = 2 * time.Second
)

// inTx runs f in a transaction and commits unless f did. Serialisation failures, deadlocks and connections that a server
// cut when it restarted run f again, here and nowhere else; f must set what it returns anew each time. what says what is
// being done, for the error.
func (s *Store) inTx(ctx context.Context, what string, f func(ctx context.Context, t *tx) error) error {
	return inTx(ctx, s.pool, beginWrite, what, f)
}

func inTx(ctx context.Context, pool *pgxpool.Pool, begin, what string, f func(ctx context.Context, t *tx) error) error {
	for attempt := 1; ; attempt++ {
		err := once(ctx, pool, begin, f)
		if err == nil {
			return nil
		}
		cut := wasCut(err)
		if attempt == txAttempts || !cut && !repeatable(err) {
			return classify(err, what)
		}
		if cut {
			pool.Reset() // the others were cut too
		}
		select {
		case <-ctx.Done():
			return classify(ctx.Err(), what)
		case <-time.After(time.Duration(attempt*attempt) * time.Millisecond):
		}
	}
}

func once(ctx context.Context, pool *pgxpool.Pool, begin string, f func(ctx context.Context, t *tx) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	t := &tx{conn: conn, begin: begin}
	if err = f(ctx, t); err == nil && t.state != txDone {
		err = t.commit(ctx, nil)
	}
	if err != nil && t.state == txOpen {
		// Also when ctx has ended. Should it fail, the pool drops the connection, and with it the transaction.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_, _ = conn.Exec(ctx, "ROLLBACK")
	}
	return err
}

// repeatable tells whether the database gave the transaction up to let another one through.
func repeatable(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40001" || pg.Code == "40P01")
}

// wasCut tells whether the connection was closed before the transaction could commit: nothing was sent, or the server said
// that it ends the session, which it says instead of the answer to COMMIT and never after it has carried that out.
func wasCut(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "57P01" || !ok && pgconn.SafeToRetry(err)
}
