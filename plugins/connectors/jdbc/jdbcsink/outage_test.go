package jdbcsink

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/embedded/pgembed"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/tests/proxy"
	"github.com/millrace/millrace/tests/servers"
)

// big makes a batch of large rows.
func (b *bench) big(from, n int) []record.Sink {
	batch := b.of(span64(from, n)...)
	for i := range batch {
		batch[i].Value = item(int32(from+i), strings.Repeat("x", 2000)).Value
	}
	return batch
}

func span64(from, n int) (all []int64) {
	for i := range n {
		all = append(all, int64(from+i))
	}
	return all
}

// The server's disk is full: that is no record's fault, so none is set aside. The batch is tried again, the task fails with what
// the database says, and nothing is lost or there twice when there is room again. MySQL 5.5 is not among them: it crashes.
func TestFault_full_disk(t *testing.T) {
	t.Parallel()
	const table = "CREATE TABLE orders (id INT, name VARCHAR(4000))"
	onDisk := func(t *testing.T, d servers.Database, disk string) servers.Database { // of MySQL's kind
		d.Exec(t, table+" DATA DIRECTORY='"+disk+"'")
		t.Cleanup(func() {
			_, err := d.DB.Exec("DROP TABLE orders")
			require.NoError(t, err)
		})
		return d
	}
	for product, c := range map[string]struct {
		open func(t *testing.T, disk string) servers.Database
		says string
	}{
		"postgresql": {func(t *testing.T, disk string) servers.Database {
			d := servers.PostgresDatabase(t)
			proc, err := os.Stat(fmt.Sprintf("/proc/%d", servers.Postgres(t).Pid()))
			require.NoError(t, err)
			require.NoError(t, os.Chown(disk, int(proc.Sys().(*syscall.Stat_t).Uid), -1))
			space := "space_" + d.Rows(t, "SELECT current_database()")[0]
			d.Exec(t, "CREATE TABLESPACE "+space+" LOCATION '"+disk+"';\n"+table+" TABLESPACE "+space)
			t.Cleanup(func() {
				for _, s := range []string{"DROP TABLE orders", "DROP TABLESPACE " + space} {
					_, err := d.DB.Exec(s)
					require.NoError(t, err)
				}
			})
			return d
		}, `No space left on device.*SQLState 53100`},
		"mariadb": {func(t *testing.T, disk string) servers.Database {
			return onDisk(t, servers.MariaDBDatabase(t), disk)
		}, `The table 'orders' is full.*vendor code 1114`},
		"mysqltoday": {func(t *testing.T, disk string) servers.Database {
			return onDisk(t, servers.OfMySQL(t, servers.OwnMySQLToday(t, "--innodb-directories="+disk)), disk)
		}, `The table 'orders' is full.*vendor code 1114`},
		"sqlite": {func(t *testing.T, disk string) servers.Database {
			d := servers.SQLiteDatabaseIn(t, filepath.Join(disk, "t.db"))
			d.Exec(t, table)
			return d
		}, `database or disk is full.*vendor code 13`},
	} {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			disk, grow := servers.SmallDisk(t)
			d := c.open(t, disk)
			const each = 100
			b := exactly(t, d, 1, "max.retries=2", "retry.backoff.ms=20")
			b.dlq = &deadLetters{}
			written := 0
			var err error
			for ; err == nil; written += each {
				require.Less(t, written, 100_000, "the disk is not full")
				err = b.put(b.big(written, each)...)
			}
			written -= each
			require.Regexp(t, regexp.MustCompile(`(?s)Exception chain:\n.*`+c.says+`.*First record \(topic='orders',partition=3,offset=`+fmt.Sprint(written)+`,`), err.Error())
			require.Equal(t, 3, b.tries)
			require.Empty(t, b.dlq.records)
			require.Equal(t, []string{fmt.Sprint(written)}, d.Rows(t, "SELECT count(*) FROM orders"))

			b = exactly(t, d, 2, "max.retries=10000", "retry.backoff.ms=20")
			done := make(chan error, 1)
			go func() { done <- b.put(b.big(written, each)...) }()
			require.Eventually(t, func() bool { return strings.Contains(b.log.String(), "Write of 100 records failed") }, soon, tick)
			grow()
			require.NoError(t, <-done)
			b.must(b.big(written+each, each)...)
			total := fmt.Sprint(written + 2*each)
			require.Equal(t, []string{total + "|" + total}, d.Rows(t, "SELECT count(*), count(DISTINCT id) FROM orders"))
		})
	}
}

// feed puts records from 0 on, as Kafka would: where the task asks for others, they come.
func (b *bench) feed(records int) {
	b.t.Helper()
	const each = 200
	for at := 0; at < records; {
		b.must(b.big(at, min(each, records-at))...)
		at += each
		if to, ok := b.sought()[part3]; ok {
			at = int(to)
		}
	}
}

