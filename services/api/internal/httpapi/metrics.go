package httpapi

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the api's series.
type Metrics struct {
	requests *prometheus.HistogramVec
	streams  prometheus.Gauge
	events   prometheus.Counter
	cut      *prometheus.CounterVec
}

// NewMetrics makes the series and registers them, unless reg is nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "millrace_api_request_seconds",
		Help: "Duration of requests, by method, route and status.", Buckets: prometheus.ExponentialBuckets(0.001, 3, 11)}, []string{"method", "route", "status"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "millrace_api_event_streams", Help: "Clients that watch events at this process."}),
		events:  prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_api_events_sent_total", Help: "Events sent to clients that watch."}),
		cut: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_api_event_streams_ended_total",
			Help: "Streams of events that ended before the server did: the client left or did not take them in time (left), or fell behind what is kept (behind)."}, []string{"why"})}
	if reg != nil {
		reg.MustRegister(m.requests, m.streams, m.events, m.cut)
	}
	return m
}

func (m *Metrics) answered(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}
