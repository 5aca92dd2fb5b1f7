package httpapi

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the api's series.
type Metrics struct {
	requests *prometheus.HistogramVec
}

// NewMetrics makes the series and registers them, unless reg is nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "millrace_api_request_seconds",
		Help: "Duration of requests, by method, route and status.", Buckets: prometheus.ExponentialBuckets(0.001, 3, 11)}, []string{"method", "route", "status"})}
	if reg != nil {
		reg.MustRegister(m.requests)
	}
	return m
}

func (m *Metrics) answered(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Observe(took.Seconds())
}
