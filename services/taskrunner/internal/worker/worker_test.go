package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

func from(t *testing.T, pairs ...string) worker.Config {
	t.Helper()
	props := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		props[pairs[i]] = pairs[i+1]
	}
	c, err := worker.FromProperties(props)
	require.NoError(t, err)
	return c
}

func TestFromProperties_defaults_and_what_a_user_has(t *testing.T) {
	t.Parallel()
	c := from(t)
	require.True(t, c.ExactlyOnce)
	require.Equal(t, "millrace-offsets", c.OffsetsTopic)
	require.Equal(t, time.Minute, c.FlushInterval)
	require.Equal(t, 5*time.Second, c.TaskShutdownTimeout)
	c = from(t, "bootstrap.servers", "a:1, b:2", "group.id", "g", "value.converter", "x.Y", "value.converter.schemas.enable", "false",
		"exactly.once.source.support", "disabled", "offset.flush.interval.ms", "10", "unknown", "is fine", "listeners", "http://:8083")
	require.Equal(t, "a:1,b:2", c.Bootstrap)
	require.Equal(t, worker.Plugin{Class: "x.Y", Props: map[string]string{"schemas.enable": "false"}}, c.ValueConverter)
	require.False(t, c.ExactlyOnce)
	require.Equal(t, 10*time.Millisecond, c.FlushInterval)
	require.Equal(t, "g-c-3", c.TransactionalID("c", 3))
	_, err := worker.FromProperties(map[string]string{"offset.flush.interval.ms": "soon"})
	require.EqualError(t, err, "Invalid value soon for configuration offset.flush.interval.ms: Not a number of type LONG")
	_, err = worker.FromProperties(map[string]string{"producer.plugin.library.paths": "/x"})
	require.ErrorContains(t, err, "'plugin.library.paths' is refused")
}

func TestClients_layers_and_names(t *testing.T) {
	t.Parallel()
	c := from(t, "bootstrap.servers", "b:1", "producer.linger.ms", "7", "producer.max.request.size", "99", "consumer.fetch.max.wait.ms", "9",
		"producer.ssl.truststore.location", "/etc/ca.pem", "security.protocol", "SASL_SSL", "sasl.mechanism", "PLAIN",
		"sasl.jaas.config", `org.apache.kafka.common.security.plain.PlainLoginModule required username="me" password="p\"w";`)
	job := cluster.TaskJob("u", 2)
	p, err := c.Producer(map[string]string{"producer.override.linger.ms": "1", "producer.override.compression.type": "LZ4", "consumer.override.fetch.min.bytes": "5"}, job, "n", false)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"bootstrap.servers": "b:1", "client.id": "connector-producer-n-2", "linger.ms": "1", "message.max.bytes": "99",
		"ssl.ca.location": "/etc/ca.pem", "compression.type": "lz4"}, p, "only the worker's producer keys, then the overrides")
	k, err := c.Consumer(map[string]string{"consumer.override.max.poll.records": "10", "consumer.override.partition.assignment.strategy": "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"}, job, "n")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"bootstrap.servers": "b:1", "client.id": "connector-consumer-n-2", "fetch.wait.max.ms": "9", "partition.assignment.strategy": "cooperative-sticky"}, k)
	a, err := c.Admin(nil, job, "n")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"bootstrap.servers": "b:1", "client.id": "connector-adminclient-n-2", "security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN",
		"sasl.username": "me", "sasl.password": `p"w`}, a)
	d, err := c.Producer(nil, job, "n", true)
	require.NoError(t, err)
	require.Equal(t, "connector-dlq-producer-n-2", d["client.id"])
}

