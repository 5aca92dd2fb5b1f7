package jdbcsource

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
)

// shapes are the fields of a schema, one a line.
func shapes(r record.Source) (all []string) {
	for _, f := range r.ValueSchema.Fields() {
		line := f.Name + " " + strings.ToUpper(f.Schema.Type().String())
		if n := f.Schema.Name(); n != "" {
			line += " " + n[strings.LastIndex(n, ".")+1:]
		}
		for k, v := range f.Schema.Params() {
			line += " " + k + "=" + v
		}
		if f.Schema.Optional() {
			line += " optional"
		}
		all = append(all, line)
	}
	return all
}

// one reads the one row of a table or query.
func one(t *testing.T, d testDB, more ...string) record.Source {
	t.Helper()
	return started(t, d.config(append([]string{zoneKey, "UTC"}, more...)...)).take(t, 1)[0]
}

func TestCase_45_types_of_Postgres(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TYPE mood AS ENUM ('sad', 'happy')", "CREATE DOMAIN age AS int NOT NULL", "CREATE DOMAIN word AS text", "CREATE TYPE pair AS (a int, b int)",
		`CREATE TABLE t (s2 smallint NOT NULL, s4 serial, i4 int, i8 bigint, o oid, r real, d double precision, n numeric(10,2), m money, b boolean, b1 bit(1), b8 bit(8), b12 bit(12), vb varbit(5),
		 c char(4), v varchar(10), x text, nm name, q "char", by bytea, dt date, tm time, tz timetz, ts timestamp, tstz timestamptz, j json, jb jsonb, u uuid, xm xml, e mood, dom age, w word,
		 arr int[], iv interval, ip inet, pt point, rg int4range, tsv tsvector, co pair)`,
		`INSERT INTO t VALUES (2, 4, 44, 88, 26, 1.5, 2.5, 12.5, '-$1,234.50', true, B'1', B'10000001', B'101010101010', B'101', 'ab', 'vc', 'tx', 'nm', 'q', '\x00ff', '2024-02-29', '10:00:00.123456',
		 '10:00:00+02', '2024-07-01 12:00:00.123456', '2024-07-01 12:00:00+02', '{"a":1}', '{"b": 2}', '12345678-1234-1234-1234-123456789abc', '<a/>', 'happy', 33, 'w',
		 '{1,2}', '1 day', '127.0.0.1', '(1,2)', '[1,5)', 'a b', '(1,2)')`)
	r := started(t, d.config())
	got := r.take(t, 80)
	require.Equal(t, strings.Split(`s2 INT16
s4 INT32
i4 INT32 optional
i8 INT64 optional
o INT64 optional
r FLOAT32 optional
d FLOAT64 optional
n BYTES Decimal scale=2 connect.decimal.precision=10 optional
m FLOAT64 optional
b BOOLEAN optional
b1 BOOLEAN optional
b8 INT8 optional
b12 BYTES optional
c STRING optional
v STRING optional
x STRING optional
nm STRING optional
q STRING optional
by BYTES optional
dt INT32 Date optional
tm INT32 Time optional
tz INT32 Time optional
ts INT64 Timestamp optional
tstz INT64 Timestamp optional
j STRING optional
jb STRING optional
u STRING optional
xm STRING optional
e STRING optional
dom INT32
w STRING optional`, "\n"), shapes(got[0]))
	require.Equal(t, []string{`{"s2":2,"s4":4,"i4":44,"i8":88,"o":26,"r":1.5,"d":2.5,"n":12.50,"m":-1234.5,"b":true,"b1":true,"b8":-127,"b12":"MTAxMDEwMTAxMDEw","c":"ab  ","v":"vc","x":"tx","nm":"nm","q":"q",` +
		`"by":"AP8=","dt":19782,"tm":36000123,"tz":28800000,"ts":1719835200123,"tstz":1719828000000,"j":"{\"a\":1}","jb":"{\"b\": 2}","u":"12345678-1234-1234-1234-123456789abc","xm":"<a/>","e":"happy","dom":33,"w":"w"}`},
		texts(t, got[:1]))
	for _, c := range []string{"vb", "arr", "iv", "ip", "pt", "rg", "tsv", "co"} {
		require.Equal(t, 1, strings.Count(r.logs.String(), "JDBC type of column "+c+" ("), "one warning, not one a poll: %s", c)
	}
	asText := one(t, d, unsupportedKey, "string")
	require.Equal(t, "{1,2}", value(t, asText, "arr"))
	require.Equal(t, "1 day", value(t, asText, "iv"))
	require.Equal(t, "127.0.0.1", value(t, asText, "ip"))
	d.do(t, "DELETE FROM t", "INSERT INTO t (s2, s4, dom, ts, dt) VALUES (1, 1, 1, 'infinity', '-infinity')")
	odd := one(t, d)
	require.Equal(t, data.Instant(9223372036825200000), value(t, odd, "ts"))
	require.Nil(t, value(t, odd, "v"))
}

