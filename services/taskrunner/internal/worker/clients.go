package worker

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/controlplane/clientconf"
	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/validate"
	"github.com/millrace/millrace/sdk/connecterr"
)

// The roles of a connector's clients, with the words that their keys begin with.
const (
	producer = "producer"
	consumer = "consumer"
	admin    = "admin"
)

// Producer is the configuration of a source task's producer, or with dlq that of a sink task's dead letter queue.
func (c Config) Producer(conn map[string]string, job cluster.JobID, name string, dlq bool) (map[string]string, error) {
	id := fmt.Sprintf("connector-producer-%s-%d", name, job.Task)
	if dlq {
		id = fmt.Sprintf("connector-dlq-producer-%s-%d", name, job.Task)
	}
	return c.client(producer, conn, id, false)
}

// Consumer is the configuration of a sink task's consumer.
func (c Config) Consumer(conn map[string]string, job cluster.JobID, name string) (map[string]string, error) {
	return c.client(consumer, conn, fmt.Sprintf("connector-consumer-%s-%d", name, job.Task), false)
}

// Admin is the configuration of a connector's admin client.
func (c Config) Admin(conn map[string]string, job cluster.JobID, name string) (map[string]string, error) {
	return c.client(admin, conn, fmt.Sprintf("connector-adminclient-%s-%d", name, job.Task), true)
}

// DeadLetterAdmin is the configuration of the admin client that makes the topic of a sink's dead letter queue.
func (c Config) DeadLetterAdmin(conn map[string]string, job cluster.JobID, name string) (map[string]string, error) {
	return c.client(admin, conn, fmt.Sprintf("connector-dlq-adminclient-%s-%d", name, job.Task), true)
}

// Worker is the configuration of the worker's own admin client.
func (c Config) Worker() (map[string]string, error) {
	return c.client(admin, nil, "worker-adminclient", true)
}

// WorkerProducer is the configuration for writing the worker's own topics.
func (c Config) WorkerProducer() (map[string]string, error) {
	return c.client(producer, nil, "worker-producer", true)
}

// WorkerConsumer is the configuration for reading the worker's own topics.
func (c Config) WorkerConsumer() (map[string]string, error) {
	return c.client(consumer, nil, "worker-consumer", true)
}

// client lays the worker's settings for the role, then the connector's overrides over the defaults; later ones win. bare: as
// in Kafka Connect the worker's settings without a prefix count, too, which they do for admin clients and the worker's own.
func (c Config) client(role string, conn map[string]string, id string, bare bool) (map[string]string, error) {
	out := map[string]string{"bootstrap.servers": c.Bootstrap, "client.id": id}
	own := Prefixed(c.props, role+".")
	if bare {
		own = c.unprefixed()
		maps.Copy(own, Prefixed(c.props, role+"."))
	}
	worker, err := clientconf.Translate(own, true)
	if err != nil {
		return nil, err
	}
	maps.Copy(out, worker)
	overrides := Prefixed(conn, role+".override.")
	if bad := c.Disallowed(overrides); len(bad) > 0 {
		return nil, connecterr.New(connecterr.Config, "The '%s' policy does not allow '%s' to be overridden in the connector configuration.", c.OverridePolicy, strings.Join(bad, "', '"))
	}
	user, err := clientconf.Translate(overrides, false)
	if err != nil {
		return nil, err
	}
	maps.Copy(out, user)
	return out, nil
}

// unprefixed are the worker's settings for connecting and logging in. Those that begin with ssl. can also be meant for the
// REST server alone: they count for clients that use TLS.
func (c Config) unprefixed() map[string]string {
	secure := strings.Contains(strings.ToUpper(c.props["security.protocol"]), "SSL")
	out := map[string]string{}
	for k, v := range c.props {
		if strings.HasPrefix(k, "sasl.") || secure && strings.HasPrefix(k, "ssl.") && k != "ssl.client.auth" || connecting[k] {
			out[k] = v
		}
	}
	return out
}

// connecting are the settings of clients that a worker may have without a prefix.
var connecting = map[string]bool{
	"security.protocol": true, "client.dns.lookup": true, "metadata.max.age.ms": true,
	"request.timeout.ms": true, "retry.backoff.ms": true, "retry.backoff.max.ms": true,
	"reconnect.backoff.ms": true, "reconnect.backoff.max.ms": true, "socket.connection.setup.timeout.ms": true,
	"connections.max.idle.ms": true, "send.buffer.bytes": true, "receive.buffer.bytes": true,
}

// Disallowed lists the overrides, without prefix, that the worker's policy does not allow.
func (c Config) Disallowed(overrides map[string]string) []string {
	var bad []string
	for _, key := range slices.Sorted(maps.Keys(overrides)) {
		if !validate.Allowed(c.Facts(), key) {
			bad = append(bad, key)
		}
	}
	return bad
}

// TransactionalID is the id that belongs to a source task, as Kafka Connect names it: whoever takes the task over fences
// its former holder by it.
func (c Config) TransactionalID(name string, task int) string {
	return fmt.Sprintf("%s-%s-%d", c.GroupID, name, task)
}
