package jdbcsource

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
)

// each runs a test against each database; create makes the table t of its columns in general words.
func each(t *testing.T, test func(t *testing.T, d testDB, create func(columns string))) {
	t.Helper()
	onEach(t, map[string]func(*testing.T, ...string) testDB{"postgres": pg, "mariadb": maria, "mysql": mysqlDB, "mysqltoday": mysqlToday, "sqlite": lite}, func(t *testing.T, open func(*testing.T, ...string) testDB) {
		d := open(t)
		test(t, d, func(columns string) { d.do(t, "CREATE TABLE t ("+columns+")") })
	})
}

func TestCase_23_bulk_reads_everything_each_time(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d testDB, create func(string)) {
		create("id int, v text")
		d.do(t, "INSERT INTO t VALUES (1,'x'),(2,'y')")
		got := started(t, d.config()).take(t, 4)
		require.Equal(t, []string{`{"id":1,"v":"x"}`, `{"id":2,"v":"y"}`, `{"id":1,"v":"x"}`, `{"id":2,"v":"y"}`}, texts(t, got))
		for _, r := range got {
			require.Nil(t, r.Offset)
			require.Nil(t, r.Key)
			require.Nil(t, r.KeySchema)
			require.Equal(t, "p-t", r.Topic)
			require.Equal(t, "t", r.ValueSchema.Name())
			require.Equal(t, record.AnyPartition, r.KafkaPartition)
			require.Equal(t, record.NoTimestamp, r.Timestamp)
			require.Equal(t, "{table=t}", data.Text(r.Partition))
		}
		require.Same(t, got[0].ValueSchema, got[3].ValueSchema)
	})
}

func TestCase_24_incrementing_reads_what_has_a_larger_id(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d testDB, create func(string)) {
		create("id int NOT NULL, v text")
		d.do(t, "INSERT INTO t VALUES (2,'y'),(1,'x')")
		r := started(t, d.config(modeKey, incrementing, incrementingKey, "ID"))
		got := r.take(t, 2)
		require.Equal(t, []string{`{"id":1,"v":"x"}`, `{"id":2,"v":"y"}`}, texts(t, got))
		require.Equal(t, []string{"{incrementing=1}", "{incrementing=2}"}, offsets(got))
		d.do(t, "UPDATE t SET v = 'z' WHERE id = 1", "INSERT INTO t VALUES (0,'w')", "INSERT INTO t VALUES (-1,'w')")
		r.nothing(t)
		d.do(t, "INSERT INTO t VALUES (3,'n')")
		got = r.take(t, 1)
		require.Equal(t, []string{`{"id":3,"v":"n"}`}, texts(t, got))
		again := started(t, d.config(modeKey, incrementing, incrementingKey, "id"), offsetOf(got[0].Partition, data.MapOf("incrementing", int64(2)))).take(t, 1)
		require.Equal(t, texts(t, got), texts(t, again))
	})
}

func TestCase_25_the_numbering_column_is_found(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]testDB{"postgres": pg(t, "CREATE TABLE t (v text, id serial)"), "mariadb": maria(t, "CREATE TABLE t (v text, id int AUTO_INCREMENT PRIMARY KEY)"),
		"mysql": mysqlDB(t, "CREATE TABLE t (v text, id int AUTO_INCREMENT PRIMARY KEY)"), "sqlite": lite(t, "CREATE TABLE t (v text, id INTEGER PRIMARY KEY)")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.do(t, "INSERT INTO t (v) VALUES ('x')", "CREATE TABLE u (id int NOT NULL)")
			require.Equal(t, []string{"{incrementing=1}"}, offsets(started(t, d.config(modeKey, incrementing, whitelistKey, "t")).take(t, 1)))
			_, err := start(t, d.config(modeKey, incrementing, whitelistKey, "u"))
			require.ErrorContains(t, err, "No incrementing column was configured and no auto-incrementing column was found in table ")
		})
	}
}

