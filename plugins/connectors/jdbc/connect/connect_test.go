package connect_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/connectors/filestream"
	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/jdbcurl"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/tests/oracledb"
	"github.com/millrace/millrace/tests/servers"
)

func TestMain(m *testing.M) { os.Exit(servers.RunWithDatabases(m)) }

func provider(t *testing.T, s connect.Settings) *connect.Provider {
	t.Helper()
	if s.Attempts == 0 {
		s.Attempts = 1
	}
	p, err := connect.New(s)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

const tables = `CREATE TABLE parent (id INT NOT NULL, name VARCHAR(20) DEFAULT 'x', amount DECIMAL(10,2), at TIMESTAMP NULL, PRIMARY KEY (id, name));
CREATE TABLE a_b (c INT UNIQUE, d INT);
CREATE TABLE axb (e INT);
CREATE VIEW shown AS SELECT id FROM parent;
`

func TestTable_of_each_database(t *testing.T) {
	t.Parallel()
	servers.Databases(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, tables)
		p := provider(t, connect.Settings{URL: d.JDBC})
		conn, err := p.Conn(t.Context())
		require.NoError(t, err)
		got, err := p.Dialect().Table(t.Context(), conn, dialect.Name{Table: "parent"})
		require.NoError(t, err)
		require.Equal(t, "TABLE", got.Type)
		require.Len(t, got.Columns, 4)
		require.Equal(t, []int{1, 2, 0, 0}, []int{got.Columns[0].KeyPart, got.Columns[1].KeyPart, got.Columns[2].KeyPart, got.Columns[3].KeyPart})
		require.Equal(t, []bool{false, true, false, false}, []bool{got.Columns[0].Default, got.Columns[1].Default, got.Columns[2].Default, got.Columns[3].Default})
		require.Equal(t, int64(20), got.Columns[1].Length)
		require.Equal(t, [2]int64{10, 2}, [2]int64{got.Columns[2].Precision, got.Columns[2].Scale})
		require.True(t, got.Columns[2].Nullable)
		require.True(t, got.HasUnique([]string{"name", "id"}))
		require.False(t, got.HasUnique([]string{"id"}))

		got, err = p.Dialect().Table(t.Context(), conn, dialect.Name{Table: "a_b"})
		require.NoError(t, err)
		require.Len(t, got.Columns, 2, "an underscore is no pattern")
		require.True(t, got.HasUnique([]string{"c"}))
		_, exact := got.Column("C")
		require.False(t, exact)

		got, err = p.Dialect().Table(t.Context(), conn, dialect.Name{Table: "shown"})
		require.NoError(t, err)
		require.Equal(t, "VIEW", got.Type)
		got, err = p.Dialect().Table(t.Context(), conn, dialect.Name{Table: "nowhere"})
		require.NoError(t, err)
		require.Nil(t, got)

		list, err := p.Dialect().Tables(t.Context(), conn, dialect.Filter{Types: []string{"view", "TABLE"}})
		require.NoError(t, err)
		var names []string
		for _, one := range list {
			names = append(names, one.Type+" "+one.Name.Table)
		}
		require.ElementsMatch(t, []string{"TABLE a_b", "TABLE axb", "TABLE parent", "VIEW shown"}, names)

		_, err = conn.ExecContext(t.Context(), "INSERT INTO parent (id, name) VALUES (1, 'a'), (1, 'a')")
		require.Equal(t, dialect.Data, p.Fault(err).Class, err)
		_, err = conn.ExecContext(t.Context(), "INSERT INTO nowhere VALUES (1)")
		require.Equal(t, dialect.Structure, p.Fault(err).Class, err)
		var now string
		require.NoError(t, conn.QueryRowContext(t.Context(), p.Dialect().Now()).Scan(&now))
	})
}

// Java's drivers ask for errors where a server would cut what does not fit, MySQL's also where the URL has another mode.
func TestMySQL_what_does_not_fit_is_an_error(t *testing.T) {
	t.Parallel()
	servers.MySQLDatabases(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, "CREATE TABLE t (v VARCHAR(3))")
		for more, cut := range map[string]bool{"": false, "&sessionVariables=SQL_MODE=''": d.Product == "mariadb", "&sessionVariables=sql_mode=''&jdbcCompliantTruncation=false": true} {
			p := provider(t, connect.Settings{URL: d.JDBC + more})
			conn, err := p.Conn(t.Context())
			require.NoError(t, err)
			_, err = conn.ExecContext(t.Context(), "INSERT INTO t VALUES ('long')")
			if cut {
				require.NoError(t, err)
				continue
			}
			require.Equal(t, dialect.Data, p.Fault(err).Class, err)
		}
	})
}