func TestCases_46_and_47_numbers(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (n numeric(10,2), w numeric(20,5), f numeric, i numeric(8,0))", "INSERT INTO t VALUES (12.5, 1.00001, 12345678901234567890.5, 7)")
	r := one(t, d)
	require.Equal(t, data.NewDecimal(1250, 2), value(t, r, "n"))
	require.Equal(t, "n BYTES Decimal scale=2 connect.decimal.precision=10 optional", shapes(r)[0])
	require.Equal(t, "f BYTES Decimal scale=127 connect.decimal.precision=0 optional", shapes(r)[2])
	r = one(t, d, numericKey, "best_fit")
	require.Equal(t, []any{12.5, 12345678901234567890.5, int32(7)}, []any{value(t, r, "n"), value(t, r, "f"), value(t, r, "i")})
	require.Equal(t, 1.00001, value(t, one(t, d, numericKey, "best_fit_eager_double"), "w"))
	require.Equal(t, int32(7), value(t, one(t, d, precisionKey, "true"), "i"))
	for _, open := range []func(*testing.T, ...string) testDB{maria, mysqlDB} {
		m := open(t, "CREATE TABLE t (n decimal(10,2))", "INSERT INTO t VALUES (12.5)")
		require.Equal(t, data.NewDecimal(1250, 2), value(t, one(t, m, numericKey, "best_fit"), "n"), "DECIMAL is not NUMERIC")
		require.Equal(t, 12.5, value(t, one(t, m, numericKey, "best_fit", decimalToo, "true"), "n"))
	}
}

