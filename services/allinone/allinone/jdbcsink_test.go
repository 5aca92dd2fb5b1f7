package allinone_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/services/allinone/allinone"
	"github.com/millrace/millrace/tests/servers"
)

// Offsets in the database, through everything: restarts, changes by the REST API, a topic that is made anew.
func TestJdbcSink_exactly_once_end_to_end(t *testing.T) {
	t.Parallel()
	info := start(t, func(*allinone.Config) {})
	c := caller{t, "http://" + info.API, ""}
	d := servers.PostgresDatabase(t)
	d.Exec(t, "CREATE TABLE orders (id BIGINT)")
	kafka, err := kgo.NewClient(kgo.SeedBrokers(info.Kafka))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	send := func(from, to int) {
		producer, err := kgo.NewClient(kgo.SeedBrokers(info.Kafka)) // another each time: this library gives up on a topic that is made anew
		require.NoError(t, err)
		defer producer.Close()
		for i := from; i < to; i++ {
			value := fmt.Sprintf(`{"schema":{"type":"struct","fields":[{"field":"id","type":"int64"}]},"payload":{"id":%d}}`, i)
			require.NoError(t, producer.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte(value)}).FirstErr())
		}
	}
	admin := kadm.NewClient(kafka)
	create := func() {
		_, err := admin.CreateTopic(t.Context(), 1, 1, nil, "orders")
		require.NoError(t, err)
	}
	ids := func() []int {
		var all []int
		for _, row := range d.Rows(t, "SELECT id FROM orders ORDER BY id") {
			n, err := strconv.Atoi(row)
			require.NoError(t, err)
			all = append(all, n)
		}
		return all
	}
	has := func(want ...int) {
		t.Helper()
		slices.Sort(want)
		require.Eventually(t, func() bool { return len(ids()) >= len(want) }, patience, tick, "%v is not there", want)
		require.Equal(t, want, ids())
	}
	stopped := func() {
		c.is(204, http.MethodPut, "/connectors/db/stop", "")
		c.eventually("/connectors/db/status", `"tasks":[]`)
	}

	create()
	send(0, 5)
	config := fmt.Sprintf(`{"name":"db","connector.class":"JdbcSink","tasks.max":"1","topics":"orders","connection.url":%q,"millrace.exactly.once":"true",
		"value.converter":"org.apache.kafka.connect.json.JsonConverter","value.converter.schemas.enable":"true"}`, d.JDBC)
	require.Contains(t, c.is(200, http.MethodPut, "/connector-plugins/JdbcSink/config/validate", config), `"error_count":0`)
	c.is(201, http.MethodPut, "/connectors/db/config", config)
	has(0, 1, 2, 3, 4)

	stopped()
	send(5, 7)
	c.is(202, http.MethodPut, "/connectors/db/resume", "")
	has(0, 1, 2, 3, 4, 5, 6)

	// Offsets that are set by the REST API count in both places.
	stopped()
	require.Contains(t, c.is(200, http.MethodPatch, "/connectors/db/offsets", `{"offsets":[{"partition":{"kafka_topic":"orders","kafka_partition":0},"offset":{"kafka_offset":5}}]}`),
		"altered successfully")
	require.Equal(t, []string{"5"}, d.Rows(t, "SELECT next_offset FROM millrace_offsets"))
	c.is(202, http.MethodPut, "/connectors/db/resume", "")
	has(0, 1, 2, 3, 4, 5, 5, 6, 6)

	stopped()
	c.is(200, http.MethodDelete, "/connectors/db/offsets", "")
	require.Empty(t, d.Rows(t, "SELECT * FROM millrace_offsets"))
	d.Exec(t, "DELETE FROM orders")
	c.is(202, http.MethodPut, "/connectors/db/resume", "")
	has(0, 1, 2, 3, 4, 5, 6)

	// A topic that is made anew has new records, from its first on.
	stopped()
	_, err = admin.DeleteTopic(t.Context(), "orders")
	require.NoError(t, err)
	create()
	send(100, 103)
	c.is(202, http.MethodPut, "/connectors/db/resume", "")
	has(0, 1, 2, 3, 4, 5, 6, 100, 101, 102)
	require.Len(t, d.Rows(t, "SELECT * FROM millrace_offsets"), 2)

}
