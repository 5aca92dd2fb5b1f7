package jdbcsink

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/tests/servers"
)

// soon bounds what must happen; no test waits for it to pass.
const soon, tick = 30 * time.Second, 5 * time.Millisecond

const untyped = "CREATE TABLE orders (id INT, name VARCHAR(50))"

// exactly is a run of a task with exactly once; runs of one task have growing epochs.
func exactly(t *testing.T, d servers.Database, epoch int64, pairs ...string) *bench {
	t.Helper()
	b := &bench{t: t, task: &task{def: confluentDef}, config: with(d.JDBC, append([]string{"millrace.exactly.once=true"}, pairs...)...), topic: "orders", epoch: epoch}
	return b.begin()
}

// of makes records with these offsets; the id is the offset.
func (b *bench) of(offsets ...int64) (batch []record.Sink) {
	for _, o := range offsets {
		b.offset = o - 1
		batch = append(batch, b.rec(none, item(int32(o), "a")))
	}
	return batch
}

func (b *bench) sought() sink.Offsets {
	was := b.rewinds
	b.rewinds = nil
	return was
}

var part3 = record.TopicPartition{Topic: "orders", Partition: 3}

func ids(t *testing.T, d servers.Database) string {
	t.Helper()
	return strings.Join(d.Rows(t, "SELECT id FROM orders ORDER BY id"), " ")
}

func lines(t *testing.T, d servers.Database) string {
	t.Helper()
	return strings.Join(d.Rows(t, "SELECT consumer_group, topic, topic_partition, topic_id, next_offset, task, epoch FROM millrace_offsets ORDER BY topic_id, topic_partition"), "\n")
}

func TestExactlyOnce_what_comes_again_is_left_out(t *testing.T) {
	t.Parallel()
	servers.Databases(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, untyped)
		b := exactly(t, d, 1)
		b.must(b.of(1, 2, 3)...)
		require.Equal(t, "connect-s|orders|3|id of orders|4|t/0|1", lines(t, d))
		b.must(b.of(2, 3, 4)...) // Kafka's offsets could not be committed
		require.Equal(t, "1 2 3 4", ids(t, d))

		b = exactly(t, d, 2) // killed before the commit
		b.must(b.of(3, 4, 5, 6)...)
		require.Empty(t, b.sought())
		require.Equal(t, "1 2 3 4 5 6", ids(t, d))
		require.Equal(t, "connect-s|orders|3|id of orders|7|t/0|2", lines(t, d))

		b = exactly(t, d, 3) // far behind: what is between need not be read
		b.must(b.of(1, 2, 3)...)
		require.Equal(t, sink.Offsets{part3: 7}, b.sought())
		b.must(b.of(7, 8)...)
		require.Equal(t, "1 2 3 4 5 6 7 8", ids(t, d))
	})
}

// The answer to a commit is lost: the batch comes again, and what the database has decides.
func TestExactlyOnce_a_commit_without_an_answer(t *testing.T) {
	t.Parallel()
	servers.Databases(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, untyped)
		b := exactly(t, d, 1)
		b.must(b.of(1, 2, 5)...)
		b.task.w.ledger.positions[part3].next = 1 // it does not know
		b.task.w.ledger.doubt()
		b.must(b.of(1, 2, 5)...)
		require.Empty(t, b.sought())
		b.must(b.of(8)...) // 6 and 7 were dropped by a transformation
		require.Empty(t, b.sought())
		require.Equal(t, "1 2 5 8", ids(t, d))
	})
}

func TestExactlyOnce_a_task_that_was_replaced_commits_no_more(t *testing.T) {
	t.Parallel()
	servers.Databases(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, untyped)
		old, heir := exactly(t, d, 7), exactly(t, d, 8)
		old.must(old.of(1, 2)...)
		heir.must(heir.of(3)...)
		err := old.put(old.of(3, 4)...)
		require.ErrorContains(t, err, "Task t/0 was taken over: its run 8 is at work in the database and this is run 7")
		require.Equal(t, 2, old.tries, "it finds that it was claimed, and then by whom")
		require.Equal(t, "1 2 3", ids(t, d))
		heir.must(heir.of(4)...)
		require.Equal(t, "1 2 3 4", ids(t, d))
		require.ErrorContains(t, exactly(t, d, 7).put(old.of(5)...), "was taken over")
	})
}