func TestCases_48_to_50_types_of_MySQL(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, open func(*testing.T, ...string) testDB) {
		fit := strings.NewReplacer()
		if strings.HasSuffix(t.Name(), "/mysql") { // 5.5, which has no JSON and no fractions of seconds
			fit = strings.NewReplacer("time(3)", "time", "datetime(6)", "datetime", " j json,", "", ` '{"a":1}',`, "", "j STRING optional\n", "", `"j":"{\"a\":1}",`, "",
				"36000123", "36000000", "1719835200123", "1719835200000")
		}
		today := strings.HasSuffix(t.Name(), "/mysqltoday")
		if today { // which writes JSON its own way
			fit = strings.NewReplacer(`"j":"{\"a\":1}"`, `"j":"{\"a\": 1}"`)
		}
		d := open(t, fit.Replace(`CREATE TABLE t (b tinyint(1), t4 tinyint(4), tu tinyint unsigned, s smallint, su smallint unsigned, mi mediumint, mu mediumint unsigned, i int, iu int unsigned, l bigint, lu bigint unsigned,
		n decimal(10,2), f float, d double, b1 bit(1), b7 bit(7), y year, dt date, tm time(3), ts timestamp NULL, dtm datetime(6), c char(3), v varchar(9) NOT NULL, x text, e enum('a','b'), st set('a','b'), j json, bi binary(2), bl blob)`),
			fit.Replace(`INSERT INTO t VALUES (1, 4, 255, -2, 65535, -3, 16777215, -4, 4294967295, -5, 9223372036854775807, 12.5, 1.5, 2.5, b'1', b'1010101', 2024, '2024-02-29', '10:00:00.123', '2024-07-01 12:00:00',
		 '2024-07-01 12:00:00.123456', 'abc', 'vc', 'tx', 'b', 'a,b', '{"a":1}', x'00ff', x'01')`))
		r := one(t, d)
		require.Equal(t, strings.Split(fit.Replace(`b INT8 optional
t4 INT8 optional
tu INT16 optional
s INT16 optional
su INT32 optional
mi INT32 optional
mu INT64 optional
i INT32 optional
iu INT64 optional
l INT64 optional
lu INT64 optional
n BYTES Decimal scale=2 connect.decimal.precision=10 optional
f FLOAT32 optional
d FLOAT64 optional
b1 INT8 optional
b7 INT8 optional
y INT32 Date optional
dt INT32 Date optional
tm INT32 Time optional
ts INT64 Timestamp optional
dtm INT64 Timestamp optional
c STRING optional
v STRING
x STRING optional
e STRING optional
st STRING optional
j STRING optional
bi BYTES optional
bl BYTES optional`), "\n"), shapes(r))
		require.Equal(t, []string{fit.Replace(`{"b":1,"t4":4,"tu":255,"s":-2,"su":65535,"mi":-3,"mu":16777215,"i":-4,"iu":4294967295,"l":-5,"lu":9223372036854775807,"n":12.50,"f":1.5,"d":2.5,"b1":1,"b7":85,"y":19723,"dt":19782,` +
			`"tm":36000123,"ts":1719835200000,"dtm":1719835200123,"c":"abc","v":"vc","x":"tx","e":"b","st":"a,b","j":"{\"a\":1}","bi":"AP8=","bl":"AQ=="}`)}, texts(t, []record.Source{r}))
		bool1 := d
		bool1.url += "?transformedBitIsBoolean=true"
		require.Equal(t, true, value(t, one(t, bool1), "b"))
		bool1.url = strings.Replace(d.url, "jdbc:mysql:", "jdbc:mariadb:", 1)
		require.Equal(t, []any{true, true}, []any{value(t, one(t, bool1), "b"), value(t, one(t, bool1), "b1")})
		require.Equal(t, int8(1), value(t, one(t, d, "connection.tinyInt1isBit", "false"), "b"))
		require.Equal(t, int32(2024), value(t, one(t, d, "connection.yearIsDateType", "false"), "y"))

		d.do(t, "CREATE TABLE big (lu bigint unsigned)", "INSERT INTO big VALUES (18446744073709551615)")
		err := started(t, d.config(whitelistKey, "big")).fails(t)
		require.ErrorContains(t, err, "Error while processing table querier")
		full := "bigint(20) unsigned"
		if today { // which tells no widths
			full = "bigint unsigned"
		}
		require.ErrorContains(t, err, "column lu ("+full+") of "+d.name+".big")

		d.do(t, "SET SESSION sql_mode = ''", "CREATE TABLE z (dt datetime, d date)")
		_, sqlErr := d.ExecContext(t.Context(), "SET GLOBAL sql_mode = ''") // of connections that come
		require.NoError(t, sqlErr)
		fresh := testDB{DB: opened(t, "mysql", "root@tcp("+strings.TrimPrefix(strings.TrimSuffix(d.url, "/"+d.name), "jdbc:mysql://")+")/"+d.name), url: d.url, user: d.user, name: d.name}
		fresh.do(t, "INSERT INTO z VALUES ('0000-00-00', '0000-00-00')")
		null := d
		null.url += "?zeroDateTimeBehavior=CONVERT_TO_NULL"
		require.Equal(t, []string{`{"dt":null,"d":null}`}, texts(t, []record.Source{one(t, null, whitelistKey, "z")}))
		null.url = d.url + "?zeroDateTimeBehavior=round"
		require.Equal(t, []string{`{"dt":-62135769600000,"d":-719164}`}, texts(t, []record.Source{one(t, null, whitelistKey, "z")}))
		require.ErrorContains(t, started(t, d.config(whitelistKey, "z")).fails(t), "zero date 0000-00-00: set zeroDateTimeBehavior=CONVERT_TO_NULL")
	})
}

