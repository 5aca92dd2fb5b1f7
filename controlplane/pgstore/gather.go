package pgstore

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/millrace/millrace/controlplane/cluster"
)

const (
	gatherReads = 4 // statements at once
	gatherSlow  = 5 * time.Millisecond
	gatherPause = time.Millisecond // at most, for more to come along
	gatherMost  = 256              // names in one statement
	gatherTime  = 30 * time.Second // for one statement: nobody's own deadline counts for all
)

// gather answers reads of single names with as few statements as there are: those that come while statements run are read
// together by the next one. One statement at a time serves all, unless it takes long. A read begins after it was asked for, so
// that it sees every write that was answered before. Who asks alone never waits for others.
type gather struct {
	read func(ctx context.Context, names []string) (map[string]cluster.Shown, error)

	mu      sync.Mutex
	waiting []asked
	running int
	began   time.Time     // when the last statement did
	full    chan struct{} // closed when enough are waiting; nil while nobody waits for that
	enough  int
}

type asked struct {
	name  string
	reply chan shownReply // cap 1
}

type shownReply struct {
	shown cluster.Shown
	err   error
}

func (g *gather) get(ctx context.Context, name string) (cluster.Shown, error) {
	if strings.ContainsRune(name, 0) || !utf8.ValidString(name) {
		// Postgres has no such text, and would refuse all the names beside it.
		return cluster.Shown{}, cluster.Errorf(cluster.Invalid, "no connector can have the name %q", name)
	}
	a := asked{name, make(chan shownReply, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, a)
	if g.full != nil && len(g.waiting) >= g.enough {
		close(g.full)
		g.full = nil
	}
	if g.running == 0 || g.running < gatherReads && time.Since(g.began) > gatherSlow {
		g.running++
		g.began = time.Now()
		go g.work()
	}
	g.mu.Unlock()
	select {
	case r := <-a.reply:
		return r.shown, r.err
	case <-ctx.Done():
		return cluster.Shown{}, classify(ctx.Err(), "reading statuses")
	}
}

// work reads what waits, until nothing does.
func (g *gather) work() {
	for enough := 0; ; {
		g.await(enough)
		g.mu.Lock()
		n := min(len(g.waiting), gatherMost)
		if n == 0 {
			g.running--
			g.mu.Unlock()
			return
		}
		batch := slices.Clone(g.waiting[:n])
		g.waiting = slices.Delete(g.waiting, 0, n)
		g.began = time.Now()
		g.mu.Unlock()
		g.answer(batch)
		g.mu.Lock()
		enough = (n + len(g.waiting)) / 2 // of those who ask again and again, half
		g.mu.Unlock()
	}
}

// await waits a little until enough are waiting: a statement for many costs hardly more than one for few.
func (g *gather) await(enough int) {
	g.mu.Lock()
	if len(g.waiting) >= enough {
		g.mu.Unlock()
		return
	}
	full := make(chan struct{})
	g.enough, g.full = enough, full
	g.mu.Unlock()
	t := time.NewTimer(gatherPause)
	defer t.Stop()
	select {
	case <-full:
	case <-t.C:
		g.mu.Lock()
		if g.full == full {
			g.full = nil
		}
		g.mu.Unlock()
	}
}

func (g *gather) answer(batch []asked) {
	ctx, cancel := context.WithTimeout(context.Background(), gatherTime)
	defer cancel()
	names := make([]string, 0, len(batch))
	for _, a := range batch {
		if !slices.Contains(names, a.name) {
			names = append(names, a.name)
		}
	}
	found, err := g.read(ctx, names)
	for _, a := range batch {
		r := shownReply{err: err}
		if c, ok := found[a.name]; err == nil && ok {
			r.shown = c
		} else if err == nil {
			r.err = unknown(a.name)
		}
		a.reply <- r
	}
}
