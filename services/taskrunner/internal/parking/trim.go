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
const (
	trimFrom  = 16              // clients, in sum: fewer are not worth a collection
	trimAfter = 2 * time.Second // the last was closed
	spare     = 16              // threads that are left to wait for work
)

// trimmer notes how many clients were closed.
type trimmer struct {
	log *slog.Logger

	mu     sync.Mutex
	closed int
	timer  *time.Timer
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
	if t.timer != nil {
		t.timer.Stop()
	}
}

func (t *trimmer) trim() {
	t.mu.Lock()
	closed := t.closed
	t.closed, t.timer = 0, nil
	t.mu.Unlock()
	debug.FreeOSMemory()
	kafkaio.TrimMemory()
	ended := idleThreads() - spare
	endThreads(ended)
	t.log.Debug("memory and threads of closed clients are given back", slog.Int("clients", closed), slog.Int("threads", max(0, ended)))
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
