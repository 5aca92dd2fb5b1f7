package kafkaio

import (
	"cmp"
	"maps"
	"regexp"
	"strconv"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/millrace/millrace/sdk/connecterr"
)

// sharedDefaults suit every client; a user's value wins.
var sharedDefaults = Config{
	// Kafka's Java client reconnects after 50 ms to 1 s; librdkafka backs off to 10 s, which is felt after every restart
	// of a broker. Jitter is librdkafka's own (-25 % to +50 %), so that a broker is not stormed (KO-5). Half of the first
	// pause also lies between a client's first and second connection, so that each start feels it.
	"reconnect.backoff.ms":     "20",
	"reconnect.backoff.max.ms": "2000",
	"socket.keepalive.enable":  "true",
	"socket.nagle.disable":     "true",
	// Broker versions are asked for; nobody needs a line per client about an unused property.
	"log.connection.close": "false",
}

// consumerDefaults: see the reasons beside them.
var consumerDefaults = Config{
	// 1000 by default: after a full queue the fetcher rests a second, which holds any consumer at about 140,000 records/s.
	"fetch.queue.backoff.ms": "10",
	// A partition that is not ready yet (a new topic) is asked again soon.
	"fetch.error.backoff.ms": "50",
	// Bounds the bytes in flight of a task: 64 MiB by default. What one fetch brings comes on top, once it is decompressed: 50 MiB
	// by default before that, which at a ratio of ten is half a gigabyte.
	"queued.max.messages.kbytes": "16384",
	"fetch.max.bytes":            "2097152",
	// Each record costs a quarter of a KiB beside its bytes. 100,000 by default, from which fetching rests; half of it lasts for longer than
	// the rest and a fetch take.
	"queued.min.messages":      "50000",
	"auto.offset.reset":        "earliest",
	"allow.auto.create.topics": "true", // as Kafka's Java consumer
	"isolation.level":          "read_uncommitted",
	// Known to every Java client, so that a group can be taken over from Kafka Connect. "cooperative-sticky" works too;
	// librdkafka does not take both at once.
	"partition.assignment.strategy": "range",
	"session.timeout.ms":            "45000",
	// 3 s by default. Members learn of a rebalance, and of having been fenced, by their next heartbeat.
	"heartbeat.interval.ms": "1000",
}

// consumerForced: the package's promises rest on these.
var consumerForced = Config{
	"enable.auto.commit":       "false", // only Commit commits
	"enable.auto.offset.store": "false",
	// Ends rests on it.
	"enable.partition.eof": "true",
	// Invariant 4: the classic protocol lets the newcomer fence the old static member; the newer one refuses the
	// newcomer instead.
	"group.protocol": "classic",
}

var producerDefaults = Config{
	"enable.idempotence": "true",
	"acks":               "all",
	"linger.ms":          "5",
	// Kafka's Java client hashes keys with murmur2; librdkafka by default does not, and a key must keep its partition.
	"partitioner": "murmur2_random",
	// Bounds the bytes in flight; Send blocks beyond it. 1 GiB by default.
	"queue.buffering.max.kbytes": "32768",
	"delivery.timeout.ms":        "2147483647",
}

// deliveryWithinTransaction keeps the delivery timeout within the transaction timeout, which librdkafka insists on. Kafka
// Connect's default for it is "never".
func deliveryWithinTransaction(user Config) Config {
	whole := cmp.Or(user["transaction.timeout.ms"], "60000")
	limit, err := strconv.Atoi(whole)
	if err != nil {
		return nil // librdkafka says what is wrong with it
	}
	out := Config{}
	for _, key := range []string{"delivery.timeout.ms", "message.timeout.ms"} { // two names of the same property
		if v, ok := user[key]; ok || key == "delivery.timeout.ms" {
			if n, err := strconv.Atoi(v); err != nil && ok || n > 0 && n <= limit {
				continue // the user's, or not ours to judge
			}
			out[key] = whole
		}
	}
	return out
}

// ConsumerSettings are the settings of librdkafka that a consumer of a user's configuration has, without those of its group.
func ConsumerSettings(user Config) Config {
	return settings(user, consumerForced, sharedDefaults, consumerDefaultsFor(user))
}

// consumerDefaultsFor leaves out what stands in the way of the user's own settings.
func consumerDefaultsFor(user Config) Config {
	all := maps.Clone(consumerDefaults)
	for _, larger := range []string{"fetch.message.max.bytes", "max.partition.fetch.bytes", "message.max.bytes"} {
		if _, ok := user[larger]; ok {
			delete(all, "fetch.max.bytes") // the library refuses less than message.max.bytes; less than for one partition can't be meant
		}
	}
	return all
}

// ProducerSettings are the settings of librdkafka that a producer of a user's configuration has, unless it is transactional.
func ProducerSettings(user Config) Config {
	return settings(user, nil, sharedDefaults, producerDefaults)
}

// settings lays the user's configuration over defaults and what must not change over both.
func settings(user, forced Config, defaults ...Config) Config {
	all := Config{}
	for _, d := range defaults {
		maps.Copy(all, d)
	}
	maps.Copy(all, user)
	maps.Copy(all, forced)
	return all
}

// build makes of settings what confluent's package takes.
func build(c *client, user Config, special kafka.ConfigMap, forced Config, defaults ...Config) *kafka.ConfigMap {
	m := kafka.ConfigMap{}
	for k, v := range settings(user, forced, defaults...) {
		m[k] = v
	}
	maps.Copy(m, special)
	m["go.logs.channel.enable"] = true
	m["go.logs.channel"] = c.logs
	return &m
}

// configError names what librdkafka refuses in a configuration, with the value that the user gave.
func configError(what string, user Config, err error) error {
	given := ""
	if m := refusedProperty.FindStringSubmatch(err.Error()); m != nil {
		for _, key := range []string{m[1], javaNames[m[1]]} {
			if v, ok := user[key]; ok && !secretKey.MatchString(key) {
				given = ": " + key + " is set to " + strconv.Quote(v)
			}
		}
	}
	return connecterr.Wrap(connecterr.Config, err, "configuring the Kafka %s%s", what, given)
}

var (
	refusedProperty = regexp.MustCompile(`configuration property "([^"]+)"`)
	secretKey       = regexp.MustCompile(`(?i)password|secret|jaas|\.key$|\.pem$|token|oauth`)
)

// javaNames are the names that users know for properties which librdkafka calls otherwise in its errors.
var javaNames = map[string]string{
	"queue.buffering.max.ms": "linger.ms", "metadata.broker.list": "bootstrap.servers", "request.required.acks": "acks",
	"message.timeout.ms": "delivery.timeout.ms", "message.send.max.retries": "retries", "compression.codec": "compression.type",
	"queue.buffering.max.kbytes": "buffer.memory", "max.in.flight": "max.in.flight.requests.per.connection",
}