func TestCase_53_SQLite(t *testing.T) {
	t.Parallel()
	d := lite(t, "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, d TIMESTAMP NOT NULL, v TEXT)",
		"INSERT INTO t(d, v) VALUES ('2024-07-01 12:00:00', 'a'), ('2024-07-01T12:00:01.5', 'b'), ('2024-07-01 12:00:02.25', 'c')")
	r := started(t, d.config(modeKey, timestamp, timestampKey, "d"))
	got := r.take(t, 3)
	require.Equal(t, []string{`{"id":1,"d":1719835200000,"v":"a"}`, `{"id":2,"d":1719835201500,"v":"b"}`, `{"id":3,"d":1719835202250,"v":"c"}`}, texts(t, got))
	r.nothing(t)
	d.do(t, "INSERT INTO t(d, v) VALUES ('2024-07-01 12:00:03', 'd')")
	require.Equal(t, []int{4}, ids(t, r.take(t, 1)))

	d.do(t, "CREATE TABLE n(id INTEGER PRIMARY KEY, at DATETIME NOT NULL)", "INSERT INTO n(at) VALUES (1719835200000), (1719835201500)")
	r = started(t, d.config(whitelistKey, "n", modeKey, both, timestampKey, "at"))
	require.Equal(t, []string{`{"id":1,"at":1719835200000}`, `{"id":2,"at":1719835201500}`}, texts(t, r.take(t, 2)))
	r.nothing(t)
	d.do(t, "CREATE TABLE j(id INTEGER PRIMARY KEY, at DATETIME NOT NULL)", "INSERT INTO j(at) VALUES (julianday('2024-07-01 06:00:00')), (julianday('2024-07-01 12:00:01.5'))")
	r = started(t, d.config(whitelistKey, "j", modeKey, timestamp, timestampKey, "at"))
	require.Equal(t, []string{`{"id":1,"at":1719813600000}`, `{"id":2,"at":1719835201500}`}, texts(t, r.take(t, 2)))
	r.nothing(t)
}

func TestSQLite_types(t *testing.T) {
	t.Parallel()
	d := lite(t, `CREATE TABLE t (id INTEGER PRIMARY KEY, b BOOLEAN, ti TINYINT, s SMALLINT, l BIGINT, i INT, i4 INTEGER, d DATE, dc DECIMAL(10,2), db DOUBLE, n NUMERIC(5,0), r REAL, f FLOAT, v VARCHAR(5) NOT NULL, bl BLOB, odd THING, none)`,
		`INSERT INTO t VALUES (1, 1, 2, 3, 4, 5, 6, '2024-02-29', 12.5, 2.5, 7, 1.5, 3.5, 'v', x'00ff', 'text', 9)`)
	r := one(t, d, whitelistKey, "t")
	require.Equal(t, strings.Split(`id INT32
b BOOLEAN optional
ti INT16 optional
s INT32 optional
l INT64 optional
i INT64 optional
i4 INT32 optional
d INT32 Date optional
dc BYTES Decimal scale=2 connect.decimal.precision=10 optional
db FLOAT64 optional
n BYTES Decimal scale=0 connect.decimal.precision=5 optional
r FLOAT32 optional
f FLOAT64 optional
v STRING
bl BYTES optional
odd STRING optional
none INT64 optional`, "\n"), shapes(r))
	require.Equal(t, []string{`{"id":1,"b":true,"ti":2,"s":3,"l":4,"i":5,"i4":6,"d":19782,"dc":12.50,"db":2.5,"n":7,"r":1.5,"f":3.5,"v":"v","bl":"AP8=","odd":"text","none":9}`}, texts(t, []record.Source{r}))

	d.do(t, "CREATE TABLE w (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO w VALUES (1, 5), (2, 5000000000)")
	w := started(t, d.config(whitelistKey, "w", modeKey, incrementing))
	got := w.take(t, 2)
	require.Equal(t, []string{`{"id":1,"n":5}`, `{"id":2,"n":5000000000}`}, texts(t, got), "a number that needs it widens its field")
	require.Equal(t, "n INT32 optional", shapes(got[0])[1])
	require.Equal(t, "n INT64 optional", shapes(got[1])[1])
}