// The old holder is in the middle of its transaction when its heir begins.
func TestExactlyOnce_a_transaction_that_runs_at_a_takeover(t *testing.T) {
	t.Parallel()
	d := servers.PostgresDatabase(t)
	d.Exec(t, untyped+";\nCREATE TABLE elsewhere (id INT, name VARCHAR(50))")
	old := exactly(t, d, 1)
	old.must(old.of(1)...)
	locked, err := d.DB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = locked.ExecContext(t.Context(), "LOCK TABLE orders")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- old.put(old.of(2, 3)...) }()
	require.Eventually(t, func() bool {
		n, err := d.Query(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
		return err == nil && n[0] == "1"
	}, soon, tick)
	heir := exactly(t, d, 2, "table.name.format=elsewhere")
	heir.must(heir.of(2)...)
	require.NoError(t, locked.Rollback())
	require.ErrorContains(t, <-done, "was taken over")
	require.Equal(t, "1", ids(t, d))
	require.Equal(t, []string{"2"}, d.Rows(t, "SELECT id FROM elsewhere"))

	// The heir waits for one that is about to commit, and begins behind it.
	tx, err := d.DB.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "UPDATE millrace_offsets SET next_offset = 5")
	require.NoError(t, err)
	third := exactly(t, d, 3)
	go func() { done <- third.put(third.of(3, 4, 5)...) }()
	require.Eventually(t, func() bool {
		n, err := d.Query(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
		return err == nil && n[0] == "1"
	}, soon, tick)
	require.NoError(t, tx.Commit())
	require.NoError(t, <-done)
	require.Equal(t, "1 5", ids(t, d))
}

// Two tasks believe to have a partition: each goes on from where the other was, until Kafka tells one of them.
func TestExactlyOnce_two_tasks_with_one_partition(t *testing.T) {
	t.Parallel()
	servers.Databases(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, untyped)
		a, b := exactly(t, d, 5), exactly(t, d, 1)
		b.task1 = "t/1"
		b.begin()
		all := a.of(1, 2, 3)
		for i := range all {
			a.must(all[i])
			b.must(all[i])
		}
		require.Equal(t, "1 2 3", ids(t, d))
		require.Contains(t, a.log.String(), "Another holder of a partition is at work in the database")
	})
}

func TestExactlyOnce_a_topic_that_is_made_anew(t *testing.T) {
	t.Parallel()
	servers.Databases(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, untyped)
		b := exactly(t, d, 1)
		b.must(b.of(100, 101)...)
		b.ids = map[string]string{"orders": "another"} // while the task runs
		b.must(b.of(0, 1)...)
		require.Empty(t, b.sought())
		require.Equal(t, "0 1 100 101", ids(t, d))
		b = exactly(t, d, 2) // and while none does; it has got further already
		b.ids = map[string]string{"orders": "third"}
		b.must(b.of(200)...)
		require.Empty(t, b.sought())
		b.must(b.of(200, 201)...)
		require.Equal(t, "0 1 100 101 200 201", ids(t, d))
		require.Equal(t, []string{"another|2", "id of orders|102", "third|202"}, d.Rows(t, "SELECT topic_id, next_offset FROM millrace_offsets ORDER BY topic_id"))

		b.ids["orders"] = ""
		require.ErrorContains(t, b.put(b.of(0)...), "needs Kafka 2.8 or later")
		b.idErr = connecterr.New(connecterr.Retriable, "no answer")
		require.True(t, connecterr.IsRetriable(b.task.Put(t.Context(), b.of(0))))
	})
}

