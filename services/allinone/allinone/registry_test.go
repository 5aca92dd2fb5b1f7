package allinone_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/tests/servers"
)

// overRegistry are the converters whose schemas are in a registry.
var overRegistry = []string{"io.confluent.connect.avro.AvroConverter", "io.confluent.connect.json.JsonSchemaConverter", "io.confluent.connect.protobuf.ProtobufConverter"}

// Lines of a file go over a topic into another file, as messages whose schema is in a real registry.
func TestRegistry_converters_from_file_to_file(t *testing.T) {
	t.Parallel()
	url := servers.Registry(t)
	dir := t.TempDir()
	info, stop := startIn(t, dir, nil, nil)
	t.Cleanup(stop)
	c := caller{t, "http://" + info.API, dir}
	for i, class := range overRegistry {
		t.Run(class, func(t *testing.T) {
			c := caller{t, c.base, dir}
			topic := fmt.Sprintf("registry-%d-%d", i, os.Getpid())
			in, out := filepath.Join(dir, topic+".in"), filepath.Join(dir, topic+".out")
			const lines = "one\ntwo\nthree ä\n"
			require.NoError(t, os.WriteFile(in, []byte(lines), 0o600))
			converter := fmt.Sprintf(`"value.converter":%q,"value.converter.schema.registry.url":%q`, class, url)
			// Lines become structs on the way: this registry takes no JSON Schema that is a text's.
			hoist := `"transforms":"t","transforms.t.type":"org.apache.kafka.connect.transforms.HoistField$Value","transforms.t.field":"line"`
			extract := `"transforms":"t","transforms.t.type":"org.apache.kafka.connect.transforms.ExtractField$Value","transforms.t.field":"line"`
			c.is(201, http.MethodPut, "/connectors/in-"+topic+"/config", fmt.Sprintf(`{"connector.class":"FileStreamSource","file":%q,"topic":%q,%s,%s}`, in, topic, converter, hoist))
			c.is(201, http.MethodPut, "/connectors/out-"+topic+"/config", fmt.Sprintf(`{"connector.class":"FileStreamSink","file":%q,"topics":%q,%s,%s}`, out, topic, converter, extract))
			if !assert.Eventually(t, func() bool {
				got, err := os.ReadFile(out)
				return err == nil && string(got) == lines
			}, patience, tick, "%s", out) {
				t.Fatal(c.is(200, http.MethodGet, "/connectors?expand=status", ""))
			}

			// What lies in Kafka says which schema it has, and the registry has that.
			client, err := kgo.NewClient(kgo.SeedBrokers(info.Kafka), kgo.ConsumeTopics(topic))
			require.NoError(t, err)
			defer client.Close()
			var first []byte
			require.Eventually(t, func() bool {
				client.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) {
					if first == nil {
						first = r.Value
					}
				})
				return first != nil
			}, patience, tick)
			require.Zero(t, first[0])
			resp, err := http.Get(url + "/subjects/" + topic + "-value/versions/1")
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			var kept struct{ ID uint32 }
			require.NoError(t, json.Unmarshal(body, &kept), "%s", body)
			require.Equal(t, kept.ID, binary.BigEndian.Uint32(first[1:]))
			require.True(t, bytes.HasSuffix(first, []byte("one")) || string(first[5:]) == `{"line":"one"}`, "%q", first)
		})
	}
}

// The keys of a converter are those of its class, and a configuration that lacks one is refused where it is written.
func TestRegistry_converters_are_validated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	info, stop := startIn(t, dir, nil, nil)
	t.Cleanup(stop)
	c := caller{t, "http://" + info.API, dir}
	for _, class := range overRegistry {
		keys := c.is(200, http.MethodGet, "/connector-plugins/"+class+"/config", "")
		for _, key := range []string{"schema.registry.url", "auto.register.schemas", "value.subject.name.strategy", "basic.auth.user.info", "schema.registry.ssl.truststore.location"} {
			require.Contains(t, keys, fmt.Sprintf(`"name":%q`, key))
		}
		config := func(more string) string {
			return fmt.Sprintf(`{"name":"x","connector.class":"FileStreamSource","file":%q,"topic":"t","value.converter":%q%s}`, filepath.Join(dir, "in"), class, more)
		}
		answer := c.is(400, http.MethodPut, "/connectors/x/config", config(""))
		require.Contains(t, answer, `Missing required configuration \"schema.registry.url\" which has no default value.`)
		answer = c.is(400, http.MethodPut, "/connectors/x/config", config(`,"value.converter.schema.registry.url":"http://r:8081","value.converter.max.schemas.per.subject":"0"`))
		require.Contains(t, answer, "Invalid value 0 for configuration max.schemas.per.subject")
	}
}
