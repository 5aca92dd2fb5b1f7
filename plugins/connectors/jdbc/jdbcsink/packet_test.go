package jdbcsink

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/tests/servers"
)

// A batch may be larger than what the server takes in one packet (16 MiB, today's MySQL 64). A value may not, except for MySQL 5.5: it is set aside.
func TestMySQL_packets(t *testing.T) {
	t.Parallel()
	servers.MySQLDatabases(t, func(t *testing.T, d servers.Database) {
		d.Exec(t, "CREATE TABLE orders (id INT, name LONGTEXT)")
		b := start(t, d)
		b.dlq = &deadLetters{}
		batch := make([]record.Sink, 300)
		for i := range batch {
			batch[i] = b.rec(none, item(int32(i), strings.Repeat("x", 4<<10)))
		}
		b.must(batch...)
		require.Equal(t, []string{"300"}, d.Rows(t, "SELECT count(*) FROM orders"))
		large := map[string]int{"mariadb": 17 << 20, "mysql": 17 << 20, "mysqltoday": 65 << 20}[d.Product]
		b.must(b.rec(none, item(300, "a")), b.rec(none, item(301, strings.Repeat("x", large))), b.rec(none, item(302, "b")))
		want := map[string][]string{"mariadb": {"300", "302"}, "mysql": {"300", "301", "302"}, "mysqltoday": {"300", "302"}}[d.Product]
		require.Equal(t, want, d.Rows(t, "SELECT id FROM orders WHERE id >= 300 ORDER BY id"))
		require.Len(t, b.dlq.records, 3-len(want))
	})
}
