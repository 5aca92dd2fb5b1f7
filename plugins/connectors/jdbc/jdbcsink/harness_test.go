package jdbcsink

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/tests/oracledb"
	"github.com/millrace/millrace/tests/servers"
	"github.com/millrace/millrace/tests/sqlserver"
)

func TestMain(m *testing.M) { os.Exit(servers.RunWithDatabases(m)) }

// bench is a task with the runtime's side played by the test.
type bench struct {
	t      *testing.T
	task   *task
	config map[string]string
	log    safeBuffer
	dlq    *deadLetters // nil: none
	wait   time.Duration
	tries  int // of the last put
	offset int64
	topic  string

	rewinds sink.Offsets // asked for since the last look
	task1   string       // the task's name for the fence; "": t/0
	epoch   int64
	ids     map[string]string // of topics; missing: the topic's name
	idErr   error
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

type deadLetters struct {
	records []string
	refuse  error
}

func (d *deadLetters) Report(_ context.Context, r *record.Sink, cause error) error {
	if d.refuse != nil {
		return d.refuse
	}
	d.records = append(d.records, fmt.Sprintf("%d: %v", r.OriginalOffset, cause))
	return nil
}

func (b *bench) Config() map[string]string { return b.config }
func (b *bench) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
func (b *bench) Assignment() []record.TopicPartition { return nil }
func (b *bench) Rewind(to sink.Offsets) {
	if b.rewinds == nil {
		b.rewinds = sink.Offsets{}
	}
	maps.Copy(b.rewinds, to)
}
func (b *bench) Timeout(d time.Duration)               { b.wait = d }
func (b *bench) Pause(...record.TopicPartition) error  { return nil }
func (b *bench) Resume(...record.TopicPartition) error { return nil }
func (b *bench) RequestCommit()                        {}
func (b *bench) Term() (string, int64)                 { return cmp.Or(b.task1, "t/0"), b.epoch }
func (b *bench) TopicID(_ context.Context, topic string) (string, error) {
	if id, ok := b.ids[topic]; ok {
		return id, b.idErr
	}
	return "id of " + topic, b.idErr
}
func (b *bench) ErrantRecords() sink.ErrantRecordReporter {
	if b.dlq == nil {
		return nil
	}
	return b.dlq
}

// with makes a configuration of key=value texts.
func with(url string, pairs ...string) map[string]string {
	m := map[string]string{"name": "s", "connection.url": url, "connection.attempts": "1", "max.retries": "0", "retry.backoff.ms": "1"}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		m[k] = v
	}
	return m
}

func start(t *testing.T, d servers.Database, pairs ...string) *bench {
	t.Helper()
	if d.Product == "oracle" { // tests do not quote
		pairs = append([]string{"quote.sql.identifiers=never"}, pairs...)
	}
	return startDef(t, confluentDef, with(d.JDBC, pairs...))
}

func startDef(t *testing.T, def *config.Def, c map[string]string) *bench {
	t.Helper()
	return (&bench{t: t, task: &task{def: def, policy: connect.Policy{Connector: oracleAt}}, config: maps.Clone(c), topic: "orders"}).begin()
}

func (b *bench) begin() *bench {
	t := b.t
	t.Helper()
	require.NoError(t, b.task.Start(t.Context(), b))
	t.Cleanup(func() { require.NoError(t, b.task.Stop(context.Background())) })
	return b
}

// put does what the runtime does: a batch that is to be tried again is, as long as the task wants.
func (b *bench) put(records ...record.Sink) error {
	b.t.Helper()
	for b.tries = 1; ; b.tries++ {
		err := b.task.Put(b.t.Context(), records)
		if !connecterr.IsRetriable(err) {
			return err
		}
		select {
		case <-time.After(b.wait):
		case <-b.t.Context().Done():
			return b.t.Context().Err()
		}
	}
}

func (b *bench) must(records ...record.Sink) {
	b.t.Helper()
	require.NoError(b.t, b.put(records...))
}

// rec makes the next record of the topic.
func (b *bench) rec(key data.SchemaAndValue, value data.SchemaAndValue) record.Sink {
	b.offset++
	return record.Sink{Topic: b.topic, KafkaPartition: 3, KafkaOffset: b.offset, KeySchema: key.Schema, Key: key.Value, ValueSchema: value.Schema, Value: value.Value, Timestamp: 1000,
		OriginalTopic: b.topic, OriginalPartition: 3, OriginalOffset: b.offset}
}

