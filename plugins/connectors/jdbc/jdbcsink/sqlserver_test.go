package jdbcsink

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/tests/servers"
	"github.com/millrace/millrace/tests/sqlserver"
)

// What is SQL Server's own runs against what stands in for it, through the real driver and its protocol.

// sent are the statements that begin with a word.
func sent(s *sqlserver.Server, word string) (all []sqlserver.Statement) {
	for _, st := range s.Statements() {
		if strings.HasPrefix(strings.ToLower(st.Text), word) {
			all = append(all, st)
		}
	}
	return all
}

func TestCase19_upserts_reach_SQLServer(t *testing.T) {
	t.Parallel()
	d, s := standIn(t)
	d.Exec(t, "CREATE TABLE orders (id INT PRIMARY KEY, name NVARCHAR(50))")
	keyed := []string{"insert.mode=upsert", "pk.mode=record_value", "pk.fields=id"}
	b := start(t, d, keyed...)
	b.must(b.rec(none, item(1, "a")), b.rec(none, item(2, "ü €")), b.rec(none, item(1, "c")))
	require.Equal(t, []string{"1|c", "2|ü €"}, d.Rows(t, "SELECT id, name FROM orders ORDER BY id"))
	merges := sent(s, "merge")
	require.Equal(t, "merge into [dbo].[orders] with (HOLDLOCK) AS target using (select @p1 AS [id], @p2 AS [name]) AS incoming on (target.[id]=incoming.[id]) when matched then update set "+
		"[name]=incoming.[name] when not matched then insert ([name], [id]) values (incoming.[name],incoming.[id]);", merges[0].Text)
	require.Equal(t, []string{"int", "nvarchar"}, []string{merges[0].Params[0].Type, merges[0].Params[1].Type})
	b = start(t, d, append(keyed, "mssql.use.merge.holdlock=false")...)
	b.must(b.rec(none, item(2, "d")))
	merges = sent(s, "merge")
	require.Contains(t, merges[len(merges)-1].Text, "merge into [dbo].[orders] AS target using")
}

func TestCase56_a_null_for_varbinary(t *testing.T) {
	t.Parallel()
	d, s := standIn(t)
	b := start(t, d, "auto.create=true", "insert.mode=upsert", "pk.mode=record_value", "pk.fields=id")
	b.must(b.rec(none, st("id", i32, int32(1), "b", data.NewSchema(data.Bytes, data.Optional()), nil)))
	require.Equal(t, []string{"1|null"}, d.Rows(t, "SELECT id, b FROM orders"))
	require.Contains(t, sent(s, "merge")[0].Params[1].Type, "varbinary")
}

// Parameters have the types of their columns where it matters: nvarchar for a varchar key would have the server read the whole table.
func TestParameters_of_SQLServer(t *testing.T) {
	t.Parallel()
	d, s := standIn(t)
	d.Exec(t, "CREATE TABLE orders (k VARCHAR(20) PRIMARY KEY, v VARCHAR(20), n NVARCHAR(20), at DATETIME, day DATE, clock TIME, z DATETIMEOFFSET)")
	fields := []any{"k", str, "key", "v", str, "text", "n", str, "text", "at", data.TimestampSchema(), data.Instant(1719849600123), "day", data.DateSchema(), data.Instant(1709164800000),
		"clock", data.TimeSchema(), data.Instant(45296789), "z", data.TimestampSchema(), data.Instant(1719849600123)}
	types := func(pairs ...string) (all []string) {
		b := start(t, d, append([]string{"insert.mode=upsert", "pk.mode=record_value", "pk.fields=k"}, pairs...)...)
		b.must(b.rec(none, st(fields...)))
		merges := sent(s, "merge")
		for _, p := range merges[len(merges)-1].Params {
			all = append(all, p.Type)
		}
		return all
	}
	require.Equal(t, []string{"varchar", "nvarchar", "nvarchar", "datetime2", "date", "time", "datetimeoffset"}, types())
	require.Equal(t, []string{"key|2024-07-01T16:00:00.123Z|2024-02-29T00:00:00Z|2024-07-01T16:00:00.123Z"}, d.Rows(t, "SELECT k, at, day, z FROM orders"))
	d.JDBC += ";sendStringParametersAsUnicode=false"
	require.Equal(t, []string{"varchar", "varchar", "nvarchar", "datetime2", "date", "time", "datetimeoffset"}, types())
	fields[2] = "schlüssel" // a code page may not have it
	require.Equal(t, "nvarchar", types()[0])
}

// failing answers the first n statements that contain a text with an error.
func failing(s *sqlserver.Server, n int64, text string, err error) *atomic.Int64 {
	var left atomic.Int64
	left.Store(n)
	s.Hook(func(st sqlserver.Statement) error {
		if strings.Contains(st.Text, text) && left.Add(-1) >= 0 {
			return err
		}
		return nil
	})
	return &left
}