func TestCase_26_columns_that_can_be_null_are_refused(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int, at timestamp, made timestamp NOT NULL)", "INSERT INTO t VALUES (1, now(), now() - interval '1 day')")
	_, err := start(t, d.config(modeKey, incrementing, incrementingKey, "id"))
	require.EqualError(t, err, `Cannot make incremental queries using incrementing column id on "public"."t" because this column is nullable.`)
	_, err = start(t, d.config(modeKey, timestamp, timestampKey, "at"))
	require.EqualError(t, err, `Cannot make incremental queries using timestamp columns at on "public"."t" because all of these columns are nullable.`)
	_, err = start(t, d.config(modeKey, timestamp))
	require.EqualError(t, err, `Cannot make incremental queries using timestamp columns  on "public"."t" because all of these columns are nullable.`)
	_, err = start(t, d.config(modeKey, timestamp, timestampKey, "nope,at,neither"))
	require.EqualError(t, err, "Timestamp columns: nope, neither do not exist in table 'public.t'")
	_, err = start(t, d.config(modeKey, incrementing, incrementingKey, "nope"))
	require.EqualError(t, err, "Incrementing column: nope does not exist in table 'public.t'")
	started(t, d.config(modeKey, incrementing, incrementingKey, "id", nonNullKey, "false")).take(t, 1)
	started(t, d.config(modeKey, timestamp, timestampKey, "at,made")).take(t, 1)
}

// stamped is a table t with three rows, two of them with the same timestamp.
func stamped(t *testing.T, d testDB, create func(string)) {
	t.Helper()
	kind := "timestamp"
	if d.name != "" && d.user == "root" {
		kind = "datetime/*!50604 (3)*/" // older servers have whole seconds
	}
	create("id int NOT NULL, at " + kind + " NOT NULL")
	d.do(t, "INSERT INTO t VALUES (1,'2024-05-05 10:00:00'),(2,'2024-05-05 10:00:00'),(3,'2024-05-05 10:00:01')")
}

// ten is ten o'clock on that day.
const ten = int64(1714903200000)

func ids(t *testing.T, all []record.Source) (got []int) {
	t.Helper()
	for _, r := range all {
		switch n := value(t, r, "id").(type) {
		case int32:
			got = append(got, int(n))
		case int64: // SQLite
			got = append(got, int(n))
		}
	}
	return got
}

func TestCases_27_and_28_offsets_wait_for_all_rows_of_a_timestamp(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d testDB, create func(string)) {
		stamped(t, d, create)
		c := d.config(modeKey, timestamp, timestampKey, "at", initialKey, "1700000000000")
		r := started(t, c)
		got := r.take(t, 3)
		require.Equal(t, []string{"{timestamp_nanos=0, timestamp=1700000000000}", fmt.Sprintf("{timestamp_nanos=0, timestamp=%d}", ten), fmt.Sprintf("{timestamp_nanos=0, timestamp=%d}", ten+1000)}, offsets(got))
		r.nothing(t)
		require.Len(t, started(t, c, offsetOf(got[0].Partition, got[0].Offset)).take(t, 3), 3, "after a kill behind the first")
		require.Equal(t, []int{3}, ids(t, started(t, c, offsetOf(got[0].Partition, got[1].Offset)).take(t, 1)))
	})
}

func TestCase_29_equal_timestamps_are_told_apart_by_id(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d testDB, create func(string)) {
		stamped(t, d, create)
		c := d.config(modeKey, both, timestampKey, "at", incrementingKey, "id", suffixKey, "LIMIT 1")
		r := started(t, c)
		got := r.take(t, 3)
		require.Equal(t, []int{1, 2, 3}, ids(t, got))
		require.Equal(t, fmt.Sprintf("{timestamp_nanos=0, incrementing=1, timestamp=%d}", ten), offsets(got)[0])
		r.nothing(t)
		require.Equal(t, []int{2, 3}, ids(t, started(t, c, offsetOf(got[0].Partition, got[0].Offset)).take(t, 2)))
	})
}

func TestCase_30_the_first_timestamp_that_is_not_null_counts(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int, modified timestamp, created timestamp NOT NULL)", "INSERT INTO t VALUES (1, NULL, '2024-05-05 10:00:00'), (2, '2024-05-05 11:00:00', '2024-05-05 09:00:00')")
	r := started(t, d.config(modeKey, timestamp, timestampKey, "modified,created"))
	got := r.take(t, 2)
	require.Equal(t, []int{1, 2}, ids(t, got))
	require.Equal(t, fmt.Sprintf("{timestamp_nanos=0, timestamp=%d}", ten), offsets(got)[0])
	require.Contains(t, r.logs.String(), `COALESCE(\"public\".\"t\".\"modified\",\"public\".\"t\".\"created\")`)
}

func TestCase_31_rows_of_the_future_and_of_the_delay_wait(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int, at timestamptz NOT NULL)", "INSERT INTO t VALUES (1, now() - interval '30 seconds'), (2, now() + interval '1 hour')")
	r := started(t, d.config(modeKey, timestamp, timestampKey, "at"))
	require.Equal(t, []int{1}, ids(t, r.take(t, 1)))
	r.nothing(t)
	started(t, d.config(modeKey, timestamp, timestampKey, "at", delayKey, "60000")).nothing(t)
	require.Len(t, started(t, d.config(modeKey, timestamp, timestampKey, "at", delayKey, "-7200000")).take(t, 2), 2)
}

