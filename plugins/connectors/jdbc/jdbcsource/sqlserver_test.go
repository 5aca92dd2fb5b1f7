package jdbcsource

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/tests/sqlserver"
)

// SQL Server is not to be had: these cases run against what stands in for it, through the real driver and its protocol.

func standIn(t *testing.T, statements ...string) (testDB, *sqlserver.Server) {
	t.Helper()
	s := sqlserver.Start(t)
	s.Exec(t, statements...)
	return testDB{url: s.JDBC()}, s
}

func TestCase_51_types_of_SQLServer(t *testing.T) {
	t.Parallel()
	d, s := standIn(t, `CREATE TABLE t (b bit, t1 tinyint NOT NULL, s smallint, i int, l bigint, n numeric(10,2), d decimal(10,2), m money, sm smallmoney, r real, f float, c char(4), v varchar(10) NOT NULL, vm varchar(max),
		x text, nc nchar(3), nv nvarchar(10), nm nvarchar(max), nx ntext, xm xml, u uniqueidentifier, bi binary(2), vb varbinary(10), vbm varbinary(max), im image, rv rowversion, dt date, tm time(3), dtm datetime,
		sd smalldatetime, d2 datetime2, d3 datetime2(3), dto datetimeoffset, va sql_variant, g geometry)`,
		`INSERT INTO t VALUES (1, 255, -2, -3, -4, '12.5', '12.5', '-1234.5', '1.25', 1.5, 2.5, 'ab', 'vü', 'vm', 'tx', 'n', '€', 'nm', 'nx', '<a/>', '12345678-1234-1234-1234-123456789abc', 0x00ff, 0x01, 0x02, 0x03,
		0x0000000000000007, '2024-02-29', '10:00:00.123', '2024-07-01 12:00:00.123', '2024-07-01 12:00', '2024-07-01 12:00:00.1234567', '2024-07-01 12:00:00.123', '2024-07-01 10:00:00.5 +00:00', 'va', 0x04)`)
	r := started(t, d.config())
	got := r.take(t, 1)[0]
	require.Equal(t, "p-t", got.Topic)
	require.Equal(t, strings.Split(`b INT8 optional
t1 INT16
s INT16 optional
i INT32 optional
l INT64 optional
n BYTES Decimal scale=2 connect.decimal.precision=10 optional
d BYTES Decimal scale=2 connect.decimal.precision=10 optional
m BYTES Decimal scale=4 connect.decimal.precision=19 optional
sm BYTES Decimal scale=4 connect.decimal.precision=10 optional
r FLOAT32 optional
f FLOAT64 optional
c STRING optional
v STRING
vm STRING optional
x STRING optional
nc STRING optional
nv STRING optional
nm STRING optional
nx STRING optional
xm STRING optional
u STRING optional
bi BYTES optional
vb BYTES optional
vbm BYTES optional
im BYTES optional
rv BYTES optional
dt INT32 Date optional
tm INT32 Time optional
dtm INT64 Timestamp optional
sd INT64 Timestamp optional
d2 INT64 Timestamp optional
d3 INT64 Timestamp optional
dto INT64 Timestamp optional`, "\n"), shapes(got))
	require.Equal(t, []string{`{"b":1,"t1":255,"s":-2,"i":-3,"l":-4,"n":12.50,"d":12.50,"m":-1234.5000,"sm":1.2500,"r":1.5,"f":2.5,"c":"ab  ","v":"vü","vm":"vm","x":"tx","nc":"n  ","nv":"€","nm":"nm","nx":"nx","xm":"<a/>",` +
		`"u":"12345678-1234-1234-1234-123456789ABC","bi":"AP8=","vb":"AQ==","vbm":"Ag==","im":"Aw==","rv":"AAAAAAAAAAc=","dt":19782,"tm":36000123,"dtm":1719835200123,"sd":1719835200000,"d2":1719835200123,` +
		`"d3":1719835200123,"dto":1719828000500}`}, texts(t, []record.Source{got}))
	for _, c := range []string{"va (sql_variant)", "g (geometry)"} {
		require.Contains(t, r.logs.String(), "JDBC type of column "+c+" not currently supported")
	}
	asText := one(t, d, unsupportedKey, "string")
	require.Equal(t, []any{"va", "0x04"}, []any{value(t, asText, "va"), value(t, asText, "g")})

	best := one(t, d, numericKey, "best_fit")
	require.Equal(t, []any{12.5, data.NewDecimal(1250, 2)}, []any{value(t, best, "n"), value(t, best, "d")}, "decimal is not numeric")
	best = one(t, d, queryKey, "SELECT n, d FROM dbo.t", numericKey, "best_fit")
	require.Equal(t, []any{12.5, data.NewDecimal(1250, 2)}, []any{value(t, best, "n"), value(t, best, "d")})
	ny := one(t, d, zoneKey, "America/New_York", granularityKey, "nanos_iso_datetime_string")
	require.Equal(t, []any{"2024-07-01T12:00:00.123456700", "2024-07-01T06:00:00.500000000"}, []any{value(t, ny, "d2"), value(t, ny, "dto")})
	ny = one(t, d, zoneKey, "America/New_York")
	require.Equal(t, []any{data.Instant(1719849600123), data.Instant(1719828000500)}, []any{value(t, ny, "d2"), value(t, ny, "dto")})
	s.Exec(t, "DROP TABLE t", "CREATE TABLE t (b bit, u uniqueidentifier, m money, x text, d datetime2, g geometry)", "INSERT INTO t VALUES (null, null, null, null, null, null)")
	require.Equal(t, []string{`{"b":null,"u":null,"m":null,"x":null,"d":null}`}, texts(t, []record.Source{one(t, d)}))
}

