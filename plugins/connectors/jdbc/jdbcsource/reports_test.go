package jdbcsource

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
)

// Faults of the Java connectors that people reported in public, by the number of the report in confluentinc/kafka-connect-jdbc.
// Each test fails with what those connectors did.

func TestReport_1015_rows_of_one_timestamp_across_batches_survive_a_crash_between_them(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d testDB, create func(string)) {
		kind := "timestamp"
		if d.user == "root" {
			kind = "datetime"
		}
		create("id int NOT NULL, at " + kind + " NOT NULL")
		for i := range 25 {
			d.do(t, fmt.Sprintf("INSERT INTO t VALUES (%d, '2024-05-05 10:00:00')", i))
		}
		c := d.config(modeKey, timestamp, timestampKey, "at", batchKey, "10")
		seen := map[int]bool{}
		first, err := started(t, c).Poll(t.Context())
		require.NoError(t, err)
		require.Len(t, first, 10)
		last := first[len(first)-1]
		var r *task // a crash behind the first batch, whose offset was committed
		if last.Offset == nil {
			r = started(t, c)
		} else {
			r = started(t, c, offsetOf(last.Partition, last.Offset))
		}
		for _, id := range append(ids(t, first), ids(t, r.take(t, 25))...) {
			seen[id] = true
		}
		require.Len(t, seen, 25)
	})
}

func TestReport_664_timestamps_of_SQLite_are_compared_as_they_are_stored(t *testing.T) {
	t.Parallel()
	d := lite(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)", "INSERT INTO t (at) VALUES ('2020-01-01 00:00:00')")
	r := started(t, d.config(modeKey, timestamp, timestampKey, "at"))
	require.Len(t, r.take(t, 1), 1)
	r.nothing(t)
	d.do(t, "INSERT INTO t DEFAULT VALUES")
	require.Len(t, r.take(t, 1), 1)
}

func TestReport_480_numeric_without_precision_keeps_its_value_in_best_fit(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (n numeric)", "INSERT INTO t VALUES (1234.5)")
	require.Equal(t, 1234.5, value(t, one(t, d, numericKey, "best_fit"), "n"))
}

func TestReport_563_decimals_of_MySQL_can_follow_numeric_mapping(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, open func(*testing.T, ...string) testDB) {
		d := open(t, "CREATE TABLE t (n decimal(8,0))", "INSERT INTO t VALUES (1234)")
		require.Equal(t, int32(1234), value(t, one(t, d, numericKey, "best_fit", decimalToo, "true"), "n"))
	})
}

func TestReport_69_a_changed_table_does_not_fail_the_task(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int NOT NULL, v int)", "INSERT INTO t VALUES (1, 1)")
	r := started(t, d.config(modeKey, incrementing, incrementingKey, "id"))
	r.take(t, 1)
	for i := range 5 {
		d.do(t, fmt.Sprintf("ALTER TABLE t ALTER COLUMN v TYPE %s USING v::text::%[1]s", []string{"bigint", "text", "numeric(8,1)", "double precision", "text"}[i]), fmt.Sprintf("INSERT INTO t VALUES (%d, '1')", i+2))
		require.Equal(t, []int{i + 2}, ids(t, r.take(t, 1)))
	}
	require.NotContains(t, r.logs.String(), "level=ERROR")
}

func TestReport_466_no_transaction_stays_open_between_queries(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int NOT NULL)", "INSERT INTO t VALUES (1)")
	started(t, d.config(modeKey, incrementing, incrementingKey, "id", pollKey, "3600000")).take(t, 1)
	require.Eventually(t, func() bool {
		var open int
		require.NoError(t, d.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'").Scan(&open))
		return open == 0
	}, soon, time.Millisecond)
	d.do(t, "ALTER TABLE t ADD COLUMN v int") // would wait for a lock
}

func TestReport_541_rows_before_1970_can_be_read(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int NOT NULL, at timestamp NOT NULL)", "INSERT INTO t VALUES (1, '1969-12-31 23:59:59.5'), (2, '1950-01-01')")
	r := started(t, d.config(modeKey, timestamp, timestampKey, "at", initialKey, "-9999999999999", granularityKey, "micros_long"))
	got := r.take(t, 2)
	require.Equal(t, []int{2, 1}, ids(t, got))
	require.Equal(t, int64(-500_000), value(t, got[1], "at"), "not a second too late")
	r.nothing(t)
	require.Equal(t, data.Text(data.MapOf("timestamp_nanos", int64(500_000_000), "timestamp", int64(-500))), data.Text(got[1].Offset))
}

func TestReport_818_a_database_that_is_away_for_a_while_does_not_end_the_monitor(t *testing.T) {
	t.Parallel()
	srv, d := ownServer(t, "CREATE TABLE a (id int)")
	c := connect1(t, d.config(attemptsKey, "1"))
	c.changed(t)
	require.NoError(t, srv.Stop(t.Context()))
	require.Eventually(t, func() bool { return strings.Contains(c.logs.String(), "Error while trying to get updated table list") }, soon, time.Millisecond)
	require.NoError(t, srv.Restart(t.Context()))
	d.do(t, "CREATE TABLE b (id int)")
	c.changed(t)
	require.Equal(t, []string{`"public"."a","public"."b"`}, c.tables(t, 1))
	require.NoError(t, c.failure())
}

func TestReport_835_arrays_can_be_read_as_text(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE EXTENSION IF NOT EXISTS citext", "CREATE TABLE t (a text[], c citext)", "INSERT INTO t VALUES ('{a,b}', 'Word')")
	require.Equal(t, []string{`{"a":"{a,b}","c":"Word"}`}, texts(t, started(t, d.config(unsupportedKey, "string")).take(t, 1)))
}

func TestReport_1340_a_mistake_in_the_query_fails_the_task_instead_of_being_tried_for_ever(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]testDB{"postgres": pg(t), "sqlite": lite(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.do(t, "CREATE TABLE t (id int)")
			require.ErrorContains(t, started(t, d.config(queryKey, "SELECT nope FROM t")).fails(t), "nope")
		})
	}
}
