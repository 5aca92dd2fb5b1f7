package servers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's "pgx"
	_ "modernc.org/sqlite"             // database/sql's "sqlite"

	"github.com/millrace/millrace/embedded/pgembed"
)

// Database is an empty database of a test's own.
type Database struct {
	Product string // postgresql, mariadb, mysql (5.5), mysqltoday or sqlite
	JDBC    string // its JDBC URL, with the user in it
	DB      *sql.DB
}

// Like is the product whose answers are those of the database: today's MySQL has what 5.5 lacks, and MariaDB has.
func (d Database) Like() string {
	if d.Product == "mysqltoday" {
		return "mariadb"
	}
	return d.Product
}

// shared are the servers that a process has started for all its tests.
var shared struct {
	sync.Mutex
	stops []func(context.Context) error
}

// sharedServer starts a server when it is first asked for.
func sharedServer[S any](start func(context.Context) (S, error), stop func(S, context.Context) error) func() (S, error) {
	return sync.OnceValues(func() (S, error) {
		s, err := start(context.Background())
		if err == nil {
			shared.Lock()
			defer shared.Unlock()
			shared.stops = append(shared.stops, func(ctx context.Context) error { return stop(s, ctx) })
		}
		return s, err
	})
}

// orMissing is a shared server; without it the test is left out.
func orMissing[S any](t testing.TB, name string, of func() (S, error)) S {
	t.Helper()
	s, err := of()
	if err != nil {
		Missing(t, fmt.Errorf("%s: %w", name, err))
	}
	return s
}

var sharedPostgres = sharedServer(func(ctx context.Context) (*pgembed.Server, error) {
	return pgembed.Start(ctx, pgembed.Options{Unsafe: true, Fetch: true})
}, (*pgembed.Server).Close)

// Postgres is a server that the tests of a process share; RunWithDatabases ends it.
func Postgres(t testing.TB) *pgembed.Server {
	t.Helper()
	return orMissing(t, "PostgreSQL", sharedPostgres)
}

// Databases runs a test against a database of each product, side by side.
func Databases(t *testing.T, test func(t *testing.T, d Database)) {
	t.Helper()
	ServerDatabases(t, test)
	onEach(t, map[string]func(testing.TB) Database{"sqlite": SQLiteDatabase}, test)
}

// ServerDatabases is Databases without SQLite.
func ServerDatabases(t *testing.T, test func(t *testing.T, d Database)) {
	t.Helper()
	onEach(t, map[string]func(testing.TB) Database{"postgresql": PostgresDatabase}, test)
	MySQLDatabases(t, test)
}

// MySQLDatabases runs a test against a database of MariaDB and of both MySQLs, side by side.
func MySQLDatabases(t *testing.T, test func(t *testing.T, d Database)) {
	t.Helper()
	onEach(t, map[string]func(testing.TB) Database{"mariadb": MariaDBDatabase, "mysql": MySQLDatabase, "mysqltoday": MySQLTodayDatabase}, test)
}

func onEach(t *testing.T, products map[string]func(testing.TB) Database, test func(t *testing.T, d Database)) {
	t.Helper()
	for name, open := range products {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

var databases atomic.Int64

// PostgresDatabase makes a database on the shared server.
func PostgresDatabase(t testing.TB) Database {
	t.Helper()
	return OfPostgres(t, Postgres(t).URL())
}

// OfPostgres makes a database on a server of the test's own.
func OfPostgres(t testing.TB, server string) Database {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("d%d", databases.Add(1))
	execute(t, "pgx", u.String(), "CREATE DATABASE "+name)
	u.Path = "/" + name
	return Database{"postgresql", "jdbc:postgresql://" + u.Host + "/" + name + "?sslmode=disable&user=" + u.User.Username(), opened(t, "pgx", u.String())}
}

// MariaDBDatabase makes a database on the shared server.
func MariaDBDatabase(t testing.TB) Database {
	t.Helper()
	return OfMySQL(t, MariaDB(t))
}

// MySQLDatabase makes a database on the shared server.
func MySQLDatabase(t testing.TB) Database {
	t.Helper()
	return OfMySQL(t, MySQL(t))
}

// MySQLTodayDatabase makes a database on the shared server.
func MySQLTodayDatabase(t testing.TB) Database {
	t.Helper()
	return OfMySQL(t, MySQLToday(t))
}

// OfMySQL makes a database on a server of the test's own, MySQL's or MariaDB's.
func OfMySQL(t testing.TB, m *MySQLServer) Database {
	t.Helper()
	name := fmt.Sprintf("d%d", databases.Add(1))
	charset, product := "utf8mb4", m.product
	switch {
	case m.today:
		product = "mysqltoday"
	case product == "mysql": // the keys of 5.5 have 767 bytes, which is VARCHAR(255) of characters of three
		charset = "utf8"
	}
	execute(t, "mysql", m.DSN(""), "CREATE DATABASE "+name+" CHARACTER SET "+charset)
	return Database{product, m.JDBC(name), opened(t, "mysql", m.DSN(name))}
}

// SQLiteDatabase makes a database in a file.
func SQLiteDatabase(t testing.TB) Database {
	t.Helper()
	return SQLiteDatabaseIn(t, filepath.Join(t.TempDir(), "test.db"))
}

// SQLiteDatabaseIn makes a database in a file of a name.
func SQLiteDatabaseIn(t testing.TB, file string) Database {
	t.Helper()
	return Database{"sqlite", "jdbc:sqlite:" + file, opened(t, "sqlite", file+"?_pragma=busy_timeout(10000)")}
}

func opened(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func execute(t testing.TB, driver, dsn, statement string) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), statement)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// Exec runs statements, which end with semicolons at line ends.
func (d Database) Exec(t testing.TB, statements string) {
	t.Helper()
	for s := range strings.SplitSeq(statements, ";\n") {
		if s = strings.TrimSuffix(strings.TrimSpace(s), ";"); s == "" {
			continue
		}
		if _, err := d.DB.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// Rows are the rows of a query as text, columns between bars, NULL as null.
func (d Database) Rows(t testing.TB, query string) []string {
	t.Helper()
	list, err := d.Query(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return list
}

// Query is Rows with an error.
func (d Database) Query(ctx context.Context, query string) (list []string, err error) {
	rows, err := d.DB.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	list = []string{}
	for rows.Next() {
		values, at := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			at[i] = &values[i]
		}
		if err := rows.Scan(at...); err != nil {
			return nil, err
		}
		texts := make([]string, len(values))
		for i, v := range values {
			if texts[i] = "null"; v.Valid {
				texts[i] = v.String
			}
		}
		list = append(list, strings.Join(texts, "|"))
	}
	return list, rows.Err()
}

// RunWithDatabases runs tests for a TestMain, ends the shared servers, and returns the code to exit with.
func RunWithDatabases(m *testing.M) int {
	code := m.Run()
	if err := stopDatabases(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func stopDatabases() (err error) {
	shared.Lock()
	defer shared.Unlock()
	for _, stop := range shared.stops {
		err = errors.Join(err, stop(context.Background()))
	}
	return err
}
