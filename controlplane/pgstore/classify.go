package pgstore

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/controlplane/cluster"
)

// classify gives an error of the database its code; what says what was being done. Errors that have a code keep it.
func classify(err error, what string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*cluster.Error](err); ok {
		return err
	}
	if was, ok := errors.AsType[*cluster.Recorded](err); ok {
		return was // no failure
	}
	code := codeOf(err)
	message := what + " failed"
	switch code {
	case cluster.Unavailable:
		message = "the database is not available (" + what + ")"
	case cluster.Timeout:
		message = "the database did not answer in time (" + what + ")"
	case cluster.Conflict:
		message = "another change came first (" + what + ")"
	default:
	}
	return cluster.Wrapf(code, err, "%s", message)
}

func codeOf(err error) cluster.Code {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return codeOfSQLState(pg.Code)
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return cluster.NotFound
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		// Also while waiting for a connection.
		return cluster.Timeout
	case pgconn.Timeout(err):
		return cluster.Timeout
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return cluster.Unavailable
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return cluster.Unavailable
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err) ||
		strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "closed pool") {
		return cluster.Unavailable
	}
	return cluster.Internal
}

// codeOfSQLState maps SQLSTATE codes; https://www.postgresql.org/docs/current/errcodes-appendix.html lists them.
func codeOfSQLState(state string) cluster.Code {
	switch state {
	case "40001", "40P01", "55P03", "23505": // serialisation, deadlock, lock not available, unique
		return cluster.Conflict
	case "57014": // statement timeout, or cancelled
		return cluster.Timeout
	case "25006": // read-only: a standby that is not promoted yet
		return cluster.Unavailable
	case "42501": // insufficient privilege
		return cluster.Forbidden
	}
	if len(state) < 2 {
		return cluster.Internal
	}
	switch state[:2] {
	case "08", "53", "57", "58", "3D", "28": // connection, resources, operator, system, no such database, may not log in
		return cluster.Unavailable
	case "22", "23": // data, constraint
		return cluster.Invalid
	}
	return cluster.Internal
}