func TestCases_54_and_55_time_zones(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (ts timestamp, tz timestamptz)", "INSERT INTO t VALUES ('2024-07-01 12:00', '2024-07-01 12:00+00')")
	r := one(t, d, zoneKey, "America/New_York")
	require.Equal(t, []any{data.Instant(1719849600000), data.Instant(1719835200000)}, []any{value(t, r, "ts"), value(t, r, "tz")})
	r = one(t, d, zoneKey, "America/New_York", granularityKey, "micros_iso_datetime_string")
	require.Equal(t, []any{"2024-07-01T12:00:00.000000", "2024-07-01T08:00:00.000000"}, []any{value(t, r, "ts"), value(t, r, "tz")})
	for _, open := range []func(*testing.T, ...string) testDB{maria, mysqlDB} {
		m := open(t, "CREATE TABLE t (ts datetime)", "INSERT INTO t VALUES ('2024-07-01 12:00')")
		require.Equal(t, data.Instant(1719849600000), value(t, one(t, m, zoneKey, "America/New_York"), "ts"))
	}
}

func TestTimeZones_of_positions_and_rows_agree(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d testDB, create func(string)) {
		stamped(t, d, create)
		for _, z := range []string{"America/New_York", "Asia/Kolkata", "+14:00"} {
			c := d.config(modeKey, timestamp, timestampKey, "at", zoneKey, z)
			r := started(t, c)
			got := r.take(t, 3)
			r.nothing(t)
			require.Equal(t, []int{3}, ids(t, started(t, c, offsetOf(got[1].Partition, got[1].Offset)).take(t, 1)), z)
		}
	})
}

func TestCase_56_days(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (d date)", "INSERT INTO t VALUES ('2024-02-29')")
	require.Equal(t, data.Instant(19782*data.Day), value(t, one(t, d, zoneKey, "America/New_York"), "d"), "a day is in no zone")
	d.do(t, "UPDATE t SET d = '0001-01-01'")
	require.Equal(t, data.Instant(-719164*data.Day), value(t, one(t, d), "d"))
	require.Equal(t, data.Instant(-719162*data.Day), value(t, one(t, d, calendarKey, gregorian), "d"))
}

func TestTimes_of_day_stay_within_the_day(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (tm time)", "INSERT INTO t VALUES ('10:00'), ('00:30')")
	got := started(t, d.config(zoneKey, "Europe/Paris")).take(t, 2)
	require.Equal(t, []any{data.Instant(32_400_000), data.Instant(23.5 * 3_600_000)}, []any{value(t, got[0], "tm"), value(t, got[1], "tm")})
}

func TestCase_57_what_can_be_null(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]testDB{"postgres": pg(t), "mariadb": maria(t), "mysql": mysqlDB(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.do(t, "CREATE TABLE t (a varchar(5) NOT NULL, b varchar(5))", "INSERT INTO t VALUES ('a', 'b')")
			require.Equal(t, []string{"a STRING", "b STRING optional"}, shapes(one(t, d)))
			require.Equal(t, []string{"a STRING", "x STRING optional"}, shapes(one(t, d, queryKey, "SELECT a, concat(a, b) AS x FROM t")))
			require.ErrorContains(t, started(t, d.config(queryKey, "SELECT a, b AS a FROM t")).fails(t), "Cannot create field because of field name duplication a")
		})
	}
}

func TestTimestampColumn_that_is_none(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int NOT NULL, d date NOT NULL, s text NOT NULL)", "INSERT INTO t VALUES (1, now(), 'x')")
	require.ErrorContains(t, started(t, d.config(modeKey, timestamp, timestampKey, "d")).fails(t), "Timestamp column d of type date is not a timestamp")
	require.ErrorContains(t, started(t, d.config(modeKey, incrementing, incrementingKey, "s")).fails(t), fmt.Sprintf("Invalid type for incrementing column: %s", "text"))
}
