package jdbcsink

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/tests/servers"
)

func TestCase01to05_validation(t *testing.T) {
	t.Parallel()
	problem := func(pairs ...string) string {
		c := with("jdbc:sqlite::memory:", pairs...)
		if c["connection.url"] == "" {
			delete(c, "connection.url")
		}
		_, problems := confluentDef.Parse(c)
		var texts []string
		for _, p := range problems {
			texts = append(texts, p.Message)
		}
		return strings.Join(texts, "; ")
	}
	require.Equal(t, `Missing required configuration "connection.url" which has no default value.`, problem("connection.url="))
	require.Equal(t, "Invalid value merge for configuration insert.mode: Invalid enumerator", problem("insert.mode=merge"))
	require.Empty(t, problem("insert.mode=UPSERT"))
	require.Equal(t, "Invalid value Upsert for configuration insert.mode: Invalid enumerator", problem("insert.mode=Upsert"))
	require.Equal(t, "Invalid value -1 for configuration batch.size: Value must be at least 0", problem("batch.size=-1"))

	c := &sinkConnector{def: confluentDef}
	text := "Deletes are only supported for pk.mode record_key"
	require.Equal(t, []connector.Finding{{Key: "delete.enabled", Message: text}, {Key: "pk.mode", Message: text}}, c.Validate(t.Context(), with("jdbc:postgresql://127.0.0.1:1/d", "delete.enabled=true")))
	found := c.Validate(t.Context(), with("jdbc:postgresql://127.0.0.1:1/d?password=SECRET"))
	require.Len(t, found, 1)
	require.Equal(t, "connection.url", found[0].Key)
	require.Contains(t, found[0].Message, "Could not connect to database. ")
	require.NotContains(t, found[0].Message, "SECRET")
	require.Empty(t, c.Validate(t.Context(), with(servers.SQLiteDatabase(t).JDBC)))
}

func TestCase06_a_database_that_is_down_fails_records_only(t *testing.T) {
	t.Parallel()
	b := startDef(t, confluentDef, with("jdbc:postgresql://127.0.0.1:1/d?password=SECRET", "max.retries=2"))
	require.NoError(t, b.put())
	err := b.put(b.rec(none, item(1, "a")))
	require.ErrorContains(t, err, "Exception chain:\nCould not connect to jdbc:postgresql://127.0.0.1:1/d?password=****")
	require.Equal(t, 3, b.tries)
	require.NotContains(t, err.Error()+b.log.String(), "SECRET")
}

const strict = "CREATE TABLE orders (id INT PRIMARY KEY, name VARCHAR(50) NOT NULL)"

func TestCase58and62_a_bad_row_without_dead_letters(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, strict)
		b := start(t, d, "max.retries=2", "retry.backoff.ms=100")
		err := b.put(b.rec(none, item(1, "a")), b.rec(none, item(2, nil)), b.rec(none, item(3, "c")))
		require.ErrorContains(t, err, "Exception chain:\n")
		require.ErrorContains(t, err, "Table "+shown(d, "orders")+"\nFirst record (topic='orders',partition=3,offset=1,timestamp=1000)")
		require.Equal(t, 3, b.tries)
		require.Equal(t, 100*time.Millisecond, b.wait)
		require.Contains(t, b.log.String(), "Write of 3 records failed, remainingRetries=2")
		require.Empty(t, d.Rows(t, "SELECT * FROM orders"))
		b = start(t, d, "trim.sensitive.log=true") // 62
		err = b.put(b.rec(none, item(4711, nil)))
		require.ErrorContains(t, err, "(message left out, see trim.sensitive.log)")
		require.NotContains(t, err.Error(), "4711")
		require.Equal(t, 1, b.tries)
	})
}

