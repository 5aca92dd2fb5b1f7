package jdbcsource

import (
	"database/sql/driver"
	"strings"
	"sync"
	"testing"
	"time"

	ora "github.com/sijms/go-ora/v2"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/tests/oracledb"
)

// Oracle is not to be had: these cases run against what stands in for it and its driver.

// oracles stand in for go-ora, by URL.
var oracles sync.Map

func oracleAt(_ dialect.Kind, url string) driver.Connector {
	if c, ok := oracles.Load(url); ok {
		return c.(driver.Connector)
	}
	return nil
}

func oracleOf(t *testing.T, statements ...string) (testDB, *oracledb.Database) {
	t.Helper()
	o := oracledb.New(t)
	d := testDB{DB: o.DB(t), url: "jdbc:oracle:thin:@//127.0.0.1:1/" + strings.ReplaceAll(t.Name(), "/", "_")}
	_, there := oracles.LoadOrStore(d.url, o)
	require.False(t, there, "one database for each test")
	d.do(t, statements...)
	return d, o
}

func TestCase_52_types_of_Oracle(t *testing.T) {
	t.Parallel()
	d, _ := oracleOf(t, `CREATE TABLE EMP (n5 NUMBER(5,0) NOT NULL, n102 NUMBER(10,2), n NUMBER, neg NUMBER(5,-2), i INTEGER, fl FLOAT(126), c CHAR(4), v VARCHAR2(10), nv NVARCHAR2(10), cl CLOB, nc NCLOB, bl BLOB, ra RAW(4),
		lg LONG, d DATE, ts TIMESTAMP(6), ts9 TIMESTAMP(9), tz TIMESTAMP WITH TIME ZONE, lz TIMESTAMP WITH LOCAL TIME ZONE, bf BINARY_FLOAT, bd BINARY_DOUBLE, ro ROWID)`,
		`INSERT INTO EMP VALUES (12345, '12.5', '123456789012345678901234567890.5', 12300, 7, 1.5, 'ab', 'vc', 'ü€', 'clob', 'nclob', HEXTORAW('00ff'), HEXTORAW('01'), 'long', '2024-07-01 12:00:00',
		'2024-07-01 12:00:00.123456', '2024-07-01 12:00:00.123456789', '2024-07-01 10:00:00.5', '2024-07-01 10:00:00.5', 1.5, 2.25, 'AAA')`)
	r := started(t, d.config(whitelistKey, "SCOTT.EMP", quoteKey, never))
	got := r.take(t, 1)[0]
	require.Equal(t, "p-EMP", got.Topic)
	require.Equal(t, strings.Split(`N5 BYTES Decimal scale=0 connect.decimal.precision=5
N102 BYTES Decimal scale=2 connect.decimal.precision=10 optional
N BYTES Decimal scale=127 connect.decimal.precision=0 optional
NEG BYTES Decimal scale=-2 connect.decimal.precision=5 optional
I BYTES Decimal scale=0 connect.decimal.precision=38 optional
FL BYTES Decimal scale=127 connect.decimal.precision=126 optional
C STRING optional
V STRING optional
NV STRING optional
CL STRING optional
NC STRING optional
BL BYTES optional
RA BYTES optional
LG STRING optional
D INT64 Timestamp optional
TS INT64 Timestamp optional
TS9 INT64 Timestamp optional`, "\n"), shapes(got))
	for _, c := range []string{"TZ (TIMESTAMP(6) WITH TIME ZONE)", "LZ (TIMESTAMP(6) WITH LOCAL TIME ZONE)", "BF (BINARY_FLOAT)", "BD (BINARY_DOUBLE)", "RO (ROWID)"} {
		require.Contains(t, r.logs.String(), "JDBC type of column "+c+" not currently supported")
	}
	for field, want := range map[string]any{"N5": data.NewDecimal(12345, 0), "N102": data.NewDecimal(1250, 2), "NEG": data.NewDecimal(123, -2), "C": "ab  ", "NV": "ü€", "CL": "clob", "BL": []byte{0, 255},
		"D": data.Instant(1719835200000), "TS": data.Instant(1719835200123)} {
		require.Equal(t, want, value(t, got, field), field)
	}
	require.Contains(t, texts(t, []record.Source{got})[0], `"N":123456789012345678901234567890.5000`)

	best := one(t, d, numericKey, "best_fit", quoteKey, never)
	require.Equal(t, []any{int32(12345), 12.5, int32(12300)}, []any{value(t, best, "N5"), value(t, best, "N102"), value(t, best, "NEG")})
	best = one(t, d, numericKey, "best_fit", queryKey, "SELECT n5, n102, n, neg FROM EMP")
	require.Equal(t, []any{int32(12345), 12.5, int32(12300)}, []any{value(t, best, "N5"), value(t, best, "N102"), value(t, best, "NEG")})
	require.Equal(t, "N BYTES Decimal scale=127 connect.decimal.precision=0 optional", shapes(best)[2])
	asText := one(t, d, unsupportedKey, "string")
	require.Equal(t, []any{float32(1.5), 2.25, data.Instant(1719828000500), data.Instant(1719828000500), "AAA"},
		[]any{value(t, asText, "BF"), value(t, asText, "BD"), value(t, asText, "TZ"), value(t, asText, "LZ"), value(t, asText, "RO")})
	ny := one(t, d, zoneKey, "America/New_York", granularityKey, "nanos_iso_datetime_string")
	require.Equal(t, []any{"2024-07-01T12:00:00.123456789", "2024-07-01T12:00:00.000000000"}, []any{value(t, ny, "TS9"), value(t, ny, "D")})
	require.Equal(t, data.Instant(1719849600000), value(t, one(t, d, zoneKey, "America/New_York"), "D"))
}

