package jdbcsink

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/tests/servers"
)

func TestCase10_the_table_of_coordinates(t *testing.T) {
	t.Parallel()
	besidesOracle(t, func(t *testing.T, d servers.Database) {
		b := start(t, d, "pk.mode=kafka", "auto.create=true")
		b.must(b.rec(none, item(1, "a")))
		types := map[string][]string{"postgresql": {"TEXT", "INT", "BIGINT", "INT", "TEXT"}, "mariadb": {"VARCHAR(255)", "INT", "BIGINT", "INT", "TEXT"}, "mysql": {"VARCHAR(255)", "INT", "BIGINT", "INT", "TEXT"},
			"sqlite": {"TEXT", "INTEGER", "INTEGER", "INTEGER", "TEXT"}, "sqlserver": {"varchar(900)", "int", "bigint", "int", "varchar(max)"}}[d.Like()]
		var columns []string
		for i, c := range []string{"__connect_topic", "__connect_partition", "__connect_offset", "id", "name"} {
			columns = append(columns, q(d, c)+" "+types[i]+map[bool]string{true: " NULL", false: " NOT NULL"}[c == "name"])
		}
		want := "CREATE TABLE " + shown(d, "orders") + " (\n" + strings.Join(columns, ",\n") + ",\nPRIMARY KEY(" + q(d, "__connect_topic") + "," + q(d, "__connect_partition") + "," + q(d, "__connect_offset") + "))"
		require.Contains(t, b.log.String(), strconv.Quote(want))
	})
}

// A field of each type makes a column, and what is written is what comes back.
func TestCase34_a_value_of_each_type(t *testing.T) {
	t.Parallel()
	besidesOracle(t, func(t *testing.T, d servers.Database) {
		b := start(t, d, "auto.create=true")
		least := int8(-8)
		if d.Product == "sqlserver" { // whose tinyint has no sign
			least = 8
		}
		columns := []any{"a", data.NewSchema(data.Int8), least, "b", data.NewSchema(data.Int16), int16(-16), "c", i32, int32(-32), "d", i64, int64(-1 << 60),
			"e", data.NewSchema(data.Float32), float32(1.5), "f", data.NewSchema(data.Float64), -2.25, "g", data.NewSchema(data.Boolean), true, "h", str, "it's 'x' ü €",
			"i", data.NewSchema(data.Bytes), []byte{0, 255, '\\'}, "j", data.DecimalSchema(2), data.NewDecimal(1250, 2), "k", data.DateSchema(), data.Instant(1709164800000)}
		if d.Like() != "mysql" { // 5.5 has no TIME(3), no DATETIME(3)
			columns = append(columns, "l", data.TimeSchema(), data.Instant(45296789), "m", data.TimestampSchema(), data.Instant(1719849600123))
		}
		b.must(b.rec(none, st(columns...)))
		query := map[string][2]string{
			"postgresql": {`SELECT a, b, c, d, e, f, g, h, encode(i, 'hex'), j, k::text, l::text, m::text FROM orders`,
				"-8|-16|-32|-1152921504606846976|1.5|-2.25|true|it's 'x' ü €|00ff5c|12.50|2024-02-29|12:34:56.789|2024-07-01 16:00:00.123"},
			"mariadb": {"SELECT a, b, c, d, e, f, g, h, lower(hex(i)), j, k, l, m FROM orders",
				"-8|-16|-32|-1152921504606846976|1.5|-2.25|1|it's 'x' ü €|00ff5c|12.50|2024-02-29|12:34:56.789|2024-07-01 16:00:00.123"},
			"mysql": {"SELECT a, b, c, d, e, f, g, h, lower(hex(i)), j, k FROM orders", "-8|-16|-32|-1152921504606846976|1.5|-2.25|1|it's 'x' ü €|00ff5c|12.50|2024-02-29"},
			"sqlite": {"SELECT a, b, c, d, e, f, g, h, lower(hex(i)), j, k, l, m FROM orders",
				"-8|-16|-32|-1152921504606846976|1.5|-2.25|1|it's 'x' ü €|00ff5c|12.5|1709164800000|45296789|1719849600123"},
			"sqlserver": {"SELECT a, b, c, d, e, f, g, h, i, j, k, l, m FROM orders", // varchar has no €
				"8|-16|-32|-1152921504606846976|1.5|-2.25|true|it's 'x' ü ?|\x00\xff\\|12.50|2024-02-29T00:00:00Z|0001-01-01T12:34:56.789Z|2024-07-01T16:00:00.123Z"},
		}[d.Like()]
		require.Equal(t, []string{query[1]}, d.Rows(t, query[0]))
	})
}

func TestCase49_a_name_in_another_case(t *testing.T) {
	t.Parallel()
	d := servers.PostgresDatabase(t) // which makes lower case of names without quotes, as Oracle makes upper case
	d.Exec(t, "CREATE TABLE orders (id INT, name VARCHAR(50))")
	b := start(t, d)
	b.topic = "ORDERS"
	require.ErrorContains(t, b.put(b.rec(none, item(1, "a"))), `A table named "orders" exists; check case, quote.sql.identifiers and table.name.format`)
	b = start(t, d, "quote.sql.identifiers=never")
	b.topic = "ORDERS"
	b.must(b.rec(none, item(1, "a")))
	require.Equal(t, "1", ids(t, d))
}

// spied makes a table of orders whose trigger notes each statement with its transaction; an upsert is an insert too.
const spied = `CREATE TABLE orders (id INT PRIMARY KEY, name VARCHAR(50));
CREATE TABLE seen (tx BIGINT, statement TEXT);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (txid_current(), current_query()); RETURN NULL; END $$;
CREATE TRIGGER spy AFTER INSERT OR DELETE ON orders FOR EACH STATEMENT EXECUTE FUNCTION note()`

// Behind a pooler the database may have another name than the server knows (#1528): statements name only what was given.
func TestCase07and50_statements_name_no_database(t *testing.T) {
	t.Parallel()
	d := servers.PostgresDatabase(t)
	d.Exec(t, spied)
	b := start(t, d)
	b.must(b.rec(none, item(1, "a")))
	b = start(t, d, "insert.mode=upsert", "pk.mode=record_key", "pk.fields=id", "delete.enabled=true")
	b.must(b.rec(long(1), name("b")))
	b.must(b.rec(long(1), none))
	require.Equal(t, []string{`INSERT INTO "orders" ("id","name") VALUES ($1,$2)`, `INSERT INTO "orders" ("id","name") VALUES ($1,$2) ON CONFLICT ("id") DO UPDATE SET "name"=EXCLUDED."name"`,
		`DELETE FROM "orders" WHERE "id" = $1`}, d.Rows(t, "SELECT statement FROM seen"))
}

func TestCase57_ten_flushes_and_one_commit(t *testing.T) {
	t.Parallel()
	d := servers.PostgresDatabase(t)
	d.Exec(t, spied)
	for _, mode := range []string{"insert", "upsert"} {
		d.Exec(t, "DELETE FROM orders;\nDELETE FROM seen")
		b := start(t, d, "batch.size=100", "insert.mode="+mode, "pk.mode=record_value", "pk.fields=id")
		var batch []record.Sink
		for n := range 1000 {
			batch = append(batch, b.rec(none, item(int32(n), "a")))
		}
		b.must(batch...)
		require.Equal(t, []string{"10|1"}, d.Rows(t, "SELECT count(*), count(DISTINCT tx) FROM seen"), mode)
	}
}
