package session

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the session's counters.
type Metrics struct {
	questions              *prometheus.CounterVec
	missed, resent, healed prometheus.Counter
	answered               prometheus.Gauge
}

// NewMetrics makes the counters and registers them, unless reg is nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_runner_" + name, Help: help})
	}
	m := &Metrics{
		questions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_runner_questions_total",
			Help: "Questions that a scheduler answered, by way."}, []string{"way"}),
		missed: counter("heartbeats_missed_total", "Heartbeats that no scheduler answered."),
		resent: counter("statuses_resent_total", "Times the store asked for all statuses again."),
		healed: counter("assignments_healed_total", "Specs that a heartbeat's answer brought because their message had not come (yet)."),
		answered: prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_runner_control_plane_up",
			Help: "1 when the last heartbeat was answered. Jobs go on without."}),
	}
	if reg != nil {
		reg.MustRegister(m.questions, m.missed, m.resent, m.healed, m.answered)
	}
	return m
}

func (m *Metrics) asked(way string) { m.questions.WithLabelValues(way).Inc() }