func TestOracle_tables_and_modes(t *testing.T) {
	t.Parallel()
	d, o := oracleOf(t, "CREATE TABLE ORDERS (ID NUMBER(10,0) GENERATED ALWAYS AS IDENTITY, AT DATE NOT NULL, N NUMBER)", "INSERT INTO ORDERS (AT) VALUES ('2024-07-01 12:00:00')",
		"INSERT INTO ORDERS (AT) VALUES ('2024-07-01 12:00:00')", "CREATE VIEW V AS SELECT ID FROM ORDERS", "CREATE SYNONYM SY FOR SCOTT.ORDERS")
	for types, want := range map[string]string{"TABLE": `"SCOTT"."ORDERS"`, "VIEW": `"SCOTT"."V"`, "SYNONYM": `"SCOTT"."SY"`} {
		require.Equal(t, []string{want}, connect1(t, d.config(typesKey, types)).tables(t, 1), types)
	}
	require.Equal(t, []string{`"SYS"."AUD$"`}, connect1(t, d.config(schemaKey, "SYS")).tables(t, 1), "named")
	c := connect1(t, d.config(whitelistKey, "orders"))
	require.Equal(t, []string{""}, c.tables(t, 1))
	require.Contains(t, c.logs.String(), "did you mean SCOTT.ORDERS?")

	for _, entry := range []string{"ORDERS", "SY"} { // 24, 25, 29
		r := started(t, d.config(whitelistKey, entry, typesKey, "TABLE,SYNONYM", modeKey, both, timestampKey, "AT", zoneKey, "America/New_York"))
		require.Equal(t, []string{"{timestamp_nanos=0, incrementing=1, timestamp=1719849600000}", "{timestamp_nanos=0, incrementing=2, timestamp=1719849600000}"}, offsets(r.take(t, 2)))
		r.nothing(t)
	}
	var read oracledb.Statement
	settings := map[string]bool{}
	for _, st := range o.Statements() {
		if strings.HasPrefix(st.Text, `SELECT * FROM "SCOTT"."ORDERS"`) {
			read = st
		}
		if strings.HasPrefix(st.Text, "SET ") {
			settings[st.Text] = true
		}
	}
	require.Equal(t, `SELECT * FROM "SCOTT"."ORDERS" WHERE "SCOTT"."ORDERS"."AT" < :1 AND (("SCOTT"."ORDERS"."AT" = :2 AND "SCOTT"."ORDERS"."ID" > :3) OR "SCOTT"."ORDERS"."AT" > :4) `+
		`ORDER BY "SCOTT"."ORDERS"."AT","SCOTT"."ORDERS"."ID" ASC`, read.Text)
	require.Equal(t, ora.TimeStamp(time.Date(2024, 7, 1, 12, 0, 0, 0, time.UTC)), read.Args[1], "by the clock of db.timezone, without a zone")
	require.Equal(t, map[string]bool{"SET TRANSACTION READ ONLY": true}, settings)
	started(t, d.config(whitelistKey, "ORDERS", isolationKey, "SERIALIZABLE")).take(t, 1)
	all := o.Statements()
	serializable := false
	for _, st := range all {
		serializable = serializable || st.Text == "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"
	}
	require.True(t, serializable)

	r := started(t, d.config(modeKey, incrementing, incrementingKey, "ID", queryKey, "SELECT ID FROM ORDERS WHERE ID > 1", wrapKey, "true"))
	require.Equal(t, []string{"{incrementing=2}"}, offsets(r.take(t, 1)))
	require.Contains(t, r.logs.String(), `) connect_query WHERE`)
	_, err := start(t, d.config(whitelistKey, "ORDERS", modeKey, incrementing, incrementingKey, "N")) // 26
	require.EqualError(t, err, `Cannot make incremental queries using incrementing column N on "SCOTT"."ORDERS" because this column is nullable.`)
	require.Contains(t, validate(t, d.config(queryKey, "SELECT nope FROM ORDERS"))[queryKey], "(errorCode: 904)")
	require.Empty(t, validate(t, d.config(queryKey, "SELECT ID FROM ORDERS", wrapKey, "true", modeKey, incrementing, incrementingKey, "ID")))
}