func TestCase59_a_bad_row_with_dead_letters(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, strict)
		b := start(t, d, "max.retries=2", "retry.backoff.ms=60000")
		b.dlq = &deadLetters{}
		b.must(b.rec(none, item(1, "a")), b.rec(none, item(2, nil)), b.rec(none, item(3, "c")))
		require.Equal(t, 1, b.tries)
		require.Len(t, b.dlq.records, 1)
		require.True(t, strings.HasPrefix(b.dlq.records[0], "2: Exception chain:"), b.dlq.records[0])
		require.Equal(t, []string{"1|a", "3|c"}, d.Rows(t, "SELECT * FROM orders ORDER BY id"))

		// Of ten thousand, four are bad: the rest is written, in one transaction.
		var batch []record.Sink
		for i := range 10_000 {
			var n any = "x"
			if i%2503 == 7 {
				n = nil
			}
			batch = append(batch, b.rec(none, item(int32(100+i), n)))
		}
		b.must(batch...)
		require.Len(t, b.dlq.records, 5)
		require.Equal(t, []string{"9998"}, d.Rows(t, "SELECT count(*) FROM orders"))

		b.dlq.refuse = fmt.Errorf("Tolerance exceeded in error handler")
		require.ErrorContains(t, b.put(b.rec(none, item(50_001, "a")), b.rec(none, item(50_002, nil))), "Tolerance exceeded")
		require.Equal(t, []string{"9998"}, d.Rows(t, "SELECT count(*) FROM orders"))
	})
}

func TestCase60_the_server_restarts(t *testing.T) {
	t.Parallel()
	d := servers.PostgresDatabase(t)
	d.Exec(t, "CREATE TABLE orders (id INT PRIMARY KEY, name VARCHAR(50))")
	b := start(t, d, "insert.mode=upsert", "pk.mode=record_value", "pk.fields=id", "max.retries=10", "connection.attempts=3", "connection.backoff.ms=10")
	b.dlq = &deadLetters{}
	b.must(b.rec(none, item(1, "a")))
	// Sessions end while a batch waits for a lock, as at a restart.
	locked, err := d.DB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = locked.ExecContext(t.Context(), "LOCK TABLE orders")
	require.NoError(t, err)
	cut := make(chan error, 1)
	go func() {
		for {
			n, err := d.Query(context.Background(), "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 's' AND datname = current_database() AND wait_event_type = 'Lock'")
			if err != nil || n[0] == "1" {
				cut <- err
				_ = locked.Rollback()
				return
			}
		}
	}()
	b.must(b.rec(none, item(1, "b")), b.rec(none, item(2, "c")))
	require.NoError(t, <-cut)
	require.Equal(t, 2, b.tries)
	require.Equal(t, []string{"1|b", "2|c"}, d.Rows(t, "SELECT id, name FROM orders ORDER BY id"))
	require.Empty(t, b.dlq.records)
}

func TestCase61_deadlock(t *testing.T) {
	t.Parallel()
	d := servers.PostgresDatabase(t)
	// A session looks for deadlocks once, so long after it began to wait: until then the other one must be waiting.
	d.Exec(t, "CREATE TABLE orders (id INT PRIMARY KEY, name VARCHAR(50));\nINSERT INTO orders VALUES (1, 'a'), (2, 'b');\nALTER SYSTEM SET deadlock_timeout = '3s';\nSELECT pg_reload_conf()")
	b := start(t, d, "insert.mode=update", "pk.mode=record_value", "pk.fields=id", "max.retries=10", "batch.size=1")
	other, err := d.DB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = other.ExecContext(t.Context(), "SET LOCAL deadlock_timeout = '1h'")
	require.NoError(t, err)
	_, err = other.ExecContext(t.Context(), "UPDATE orders SET name = 'x' WHERE id = 2")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		for { // until the task holds 1 and waits for 2
			n, err := d.Query(context.Background(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 's' AND datname = current_database() AND wait_event_type = 'Lock'")
			if err != nil || n[0] == "1" {
				break
			}
		}
		_, err := other.ExecContext(context.Background(), "UPDATE orders SET name = 'x' WHERE id = 1")
		if err == nil {
			err = other.Commit()
		}
		done <- err
	}()
	b.must(b.rec(none, item(1, "c")), b.rec(none, item(2, "d")))
	require.NoError(t, <-done)
	require.Greater(t, b.tries, 1)
	require.Contains(t, b.log.String(), "40P01")
	require.Equal(t, []string{"1|c", "2|d"}, d.Rows(t, "SELECT id, name FROM orders ORDER BY id"))
}

func TestCase63_one_transaction_over_tables(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, strict+";\nCREATE TABLE fine (id INT, name VARCHAR(50))")
		b := start(t, d)
		b.topic = "fine"
		good := b.rec(none, item(1, "a"))
		b.topic = "orders"
		require.Error(t, b.put(good, b.rec(none, item(1, nil))))
		require.Empty(t, d.Rows(t, "SELECT * FROM fine"))
		b.must(good, b.rec(none, item(1, "b")))
		require.Equal(t, []string{"1|a"}, d.Rows(t, "SELECT * FROM fine"))
	})
}