func TestCases_32_and_33_where_timestamps_begin(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d testDB, create func(string)) {
		stamped(t, d, create)
		d.do(t, "INSERT INTO t VALUES (0, '1970-01-01 00:00:00')")
		r := started(t, d.config(modeKey, timestamp, timestampKey, "at", initialKey, "-1"))
		r.nothing(t)
		require.Equal(t, []int{3}, ids(t, started(t, d.config(modeKey, timestamp, timestampKey, "at", initialKey, fmt.Sprint(ten))).take(t, 1)))
		require.Equal(t, []int{1, 2, 3}, ids(t, started(t, d.config(modeKey, timestamp, timestampKey, "at")).take(t, 3)), "without the epoch's")
		require.Equal(t, []int{0}, ids(t, started(t, d.config(modeKey, timestamp, timestampKey, "at", initialKey, "-2")).take(t, 1)), "an initial value can be negative")
	})
}

func TestCase_34_a_query(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d testDB, create func(string)) {
		create("id int NOT NULL, name text")
		d.do(t, "INSERT INTO t VALUES (1,'x')")
		r := started(t, d.config(queryKey, "SELECT id, name AS n FROM t", modeKey, incrementing, incrementingKey, "id"))
		got := r.take(t, 1)
		require.Equal(t, []string{`{"id":1,"n":"x"}`}, texts(t, got))
		require.Equal(t, "p-", got[0].Topic)
		require.Empty(t, got[0].ValueSchema.Name())
		require.Equal(t, "{query=query}", data.Text(got[0].Partition))
		if d.user != "" && d.user != "root" {
			require.Contains(t, r.logs.String(), `SELECT id, name AS n FROM t WHERE \"id\" > $1 ORDER BY \"id\" ASC`)
		}
		r.nothing(t)
	})
}

func TestCase_35_a_limit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d testDB, create func(string)) {
		create("id int NOT NULL")
		d.do(t, "INSERT INTO t VALUES (1),(2),(3)")
		r := started(t, d.config(suffixKey, "LIMIT 1", modeKey, incrementing, incrementingKey, "id"))
		for i := range 3 {
			batch, err := r.Poll(t.Context())
			require.NoError(t, err)
			require.Equal(t, []int{i + 1}, ids(t, batch))
		}
	})
}

func TestCase_36_tables_take_turns(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE a (id int)", "CREATE TABLE b (id int)", "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (2)")
	r := started(t, d.config(pollKey, "200"))
	began := time.Now()
	require.Equal(t, []int{1, 2, 1, 2, 1, 2}, ids(t, r.take(t, 6)))
	require.GreaterOrEqual(t, time.Since(began), 400*time.Millisecond)
}

func TestCase_37_a_large_table_takes_little_memory_and_can_be_stopped(t *testing.T) {
	t.Parallel()
	const n = 1_000_000
	d := pg(t, fmt.Sprintf("CREATE TABLE t AS SELECT g AS id, repeat('x', 200) AS v FROM generate_series(1, %d) g", n))
	r := started(t, d.config(batchKey, "1000"))
	batch, err := r.Poll(t.Context())
	require.NoError(t, err)
	require.Len(t, batch, 1000)
	var m runtime.MemStats
	runtime.GC() //nolint:revive // what is left is what is held
	runtime.ReadMemStats(&m)
	require.Less(t, m.HeapAlloc, uint64(100<<20), "of a table of 200 MB, though other tests run")
	began := time.Now()
	require.NoError(t, r.Stop(t.Context()))
	require.Less(t, time.Since(began), 2*time.Second)
}

func TestCase_38_columns_come_and_go_and_change(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id serial PRIMARY KEY, v text)", "INSERT INTO t (v) VALUES ('x')")
	r := started(t, d.config(modeKey, incrementing))
	first := r.take(t, 1)[0]
	d.do(t, "ALTER TABLE t ADD COLUMN c int", "INSERT INTO t (v, c) VALUES ('y', 5)")
	require.Equal(t, []string{`{"id":2,"v":"y","c":5}`}, texts(t, r.take(t, 1)))
	d.do(t, "ALTER TABLE t ALTER COLUMN c TYPE text", "INSERT INTO t (v, c) VALUES ('y', 'five')")
	require.Equal(t, []string{`{"id":3,"v":"y","c":"five"}`}, texts(t, r.take(t, 1)))
	d.do(t, "ALTER TABLE t DROP COLUMN v", "ALTER TABLE t DROP COLUMN c", "INSERT INTO t DEFAULT VALUES")
	last := r.take(t, 1)[0]
	require.Equal(t, []string{`{"id":4}`}, texts(t, []record.Source{last}))
	require.False(t, first.ValueSchema.Equal(last.ValueSchema))
	d.do(t, "ALTER TABLE t ADD COLUMN v text", "INSERT INTO t (v) VALUES ('z')")
	require.True(t, first.ValueSchema.Equal(r.take(t, 1)[0].ValueSchema))
}