func TestClients_of_the_worker_itself_have_its_settings_without_a_prefix(t *testing.T) {
	t.Parallel()
	c := from(t, "bootstrap.servers", "b:1", "request.timeout.ms", "7000", "security.protocol", "SSL", "ssl.truststore.certificates", "ca", "ssl.client.auth", "required",
		"consumer.fetch.min.bytes", "9", "listeners.https.ssl.keystore.location", "/x")
	got, err := c.WorkerConsumer()
	require.NoError(t, err)
	require.Equal(t, map[string]string{"bootstrap.servers": "b:1", "client.id": "worker-consumer", "request.timeout.ms": "7000", "security.protocol": "ssl", "ssl.ca.pem": "ca", "fetch.min.bytes": "9"}, got)
	got, err = c.Consumer(map[string]string{}, cluster.TaskJob("u", 0), "n")
	require.NoError(t, err)
	require.NotContains(t, got, "security.protocol", "a connector's consumer has what consumer.* says")
	// Certificates of the REST server are no business of clients that do not use TLS.
	got, err = from(t, "bootstrap.servers", "b:1", "ssl.keystore.location", "/x", "ssl.truststore.password", "hush", "ssl.client.auth", "required").Worker()
	require.NoError(t, err)
	require.Equal(t, map[string]string{"bootstrap.servers": "b:1", "client.id": "worker-adminclient"}, got)
}

func TestClients_overrides_follow_the_policy(t *testing.T) {
	t.Parallel()
	conn := map[string]string{"producer.override.linger.ms": "1", "producer.override.security.protocol": "SSL"}
	for policy, want := range map[string][]string{"All": nil, "None": {"linger.ms", "security.protocol"}, "Principal": {"linger.ms"}, "Allowlist": {"security.protocol"}} {
		c := from(t, "connector.client.config.override.policy", policy, "connector.client.config.override.allowlist", "linger.ms")
		_, err := c.Producer(conn, cluster.TaskJob("u", 0), "n", false)
		if want == nil {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, "The '"+policy+"' policy does not allow '"+strings.Join(want, "', '")+"' to be overridden in the connector configuration.")
	}
}

// What loads code, runs commands or reads the host's files is refused for connectors whatever its spelling (S4, S7).
func TestClients_dangerous_settings_are_refused_by_name(t *testing.T) {
	t.Parallel()
	c := from(t)
	for _, key := range []string{"plugin.library.paths", "sasl.kerberos.kinit.cmd", "ssl.engine.location", "ssl.providers", "ssl.ca.location", "ssl.certificate.location",
		"ssl.key.location", "ssl.truststore.location", "ssl.keystore.location", "ssl.crl.location", "sasl.kerberos.keytab", "ssl.engine.id",
		"sasl.login.callback.handler.class", "PLUGIN.LIBRARY.PATHS", " plugin.library.paths", "enable.ssl.certificate.verification.location"} {
		_, err := c.Consumer(map[string]string{"consumer.override." + key: "/etc/passwd"}, cluster.TaskJob("u", 0), "n")
		require.Error(t, err, key)
		require.Equal(t, connecterr.Config, connecterr.KindOf(err))
		require.ErrorContains(t, err, "refused")
		require.NotContains(t, err.Error(), "/etc/passwd")
	}
	_, err := c.Consumer(map[string]string{"consumer.override.client.id": "x\nplugin.library.paths=/x"}, cluster.TaskJob("u", 0), "n")
	require.ErrorContains(t, err, "line break")
	_, err = c.Consumer(map[string]string{"consumer.override.sasl.jaas.config": "com.sun.security.auth.module.JndiLoginModule required;"}, cluster.TaskJob("u", 0), "n")
	require.ErrorContains(t, err, "refused")
}

func TestClients_only_listed_settings_ever_reach_the_client(t *testing.T) {
	t.Parallel()
	c := from(t)
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringMatching(`[a-z]{1,8}(\.[a-z]{1,8}){0,3}`).Draw(t, "key")
		out, err := c.Consumer(map[string]string{"consumer.override.zz" + key: "v"}, cluster.TaskJob("u", 0), "n")
		if err == nil {
			require.Len(t, out, 2, "%v", out)
		}
	})
}