func TestCase64_records_that_come_again(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, strict)
		keyed := []string{"pk.mode=record_value", "pk.fields=id"}
		b := start(t, d, append(keyed, "insert.mode=upsert")...)
		r := []record.Sink{b.rec(none, item(1, "a")), b.rec(none, item(2, "b"))}
		b.must(r...)
		b.must(r...)
		require.Equal(t, []string{"1|a", "2|b"}, d.Rows(t, "SELECT * FROM orders ORDER BY id"))
		require.Error(t, start(t, d, keyed...).put(r...))
		b = start(t, d, append(keyed, "insert.ignore.duplicates=true")...)
		b.must(append(r, b.rec(none, item(3, "c")))...)
		require.Equal(t, []string{"1|a", "2|b", "3|c"}, d.Rows(t, "SELECT * FROM orders ORDER BY id"))
	})
}

func TestAiven(t *testing.T) {
	t.Parallel()
	d := servers.SQLiteDatabase(t)
	for want, pairs := range map[string][]string{
		"Primary key fields should not be set when pkMode is 'none'.":                                         {"pk.fields=a"},
		"Primary key fields must be set with three fields (topic, partition, offset) when pkMode is 'kafka'.": {"pk.mode=kafka", "pk.fields=a"},
		"Delete support only works with pk.mode=record_key":                                                   {"delete.enabled=true"},
	} {
		found := (&sinkConnector{def: aivenDef}).Validate(t.Context(), with(d.JDBC, pairs...))
		require.NotEmpty(t, found)
		require.Equal(t, want, found[0].Message)
	}
	b := startDef(t, aivenDef, with(d.JDBC, "insert.mode=multi", "auto.create=true", "sql.quote.identifiers=false"))
	b.must(b.rec(none, item(1, "a")), b.rec(none, item(2, "b")))
	require.Contains(t, b.log.String(), "CREATE TABLE orders (\\nid INTEGER")
	require.Equal(t, []string{"2"}, d.Rows(t, "SELECT count(*) FROM orders"))
}

// A connection that hangs ends with the task.
func TestPut_ends_with_the_task(t *testing.T) {
	t.Parallel()
	d := servers.PostgresDatabase(t)
	d.Exec(t, orders)
	b := start(t, d, "max.retries=10")
	locked, err := d.DB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = locked.Rollback() }()
	_, err = locked.ExecContext(t.Context(), "LOCK TABLE orders")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for {
			n, err := d.Query(context.Background(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 's' AND datname = current_database() AND wait_event_type = 'Lock'")
			if err != nil || n[0] == "1" {
				cancel()
				return
			}
		}
	}()
	require.ErrorIs(t, b.task.Put(ctx, []record.Sink{b.rec(none, item(1, "a"))}), context.Canceled)
}

func TestRights_and_passwords(t *testing.T) {
	t.Parallel()
	servers.MySQLDatabases(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, orders)
		user := fmt.Sprintf("u%d", time.Now().UnixNano()%1e12) // the longest name has 16 characters
		schema := d.Rows(t, "SELECT DATABASE()")[0]
		d.Exec(t, "CREATE USER "+user+" IDENTIFIED BY 'SECRET';\nGRANT SELECT ON "+schema+".* TO "+user)
		b := start(t, d, "connection.user="+user, "connection.password=WRONG")
		err := b.put(b.rec(none, item(1, "a")))
		require.ErrorContains(t, err, "vendor code 1045")
		require.NotContains(t, err.Error()+b.log.String(), "WRONG")
		b = start(t, d, "connection.user="+user, "connection.password=SECRET")
		b.dlq = &deadLetters{}
		err = b.put(b.rec(none, item(1, "a")))
		require.ErrorContains(t, err, "INSERT command denied")
		require.Empty(t, b.dlq.records)
		require.NotContains(t, err.Error()+b.log.String(), "SECRET")
	})
}
