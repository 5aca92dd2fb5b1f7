package natsbus_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/wire"
)

// report adds the median and the 99th percentile to a benchmark's figures.
func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// From before Publish to inside the handler of another client, one message at a time.
func BenchmarkPublishToHandle(b *testing.B) {
	for _, to := range []wire.Address{wire.Reports, wire.Runner("s-1")} {
		b.Run(to.Family(), func(b *testing.B) {
			s := newServer(b)
			sender, receiver := s.connect(b), s.connect(b)
			arrived := make(chan time.Time)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			go func() {
				_ = receiver.Consume(ctx, to, func(context.Context, []byte) error { arrived <- time.Now(); return nil }) // ends with ctx
			}()
			body := make([]byte, 1024)
			n := 0
			send := func() time.Duration {
				n++
				start := time.Now()
				go func() { _ = sender.Publish(ctx, to, strconv.Itoa(n), body) }() // the arrival is what counts
				return (<-arrived).Sub(start)
			}
			send() // streams and consumer exist now
			var took []time.Duration
			for b.Loop() {
				took = append(took, send())
			}
			report(b, took)
		})
	}
}

func BenchmarkPublish(b *testing.B) {
	s := newServer(b)
	bus := s.connect(b)
	body := make([]byte, 1024)
	n := 0
	var took []time.Duration
	for b.Loop() {
		n++
		start := time.Now()
		require.NoError(b, bus.Publish(b.Context(), wire.Commands, strconv.Itoa(n), body))
		took = append(took, time.Since(start))
	}
	report(b, took)
}

func BenchmarkRequest(b *testing.B) {
	s := newServer(b)
	asker, server := s.connect(b), s.connect(b)
	stop, err := server.Serve(wire.Scheduler, func(_ context.Context, msg []byte) ([]byte, error) { return msg, nil })
	require.NoError(b, err)
	defer stop()
	body := make([]byte, 256)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		_, err := asker.Request(ctx, wire.Scheduler, body)
		require.NoError(b, err)
		took = append(took, time.Since(start))
	}
	report(b, took)
}
