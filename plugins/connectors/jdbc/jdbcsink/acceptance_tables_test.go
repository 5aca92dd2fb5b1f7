package jdbcsink

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/tests/servers"
)

func TestCase33_missing_table(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		b := start(t, d, "max.retries=5")
		require.EqualError(t, b.put(b.rec(none, item(1, "a"))), "Table "+shown(d, "orders")+" is missing and auto-creation is disabled")
		require.Equal(t, 1, b.tries)
		b.dlq = &deadLetters{}
		b.must(b.rec(none, item(1, "a")))
		require.Len(t, b.dlq.records, 1)
		if d.Product == "postgresql" { // 49: names differ in case
			d.Exec(t, `CREATE TABLE "ORDERS" (id INT)`)
			b.dlq = nil
			require.ErrorContains(t, b.put(b.rec(none, item(1, "a"))), `A table named "ORDERS" exists; check case, quote.sql.identifiers and table.name.format`)
		}
	})
}

func TestCase35and36_columns_that_are_made(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		b := start(t, d, "auto.create=true", "pk.mode=record_value", "pk.fields=r")
		columns := []any{"o", oi32, int32(1), "r", i32, int32(2), "d", data.NewSchema(data.Int32, data.DefaultValue(int32(5))), int32(7), "t", data.NewSchema(data.String, data.DefaultValue("it's")), "x",
			"y", data.NewSchema(data.Boolean, data.DefaultValue(true)), false, "b", data.NewSchema(data.Bytes, data.DefaultValue([]byte{10, 11})), []byte{1}}
		if d.Like() != "mysql" { // 5.5 has no DATETIME(3)
			columns = append(columns, "at", data.TimestampSchema(data.DefaultValue(data.Instant(0))), data.Instant(1000))
		}
		b.must(b.rec(none, st(columns...)))
		log := b.log.String()
		require.Contains(t, log, "NULL,")
		if d.Like() != "mariadb" && d.Like() != "mysql" { // no default for TEXT there
			require.Contains(t, log, "DEFAULT 'it''s'")
			d.Exec(t, "INSERT INTO orders (r) VALUES (9)")
			require.Equal(t, []string{"null|9|5|it's"}, d.Rows(t, "SELECT o, r, d, t FROM orders WHERE r = 9"))
		}
		require.Contains(t, log, "DEFAULT 5")
		if d.Product == "postgresql" {
			require.Equal(t, []string{`\x0a0b|1970-01-01 00:00:00|true`}, d.Rows(t, "SELECT b::text, at::text, y::text FROM orders WHERE r = 9"))
		}
	})
}

func TestCase37and38_evolve(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, orders)
		b := start(t, d, "auto.evolve=true")
		wider := st("id", i32, int32(2), "name", ostr, "b", "c", oi32, int32(3), "d", ostr, "x")
		b.must(b.rec(none, item(1, "a")), b.rec(none, wider), b.rec(none, item(4, "c")))
		require.Equal(t, []string{"1|a|null|null", "2|b|3|x", "4|c|null|null"}, d.Rows(t, "SELECT id, name, c, d FROM orders ORDER BY id"))
		required := st("id", i32, int32(2), "e", i32, int32(3))
		require.EqualError(t, b.put(b.rec(none, required)), "Cannot ALTER TABLE "+shown(d, "orders")+" to add missing field SinkRecordField{schema=Schema{INT32}, name='e', isPrimaryKey=false}, "+
			"as the field is not optional and does not have a default value")
		b = start(t, d)
		require.EqualError(t, b.put(b.rec(none, st("f", ostr, "x"))), "Table "+shown(d, "orders")+" is missing fields ([SinkRecordField{schema=Schema{STRING}, name='f', isPrimaryKey=false}]) and auto-evolution is disabled")
		d.Exec(t, "ALTER TABLE orders ADD f VARCHAR(5)") // 40
		b.must(b.rec(none, st("f", ostr, "x")))
		require.Equal(t, []string{"1"}, d.Rows(t, "SELECT count(*) FROM orders WHERE f = 'x'"))
	})
}

