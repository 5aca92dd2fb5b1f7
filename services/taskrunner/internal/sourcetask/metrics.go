package sourcetask

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the series of Kafka Connect's source-task-metrics, by connector and task.
type Metrics struct {
	polls, writes, commitFailures  *prometheus.CounterVec
	active                         *prometheus.GaugeVec
	pollTime, commitTime, transact *prometheus.HistogramVec
}

// NewMetrics makes the series and registers them, unless reg is nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	labels := []string{"connector", "task"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "connect_source_task_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "connect_source_task_" + name, Help: help, Buckets: buckets}, labels)
	}
	seconds := prometheus.ExponentialBuckets(0.001, 4, 8)
	m := &Metrics{
		polls:          counter("source_record_poll_total", "Records that the plugin returned, before transformations."),
		writes:         counter("source_record_write_total", "Records that Kafka has acknowledged."),
		commitFailures: counter("offset_commit_failures_total", "Offset commits that failed and are tried again."),
		active: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "connect_source_task_source_record_active_count",
			Help: "Records polled and not yet durable."}, labels),
		pollTime:   histogram("poll_batch_time_seconds", "Duration of polls that returned records.", seconds),
		commitTime: histogram("offset_commit_time_seconds", "Duration of successful commits.", seconds),
		transact:   histogram("transaction_size_records", "Records per committed transaction.", prometheus.ExponentialBuckets(1, 10, 6)),
	}
	if reg != nil {
		reg.MustRegister(m.polls, m.writes, m.commitFailures, m.active, m.pollTime, m.commitTime, m.transact)
	}
	return m
}

// taskMetrics are the series of one task.
type taskMetrics struct {
	m      *Metrics
	labels []string

	polls, writes, failures        prometheus.Counter
	active                         prometheus.Gauge
	pollTime, commitTime, transact prometheus.Observer
}

func (m *Metrics) task(connector string, task int) *taskMetrics {
	l := []string{connector, strconv.Itoa(task)}
	return &taskMetrics{m: m, labels: l, polls: m.polls.WithLabelValues(l...), writes: m.writes.WithLabelValues(l...),
		failures: m.commitFailures.WithLabelValues(l...), active: m.active.WithLabelValues(l...), pollTime: m.pollTime.WithLabelValues(l...),
		commitTime: m.commitTime.WithLabelValues(l...), transact: m.transact.WithLabelValues(l...)}
}

func (t *taskMetrics) polled(n int, took time.Duration) {
	t.polls.Add(float64(n))
	t.active.Add(float64(n))
	t.pollTime.Observe(took.Seconds())
}

func (t *taskMetrics) written(written, polled int) {
	t.writes.Add(float64(written))
	t.active.Sub(float64(polled))
}

func (t *taskMetrics) committed(records int, took time.Duration) {
	t.commitTime.Observe(took.Seconds())
	if records > 0 {
		t.transact.Observe(float64(records))
	}
}

func (t *taskMetrics) commitFailed() { t.failures.Inc() }

// close takes the task's gauge away: counters stay, so that rates do not jump when a task comes back.
func (t *taskMetrics) close() { t.m.active.DeleteLabelValues(t.labels...) }
