package sinktask

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/sdk/record"
)

// Metrics counts for all sink tasks of a runner. Names are Kafka Connect's sink-task-metrics in snake case behind
// connect_sink_task_, labels connector and task; lag is an addition of ours. A task's values are removed when it ends.
type Metrics struct {
	read, sent, completions, skips, failures, refusals *prometheus.CounterVec
	parts, seq, activeRecords, lagMax, lagSum          *prometheus.GaugeVec
	putTime, commitTime, batchSize                     *prometheus.SummaryVec
	all                                                []interface {
		DeletePartialMatch(prometheus.Labels) int
	}

	mu      sync.Mutex
	holders map[string]int // runs per task: an abandoned run must not remove its successor's values
}

// NewMetrics makes and registers the metrics; nil registers nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{holders: map[string]int{}}
	labels := []string{"connector", "task"}
	counter := func(name, help string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "connect_sink_task_" + name, Help: help}, labels)
		m.add(r, v, v)
		return v
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "connect_sink_task_" + name, Help: help}, labels)
		m.add(r, v, v)
		return v
	}
	summary := func(name, help string) *prometheus.SummaryVec {
		v := prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: "connect_sink_task_" + name, Help: help}, labels)
		m.add(r, v, v)
		return v
	}
	m.read = counter("sink_record_read_total", "Records consumed, before transformations.")
	m.sent = counter("sink_record_send_total", "Records the sink has accepted, after transformations.")
	m.completions = counter("offset_commit_completion_total", "Offset commits that succeeded.")
	m.skips = counter("offset_commit_skip_total", "Answers to offset commits that came too late and were ignored.")
	m.failures = counter("offset_commit_failure_total", "Offset commits that failed or timed out.")
	m.refusals = counter("put_retry_total", "Batches the sink refused for now.")
	m.parts = gauge("partition_count", "Partitions assigned.")
	m.seq = gauge("offset_commit_seq_no", "Number of the newest offset commit.")
	m.activeRecords = gauge("sink_record_active_count", "Records consumed and not committed yet.")
	m.lagMax = gauge("sink_record_lag_max", "Records between what was read and the end of the partition that is furthest behind.")
	m.lagSum = gauge("sink_record_lag_sum", "Records between what was read and the end, over all partitions.")
	m.putTime = summary("put_batch_seconds", "Duration of successful puts.")
	m.commitTime = summary("offset_commit_seconds", "Duration of successful offset commits.")
	m.batchSize = summary("batch_size", "Records per put.")
	return m
}

func (m *Metrics) add(r prometheus.Registerer, c prometheus.Collector, v interface {
	DeletePartialMatch(prometheus.Labels) int
}) {
	if r != nil {
		r.MustRegister(c)
	}
	m.all = append(m.all, v)
}

// counters are the metrics of one task, looked up once.
type counters struct {
	m                                                  *Metrics
	labels                                             prometheus.Labels
	readN, sentN, completed, skipped, failed, refusedN prometheus.Counter
	partsN, seqN, activeN, lagMaxN, lagSumN            prometheus.Gauge
	putObserver, commitObserver, batchObserver         prometheus.Observer
}

func (m *Metrics) task(connector string, n int) *counters {
	l := prometheus.Labels{"connector": connector, "task": strconv.Itoa(n)}
	m.mu.Lock()
	m.holders[connector+"/"+l["task"]]++
	m.mu.Unlock()
	return &counters{
		m: m, labels: l,
		readN: m.read.With(l), sentN: m.sent.With(l), completed: m.completions.With(l), skipped: m.skips.With(l),
		failed: m.failures.With(l), refusedN: m.refusals.With(l), partsN: m.parts.With(l), seqN: m.seq.With(l),
		activeN: m.activeRecords.With(l), lagMaxN: m.lagMax.With(l), lagSumN: m.lagSum.With(l),
		putObserver: m.putTime.With(l), commitObserver: m.commitTime.With(l), batchObserver: m.batchSize.With(l),
	}
}

func (c *counters) remove() {
	key := c.labels["connector"] + "/" + c.labels["task"]
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.m.holders[key]--; c.m.holders[key] > 0 {
		return
	}
	delete(c.m.holders, key)
	for _, v := range c.m.all {
		v.DeletePartialMatch(c.labels)
	}
}

func (c *counters) read(n int)       { c.readN.Add(float64(n)) }
func (c *counters) active(n int64)   { c.activeN.Set(float64(n)) }
func (c *counters) partitions(n int) { c.partsN.Set(float64(n)) }
func (c *counters) sequence(n int)   { c.seqN.Set(float64(n)) }
func (c *counters) commitFailed()    { c.failed.Inc() }
func (c *counters) commitStale()     { c.skipped.Inc() }
func (c *counters) refused()         { c.refusedN.Inc() }

func (c *counters) put(n int, d time.Duration) {
	if n == 0 {
		return
	}
	c.sentN.Add(float64(n))
	c.batchObserver.Observe(float64(n))
	c.putObserver.Observe(d.Seconds())
}

func (c *counters) committed(d time.Duration) {
	c.completed.Inc()
	c.commitObserver.Observe(d.Seconds())
}

func (c *counters) lag(by map[record.TopicPartition]int64) {
	var most, sum int64
	for _, n := range by {
		most, sum = max(most, n), sum+n
	}
	c.lagMaxN.Set(float64(most))
	c.lagSumN.Set(float64(sum))
}
