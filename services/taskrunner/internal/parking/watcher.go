package parking

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// Pattern matches names of topics.
type Pattern = *regexp.Regexp

const (
	// answerTime is how long Kafka may take for an answer. What did not come is asked for again.
	answerTime = 10 * time.Second
	// endsAtOnce bounds how many partitions are asked for in one request: the library looks each up among all.
	endsAtOnce = 1000
	// share bounds the time that looking takes: it rests so many times as long as the last look took.
	share = 4
)

// watcher looks at one cluster's topics for all tasks that are parked there.
type watcher struct {
	o     Options
	log   *slog.Logger
	admin Admin
	users sync.WaitGroup // of admin, beside the loop
	stop  context.CancelFunc
	ctx   context.Context
	ended chan struct{}
	poked chan struct{} // cap 1: the first spot has come

	mu    sync.Mutex
	spots map[*spot]struct{}
	parts []kafkaio.TopicPartition // of all spots; nil: to be collected anew
}

func newWatcher(o Options, admin Admin, bootstrap string) *watcher {
	w := &watcher{o: o, admin: admin, log: o.Logger.With(slog.String("bootstrap", bootstrap)), ended: make(chan struct{}),
		poked: make(chan struct{}, 1), spots: map[*spot]struct{}{}}
	w.ctx, w.stop = context.WithCancel(context.Background())
	return w
}

func (w *watcher) done() { w.users.Done() }

func (w *watcher) add(s *spot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spots[s] = struct{}{}
	w.parts = nil
	select {
	case w.poked <- struct{}{}:
	default:
	}
}

func (w *watcher) remove(s *spot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.spots, s)
	w.parts = nil
}

// run looks until the watcher is closed. While nobody is parked it waits.
func (w *watcher) run() {
	defer close(w.ended)
	var shaped time.Time // when the shapes were looked at
	var failing bool
	for {
		spots, parts := w.current()
		if len(spots) == 0 {
			select {
			case <-w.poked:
			case <-w.ctx.Done():
				return
			}
			shaped = time.Now()
			continue
		}
		began := time.Now()
		err := w.lookAtEnds(spots, parts)
		if time.Since(shaped) >= w.o.Shapes { // also after an error: a topic that is gone may be its cause
			err = errors.Join(err, w.lookAtShapes(spots))
			shaped = time.Now()
		}
		if w.ctx.Err() != nil {
			return
		}
		switch {
		case err != nil && !failing:
			w.log.Warn("looking for data for parked tasks failed and is tried again", "tasks", len(spots), "error", err)
		case err == nil && failing:
			w.log.Info("parked tasks are watched again", "tasks", len(spots))
		}
		failing = err != nil
		rest := time.NewTimer(max(w.o.Look, share*time.Since(began)))
		select {
		case <-rest.C:
		case <-w.ctx.Done():
			rest.Stop()
			return
		}
	}
}

// current are the spots that wait, and all their partitions.
func (w *watcher) current() ([]*spot, []kafkaio.TopicPartition) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.parts == nil && len(w.spots) > 0 {
		all := map[kafkaio.TopicPartition]struct{}{}
		for s := range w.spots {
			for tp := range s.seen.Ends {
				all[tp] = struct{}{}
			}
		}
		w.parts = slices.AppendSeq(make([]kafkaio.TopicPartition, 0, len(all)), maps.Keys(all))
	}
	return slices.Collect(maps.Keys(w.spots)), w.parts
}

func (w *watcher) lookAtEnds(spots []*spot, parts []kafkaio.TopicPartition) error {
	ctx, cancel := context.WithTimeout(w.ctx, answerTime)
	defer cancel()
	ends := make(map[kafkaio.TopicPartition]int64, len(parts))
	for some := range slices.Chunk(parts, endsAtOnce) {
		of, err := w.admin.Ends(ctx, some)
		if err != nil {
			return err
		}
		maps.Copy(ends, of)
	}
	for _, s := range spots {
		if s.moved(ends) {
			s.rouse(Data)
		}
	}
	return nil
}

func (w *watcher) lookAtShapes(spots []*spot) error {
	ctx, cancel := context.WithTimeout(w.ctx, answerTime)
	defer cancel()
	matching := map[string][]string{} // by pattern
	names := map[string]struct{}{}
	for _, s := range spots {
		list := s.sub.Topics
		if s.sub.Pattern != nil {
			var known bool
			if list, known = matching[s.sub.Pattern.String()]; !known {
				var err error
				if list, err = w.admin.Matching(ctx, s.sub.Pattern); err != nil {
					return err
				}
				matching[s.sub.Pattern.String()] = list
			}
		}
		for _, n := range list {
			names[n] = struct{}{}
		}
	}
	shapes, err := w.admin.Shapes(ctx, slices.Collect(maps.Keys(names)))
	if err != nil {
		return err
	}
	for _, s := range spots {
		var list []string
		if s.sub.Pattern != nil {
			list = matching[s.sub.Pattern.String()]
		}
		if s.reshaped(shapes, list) {
			s.rouse(Topics)
		}
	}
	return nil
}

// view looks at one subscription.
func (w *watcher) view(ctx context.Context, s Subscription) (View, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	names := s.Topics
	if s.Pattern != nil {
		var err error
		if names, err = w.admin.Matching(ctx, s.Pattern); err != nil {
			return View{}, err
		}
	}
	shapes, err := w.admin.Shapes(ctx, names)
	if err != nil {
		return View{}, err
	}
	ends, err := w.admin.Ends(ctx, partitions(shapes))
	return View{Shapes: shapes, Ends: ends}, err
}

// close ends the loop and gives the client back.
func (w *watcher) close(ctx context.Context) error {
	w.stop()
	select {
	case <-w.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	w.users.Wait()
	return w.admin.Close(ctx)
}
