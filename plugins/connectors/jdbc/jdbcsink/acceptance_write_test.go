package jdbcsink

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/tests/servers"
)

// TestCase_n is the case n of what a JDBC sink is to do; every case that a database of ours can show runs against each.

const orders = "CREATE TABLE orders (id INT, name VARCHAR(50))"

func TestCase07to09_insert(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, orders)
		b := start(t, d)
		b.must(b.rec(none, item(1, "a")))
		require.Equal(t, []string{"1|a"}, d.Rows(t, "SELECT id, name FROM orders"))
		if d.Product == "postgresql" {
			require.Equal(t, `INSERT INTO "orders" ("id","name") VALUES ($1,$2)`, b.task.w.targets["orders"].shapes[0].writer.single)
		}
		b.must(b.rec(none, item(1, "a"))) // 8
		require.Equal(t, []string{"1|a", "1|a"}, d.Rows(t, "SELECT id, name FROM orders"))
		b = start(t, d, "fields.whitelist=id,absent") // 9
		b.must(b.rec(none, item(2, "b")))
		require.Equal(t, []string{"2|null"}, d.Rows(t, "SELECT id, name FROM orders WHERE id = 2"))
	})
}

func TestCase10and11_kafka_coordinates(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		b := start(t, d, "pk.mode=kafka", "auto.create=true")
		b.must(b.rec(none, item(1, "a")), b.rec(none, item(2, "b")))
		require.Equal(t, []string{"orders|3|1|1|a", "orders|3|2|2|b"}, d.Rows(t, "SELECT * FROM orders ORDER BY 3"))
		require.Contains(t, b.log.String(), "PRIMARY KEY(")
		b.offset = 0
		require.Error(t, b.put(b.rec(none, item(1, "a"))), "the key is taken")
		b = start(t, d, "pk.mode=kafka", "insert.mode=upsert")
		b.must(b.rec(none, item(9, "z")))
		require.Equal(t, []string{"orders|3|1|9|z", "orders|3|2|2|b"}, d.Rows(t, "SELECT * FROM orders ORDER BY 3"))

		b = start(t, d, "pk.mode=kafka", "pk.fields=a,b")
		require.EqualError(t, b.put(b.rec(none, item(1, "a"))), "PK mode for table '"+bare(d, "orders")+"' is KAFKA so there should either be no field names defined for defaults "+
			"[__connect_topic, __connect_partition, __connect_offset] to be applicable, or exactly 3, defined fields are: [a, b]")
	})
}

func TestCase12_schemaless(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, orders)
		b := start(t, d)
		odd := data.SchemaAndValue{Value: data.MapOf("id", int64(1))}
		want := "Sink connector 's' is configured with 'delete.enabled=false' and 'pk.mode=none' and therefore requires records with a non-null Struct or String value and non-null Struct or String schema, " +
			"but found record at (topic='orders',partition=3,offset=1,timestamp=1000) with a map value and null value schema. Use a converter with schemas (schemas.enable=true, Avro, Protobuf, JSON Schema)."
		require.EqualError(t, b.put(b.rec(none, odd)), want)
		b.dlq, b.offset = &deadLetters{}, 0
		b.must(b.rec(none, odd), b.rec(none, item(1, "a")))
		require.Equal(t, []string{"1: " + want}, b.dlq.records)
		require.Equal(t, []string{"1|a"}, d.Rows(t, "SELECT id, name FROM orders"))
	})
}

func TestCase13and14_text_values(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		b := start(t, d, "auto.create=true")
		b.must(b.rec(none, text("hello")))
		require.Equal(t, []string{"hello"}, d.Rows(t, "SELECT record_value FROM orders"))
		require.Contains(t, b.log.String(), "record_value")
		require.Contains(t, b.log.String(), map[string]string{"postgresql": "TEXT NULL", "mariadb": "TEXT NULL", "mysql": "TEXT NULL", "sqlite": "TEXT NULL", "sqlserver": "varchar(max) NULL", "oracle": "VARCHAR2(4000) NULL"}[d.Like()])
		b = start(t, d, "fields.whitelist=a")
		require.EqualError(t, b.put(b.rec(none, text("x"))), "Sink connector 's' is configured with field-level options that are not applicable to String values: fields.whitelist. "+
			"Remove these options, or have the upstream producer emit Struct values instead.")
		b = start(t, d, "pk.mode=record_key", "pk.fields=record_value")
		require.EqualError(t, b.put(b.rec(text("k"), text("x"))), "Configured string.output.value.column.name 'record_value' conflicts with a primary key column for table '"+bare(d, "orders")+"'")
		b = start(t, d, "pk.mode=record_value", "pk.fields=a")
		require.EqualError(t, b.put(b.rec(none, text("x"))), "pk.mode record_value is not supported with String value schemas")
	})
}

