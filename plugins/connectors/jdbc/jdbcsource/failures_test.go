package jdbcsource

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/embedded/pgembed"
	"github.com/millrace/millrace/tests/proxy"
	"github.com/millrace/millrace/tests/servers"
)

// ownServer is a Postgres that a test may stop.
func ownServer(t *testing.T, statements ...string) (*pgembed.Server, testDB) {
	t.Helper()
	srv, err := pgembed.Start(t.Context(), pgembed.Options{Unsafe: true, Fetch: true})
	if err != nil {
		servers.Missing(t, err)
	}
	t.Cleanup(func() { require.NoError(t, srv.Close(context.WithoutCancel(t.Context()))) })
	u, err := url.Parse(srv.URL())
	require.NoError(t, err)
	d := testDB{DB: opened(t, "pgx", srv.URL()), url: "jdbc:postgresql://" + u.Host + "/postgres?sslmode=disable", user: u.User.Username(), name: "postgres"}
	d.SetMaxIdleConns(0) // none outlives a restart
	d.do(t, statements...)
	return srv, d
}

const numbers = "CREATE TABLE t AS SELECT g AS id, repeat('x', 100) AS v FROM generate_series(1, 20000) g"

func TestCase_58_a_database_that_goes_away(t *testing.T) {
	t.Parallel()
	srv, d := ownServer(t, "CREATE TABLE t (id int NOT NULL)", "INSERT INTO t VALUES (1)")
	few := started(t, d.config(modeKey, incrementing, incrementingKey, "id", attemptsKey, "3", backoffKey, "10"))
	many := started(t, d.config(modeKey, incrementing, incrementingKey, "id", attemptsKey, "10000", backoffKey, "20"))
	few.take(t, 1)
	many.take(t, 1)
	require.NoError(t, srv.Stop(t.Context()))
	err := few.fails(t)
	require.ErrorContains(t, err, "Could not connect to jdbc:postgresql:")
	require.Contains(t, few.logs.String(), "Unable to connect to database on attempt 2/3. Will retry in 10 ms.")
	require.NoError(t, srv.Restart(t.Context()))
	d.do(t, "INSERT INTO t VALUES (2)")
	require.Equal(t, []int{2}, ids(t, many.take(t, 1)))
}

func TestServer_that_crashes_in_the_middle_of_a_result_costs_no_row(t *testing.T) {
	t.Parallel()
	srv, d := ownServer(t, numbers, "ALTER TABLE t ADD COLUMN at timestamp NOT NULL DEFAULT '2024-05-05 10:00:00'", "UPDATE t SET at = at + (id / 7) * interval '1 ms'")
	for _, mode := range []string{incrementing, both, timestamp} {
		r := started(t, d.config(modeKey, mode, incrementingKey, "id", timestampKey, "at", nonNullKey, "false", attemptsKey, "10000", batchKey, "100", bufferKey, "100"))
		seen := map[int]bool{}
		for i := 0; len(seen) < 20000; i++ {
			for _, id := range ids(t, r.take(t, 100)) {
				seen[id] = true
			}
			if i == 5 {
				require.NoError(t, srv.Kill())
				require.NoError(t, srv.Restart(t.Context()))
			}
			if len(seen) > 19900 { // the last batches are smaller
				for len(seen) < 20000 {
					for _, id := range ids(t, r.take(t, 1)) {
						seen[id] = true
					}
				}
			}
		}
	}
}

func TestCase_59_a_query_that_times_out_is_tried_again(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int NOT NULL)", "INSERT INTO t VALUES (1)")
	d.url += "&options=-c%20statement_timeout%3D100"
	c := d.config(modeKey, incrementing, incrementingKey, "id")
	// The lock is taken after the start, which looks at the columns.
	patient := started(t, c)
	patient.take(t, 1)
	c[retriesKey] = "3"
	hasty := started(t, c)
	hasty.take(t, 1)
	tx, err := d.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	err = hasty.fails(t)
	require.ErrorContains(t, err, "Failed to query table after retries")
	require.Contains(t, hasty.logs.String(), "SQL exception while running query for table: public.t")
	require.Contains(t, hasty.logs.String(), "sqlState=57014")
	_, err = tx.ExecContext(t.Context(), "INSERT INTO t VALUES (2)")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.Equal(t, []int{2}, ids(t, patient.take(t, 1)))
}

func TestCase_60_a_dropped_column_fails_the_task(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]testDB{"postgres": pg(t), "mariadb": maria(t), "mysql": mysqlDB(t), "sqlite": lite(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d.do(t, "CREATE TABLE t (id int NOT NULL, v int)", "INSERT INTO t VALUES (1, 1)")
			r := started(t, d.config(modeKey, incrementing, incrementingKey, "id"))
			r.take(t, 1)
			d.do(t, "ALTER TABLE t DROP COLUMN id")
			require.ErrorContains(t, r.fails(t), "id")
			require.Contains(t, r.logs.String(), "Non-transient SQL exception while running query for table: ")
		})
	}
}

