package jdbcsource

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const settledTable = "CREATE TABLE t (id serial, at timestamptz NOT NULL DEFAULT now(), v text)"

func begun(t *testing.T, db *sql.DB, statements ...string) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(context.WithoutCancel(t.Context()), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() }) // it may be committed
	for _, s := range statements {
		_, err := tx.ExecContext(t.Context(), s)
		require.NoError(t, err)
	}
	return tx
}

func settledConfig(d testDB, mode string, more ...string) map[string]string {
	return d.config(append([]string{modeKey, mode, incrementingKey, "id", timestampKey, "at", settledKey, "true"}, more...)...)
}

// What commits first has the larger id and the later timestamp: it waits for the other.
func TestSettled_rows_that_commit_late_are_not_missed(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{incrementing, timestamp, both} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			d := pg(t, settledTable)
			tx := begun(t, d.DB, "INSERT INTO t (v) VALUES ('late')")
			d.do(t, "INSERT INTO t (v) VALUES ('early')")
			c := settledConfig(d, mode)
			require.Empty(t, validate(t, c))
			r := started(t, c)
			require.Eventually(t, func() bool { return strings.Contains(r.logs.String(), "rows wait for transactions that began before") }, soon, time.Millisecond)
			require.Contains(t, r.logs.String(), "session ")
			require.NoError(t, tx.Commit())
			require.Equal(t, []int{1, 2}, ids(t, r.take(t, 2)))
			d.do(t, "INSERT INTO t (v) VALUES ('next')")
			require.Equal(t, []int{3}, ids(t, r.take(t, 1)), "nothing runs, nothing waits")
		})
	}
	t.Run("without", func(t *testing.T) {
		t.Parallel()
		d := pg(t, settledTable)
		tx := begun(t, d.DB, "INSERT INTO t (v) VALUES ('late')")
		d.do(t, "INSERT INTO t (v) VALUES ('early')")
		r := started(t, settledConfig(d, incrementing, settledKey, "false"))
		require.Equal(t, []int{2}, ids(t, r.take(t, 1)))
		require.NoError(t, tx.Commit())
		r.nothing(t)
	})
}

// The oldest running transaction's number says nothing: one with a smaller number, which is committed, has the larger id.
func TestSettled_numbers_of_transactions_do_not_count(t *testing.T) {
	t.Parallel()
	d := pg(t, settledTable, "CREATE TABLE other (id int)")
	older := begun(t, d.DB, "INSERT INTO other VALUES (1)") // has its number
	late := begun(t, d.DB, "INSERT INTO t (v) VALUES ('late')")
	_, err := older.ExecContext(t.Context(), "INSERT INTO t (v) VALUES ('early')")
	require.NoError(t, err)
	require.NoError(t, older.Commit())
	r := started(t, settledConfig(d, incrementing, whitelistKey, "t"))
	r.nothing(t)
	require.NoError(t, late.Commit())
	require.Equal(t, []int{1, 2}, ids(t, r.take(t, 2)))
}

// A transaction that has drawn its id, or its time, before it writes anything.
func TestSettled_transactions_that_have_not_written_yet_count(t *testing.T) {
	t.Parallel()
	d := pg(t, settledTable)
	tx := begun(t, d.DB, "SELECT now()")
	var id int
	require.NoError(t, tx.QueryRowContext(t.Context(), "SELECT nextval('t_id_seq')").Scan(&id))
	d.do(t, "INSERT INTO t (v) VALUES ('early')")
	for _, mode := range []string{incrementing, timestamp} {
		started(t, settledConfig(d, mode)).nothing(t)
	}
	_, err := tx.ExecContext(t.Context(), "INSERT INTO t VALUES ($1, now(), 'late')", id)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.Equal(t, []int{1, 2}, ids(t, started(t, settledConfig(d, incrementing)).take(t, 2)))
	require.Equal(t, []int{1, 2}, ids(t, started(t, settledConfig(d, timestamp)).take(t, 2)))
}

