package jobs

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the supervisor's counters.
type Metrics struct {
	starts, failures, panics, fenced prometheus.Counter
	abandoned                        prometheus.Gauge
}

// NewMetrics makes the counters and registers them, unless reg is nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_runner_job_" + name, Help: help})
	}
	m := &Metrics{
		starts:   counter("starts_total", "Starts of connector instances and tasks."),
		failures: counter("failures_total", "Connector instances and tasks that failed."),
		panics:   counter("panics_total", "Panics in connector instances and tasks; each failed its own job alone."),
		fenced:   counter("fenced_total", "Jobs that stood down because a newer holder had taken over."),
		abandoned: prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_runner_jobs_abandoned",
			Help: "Jobs that did not stop when told and still run in the background; what they write is fenced."}),
	}
	if reg != nil {
		reg.MustRegister(m.starts, m.failures, m.panics, m.fenced, m.abandoned)
	}
	return m
}

// CollectStates registers a gauge of held jobs by state.
func (s *Supervisor) CollectStates(reg prometheus.Registerer) {
	if reg != nil {
		reg.MustRegister(stateCollector{s})
	}
}

var jobsDesc = prometheus.NewDesc("millrace_runner_jobs", "Held jobs by state.", []string{"state"}, nil)

type stateCollector struct{ s *Supervisor }

func (stateCollector) Describe(ch chan<- *prometheus.Desc) { ch <- jobsDesc }

func (c stateCollector) Collect(ch chan<- prometheus.Metric) {
	for state, n := range c.s.States() {
		ch <- prometheus.MustNewConstMetric(jobsDesc, prometheus.GaugeValue, float64(n), state)
	}
}
