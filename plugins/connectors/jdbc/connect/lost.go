package connect

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
)

// lostConnector hides driver.ErrBadConn from database/sql, which ends a sql.Conn at once for it and waits for ever if a transaction
// of it is open, as its own does not end before. Whoever sees an error of a lost connection drops the session.
type lostConnector struct{ driver.Connector }

func (c lostConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &lostConn{conn}, nil
}

// errLost is what it says instead.
type errLost struct{}

func (errLost) Error() string { return "the connection is lost" }
func (errLost) Unwrap() error { return net.ErrClosed }

func lost(err error) error {
	if errors.Is(err, driver.ErrBadConn) {
		return errLost{}
	}
	return err
}

// lostConn is a driver's connection with all that drivers may have; what it has not is left to database/sql.
type lostConn struct{ driver.Conn }

func (c *lostConn) Ping(ctx context.Context) error {
	if p, ok := c.Conn.(driver.Pinger); ok {
		return lost(p.Ping(ctx))
	}
	return nil
}

func (c *lostConn) ResetSession(ctx context.Context) error {
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *lostConn) IsValid() bool {
	v, ok := c.Conn.(driver.Validator)
	return !ok || v.IsValid()
}

func (c *lostConn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *lostConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if e, ok := c.Conn.(driver.ExecerContext); ok {
		r, err := e.ExecContext(ctx, query, args)
		return r, lost(err)
	}
	return nil, driver.ErrSkip
}

func (c *lostConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if q, ok := c.Conn.(driver.QueryerContext); ok {
		r, err := q.QueryContext(ctx, query, args)
		return r, lost(err)
	}
	return nil, driver.ErrSkip
}

func (c *lostConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	b, ok := c.Conn.(driver.ConnBeginTx)
	if !ok {
		return nil, errors.ErrUnsupported // each of our drivers has it
	}
	tx, err := b.BeginTx(ctx, o)
	return tx, lost(err)
}

func (c *lostConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	p, ok := c.Conn.(driver.ConnPrepareContext)
	if !ok {
		s, err := c.Prepare(query)
		return &lostStmt{s, c}, lost(err)
	}
	s, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil, lost(err)
	}
	return &lostStmt{s, c}, nil
}

// lostStmt is a prepared statement of such a connection.
type lostStmt struct {
	driver.Stmt
	conn *lostConn
}

func (s *lostStmt) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := s.Stmt.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return s.conn.CheckNamedValue(v)
}

func (s *lostStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	e, ok := s.Stmt.(driver.StmtExecContext)
	if !ok {
		return nil, errors.ErrUnsupported // each of our drivers has it
	}
	r, err := e.ExecContext(ctx, args)
	return r, lost(err)
}

func (s *lostStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	q, ok := s.Stmt.(driver.StmtQueryContext)
	if !ok {
		return nil, errors.ErrUnsupported // each of our drivers has it
	}
	r, err := q.QueryContext(ctx, args)
	return r, lost(err)
}
