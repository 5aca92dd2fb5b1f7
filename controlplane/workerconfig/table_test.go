package workerconfig

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connecterr"
)

func TestTable_names_each_property_once_and_says_why_it_is_left_out(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range Table() {
		id := p.Name
		if p.Family {
			id += "*"
		}
		require.False(t, seen[id], id)
		seen[id] = true
		require.NotEmpty(t, p.Section, id)
		if p.Handling != Used {
			require.NotEmpty(t, p.Note, id)
		}
	}
}

func TestNotices_one_line_for_what_is_left_out_and_Kafkas_own(t *testing.T) {
	t.Parallel()
	lines, err := Notices(map[string]string{
		"bootstrap.servers": "x", "key.converter.schemas.enable": "x", "my.own": "x", "producer.acks": "1", "listeners.https.ssl.protocol": "x", "client.id": "c",
		"plugin.path": "/usr/share/java", "status.storage.topic": "s", "config.storage.min.insync.replicas": "2", "session.timeout.ms": "10000",
		"config.storage.cleanup.policy": "delete", "config.storage.partitions": "3", "internal.key.converter": "x",
	})
	require.NoError(t, err)
	require.Equal(t, []string{
		"Ignoring 'config.storage.cleanup.policy=delete' setting, since compaction is always used",
		"Ignoring 'config.storage.partitions=3' setting, since config topic partitions is always 1",
		"The worker property 'internal.key.converter' has no effect, and should be removed: JSON without schemas is used",
		"worker properties without effect here: config.storage.min.insync.replicas, plugin.path, session.timeout.ms, status.storage.topic (docs/reference/worker.md says why)",
	}, lines)
	lines, err = Notices(map[string]string{"bootstrap.servers": "x", "unknown": ""})
	require.NoError(t, err)
	require.Empty(t, lines)
}

func TestNotices_checks_also_what_has_no_effect(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"session.timeout.ms":                "Invalid value soon for configuration session.timeout.ms: Not a number of type INT",
		"status.storage.replication.factor": "Invalid value soon for configuration status.storage.replication.factor: Not a number of type SHORT",
		"connect.protocol":                  "Invalid value soon for configuration connect.protocol",
		"plugin.discovery":                  "Invalid value soon for configuration plugin.discovery",
		"request.timeout.ms":                "Invalid value soon for configuration request.timeout.ms",
	} {
		_, err := Notices(map[string]string{key: "soon"})
		require.ErrorContains(t, err, want)
		require.Equal(t, connecterr.Config, connecterr.KindOf(err))
	}
}
