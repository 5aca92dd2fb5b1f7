package membus_test

import (
	"testing"

	"github.com/millrace/millrace/controlplane/membus"
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
