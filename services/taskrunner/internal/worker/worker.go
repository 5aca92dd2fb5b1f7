// Package worker is a worker's configuration, by the property names of Kafka Connect, and the Kafka client
// configurations that follow from it for each connector.
//
// Start reading at FromProperties, then clients.go (what a connector's clients get).
package worker

import (
	"strings"
	"time"

	"github.com/millrace/millrace/controlplane/clientconf"
	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/secrets"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
)

// Config is a worker's configuration.
type Config struct {
	Bootstrap string // host:port, comma-separated
	GroupID   string // names the cluster in transactional ids, as Kafka Connect's group.id does

	KeyConverter, ValueConverter, HeaderConverter Plugin

	OffsetsTopic       string
	OffsetsReplication int
	OffsetsPartitions  int

	FlushInterval       time.Duration // between offset commits
	FlushTimeout        time.Duration
	TaskShutdownTimeout time.Duration

	// ExactlyOnce makes source tasks write in transactions. It is Millrace's default.
	ExactlyOnce   bool
	TopicCreation bool
	TopicTracking bool // tasks tell which topics they use

	ParkingIdle time.Duration // before an idle task gives its Kafka client back; 0: never
	ParkingKeep time.Duration // before a parked task keeps Kafka from forgetting its group's offsets

	MetricWindows connectmetrics.Windows

	OverridePolicy    string // All, None, Principal or Allowlist
	OverrideAllowlist []string

	props map[string]string // everything given, for the client settings in it
}

// Plugin is a class with its own configuration, prefix removed.
type Plugin struct {
	Class string
	Props map[string]string
}

// Keys of our own.
const (
	ParkingIdleKey = "millrace.parking.idle.ms"
	ParkingKeepKey = "millrace.parking.offsets.interval.ms"
)

const jsonConverter = "org.apache.kafka.connect.json.JsonConverter"

// Def is the definition of the properties that are looked at here. Others are client settings, or ignored.
var Def = &config.Def{Keys: []config.Key{
	{Name: "bootstrap.servers", Type: config.List, Default: config.Default("localhost:9092"), Importance: config.High, Doc: "Kafka brokers, host:port."},
	{Name: "group.id", Type: config.String, Default: config.Default("millrace"), Importance: config.High,
		Doc: "Names this cluster in the transactional ids of its source tasks. Take over the value of a Kafka Connect cluster to fence its tasks."},
	{Name: "key.converter", Type: config.Class, Default: config.Default(jsonConverter), Importance: config.High, Doc: "Converter of record keys where a connector names none; its own keys follow after a dot."},
	{Name: "value.converter", Type: config.Class, Default: config.Default(jsonConverter), Importance: config.High, Doc: "The same for record values."},
	{Name: "header.converter", Type: config.Class, Default: config.Default("org.apache.kafka.connect.storage.SimpleHeaderConverter"), Importance: config.Low, Doc: "The same for header values."},
	{Name: "offset.storage.topic", Type: config.String, Default: config.Default("millrace-offsets"), Importance: config.High, Doc: "Topic that keeps source offsets, in Kafka Connect's format.",
		Validators: []config.Rule{config.NonEmpty()}},
	{Name: "offset.storage.replication.factor", Type: config.Short, Default: config.Default("-1"), Importance: config.Low, Doc: "Its replication factor when it is made; -1: the broker's default."},
	{Name: "offset.storage.partitions", Type: config.Int, Default: config.Default("25"), Importance: config.Low, Doc: "Its partitions when it is made; -1: the broker's default."},
	{Name: "offset.flush.interval.ms", Type: config.Long, Default: config.Default("60000"), Importance: config.Low, Doc: "Pause between offset commits, in milliseconds.", Validators: []config.Rule{config.AtLeast(1)}},
	{Name: "offset.flush.timeout.ms", Type: config.Long, Default: config.Default("5000"), Importance: config.Low, Doc: "Longest time for one, in milliseconds.", Validators: []config.Rule{config.AtLeast(1)}},
	{Name: "task.shutdown.graceful.timeout.ms", Type: config.Long, Default: config.Default("5000"), Importance: config.Low, Doc: "How long a stopping task may finish its work, in milliseconds.",
		Validators: []config.Rule{config.AtLeast(0)}},
	{Name: "exactly.once.source.support", Type: config.String, Default: config.Default("enabled"), Importance: config.High,
		Doc:        "enabled: source tasks write in transactions, with their offsets in them. disabled: at least once. Kafka Connect's default is disabled; here it is enabled.",
		Validators: []config.Rule{config.OneOf("disabled", "preparing", "enabled")}},
	{Name: ParkingIdleKey, Type: config.Long, Default: config.Default("0"), Importance: config.Medium,
		Doc: "How long a task has had nothing to read or to write, with everything committed, before it is parked, in milliseconds: it gives its Kafka client back, stays RUNNING, and takes a client again " +
			"as soon as there is something to do. Our own key. 0: never.", Validators: []config.Rule{config.AtLeast(0)}},
	{Name: ParkingKeepKey, Type: config.Long, Default: config.Default("21600000"), Importance: config.Low,
		Doc: "How long a parked task leaves the offsets of its group alone, in milliseconds; then it joins the group for a moment and commits them again. Kafka forgets them when a group had no members for " +
			"offsets.retention.minutes: keep it well below that. Our own key.", Validators: []config.Rule{config.AtLeast(1000)}},
	{Name: "topic.creation.enable", Type: config.Boolean, Default: config.Default("true"), Importance: config.Low, Doc: "Whether connectors' topic.creation keys are followed."},
	{Name: "config.providers", Type: config.List, Default: config.Default(""), Importance: config.Low,
		Doc: "Names of the providers that ${name:path:key} in configurations may refer to. For each, config.providers.NAME.class is FileConfigProvider (path: a Java properties file), " +
			"DirectoryConfigProvider (path: a folder, key: the name of a file in it) or EnvVarConfigProvider (key: a variable), as full Java class names or so. " +
			"config.providers.NAME.param.allowed.paths lists the folders or files that the first two may read, param.allowlist.pattern is an expression for the names that the third may read; both are required."},
	{Name: "topic.tracking.enable", Type: config.Boolean, Default: config.Default("true"), Importance: config.Low,
		Doc: "Whether it is kept which topics each connector's tasks use. Give the API the same value: it answers for it."},
	{Name: "topic.tracking.allow.reset", Type: config.Boolean, Default: config.Default("true"), Importance: config.Low,
		Doc: "Whether users may clear that list. Only the API looks at it."},
	{Name: "metrics.num.samples", Type: config.Int, Default: config.Default("2"), Importance: config.Low,
		Doc: "Over how many windows rates, averages and maxima of metrics are.", Validators: []config.Rule{config.AtLeast(1)}},
	{Name: "metrics.sample.window.ms", Type: config.Long, Default: config.Default("30000"), Importance: config.Low, Doc: "Length of such a window, in milliseconds.",
		Validators: []config.Rule{config.AtLeast(0)}},
	{Name: "connector.client.config.override.policy", Type: config.String, Default: config.Default("All"), Importance: config.Medium,
		Doc: "Which client settings connectors may override: All, None, Principal or Allowlist.", Validators: []config.Rule{config.OneOf("All", "None", "Principal", "Allowlist")}},
	{Name: "connector.client.config.override.allowlist", Type: config.List, Default: config.Default(""), Importance: config.Medium, Doc: "The settings that the policy Allowlist allows."},
}}

