package allinone_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/tests/servers"
)

// Schemas by turns are two versions of one subject; the second has a field more, with a default, with which Avro's is compatible with
// the first.
func TestSchemaSource_case_07_two_versions_in_a_registry(t *testing.T) {
	t.Parallel()
	url := servers.Registry(t)
	ask := func(method, path, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode, "%s %s: %s", method, path, answer)
		return string(answer)
	}
	dir := t.TempDir()
	info, stop := startIn(t, dir, nil, nil)
	t.Cleanup(stop)
	for i, class := range overRegistry {
		t.Run(class, func(t *testing.T) {
			c := caller{t, "http://" + info.API, dir}
			topic := fmt.Sprintf("schemas-%d-%d", i, os.Getpid())
			subject := topic + "-value"
			if strings.HasSuffix(class, ".AvroConverter") { // the default makes Avro's compatible; the others are not held to it
				ask(http.MethodPut, "/config/"+subject, `{"compatibility":"BACKWARD"}`)
			}
			converter := fmt.Sprintf(`"value.converter":%q,"value.converter.schema.registry.url":%q`, class, url)
			c.is(201, http.MethodPut, "/connectors/out-"+topic+"/config", fmt.Sprintf(`{"connector.class":"SchemaSource","tasks.max":"1","num.messages":"4","throughput":"-1","multiple.schema":"true","topic":%q,%s}`, topic, converter))

			var versions []int
			var ids []uint32
			for _, v := range valuesOf(t, info.Kafka, topic, 4) {
				require.Zero(t, v[0])
				ids = append(ids, binary.BigEndian.Uint32([]byte(v[1:5])))
			}
			require.Equal(t, []uint32{ids[0], ids[1], ids[0], ids[1]}, ids)
			require.NotEqual(t, ids[0], ids[1])
			require.NoError(t, json.Unmarshal([]byte(ask(http.MethodGet, "/subjects/"+subject+"/versions", "")), &versions))
			require.Equal(t, []int{1, 2}, versions)
			for n, id := range ids[:2] {
				var kept struct{ ID uint32 }
				require.NoError(t, json.Unmarshal([]byte(ask(http.MethodGet, fmt.Sprintf("/subjects/%s/versions/%d", subject, n+1), "")), &kept))
				require.Equal(t, id, kept.ID)
			}
			c.eventually("/connectors/out-"+topic+"/tasks/0/status", `"RUNNING"`)

			// Both come back as what they were.
			out := filepath.Join(dir, topic+".out")
			c.is(201, http.MethodPut, "/connectors/in-"+topic+"/config", fmt.Sprintf(`{"connector.class":"FileStreamSink","file":%q,"topics":%q,%s}`, out, topic, converter))
			const first, second = "Struct{boolean=true,int=12,long=12,float=12.2,double=12.2,partitioning=0,", "string=def,"
			want := fmt.Sprintf("%sid=0,seqno=0}\n%s%sid=0,seqno=1}\n%sid=0,seqno=2}\n%s%sid=0,seqno=3}\n", first, first, second, first, first, second)
			var got []byte
			require.Eventually(t, func() bool {
				got, _ = os.ReadFile(out) // it may not be there yet
				return string(got) == want
			}, patience, tick, "%s", out)
		})
	}
}
