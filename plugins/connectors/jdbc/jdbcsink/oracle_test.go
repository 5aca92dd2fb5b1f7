package jdbcsink

import (
	"database/sql/driver"
	"strings"
	"testing"

	ora "github.com/sijms/go-ora/v2"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/tests/oracledb"
)

// What is Oracle's own runs against what stands in for it and its driver.

func TestCase20_a_long_text_into_a_CLOB(t *testing.T) {
	t.Parallel()
	d, o := standInOracle(t)
	d.Exec(t, `CREATE TABLE "orders" ("id" NUMBER(10,0) PRIMARY KEY, "name" CLOB, "b" BLOB, "n" NVARCHAR2(50))`)
	b := start(t, d, "quote.sql.identifiers=always", "insert.mode=upsert", "pk.mode=record_value", "pk.fields=id")
	long := strings.Repeat("x", 10_000)
	bytes := data.NewSchema(data.Bytes, data.Optional())
	b.must(b.rec(none, st("id", i32, int32(1), "name", ostr, long, "b", bytes, make([]byte, 10_000), "n", ostr, "ü€")))
	b.must(b.rec(none, st("id", i32, int32(2), "name", ostr, nil, "b", bytes, nil, "n", ostr, nil)))
	require.Equal(t, []string{"1|10000|10000|ü€", "2|null|null|null"}, d.Rows(t, `SELECT "id", length("name"), length("b"), "n" FROM "orders" ORDER BY 1`))
	for _, s := range o.Statements() {
		if strings.HasPrefix(s.Text, "merge") {
			require.Equal(t, ora.Clob{String: long, Valid: true}, s.Args[1])
			require.Equal(t, ora.NVarChar("ü€"), s.Args[3])
			break
		}
	}
}

func TestCase49_names_of_Oracle(t *testing.T) {
	t.Parallel()
	d, _ := standInOracle(t)
	d.Exec(t, "CREATE TABLE ORDERS (ID NUMBER(10,0), NAME VARCHAR2(50))")
	b := start(t, d, "quote.sql.identifiers=always")
	require.ErrorContains(t, b.put(b.rec(none, item(1, "a"))), `Table "orders" is missing and auto-creation is disabled. A table named "ORDERS" exists; check case, quote.sql.identifiers and table.name.format`)
	b = start(t, d)
	b.must(b.rec(none, item(1, "a")))
	require.Equal(t, []string{"1|a"}, d.Rows(t, "SELECT ID, NAME FROM ORDERS"))
}

func TestCase54_nanoseconds_of_Oracle(t *testing.T) {
	t.Parallel()
	d, _ := standInOracle(t)
	b := start(t, d, "quote.sql.identifiers=always", "auto.create=true", "timestamp.fields.list=ts", "timestamp.precision.mode=nanoseconds")
	b.must(b.rec(none, st("id", i32, int32(1), "ts", i64, int64(1719849600123456789))))
	require.Contains(t, b.log.String(), "TIMESTAMP(9)")
	require.Equal(t, []string{"2024-07-01T16:00:00.123456789+02:00"}, d.Rows(t, `SELECT "ts" FROM "orders"`), "in the zone that the driver takes the clock for")
}

func TestCase10and34_a_table_of_each_type_of_Oracle(t *testing.T) {
	t.Parallel()
	d, _ := standInOracle(t)
	b := start(t, d, "quote.sql.identifiers=always", "auto.create=true", "pk.mode=kafka")
	b.must(b.rec(none, st("a", data.NewSchema(data.Int8), int8(-8), "b", data.NewSchema(data.Int16), int16(-16), "c", i32, int32(-32), "d", i64, int64(-1<<60),
		"e", data.NewSchema(data.Float32), float32(1.5), "f", data.NewSchema(data.Float64), -2.25, "g", data.NewSchema(data.Boolean), true, "h", str, "it's 'x' ü €",
		"i", data.NewSchema(data.Bytes), []byte{0, 255, '\\'}, "j", data.DecimalSchema(2), data.NewDecimal(1250, 2), "k", data.DateSchema(), data.Instant(1709164800000),
		"l", data.TimeSchema(), data.Instant(45296000), "m", data.TimestampSchema(), data.Instant(1719849600123))))
	require.Contains(t, b.log.String(), `\"__connect_topic\" VARCHAR2(1000) NOT NULL,\n\"__connect_partition\" NUMBER(10,0) NOT NULL,\n\"__connect_offset\" NUMBER(19,0) NOT NULL,`)
	require.Equal(t, []string{"orders|3|1|-8|-16|-32|-1152921504606846976|1.5|-2.25|1|it's 'x' ü €|\x00\xff\\|12.5|2024-02-29T00:00:00+02:00|1970-01-01T12:34:56+02:00|2024-07-01T16:00:00.123+02:00"},
		d.Rows(t, `SELECT * FROM "orders"`))
	require.Error(t, b.put(b.rec(none, st("s", data.StructOf(nil), data.NewStruct(data.StructOf(nil))))))
}

func TestFaults_of_Oracle(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		err   error
		fails bool
	}{
		"session killed":        {oracledb.Error(28, "your session has been killed"), false},
		"deadlock":              {oracledb.Error(60, "deadlock detected while waiting for resource"), false},
		"full disk":             {oracledb.Error(1653, "unable to extend table SCOTT.ORDERS by 128 in tablespace USERS"), false},
		"connection cut":        {driver.ErrBadConn, false},
		"right that is missing": {oracledb.Error(1031, "insufficient privileges"), true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			d, o := standInOracle(t)
			d.Exec(t, `CREATE TABLE "orders" ("id" NUMBER(10,0) PRIMARY KEY, "name" VARCHAR2(50))`)
			left := 1
			o.Hook(func(st oracledb.Statement) error {
				if strings.HasPrefix(st.Text, "INSERT") && (c.fails || left > 0) {
					left--
					return c.err
				}
				return nil
			})
			b := start(t, d, "quote.sql.identifiers=always", "max.retries=3", "retry.backoff.ms=1")
			b.dlq = &deadLetters{}
			err := b.put(b.rec(none, item(1, "a")), b.rec(none, item(2, "b")))
			o.Hook(nil)
			require.Empty(t, b.dlq.records, "no record is bad")
			if c.fails {
				require.ErrorContains(t, err, "ORA-01031")
				require.Equal(t, 4, b.tries)
				return
			}
			require.NoError(t, err)
			require.Equal(t, 2, b.tries)
			require.Equal(t, []string{"1|a", "2|b"}, d.Rows(t, `SELECT "id", "name" FROM "orders" ORDER BY 1`))
		})
	}
}