// A backup was put back: the table of offsets is as old as the rows, and decides.
func TestExactlyOnce_a_database_that_was_put_back(t *testing.T) {
	t.Parallel()
	servers.Databases(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, untyped)
		b := exactly(t, d, 1)
		b.must(b.of(1, 2, 3, 4, 5)...)
		d.Exec(t, "DELETE FROM orders WHERE id > 2;\nUPDATE millrace_offsets SET next_offset = 3")
		b = exactly(t, d, 2)
		b.must(b.of(6, 7)...)
		require.Equal(t, sink.Offsets{part3: 3}, b.sought())
		require.Equal(t, "1 2", ids(t, d))
		require.Contains(t, b.log.String(), "behind what Kafka was told")
		got, err := b.task.PreCommit(t.Context(), sink.Offsets{part3: 8})
		require.NoError(t, err)
		require.Equal(t, sink.Offsets{part3: 3}, got, "what is read again is not committed")
		b.must(b.of(4, 5)...) // 3 is gone from Kafka
		b.must(b.of(6, 7)...)
		require.Empty(t, b.sought())
		require.Equal(t, "1 2 4 5 6 7", ids(t, d))

		// While the task runs: its mark is not the backup's.
		d.Exec(t, "DELETE FROM orders WHERE id > 4;\nUPDATE millrace_offsets SET next_offset = 5, claim = 'old'")
		b.must(b.of(8)...)
		require.Equal(t, sink.Offsets{part3: 5}, b.sought())
		b.must(b.of(5, 6, 7, 8)...)
		require.Equal(t, "1 2 4 5 6 7 8", ids(t, d))
	})
}

// A batch asks for other records of one partition and fails for another: when it comes again nothing of the first may be
// taken for records between which a transformation has dropped some.
func TestExactlyOnce_a_batch_that_seeks_and_fails(t *testing.T) {
	t.Parallel()
	servers.Databases(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, untyped)
		b := exactly(t, d, 1)
		b.must(b.of(1, 2)...)
		b = exactly(t, d, 2, "max.retries=1")
		batch := b.of(9)
		other := b.of(50)
		other[0].OriginalPartition = 4
		other[0].Value = item(50, strings.Repeat("x", 60)).Value // does not fit, but for SQLite
		batch = append(batch, other...)
		if err := b.put(batch...); d.Product == "sqlite" {
			require.NoError(t, err)
		} else {
			require.Error(t, err)
			require.Equal(t, 2, b.tries)
		}
		require.Equal(t, sink.Offsets{part3: 3}, b.sought())
		require.NotContains(t, ids(t, d), "9")
		b.must(b.of(3, 4)...)
		require.Contains(t, ids(t, d), "1 2 3 4")
	})
}

// The table follows when the records behind the last row wrote none, so that they are not read again.
func TestExactlyOnce_records_that_write_no_row(t *testing.T) {
	t.Parallel()
	servers.Databases(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, untyped)
		b := exactly(t, d, 1)
		b.must(b.of(1, 2)...)
		got, err := b.task.PreCommit(t.Context(), sink.Offsets{part3: 40, {Topic: "orders", Partition: 9}: 7})
		require.NoError(t, err)
		require.Equal(t, sink.Offsets{part3: 40, {Topic: "orders", Partition: 9}: 7}, got)
		require.Equal(t, "connect-s|orders|3|id of orders|40|t/0|1", lines(t, d))
		heir := exactly(t, d, 2)
		heir.must(heir.of(40)...)
		require.Empty(t, heir.sought())
		got, err = b.task.PreCommit(t.Context(), sink.Offsets{part3: 60})
		require.NoError(t, err)
		require.Equal(t, sink.Offsets{part3: 40}, got, "it is the heir's")
		require.Equal(t, "connect-s|orders|3|id of orders|41|t/0|2", lines(t, d))

		// A record that is set aside counts as done.
		d.Exec(t, "CREATE TABLE strict (id INT PRIMARY KEY, name VARCHAR(50) NOT NULL)")
		heir = exactly(t, d, 3, "table.name.format=strict")
		heir.dlq = &deadLetters{}
		bad := heir.of(42)
		bad[0].Value = item(42, nil).Value
		heir.must(append(heir.of(41), bad...)...)
		require.Len(t, heir.dlq.records, 1)
		require.Equal(t, "connect-s|orders|3|id of orders|43|t/0|3", lines(t, d))
		require.NoError(t, heir.task.Close(t.Context(), []record.TopicPartition{part3}))
		heir.must(heir.of(42, 43)...)
		require.Len(t, heir.dlq.records, 1)
	})
}