func TestSettled_transactions_of_two_phases(t *testing.T) {
	t.Parallel()
	srv, d := ownServer(t, settledTable, "ALTER SYSTEM SET max_prepared_transactions = 5")
	require.NoError(t, srv.Stop(t.Context()))
	require.NoError(t, srv.Restart(t.Context()))
	conn, err := d.Conn(t.Context())
	require.NoError(t, err)
	on := func(s string) {
		_, err := conn.ExecContext(t.Context(), s)
		require.NoError(t, err, s)
	}
	on("BEGIN")
	on("INSERT INTO t (v) VALUES ('late')")
	d.do(t, "INSERT INTO t (v) VALUES ('early')")
	r := started(t, settledConfig(d, incrementing))
	r.nothing(t)
	on("PREPARE TRANSACTION 'two'")
	require.NoError(t, conn.Close())
	r.nothing(t)
	require.Eventually(t, func() bool { return strings.Contains(r.logs.String(), "prepared two") }, soon, time.Millisecond)
	d.do(t, "COMMIT PREPARED 'two'")
	require.Equal(t, []int{1, 2}, ids(t, r.take(t, 2)))
}

// Many transactions that take as long as they like, and commit in any order.
func TestSettled_no_row_of_busy_writers_is_missed(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{incrementing, both} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			d := pg(t, settledTable)
			const writers, each = 6, 25
			r := started(t, settledConfig(d, mode))
			var all sync.WaitGroup
			failed := make(chan error, writers)
			for w := range writers {
				all.Go(func() {
					random := rand.New(rand.NewPCG(uint64(w), 7)) //nolint:gosec // delays
					for range each {
						_, err := d.ExecContext(t.Context(), fmt.Sprintf("WITH x AS (INSERT INTO t (v) VALUES ('x') RETURNING id) SELECT pg_sleep(%f) FROM x", random.Float64()/20))
						if err != nil {
							failed <- err
							return
						}
					}
				})
			}
			got := ids(t, r.take(t, writers*each))
			all.Wait()
			require.Empty(t, failed)
			slices.Sort(got)
			require.Equal(t, writers*each, len(slices.Compact(got)), "each row once")
			r.nothing(t)
		})
	}
}

func TestSettled_where_it_is_not_to_be_had(t *testing.T) {
	t.Parallel()
	m := maria(t, "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	c := m.config(modeKey, incrementing, settledKey, "true")
	const why = "wait.for.transactions: only PostgreSQL can be asked which transactions run. Set timestamp.delay.interval.ms to more than the longest transaction takes."
	require.Equal(t, "Invalid value true for configuration "+why, validate(t, c)[settledKey])
	_, err := start(t, c)
	require.EqualError(t, err, why)
	require.Empty(t, validate(t, m.config(settledKey, "true")), "bulk needs none")

	l := lite(t, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	c = l.config(modeKey, incrementing, settledKey, "true")
	require.Empty(t, validate(t, c))
	require.Equal(t, "{incrementing=1}", offsets(started(t, c).take(t, 1))[0], "SQLite writes one transaction after the other")
}

func TestBarrier_a_transaction_that_becomes_a_prepared_one_still_counts(t *testing.T) {
	t.Parallel()
	b := newBarrier(mark{id: 7}, transactions{active: map[string]string{"3/1": "a", "4/1": "b"}, prepared: map[string]string{"90": "p"}})
	waits, ok := b.passed(transactions{active: map[string]string{"3/1": "a", "5/9": "later"}, prepared: map[string]string{"90": "p", "91": "of 4/1"}})
	require.False(t, ok)
	require.Equal(t, []string{"a", "of 4/1", "p"}, waits)
	waits, ok = b.passed(transactions{prepared: map[string]string{"91": "of 4/1", "92": "of 3/1"}})
	require.False(t, ok)
	require.Equal(t, []string{"of 3/1", "of 4/1"}, waits)
	waits, ok = b.passed(transactions{active: map[string]string{"3/2": "later"}, prepared: map[string]string{"92": "of 3/1", "93": "later"}})
	require.False(t, ok)
	require.Equal(t, []string{"of 3/1"}, waits, "one that is prepared when none of the first runs is a later one")
	_, ok = b.passed(transactions{active: map[string]string{"3/3": "later"}, prepared: map[string]string{"93": "later"}})
	require.True(t, ok)
}
