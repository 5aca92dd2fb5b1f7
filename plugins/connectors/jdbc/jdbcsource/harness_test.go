package jdbcsource

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
	"github.com/millrace/millrace/tests/servers"
)

// soon bounds what must happen; no test waits for it to pass.
const soon = 30 * time.Second

// testDB is a database of a test's own.
type testDB struct {
	*sql.DB
	url  string // JDBC
	user string
	name string
}

var databases atomic.Int64

func (d testDB) do(t *testing.T, statements ...string) {
	t.Helper()
	for _, s := range statements {
		_, err := d.ExecContext(t.Context(), s)
		require.NoError(t, err, s)
	}
}

func opened(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// pg makes a database in Postgres.
func pg(t *testing.T, statements ...string) testDB {
	t.Helper()
	u, err := url.Parse(servers.Postgres(t).URL())
	require.NoError(t, err)
	name := fmt.Sprintf("source%d", databases.Add(1))
	admin, err := sql.Open("pgx", u.String())
	require.NoError(t, err)
	_, err = admin.ExecContext(t.Context(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	require.NoError(t, admin.Close())
	u.Path = "/" + name
	d := testDB{DB: opened(t, "pgx", u.String()), url: "jdbc:postgresql://" + u.Host + "/" + name + "?sslmode=disable", user: u.User.Username(), name: name}
	d.do(t, statements...)
	return d
}

// maria makes a database in MariaDB; its URL is that of Connector/J.
func maria(t *testing.T, statements ...string) testDB {
	t.Helper()
	return ofMySQL(t, servers.MariaDB(t), statements...)
}

// mysqlDB makes a database in MySQL 5.5.
func mysqlDB(t *testing.T, statements ...string) testDB {
	t.Helper()
	return ofMySQL(t, servers.MySQL(t), statements...)
}

// mysqlToday makes a database in today's MySQL.
func mysqlToday(t *testing.T, statements ...string) testDB {
	t.Helper()
	return ofMySQL(t, servers.MySQLToday(t), statements...)
}

// eachMySQL runs a test against MariaDB and both MySQLs.
func eachMySQL(t *testing.T, test func(t *testing.T, open func(*testing.T, ...string) testDB)) {
	t.Helper()
	onEach(t, map[string]func(*testing.T, ...string) testDB{"mariadb": maria, "mysql": mysqlDB, "mysqltoday": mysqlToday}, test)
}

// onEach runs a test with each of the functions that make a database, side by side.
func onEach(t *testing.T, products map[string]func(*testing.T, ...string) testDB, test func(t *testing.T, open func(*testing.T, ...string) testDB)) {
	t.Helper()
	for name, open := range products {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

func ofMySQL(t *testing.T, m *servers.MySQLServer, statements ...string) testDB {
	t.Helper()
	made := servers.OfMySQL(t, m)
	name := made.Rows(t, "SELECT DATABASE()")[0]
	d := testDB{DB: made.DB, url: "jdbc:mysql://" + m.Address() + "/" + name, user: "root", name: name}
	d.do(t, statements...)
	return d
}

// lite makes a file of SQLite.
func lite(t *testing.T, statements ...string) testDB {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.db")
	d := testDB{DB: opened(t, "sqlite", file+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)"), url: "jdbc:sqlite:" + file}
	d.do(t, statements...)
	return d
}

// config is a configuration for the database; "absent" leaves a key out.
func (d testDB) config(more ...string) map[string]string {
	c := map[string]string{"name": "c", urlKey: d.url, prefixKey: "p-", pollKey: "20", monitorKey: "100", backoffKey: "50", modeKey: bulk}
	if d.user != "" {
		c[userKey] = d.user
	}
	for i := 0; i < len(more); i += 2 {
		if c[more[i]] = more[i+1]; more[i+1] == "absent" {
			delete(c, more[i])
		}
	}
	return c
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// stored are offsets as a worker would give them: maps are compared, not bytes.
type stored []connector.SourceOffsetEntry

func (s stored) Offset(_ context.Context, p record.SourcePartition) (found record.SourceOffset, _ error) {
	for _, e := range s {
		if data.Equal(e.Partition, p) {
			found = e.Offset
		}
	}
	return found, nil
}

func (s stored) Offsets(ctx context.Context, ps []record.SourcePartition) (all []record.SourceOffset, _ error) {
	for _, p := range ps {
		o, _ := s.Offset(ctx, p)
		all = append(all, o)
	}
	return all, nil
}

type testContext struct {
	source.Context
	config  map[string]string
	offsets stored
	log     *slog.Logger

	mu       sync.Mutex
	raised   error
	requests int
	asked    chan struct{}
}

func (c *testContext) Config() map[string]string    { return c.config }
func (c *testContext) Logger() *slog.Logger         { return c.log }
func (c *testContext) Offsets() source.OffsetReader { return c.offsets }
func (c *testContext) RaiseError(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raised = err
}

func (c *testContext) RequestTaskReconfiguration() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	select {
	case c.asked <- struct{}{}:
	default:
	}
}

func (c *testContext) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raised
}

func classOf(t *testing.T, name string) plugin.Plugin {
	t.Helper()
	for _, p := range Plugins(Options{Version: "1", Policy: connect.Policy{Blocked: []string{"allowLoadLocalInfile"}, Connector: oracleAt}}) {
		if strings.Contains(p.Class, name) {
			return p
		}
	}
	t.Fatal(name)
	return plugin.Plugin{}
}

// conn is a connector that runs.
type conn struct {
	connector.Connector
	*testContext
	logs *logBuffer
}

func newContext(config map[string]string, offsets stored) (*testContext, *logBuffer) {
	logs := &logBuffer{}
	return &testContext{config: config, offsets: offsets, log: slog.New(slog.NewTextHandler(logs, nil)), asked: make(chan struct{}, 1)}, logs
}

func connect1(t *testing.T, config map[string]string) *conn {
	t.Helper()
	cc, logs := newContext(config, nil)
	c := &conn{Connector: classOf(t, "confluent").NewConnector(), testContext: cc, logs: logs}
	require.NoError(t, c.Start(t.Context(), cc))
	t.Cleanup(func() { require.NoError(t, c.Stop(context.WithoutCancel(t.Context()))) })
	return c
}

// tables are the tables of each task.
func (c *conn) tables(t *testing.T, tasks int) (all []string) {
	t.Helper()
	configs, err := c.TaskConfigs(t.Context(), tasks)
	require.NoError(t, err)
	for _, c := range configs {
		all = append(all, c[tablesKey])
	}
	return all
}

// changed waits until the connector asks for other tasks.
func (c *conn) changed(t *testing.T) {
	t.Helper()
	select {
	case <-c.asked:
	case <-time.After(soon):
		t.Fatalf("no request for tasks; %s", c.logs)
	}
}

// task is a task that runs.
type task struct {
	source.Task
	logs *logBuffer
	rest []record.Source
}

// tasks are the first task of a connector with this configuration.
func start(t *testing.T, config map[string]string, offsets ...connector.SourceOffsetEntry) (*task, error) {
	t.Helper()
	c := connect1(t, config)
	configs, err := c.TaskConfigs(t.Context(), 1)
	if err != nil {
		return nil, err
	}
	return startTask(t, configs[0], offsets...)
}

func startTask(t *testing.T, config map[string]string, offsets ...connector.SourceOffsetEntry) (*task, error) {
	t.Helper()
	tc, logs := newContext(maps.Clone(config), offsets)
	r := &task{Task: classOf(t, "confluent").NewSourceTask(), logs: logs}
	t.Cleanup(func() { require.NoError(t, r.Stop(context.WithoutCancel(t.Context()))) })
	return r, r.Start(t.Context(), tc)
}

func started(t *testing.T, config map[string]string, offsets ...connector.SourceOffsetEntry) *task {
	t.Helper()
	r, err := start(t, config, offsets...)
	require.NoError(t, err)
	return r
}

// take polls until there are n records.
func (r *task) take(t *testing.T, n int) []record.Source {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for len(r.rest) < n {
		batch, err := r.Poll(ctx)
		require.NoError(t, err)
		require.NoError(t, ctx.Err(), "%d of %d records; %s", len(r.rest), n, r.logs)
		r.rest = append(r.rest, batch...)
	}
	all := r.rest[:n]
	r.rest = r.rest[n:]
	return all
}

// fails polls until the task fails.
func (r *task) fails(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for {
		_, err := r.Poll(ctx)
		require.NoError(t, ctx.Err(), "it does not fail; %s", r.logs)
		if err != nil {
			return err
		}
	}
}

// nothing requires that so many queries in a row bring nothing: silence is the only sign there is.
func (r *task) nothing(t *testing.T) {
	t.Helper()
	require.Empty(t, r.rest)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // 15 poll intervals
	defer cancel()
	batch, err := r.Poll(ctx)
	require.NoError(t, err)
	require.Empty(t, texts(t, batch))
}

// toJSON makes a converter, which one goroutine may use.
func toJSON() converter.Converter {
	for _, p := range converters.All() {
		if p.Kind == plugin.Converter && strings.HasSuffix(p.Class, ".JsonConverter") {
			c := p.NewConverter()
			if err := c.Configure(map[string]string{"schemas.enable": "false", "decimal.format": "NUMERIC"}, converter.ForValue); err != nil {
				panic(err)
			}
			return c
		}
	}
	panic("no JsonConverter")
}

// texts are the values as JSON.
func texts(t *testing.T, all []record.Source) (values []string) {
	t.Helper()
	c := toJSON()
	for _, r := range all {
		b, err := c.FromConnect(r.Topic, r.ValueSchema, r.Value)
		require.NoError(t, err)
		values = append(values, string(b))
	}
	return values
}

// offsets are the offsets as text, "" for none.
func offsets(all []record.Source) (texts []string) {
	for _, r := range all {
		if r.Offset == nil {
			texts = append(texts, "")
		} else {
			texts = append(texts, data.Text(r.Offset))
		}
	}
	return texts
}

func value(t *testing.T, r record.Source, field string) any {
	t.Helper()
	v, err := r.Value.(*data.Struct).Get(field)
	require.NoError(t, err)
	return v
}

func offsetOf(partition, offset *data.Map) connector.SourceOffsetEntry {
	return connector.SourceOffsetEntry{Partition: partition, Offset: offset}
}

func tableOffset(name string, pairs ...any) connector.SourceOffsetEntry {
	return offsetOf(data.MapOf("table", name, "protocol", "1"), data.MapOf(pairs...))
}

func validate(t *testing.T, config map[string]string) map[string]string {
	t.Helper()
	found := map[string]string{}
	p := classOf(t, "confluent")
	given := map[string]*string{}
	for k, v := range config {
		given[k] = &v
	}
	for _, v := range p.Def.Check(given) {
		if len(v.Errors) > 0 {
			found[v.Name] = v.Errors[0]
		}
	}
	for _, f := range p.NewConnector().(connector.Validator).Validate(t.Context(), config) {
		if found[f.Key] == "" {
			found[f.Key] = f.Message
		}
	}
	return found
}

func TestMain(m *testing.M) {
	// A process in another time zone than the database's must see the same.
	zone, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		panic(err)
	}
	time.Local = zone                                 //nolint:gosmopolitan // that is the point
	if text := os.Getenv(childVariable); text != "" { //nolint:forbidigo // a test's switch
		fmt.Fprintln(os.Stderr, child(text))
		os.Exit(1)
	}
	os.Exit(servers.RunWithDatabases(m))
}
