package allinone_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/allinone/allinone"
	"github.com/millrace/millrace/tests/e2e/dataoracle"
	"github.com/millrace/millrace/tests/servers"
)

// The same records through a real Kafka Connect worker and through Millrace come out the same, byte for byte.
func TestOracle_records_come_out_as_from_Kafka_Connect(t *testing.T) {
	t.Parallel()
	bootstrap, id := servers.Kafka(t), strings.ToLower(rand.Text())[:8]
	connect, err := servers.StartConnect(t.Context(), bootstrap, servers.ConnectOptions{Sources: []string{"../../../tests/e2e/dataoracle/ScriptedSource.java"}})
	if err != nil {
		servers.Missing(t, fmt.Errorf("a Kafka Connect worker: %w", err))
	}
	t.Cleanup(func() { require.NoError(t, connect.Stop(context.WithoutCancel(t.Context()))) })
	dir := t.TempDir()
	info, stop := startIn(t, dir, []plugin.Plugin{dataoracle.Scripted()}, func(c *allinone.Config) {
		c.Kafka = bootstrap
		c.Worker = map[string]string{"group.id": "data-" + id, "offset.flush.interval.ms": "1000", "offset.storage.topic": "data-offsets-" + id}
	})
	t.Cleanup(stop)
	dataoracle.Run(t, bootstrap, id, dataoracle.Target{Name: "kc", Base: connect.Base, Dir: t.TempDir()}, dataoracle.Target{Name: "mr", Base: "http://" + info.API, Dir: dir})
}