// The plugin that users of today's MySQL have by default wants the password over TLS, or encrypted with the server's key.
func TestMySQL_today_takes_passwords(t *testing.T) {
	t.Parallel()
	d := servers.MySQLTodayDatabase(t)
	d.Exec(t, "CREATE USER connect IDENTIFIED BY 'a secret'")
	require.Equal(t, []string{"caching_sha2_password"}, d.Rows(t, "SELECT plugin FROM mysql.user WHERE user = 'connect'"))
	d.Exec(t, "GRANT ALL ON *.* TO connect")
	for _, more := range []string{"&sslMode=DISABLED", "", "&sslMode=REQUIRED", "&sslMode=DISABLED"} { // the server remembers who has logged in
		p := provider(t, connect.Settings{URL: strings.Replace(d.JDBC, "user=root", "user=connect", 1) + more, Password: new("a secret")})
		conn, err := p.Conn(t.Context())
		require.NoError(t, err, more)
		var user string
		require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT user()").Scan(&user))
		require.Contains(t, user, "connect@")
	}
	p := provider(t, connect.Settings{URL: strings.Replace(d.JDBC, "user=root", "user=connect", 1), Password: new("wrong")})
	_, err := p.Conn(t.Context())
	require.ErrorContains(t, err, "Access denied for user 'connect'")
}

func TestMySQL_session_variables_may_hold_commas(t *testing.T) {
	t.Parallel()
	servers.MySQLDatabases(t, func(t *testing.T, d servers.Database) {
		for _, separator := range []string{",", ";"} {
			p := provider(t, connect.Settings{URL: d.JDBC + "&sessionVariables=" + url.QueryEscape("sql_mode='ANSI_QUOTES,PIPES_AS_CONCAT'"+separator+"@@wait_timeout=GREATEST(7,77)")})
			conn, err := p.Conn(t.Context())
			require.NoError(t, err)
			var text string
			var timeout int
			require.NoError(t, conn.QueryRowContext(t.Context(), `SELECT 'a' || "variables"."b", @@wait_timeout FROM (SELECT 'c' AS b) AS "variables"`).Scan(&text, &timeout))
			require.Equal(t, "ac", text)
			require.Equal(t, 77, timeout)
		}
	})
}

func TestConn_replaces_a_session_that_is_dead(t *testing.T) {
	t.Parallel()
	d := servers.PostgresDatabase(t)
	p := provider(t, connect.Settings{URL: d.JDBC, Name: "mine"})
	conn, err := p.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, connect.Postgres(conn, func(c *pgx.Conn) error { return c.Ping(t.Context()) }))
	require.Equal(t, []string{"1"}, d.Rows(t, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'mine'"))
	_, err = conn.ExecContext(t.Context(), "SELECT 1")
	require.Equal(t, dialect.Connection, p.Fault(err).Class, err)
	again, err := p.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, again.PingContext(t.Context()))
	same, err := p.Conn(t.Context())
	require.NoError(t, err)
	require.Same(t, again, same)
}

