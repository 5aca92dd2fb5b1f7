package allinone_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/services/allinone/allinone"
	"github.com/millrace/millrace/tests/e2e/jdbcoracle"
	"github.com/millrace/millrace/tests/servers"
)

// The same records through a Java JDBC sink on a real Kafka Connect worker and through ours make the same tables.
func TestOracle_tables_are_written_as_by_a_Java_JDBC_sink(t *testing.T) {
	t.Parallel()
	bootstrap, id := servers.Kafka(t), strings.ToLower(rand.Text())[:8]
	connect, err := servers.StartConnect(t.Context(), bootstrap, servers.ConnectOptions{Debezium: true})
	if err != nil {
		servers.Missing(t, fmt.Errorf("a Kafka Connect worker: %w", err))
	}
	t.Cleanup(func() { require.NoError(t, connect.Stop(context.WithoutCancel(t.Context()))) })
	info, stop := startIn(t, t.TempDir(), nil, func(c *allinone.Config) {
		c.Kafka = bootstrap
		c.Worker = map[string]string{"group.id": "rows-" + id, "offset.flush.interval.ms": "1000", "offset.storage.topic": "rows-offsets-" + id}
	})
	t.Cleanup(stop)
	theirs, ours := jdbcoracle.Worker{Name: "java", Base: connect.Base, Java: true}, jdbcoracle.Worker{Name: "ours", Base: "http://" + info.API}
	for name, open := range map[string]func(testing.TB) servers.Database{"postgresql": servers.PostgresDatabase, "mariadb": servers.MariaDBDatabase, "mysql": servers.MySQLDatabase,
		"mysqltoday": servers.MySQLTodayDatabase} {
		t.Run(name, func(t *testing.T) { jdbcoracle.Run(t, bootstrap, id, open(t), theirs, ours) })
	}
}
