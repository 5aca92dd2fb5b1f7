package parking

import (
	"log/slog"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// What clients leave behind stays with the process: memory that the allocators keep, and threads that waited in the library,
// which Go never ends by itself. After many tasks were parked it is given back to the system.
//
// A runner whose tasks are parked allocates little, so that its garbage would wait long for a collection, and may be as much as all
// that is in use. So while many tasks are parked and little happens there is one now and then.
const (
	trimFrom  = 16              // clients, in sum: fewer are not worth a collection
	trimAfter = 2 * time.Second // the last was closed
	spare     = 16              // threads that are left to wait for work

	tidyEvery = 15 * time.Second
	busy      = 512 << 20 // bytes allocated between two looks, more than what asks for the metrics needs: Go's own collections are often enough
)

// trimmer notes how many clients were closed.
type trimmer struct {
	log    *slog.Logger
	parked func() int64 // tasks
	heap   func() heap

	mu      sync.Mutex
	closed  int
	timer   *time.Timer
	tidy    *time.Timer
	allocs  uint64 // bytes, at the last look
	stopped bool
}

// after notes that a client was closed.
func (t *trimmer) after() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed++
	switch {
	case t.timer != nil:
		t.timer.Reset(trimAfter)
	case t.closed >= trimFrom:
		t.timer = time.AfterFunc(trimAfter, t.trim)
	}
}

func (t *trimmer) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, timer := range []*time.Timer{t.timer, t.tidy} {
		if timer != nil {
			timer.Stop()
		}
	}
	t.stopped = true
}

func (t *trimmer) trim() {
	t.mu.Lock()
	closed := t.closed
	t.closed, t.timer, t.allocs = 0, nil, t.heap().allocs
	if t.tidy == nil && !t.stopped {
		t.tidy = time.AfterFunc(tidyEvery, t.tidyUp)
	}
	t.mu.Unlock()
	debug.FreeOSMemory()
	kafkaio.TrimMemory()
	ended := idleThreads() - spare
	endThreads(ended)
	t.log.Debug("memory and threads of closed clients are given back", slog.Int("clients", closed), slog.Int("threads", max(0, ended)))
}

// tidyUp collects if it is worth it, as long as many tasks are parked.
func (t *trimmer) tidyUp() {
	if t.tidies() {
		debug.FreeOSMemory()
	}
}

// tidies decides about a collection, and sees to the next look.
func (t *trimmer) tidies() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.parked() < trimFrom || t.stopped {
		t.tidy = nil
		return false
	}
	t.tidy = time.AfterFunc(tidyEvery, t.tidyUp)
	now, last := t.heap(), t.allocs
	t.allocs = now.allocs
	return now.allocs-last < busy && now.objects >= now.live+now.live/4
}

// heap is what Go says of its heap, in bytes: all that was ever allocated, what is there, garbage included, and what the last
// collection found in use.
type heap struct{ allocs, objects, live uint64 }

func heapNow() heap {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return heap{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64()}
}

// idleThreads are those of Go's threads that neither run nor wait in a call.
func idleThreads() int {
	s := []metrics.Sample{{Name: "/sched/threads/total:threads"}, {Name: "/sched/goroutines/not-in-go:goroutines"}}
	metrics.Read(s)
	for _, one := range s {
		if one.Value.Kind() != metrics.KindUint64 {
			return 0
		}
	}
	return int(s[0].Value.Uint64()) - int(s[1].Value.Uint64()) - runtime.GOMAXPROCS(0) //nolint:gosec // counts
}

// endThreads ends n threads: one that a goroutine has locked ends with it.
func endThreads(n int) {
	if n <= 0 {
		return
	}
	var locked sync.WaitGroup
	end := make(chan struct{})
	for range n {
		locked.Add(1)
		go func() {
			runtime.LockOSThread()
			locked.Done()
			<-end
		}()
	}
	locked.Wait()
	close(end)
}