func TestCase15and16_upsert_by_the_records_key(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, "CREATE TABLE orders (id BIGINT PRIMARY KEY, name VARCHAR(50))")
		b := start(t, d, "insert.mode=upsert", "pk.mode=record_key", "pk.fields=id")
		b.must(b.rec(long(7), name("a")))
		b.must(b.rec(long(7), name("b")))
		require.Equal(t, []string{"7|b"}, d.Rows(t, "SELECT id, name FROM orders"))
		b = start(t, d, "insert.mode=upsert")
		require.ErrorContains(t, b.put(b.rec(none, item(1, "a"))), "in UPSERT mode requires key field names to be known, check the primary key configuration")
	})
}

func TestCase17and18_upsert_by_the_records_value(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, "CREATE TABLE orders (id INT, name VARCHAR(50), PRIMARY KEY (id))")
		b := start(t, d, "insert.mode=upsert", "pk.mode=record_value", "pk.fields=id")
		b.must(b.rec(none, item(1, "a")), b.rec(none, item(2, "a")))
		b.must(b.rec(none, item(1, "b")))
		require.Equal(t, []string{"1|b", "2|a"}, d.Rows(t, "SELECT id, name FROM orders ORDER BY id"))
		if d.Like() == "mariadb" || d.Like() == "mysql" {
			require.Equal(t, "insert into `orders`(`id`,`name`) values(?,?) on duplicate key update `name`=values(`name`)", b.task.w.targets["orders"].shapes[0].writer.single)
		}
		d.Exec(t, "CREATE TABLE pairs (id INT NOT NULL, name VARCHAR(50) NOT NULL, PRIMARY KEY (id, name))")
		b = start(t, d, "insert.mode=upsert", "pk.mode=record_value")
		b.topic = "pairs"
		for range 2 {
			b.must(b.rec(none, item(1, "a")), b.rec(none, item(2, "a")))
		}
		require.Equal(t, []string{"1|a", "2|a"}, d.Rows(t, "SELECT id, name FROM pairs ORDER BY id"))
		if d.Product == "postgresql" {
			require.Equal(t, `INSERT INTO "pairs" ("id","name") VALUES ($1,$2) ON CONFLICT ("id","name") DO NOTHING`, b.task.w.targets["pairs"].shapes[0].writer.single)
		}
	})
}

func TestCase21_upsert_keeps_what_a_record_does_not_have(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, "CREATE TABLE orders (id INT PRIMARY KEY, name VARCHAR(50), extra VARCHAR(5));\nINSERT INTO orders VALUES (1, 'a', 'x')")
		b := start(t, d, "insert.mode=upsert", "pk.mode=record_value", "pk.fields=id")
		b.must(b.rec(none, item(1, "b")))
		require.Equal(t, []string{"1|b|x"}, d.Rows(t, "SELECT id, name, extra FROM orders"))
	})
}

func TestCase22and23_update(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, "CREATE TABLE orders (id BIGINT PRIMARY KEY, name VARCHAR(50));\nINSERT INTO orders VALUES (1, 'a'), (2, 'b')")
		b := start(t, d, "insert.mode=update", "pk.mode=record_key", "pk.fields=id")
		b.must(b.rec(long(9), name("z")))
		b.must(b.rec(long(1), name("c")), b.rec(long(2), name("d")), b.rec(long(1), name("e")))
		require.Equal(t, []string{"1|e", "2|d"}, d.Rows(t, "SELECT id, name FROM orders ORDER BY id"))
		b = start(t, d, "insert.mode=update")
		require.ErrorContains(t, b.put(b.rec(none, item(1, "q"))), "in UPDATE mode requires key field names to be known, check the primary key configuration")
		b = start(t, d, "insert.mode=update", "pk.mode=record_value", "pk.fields=id", "fields.whitelist=id")
		b.must(b.rec(none, item(1, "q"))) // nothing but keys
		require.Equal(t, []string{"1|e", "2|d"}, d.Rows(t, "SELECT id, name FROM orders ORDER BY id"))
	})
}

func TestCase24and25_types_of_PostgreSQL(t *testing.T) {
	t.Parallel()
	d := servers.PostgresDatabase(t)
	d.Exec(t, "CREATE TYPE mood AS ENUM ('sad', 'glad');\nCREATE TABLE orders (id uuid PRIMARY KEY, m mood, j jsonb, u uuid, i interval, n inet, x xml)")
	b := start(t, d, "insert.mode=upsert", "pk.mode=record_key", "pk.fields=id", "delete.enabled=true")
	one, two := "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
	value := func(m string) data.SchemaAndValue {
		return st("m", str, m, "j", str, `{"a": 1}`, "u", str, two, "i", str, "1 day", "n", str, "10.0.0.1", "x", str, "<a/>")
	}
	b.must(b.rec(text(one), value("sad")), b.rec(text(two), value("glad")))
	row := `|{"a": 1}|` + two + "|1 day|10.0.0.1/32|<a/>"
	require.Equal(t, []string{one + "|sad" + row, two + "|glad" + row}, d.Rows(t, "SELECT id::text, m::text, j::text, u::text, i::text, n::text, x::text FROM orders ORDER BY id"))
	b.must(b.rec(text(one), none))
	require.Equal(t, []string{two}, d.Rows(t, "SELECT id::text FROM orders"))
	b = start(t, d, "insert.mode=update", "pk.mode=record_key", "pk.fields=id")
	b.must(b.rec(text(two), st("m", str, "sad")))
	require.Equal(t, []string{"sad"}, d.Rows(t, "SELECT m::text FROM orders"))
	b = start(t, d) // by COPY
	d.Exec(t, "CREATE TABLE many (id int, m mood, b bytea, t text)")
	b.topic = "many"
	var batch []record.Sink
	for i := range 50 {
		batch = append(batch, b.rec(none, st("id", i32, int32(i), "m", str, "sad", "b", data.NewSchema(data.Bytes), []byte{0, 9, 10, 92}, "t", ostr, "a\tb\\c\nd\re\\N")))
	}
	b.must(batch...)
	require.Equal(t, []string{"50|sad|\x00\t\n\\|a\tb\\c\nd\re\\N"}, d.Rows(t, "SELECT count(*), m::text, b, t FROM many GROUP BY m, b, t"))
}