func TestExactlyOnce_offsets_are_changed_and_reset(t *testing.T) {
	t.Parallel()
	servers.Databases(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, untyped)
		c, config := &sinkConnector{def: confluentDef}, with(d.JDBC, "millrace.exactly.once=true")
		four := record.TopicPartition{Topic: "orders", Partition: 4}
		change := func(to map[record.TopicPartition]int64) {
			done, err := c.AlterOffsets(t.Context(), config, to)
			require.NoError(t, err)
			require.True(t, done)
		}
		change(map[record.TopicPartition]int64{part3: 5}) // there is no table yet
		old := exactly(t, d, 1)
		batch := old.of(1, 2, 3)
		batch[2].OriginalPartition = 4
		old.must(batch...)
		change(map[record.TopicPartition]int64{part3: 1, four: -1, {Topic: "none", Partition: 0}: 1})
		require.Equal(t, "connect-s|orders|3|id of orders|1|t/0|1", lines(t, d))

		b := exactly(t, d, 2) // Kafka begins where it was told, too
		b.must(b.of(1)...)
		require.Empty(t, b.sought())
		again := b.of(3)
		again[0].OriginalPartition = 4
		b.must(again...)
		require.Equal(t, "1 1 2 3 3", ids(t, d))

		done, err := c.ResetOffsets(t.Context(), config)
		require.NoError(t, err)
		require.True(t, done)
		require.Empty(t, lines(t, d))
		require.ErrorContains(t, b.put(b.of(2)...), "is gone from the table of offsets", "one that runs on")
		b = exactly(t, d, 3)
		b.must(b.of(2)...)
		require.Equal(t, "connect-s|orders|3|id of orders|3|t/0|3", lines(t, d))
		require.Equal(t, "1 1 2 2 3 3", ids(t, d))

		d.Exec(t, "DELETE FROM orders;\nDELETE FROM millrace_offsets") // a server lost its last commits, back to before the line was made
		b.must(b.of(3)...)
		require.Equal(t, sink.Offsets{part3: 2}, b.sought())
		b.must(b.of(2, 3)...)
		require.Equal(t, "2 3", ids(t, d))

		other := with(d.JDBC, "millrace.exactly.once=true", "name=other")
		_, err = c.ResetOffsets(t.Context(), other)
		require.NoError(t, err)
		require.NotEmpty(t, lines(t, d), "they are another connector's")
		_, err = c.ResetOffsets(t.Context(), with(d.JDBC))
		require.NoError(t, err)
		require.NotEmpty(t, lines(t, d), "without the option the table is left alone")
	})
	_, err := (&sinkConnector{def: confluentDef}).ResetOffsets(t.Context(), with("jdbc:postgresql://127.0.0.1:1/d?password=SECRET", "millrace.exactly.once=true"))
	require.ErrorContains(t, err, "The offsets in the database could not be changed, and Kafka's were left as they are. Could not connect to")
	require.NotContains(t, err.Error(), "SECRET")
}