func TestCases_39_to_42_offsets_of_Java_connectors_are_continued(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int NOT NULL, at timestamp NOT NULL)", "INSERT INTO t SELECT g, timestamp '2023-11-14 22:13:20.12' + g * interval '1 millisecond' FROM generate_series(1, 20) g")
	c := d.config(modeKey, incrementing, incrementingKey, "id")
	old := offsetOf(data.MapOf("table", "t"), data.MapOf("incrementing", int64(7)))
	got := started(t, c, old).take(t, 1)[0]
	require.EqualValues(t, 8, value(t, got, "id"))
	require.Equal(t, "{protocol=1, table=public.t}", data.Text(got.Partition), "in this order, which the bytes have")
	require.EqualValues(t, 10, value(t, started(t, c, old, tableOffset("public.t", "incrementing", int64(9))).take(t, 1)[0], "id"))
	long := tableOffset(d.name+".public.t", "incrementing", int64(11))
	got = started(t, c, old, long).take(t, 1)[0]
	require.EqualValues(t, 12, value(t, got, "id"))
	require.Equal(t, "{protocol=1, table=public.t}", data.Text(got.Partition))
	require.EqualValues(t, 10, value(t, started(t, c, long, tableOffset("public.t", "incrementing", int64(9))).take(t, 1)[0], "id"))

	at := d.config(modeKey, both, timestampKey, "at", incrementingKey, "id")
	got = started(t, at, tableOffset("public.t", "timestamp", int64(1700000000123))).take(t, 1)[0]
	require.EqualValues(t, 3, value(t, got, "id"), "one of the same millisecond, as no id was given")
	require.Equal(t, "{timestamp_nanos=123000000, incrementing=3, timestamp=1700000000123}", data.Text(got.Offset))
	got = started(t, at, tableOffset("public.t", "incrementing", int64(18))).take(t, 1)[0]
	require.EqualValues(t, 1, value(t, got, "id"), "another mode keeps what the offset has")
}

func TestCase_43_the_bytes_of_an_offset(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int NOT NULL, at timestamp NOT NULL)", "INSERT INTO t VALUES (5, '2023-11-14 22:13:20.123456')")
	got := started(t, d.config(modeKey, both, timestampKey, "at", incrementingKey, "id")).take(t, 1)[0]
	b, err := toJSON().FromConnect("", nil, got.Offset)
	require.NoError(t, err)
	require.Equal(t, `{"timestamp_nanos":123456000,"incrementing":5,"timestamp":1700000000123}`, string(b))
	b, err = toJSON().FromConnect("", nil, got.Partition)
	require.NoError(t, err)
	require.Equal(t, `{"protocol":"1","table":"public.t"}`, string(b))
}

func TestCase_44_offsets_that_can_not_be_are_vetoed(t *testing.T) {
	t.Parallel()
	c := classOf(t, "confluent").NewConnector().(connector.SourceOffsetAlterer)
	ok, err := c.AlterOffsets(t.Context(), nil, []connector.SourceOffsetEntry{tableOffset("public.t", "incrementing", int64(5)), offsetOf(data.MapOf("query", "query"), nil)})
	require.NoError(t, err)
	require.True(t, ok)
	for _, bad := range []connector.SourceOffsetEntry{tableOffset("public.t", "incrementing", "x"), tableOffset("public.t", "position", int64(1)), offsetOf(data.MapOf("file", "x"), data.MapOf()),
		tableOffset("public.t", "timestamp", int64(1), "timestamp_nanos", int64(-1))} {
		_, err := c.AlterOffsets(t.Context(), nil, []connector.SourceOffsetEntry{bad})
		require.Error(t, err)
	}
}

func TestIncrementingInitial(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int NOT NULL)", "INSERT INTO t VALUES (-7), (1), (5)")
	require.Equal(t, []int{5}, ids(t, started(t, d.config(modeKey, incrementing, incrementingKey, "id", firstIDKey, "1")).take(t, 1)))
	require.Equal(t, []int{-7}, ids(t, started(t, d.config(modeKey, incrementing, incrementingKey, "id", firstIDKey, "-100")).take(t, 1)))
}