var none = data.SchemaAndValue{}

func long(n int64) data.SchemaAndValue {
	return data.SchemaAndValue{Schema: data.NewSchema(data.Int64), Value: n}
}

func text(s string) data.SchemaAndValue {
	return data.SchemaAndValue{Schema: data.NewSchema(data.String), Value: s}
}

// st makes a Struct of name, schema, value triples.
func st(parts ...any) data.SchemaAndValue {
	var fields []data.Field
	for i := 0; i < len(parts); i += 3 {
		fields = append(fields, data.Field{Name: parts[i].(string), Schema: parts[i+1].(*data.Schema)})
	}
	schema := data.StructOf(fields)
	v := data.NewStruct(schema)
	for i := 0; i < len(parts); i += 3 {
		v.SetAt(i/3, parts[i+2])
	}
	return data.SchemaAndValue{Schema: schema, Value: v}
}

var (
	i32    = data.NewSchema(data.Int32)
	i64    = data.NewSchema(data.Int64)
	oi32   = data.NewSchema(data.Int32, data.Optional())
	str    = data.NewSchema(data.String)
	ostr   = data.NewSchema(data.String, data.Optional())
	idName = data.StructOf([]data.Field{{Name: "id", Schema: i32}, {Name: "name", Schema: ostr}})
)

func item(id int32, name any) data.SchemaAndValue {
	v := data.NewStruct(idName)
	v.SetAt(0, id)
	v.SetAt(1, name)
	return data.SchemaAndValue{Schema: idName, Value: v}
}

func name(n any) data.SchemaAndValue { return st("name", ostr, n) }

// q quotes for a database.
func q(d servers.Database, n string) string {
	switch d.Product {
	case "postgresql", "oracle":
		return `"` + n + `"`
	case "sqlserver":
		return "[" + n + "]"
	}
	return "`" + n + "`"
}

// bare is a table's name without quotes.
func bare(d servers.Database, table string) string {
	if d.Product == "oracle" {
		return strings.ToUpper(table)
	}
	return table
}

// shown is a table as messages and statements have it.
func shown(d servers.Database, table string) string {
	switch d.Product {
	case "sqlserver":
		return "[dbo]." + q(d, table)
	case "oracle":
		return bare(d, table)
	}
	return q(d, table)
}

// oracles stand in for go-ora, by URL.
var oracles sync.Map

func oracleAt(_ dialect.Kind, url string) driver.Connector {
	if c, ok := oracles.Load(url); ok {
		return c.(driver.Connector)
	}
	return nil
}

// standInOracle is what stands in for Oracle and its driver.
func standInOracle(t *testing.T) (servers.Database, *oracledb.Database) {
	t.Helper()
	d := oracledb.New(t)
	url := "jdbc:oracle:thin:@//127.0.0.1:1/" + strings.ReplaceAll(t.Name(), "/", "_")
	_, there := oracles.LoadOrStore(url, d)
	require.False(t, there, "one database for each test")
	return servers.Database{Product: "oracle", JDBC: url, DB: d.DB(t)}, d
}

// everywhere runs a test against each of servers.Databases, and against what stands in for SQL Server and Oracle.
func everywhere(t *testing.T, test func(*testing.T, servers.Database)) {
	t.Helper()
	besidesOracle(t, test)
	t.Run("oracle", func(t *testing.T) {
		t.Parallel()
		d, _ := standInOracle(t)
		test(t, d)
	})
}

// besidesOracle leaves out Oracle, whose names and types are too different.
func besidesOracle(t *testing.T, test func(*testing.T, servers.Database)) {
	t.Helper()
	servers.Databases(t, test)
	t.Run("sqlserver", func(t *testing.T) {
		t.Parallel()
		d, _ := standIn(t)
		test(t, d)
	})
}

// standIn is a server that stands in for SQL Server.
func standIn(t *testing.T) (servers.Database, *sqlserver.Server) {
	t.Helper()
	s := sqlserver.Start(t)
	db, err := sql.Open("sqlserver", "sqlserver://"+sqlserver.User+":"+url.QueryEscape(sqlserver.Password)+"@"+s.Address()+"?database="+sqlserver.Database+"&encrypt=disable")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return servers.Database{Product: "sqlserver", JDBC: s.JDBC(), DB: db}, s
}
