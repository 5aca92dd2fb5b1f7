package pgstore_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/pgstore"
)

const insertEvent = `INSERT INTO events (connector, data) VALUES ($1, '{"type":"connector.config"}')`

// begin starts a transaction that has written an event.
func begin(t *testing.T, conn *pgx.Conn, connector string) pgx.Tx {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), insertEvent, connector)
	require.NoError(t, err)
	return tx
}

func read(t *testing.T, s *pgstore.Store, after cluster.EventToken, want int) []cluster.Event {
	t.Helper()
	events, err := s.Events(t.Context(), after, 10)
	require.NoError(t, err)
	require.Len(t, events, want)
	return events
}

func TestEvents_whose_ids_commit_in_reverse_are_both_read_once(t *testing.T) {
	t.Parallel()
	s, schema := open(t)
	first, second := begin(t, connect(t, schema), "a"), begin(t, connect(t, schema), "b")
	read(t, s, cluster.EventToken{}, 0)
	require.NoError(t, second.Commit(t.Context()))
	b := read(t, s, cluster.EventToken{}, 1)[0]
	read(t, s, b.Token(), 0)
	require.NoError(t, first.Commit(t.Context()))
	a := read(t, s, b.Token(), 1)[0]
	require.Equal(t, b.Seq+1, a.Seq, "a reader that went by id would miss it")
	require.Len(t, read(t, s, cluster.EventToken{}, 2), 2)
	read(t, s, a.Token(), 0)
}

// An event that was rolled back leaves no gap that somebody would wait for.
func TestEvents_of_a_transaction_that_fails_are_not_read(t *testing.T) {
	t.Parallel()
	s, schema := open(t)
	first, second := begin(t, connect(t, schema), "a"), begin(t, connect(t, schema), "b")
	require.NoError(t, first.Rollback(t.Context()))
	require.NoError(t, second.Commit(t.Context()))
	require.Equal(t, int64(1), read(t, s, cluster.EventToken{}, 1)[0].Seq)
}

// Two readers at once: the second waits for the numbers of the first, and gives none twice.
func TestEvents_numbers_are_given_by_one_at_a_time(t *testing.T) {
	t.Parallel()
	s, schema := open(t)
	require.NoError(t, begin(t, connect(t, schema), "a").Commit(t.Context()))
	numbering, err := connect(t, schema).Begin(t.Context())
	require.NoError(t, err)
	for _, sql := range []string{`SELECT 1 FROM event_log FOR UPDATE`, `UPDATE events SET seq = 1`, `UPDATE event_log SET head = 1`} {
		_, err := numbering.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.NoError(t, begin(t, connect(t, schema), "b").Commit(t.Context()))
	done := make(chan []cluster.Event, 1)
	go func() {
		events, err := s.Events(t.Context(), cluster.EventToken{}, 10)
		if err != nil {
			t.Error(err)
		}
		done <- events
	}()
	watch := connect(t, schema)
	require.Eventually(t, func() bool {
		var waiting int
		err := watch.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`, schema).Scan(&waiting)
		return err == nil && waiting == 1
	}, 20*time.Second, time.Millisecond, "it waits")
	require.Empty(t, done)
	require.NoError(t, numbering.Commit(t.Context()))
	events := <-done
	require.Len(t, events, 2)
	require.Equal(t, []int64{1, 2}, []int64{events[0].Seq, events[1].Seq})
}

func TestEvents_the_schema_refuses_a_second_order(t *testing.T) {
	t.Parallel()
	s, schema := open(t)
	conn := connect(t, schema)
	for _, c := range []string{"a", "b"} {
		require.NoError(t, begin(t, connect(t, schema), c).Commit(t.Context()))
	}
	read(t, s, cluster.EventToken{}, 2)
	for what, sql := range map[string]string{
		"another place":        `UPDATE events SET seq = 9 WHERE seq = 1`,
		"a place twice":        `INSERT INTO events (seq, connector, data) VALUES (1, 'c', '{}')`,
		"another connector":    `UPDATE events SET connector = 'c'`,
		"a head that falls":    `UPDATE event_log SET head = 1`,
		"no head":              `DELETE FROM event_log`,
		"a second head":        `INSERT INTO event_log (one, head) VALUES (false, 9)`,
		"an event of no shape": `INSERT INTO events (connector, data) VALUES ('c', '[]')`,
	} {
		_, err := conn.Exec(t.Context(), sql)
		require.Error(t, err, "the database takes %s", what)
	}
}

// A page of many connectors is read from the index, not by sorting all of them.
func TestFind_reads_a_page_from_an_index(t *testing.T) {
	t.Parallel()
	_, schema := open(t)
	conn := connect(t, schema)
	_, err := conn.Exec(t.Context(), `
INSERT INTO connectors (uid, name, config, class, type, target)
SELECT 'u' || n, 'c' || n, json_build_object('millrace.label.n', n::text), 'x', 'source', 'STARTED' FROM generate_series(1, 5000) n`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `ANALYZE connectors`)
	require.NoError(t, err)
	for index, sql := range map[string]string{
		"connectors_live_order": `SELECT c.name FROM connectors c WHERE c.deleted_at IS NULL AND c.name COLLATE "C" > 'c20' ORDER BY c.name COLLATE "C" LIMIT 100`,
		"connectors_own_keys":   `SELECT c.name FROM connectors c WHERE c.deleted_at IS NULL AND c.own_keys @> '{"millrace.label.n":"77"}' ORDER BY c.name COLLATE "C"`,
	} {
		rows, err := conn.Query(t.Context(), "EXPLAIN "+sql)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		plan := ""
		for _, l := range lines {
			plan += l + "\n"
		}
		require.Contains(t, plan, index, plan)
	}
}