func TestCase26_the_keys_field_wins(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, orders)
		b := start(t, d, "pk.mode=record_key")
		b.must(b.rec(st("id", i32, int32(1)), item(2, "a")))
		require.Equal(t, []string{"1|a"}, d.Rows(t, "SELECT id, name FROM orders"))
	})
}

func TestCase27_the_same_key_three_times(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, "CREATE TABLE orders (id INT PRIMARY KEY, name VARCHAR(50))")
		b := start(t, d, "insert.mode=upsert", "pk.mode=record_value", "pk.fields=id")
		b.must(b.rec(none, item(1, "a")), b.rec(none, item(1, "b")), b.rec(none, item(2, "x")), b.rec(none, item(1, "c")))
		require.Equal(t, []string{"1|c", "2|x"}, d.Rows(t, "SELECT id, name FROM orders ORDER BY id"))
	})
}

// Keys that only the database takes for equal meet in one statement of PostgreSQL, which refuses that.
func TestUpsert_of_keys_that_the_database_takes_for_equal(t *testing.T) {
	t.Parallel()
	d := servers.PostgresDatabase(t)
	d.Exec(t, "CREATE TABLE orders (k numeric PRIMARY KEY, name text)")
	b := start(t, d, "insert.mode=upsert", "pk.mode=record_key", "pk.fields=k", "max.retries=1")
	b.must(b.rec(text("1"), name("a")), b.rec(text("1.0"), name("b")))
	require.Equal(t, []string{"b"}, d.Rows(t, "SELECT name FROM orders"))
}

func TestCase28to32_deletes(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, "CREATE TABLE orders (id BIGINT PRIMARY KEY, name VARCHAR(50))")
		keyed := []string{"pk.mode=record_key", "pk.fields=id", "insert.mode=upsert"}
		deleting := append(keyed, "delete.enabled=true")
		b := start(t, d, deleting...)
		b.must(b.rec(long(1), name("a")), b.rec(long(2), name("b")), b.rec(long(1), none)) // 28
		require.Equal(t, []string{"2|b"}, d.Rows(t, "SELECT id, name FROM orders"))
		b.must(b.rec(long(1), name("a")), b.rec(long(1), none), b.rec(long(1), name("c"))) // 29
		require.Equal(t, []string{"1|c", "2|b"}, d.Rows(t, "SELECT id, name FROM orders ORDER BY id"))
		b.must(b.rec(long(77), none)) // 30
		b = start(t, d, append(deleting, "auto.create=true")...)
		b.topic = "missing"
		b.must(b.rec(long(1), none))
		require.NotContains(t, b.log.String(), "Creating")
		b.must(b.rec(long(1), none), b.rec(long(1), name("a")), b.rec(long(1), none), b.rec(long(2), name("b")))
		require.Equal(t, []string{"2|b"}, d.Rows(t, "SELECT id, name FROM missing"))

		b = start(t, d, keyed...) // 31
		require.ErrorContains(t, b.put(b.rec(long(1), none)), "with a null value and null value schema.")
		b = start(t, d, deleting...) // 32
		require.ErrorContains(t, b.put(b.rec(none, none)), "requires records with a non-null key and non-null Struct or primitive key schema, but found record at "+
			"(topic='orders',partition=3,offset=1,timestamp=1000) with a null key and null key schema.")
		require.EqualError(t, b.put(b.rec(long(1), long(2))), "Value schema must be of type Struct or String")
	})
}

func TestCase57_batches(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, "CREATE TABLE orders (id INT PRIMARY KEY, name VARCHAR(50))")
		for i, mode := range []string{"insert", "upsert"} {
			b := start(t, d, "batch.size=100", "insert.mode="+mode, "pk.mode=record_value", "pk.fields=id")
			var batch []record.Sink
			for n := range 1000 {
				batch = append(batch, b.rec(none, item(int32(n+1000*i), fmt.Sprint("n", n))))
			}
			b.must(batch...)
			require.Equal(t, []string{fmt.Sprint(1000*i + 1000)}, d.Rows(t, "SELECT count(*) FROM orders"))
			require.Equal(t, []string{"n517"}, d.Rows(t, fmt.Sprint("SELECT name FROM orders WHERE id = ", 517+1000*i)))
		}
	})
}