func TestCase39_two_tasks_create_a_table(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		var wg sync.WaitGroup
		for i := range 3 {
			b := start(t, d, "auto.create=true", "auto.evolve=true", "max.retries=20")
			r := b.rec(none, item(int32(i), "a"))
			wg.Go(func() {
				if err := b.put(r); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, []string{"3"}, d.Rows(t, "SELECT count(*) FROM orders"))
	})
}

func TestCase41_views(t *testing.T) {
	t.Parallel()
	for _, d := range []servers.Database{servers.PostgresDatabase(t), servers.MariaDBDatabase(t), servers.MySQLDatabase(t)} {
		d.Exec(t, "CREATE TABLE base (id INT, name VARCHAR(50));\nCREATE VIEW orders AS SELECT id, name FROM base")
		shut := start(t, d, "auto.create=true")
		require.ErrorContains(t, shut.put(shut.rec(none, item(0, "z"))), "is a VIEW and table.types has only TABLE")
		views := start(t, d, "table.types=VIEW", "table.name.format=base")
		require.ErrorContains(t, views.put(views.rec(none, item(0, "z"))), "is a TABLE and table.types has only VIEW")
		b := start(t, d, "table.types=VIEW", "auto.evolve=true")
		b.must(b.rec(none, item(1, "a")), b.rec(none, item(2, "b")))
		require.Equal(t, []string{"1|a", "2|b"}, d.Rows(t, "SELECT id, name FROM base"))
		require.ErrorContains(t, b.put(b.rec(none, st("x", ostr, "1"))), "and ALTER VIEW is unsupported")
	}
}

