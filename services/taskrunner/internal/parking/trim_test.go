package parking

import (
	"errors"
	"log/slog"
	"runtime/metrics"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func threads() int {
	s := []metrics.Sample{{Name: "/sched/threads/total:threads"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64())
}

func TestThreadsThatNobodyNeedsAreEnded(t *testing.T) { //nolint:paralleltest // it counts the threads of the process
	const many = 100
	// Calls that wait at the same time need a thread each.
	var pipe [2]int
	require.NoError(t, syscall.Pipe(pipe[:]))
	var calls sync.WaitGroup
	for range many {
		calls.Go(func() {
			if n, err := syscall.Read(pipe[0], make([]byte, 1)); n != 1 || err != nil {
				t.Errorf("read %d bytes: %v", n, err)
			}
		})
	}
	require.Eventually(t, func() bool { return threads() >= many }, patience, time.Millisecond)
	n, err := syscall.Write(pipe[1], make([]byte, many))
	require.NoError(t, err)
	require.Equal(t, many, n)
	calls.Wait()
	require.GreaterOrEqual(t, threads(), many, "they stay with the process")
	(&trimmer{log: slog.New(slog.DiscardHandler), parked: func() int64 { return 0 }, heap: heapNow}).trim()
	require.Eventually(t, func() bool { return threads() < many/2 }, patience, time.Millisecond)
	require.NoError(t, errors.Join(syscall.Close(pipe[0]), syscall.Close(pipe[1])))
}

func TestGarbageIsCollectedNowAndThenWhileManyAreParked(t *testing.T) {
	t.Parallel()
	parked, now := int64(trimFrom), heap{}
	tr := &trimmer{log: slog.New(slog.DiscardHandler), parked: func() int64 { return parked }, heap: func() heap { return now }}
	t.Cleanup(tr.stop)
	tr.trim()
	now = heap{objects: 124, live: 100}
	require.False(t, tr.tidies())
	now.objects = 125
	require.True(t, tr.tidies(), "garbage")
	now.allocs += busy
	require.False(t, tr.tidies(), "busy")
	require.True(t, tr.tidies())
	parked--
	require.False(t, tr.tidies(), "most work again")
	require.Nil(t, tr.tidy)
	parked++
	tr.trim()
	require.NotNil(t, tr.tidy, "it begins anew")
	tr.stop()
	require.False(t, tr.tidies())
	seen := heapNow()
	require.Positive(t, seen.allocs)
	require.Positive(t, seen.objects)
}