func TestOracle_failures(t *testing.T) {
	t.Parallel()
	reads := func(st oracledb.Statement) bool { return strings.HasPrefix(st.Text, `SELECT * FROM "SCOTT"`) }
	for what, c := range map[string]struct {
		err   error
		final bool
		says  string
	}{
		"session killed":        {oracledb.Error(28, "your session has been killed"), false, "vendorCode=28"},
		"end of file":           {oracledb.Error(3113, "end-of-file on communication channel"), false, "vendorCode=3113"},
		"connection cut":        {driver.ErrBadConn, false, "the connection is lost"},
		"deadlock":              {oracledb.Error(60, "deadlock detected while waiting for resource"), false, "vendorCode=60"},
		"full disk":             {oracledb.Error(1652, "unable to extend temp segment by 128 in tablespace TEMP"), false, "vendorCode=1652"},
		"right that is missing": {oracledb.Error(1031, "insufficient privileges"), true, "ORA-01031"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d, o := oracleOf(t, "CREATE TABLE T (ID NUMBER(10,0) NOT NULL)", "INSERT INTO T VALUES (1)")
			var mu sync.Mutex
			failed := false
			o.Hook(func(st oracledb.Statement) error {
				mu.Lock()
				defer mu.Unlock()
				if !reads(st) || failed && !c.final {
					return nil
				}
				failed = true
				return c.err
			})
			r := started(t, d.config(modeKey, incrementing, incrementingKey, "ID"))
			if c.final {
				require.ErrorContains(t, r.fails(t), c.says)
				return
			}
			require.Len(t, r.take(t, 1), 1)
			require.Contains(t, r.logs.String(), c.says)
		})
	}
	d, _ := oracleOf(t, "CREATE TABLE T (ID NUMBER(10,0) NOT NULL, N NUMBER(10,0) NOT NULL)", "INSERT INTO T VALUES (1, 1)") // 60
	r := started(t, d.config(modeKey, incrementing, incrementingKey, "N"))
	r.take(t, 1)
	d.do(t, "ALTER TABLE T DROP COLUMN N")
	require.ErrorContains(t, r.fails(t), "ORA-00904")
}