func TestCase42to44_types_that_are_made(t *testing.T) {
	t.Parallel()
	besidesOracle(t, func(t *testing.T, d servers.Database) {
		b := start(t, d, "auto.create=true", "pk.mode=record_key", "pk.fields=k")
		b.must(b.rec(text("x"), name("a")))
		require.Contains(t, b.log.String(), map[string]string{"postgresql": "TEXT NOT NULL", "mariadb": "VARCHAR(255) NOT NULL", "mysql": "VARCHAR(255) NOT NULL", "sqlite": "TEXT NOT NULL", "sqlserver": "varchar(900) NOT NULL"}[d.Like()])

		b.topic = "nested"
		inner := data.StructOf([]data.Field{{Name: "a", Schema: i32}})
		iv := data.NewStruct(inner)
		iv.SetAt(0, int32(1))
		nested := st("s", inner, iv)
		require.EqualError(t, b.put(b.rec(text("x"), nested)), "null (STRUCT) type doesn't have a mapping to the SQL database column type")

		b.topic = "arrays"
		list := st("l", data.ArrayOf(str), []any{"a", `b"\`})
		if d.Product == "postgresql" {
			b.must(b.rec(text("x"), list), b.rec(text("y"), list))
			require.Contains(t, b.log.String(), "TEXT[]")
			require.Equal(t, []string{`a/b"\`, `a/b"\`}, d.Rows(t, "SELECT array_to_string(l, '/') FROM arrays"))
		} else {
			require.EqualError(t, b.put(b.rec(text("x"), list)), "null (ARRAY) type doesn't have a mapping to the SQL database column type")
		}
		b = start(t, d, "auto.create=true", "complex.fields=json")
		b.topic = "texts"
		b.must(b.rec(none, nested))
		require.Equal(t, []string{`{"a":1}`}, d.Rows(t, "SELECT s FROM texts"))
	})
}

func TestCase45to48_names(t *testing.T) {
	t.Parallel()
	besidesOracle(t, func(t *testing.T, d servers.Database) {
		b := start(t, d, "table.name.format=kafka_${topic}", "auto.create=true")
		b.must(b.rec(none, item(1, "a")))
		require.Equal(t, []string{"1"}, d.Rows(t, "SELECT id FROM kafka_orders"))
		quoted := start(t, d, "table.name.format="+q(d, "${topic}"), "auto.create=true")
		quoted.topic = "sales.orders"
		quoted.must(quoted.rec(none, item(1, "a")))
		require.Equal(t, []string{"1"}, d.Rows(t, "SELECT id FROM "+q(d, "sales.orders")))
		if d.Product == "postgresql" {
			d.Exec(t, "CREATE SCHEMA sales")
			b = start(t, d, "auto.create=true")
			b.topic = "sales.orders"
			b.must(b.rec(none, item(1, "a")))
			require.Contains(t, b.log.String(), `\"sales\".\"orders\"`)
			require.Equal(t, []string{"1"}, d.Rows(t, "SELECT id FROM sales.orders"))
		}
		b = start(t, d)
		b.topic = "a.b.c.d"
		require.EqualError(t, b.put(b.rec(none, item(1, "a"))), "Table name 'a.b.c.d' has more than three parts. Quote it in table.name.format or use a transform to rename the topic.")
		b = start(t, d, "table.name.normalize=true", "auto.create=true", "topics.to.tables.mapping=t:mapped")
		b.topic = "my-topic.v1"
		b.must(b.rec(none, item(1, "a")))
		b.topic = "t"
		b.must(b.rec(none, item(2, "a")))
		require.Equal(t, []string{"1"}, d.Rows(t, "SELECT id FROM my_topic_v1"))
		require.Equal(t, []string{"2"}, d.Rows(t, "SELECT id FROM mapped"))
	})
}

func TestColumns_of_other_case_have_the_tables_spelling(t *testing.T) {
	t.Parallel()
	d := servers.PostgresDatabase(t)
	d.Exec(t, `CREATE TABLE orders ("ID" INT PRIMARY KEY, "Name" TEXT)`)
	b := start(t, d, "insert.mode=upsert", "pk.mode=record_value", "pk.fields=id")
	b.must(b.rec(none, item(1, "a")), b.rec(none, item(2, "b")))
	require.Equal(t, []string{"1|a", "2|b"}, d.Rows(t, `SELECT "ID", "Name" FROM orders ORDER BY 1`))
}

func TestCase51to56_values(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, map[string]string{
			"postgresql": "CREATE TABLE orders (id INT, ts TIMESTAMP, tz TIMESTAMPTZ, d DATE, du DATE, n DECIMAL(10,2), us TIMESTAMP, i INT DEFAULT 1)",
			"mariadb":    "CREATE TABLE orders (id INT, ts DATETIME(6), tz DATETIME(6), d DATE, du DATE, n DECIMAL(10,2), us DATETIME(6), i INT DEFAULT 1)",
			"mysql":      "CREATE TABLE orders (id INT, ts DATETIME, tz DATETIME, d DATE, du DATE, n DECIMAL(10,2), us DATETIME, i INT DEFAULT 1)", // 5.5 has whole seconds
			"sqlite":     "CREATE TABLE orders (id INT, ts NUMERIC, tz NUMERIC, d NUMERIC, du NUMERIC, n NUMERIC, us NUMERIC, i INT DEFAULT 1)",
			"sqlserver":  "CREATE TABLE orders (id INT, ts DATETIME2, tz DATETIMEOFFSET, d DATE, du DATE, n DECIMAL(10,2), us DATETIME2, i INT DEFAULT 1)",
			"oracle":     "CREATE TABLE orders (id INT, ts TIMESTAMP, tz TIMESTAMP WITH TIME ZONE, d DATE, du DATE, n NUMBER(10,2), us TIMESTAMP(6), i INT DEFAULT 1)"}[d.Like()])
		at, day := data.Instant(1719849600000), data.Instant(1709164800000)
		five := data.NewSchema(data.Int32, data.Optional(), data.DefaultValue(int32(5)))
		fields := []any{"id", i32, int32(1), "ts", data.TimestampSchema(), at, "tz", data.TimestampSchema(), at, "d", data.DateSchema(), day, "n", data.DecimalSchema(2), data.NewDecimal(1250, 2),
			"us", i64, int64(1719849600123456), "i", five, nil}
		zone := []string{"db.timezone=America/New_York", "timestamp.fields.list=us"}
		b := start(t, d, zone...)
		b.must(b.rec(none, st(fields...)))
		fields[2] = int32(2)
		b = start(t, d, append(zone, "date.timezone=utc", "replace.null.with.default=false")...)
		b.must(b.rec(none, st(fields...)))
		query := map[string]string{"postgresql": "SELECT id, ts::text, tz = '2024-07-01 16:00:00Z', d::text, n, us::text, i FROM orders ORDER BY id",
			"mariadb": "SELECT id, ts, tz, d, n, us, i FROM orders ORDER BY id", "mysql": "SELECT id, ts, tz, d, n, us, i FROM orders ORDER BY id", "sqlite": "SELECT id, ts, tz, d, n, us, i FROM orders ORDER BY id",
			"sqlserver": "SELECT id, ts, tz, d, n, us, i FROM orders ORDER BY id", "oracle": "SELECT id, ts, tz, d, n, us, i FROM orders ORDER BY id"}[d.Like()]
		want := map[string][]string{
			"postgresql": {"1|2024-07-01 12:00:00|true|2024-02-28|12.50|2024-07-01 12:00:00.123456|5", "2|2024-07-01 12:00:00|true|2024-02-29|12.50|2024-07-01 12:00:00.123456|null"},
			"mariadb": {"1|2024-07-01 12:00:00.000000|2024-07-01 12:00:00.000000|2024-02-28|12.50|2024-07-01 12:00:00.123456|5",
				"2|2024-07-01 12:00:00.000000|2024-07-01 12:00:00.000000|2024-02-29|12.50|2024-07-01 12:00:00.123456|null"},
			"mysql":  {"1|2024-07-01 12:00:00|2024-07-01 12:00:00|2024-02-28|12.50|2024-07-01 12:00:00|5", "2|2024-07-01 12:00:00|2024-07-01 12:00:00|2024-02-29|12.50|2024-07-01 12:00:00|null"},
			"sqlite": {"1|1719849600000|1719849600000|1709164800000|12.5|1719849600123|5", "2|1719849600000|1719849600000|1709164800000|12.5|1719849600123|null"},
			"sqlserver": {"1|2024-07-01T12:00:00Z|2024-07-01T16:00:00Z|2024-02-28T00:00:00Z|12.50|2024-07-01T12:00:00.123456Z|5",
				"2|2024-07-01T12:00:00Z|2024-07-01T16:00:00Z|2024-02-29T00:00:00Z|12.50|2024-07-01T12:00:00.123456Z|null"},
			"oracle": { // clocks in the zone that the driver takes them for
				"1|2024-07-01T12:00:00+02:00|2024-07-01T16:00:00Z|2024-02-28T00:00:00+02:00|12.5|2024-07-01T12:00:00.123456+02:00|5",
				"2|2024-07-01T12:00:00+02:00|2024-07-01T16:00:00Z|2024-02-29T00:00:00+02:00|12.5|2024-07-01T12:00:00.123456+02:00|null"}}[d.Like()]
		require.Equal(t, want, d.Rows(t, query))
		if d.Product == "postgresql" {
			b = start(t, d, "timestamp.fields.list=us", "timestamp.precision.mode=nanoseconds")
			b.must(b.rec(none, st("id", i32, int32(3), "us", str, "1719849600123456789")))
			require.Equal(t, []string{"2024-07-01 16:00:00.123457"}, d.Rows(t, "SELECT us::text FROM orders WHERE id = 3"))
			require.ErrorContains(t, b.put(b.rec(none, st("id", i32, int32(3), "us", str, "soon"))), `"soon": a whole number is expected`)
		}
	})
}