func TestConn_tries_as_often_as_it_may_and_shows_no_secret(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"jdbc:postgresql://127.0.0.1:1/d?password=SECRET&connectTimeout=1", "jdbc:mysql://u:SECRET@127.0.0.1:1/d", "jdbc:sqlserver://127.0.0.1:1;password=SECRET;user=u",
		"jdbc:oracle:thin:u/SECRET@127.0.0.1:1:S"} {
		t.Run(at[:14], func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			p := provider(t, connect.Settings{URL: at, Attempts: 3, Backoff: time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
			_, err := p.Conn(t.Context())
			require.ErrorContains(t, err, "Could not connect to jdbc:")
			require.Contains(t, log.String(), "Unable to connect to database on attempt 2/3. Will retry in 1 ms.")
			require.NotContains(t, log.String(), "attempt 3/3")
			require.NotContains(t, err.Error()+log.String(), "SECRET")
			require.Equal(t, dialect.Connection, p.Fault(err).Class)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := provider(t, connect.Settings{URL: "jdbc:postgresql://127.0.0.1:1/d", Attempts: 9, Backoff: time.Hour})
	_, err := p.Conn(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]connect.Settings{
		"No driver is available for JDBC URL: jdbc:derby:x":                                                     {URL: "jdbc:derby:x"},
		"Unable to find dialect with name 'X'":                                                                  {URL: "jdbc:sqlite:x", Dialect: "X"},
		"No driver is available for dialect.name Db2DatabaseDialect":                                            {URL: "jdbc:sqlite:x", Dialect: "Db2DatabaseDialect"},
		"JDBC URL contains blocked connection parameter 'allowLoadLocalInfile' which is not permitted":          {URL: "jdbc:mysql://h/d?allowLoadLocalInfile=true", Policy: connect.Policy{Blocked: []string{"ALLOWloadLOCALinfile"}}},
		"JDBC connection property 'socketFactory' is not permitted by the Connect cluster's configured policy.": {URL: "jdbc:postgresql://h/d", Properties: []jdbcurl.Param{{Name: "socketFactory"}}, Policy: connect.Policy{Blocked: []string{"x", " socketFactory"}}},
		"Parameter connectTimeout of the JDBC URL is soon; a number of seconds is expected":                     {URL: "jdbc:postgresql://h/d?connectTimeout=soon"},
	} {
		_, err := connect.New(s)
		require.ErrorContains(t, err, want)
	}
}

func TestRead_takes_properties(t *testing.T) {
	t.Parallel()
	def := &config.Def{Keys: connect.Keys("Connection")}
	raw := map[string]string{"name": "n", "connection.url": "jdbc:postgresql://h/d?sslmode=disable", "connection.sslmode": "require", "connection.attempts": "2", "connection.oddity": "1", "connection.password": "p"}
	v, problems := def.Parse(raw)
	require.Empty(t, problems)
	s := connect.Read(def, v, raw)
	require.Equal(t, []jdbcurl.Param{{Name: "oddity", Value: "1"}, {Name: "sslmode", Value: "require"}}, s.Properties)
	require.Nil(t, s.User)
	require.Equal(t, "p", *s.Password)
	var log bytes.Buffer
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	_, err := connect.New(s)
	require.NoError(t, err)
	require.Contains(t, log.String(), "properties=oddity")
}

// A SQLite database is a file: the operator says which, and nothing that a user writes reaches another.
func TestSQLite_uses_no_file_that_the_operator_does_not_allow(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(outside, "made.db"), filepath.Join(dir, "dangling")))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "folder")))
	policy := connect.Policy{Files: filestream.Roots{dir}.Check}
	for _, file := range []string{
		filepath.Join(outside, "a.db"), filepath.Join(dir, "..", "a.db"), filepath.Join(dir, "dangling"), filepath.Join(dir, "folder", "a.db"), "a.db",
		"file:" + filepath.Join(outside, "a.db"), "file://localhost" + filepath.Join(outside, "a.db"), "file:" + dir + "/%2e%2e/a.db", "file:" + dir + "%2f..%2fa.db?mode=rwc",
	} {
		_, err := connect.New(connect.Settings{URL: "jdbc:sqlite:" + file, Policy: policy})
		require.ErrorContains(t, err, "of the JDBC URL may not be used", file)
	}
	for _, file := range []string{"file:file:/a.db", "file:/a%3fmode=rwc", "file:%zz"} {
		_, err := connect.New(connect.Settings{URL: "jdbc:sqlite:" + file, Policy: policy})
		require.ErrorContains(t, err, "Not a valid JDBC URL", file)
	}
	_, err := connect.New(connect.Settings{URL: "jdbc:sqlite::memory:?synchronous=1);ATTACH'x'AS(x", Policy: policy})
	require.ErrorContains(t, err, "Parameter synchronous of the JDBC URL")
	_, err = connect.New(connect.Settings{URL: "jdbc:sqlite:" + filepath.Join(dir, "a.db"), Policy: connect.Policy{Files: filestream.Roots{}.Check}})
	require.ErrorContains(t, err, "files are switched off")

	for _, file := range []string{filepath.Join(dir, "a.db"), "file:" + filepath.Join(dir, "a.db"), ":memory:"} {
		p := provider(t, connect.Settings{URL: "jdbc:sqlite:" + file + "?synchronous=OFF&cache_size=-2000", Policy: policy})
		conn, err := p.Conn(t.Context())
		require.NoError(t, err, file)
		_, err = conn.ExecContext(t.Context(), "CREATE TABLE IF NOT EXISTS t (a)")
		require.NoError(t, err)
		for _, escape := range []string{"ATTACH '" + filepath.Join(outside, "b.db") + "' AS b", "VACUUM INTO '" + filepath.Join(outside, "b.db") + "'"} {
			_, err = conn.ExecContext(t.Context(), escape)
			require.Error(t, err, escape)
		}
	}
	made, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Empty(t, made)
}

// A driver says of a lost connection that it is bad. database/sql would wait for the open transaction's end before it passes that on.
func TestConn_lost_in_a_transaction_says_so_at_once(t *testing.T) {
	t.Parallel()
	o := oracledb.New(t)
	p, err := connect.New(connect.Settings{URL: "jdbc:oracle:thin:@//h/s", Attempts: 1, Policy: connect.Policy{Connector: func(dialect.Kind, string) driver.Connector { return o }}})
	require.NoError(t, err)
	defer p.Close()
	conn, err := p.Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "CREATE TABLE T (ID NUMBER)")
	require.NoError(t, err)
	tx, err := conn.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	o.Hook(func(oracledb.Statement) error { return driver.ErrBadConn })
	prepared, err := conn.PrepareContext(t.Context(), "INSERT INTO T VALUES (:1)")
	require.NoError(t, err)
	_, inserting := prepared.ExecContext(t.Context(), 1)
	_, selecting := conn.QueryContext(t.Context(), "SELECT * FROM T")
	_, deleting := conn.ExecContext(t.Context(), "DELETE FROM T")
	for _, err := range []error{inserting, selecting, deleting} {
		require.EqualError(t, err, "the connection is lost")
		require.Equal(t, dialect.Connection, p.Dialect().Fault(err).Class)
	}
	require.NoError(t, prepared.Close())
	require.NoError(t, tx.Rollback())
	o.Hook(nil)
	conn, err = p.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.PingContext(t.Context()))
}