func TestFaults_of_SQLServer(t *testing.T) {
	t.Parallel()
	deadlock := &sqlserver.Error{Number: 1205, Message: "Transaction (Process ID 52) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction.", Dooms: true}
	for what, c := range map[string]struct {
		err   error
		at    string
		tries int    // until it works; 0: it fails
		says  string // in the log or the error
	}{
		"deadlock":              {deadlock, "INSERT", 2, "vendor code 1205"},
		"connection cut":        {sqlserver.ErrDrop, "INSERT", 2, "remainingRetries=10"},
		"cut at the commit":     {sqlserver.ErrDrop, "COMMIT", 2, "remainingRetries=10"},
		"fail-over":             {&sqlserver.Error{Number: 40613, Message: "Database 'shop' on server 'fake' is not currently available."}, "INSERT", 2, "vendor code 40613"},
		"no answer":             {sqlserver.ErrHang, "INSERT", 2, "remainingRetries=10"},
		"full disk":             {&sqlserver.Error{Number: 1105, Message: "Could not allocate space for object 'dbo.orders' because the 'PRIMARY' filegroup is full."}, "INSERT", 2, "filegroup is full"},
		"full log":              {&sqlserver.Error{Number: 9002, Message: "The transaction log for database 'shop' is full."}, "INSERT", 2, "vendor code 9002"},
		"right that is missing": {&sqlserver.Error{Number: 229, Message: "The INSERT permission was denied on the object 'orders', database 'shop', schema 'dbo'."}, "INSERT", 0, "The INSERT permission was denied"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d, s := standIn(t)
			d.Exec(t, strict)
			d.JDBC += ";socketTimeout=1000"
			b := start(t, d, "max.retries=10", "retry.backoff.ms=1")
			b.dlq = &deadLetters{}
			n := int64(1)
			if c.tries == 0 {
				n = 1 << 60
			}
			failing(s, n, c.at, c.err)
			err := b.put(b.rec(none, item(1, "a")), b.rec(none, item(2, "b")))
			require.Empty(t, b.dlq.records, "no record is bad")
			s.Hook(nil)
			if c.tries == 0 {
				require.ErrorContains(t, err, c.says)
				require.Equal(t, 11, b.tries)
				require.Empty(t, d.Rows(t, "SELECT * FROM orders"))
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.tries, b.tries)
			require.Contains(t, b.log.String(), c.says)
			require.Equal(t, []string{"1|a", "2|b"}, d.Rows(t, "SELECT id, name FROM orders ORDER BY id"))
		})
	}
}

func TestFaults_of_SQLServer_at_the_login(t *testing.T) {
	t.Parallel()
	d, s := standIn(t)
	d.Exec(t, strict)
	b := start(t, d, "connection.password=WRONG")
	err := b.put(b.rec(none, item(1, "a")))
	require.ErrorContains(t, err, "Login failed for user 'sa'.")
	require.NotContains(t, err.Error()+b.log.String(), "WRONG")
	b = start(t, servers.Database{JDBC: strings.Replace(d.JDBC, "databaseName=shop", "databaseName=none", 1)})
	require.ErrorContains(t, b.put(b.rec(none, item(1, "a"))), `Cannot open database "none"`)
	s.Stop()
	b = start(t, d, "max.retries=100000", "retry.backoff.ms=1")
	done := make(chan error, 1)
	go func() { done <- b.put(b.rec(none, item(1, "a"))) }()
	require.Eventually(t, func() bool { return strings.Contains(b.log.String(), "remainingRetries=100000") }, soon, tick)
	require.NoError(t, s.Listen(t.Context()))
	require.NoError(t, <-done)
	require.Equal(t, []string{"1|a"}, s.Rows(t, "SELECT * FROM orders"))
}

// An error of a conversion ends the whole transaction of SQL Server, so that there is no savepoint to go back to.
func TestCase59_a_value_that_can_not_be_converted_dooms_the_transaction_of_SQLServer(t *testing.T) {
	t.Parallel()
	d, s := standIn(t)
	d.Exec(t, "CREATE TABLE orders (id INT NOT NULL, name INT NOT NULL)")
	b := start(t, d)
	b.dlq = &deadLetters{}
	var batch []record.Sink
	for i := range 200 {
		name := any("7")
		switch i {
		case 17, 150:
			name = "x"
		case 60:
			name = nil // an error that ends its statement only
		}
		batch = append(batch, b.rec(none, item(int32(i), name)))
	}
	b.must(batch...)
	require.Len(t, b.dlq.records, 3)
	for i, at := range []string{"18: ", "61: ", "151: "} {
		require.True(t, strings.HasPrefix(b.dlq.records[i], at), b.dlq.records[i])
	}
	require.Equal(t, []string{"197"}, d.Rows(t, "SELECT count(*) FROM orders"))
	require.NotEmpty(t, sent(s, "save transaction"))
}

func TestLimits_of_SQLServer(t *testing.T) {
	t.Parallel()
	d, s := standIn(t)
	d.Exec(t, "CREATE TABLE orders (id INT PRIMARY KEY, name VARCHAR(50))")
	b := start(t, d)
	var batch []record.Sink
	for i := range 5000 {
		batch = append(batch, b.rec(none, item(int32(i), "x")))
	}
	b.must(batch...)
	require.Equal(t, []string{"5000"}, d.Rows(t, "SELECT count(*) FROM orders"))
	require.Len(t, sent(s, "insert"), 5, "a thousand rows a statement")
}
