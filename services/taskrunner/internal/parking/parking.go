// Package parking lets idle tasks give their Kafka clients back: a group consumer costs half a megabyte and four threads, a
// thousand of them a machine. A parked task keeps its plugin and its state; one watcher per Kafka cluster looks where the
// topics of all parked tasks end, in one request several times a second, and wakes those for which there is something
// to do.
//
// Start reading at Lot (what tasks call), then watcher.go (the loop that looks), and spot.go, the pure core: what was seen
// when a task was parked, what is seen now, and whether that is a reason to wake.
package parking

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// Admin is what a watcher needs of kafkaio.Admin.
type Admin interface {
	Ends(ctx context.Context, parts []kafkaio.TopicPartition) (map[kafkaio.TopicPartition]int64, error)
	Shapes(ctx context.Context, names []string) (map[string]kafkaio.Shape, error)
	Matching(ctx context.Context, match *regexp.Regexp) ([]string, error)
	Members(ctx context.Context, group string) ([]kafkaio.Member, error)
	Close(ctx context.Context) error
}

// Options are a lot's settings.
type Options struct {
	// Idle is how long a task has nothing to do before it is parked; 0: never.
	Idle time.Duration
	// Keep is how long the committed offsets of a parked task's group are left alone. Kafka forgets those of a group
	// that has had no members for offsets.retention.minutes, however often they are committed from outside: so the task
	// wakes, joins, commits and is parked again. 0: 6 h.
	Keep time.Duration

	Look   time.Duration // between two looks at the ends; 0: 250 ms
	Shapes time.Duration // between two looks at which topics there are; 0: 5 s
	Starts int           // most tasks that join their groups at the same time; 0: 32

	NewAdmin func(kafkaio.Config) (Admin, error) // nil: kafkaio.NewAdmin

	Logger     *slog.Logger          // nil: no log
	Registerer prometheus.Registerer // nil: no metrics
}

// Lot is where a runner's tasks are parked. A nil *Lot parks nothing.
type Lot struct {
	o      Options
	log    *slog.Logger
	starts chan struct{}
	asks   chan struct{}
	trim   *trimmer

	parked atomic.Int64 // tasks
	wakes  *prometheus.CounterVec

	mu       sync.Mutex
	watchers map[string]*watcher
	closed   bool
}

// New makes a lot. Close it when no task uses it any more.
func New(o Options) *Lot {
	o.Keep = cmp.Or(o.Keep, 6*time.Hour)
	o.Look = cmp.Or(o.Look, 250*time.Millisecond)
	o.Shapes = cmp.Or(o.Shapes, 5*time.Second)
	o.Starts = cmp.Or(o.Starts, 32)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.NewAdmin == nil {
		o.NewAdmin = func(cfg kafkaio.Config) (Admin, error) {
			a, err := kafkaio.NewAdmin(cfg, o.Logger)
			if err != nil {
				return nil, err // not a: a nil in an interface is not nil
			}
			return a, nil
		}
	}
	l := &Lot{o: o, log: o.Logger, starts: make(chan struct{}, o.Starts), asks: make(chan struct{}, asksAtOnce), watchers: map[string]*watcher{},
		wakes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "millrace_runner_task_wakes_total",
			Help: "Parked tasks that took a Kafka client again, by reason."}, []string{"reason"})}
	l.trim = &trimmer{log: o.Logger, parked: l.parked.Load, heap: heapNow}
	if o.Registerer != nil {
		o.Registerer.MustRegister(l.wakes, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "millrace_runner_tasks_parked",
			Help: "Tasks that run without a Kafka client since there is nothing to do for them."}, func() float64 { return float64(l.parked.Load()) }))
	}
	return l
}

// Idle is how long a task has nothing to do before it is parked; 0: it never is.
func (l *Lot) Idle() time.Duration {
	if l == nil {
		return 0
	}
	return l.o.Idle
}

// Keep is how long a parked task may leave its group's offsets alone.
func (l *Lot) Keep() time.Duration { return l.o.Keep }

// Cluster is the Kafka cluster that a client's configuration leads to. It shares its client with everybody who is led there by the
// same settings.
func (l *Lot) Cluster(client kafkaio.Config) *Cluster {
	shared := shareable(client)
	return &Cluster{l: l, config: shared, key: keyOf(shared)}
}

// Cluster is a way to a Kafka cluster.
type Cluster struct {
	l      *Lot
	config kafkaio.Config
	key    string
}

// Look tells how a subscription's topics look now.
func (c *Cluster) Look(ctx context.Context, s Subscription) (v View, err error) {
	err = c.l.with(c, func(w *watcher) error {
		v, err = w.view(ctx, s)
		return err
	})
	return v, err
}

// Place is what has become of a static member's place in its group.
type Place int

// The ways a place may be.
const (
	Free  Place = iota // nobody is in it
	Own                // as the member left it
	Taken              // somebody else is in it
)

