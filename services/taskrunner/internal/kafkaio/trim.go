package kafkaio

/*
#include <stddef.h>

// Only glibc has it.
extern int malloc_trim(size_t pad) __attribute__((weak));

static void mr_trim(void) {
	if (malloc_trim)
		malloc_trim(0);
}
*/
import "C"

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/services/taskrunner/internal/gcfloor"
)

// TrimMemory gives memory that C's allocator keeps for later back to the system: what closed clients have left to it, and what
// records took that have been read or written since.
func TrimMemory() { C.mr_trim() }

// C's allocator keeps nearly all that it once needed: pieces of a few hundred bytes, one for each record that was fetched, lie
// around in it. A process whose clients have moved much and come to rest gives it back. Go's heap may have garbage up to a floor
// only as long as they move.
const (
	restAfter = 5 * time.Second
	restBytes = 1 << 20  // moved within restAfter are rest
	trimBytes = 16 << 20 // moved before are worth a trim
)

// idleTrim sees when all clients of the process together come to rest.
type idleTrim struct {
	moved atomic.Int64 // bytes since the last look
	armed atomic.Bool  // a look will come
	since int64        // bytes up to the last look, since the last trim; belongs to looks
	trim  func()

	moves atomic.Bool // more than rest
	mu    sync.Mutex  // one tells at a time
	told  func(moves bool)
}

var traffic = &idleTrim{trim: TrimMemory, told: gcfloor.Set}

// add notes that records of n bytes were moved.
func (t *idleTrim) add(n int) {
	if moved := t.moved.Add(int64(n)); moved > restBytes && !t.moves.Load() {
		t.tell(true)
	}
	if !t.armed.Load() && t.armed.CompareAndSwap(false, true) {
		time.AfterFunc(restAfter, t.look)
	}
}

func (t *idleTrim) look() {
	moved := t.moved.Swap(0)
	t.since += moved
	if moved > restBytes {
		time.AfterFunc(restAfter, t.look)
		return
	}
	t.tell(false)
	if t.since >= trimBytes {
		t.since = 0
		t.trim()
	}
	t.armed.Store(false)
}

func (t *idleTrim) tell(moves bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.moves.Swap(moves) != moves {
		t.told(moves)
	}
}