// Many tasks start at once, on an empty table of offsets, and none has to try again.
func TestExactlyOnce_tasks_that_start_together(t *testing.T) {
	t.Parallel()
	servers.ServerDatabases(t, func(t *testing.T, d servers.Database) { // SQLite has one writer at a time
		d.Exec(t, untyped)
		const tasks, each = 8, 20
		benches := make([]*bench, tasks)
		for i := range benches {
			benches[i] = exactly(t, d, 1)
			benches[i].task1 = fmt.Sprintf("t/%d", i)
			benches[i].begin()
		}
		errs := make([]error, tasks)
		var all sync.WaitGroup
		for i, b := range benches {
			all.Go(func() {
				batch := b.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20)
				for n := range batch {
					batch[n].OriginalPartition = int32(i + tasks*n)
				}
				errs[i] = b.task.Put(context.WithoutCancel(t.Context()), batch)
			})
		}
		all.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.Equal(t, []string{fmt.Sprint(tasks * each)}, d.Rows(t, "SELECT count(*) FROM millrace_offsets"))
	})
}

func TestExactlyOnce_what_can_not_keep_it_is_refused(t *testing.T) {
	t.Parallel()
	servers.MySQLDatabases(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, untyped+" ENGINE=MyISAM")
		b := exactly(t, d, 1)
		require.ErrorContains(t, b.put(b.of(1)...), "Table `orders` has the storage engine MyISAM, which has no transactions, as millrace.exactly.once=true needs: ALTER TABLE `orders` ENGINE=InnoDB")
		d.Exec(t, "ALTER TABLE orders ENGINE=InnoDB;\nALTER TABLE millrace_offsets ENGINE=MEMORY")
		b = exactly(t, d, 1)
		require.ErrorContains(t, b.put(b.of(1)...), "Table `millrace_offsets` has the storage engine MEMORY")
		d.Exec(t, "ALTER TABLE millrace_offsets ENGINE=InnoDB")
		b = exactly(t, d, 1, "consumer.override.group.id="+strings.Repeat("g", 192))
		require.ErrorContains(t, b.put(b.of(1)...), "Data too long for column 'consumer_group'")
		require.Empty(t, ids(t, d))
	})

	for _, url := range []string{"jdbc:sqlserver://127.0.0.1:1;databaseName=d", "jdbc:oracle:thin:@//127.0.0.1:1/d"} {
		found := (&sinkConnector{def: confluentDef}).Validate(t.Context(), with(url, "millrace.exactly.once=true"))
		require.Len(t, found, 1)
		require.Equal(t, "millrace.exactly.once", found[0].Key)
		require.Contains(t, found[0].Message, "was not tried on")
	}
	b := exactly(t, servers.SQLiteDatabase(t), 1)
	err := (&task{def: confluentDef}).Start(t.Context(), struct{ sink.Context }{b})
	require.ErrorContains(t, err, "millrace.exactly.once=true needs a worker that numbers the runs")
}

// Who may write rows only gets the statement that somebody else has to run.
func TestExactlyOnce_without_the_right_to_make_the_table(t *testing.T) {
	t.Parallel()
	d := servers.PostgresDatabase(t)
	d.Exec(t, untyped+";\nCREATE ROLE writer_"+d.Rows(t, "SELECT current_database()")[0]+" LOGIN;\nREVOKE CREATE ON SCHEMA public FROM PUBLIC;\nGRANT INSERT, SELECT ON orders TO PUBLIC")
	user := "connection.user=writer_" + d.Rows(t, "SELECT current_database()")[0]
	b := exactly(t, d, 1, user, "millrace.offsets.table=public.positions")
	err := b.put(b.of(1)...)
	require.ErrorContains(t, err, "42501")
	_, statement, _ := strings.Cut(err.Error(), "can make it with\n")
	statement, _, _ = strings.Cut(statement, "\nFirst record")
	require.True(t, strings.HasPrefix(statement, `CREATE TABLE "public"."positions" (`), err.Error())
	d.Exec(t, statement+";\nGRANT SELECT, INSERT, UPDATE ON positions TO PUBLIC")
	b = exactly(t, d, 1, user, "millrace.offsets.table=public.positions")
	b.must(b.of(1)...)
	require.Equal(t, "1", ids(t, d))
}
