// Package feed hands the store's events to many who watch. One reader for all of them follows the end of the log and keeps
// what came last in memory; whoever is further behind reads the store. Nobody has a queue of his own: a watcher takes what
// comes next when he is ready for it, so that a slow one costs nothing and is never waited for.
//
// Start reading at Feed.Watch and Stream.Next, then Feed.follow.
package feed

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/sleep"
)

// Store is what a feed needs of the store.
type Store interface {
	Events(ctx context.Context, after cluster.EventToken, limit int) ([]cluster.Event, error)
	LastEvent(ctx context.Context) (cluster.EventToken, error)
}

// Config is what a Feed is made of. Store, Changed and Logger are required.
type Config struct {
	Store   Store
	Changed func() <-chan struct{} // closed at the next change that is heard of: a hint to look sooner (Invariant 1)
	Logger  *slog.Logger

	Most int           // streams at a time; 256 when 0
	Look time.Duration // between looks when no change is heard of; 1 s when 0
	Kept int           // events in memory, of 4 KiB and a little more at most; 1024 when 0
}

const (
	batch   = 128                   // most events at once
	spacing = 20 * time.Millisecond // between looks, however many changes are heard of
)

// Feed is safe for concurrent use.
type Feed struct {
	cfg Config

	mu      sync.Mutex
	streams int
	stop    context.CancelFunc // of the reader; nil while nobody watches
	start   cluster.EventToken // behind it come the recent events
	recent  []cluster.Event
	known   bool          // start is known: the reader has found the end of the log
	moved   chan struct{} // closed when there is more
	wg      sync.WaitGroup
}

// New makes a feed. It does nothing while nobody watches.
func New(cfg Config) *Feed {
	if cfg.Most <= 0 {
		cfg.Most = 256
	}
	if cfg.Look <= 0 {
		cfg.Look = time.Second
	}
	if cfg.Kept <= 0 {
		cfg.Kept = 1024
	}
	return &Feed{cfg: cfg, moved: make(chan struct{})}
}

// Close waits for the reader. All streams must have been closed.
func (f *Feed) Close() { f.wg.Wait() }

// Stream is one watcher's way through the events. It is for one goroutine. Close it.
type Stream struct {
	f  *Feed
	at cluster.EventToken
}

// Watch begins a stream behind a token, or with what comes from now on when there is none. Gone: what comes behind the token is
// not kept any more. Busy: there are too many streams.
func (f *Feed) Watch(ctx context.Context, after *cluster.EventToken) (*Stream, error) {
	f.mu.Lock()
	if f.streams >= f.cfg.Most {
		f.mu.Unlock()
		return nil, cluster.Errorf(cluster.Busy, "This server has %d streams of events already, which is the most it takes; try again later, or another server", f.cfg.Most)
	}
	if f.streams++; f.stop == nil {
		f.begin()
	}
	f.mu.Unlock()
	s := &Stream{f: f}
	var err error
	if after == nil {
		s.at, err = f.cfg.Store.LastEvent(ctx)
	} else {
		s.at = *after
		_, err = f.cfg.Store.Events(ctx, s.at, 1)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// At is the place up to which events have been taken.
func (s *Stream) At() cluster.EventToken { return s.at }

// Close ends the stream.
func (s *Stream) Close() {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if s.f.streams--; s.f.streams == 0 {
		s.f.stop()
		s.f.stop, s.f.known, s.f.recent = nil, false, nil
	}
}

// Streams is how many there are.
func (f *Feed) Streams() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.streams
}

// Next waits for events and takes some. Gone: the stream has fallen so far behind that it can't go on. Timeout when ctx ends.
func (s *Stream) Next(ctx context.Context) ([]cluster.Event, error) {
	for {
		events, recent, moved := s.f.behind(s.at)
		if !recent {
			var err error
			if events, err = s.f.cfg.Store.Events(ctx, s.at, batch); err != nil {
				return nil, err
			}
		}
		if len(events) > 0 {
			s.at = events[len(events)-1].Token()
			return events, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, cluster.Wrapf(cluster.Timeout, ctx.Err(), "no event came")
		}
	}
}

// behind lists recent events behind a token. recent: these are all that there are; if not, the store has to be asked. moved is
// closed when there are more than at this moment.
func (f *Feed) behind(at cluster.EventToken) (events []cluster.Event, recent bool, moved <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.known || at.Seq < f.start.Seq {
		return nil, false, f.moved
	}
	i := min(max(int(at.Seq-f.start.Seq), 0), len(f.recent)) // numbers have no gaps
	return slices.Clone(f.recent[i:min(i+batch, len(f.recent))]), true, f.moved
}

// begin starts the reader. The mutex is held.
func (f *Feed) begin() {
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.wg.Go(func() { f.follow(ctx) })
}

// follow reads what comes at the end of the log until ctx ends. A store that is away is asked again: the streams wait.
func (f *Feed) follow(ctx context.Context) {
	var at *cluster.EventToken // nil: the end is to be found
	failing := false
	for {
		changed := f.cfg.Changed() // before the look: what changes meanwhile is looked at again
		more, err := f.look(ctx, &at)
		if ctx.Err() != nil {
			return
		}
		if bad := err != nil; bad != failing {
			failing = bad
			if bad {
				f.cfg.Logger.Warn("events can't be read, will try again", slog.Any(obs.KeyErr, err))
			} else {
				f.cfg.Logger.Info("events are read again")
			}
		}
		if more {
			continue
		}
		wait, cancel := context.WithTimeout(ctx, f.cfg.Look)
		select {
		case <-changed:
		case <-wait.Done():
		}
		cancel()
		if !sleep.For(ctx, spacing) {
			return
		}
	}
}

// look reads once. more: there may be more at once.
func (f *Feed) look(ctx context.Context, at **cluster.EventToken) (more bool, err error) {
	if *at == nil {
		end, err := f.cfg.Store.LastEvent(ctx)
		if err != nil {
			return false, err
		}
		*at = &end
		f.add(ctx, end, nil)
		return true, nil
	}
	events, err := f.cfg.Store.Events(ctx, **at, batch)
	if cluster.Is(err, cluster.Gone) { // after a long outage: those who watch find out by themselves
		*at = nil
		return true, nil
	}
	if err != nil || len(events) == 0 {
		return false, err
	}
	end := events[len(events)-1].Token()
	f.add(ctx, **at, events)
	*at = &end
	return len(events) == batch, nil
}

// add keeps events that come behind a token, and wakes all who wait.
func (f *Feed) add(ctx context.Context, behind cluster.EventToken, events []cluster.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return // another reader has begun since
	}
	if events == nil {
		f.start, f.recent, f.known = behind, nil, true
	}
	f.recent = append(f.recent, events...)
	if over := len(f.recent) - f.cfg.Kept; over > 0 {
		f.start = f.recent[over-1].Token()
		f.recent = slices.Clone(f.recent[over:])
	}
	close(f.moved)
	f.moved = make(chan struct{})
}
