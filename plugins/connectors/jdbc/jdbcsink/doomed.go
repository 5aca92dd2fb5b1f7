package jdbcsink

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
)

// doomedError is a row's error with which SQL Server has ended the whole transaction, as it does where a value can't be converted:
// there is no savepoint left to go back to.
type doomedError struct{ error }

func (e doomedError) Unwrap() error { return e.error }

// gone tells whether an error has ended the transaction, or has left it fit for nothing but its end.
func (w *writer) gone(ctx context.Context, conn *sql.Conn) (bool, error) {
	if w.d.Kind() != dialect.SQLServer {
		return false, nil
	}
	var state int
	err := conn.QueryRowContext(ctx, "SELECT XACT_STATE()").Scan(&state)
	if w.ended(err) {
		return true, nil
	}
	return state != 1, err
}

// probe finds the rows that end a transaction, in transactions that are rolled back. Those that are refused without that are left to
// savepoints, which keep what other rows have to do with it.
func (w *writer) probe(ctx context.Context, conn *sql.Conn, rows []row) (bad []setAside, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, asDB(err, nil, rows[0].r)
	}
	failed := w.send(ctx, conn, rows)
	var ended bool
	if w.rowIsBad(failed) {
		ended, err = w.gone(ctx, conn)
	}
	if back := tx.Rollback(); back != nil && !ended && err == nil { // of one that is gone there is nothing to roll back
		err = back
	}
	switch {
	case err != nil:
		return nil, asDB(errors.Join(failed, err), nil, rows[0].r)
	case failed == nil:
		return nil, nil
	case !w.rowIsBad(failed):
		return nil, failed
	case len(rows) == 1 && ended:
		return []setAside{{rows[0].r, w.explain(failed)}}, nil
	case len(rows) == 1:
		return nil, nil
	}
	for _, half := range [][]row{rows[:len(rows)/2], rows[len(rows)/2:]} {
		more, err := w.probe(ctx, conn, half)
		if err != nil {
			return nil, err
		}
		bad = append(bad, more...)
	}
	return bad, nil
}

// without are the rows whose records are not set aside.
func without(rows []row, bad []setAside) []row {
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool {
		return slices.ContainsFunc(bad, func(b setAside) bool { return b.r == r.r })
	})
}

// ended tells whether an error says that there is no transaction: the server's, or the driver's own, which has no number.
func (w *writer) ended(err error) bool {
	e, ok := errors.AsType[mssql.Error](err)
	return ok && (e.Number == 3903 || e.Number == 0)
}