// Place looks at the place of a static member that has given its client back. It is asked before that member joins again: joining
// would throw out a rightful successor (Invariant 4).
func (c *Cluster) Place(ctx context.Context, group, instance, member string) (place Place, err error) {
	err = c.l.with(c, func(w *watcher) error {
		members, err := w.admin.Members(ctx, group)
		for _, m := range members {
			switch {
			case m.InstanceID != instance:
			case m.ID == member:
				place = Own
			default:
				place = Taken
			}
		}
		return err
	})
	return place, err
}

// asksAtOnce bounds how many groups are asked for at the same time: each question keeps a thread.
const asksAtOnce = 16

// Members lists the members of a group. It is for tasks that start, many at once: they need no client of their own for it.
func (c *Cluster) Members(ctx context.Context, group string) (ms []kafkaio.Member, err error) {
	select {
	case c.l.asks <- struct{}{}:
		defer func() { <-c.l.asks }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	// The library may lose a question, and would then wait for as long as it may.
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	err = c.l.with(c, func(w *watcher) error {
		ms, err = w.admin.Members(ctx, group)
		return err
	})
	return ms, err
}

// Park begins to watch a subscription that looked like v. The channel brings the reason once there is something to do; leave
// ends the watching.
func (c *Cluster) Park(s Subscription, v View) (wake <-chan Reason, leave func(), err error) {
	sp := &spot{sub: s, seen: v, wake: make(chan Reason, 1)}
	w, err := c.l.watcherOf(c)
	if err != nil {
		return nil, nil, err
	}
	defer w.done()
	w.add(sp)
	return sp.wake, func() { w.remove(sp) }, nil
}

// Parked counts a task that has given its client back, until it calls what it gets with the reason why it takes one again; ""
// when it ends instead.
func (l *Lot) Parked() (woken func(Reason)) {
	l.parked.Add(1)
	l.trim.after()
	return func(r Reason) {
		l.parked.Add(-1)
		if r != "" {
			l.wakes.WithLabelValues(string(r)).Inc()
		}
	}
}

// turnTime is how long a turn lasts at most: a cluster that does not answer must not keep the tasks of others waiting.
const turnTime = time.Second

// Turn waits until few enough others are joining their groups; done is called when the task has joined. Many tasks that start
// or wake at once would otherwise all wait for each other.
func (l *Lot) Turn(ctx context.Context) (done func()) {
	if l == nil {
		return func() {}
	}
	select {
	case l.starts <- struct{}{}:
		over := sync.OnceFunc(func() { <-l.starts })
		timer := time.AfterFunc(turnTime, over)
		return func() { timer.Stop(); over() }
	case <-ctx.Done():
		return func() {}
	}
}

// with uses a cluster's watcher.
func (l *Lot) with(c *Cluster, use func(*watcher) error) error {
	w, err := l.watcherOf(c)
	if err != nil {
		return err
	}
	defer w.done()
	return use(w)
}

// watcherOf finds a cluster's watcher; its user calls done.
func (l *Lot) watcherOf(c *Cluster) (*watcher, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, fmt.Errorf("watching the topics of parked tasks: the runner ends")
	}
	w := l.watchers[c.key]
	if w == nil {
		admin, err := l.o.NewAdmin(c.config)
		if err != nil {
			return nil, err
		}
		w = newWatcher(l.o, admin, c.config["bootstrap.servers"])
		l.watchers[c.key] = w
		go w.run()
	}
	w.users.Add(1)
	return w, nil
}

// Close gives the watchers' clients back. Tasks that are parked still are not woken any more.
func (l *Lot) Close(ctx context.Context) error {
	l.trim.stop()
	l.mu.Lock()
	l.closed = true
	all := slices.Collect(maps.Values(l.watchers))
	l.mu.Unlock()
	for _, w := range all {
		if err := w.close(ctx); err != nil {
			return err
		}
	}
	return nil
}

// own are the settings that say nothing about the way to a cluster: what a consumer does with what it reads, and its name.
var own = []string{"client.id", "group.", "auto.", "enable.", "fetch.", "max.partition.", "max.poll.", "queued.", "session.",
	"heartbeat.", "partition.", "isolation.", "check.", "offset.", "topic.metadata.", "metadata.max.age", "allow.auto."}

func shareable(client kafkaio.Config) kafkaio.Config {
	out := maps.Clone(client)
	maps.DeleteFunc(out, func(k, _ string) bool {
		return slices.ContainsFunc(own, func(prefix string) bool { return strings.HasPrefix(k, prefix) })
	})
	out["client.id"] = "millrace-parking"
	return out
}

func keyOf(cfg kafkaio.Config) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(cfg)) {
		fmt.Fprintf(&b, "%q=%q\n", k, cfg[k])
	}
	return b.String()
}
