package connect

import (
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/millrace/millrace/internal/sleep"
	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/jdbcurl"
	"github.com/millrace/millrace/sdk/connecterr"
)

const (
	loginTimeout = 40 * time.Second // of an attempt
	checkTimeout = 5 * time.Second  // of the question whether a session lives
)

// Provider opens a task's session. It is not safe for concurrent use.
type Provider struct {
	settings  Settings
	params    params
	dialect   dialect.Dialect
	connector driver.Connector
	db        *sql.DB
	conn      *sql.Conn
}

// New reads the URL and chooses driver and dialect. It does not connect.
func New(s Settings) (*Provider, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	u, err := jdbcurl.Parse(s.URL)
	if err != nil {
		return nil, err
	}
	if err := s.check(u); err != nil {
		return nil, err
	}
	d, err := dialect.Find(s.Dialect, u)
	if err != nil {
		return nil, err
	}
	p := params{URL: u, properties: s.Properties, used: map[string]bool{"user": true, "username": true, "password": true}}
	if s.User != nil {
		p.User = *s.User
	}
	if s.Password != nil {
		p.Password = *s.Password
	}
	var c driver.Connector
	if s.Connector != nil {
		c = s.Connector(d.Kind(), s.URL)
	}
	if c == nil {
		c, err = connectorOf(d.Kind(), &p, s.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s", jdbcurl.Mask(err.Error())) // drivers put what they were given into their errors
	}
	if d.Kind() != dialect.SQLite { // a file is not lost
		c = lostConnector{c}
	}
	if odd := p.unknown(); odd != nil {
		s.Log.Info("Connection properties that are not known here are ignored", "properties", strings.Join(odd, ", "))
	}
	return &Provider{settings: s, params: p, dialect: d, connector: c}, nil
}

// Sub is the URL's sub-protocol, such as mariadb.
func (p *Provider) Sub() string { return p.params.Sub }

// Property finds a parameter of the URL or, behind it, a property for the driver.
func (p *Provider) Property(name string) (string, bool) { return p.params.lookup(name) }

// Dialect is the database's.
func (p *Provider) Dialect() dialect.Dialect { return p.dialect }

// Conn is the task's session. One that is dead is replaced; a connection is tried as often as connection.attempts says.
func (p *Provider) Conn(ctx context.Context) (*sql.Conn, error) {
	if p.conn != nil {
		limited, cancel := context.WithTimeout(ctx, checkTimeout)
		err := p.conn.PingContext(limited)
		cancel()
		if err == nil {
			return p.conn, nil
		}
		p.settings.Log.Info("The database connection is invalid. Reconnecting...", "error", jdbcurl.Mask(err.Error()))
		p.Drop()
	}
	for attempt := 1; ; attempt++ {
		err := p.open(ctx)
		if err == nil {
			return p.conn, nil
		}
		err = maskedError{err}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if attempt >= p.settings.Attempts {
			return nil, connecterr.Wrap(connecterr.General, err, "Could not connect to %s", jdbcurl.Mask(p.settings.URL))
		}
		p.settings.Log.Info(fmt.Sprintf("Unable to connect to database on attempt %d/%d. Will retry in %d ms.", attempt, p.settings.Attempts, p.settings.Backoff.Milliseconds()), "error", err.Error())
		if !sleep.For(ctx, p.settings.Backoff) {
			return nil, context.Cause(ctx)
		}
	}
}

func (p *Provider) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	db := sql.OpenDB(p.connector)
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err == nil {
		err = conn.PingContext(ctx)
	}
	if err == nil && p.dialect.Kind() == dialect.SQLite && p.settings.Files != nil {
		_, err = sqlite.Limit(conn, sqlite3.SQLITE_LIMIT_ATTACHED, 0) // a query may not open other files
	}
	if err != nil {
		if conn != nil {
			_ = conn.Close() // the error tells more
		}
		_ = db.Close()
		return err
	}
	p.db, p.conn = db, conn
	return nil
}

// Drop closes the session; Conn opens another. What closing says is of no interest: it may be dead.
func (p *Provider) Drop() {
	if p.conn != nil {
		_ = p.conn.Close()
	}
	if p.db != nil {
		_ = p.db.Close()
	}
	p.conn, p.db = nil, nil
}

// Close is Drop for the end of a task.
func (p *Provider) Close() { p.Drop() }

// Fault tells what a driver's error means; what it shows has no secrets of URLs.
func (p *Provider) Fault(err error) dialect.Fault {
	f := p.dialect.Fault(err)
	f.Message = jdbcurl.Mask(f.Message)
	return f
}

// maskedError hides secrets in the text of an error and keeps its identity.
type maskedError struct{ error }

func (e maskedError) Error() string { return jdbcurl.Mask(e.error.Error()) }
func (e maskedError) Unwrap() error { return e.error }

// Postgres runs f with the session's own connection, for what database/sql has no words for.
func Postgres(conn *sql.Conn, f func(*pgx.Conn) error) error {
	return conn.Raw(func(raw any) error {
		if l, ok := raw.(*lostConn); ok {
			raw = l.Conn
		}
		c, ok := raw.(*stdlib.Conn)
		if !ok {
			return errors.New("not a session of PostgreSQL")
		}
		return f(c.Conn())
	})
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
