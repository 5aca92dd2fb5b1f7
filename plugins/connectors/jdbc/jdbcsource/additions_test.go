package jdbcsource

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A query with clauses of its own and a column that only its result has, which an appended WHERE could not name.
func TestWrap_a_query_may_have_what_it_likes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d testDB, create func(string)) {
		stamped(t, d, create)
		d.do(t, "CREATE TABLE u (id int NOT NULL, v varchar(5) NOT NULL)", "INSERT INTO u VALUES (1,'a'),(2,'b'),(3,'c')")
		const query = "SELECT t.id AS n, u.v, t.at FROM t JOIN u ON t.id = u.id WHERE t.id <> 2 OR u.v = 'b' ORDER BY u.v DESC"
		c := d.config(queryKey, query+" -- odd ; end", modeKey, both,
			timestampKey, "at", incrementingKey, "n", wrapKey, "true")
		require.Empty(t, validate(t, c))
		r := started(t, c)
		got := r.take(t, 3)
		require.Equal(t, []string{"{timestamp_nanos=0, incrementing=1, timestamp=1714903200000}", "{timestamp_nanos=0, incrementing=2, timestamp=1714903200000}",
			"{timestamp_nanos=0, incrementing=3, timestamp=1714903201000}"}, offsets(got))
		if d.user != "" { // those of SQLite can't tell
			require.Equal(t, "v STRING", shapes(got[0])[1], "what can't be null is known through the parentheses")
		}
		require.NotContains(t, r.logs.String(), "clauses of its own")
		require.Contains(t, r.logs.String(), ") AS connect_query WHERE ")
		r.nothing(t)
		d.do(t, "INSERT INTO u VALUES (4,'d')", "INSERT INTO t VALUES (4,'2024-05-05 10:00:01')")
		require.Equal(t, "{timestamp_nanos=0, incrementing=4, timestamp=1714903201000}", offsets(r.take(t, 1))[0])

		c[queryKey], c[wrapKey], c[retriesKey] = query, "false", "1"
		plain, err := start(t, c)
		require.NoError(t, err)
		require.Error(t, plain.fails(t), "the WHERE stands behind the query's own")
		require.Contains(t, plain.logs.String(), "Set query.wrap=true")
	})
}

func TestWrap_leaves_bulk_alone(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int)", "INSERT INTO t VALUES (2), (1)")
	r := started(t, d.config(queryKey, "SELECT id FROM t ORDER BY id", wrapKey, "true"))
	require.Equal(t, []int{1, 2}, ids(t, r.take(t, 2)))
	require.NotContains(t, r.logs.String(), "connect_query")
}
