package workerconfig

import (
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
)

// Handling is what becomes of a worker property here.
type Handling string

// The ways a property is handled.
const (
	Used    Handling = "used"    // as in Kafka Connect
	Adapted Handling = "adapted" // the same key with something else behind it; the note says what
	Ignored Handling = "ignored" // checked, and without effect: one line in the log says so
	Nothing Handling = "n/a"     // has no meaning here and is taken without a word
)

// Property is a worker property, or with Family all that begin with its name.
type Property struct {
	config.Key
	Family   bool
	Handling Handling
	Note     string
	Section  string
}

// The sections of the list, as in Kafka Connect's documentation.
const (
	common      = "Connectors and Kafka"
	restServer  = "REST server"
	distributed = "Cluster"
	standalone  = "Standalone"
)

func used(section string, names ...string) (all []Property) {
	for _, n := range names {
		all = append(all, family(n, section, Used, ""))
	}
	return all
}

// family is a property without a type of its own; a name that ends in .* stands for all that begin so.
func family(name, section string, h Handling, note string) Property {
	rest, many := strings.CutSuffix(name, "*")
	return Property{Key: config.Key{Name: rest}, Family: many, Handling: h, Note: note, Section: section}
}

func typed(name string, t config.Type, section string, h Handling, note string, rules ...config.Rule) Property {
	return Property{Key: config.Key{Name: name, Type: t, Validators: rules}, Handling: h, Note: note, Section: section}
}

const (
	inPostgres = "Connectors, their configurations and statuses are kept in Postgres."
	noGroup    = "Runners tell the schedulers by heartbeats that they live; there is no group of workers."
	noSigning  = "Workers do not call each other."
	forJava    = "Java only; Prometheus reads the metrics."
	clients    = "For the runner's own Kafka clients."
)

