package oracledb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	ora "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/network"
	_ "modernc.org/sqlite" // what runs the statements
)

// Owner is the connected user and their schema.
const Owner = "SCOTT"

// Statement is one that a client sent.
type Statement struct {
	Text string
	Args []any
}

// Database is a database of its own.
type Database struct {
	db *sql.DB

	mu   sync.Mutex
	log  []Statement
	hook func(Statement) error
}

// New makes a database that ends with the test.
func New(t testing.TB) *Database {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "oracle.db")+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := db.ExecContext(t.Context(), catalog); err != nil {
		t.Fatal(err)
	}
	return &Database{db: db}
}

// DB is the database as a client sees it.
func (d *Database) DB(t testing.TB) *sql.DB {
	t.Helper()
	db := sql.OpenDB(d)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Hook is asked about each statement before it runs; an error is its answer. nil: none is asked.
func (d *Database) Hook(hook func(Statement) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = hook
}

// Statements are those that clients have sent so far.
func (d *Database) Statements() []Statement {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Statement(nil), d.log...)
}

// Error is an error of the server with its text.
func Error(code int, text string) error {
	e := &network.OracleError{ErrCode: code, ErrMsg: fmt.Sprintf("ORA-%05d: %s", code, text)}
	return e
}

// Connect implements driver.Connector.
func (d *Database) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := d.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{d: d, c: c}, nil
}

// Driver implements driver.Connector.
func (d *Database) Driver() driver.Driver { return ora.NewDriver() }

// conn is a session. Each statement outside of a transaction is one.
type conn struct {
	d     *Database
	c     *sql.Conn
	inTx  bool
	began bool // there was a statement in the transaction
	bad   bool
}

func (c *conn) Close() error {
	if c.inTx {
		_, _ = c.c.ExecContext(context.Background(), "ROLLBACK")
	}
	return c.c.Close()
}

func (c *conn) IsValid() bool                            { return !c.bad }
func (c *conn) Begin() (driver.Tx, error)                { return c.BeginTx(context.Background(), driver.TxOptions{}) }
func (c *conn) Prepare(text string) (driver.Stmt, error) { return &statement{c, text}, nil }
func (c *conn) CheckNamedValue(*driver.NamedValue) error { return nil }
func (c *conn) Ping(context.Context) error {
	if c.bad {
		return driver.ErrBadConn
	}
	return nil
}

// BeginTx begins a plain transaction: the driver has no others.
func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if o.ReadOnly || o.Isolation != 0 {
		return nil, errors.New("only support default value for isolation")
	}
	if _, err := c.c.ExecContext(ctx, "BEGIN"); err != nil {
		return nil, fault(err)
	}
	c.inTx, c.began = true, false
	return c, nil
}

func (c *conn) Commit() error {
	err := c.d.sent("COMMIT", nil)
	if err != nil {
		c.bad = c.bad || errors.Is(err, driver.ErrBadConn)
		return err
	}
	return c.end("COMMIT")
}
func (c *conn) Rollback() error { return c.end("ROLLBACK") }

func (c *conn) end(with string) error {
	c.inTx = false
	_, err := c.c.ExecContext(context.Background(), with)
	return err
}

func (d *Database) sent(text string, args []any) error {
	d.mu.Lock()
	d.log = append(d.log, Statement{text, args})
	hook := d.hook
	d.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(Statement{text, args})
}

type statement struct {
	c    *conn
	text string
}

func (s *statement) Close() error                               { return nil }
func (s *statement) NumInput() int                              { return -1 }
func (s *statement) CheckNamedValue(*driver.NamedValue) error   { return nil }
func (s *statement) Exec([]driver.Value) (driver.Result, error) { return nil, errors.ErrUnsupported }
func (s *statement) Query([]driver.Value) (driver.Rows, error)  { return nil, errors.ErrUnsupported }
func (s *statement) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.c.ExecContext(ctx, s.text, args)
}

func (s *statement) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.c.QueryContext(ctx, s.text, args)
}

// param is a parameter as SQLite takes it. An empty text is NULL.
func param(v any) any {
	switch x := v.(type) {
	case *string:
		if x == nil {
			return nil
		}
		return param(*x)
	case string:
		if x == "" {
			return nil
		}
	case ora.NVarChar:
		return param(string(x))
	case ora.Clob:
		if !x.Valid {
			return nil
		}
		return x.String
	case ora.NClob:
		if !x.Valid {
			return nil
		}
		return x.String
	case ora.Blob:
		if x.Data == nil {
			return nil
		}
		return x.Data
	case ora.TimeStamp:
		return time.Time(x).Format(stampText)
	case time.Time:
		return x.Format(stampText)
	}
	return v
}

const stampText = "2006-01-02 15:04:05.000000000"

func (c *conn) admit(text string, named []driver.NamedValue) ([]any, error) {
	args := make([]any, len(named))
	for i, n := range named {
		args[i] = n.Value
	}
	if err := c.d.sent(text, args); err != nil {
		c.bad = c.bad || errors.Is(err, driver.ErrBadConn)
		return nil, err
	}
	return args, nil
}

func params(args []any) []any {
	all := make([]any, len(args))
	for i, a := range args {
		all[i] = param(a)
	}
	return all
}

