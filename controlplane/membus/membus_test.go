package membus_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/membus"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/tests/conformance/bustest"
)

func harness(f membus.Faults) bustest.Harness {
	return bustest.Harness{New: func(*testing.T) bustest.Instance {
		h := membus.New(f, nil)
		return bustest.Instance{
			Connect:  func(*testing.T) bustest.Bus { return h.Connect() },
			Purge:    func(*testing.T) { h.Purge() },
			Delete:   func(*testing.T) { h.Purge() },
			Down:     func(*testing.T) { h.Down() },
			Up:       func(*testing.T) { h.Up() },
			SetAside: func(*testing.T) int { return len(h.SetAside()) },
		}
	}}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	bustest.Run(t, harness(membus.Faults{}))
}

func TestConformance_leak(t *testing.T) { bustest.RunLeak(t, harness(membus.Faults{})) }

// Faults delay and reorder without losing: what is promised at all still holds, so a part of the suite's ideas is checked
// on a bad network by the real clock, too.
func TestBus_on_a_bad_network_delivers_what_is_repeated(t *testing.T) {
	t.Parallel()
	h := membus.New(membus.Faults{Seed: 5, Drop: 0.3, Duplicate: 0.3, Reorder: 0.5, Delay: 2 * time.Millisecond}, nil)
	b := h.Connect()
	got := make(chan string, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- b.Consume(ctx, wire.Commands, func(_ context.Context, msg []byte) error { got <- string(msg); return nil })
	}()
	seen := map[string]bool{}
	for n := 0; len(seen) < 20; n++ {
		require.Less(t, n, 5000)
		m := fmt.Sprint(n % 20)
		require.NoError(t, b.Publish(ctx, wire.Commands, fmt.Sprint(n), []byte(m)))
		select {
		case m := <-got:
			seen[m] = true
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, b.Close(context.Background()))
	require.Positive(t, h.Lost())
}
