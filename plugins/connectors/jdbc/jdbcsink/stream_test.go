package jdbcsink

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/tests/servers"
)

func countRows(t *testing.T, d servers.Database) (n int) {
	t.Helper()
	require.NoError(t, d.DB.QueryRow("SELECT count(*) FROM orders").Scan(&n))
	return n
}

// manyRows are more than one statement has where batch.size is partRows.
const (
	partRows = 500
	manyRows = 3*partRows + 7
)

// A record that can't be made a row is met while those before it are with the database: nothing of the batch is written then, and the
// error is the record's own. With a place for such records it is set aside, and the others are written.
func TestStream_a_record_that_is_no_row_stops_the_batch(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string][]string{
		"COPY":   nil,
		"upsert": {"insert.mode=upsert", "pk.mode=record_value", "pk.fields=id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := servers.PostgresDatabase(t)
			b := start(t, d, append(mode, "batch.size=500", "auto.create=true", "timestamp.fields.list=at")...)
			row := func(id int64, at string) record.Sink { return b.rec(none, st("id", i64, id, "at", str, at)) }
			b.must(row(-1, "0"))
			var batch []record.Sink
			for id := range int64(manyRows) {
				batch = append(batch, row(id, strconv.FormatInt(id, 10)))
			}
			batch[2*partRows+3] = row(2*partRows+3, "soon")
			require.ErrorContains(t, b.put(batch...), `a field of timestamp.fields.list is "soon"`)
			require.Equal(t, 1, countRows(t, d))

			b.dlq = &deadLetters{}
			b.must(batch...)
			require.Equal(t, manyRows, countRows(t, d))
			require.Len(t, b.dlq.records, 1)

		})
	}
}

// The statements of a batch are in order, and none has a key twice: the last record of a key wins, wherever the others are.
func TestStream_the_last_record_of_a_key_wins_across_statements(t *testing.T) {
	t.Parallel()
	d := servers.PostgresDatabase(t)
	b := start(t, d, "batch.size=500", "insert.mode=upsert", "pk.mode=record_value", "pk.fields=id", "auto.create=true")
	var batch []record.Sink
	const keys = partRows/2 + 1 // several times in each statement, and in all
	for i := range int64(manyRows) {
		batch = append(batch, b.rec(none, st("id", i64, i%keys, "n", i64, i)))
	}
	b.must(batch...)
	var n, least, greatest int64
	require.NoError(t, d.DB.QueryRow("SELECT count(*), min(n), max(n) FROM orders").Scan(&n, &least, &greatest))
	require.Equal(t, []int64{keys, manyRows - keys, manyRows - 1}, []int64{n, least, greatest})
}

// A statement that the database refuses takes those before it with it.
func TestStream_a_refused_statement_ends_the_batch(t *testing.T) {
	t.Parallel()
	d := servers.PostgresDatabase(t)
	b := start(t, d, "batch.size=500", "insert.mode=upsert", "pk.mode=record_value", "pk.fields=id")
	_, err := d.DB.Exec("CREATE TABLE orders (id bigint PRIMARY KEY, n bigint CHECK (n <> 3))")
	require.NoError(t, err)
	var batch []record.Sink
	for i := range int64(manyRows) {
		batch = append(batch, b.rec(none, st("id", i64, i, "n", i64, i)))
	}
	require.ErrorContains(t, b.put(batch...), "violates check constraint")
	require.Zero(t, countRows(t, d))
	batch[3] = b.rec(none, st("id", i64, int64(3), "n", i64, int64(4)))
	b.must(batch...)
	require.Equal(t, manyRows, countRows(t, d))
}