// Table lists every worker property of Kafka Connect. Types and meanings of those that are used stand where they are used.
func Table() []Property {
	return slices.Concat(
		used(common, "bootstrap.servers", "key.converter", "value.converter", "header.converter",
			"task.shutdown.graceful.timeout.ms", "offset.flush.interval.ms", "offset.flush.timeout.ms", "config.providers",
			"connector.client.config.override.policy", "connector.client.config.override.allowlist", "topic.tracking.enable", "topic.tracking.allow.reset", "topic.creation.enable", "millrace.parking.idle.ms", "millrace.parking.offsets.interval.ms",
			"metrics.sample.window.ms", "metrics.num.samples"),
		[]Property{
			family("key.converter.*", common, Used, "Keys of that converter."),
			family("value.converter.*", common, Used, "Keys of that converter."),
			family("header.converter.*", common, Used, "Keys of that converter."),
			family("config.providers.*", common, Used, "Class and parameters of each provider."),
			family("producer.*", common, Used, "Settings of the producers of source tasks and dead letter queues."),
			family("consumer.*", common, Used, "Settings of the consumers of sink tasks."),
			family("admin.*", common, Used, "Settings of connectors' admin clients."),
			family("jdbc.connection.url.blocked.params", common, Used, "Names of URL parameters and driver properties that JDBC connectors may not have. Without it, those in the environment variable JDBC_CONNECTION_URL_BLOCKED_PARAMS."),
			typed("plugin.path", config.List, common, Ignored, "JAR files can't be loaded: connectors, converters and transformations are part of the program."),
			typed("plugin.discovery", config.String, common, Ignored, "The same.", config.OneOfFold("only_scan", "hybrid_warn", "hybrid_fail", "service_load")),
			typed("key.converter.plugin.version", config.String, common, Ignored, "There is one version of each plugin."),
			typed("value.converter.plugin.version", config.String, common, Ignored, "The same."),
			typed("header.converter.plugin.version", config.String, common, Ignored, "The same."),
			typed("connector.plugin.version", config.String, common, Ignored, "The same."),
			typed("metrics.recording.level", config.String, common, Ignored, forJava, config.OneOf("INFO", "DEBUG", "TRACE")),
			typed("metric.reporters", config.List, common, Ignored, forJava),
			typed("auto.include.jmx.reporter", config.Boolean, common, Ignored, forJava),
			family("metrics.context.*", common, Ignored, "Labels are added where the metrics are scraped."),
			family("internal.key.converter*", common, Ignored, "Without effect since Kafka 3.0: JSON without schemas is used."),
			family("internal.value.converter*", common, Ignored, "The same."),
		},
		used(restServer, "listeners", "admin.listeners", "rest.advertised.host.name", "rest.advertised.port", "rest.advertised.listener",
			"access.control.allow.origin", "access.control.allow.methods", "response.http.headers.config"),
		[]Property{
			family("ssl.*", restServer, Used, "Of https listeners that have no such keys of their own; and of the runner's own Kafka clients where security.protocol says SSL."),
			family("listeners.https.*", restServer, Used, "The keys ssl.* for listeners; where there is one, those without the prefix do not count."),
			family("admin.listeners.https.*", restServer, Used, "The same for admin.listeners."),
			family("rest.extension.classes", restServer, Adapted, "The class of basic authentication is built in; others are refused."),
			family("millrace.rest.basic.auth.file", restServer, Used, "Our own key; Kafka Connect has the file in a JAAS configuration."),
			typed("rest.host.name", config.String, restServer, Ignored, "Removed in Kafka 3.0; use listeners."),
			typed("rest.port", config.Int, restServer, Ignored, "Removed in Kafka 3.0; use listeners."),
		},
		used(distributed, "group.id", "offset.storage.topic", "offset.storage.replication.factor", "offset.storage.partitions", "exactly.once.source.support"),
		[]Property{
			typed("config.storage.topic", config.String, distributed, Ignored, inPostgres),
			typed("config.storage.replication.factor", config.Short, distributed, Ignored, inPostgres),
			family("config.storage.*", distributed, Ignored, inPostgres),
			typed("status.storage.topic", config.String, distributed, Ignored, inPostgres),
			typed("status.storage.replication.factor", config.Short, distributed, Ignored, inPostgres),
			typed("status.storage.partitions", config.Int, distributed, Ignored, inPostgres),
			family("status.storage.*", distributed, Ignored, inPostgres),
			family("offset.storage.*", distributed, Ignored, "Make the topic yourself to give it settings of its own."),
			typed("session.timeout.ms", config.Int, distributed, Ignored, noGroup),
			typed("heartbeat.interval.ms", config.Int, distributed, Ignored, noGroup),
			typed("rebalance.timeout.ms", config.Int, distributed, Ignored, noGroup),
			typed("worker.sync.timeout.ms", config.Int, distributed, Nothing, noGroup),
			typed("worker.unsync.backoff.ms", config.Int, distributed, Nothing, noGroup),
			typed("connect.protocol", config.String, distributed, Nothing, noGroup, config.OneOfFold("eager", "compatible", "sessioned")),
			typed("scheduled.rebalance.max.delay.ms", config.Int, distributed, Ignored, "Jobs of a lost runner are started elsewhere at once; Kafka fences the old copy.", config.Range(0, 1<<31-1)),
			typed("inter.worker.key.ttl.ms", config.Int, distributed, Nothing, noSigning),
			typed("inter.worker.key.generation.algorithm", config.String, distributed, Nothing, noSigning),
			typed("inter.worker.key.size", config.Int, distributed, Nothing, noSigning),
			typed("inter.worker.signature.algorithm", config.String, distributed, Nothing, noSigning),
			typed("inter.worker.verification.algorithms", config.List, distributed, Nothing, noSigning),
			typed("client.id", config.String, distributed, Nothing, "Clients are named after what they do."),
			typed("metadata.recovery.strategy", config.String, distributed, Nothing, "librdkafka looks for brokers again by itself.", config.OneOfFold("none", "rebootstrap")),
			typed("metadata.recovery.rebootstrap.trigger.ms", config.Long, distributed, Nothing, "The same.", config.AtLeast(0)),
			typed("socket.connection.setup.timeout.max.ms", config.Long, distributed, Nothing, "socket.connection.setup.timeout.ms counts.", config.AtLeast(0)),
			typed("client.dns.lookup", config.String, distributed, Used, clients, config.OneOf("use_all_dns_ips", "resolve_canonical_bootstrap_servers_only")),
			typed("metadata.max.age.ms", config.Long, distributed, Used, clients, config.AtLeast(0)),
			typed("request.timeout.ms", config.Int, distributed, Used, clients, config.AtLeast(0)),
			typed("retry.backoff.ms", config.Long, distributed, Used, clients, config.AtLeast(0)),
			typed("retry.backoff.max.ms", config.Long, distributed, Used, clients, config.AtLeast(0)),
			typed("reconnect.backoff.ms", config.Long, distributed, Used, clients, config.AtLeast(0)),
			typed("reconnect.backoff.max.ms", config.Long, distributed, Used, clients, config.AtLeast(0)),
			typed("socket.connection.setup.timeout.ms", config.Long, distributed, Used, clients, config.AtLeast(0)),
			typed("connections.max.idle.ms", config.Long, distributed, Used, clients),
			typed("send.buffer.bytes", config.Int, distributed, Used, clients, config.AtLeast(-1)),
			typed("receive.buffer.bytes", config.Int, distributed, Used, clients, config.AtLeast(-1)),
			typed("security.protocol", config.String, distributed, Used, clients, config.OneOfFold("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")),
			family("sasl.*", distributed, Used, "For the runner's own Kafka clients: PLAIN and SCRAM, with sasl.jaas.config."),
			typed("offset.storage.file.filename", config.String, standalone, Ignored, "Source offsets are kept in the topic offset.storage.topic, in Kafka Connect's format."),
		},
	)
}

