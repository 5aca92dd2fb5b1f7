package kafkaio

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/record"
)

// Not parallel: it counts the goroutines of the process.
func TestFault_KO_3_ClosingClientsAgainstDeadBrokersLeavesNothing(t *testing.T) {
	dead := Config{"bootstrap.servers": "127.0.0.1:1"}
	before := runtime.NumGoroutine()
	for range 10 {
		var wg sync.WaitGroup
		for range 10 { // one close waits up to 100 ms for the log goroutine
			wg.Go(func() {
				p, err := NewProducer(t.Context(), ProducerConfig{Client: dead, TransactionalID: "x"})
				if err != nil {
					t.Error(err)
					return
				}
				reported := make(chan error, 1)
				_, _ = p.Send(t.Context(), numbered("t", 0, 0, 1), func(_ int, _ record.Produced, err error) { reported <- err })
				c, err := NewConsumer(t.Context(), ConsumerConfig{Client: dead, Group: "g", InstanceID: "i"})
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.Subscribe([]string{"t"}, "")
				_, _ = c.Poll(t.Context(), time.Millisecond, nil)
				a, err := NewAdmin(dead, nil)
				if err != nil {
					t.Error(err)
					return
				}
				for _, close := range []func() error{
					func() error { return p.Close(within(t)) },
					func() error { return c.Close(within(t)) },
					func() error { return a.Close(within(t)) },
				} {
					if err := close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+5 }, patience, 10*time.Millisecond,
		"goroutines before: %d", before)
}
