package pipeline_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/plugins/transforms"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/pipeline"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// order is JSON of 210 bytes, as B2 has it.
func order(i int) []byte {
	return fmt.Appendf(nil, `{"id":%d,"customer":"customer-%07d","item":"a middling kind of thing","count":%d,"price":%d.25,"paid":true,"created":1700000000%03d,"note":null,"state":"new","address":{"city":"Springfield","zip":"%05d"}}`,
		1_000_000_000+i, i%10_000_000, 1+i%9, 10+i%80, i%1000, i%100_000)
}

// three are B2's transformations.
func three(schemas string) map[string]string {
	return map[string]string{"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": schemas,
		"transforms": "insert,rename,cast", "transforms.insert.type": "org.apache.kafka.connect.transforms.InsertField$Value", "transforms.insert.topic.field": "topic", "transforms.insert.static.field": "source", "transforms.insert.static.value": "shop",
		"transforms.rename.type": "org.apache.kafka.connect.transforms.ReplaceField$Value", "transforms.rename.renames": "customer:client", "transforms.rename.exclude": "note",
		"transforms.cast.type": "org.apache.kafka.connect.transforms.Cast$Value", "transforms.cast.spec": "count:string"}
}

// BenchmarkSinkJSON takes JSON through three transformations, as B2 does between Kafka and the file.
func BenchmarkSinkJSON(b *testing.B) {
	registry, err := plugin.New(append(converters.All(), transforms.All()...)...)
	require.NoError(b, err)
	w, err := worker.FromProperties(map[string]string{"key.converter": "StringConverter", "value.converter": "StringConverter"})
	require.NoError(b, err)
	p, err := pipeline.New(pipeline.Options{Find: registry.Find, Worker: w, Config: three("false"), Connector: "c"})
	require.NoError(b, err)
	defer p.Close()
	in := make([]kafkaio.Record, 2000)
	for i := range in {
		in[i] = kafkaio.Record{Topic: "orders", Offset: int64(i), Value: order(i), Timestamp: 5}
	}
	var out []record.Sink
	b.ReportAllocs()
	for b.Loop() {
		out, err = p.Sink(b.Context(), in, out[:0])
		if err != nil || len(out) != len(in) {
			b.Fatal(err, len(out))
		}
	}
	b.ReportMetric(float64(b.N*len(in))/b.Elapsed().Seconds(), "records/s")
}
