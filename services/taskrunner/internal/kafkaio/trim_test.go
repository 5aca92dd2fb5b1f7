package kafkaio

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMemoryIsGivenBackWhenClientsHaveMovedMuchAndRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		trims := 0
		r := &idleTrim{trim: func() { trims++ }}
		pass := func(d time.Duration) { time.Sleep(d); synctest.Wait() } //nolint:forbidigo // of the bubble's own clock

		for range 20 { // busy
			r.add(restBytes)
			r.add(restBytes)
			pass(restAfter)
			require.Zero(t, trims)
		}
		pass(restAfter)
		require.Equal(t, 1, trims)
		pass(time.Hour)
		require.Equal(t, 1, trims, "once is enough")

		r.add(100)
		pass(time.Hour)
		require.Equal(t, 1, trims, "it was too little")

		r.add(2 * trimBytes)
		for range 10 { // a trickle is rest, too
			r.add(100)
			pass(restAfter)
		}
		require.Equal(t, 2, trims)
	})
}