const exactlyOnceCount = "SELECT count(*), count(DISTINCT id), max(id) FROM orders"

// ownMySQL is a database on a server of the test's own.
func ownMySQL(start func(context.Context) (*servers.MySQLServer, error)) func(t *testing.T) (servers.Database, func() error) {
	return func(t *testing.T) (servers.Database, func() error) {
		t.Helper()
		m, err := start(t.Context())
		if err != nil {
			servers.Missing(t, err)
		}
		t.Cleanup(func() { require.NoError(t, m.Stop(context.WithoutCancel(t.Context()))) })
		return servers.OfMySQL(t, m), func() error { return m.Restart(t.Context()) }
	}
}

// The server is killed in the middle of batches and starts again. What it has lost of its last commits, as these servers may,
// it has lost of the offsets too, so that it comes again.
func TestFault_server_killed_in_a_batch(t *testing.T) {
	t.Parallel()
	for product, begin := range map[string]func(t *testing.T) (d servers.Database, restart func() error){
		"postgresql": func(t *testing.T) (servers.Database, func() error) {
			pg, err := pgembed.Start(t.Context(), pgembed.Options{Unsafe: true, Fetch: true})
			if err != nil {
				servers.Missing(t, fmt.Errorf("PostgreSQL: %w", err))
			}
			t.Cleanup(func() { require.NoError(t, pg.Close(context.WithoutCancel(t.Context()))) })
			return servers.OfPostgres(t, pg.URL()), func() error {
				if err := pg.Kill(); err != nil {
					return err
				}
				return pg.Restart(t.Context())
			}
		},
		"mariadb": ownMySQL(servers.StartMariaDB),
		"mysql":   ownMySQL(servers.StartMySQL),
		"mysqltoday": func(t *testing.T) (servers.Database, func() error) {
			m := servers.OwnMySQLToday(t)
			return servers.OfMySQL(t, m), func() error { return m.Restart(t.Context()) }
		},
	} {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			d, restart := begin(t)
			d.Exec(t, "CREATE TABLE orders (id INT, name VARCHAR(4000))")
			if product == "postgresql" { // else it may lose the table itself
				d.Exec(t, "CHECKPOINT")
			}
			b := exactly(t, d, 1, "max.retries=100000", "retry.backoff.ms=20")
			b.dlq = &deadLetters{}
			const records, kills = 40_000, 4
			killed := make(chan error, 1)
			go func() {
				for range kills {
					select {
					case <-time.After(rand.N(300 * time.Millisecond)):
					case <-t.Context().Done():
						return
					}
					if err := restart(); err != nil {
						killed <- err
						return
					}
				}
				killed <- nil
			}()
			b.feed(records)
			require.NoError(t, <-killed)
			b.feed(records) // it can have lost the last commit after its answer
			require.Empty(t, b.dlq.records)
			require.Equal(t, []string{fmt.Sprintf("%d|%d|%d", records, records, records-1)}, d.Rows(t, exactlyOnceCount))
			failed := strings.Count(b.log.String(), "records failed, remainingRetries")
			t.Logf("%d kills, %d batches were tried again", kills, failed)
			require.Positive(t, failed)
		})
	}
}

// A connection hangs, as when a firewall drops its packets: socketTimeout ends it, and the batch goes over another.
func TestFault_connection_that_hangs(t *testing.T) {
	t.Parallel()
	for product, c := range map[string]struct {
		open  func(testing.TB) servers.Database
		limit string
	}{"postgresql": {servers.PostgresDatabase, "&socketTimeout=1"}, "mariadb": {servers.MariaDBDatabase, "&socketTimeout=1000"}, "mysql": {servers.MySQLDatabase, "&socketTimeout=1000"}, "mysqltoday": {servers.MySQLTodayDatabase, "&socketTimeout=1000"}} {
		t.Run(product, func(t *testing.T) {
			t.Parallel()
			d := c.open(t)
			u, err := url.Parse(strings.TrimPrefix(d.JDBC, "jdbc:"))
			require.NoError(t, err)
			_, _, err = net.SplitHostPort(u.Host)
			require.NoError(t, err)
			m := proxy.New(t, u.Host)
			direct := d
			d.JDBC = strings.Replace(d.JDBC, u.Host, m.Addr(), 1) + c.limit
			d.Exec(t, "CREATE TABLE orders (id INT, name VARCHAR(4000))")
			b := exactly(t, d, 1, "max.retries=100000", "retry.backoff.ms=20")
			b.must(b.big(0, 10)...)
			m.Freeze(true)
			done := make(chan error, 1)
			go func() { done <- b.put(b.big(10, 10)...) }()
			require.Eventually(t, func() bool { return strings.Contains(b.log.String(), "records failed, remainingRetries") }, soon, tick)
			m.Freeze(false)
			require.NoError(t, <-done)
			require.Equal(t, []string{"20|20|19"}, direct.Rows(t, exactlyOnceCount))
		})
	}
}
