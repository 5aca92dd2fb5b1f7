package kafkaio

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMemoryIsGivenBackWhenClientsHaveMovedMuchAndRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var trims atomic.Int64
		var told boolList
		r := &idleTrim{trim: func() { trims.Add(1) }, told: told.add}
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() } //nolint:forbidigo // of the bubble's own clock

		for range 20 { // busy
			r.add(restBytes)
			r.add(restBytes)
			pass(restAfter)
			require.Zero(t, trims.Load())
			require.Equal(t, []bool{true}, told.all())
		}
		pass(restAfter)
		require.EqualValues(t, 1, trims.Load())
		require.Equal(t, []bool{true, false}, told.all())
		pass(time.Hour)
		require.EqualValues(t, 1, trims.Load(), "once is enough")

		r.add(100)
		pass(time.Hour)
		require.EqualValues(t, 1, trims.Load(), "it was too little")

		r.add(2 * trimBytes)
		for range 10 { // a trickle is rest, too
			r.add(100)
			pass(restAfter)
		}
		require.EqualValues(t, 2, trims.Load())
		require.Equal(t, []bool{true, false, true, false}, told.all())
	})
}

type boolList struct {
	mu   sync.Mutex
	list []bool
}

func (l *boolList) add(b bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, b)
}

func (l *boolList) all() []bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}
