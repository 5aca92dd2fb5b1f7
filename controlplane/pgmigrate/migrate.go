// Package pgmigrate brings a database to the schema of this program: up, down, status, dry run, one run at a time.
// The steps are in package migrations; its README has their rules.
//
// Start reading at Up.
package pgmigrate

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/migrations"
)

// DefaultSchema is the schema of the control plane's tables.
const DefaultSchema = "millrace"

// Options say which database and schema. URL is required.
type Options struct {
	URL    string
	Schema string        // DefaultSchema when empty; created when missing
	Lock   time.Duration // how long a step waits for a lock of somebody else; 5 s when 0
	Step   time.Duration // how long a statement may take; 60 s when 0
	Logger *slog.Logger  // nil: silent
	Files  fs.FS         // nil: the program's own migrations
}

// State is a migration and whether the database has it.
type State struct {
	migrations.Migration
	AppliedAt time.Time // zero: not applied
}

// ErrEdited says that the database ran another text of a migration than this program has.
var ErrEdited = errors.New("a migration that has landed was edited")

// ErrNewer says that the database is ahead of this program, which is normal during an upgrade.
var ErrNewer = errors.New("the database has migrations that this program does not know")

const (
	sqlVersionTable = `CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer     PRIMARY KEY CHECK (version > 0),
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)`
	sqlHasVersionTable = `SELECT to_regclass(quote_ident($1) || '.schema_migrations') IS NOT NULL`
	sqlApplied         = `SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version`
	sqlNote            = `INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)`
	sqlUnnote          = `DELETE FROM schema_migrations WHERE version = $1`
	sqlLock            = `SELECT pg_advisory_lock($1)`
	sqlUnlock          = `SELECT pg_advisory_unlock($1)`
)

// Up applies what is missing and returns it. A database that is ahead of this program is left as it is, without error:
// the rules of migrations make the previous program run on it.
func Up(ctx context.Context, o Options) (applied []State, err error) {
	err = o.locked(ctx, func(c *pgx.Conn) error {
		states, err := o.states(ctx, c)
		if errors.Is(err, ErrNewer) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, s := range states {
			if !s.AppliedAt.IsZero() {
				continue
			}
			if err := o.step(ctx, c, s.Migration, s.Up, sqlNote, s.Version, s.Name, s.Checksum); err != nil {
				return err
			}
			applied = append(applied, s)
		}
		return nil
	})
	return applied, err
}

// Down takes back the newest steps migrations and returns them. It destroys their data.
func Down(ctx context.Context, o Options, steps int) (undone []State, err error) {
	err = o.locked(ctx, func(c *pgx.Conn) error {
		states, err := o.states(ctx, c)
		if err != nil {
			return err
		}
		for i := len(states) - 1; i >= 0 && len(undone) < steps; i-- {
			s := states[i]
			if s.AppliedAt.IsZero() {
				continue
			}
			if err := o.step(ctx, c, s.Migration, s.Down, sqlUnnote, s.Version); err != nil {
				return err
			}
			undone = append(undone, s)
		}
		return nil
	})
	return undone, err
}

// Status lists this program's migrations and when the database got them. ErrEdited and ErrNewer come with the list.
func Status(ctx context.Context, o Options) ([]State, error) {
	c, err := o.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it was for reading or has committed
	return o.states(ctx, c)
}

// DryRun tells what Up would apply, after having applied it in a transaction that is rolled back. Migrations that run
// outside transactions, and what follows them, are listed but not tried.
func DryRun(ctx context.Context, o Options) (pending []State, err error) {
	err = o.locked(ctx, func(c *pgx.Conn) error {
		states, err := o.states(ctx, c)
		if err != nil {
			return err
		}
		tx, err := c.Begin(ctx)
		if err != nil {
			return fmt.Errorf("beginning dry run: %w", err)
		}
		defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // the connection ends next
		if _, err := tx.Exec(ctx, o.sqlSchema()); err != nil {
			return fmt.Errorf("preparing schema %s: %w", o.schema(), err)
		}
		try := true
		for _, s := range states {
			if !s.AppliedAt.IsZero() {
				continue
			}
			pending = append(pending, s)
			if try = try && !s.NoTransaction; try {
				if _, err := tx.Exec(ctx, s.Up); err != nil {
					return fmt.Errorf("trying migration %s: %w", s.Name, err)
				}
			}
		}
		return nil
	})
	return pending, err
}

func (o *Options) schema() string {
	if o.Schema == "" {
		return DefaultSchema
	}
	return o.Schema
}

func (o *Options) sqlSchema() string {
	return "CREATE SCHEMA IF NOT EXISTS " + pgx.Identifier{o.schema()}.Sanitize()
}

