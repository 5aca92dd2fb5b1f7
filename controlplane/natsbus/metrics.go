package natsbus

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the bus's series. The label "address" is the family of an address, never a session or class.
type metrics struct {
	published     *prometheus.CounterVec
	publishErrors *prometheus.CounterVec
	consumed      *prometheus.CounterVec
	redelivered   *prometheus.CounterVec
	setAside      *prometheus.CounterVec
	requests      *prometheus.CounterVec
	served        *prometheus.CounterVec
	streamsMade   *prometheus.CounterVec
	fellBehind    prometheus.Counter
	connected     *prometheus.GaugeVec
}

// newMetrics registers the series; several buses of one process share them.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	var errs []error
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_bus_" + name, Help: help}, labels), &errs)
	}
	m := &metrics{
		published:     counter("published_total", "Messages that the bus took, by kind of address.", "address"),
		publishErrors: counter("publish_errors_total", "Messages that the bus did not take, by kind of address.", "address"),
		consumed:      counter("consumed_total", "Messages handled, by kind of address and result: ok, error (offered again), poison (set aside).", "address", "result"),
		redelivered:   counter("redelivered_total", "Messages that were offered before, by kind of address.", "address"),
		setAside:      counter("set_aside_total", "Messages that can't be read and were set aside, by kind of address.", "address"),
		requests: counter("requests_total",
			"Requests asked, by kind of address and result: ok (any answer), nobody (nobody serves), timeout, unavailable, invalid.", "address", "result"),
		served:      counter("served_total", "Requests answered, by kind of address and result: ok, error, late (not begun in time), unsent.", "address", "result"),
		streamsMade: counter("streams_made_total", "Streams that were missing and were made.", "stream"),
		fellBehind: register(reg, prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_bus_fell_behind_total",
			Help: "Times that messages were dropped because this process did not take them fast enough."}), &errs),
		connected: register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "millrace_bus_connected",
			Help: "1 while the connection to the message bus is up."}, []string{"client"}), &errs),
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("registering the message bus's metrics: %w", err)
	}
	return m, nil
}

// register registers c, or gives back its equal that another bus registered.
func register[C prometheus.Collector](reg prometheus.Registerer, c C, errs *[]error) C {
	if reg == nil {
		return c
	}
	err := reg.Register(c)
	if have, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if same, ok := have.ExistingCollector.(C); ok {
			return same
		}
	}
	if err != nil {
		*errs = append(*errs, err)
	}
	return c
}
