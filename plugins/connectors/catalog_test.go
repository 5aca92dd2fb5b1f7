package connectors_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/sdk/plugin"
)

func TestAll_can_be_registered_and_found_by_all_four_spellings(t *testing.T) {
	t.Parallel()
	r, err := plugin.New(append(connectors.All(connectors.Options{}), converters.All()...)...)
	require.NoError(t, err)
	for _, name := range []string{
		"org.apache.kafka.connect.file.FileStreamSourceConnector", "FileStreamSourceConnector", "FileStreamSource",
		"org.apache.kafka.connect.file.FileStreamSinkConnector", "FileStreamSinkConnector", "FileStreamSink",
		"MockSource", "MockSink", "VerifiableSource", "VerifiableSink", "SchemaSource", "org.apache.kafka.connect.tools.SchemaSourceConnector",
		"io.confluent.connect.storage.tools.SchemaSourceConnector", "io.confluent.connect.hdfs.tools.SchemaSourceConnector",
		"io.confluent.connect.jdbc.JdbcSinkConnector", "io.aiven.connect.jdbc.JdbcSinkConnector", "JdbcSinkConnector", "JdbcSink",
	} {
		p, err := r.Connector(name)
		require.NoError(t, err)
		require.NotNil(t, p.NewConnector())
	}
	for _, name := range []string{"org.apache.kafka.connect.json.JsonConverter", "JsonConverter", "String", "ByteArrayConverter"} {
		_, err := r.Find(plugin.Converter, name)
		require.NoError(t, err)
	}
}
