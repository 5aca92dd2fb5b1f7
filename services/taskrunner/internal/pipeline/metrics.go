package pipeline

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the counters of Kafka Connect's task-error-metrics, summed over the tasks of a process unless the
// registerer adds labels.
type Metrics struct {
	failures, errors, skipped, retries, logged, letters, lettersLost prometheus.Counter
	last                                                             prometheus.Gauge
}

// NewMetrics makes the counters and registers them, unless reg is nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "connect_task_error_" + name, Help: help})
	}
	m := &Metrics{
		failures: counter("record_failures_total", "Failed attempts at a step of a record, repetitions included."),
		errors:   counter("record_errors_total", "Records that failed for good."),
		skipped:  counter("records_skipped_total", "Records skipped because errors are tolerated."),
		retries:  counter("retries_total", "Repeated steps."),
		logged:   counter("errors_logged_total", "Errors logged."),
		letters:  counter("deadletterqueue_produce_requests_total", "Records sent to the dead letter queue."),
		lettersLost: counter("deadletterqueue_produce_failures_total",
			"Records that the dead letter queue did not take; their offsets are not committed."),
		last: prometheus.NewGauge(prometheus.GaugeOpts{Name: "connect_task_error_last_error_timestamp_seconds", Help: "When a record last failed."}),
	}
	if reg != nil {
		reg.MustRegister(m.failures, m.errors, m.skipped, m.retries, m.logged, m.letters, m.lettersLost, m.last)
	}
	return m
}
