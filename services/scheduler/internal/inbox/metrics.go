package inbox

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Metrics are the inbox's series.
type Metrics struct {
	stored  *prometheus.CounterVec
	refused *prometheus.CounterVec
	beats   *prometheus.CounterVec
	poisons prometheus.Counter
}

// NewMetrics registers the series with reg; nil registers nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		stored: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_scheduler_reports_stored_total",
			Help: "Reports of runners that were stored, by what (status, task_configs, topics)."}, []string{"what"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_scheduler_reports_refused_total",
			Help: "Reports of runners that were refused because they are out of date, by what (status, task_configs, topics) and reason."}, []string{"what", "reason"}),
		beats: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_scheduler_heartbeats_total",
			Help: "Heartbeats answered, by result: same, differs (the runner holds something else than is wanted), ended (lost or closed session), unknown."}, []string{"result"}),
		poisons: prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_scheduler_reports_poison_total",
			Help: "Reports that can't be read and were set aside."}),
	}
	if reg != nil {
		reg.MustRegister(m.stored, m.refused, m.beats, m.poisons)
	}
	return m
}

func (m *Metrics) accepted(what string) { m.stored.WithLabelValues(what).Inc() }

func (m *Metrics) refuse(what string, code cluster.Code) {
	m.refused.WithLabelValues(what, string(code)).Inc()
}

func (m *Metrics) poison() { m.poisons.Inc() }

func (m *Metrics) beat(r cluster.HeartbeatReply) {
	result := "same"
	switch {
	case !r.Known:
		result = "unknown"
	case r.State == cluster.SessionLost || r.State == cluster.SessionClosed:
		result = "ended"
	case r.Differs:
		result = "differs"
	}
	m.beats.WithLabelValues(result).Inc()
}