func (o *Options) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, fmt.Errorf("reading database url: %w", err)
	}
	lock, step := o.Lock, o.Step
	if lock == 0 {
		lock = 5 * time.Second
	}
	if step == 0 {
		step = time.Minute
	}
	cfg.RuntimeParams["search_path"] = pgx.Identifier{o.schema()}.Sanitize()
	cfg.RuntimeParams["application_name"] = "millrace-migrate"
	cfg.RuntimeParams["lock_timeout"] = fmt.Sprint(lock.Milliseconds())
	cfg.RuntimeParams["statement_timeout"] = fmt.Sprint(step.Milliseconds())
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to migrate: %w", err)
	}
	return c, nil
}

// locked runs f on a connection while no other run is under way in the same schema.
func (o *Options) locked(ctx context.Context, f func(*pgx.Conn) error) error {
	c, err := o.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it was for reading or has committed
	h := fnv.New64a()
	h.Write([]byte("millrace migrations of " + o.schema()))
	key := int64(h.Sum64())
	// Waiting for another run is normal, up to its own limits: the lock's wait is bounded by ctx alone.
	for _, sql := range []string{"SET lock_timeout = 0", "SET statement_timeout = 0"} {
		if _, err := c.Exec(ctx, sql); err != nil {
			return fmt.Errorf("preparing to wait for the migration lock: %w", err)
		}
	}
	if _, err := c.Exec(ctx, sqlLock, key); err != nil {
		return fmt.Errorf("waiting for the migration lock: %w", err)
	}
	defer c.Exec(context.WithoutCancel(ctx), sqlUnlock, key) //nolint:errcheck // it ends with the connection
	for _, sql := range []string{"RESET lock_timeout", "RESET statement_timeout"} {
		if _, err := c.Exec(ctx, sql); err != nil {
			return fmt.Errorf("setting limits: %w", err)
		}
	}
	return f(c)
}

// step runs one migration and notes it, together where that is possible.
func (o *Options) step(ctx context.Context, c *pgx.Conn, m migrations.Migration, text, note string, args ...any) error {
	for _, sql := range []string{o.sqlSchema(), sqlVersionTable} {
		if _, err := c.Exec(ctx, sql); err != nil {
			return fmt.Errorf("preparing schema %s: %w", o.schema(), err)
		}
	}
	begin := time.Now()
	run := func(exec func(ctx context.Context, sql string, args ...any) error) error {
		if err := exec(ctx, text); err != nil {
			return fmt.Errorf("running migration %s: %w", m.Name, err)
		}
		if err := exec(ctx, note, args...); err != nil {
			return fmt.Errorf("noting migration %s: %w", m.Name, err)
		}
		return nil
	}
	var err error
	if m.NoTransaction {
		err = run(func(ctx context.Context, sql string, args ...any) error {
			_, err := c.Exec(ctx, sql, args...)
			return err
		})
	} else {
		err = pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			return run(func(ctx context.Context, sql string, args ...any) error {
				_, err := tx.Exec(ctx, sql, args...)
				return err
			})
		})
	}
	if err == nil && o.Logger != nil {
		o.Logger.Info("migrated", slog.String("migration", m.Name), slog.Duration("took", time.Since(begin)))
	}
	return err
}

type appliedRow struct {
	Version   int
	Name      string
	Checksum  string
	AppliedAt time.Time
}

func (o *Options) states(ctx context.Context, c *pgx.Conn) ([]State, error) {
	files := o.Files
	if files == nil {
		files = migrations.FS
	}
	all, err := migrations.Read(files)
	if err != nil {
		return nil, err
	}
	states := make([]State, len(all))
	for i, m := range all {
		states[i].Migration = m
	}
	var has bool
	if err := c.QueryRow(ctx, sqlHasVersionTable, o.schema()).Scan(&has); err != nil {
		return nil, fmt.Errorf("looking for the version table: %w", err)
	}
	if !has {
		return states, nil
	}
	rows, err := c.Query(ctx, sqlApplied)
	if err != nil {
		return nil, fmt.Errorf("reading applied migrations: %w", err)
	}
	applied, err := pgx.CollectRows(rows, pgx.RowToStructByName[appliedRow])
	if err != nil {
		return nil, fmt.Errorf("reading applied migrations: %w", err)
	}
	newer := false
	for _, a := range applied {
		if a.Version > len(states) {
			newer = true
			continue
		}
		s := &states[a.Version-1]
		if s.Checksum != a.Checksum {
			return states, fmt.Errorf("%w: %s", ErrEdited, a.Name)
		}
		s.AppliedAt = a.AppliedAt
	}
	if newer {
		return states, ErrNewer
	}
	return states, nil
}
