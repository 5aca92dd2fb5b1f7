package loop

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Metrics are the leader's series. Replicas that don't lead show zeros.
type Metrics struct {
	planTime  prometheus.Histogram
	decisions *prometheus.CounterVec
	waiting   *prometheus.GaugeVec
	refusals  *prometheus.CounterVec
	leader    prometheus.Gauge
	term      prometheus.Gauge
	hold      prometheus.Gauge
}

// NewMetrics registers the series with reg; nil registers nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		planTime: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "millrace_scheduler_plan_duration_seconds",
			Help: "Time of one computation of the plan, in seconds.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 14)}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_scheduler_decisions_total",
			Help: "Committed decisions by kind (assign, release, forget, lose) and reason."}, []string{"kind", "reason"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "millrace_scheduler_waiting_jobs",
			Help: "Jobs that should run or move and wait, by reason."}, []string{"reason"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_scheduler_refused_plans_total",
			Help: "Plans that the store did not accept, by error code (conflict, stale_epoch, unavailable)."}, []string{"code"}),
		leader: prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_scheduler_leader",
			Help: "1 while this replica leads, else 0."}),
		term: prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_scheduler_leader_term_number",
			Help: "Term of this replica's last leadership."}),
		hold: prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_scheduler_mass_loss_hold",
			Help: "1 while nothing moves because too many runners vanished at once, else 0."}),
	}
	if reg != nil {
		reg.MustRegister(m.planTime, m.decisions, m.waiting, m.refusals, m.leader, m.term, m.hold)
	}
	return m
}

func (m *Metrics) planned(took time.Duration, d cluster.Decisions) {
	m.planTime.Observe(took.Seconds())
	m.waiting.Reset()
	for _, w := range d.Waiting {
		m.waiting.WithLabelValues(string(w.Why)).Inc()
	}
	m.hold.Set(0)
	if d.Hold {
		m.hold.Set(1)
	}
}

func (m *Metrics) decided(steps []cluster.Decision) {
	for _, s := range steps {
		m.decisions.WithLabelValues(string(s.Kind), string(s.Why)).Inc()
	}
}

func (m *Metrics) refused(code cluster.Code) { m.refusals.WithLabelValues(string(code)).Inc() }

func (m *Metrics) lead(term cluster.Term) {
	m.leader.Set(1)
	m.term.Set(float64(term))
}

func (m *Metrics) follow() {
	m.leader.Set(0)
	m.hold.Set(0)
	m.waiting.Reset()
}