func TestCase_51_timestamps_of_SQLServer(t *testing.T) {
	t.Parallel()
	d, s := standIn(t, "CREATE TABLE t (id int IDENTITY(1,1) PRIMARY KEY, at datetime2 NOT NULL, old datetime NOT NULL, z datetimeoffset NOT NULL)",
		"INSERT INTO t (at, old, z) VALUES ('2024-07-01 12:00:00.0000001', '2024-07-01 12:00:00', '2024-07-01 16:00:00.0000000 +00:00'), ('2024-07-01 12:00:00.0000002', '2024-07-01 12:00:00', '2024-07-01 16:00:01.0000000 +00:00')")
	const datetimes = "A DATETIME column is configured for timestamp.column.name with Sql Server. DATETIME is not supported. Use DATETIME2 instead."
	require.EqualError(t, started(t, d.config(modeKey, timestamp, timestampKey, "old")).fails(t), datetimes)
	require.EqualError(t, started(t, d.config(modeKey, timestamp, timestampKey, "old", queryKey, "SELECT * FROM t")).fails(t), datetimes)

	r := started(t, d.config(modeKey, both, timestampKey, "at", incrementingKey, "id", zoneKey, "America/New_York"))
	got := r.take(t, 2)
	require.Equal(t, []string{"{timestamp_nanos=100, incrementing=1, timestamp=1719849600000}", "{timestamp_nanos=200, incrementing=2, timestamp=1719849600000}"}, offsets(got))
	r.nothing(t)
	s.Exec(t, "INSERT INTO t (at, old, z) VALUES ('2024-07-01 12:00:00.0000002', '2024-07-01 12:00:00', '2024-07-01 16:00:02.0000000 +00:00')")
	require.Equal(t, []string{"{timestamp_nanos=200, incrementing=3, timestamp=1719849600000}"}, offsets(r.take(t, 1)))
	all := s.Statements()
	last := all[len(all)-1]
	for _, st := range all {
		if strings.HasPrefix(st.Text, "SELECT * FROM [shop]") {
			last = st
		}
	}
	require.Equal(t, "SELECT * FROM [shop].[dbo].[t] WHERE [shop].[dbo].[t].[at] < @p1 AND (([shop].[dbo].[t].[at] = @p2 AND [shop].[dbo].[t].[id] > @p3) OR [shop].[dbo].[t].[at] > @p4) "+
		"ORDER BY [shop].[dbo].[t].[at],[shop].[dbo].[t].[id] ASC", last.Text)
	require.Equal(t, []string{"datetime2", "datetime2", "int", "datetime2"}, []string{last.Params[0].Type, last.Params[1].Type, last.Params[2].Type, last.Params[3].Type})
	require.Equal(t, "2024-07-01 12:00:00.0000002", last.Params[1].Value, "by the clock of db.timezone")

	r = started(t, d.config(modeKey, timestamp, timestampKey, "z", zoneKey, "America/New_York"), tableOffset("shop.dbo.t", "timestamp", int64(1719849600000)))
	require.Len(t, r.take(t, 2), 2, "instants are compared as such")
	r.nothing(t)
	r = started(t, d.config(modeKey, timestamp, timestampKey, "z", zoneKey, "America/New_York", queryKey, "SELECT id, z FROM t"))
	require.Len(t, r.take(t, 3), 3)
	r.nothing(t)
}

