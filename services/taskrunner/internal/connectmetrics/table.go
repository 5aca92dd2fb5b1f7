package connectmetrics

import "strings"

// Metric is one of Kafka Connect's metrics, or one of ours that stands beside them.
type Metric struct {
	Group     string // type of the MBean; "": one of ours, and Attribute is its whole name
	Attribute string
	Labels    []string
	Text      bool // the value is 1, and what it says is a label named as the attribute
	Help      string
}

// Name is what a JMX exporter calls the metric without rules of its own: domain, type and attribute.
func (m Metric) Name() string {
	switch m.Group {
	case "":
		return m.Attribute
	case consumerGroup:
		return "kafka_consumer_" + snake(m.Group+"_"+m.Attribute)
	}
	return "kafka_connect_" + snake(m.Group+"_"+m.Attribute)
}

// Alias is what the sample rules that come with the exporter call the metric; "" when they leave it alone.
func (m Metric) Alias() string {
	if m.Group == "" || m.Group == consumerGroup || m.Group == connectorGroup && m.Attribute == "status" {
		return ""
	}
	group := strings.TrimSuffix(strings.TrimPrefix(m.Group, "connect-"), "-metrics")
	if m.Group == taskGroup && m.Attribute == "status" {
		group = "connector" // so they call it, with the label task
	}
	attribute := m.Attribute
	if m.Group == connectorGroup {
		attribute = strings.TrimPrefix(attribute, "connector-")
	}
	return "kafka_connect_" + snake(group+"_"+attribute)
}

func (m Metric) labels() []string {
	if m.Text {
		return append(append([]string{}, m.Labels...), snake(m.Attribute))
	}
	return m.Labels
}

func snake(s string) string { return strings.ReplaceAll(s, "-", "_") }

// The types of MBeans.
const (
	connectorGroup = "connector-metrics"
	taskGroup      = "connector-task-metrics"
	sourceGroup    = "source-task-metrics"
	sinkGroup      = "sink-task-metrics"
	errorGroup     = "task-error-metrics"
	workerGroup    = "connect-worker-metrics"
	transformGroup = "connector-transform-metrics"
	predicateGroup = "connector-predicate-metrics"
	consumerGroup  = "consumer-fetch-manager-metrics"
)

