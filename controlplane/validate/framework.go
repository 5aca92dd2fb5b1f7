package validate

import (
	"github.com/millrace/millrace/sdk/config"
)

// The groups of the framework's keys.
const (
	groupCommon     = "Common"
	groupTransforms = "Transforms"
	groupPredicates = "Predicates"
	groupErrors     = "Error Handling"
	groupTopics     = "Topic Creation"
	groupExactly    = "Exactly Once Support"
	groupOffsets    = "offsets.topic"
)

func key(name string, t config.Type, def *string, imp config.Importance, width config.Width, group string, order int, display, doc string, rules ...config.Rule) config.Key {
	return config.Key{Name: name, Type: t, Default: def, Importance: imp, Width: width, Group: group, Order: order, DisplayName: display, Doc: doc, Validators: rules}
}

func required(k config.Key) config.Key { k.Required = true; return k }

func recommended(k config.Key, r *config.Rule) config.Key { k.Recommend = r; return k }

// common are the keys of every connector.
func common() []config.Key {
	d := config.Default
	return []config.Key{
		required(key("name", config.String, nil, config.High, config.WidthMedium, groupCommon, 1, "Connector name", "Name of this connector; unique in the cluster.", config.ConnectorName())),
		required(key("connector.class", config.String, nil, config.High, config.WidthLong, groupCommon, 2, "Connector class",
			"Class of the connector, by full name or by a short alias such as FileStreamSink.")),
		recommended(key("connector.plugin.version", config.String, nil, config.Medium, config.WidthMedium, groupCommon, 3, "Connector version",
			"Which installed version of the connector to run; a version or a range."), config.VisibleIfSet("connector.class")),
		key("tasks.max", config.Int, d("1"), config.High, config.WidthShort, groupCommon, 4, "Tasks max", "Largest number of tasks this connector may be split into.", config.AtLeast(1)),
		key("tasks.max.enforce", config.Boolean, d("true"), config.Low, config.WidthShort, groupCommon, 5, "Enforce tasks max",
			"Deprecated. If false, a connector that asks for more tasks than tasks.max is let through with a warning."),
		key("key.converter", config.Class, nil, config.Low, config.WidthShort, groupCommon, 6, "Key converter class", converterText("keys")),
		key("key.converter.plugin.version", config.String, nil, config.Low, config.WidthShort, groupCommon, 7, "Key converter version", "Which installed version of that converter to use."),
		key("value.converter", config.Class, nil, config.Low, config.WidthShort, groupCommon, 8, "Value converter class", converterText("values")),
		key("value.converter.plugin.version", config.String, nil, config.Low, config.WidthShort, groupCommon, 9, "Value converter version", "Which installed version of that converter to use."),
		key("header.converter", config.Class, nil, config.Low, config.WidthShort, groupCommon, 10, "Header converter class", converterText("headers")),
		key("header.converter.plugin.version", config.String, nil, config.Low, config.WidthShort, groupCommon, 11, "Header converter version", "Which installed version of that converter to use."),
		key("transforms", config.List, d(""), config.Low, config.WidthLong, groupTransforms, 12, "Transforms", "Names of the transformations applied to each record, in order.", config.UniqueAliases()),
		key("predicates", config.List, d(""), config.Low, config.WidthLong, groupPredicates, 13, "Predicates", "Names of the conditions that transformations may refer to.", config.UniqueAliases()),
		key("config.action.reload", config.String, d("restart"), config.Low, config.WidthMedium, groupCommon, 14, "Reload Action",
			"Whether to restart the connector when a secret or file its configuration refers to changes.", config.OneOf("none", "restart")),
		key("errors.retry.timeout", config.Long, d("0"), config.Medium, config.WidthMedium, groupErrors, 1, "Retry Timeout for Errors",
			"How long, in milliseconds, a failing step is repeated before it counts as failed; 0 never, -1 for ever."),
		key("errors.retry.delay.max.ms", config.Long, d("60000"), config.Medium, config.WidthMedium, groupErrors, 2, "Maximum Delay Between Retries for Errors",
			"Longest pause, in milliseconds, between two of those repetitions."),
		key("errors.tolerance", config.String, d("none"), config.Medium, config.WidthShort, groupErrors, 3, "Error Tolerance",
			"none: the first bad record stops the task. all: bad records are skipped.", config.OneOf("none", "all")),
		key("errors.log.enable", config.Boolean, d("false"), config.Medium, config.WidthShort, groupErrors, 4, "Log Errors", "Log every error, also those that are tolerated."),
		key("errors.log.include.messages", config.Boolean, d("false"), config.Medium, config.WidthShort, groupErrors, 5, "Log Error Details",
			"Also log the record that caused the error; this can expose data."),
	}
}

func converterText(of string) string {
	return "Translates record " + of + " between the internal form and the bytes in Kafka; overrides the worker's choice."
}

// source are the further keys of sources.
func source() []config.Key {
	d := config.Default
	return []config.Key{
		key("topic.creation.groups", config.List, d(""), config.Low, config.WidthLong, groupTopics, 1, "Topic Creation Groups",
			"Names of groups of settings for topics this source creates.", config.UniqueAliases()),
		key("exactly.once.support", config.String, d("requested"), config.Medium, config.WidthShort, groupExactly, 2, "Exactly once support",
			"required: refuse the configuration unless exactly-once delivery is certain. requested: do not check.", config.OneOfFold("required", "requested")),
		key("transaction.boundary", config.String, d("poll"), config.Medium, config.WidthShort, groupExactly, 3, "Transaction Boundary",
			"When a source commits its transactions: per poll, by interval, or as the connector says.", config.OneOfFold("interval", "poll", "connector")),
		key("transaction.boundary.interval.ms", config.Long, nil, config.Low, config.WidthShort, groupExactly, 4, "Transaction boundary interval",
			"Commit interval for transaction.boundary=interval; by default the worker's offset commit interval.", config.OptionalAtLeast(0)),
		key("offsets.storage.topic", config.String, nil, config.Low, config.WidthLong, groupOffsets, 1, "Offsets topic",
			"Separate topic for this connector's offsets; by default the worker's.", config.NonEmpty()),
	}
}

// sink are the further keys of sinks. topics and topics.regex belong to the common group.
func sink() []config.Key {
	d := config.Default
	return []config.Key{
		key("topics", config.List, d(""), config.High, config.WidthLong, groupCommon, 4, "Topics", "Topics to read, separated by commas.", config.NoDuplicates()),
		key("topics.regex", config.String, d(""), config.High, config.WidthLong, groupCommon, 4, "Topics regex", "Pattern of topics to read; use either this or topics.", config.Regex()),
		key("errors.deadletterqueue.topic.name", config.String, d(""), config.Medium, config.WidthMedium, groupErrors, 6, "Dead Letter Queue Topic Name",
			"Topic that receives records that could not be processed; empty for none."),
		key("errors.deadletterqueue.topic.replication.factor", config.Short, d("3"), config.Medium, config.WidthMedium, groupErrors, 7,
			"Dead Letter Queue Topic Replication Factor", "Replication factor if that topic has to be created."),
		key("errors.deadletterqueue.context.headers.enable", config.Boolean, d("false"), config.Medium, config.WidthMedium, groupErrors, 8,
			"Enable Error Context Headers", "Add headers that describe the failure, all starting with __connect.errors."),
	}
}