// FromProperties reads a worker's properties. Unknown ones are never an error. Its errors are of kind connecterr.Config.
func FromProperties(props map[string]string) (Config, error) {
	v, problems := Def.Parse(props)
	if len(problems) > 0 {
		return Config{}, connecterr.New(connecterr.Config, "%s", problems[0].Message)
	}
	ms := func(key string) time.Duration { return time.Duration(v.Int(key)) * time.Millisecond }
	plugin := func(key string) Plugin { return Plugin{Class: v.String(key), Props: Prefixed(props, key+".")} }
	c := Config{
		Bootstrap: strings.Join(v.List("bootstrap.servers"), ","), GroupID: v.String("group.id"),
		KeyConverter: plugin("key.converter"), ValueConverter: plugin("value.converter"), HeaderConverter: plugin("header.converter"),
		OffsetsTopic: v.String("offset.storage.topic"), OffsetsReplication: int(v.Int("offset.storage.replication.factor")), OffsetsPartitions: int(v.Int("offset.storage.partitions")),
		FlushInterval: ms("offset.flush.interval.ms"), FlushTimeout: ms("offset.flush.timeout.ms"), TaskShutdownTimeout: ms("task.shutdown.graceful.timeout.ms"),
		ExactlyOnce: v.String("exactly.once.source.support") == "enabled", TopicCreation: v.Bool("topic.creation.enable"), TopicTracking: v.Bool("topic.tracking.enable"),
		ParkingIdle: ms(ParkingIdleKey), ParkingKeep: ms(ParkingKeepKey),
		MetricWindows:  connectmetrics.Windows{Samples: int(v.Int("metrics.num.samples")), Length: ms("metrics.sample.window.ms")},
		OverridePolicy: v.String("connector.client.config.override.policy"), OverrideAllowlist: v.List("connector.client.config.override.allowlist"),
		props: props,
	}
	// A worker's own client settings are checked once, here, so that a mistake shows at the start.
	for _, kind := range []string{"producer.", "consumer.", "admin."} {
		if _, err := clientconf.Translate(Prefixed(props, kind), true); err != nil {
			return Config{}, err
		}
	}
	return c, nil
}

// Resolved is FromProperties with references resolved. Its errors don't show what references stand for.
func Resolved(props map[string]string, refs *secrets.Resolver) (c Config, err error) {
	err = refs.Read(props, func(props map[string]string) error {
		c, err = FromProperties(props)
		return err
	})
	return c, err
}

// Facts are what a configuration's check has to know of this worker.
func (c Config) Facts() cluster.Worker {
	return cluster.Worker{GroupID: c.GroupID, ExactlyOnce: c.ExactlyOnce, OverridePolicy: c.OverridePolicy, OverrideAllowlist: c.OverrideAllowlist,
		Converters: map[string]string{"key.converter": c.KeyConverter.Class, "value.converter": c.ValueConverter.Class, "header.converter": c.HeaderConverter.Class}}
}

// Prefixed returns the entries whose key has the prefix, with the prefix removed.
func Prefixed(props map[string]string, prefix string) map[string]string {
	out := map[string]string{}
	for k, v := range props {
		if rest, ok := strings.CutPrefix(k, prefix); ok && rest != "" {
			out[rest] = v
		}
	}
	return out
}