func TestTable_that_is_dropped_fails_the_task_when_the_monitor_has_had_its_time(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int NOT NULL)", "INSERT INTO t VALUES (1)")
	r := started(t, d.config())
	r.take(t, 1)
	d.do(t, "DROP TABLE t")
	require.ErrorContains(t, r.fails(t), `relation "public.t" does not exist`)
}

func TestRight_that_is_missing_fails_the_task(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int NOT NULL)", "DROP ROLE IF EXISTS poor", "CREATE ROLE poor LOGIN")
	d.user = "poor"
	err := started(t, d.config()).fails(t)
	require.ErrorContains(t, err, "permission denied for table t")
	require.ErrorContains(t, err, "reading public.t (SQLState 42501)")
}

func TestCase_61_passwords_are_shown_nowhere(t *testing.T) {
	t.Parallel()
	d := maria(t, "CREATE TABLE t (id int NOT NULL)")
	d.url += "?password=geheim1"
	_, err := startTask(t, d.config(tablesKey, "t", fetchedKey, "true", passwordKey, "geheim2", attemptsKey, "2", backoffKey, "1"))
	require.Error(t, err)
	r, err := startTask(t, d.config(tablesKey, "t", fetchedKey, "true", attemptsKey, "2", backoffKey, "1"))
	require.Error(t, err)
	for _, text := range []string{err.Error(), r.logs.String()} {
		require.NotContains(t, text, "geheim")
	}
	p := pg(t, "CREATE TABLE t (id int)")
	r = started(t, p.config(maskedKey, "SELECT id, 'geheim' AS s FROM t"))
	r.nothing(t)
	require.NotContains(t, r.logs.String(), "geheim")
	require.ErrorContains(t, started(t, p.config(maskedKey, "SELECT 1/0 AS geheim")).fails(t), "division by zero")
}

// The server's disk is full, so that it can't sort: the query is tried again until there is room.
func TestServer_whose_disk_is_full(t *testing.T) {
	t.Parallel()
	disk, grow := servers.SmallDisk(t)
	d := pg(t, "CREATE TABLE t AS SELECT g AS id, repeat('x', 1000) AS v FROM generate_series(20000, 1, -1) g")
	proc, err := os.Stat(fmt.Sprintf("/proc/%d", servers.Postgres(t).Pid()))
	require.NoError(t, err)
	require.NoError(t, os.Chown(disk, int(proc.Sys().(*syscall.Stat_t).Uid), -1))
	space := "space_" + d.name
	d.do(t, "CREATE TABLESPACE "+space+" LOCATION '"+disk+"'")
	t.Cleanup(func() {
		_, err := d.Exec("DROP TABLESPACE " + space)
		require.NoError(t, err)
	})
	d.url += "&options=-c%20work_mem%3D64kB%20-c%20temp_tablespaces%3D" + space
	r := started(t, d.config(modeKey, incrementing, incrementingKey, "id", nonNullKey, "false"))
	require.Eventually(t, func() bool { return strings.Contains(r.logs.String(), "sqlState=53100") }, soon, time.Millisecond)
	grow()
	require.Len(t, r.take(t, 20_000), 20_000)
	require.NoError(t, r.Stop(t.Context()), "before the space goes")
}

func TestConnection_that_hangs(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int NOT NULL)", "INSERT INTO t VALUES (1)")
	host := strings.TrimPrefix(d.url[:strings.LastIndex(d.url, "/")], "jdbc:postgresql://")
	m := proxy.New(t, host)
	d.url = strings.Replace(d.url, host, m.Addr(), 1)
	hangs := started(t, d.config(modeKey, incrementing, incrementingKey, "id"))
	d.url += "&socketTimeout=1"
	r := started(t, d.config(modeKey, incrementing, incrementingKey, "id", attemptsKey, "10000"))
	hangs.take(t, 1)
	r.take(t, 1)
	m.Freeze(true)
	require.Eventually(t, func() bool {
		return strings.Contains(r.logs.String(), "Unable to connect") || strings.Contains(r.logs.String(), "Reconnecting")
	}, soon, time.Millisecond)
	began := time.Now()
	require.NoError(t, hangs.Stop(t.Context()), "a stop ends what hangs")
	require.Less(t, time.Since(began), 2*time.Second)
	m.Freeze(false)
	d.do(t, "INSERT INTO t VALUES (2)")
	require.Equal(t, []int{2}, ids(t, r.take(t, 1)))
}