func TestSQLServer_tables_and_modes(t *testing.T) {
	t.Parallel()
	d, s := standIn(t, "CREATE TABLE a (id int IDENTITY(1,1) PRIMARY KEY, v nvarchar(20), n int)", "CREATE VIEW v AS SELECT id, v FROM a", "CREATE TABLE s1.t (id int)", "CREATE TABLE [odd.name] (id int)",
		"CREATE SYNONYM sy FOR dbo.a", "INSERT INTO a (v) VALUES ('x'), ('y')")
	for types, want := range map[string]string{
		"TABLE": "[shop].[dbo].[a],[shop].[dbo].[odd.name],[shop].[s1].[t]", "VIEW": "[shop].[dbo].[v]", "SYNONYM": "[shop].[dbo].[sy]",
	} {
		require.Equal(t, []string{want}, connect1(t, d.config(typesKey, types)).tables(t, 1), types)
	}
	for _, entry := range []string{"a", "dbo.a", "shop.dbo.a", "[shop].[dbo].[a]", `"shop"."dbo"."a"`} {
		require.Equal(t, []string{"[shop].[dbo].[a]"}, connect1(t, d.config(whitelistKey, entry)).tables(t, 5), entry)
	}
	require.Equal(t, []string{"[shop].[s1].[t]"}, connect1(t, d.config(schemaKey, "s1")).tables(t, 1))

	for i, entry := range []string{"a", "sy"} {
		r := started(t, d.config(whitelistKey, entry, modeKey, incrementing, typesKey, "TABLE,SYNONYM", "transaction.isolation.mode", snapshot)) // 24, 25
		require.Equal(t, []string{`{"id":1,"v":"x","n":null}`, `{"id":2,"v":"y","n":null}`}, texts(t, r.take(t, 2)))
		s.Exec(t, "INSERT INTO a (v) VALUES ('z')")
		require.Equal(t, []string{fmt.Sprintf("{incrementing=%d}", 3+i)}, offsets(r.take(t, 1)))
		s.Exec(t, "DELETE FROM a WHERE id > 2")
	}
	began := false
	for _, st := range s.Statements() {
		began = began || st.Text == "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRANSACTION"
	}
	require.True(t, began)
	_, err := start(t, d.config(whitelistKey, "a", modeKey, incrementing, incrementingKey, "n")) // 26
	require.EqualError(t, err, "Cannot make incremental queries using incrementing column n on [shop].[dbo].[a] because this column is nullable.")
	r := started(t, d.config(modeKey, incrementing, incrementingKey, "id", queryKey, "SELECT id, v AS w FROM dbo.a")) // 34
	require.Equal(t, []string{`{"id":1,"w":"x"}`, `{"id":2,"w":"y"}`}, texts(t, r.take(t, 2)))
	r = started(t, d.config(modeKey, incrementing, incrementingKey, "id", queryKey, "SELECT id, v FROM dbo.a WHERE id > 1", wrapKey, "true"))
	require.Equal(t, []string{`{"id":2,"v":"y"}`}, texts(t, r.take(t, 1)))
	r = started(t, d.config(whitelistKey, "a", quoteKey, never)) // 38
	require.Equal(t, []string{`{"id":1,"v":"x","n":null}`}, texts(t, r.take(t, 1)))
	s.Exec(t, "ALTER TABLE a ADD c int NULL")
	require.Eventually(t, func() bool { return len(r.take(t, 1)[0].ValueSchema.Fields()) == 4 }, soon, time.Millisecond)
}

