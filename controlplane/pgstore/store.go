// Package pgstore is the control plane store in Postgres, and the only place with its SQL. What every method must do is
// said, and tested, in tests/conformance/storetest; memstore is its twin in memory.
//
// Start reading at Open, then tx.go (how transactions run: few round trips, retries), connectors.go (what users change),
// statuses.go (what runners say), assignments.go (what the scheduler decides). Each file has the SQL of its tables.
//
// Locks are always taken in the order request keys, leader, cluster_state, runners, sessions, connectors, jobs, and rows of
// one table in key order, so that no two transactions wait for each other.
package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/migrations"
)

// Options say which database to use and how much of it. URL is required.
type Options struct {
	URL      string
	Schema   string // "millrace" when empty
	MaxConns int    // connections for everything but leases and heartbeats; 8 when 0
	Reserved int    // connections for leases and heartbeats alone; 2 when 0
	AppName  string // shown in pg_stat_activity; "millrace" when empty

	ConnectTimeout   time.Duration // 3 s when 0
	StatementTimeout time.Duration // 10 s when 0
}

// Store is safe for concurrent use.
type Store struct {
	pool *pgxpool.Pool
	// reserved serves leases and heartbeats: however busy the rest is, they find a connection (PF-7).
	reserved *pgxpool.Pool
	ids      idBlocks
	statuses gather
	seen     seen
	plugins  pluginMemory
}

// Open makes a store and proves that the database answers and has been migrated. Unavailable: it does not answer.
// Invalid: the URL can't be read, or the schema is missing or older than this program.
func Open(ctx context.Context, o Options) (*Store, error) {
	pool, err := o.pool(ctx, o.MaxConns, 8)
	if err != nil {
		return nil, err
	}
	reserved, err := o.pool(ctx, o.Reserved, 2)
	if err != nil {
		pool.Close()
		return nil, err
	}
	s := &Store{pool: pool, reserved: reserved}
	s.statuses.read = s.readStatuses
	if err := s.checkSchema(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// openRetry is the pause between attempts to reach a database that does not answer yet.
const openRetry = 500 * time.Millisecond

// OpenWait is Open that waits for a database that does not answer yet, or takes connections and stays silent, until ctx ends.
// waiting is told of each attempt that failed.
func OpenWait(ctx context.Context, o Options, waiting func(error)) (*Store, error) {
	for {
		s, err := Open(ctx, o)
		if err == nil || !cluster.Is(err, cluster.Unavailable) && !cluster.Is(err, cluster.Timeout) {
			return s, err
		}
		if ctx.Err() == nil { // else there is no waiting any more
			waiting(err)
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(openRetry):
		}
	}
}

func (o Options) pool(ctx context.Context, conns, normal int) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, cluster.Wrapf(cluster.Invalid, err, "database url can't be read")
	}
	or := func(d, normal time.Duration) time.Duration {
		if d == 0 {
			return normal
		}
		return d
	}
	if conns <= 0 {
		conns = normal
	}
	schema, app := o.Schema, o.AppName
	if schema == "" {
		schema = "millrace"
	}
	if app == "" {
		app = "millrace"
	}
	cfg.MaxConns = int32(conns)
	cfg.ConnConfig.ConnectTimeout = or(o.ConnectTimeout, 3*time.Second)
	params := cfg.ConnConfig.RuntimeParams
	params["search_path"] = pgx.Identifier{schema}.Sanitize()
	params["application_name"] = app
	timeout := or(o.StatementTimeout, 10*time.Second).Milliseconds()
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		params[name] = fmt.Sprint(timeout)
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, cluster.Wrapf(cluster.Invalid, err, "connection pool can't be made")
	}
	return pool, nil
}

// Close ends all connections; it waits for those in use.
func (s *Store) Close() {
	s.reserved.Close()
	s.pool.Close()
}

const sqlSchemaVersion = `SELECT coalesce(max(version), 0) FROM schema_migrations`

func (s *Store) checkSchema(ctx context.Context) error {
	all, err := migrations.All()
	if err != nil {
		return err
	}
	var has int
	if err := s.pool.QueryRow(ctx, sqlSchemaVersion).Scan(&has); err != nil {
		err = classify(err, "reading the schema's version")
		if cluster.Is(err, cluster.Unavailable) || cluster.Is(err, cluster.Timeout) {
			return err
		}
		return cluster.Wrapf(cluster.Invalid, err, "the database has not been migrated")
	}
	if has < len(all) { // newer is fine: migrations expand first
		return cluster.Errorf(cluster.Invalid, "the database has schema version %d, this program needs %d", has, len(all))
	}
	return nil
}

// Ping implements the store.
func (s *Store) Ping(ctx context.Context) error {
	return classify(s.reserved.Ping(ctx), "asking the database")
}

// collect reads all rows of a statement outside a transaction: one statement is one consistent read.
func collect[T any](ctx context.Context, s *Store, what, sql string, args ...any) ([]T, error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, classify(err, what)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[T])
	return all, classify(err, what)
}

// into makes a batch callback that collects rows.
func into[T any](all *[]T) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*all, err = pgx.CollectRows(rows, pgx.RowToStructByName[T])
		return err
	}
}

// intoOne makes a batch callback that reads the first row, or none.
func intoOne[T any](one **T) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		v, err := pgx.CollectOneRow(rows, pgx.RowToAddrOfStructByName[T])
		if errors.Is(err, pgx.ErrNoRows) {
			*one = nil
			return nil
		}
		*one = v
		return err
	}
}

// clean makes any text storable.
func clean(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
}
