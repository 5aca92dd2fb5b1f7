package allinone_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/plugins"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/allinone/allinone"
	"github.com/millrace/millrace/tests/logs"
)

func TestSchemaSource_end_to_end(t *testing.T) {
	t.Parallel()
	out := &logs.Buffer{}
	info := start(t, func(c *allinone.Config) {
		r, err := plugin.New(plugins.All(connectors.Options{Stdout: out})...)
		require.NoError(t, err)
		c.Plugins, c.Registerer = r, prometheus.NewRegistry()
	})
	c := caller{t, "http://" + info.API, ""}
	client, err := kgo.NewClient(kgo.SeedBrokers(info.Kafka))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	for topic, partitions := range map[string]int32{"one": 1, "two": 2, "set": 1, "storage": 1, "hdfs": 1, "Kafka": 1} {
		_, err := kadm.NewClient(client).CreateTopic(t.Context(), partitions, 1, nil, topic)
		require.NoError(t, err)
	}
	put := func(name, class, more string) {
		t.Helper()
		c.is(201, http.MethodPut, "/connectors/"+name+"/config", fmt.Sprintf(`{"connector.class":%q,"throughput":"-1"%s}`, class, more))
	}
	const three = `,"num.messages":"3","tasks.max":"1","topic":`

	t.Run("case_01_02_20", func(t *testing.T) {
		c := caller{t, c.base, ""}
		put("set", "SchemaSource", three+`"set"`)
		require.Equal(t, []string{"0/0/0", "0/0/1", "0/0/2"}, numbered(t, info.Kafka, "set", 3))
		c.eventually("/connectors/set/status", `"tasks":[{"id":0,"state":"RUNNING"`)
		c.eventually("/connectors/set/offsets", `"offset":{"seqno":2}`)
		c.is(202, http.MethodPost, "/connectors/set/restart?includeTasks=true", "")
		require.Equal(t, []string{"0/0/3", "0/0/4", "0/0/5"}, numbered(t, info.Kafka, "set", 6)[3:])
		c.eventually("/connectors/set/offsets", `{"offsets":[{"partition":{"id":0},"offset":{"seqno":5}}]}`)
		c.is(204, http.MethodPut, "/connectors/set/stop", "")
		c.eventually("/connectors/set/status", `"tasks":[]`)
		c.is(200, http.MethodPatch, "/connectors/set/offsets", `{"offsets":[{"partition":{"id":0},"offset":{"seqno":99}}]}`)
		c.is(202, http.MethodPut, "/connectors/set/resume", "")
		require.Equal(t, []string{"0/0/100", "0/0/101", "0/0/102"}, numbered(t, info.Kafka, "set", 9)[6:])
	})
	t.Run("case_03", func(t *testing.T) {
		c := caller{t, c.base, ""}
		put("two", "SchemaSource", `,"num.messages":"1","tasks.max":"2","topic":"two"`)
		require.ElementsMatch(t, []string{"0/0/0", "1/1/0"}, numbered(t, info.Kafka, "two", 2))
		c.eventually("/connectors/two/offsets", `"partition":{"id":1}`)
		c.eventually("/connectors/two/offsets", `"partition":{"id":0}`)
	})
	t.Run("case_04", func(t *testing.T) {
		c := caller{t, c.base, ""}
		put("lone", "SchemaSource", `,"num.messages":"1","tasks.max":"2","topic":"one"`)
		c.eventually("/connectors/lone/tasks/1/status", `"FAILED"`)
		require.Equal(t, []string{"0/0/0"}, numbered(t, info.Kafka, "one", 1))
		c.eventually("/connectors/lone/tasks/0/status", `"RUNNING"`)
	})
	t.Run("case_13", func(t *testing.T) {
		c := caller{t, c.base, ""}
		bad := `{"name":"bad","connector.class":"SchemaSource","num.messages":"abc","throughput":"-1","topic":"one"}`
		require.Contains(t, c.is(200, http.MethodPut, "/connector-plugins/SchemaSource/config/validate", bad), `"error_count":0`)
		c.is(201, http.MethodPut, "/connectors/bad/config", bad)
		c.eventually("/connectors/bad/tasks/0/status", "Invalid SchemaSourceTask configuration: num.messages")
	})
	t.Run("case_21", func(t *testing.T) {
		for topic, class := range map[string]string{"Kafka": "org.apache.kafka.connect", "storage": "io.confluent.connect.storage", "hdfs": "io.confluent.connect.hdfs"} {
			put("all-"+topic, class+".tools.SchemaSourceConnector", three+fmt.Sprintf("%q", topic))
			require.Len(t, numbered(t, info.Kafka, topic, 3), 3)
		}
		var all []struct{ Class string }
		c := caller{t, c.base, ""}
		require.NoError(t, json.Unmarshal([]byte(c.is(200, http.MethodGet, "/connector-plugins", "")), &all))
		n := 0
		for _, p := range all {
			if strings.HasSuffix(p.Class, ".SchemaSourceConnector") {
				n++
			}
		}
		require.Equal(t, 3, n)
	})
	require.Contains(t, out.String(), "{\"task\": 0, \"seqno\": 102}\n")
	require.Contains(t, out.String(), "{\"task\": 1, \"seqno\": 0}\n")
}

// numbered waits for n records of a topic, and tells partition, id and number of each.
func numbered(t *testing.T, bootstrap, topic string, n int) (all []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(100*time.Millisecond))
	require.NoError(t, err)
	defer client.Close()
	require.Eventually(t, func() bool {
		fetches := client.PollFetches(t.Context())
		fetches.EachRecord(func(r *kgo.Record) {
			var v struct{ ID, Seqno int64 }
			require.NoError(t, json.Unmarshal(r.Value, &v))
			all = append(all, fmt.Sprintf("%d/%d/%d", r.Partition, v.ID, v.Seqno))
		})
		return len(all) >= n
	}, patience, tick, "%s: %d records", topic, n)
	require.Len(t, all, n)
	return all
}