var (
	mark    = regexp.MustCompile(`([^0-9]):(\d+)`)
	own     = regexp.MustCompile(`(?:"` + Owner + `"|\b` + Owner + `)\.`)
	raws    = regexp.MustCompile(`HEXTORAW\('([0-9A-Fa-f]*)'\)`)
	dates   = regexp.MustCompile(`\b(?:DATE|TIMESTAMP) '([^']*)'`)
	words   = strings.NewReplacer(" FROM dual", "", "SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')", "'"+Owner+"'", "ROLLBACK TO SAVEPOINT", "ROLLBACK TO")
	setting = regexp.MustCompile(`^SET TRANSACTION (READ ONLY|ISOLATION LEVEL (READ COMMITTED|SERIALIZABLE))$`)
	defines = regexp.MustCompile(`(?i)^(CREATE|ALTER|DROP)\b`)
)

func translated(text string) string {
	text = own.ReplaceAllString(text, "")
	text = raws.ReplaceAllString(text, "x'$1'")
	text = dates.ReplaceAllString(text, "'$1'")
	return words.Replace(mark.ReplaceAllString(text, "$1?$2"))
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, text string, named []driver.NamedValue) (driver.Result, error) {
	args, err := c.admit(text, named)
	if err != nil {
		return nil, err
	}
	switch {
	case setting.MatchString(text):
		if c.inTx && c.began {
			return nil, Error(1453, "SET TRANSACTION must be first statement of transaction")
		}
		return driver.RowsAffected(0), nil
	case strings.HasPrefix(text, "DECLARE"): // that parses its parameter
		_, err := c.c.ExecContext(ctx, "EXPLAIN "+translated(fmt.Sprint(args[0])))
		return driver.RowsAffected(0), fault(err)
	case defines.MatchString(text):
		if c.inTx { // it commits what was before
			if _, err := c.c.ExecContext(ctx, "COMMIT; BEGIN"); err != nil {
				return nil, err
			}
		}
		return driver.RowsAffected(0), fault(c.defineAtOnce(ctx, text))
	case strings.HasPrefix(text, "merge"):
		n, err := c.merge(ctx, text, args)
		return driver.RowsAffected(n), fault(err)
	}
	c.began = true
	r, err := c.c.ExecContext(ctx, translated(text), params(args)...)
	if err != nil {
		return nil, fault(err)
	}
	return r, nil
}

var merging = regexp.MustCompile(`(?s)^merge into (\S+) using \(select (.*) FROM dual\) incoming on\((.*?)\)(?: when matched then update set (.*?))? when not matched then insert\((.*?)\) values\((.*?)\)$`)

// merge updates the row if it is there, and inserts it if not.
func (c *conn) merge(ctx context.Context, text string, args []any) (int64, error) {
	m := merging.FindStringSubmatch(text)
	if m == nil {
		return 0, Error(2012, "missing USING keyword")
	}
	table, using, on, set, columns, values := m[1], m[2], m[3], m[4], m[5], m[6]
	if err := c.mergeable(ctx, table, using, args); err != nil {
		return 0, err
	}
	bare := strings.NewReplacer(table+".", "")
	c.began = true
	run := func(statement string) (int64, error) {
		r, err := c.c.ExecContext(ctx, translated(statement), params(args)...)
		if err != nil {
			return 0, err
		}
		return r.RowsAffected()
	}
	if set != "" {
		if n, err := run("UPDATE " + table + " SET " + bare.Replace(set) + " FROM (select " + using + ") AS incoming WHERE " + on); n > 0 || err != nil {
			return n, err
		}
	}
	return run("INSERT INTO " + table + "(" + bare.Replace(columns) + ") SELECT " + values + " FROM (select " + using + ") AS incoming WHERE NOT EXISTS (SELECT 1 FROM " + table + " WHERE " + on + ")")
}

var binding = regexp.MustCompile(`:(\d+) ("[^"]+"|\w+)`)

// mergeable refuses what Oracle refuses in the select list of a merge: long texts that are no LOB, and a NULL of another type than a BLOB.
func (c *conn) mergeable(ctx context.Context, table, using string, args []any) error {
	name := object(table)
	for _, m := range binding.FindAllStringSubmatch(using, -1) {
		at := 0
		if _, err := fmt.Sscan(m[1], &at); err != nil || at > len(args) {
			return Error(1008, "not all variables bound")
		}
		var kind string
		if err := c.c.QueryRowContext(ctx, "SELECT data_type FROM all_tab_cols WHERE owner = ? AND table_name = ? AND column_name = ?", name.owner, name.name, fold(m[2])).Scan(&kind); err != nil {
			return err
		}
		switch v := args[at-1].(type) {
		case nil:
			if kind == "BLOB" {
				return Error(932, "inconsistent datatypes: expected BLOB got CHAR")
			}
		case string:
			if len(v) >= 4000 {
				return Error(1461, "can bind a LONG value only for insert into a LONG column")
			}
		case []byte:
			if len(v) > 2000 {
				return Error(1461, "can bind a LONG value only for insert into a LONG column")
			}
		}
	}
	return nil
}

// faults are SQLite's texts, and what Oracle says instead.
var faults = []struct {
	text string
	code int
	says string
}{
	{"UNIQUE constraint failed", 1, "unique constraint violated"},
	{"NOT NULL constraint failed", 1400, "cannot insert NULL"},
	{"invalid_number", 1722, "invalid number"},
	{"too_large", 12899, "value too large for column"},
	{"no such table", 942, "table or view does not exist"},
	{"no such column", 904, "invalid identifier"},
	{"has no column named", 904, "invalid identifier"},
	{"already exists", 955, "name is already used by an existing object"},
	{"syntax error", 900, "invalid SQL statement"},
	{"database is locked", 60, "deadlock detected while waiting for resource"},
}

func fault(err error) error {
	if err == nil {
		return nil
	}
	for _, f := range faults {
		if strings.Contains(err.Error(), f.text) {
			return Error(f.code, f.says+" ("+err.Error()+")")
		}
	}
	return err
}
