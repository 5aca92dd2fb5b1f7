package allinone_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/embedded/pgembed"
	"github.com/millrace/millrace/services/allinone/allinone"
)

func TestJdbcSource_end_to_end(t *testing.T) {
	t.Parallel()
	pg, err := pgembed.Start(t.Context(), pgembed.Options{Unsafe: true, Fetch: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pg.Close(context.WithoutCancel(t.Context()))) })
	db, err := pgx.Connect(t.Context(), pg.URL())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.WithoutCancel(t.Context()))) })
	do := func(statement string) {
		t.Helper()
		_, err := db.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	do("CREATE TABLE orders (id serial PRIMARY KEY, v text)")
	do("INSERT INTO orders (v) VALUES ('a'), ('b')")

	info := start(t, func(*allinone.Config) {})
	c := caller{t, "http://" + info.API, ""}
	config := fmt.Sprintf(`{"name":"shop","connector.class":"JdbcSource","tasks.max":"2","connection.url":"jdbc:postgresql://127.0.0.1:%d/postgres?sslmode=disable","connection.user":%q,
		"mode":"incrementing","topic.prefix":"shop-","poll.interval.ms":"20","table.poll.interval.ms":"100","value.converter":"org.apache.kafka.connect.json.JsonConverter","value.converter.schemas.enable":"false"}`,
		db.Config().Port, db.Config().User)
	require.Contains(t, c.is(200, http.MethodPut, "/connector-plugins/JdbcSource/config/validate", config), `"error_count":0`)
	require.Contains(t, c.is(200, http.MethodPut, "/connector-plugins/JdbcSource/config/validate", strings.Replace(config, "incrementing", "sometimes", 1)), "Invalid mode: sometimes")
	require.Contains(t, c.is(200, http.MethodPut, "/connector-plugins/JdbcSource/config/validate", config), `{"name":"table.whitelist","value":"","recommended_values":["orders"],"errors":[],"visible":true}`)
	require.Contains(t, c.is(200, http.MethodPut, "/connector-plugins/JdbcSource/config/validate", strings.Replace(config, "incrementing", "sometimes", 1)), `"recommended_values":["orders"]`)
	c.is(201, http.MethodPut, "/connectors/shop/config", config)
	require.Equal(t, []string{`{"id":1,"v":"a"}`, `{"id":2,"v":"b"}`}, valuesOf(t, info.Kafka, "shop-orders", 2))
	c.eventually("/connectors/shop/offsets", `{"offsets":[{"partition":{"protocol":"1","table":"public.orders"},"offset":{"incrementing":2}}]}`)

	do("CREATE TABLE items (id serial PRIMARY KEY)")
	do("INSERT INTO items DEFAULT VALUES")
	require.Equal(t, []string{`{"id":1}`}, valuesOf(t, info.Kafka, "shop-items", 1))
	c.is(202, http.MethodPost, "/connectors/shop/restart?includeTasks=true", "")
	do("INSERT INTO orders (v) VALUES ('c')")
	require.Equal(t, `{"id":3,"v":"c"}`, valuesOf(t, info.Kafka, "shop-orders", 3)[2], "the restart repeats none")

	c.is(204, http.MethodPut, "/connectors/shop/stop", "")
	c.eventually("/connectors/shop/status", `"tasks":[]`)
	c.is(500, http.MethodPatch, "/connectors/shop/offsets", `{"offsets":[{"partition":{"protocol":"1","table":"public.orders"},"offset":{"incrementing":"x"}}]}`)
	c.is(200, http.MethodPatch, "/connectors/shop/offsets", `{"offsets":[{"partition":{"protocol":"1","table":"public.orders"},"offset":{"incrementing":1}}]}`)
	c.is(202, http.MethodPut, "/connectors/shop/resume", "")
	require.Equal(t, []string{`{"id":2,"v":"b"}`, `{"id":3,"v":"c"}`}, valuesOf(t, info.Kafka, "shop-orders", 5)[3:])
}

// valuesOf are the first n values of a topic of one partition.
func valuesOf(t *testing.T, bootstrap, topic string, n int) (all []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond))
	require.NoError(t, err)
	defer client.Close()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { all = append(all, string(r.Value)) })
		return len(all) >= n
	}, patience, tick, "%s: %d records", topic, n)
	require.Len(t, all, n)
	return all
}