// Table lists every metric that is exported here.
func Table() []Metric {
	var all []Metric
	group := func(name string, labels []string, rows ...string) {
		for i := 0; i < len(rows); i += 2 {
			attribute, text := strings.CutPrefix(rows[i], "text:")
			all = append(all, Metric{Group: name, Attribute: attribute, Text: text, Labels: labels, Help: rows[i+1]})
		}
	}
	connector, task := []string{"connector"}, []string{"connector", "task"}
	group(connectorGroup, connector,
		"text:status", "State of the connector: unassigned, running, paused, stopped or failed.",
		"text:connector-type", "source or sink.",
		"text:connector-class", "Class of the connector.",
		"text:connector-version", "Version of the connector's class.")
	group(taskGroup, task,
		"text:status", "State of the task: unassigned, running, paused or failed.",
		"running-ratio", "Part of the time since the task was made in which it was running.",
		"pause-ratio", "Part of the time since the task was made in which it was paused.",
		"offset-commit-max-time-ms", "Longest successful offset commit, in milliseconds.",
		"offset-commit-avg-time-ms", "Average time of successful offset commits, in milliseconds.",
		"batch-size-max", "Most records of one batch: of a source what one poll returned, of a sink what one put was given.",
		"batch-size-avg", "Average number of records of a batch.",
		"offset-commit-failure-percentage", "Part of the offset commits that failed, 0 to 1.",
		"offset-commit-success-percentage", "Part of the offset commits that succeeded, 0 to 1.",
		"text:connector-class", "Class of the connector.",
		"text:connector-type", "source or sink.",
		"text:connector-version", "Version of the connector's class.",
		"text:task-class", "Class of the task.",
		"text:task-version", "Version of the task's class.",
		"text:key-converter-class", "Class of the converter of keys.",
		"text:key-converter-version", "Version of the converter of keys.",
		"text:value-converter-class", "Class of the converter of values.",
		"text:value-converter-version", "Version of the converter of values.",
		"text:header-converter-class", "Class of the converter of headers.",
		"text:header-converter-version", "Version of the converter of headers.")
	group(sourceGroup, task,
		"source-record-poll-rate", "Records per second that the plugin returned, before transformations.",
		"source-record-poll-total", "Records that the plugin returned since the task started, before transformations.",
		"source-record-write-rate", "Records per second that Kafka acknowledged.",
		"source-record-write-total", "Records that Kafka acknowledged since the task started, without those that were dropped or skipped. In transactions: that were committed.",
		"poll-batch-max-time-ms", "Longest poll that returned records, in milliseconds.",
		"poll-batch-avg-time-ms", "Average time of polls that returned records, in milliseconds.",
		"source-record-active-count", "Records polled and not yet durable in Kafka.",
		"source-record-active-count-max", "Most records that were polled and not yet durable in Kafka.",
		"source-record-active-count-avg", "Average number of records that were polled and not yet durable in Kafka.",
		"transaction-size-min", "Fewest records of a committed transaction. Only of tasks that write in transactions.",
		"transaction-size-max", "Most records of a committed transaction. Only of tasks that write in transactions.",
		"transaction-size-avg", "Average number of records of a committed transaction. Only of tasks that write in transactions.")
	group(sinkGroup, task,
		"sink-record-read-rate", "Records per second that were consumed, before transformations.",
		"sink-record-read-total", "Records consumed since the task started, before transformations.",
		"sink-record-send-rate", "Records per second that the sink accepted, after transformations.",
		"sink-record-send-total", "Records that the sink accepted since the task started, after transformations.",
		"partition-count", "Partitions assigned.",
		"offset-commit-seq-no", "Number of the newest offset commit.",
		"offset-commit-completion-rate", "Successful offset commits per second.",
		"offset-commit-completion-total", "Successful offset commits since the task started.",
		"offset-commit-skip-rate", "Answers to offset commits per second that came too late and were ignored.",
		"offset-commit-skip-total", "Answers to offset commits since the task started that came too late and were ignored.",
		"put-batch-max-time-ms", "Longest successful put, in milliseconds.",
		"put-batch-avg-time-ms", "Average time of successful puts, in milliseconds.",
		"sink-record-active-count", "Records consumed and not committed yet.",
		"sink-record-active-count-max", "Most records that were consumed and not committed yet.",
		"sink-record-active-count-avg", "Average number of records that were consumed and not committed yet.",
		"sink-record-lag-max", "Records between what was read and the end of the partition that is furthest behind. Kafka Connect documents it and does not have it.")
	group(errorGroup, task,
		"total-record-failures", "Failed attempts at a step of a record, repetitions included.",
		"total-record-errors", "Records that failed for good.",
		"total-records-skipped", "Records skipped because errors are tolerated.",
		"total-retries", "Repeated steps.",
		"total-errors-logged", "Errors logged.",
		"deadletterqueue-produce-requests", "Records sent to the dead letter queue.",
		"deadletterqueue-produce-failures", "Records that the dead letter queue did not take; their offsets are not committed.",
		"last-error-timestamp", "When a record last failed, in milliseconds since 1970; 0: never.")
	group(transformGroup, []string{"connector", "task", "transform"},
		"text:transform-class", "Class of the transformation.", "text:transform-version", "Version of the transformation's class.")
	group(predicateGroup, []string{"connector", "task", "predicate"},
		"text:predicate-class", "Class of the predicate.", "text:predicate-version", "Version of the predicate's class.")
	group(workerGroup, nil,
		"connector-count", "Connector instances on this runner.",
		"task-count", "Tasks on this runner.",
		"connector-startup-attempts-total", "Starts of connector instances.",
		"connector-startup-success-total", "Starts of connector instances that succeeded.",
		"connector-startup-success-percentage", "Part of the starts of connector instances that succeeded, 0 to 1.",
		"connector-startup-failure-total", "Starts of connector instances that failed.",
		"connector-startup-failure-percentage", "Part of the starts of connector instances that failed, 0 to 1.",
		"task-startup-attempts-total", "Starts of tasks.",
		"task-startup-success-total", "Starts of tasks that succeeded.",
		"task-startup-success-percentage", "Part of the starts of tasks that succeeded, 0 to 1.",
		"task-startup-failure-total", "Starts of tasks that failed.",
		"task-startup-failure-percentage", "Part of the starts of tasks that failed, 0 to 1.")
	group(workerGroup, connector,
		"connector-total-task-count", "Tasks of the connector on this runner.",
		"connector-running-task-count", "Its running tasks on this runner.",
		"connector-paused-task-count", "Its paused tasks on this runner.",
		"connector-failed-task-count", "Its failed tasks on this runner.",
		"connector-unassigned-task-count", "Its tasks on this runner that have not started yet.",
		"connector-destroyed-task-count", "Its destroyed tasks: none, they are not on a runner.",
		"connector-restarting-task-count", "Its restarting tasks on this runner.")
	group(consumerGroup, []string{"client_id"},
		"records-lag-max", "Records between what was read and the end of the partition that is furthest behind, under the name of Kafka's consumers.")
	group("", task,
		putRetries, "Batches the sink refused for now.",
		sinkFailures, "Offset commits that failed or timed out.",
		lagSum, "Records between what was read and the end, over all partitions.",
		sourceFailures, "Offset commits that failed and are tried again.")
	return all
}

// Ours beside the table's.
const (
	putRetries     = "millrace_sink_task_put_retry_total"
	sinkFailures   = "millrace_sink_task_offset_commit_failure_total"
	lagSum         = "millrace_sink_task_record_lag_sum"
	sourceFailures = "millrace_source_task_offset_commit_failure_total"
)
