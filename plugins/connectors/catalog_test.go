package connectors_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/sdk/connector"
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
		"io.confluent.connect.jdbc.JdbcSourceConnector", "io.aiven.connect.jdbc.JdbcSourceConnector", "JdbcSource", "JdbcSourceConnector",
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

func TestBlocked_parameters_are_refused(t *testing.T) {
	t.Parallel()
	environment := func(name string) (string, bool) {
		return "fromEnvironment", name == "JDBC_CONNECTION_URL_BLOCKED_PARAMS"
	}
	require.Equal(t, []string{"fromEnvironment"}, connectors.Blocked(nil, environment))
	names := connectors.Blocked(map[string]string{"jdbc.connection.url.blocked.params": " allowLoadLocalInfile,, other"}, environment)
	require.Equal(t, []string{"allowLoadLocalInfile", "other"}, names)
	r, err := plugin.New(connectors.All(connectors.Options{BlockedJDBC: names})...)
	require.NoError(t, err)
	p, err := r.Connector("JdbcSource")
	require.NoError(t, err)
	found := p.NewConnector().(connector.Validator).Validate(t.Context(), map[string]string{"connection.url": "jdbc:mysql://h/d?allowloadlocalinfile=true", "mode": "bulk"})
	require.Len(t, found, 1)
	require.Contains(t, found[0].Message, "is not permitted by the Connect cluster's configured policy")
}