// find returns what is known of a key: the property of that name, else the longest family that it belongs to.
func find(table []Property, key string) (best Property, known bool) {
	for _, p := range table {
		switch {
		case !p.Family && p.Name == key:
			return p, true
		case p.Family && strings.HasPrefix(key, p.Name) && len(p.Name) > len(best.Name):
			best, known = p, true
		}
	}
	return best, known
}

// Notices checks the properties that have no effect here, and says of them what an operator should know: one line for each
// of Kafka Connect's own warnings, and one that lists the rest. Unknown properties are never an error. The error is of kind
// connecterr.Config, with Kafka's text.
func Notices(props map[string]string) (lines []string, err error) {
	table := Table()
	var ignored []string
	for _, key := range slices.Sorted(maps.Keys(props)) {
		p, known := find(table, key)
		if !known {
			continue
		}
		if p.Type != "" {
			def := config.Def{Keys: []config.Key{p.Key}}
			if _, problems := def.Parse(map[string]string{key: props[key]}); len(problems) > 0 {
				return nil, connecterr.New(connecterr.Config, "%s", problems[0].Message)
			}
		}
		if p.Handling != Ignored {
			continue
		}
		if line := kafkaSays(key, props[key]); line != "" {
			lines = append(lines, line)
			continue
		}
		ignored = append(ignored, key)
	}
	if len(ignored) > 0 {
		lines = append(lines, "worker properties without effect here: "+strings.Join(ignored, ", ")+" (docs/reference/worker.md says why)")
	}
	return lines, nil
}

// kafkaSays are the warnings that Kafka Connect's users know.
func kafkaSays(key, value string) string {
	switch {
	case strings.HasSuffix(key, ".storage.cleanup.policy"):
		return "Ignoring '" + key + "=" + value + "' setting, since compaction is always used"
	case key == "config.storage.partitions":
		return "Ignoring '" + key + "=" + value + "' setting, since config topic partitions is always 1"
	case strings.HasPrefix(key, "internal.key.converter") || strings.HasPrefix(key, "internal.value.converter"):
		return "The worker property '" + key + "' has no effect, and should be removed: JSON without schemas is used"
	}
	return ""
}