func TestSQLServer_validation(t *testing.T) {
	t.Parallel()
	d, _ := standIn(t, "CREATE TABLE t (id int)")
	require.Empty(t, validate(t, d.config(isolationKey, snapshot))) // 12
	require.Contains(t, validate(t, d.config(queryKey, "SELECT nope FROM t"))[queryKey], "(errorCode: 207)")
	require.Contains(t, validate(t, d.config(queryKey, "SELECT * FROM nope"))[queryKey], "(errorCode: 208)")
	require.Empty(t, validate(t, d.config(queryKey, "SELECT id FROM t WHERE 'it''s' <> ''")))
	found := validate(t, d.config(passwordKey, "WRONG"))[urlKey] // 9
	require.Contains(t, found, "Could not connect to database. ")
	require.Contains(t, found, "Login failed for user 'sa'.")
	require.NotContains(t, found, "WRONG")
}

func TestSQLServer_failures(t *testing.T) {
	t.Parallel()
	reads := "FROM [shop].[dbo].[t]"
	for what, err := range map[string]error{
		"connection cut": sqlserver.ErrDrop, "no answer": sqlserver.ErrHang, "deadlock": &sqlserver.Error{Number: 1205, Message: "was deadlocked", Dooms: true},
		"lock time-out": &sqlserver.Error{Number: 1222, Message: "Lock request time out period exceeded."},
	} { // 59
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d, s := standIn(t, "CREATE TABLE t (id int NOT NULL)", "INSERT INTO t VALUES (1)")
			d.url += ";socketTimeout=1000"
			failed := make(chan struct{})
			s.Hook(func(st sqlserver.Statement) error {
				if strings.Contains(st.Text, reads) {
					select {
					case <-failed:
					default:
						close(failed)
						return err
					}
				}
				return nil
			})
			r := started(t, d.config(modeKey, incrementing, incrementingKey, "id"))
			require.Len(t, r.take(t, 1), 1)
			select {
			case <-failed:
			default:
				t.Fatal("nothing failed")
			}
			require.Contains(t, r.logs.String(), "It is tried again.")
		})
	}
	d, s := standIn(t, "CREATE TABLE t (id int NOT NULL, n int NOT NULL)", "INSERT INTO t VALUES (1, 1)")
	r := started(t, d.config(modeKey, incrementing, incrementingKey, "n")) // 60
	r.take(t, 1)
	s.Exec(t, "ALTER TABLE t DROP COLUMN n")
	require.ErrorContains(t, r.fails(t), "Invalid column name")

	d, s = standIn(t, "CREATE TABLE t (id int NOT NULL)")
	s.Hook(func(st sqlserver.Statement) error {
		if strings.Contains(st.Text, reads) {
			return &sqlserver.Error{Number: 229, Message: "The SELECT permission was denied on the object 't', database 'shop', schema 'dbo'."}
		}
		return nil
	})
	require.ErrorContains(t, started(t, d.config()).fails(t), "The SELECT permission was denied")

	d, s = standIn(t, "CREATE TABLE t (id int NOT NULL)", "INSERT INTO t VALUES (1)") // 58, and a table that goes
	r = started(t, d.config(modeKey, incrementing, incrementingKey, "id", attemptsKey, "100000", backoffKey, "1"))
	r.take(t, 1)
	s.Stop()
	require.Eventually(t, func() bool {
		return strings.Contains(r.logs.String(), "Unable to connect to database on attempt 1/100000")
	}, soon, time.Millisecond)
	require.NoError(t, s.Listen(t.Context()))
	s.Exec(t, "INSERT INTO t VALUES (2)")
	require.Equal(t, []string{"{incrementing=2}"}, offsets(r.take(t, 1)))
	s.Exec(t, "DROP TABLE t")
	require.ErrorContains(t, r.fails(t), "Invalid object name")
}
