package offsets

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/tests/servers"
)

func TestWatch_sees_what_was_written_of_its_connector_since_it_began(t *testing.T) {
	t.Parallel()
	servers.Brokers(t, func(t *testing.T, bootstrap string) {
		client := kafkaio.Config{"bootstrap.servers": bootstrap}
		topic := fmt.Sprintf("watched-%d", time.Now().UnixNano())
		set := NewSet(Options{Topic: topic, Partitions: 3, Replication: 1, Consumer: client, Admin: client, Logger: slog.New(slog.DiscardHandler)}, true)
		defer set.Close()
		h := set.Home("c", nil, Clients{Consumer: client, Admin: client})
		defer h.Close()
		write := func(connector string, es ...Entry) {
			t.Helper()
			rs, err := Records(topic, connector, es)
			require.NoError(t, err)
			p, err := kafkaio.NewProducer(t.Context(), kafkaio.ProducerConfig{Client: client})
			require.NoError(t, err)
			require.NoError(t, Write(t.Context(), p, rs))
		}
		entry := func(p string, n any) Entry {
			e := Entry{Partition: data.MapOf("p", p)}
			if n != nil {
				e.Offset = data.MapOf("n", n)
			}
			return e
		}
		require.NoError(t, h.Ensure(t.Context()))
		write("c", entry("before", int64(1)), entry("removed", int64(1)))
		w, err := h.Watch(t.Context())
		require.NoError(t, err)
		seen := func() []string {
			t.Helper()
			ids, err := w.Seen(t.Context())
			require.NoError(t, err)
			return slices.Sorted(maps.Keys(ids))
		}
		require.Empty(t, seen())
		write("d", entry("another's", int64(1)))
		require.Empty(t, seen())
		write("c", entry("since", int64(1)), entry("removed", nil))
		require.Equal(t, []string{`["p":"removed"]`, `["p":"since"]`}, seen())

		// What is aborted was never written.
		p, err := kafkaio.NewProducer(t.Context(), kafkaio.ProducerConfig{Client: client, TransactionalID: topic})
		require.NoError(t, err)
		defer p.Close(t.Context())
		require.NoError(t, p.InitTransactions(t.Context()))
		require.NoError(t, p.Begin())
		rs, err := Records(topic, "c", []Entry{entry("aborted", int64(1))})
		require.NoError(t, err)
		_, err = p.Send(t.Context(), rs, func(_ int, _ record.Produced, err error) { require.NoError(t, err) })
		require.NoError(t, err)
		require.NoError(t, p.Flush(t.Context()))
		require.NoError(t, p.Abort(t.Context()))
		require.Len(t, seen(), 2)

		w.Stop()
		write("c", entry("later", int64(1)))
		require.Len(t, seen(), 2)
	})
}
