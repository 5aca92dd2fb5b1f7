package loop

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/services/scheduler/plan"
)

// fake is store, bus and deliverer that remember. Its fields are set before the loop runs, or between rounds.
type fake struct {
	mu        sync.Mutex
	snap      cluster.Snapshot
	snapErr   func() error // nil: none
	commitErr func() error
	answer    func(cluster.SessionID) error // of a ping; nil: it answers
	connected time.Duration
	reads     []time.Time // of snapshots
	terms     []cluster.Term
	commits   [][]cluster.Decision
	delivered []cluster.OutboxMessage
	forgotten []wire.Address
	asked     []wire.Address
	prunes    int
	kept      []time.Duration // keys, at each pruning

	eventPrunes [][2]int // hours to keep them, most of them
}

func (f *fake) Snapshot(context.Context) (cluster.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads = append(f.reads, time.Now())
	if f.snapErr != nil {
		if err := f.snapErr(); err != nil {
			return cluster.Snapshot{}, err
		}
	}
	return cluster.Snapshot{Runners: append([]cluster.RunnerView(nil), f.snap.Runners...), Jobs: f.snap.Jobs}, nil
}

func (f *fake) CommitPlan(_ context.Context, term cluster.Term, steps []cluster.Decision) ([]cluster.OutboxMessage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.commitErr != nil {
		if err := f.commitErr(); err != nil {
			return nil, err
		}
	}
	f.terms, f.commits = append(f.terms, term), append(f.commits, steps)
	return []cluster.OutboxMessage{{ID: int64(len(f.commits)), Address: "somebody"}}, nil
}

func (f *fake) PruneSessions(context.Context, time.Duration) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prunes++
	return 0, nil
}

func (f *fake) PruneKeys(_ context.Context, keep time.Duration) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept = append(f.kept, keep)
	return 0, nil
}

func (f *fake) PruneEvents(_ context.Context, maxAge time.Duration, most int) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.eventPrunes = append(f.eventPrunes, [2]int{int(maxAge / time.Hour), most})
	return 0, nil
}

func (f *fake) Deliver(_ context.Context, msgs []cluster.OutboxMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delivered = append(f.delivered, msgs...)
}

func (f *fake) Forget(_ context.Context, a wire.Address) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgotten = append(f.forgotten, a)
	return cluster.Errorf(cluster.Unavailable, "best effort")
}

func (f *fake) Connected() time.Duration { return f.connected }

func (f *fake) Request(_ context.Context, to wire.Address, _ []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, to)
	if f.answer != nil {
		for _, r := range f.snap.Runners {
			if wire.RunnerCall(r.Session) == to {
				if err := f.answer(r.Session); err != nil {
					return nil, err
				}
			}
		}
	}
	return wire.Encode(wire.KindAck, "", wire.Ack{})
}

func (f *fake) rounds() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.reads)
}

// world is a loop over a fake, with a clock that the test moves and a planner that says what the test wants.
type world struct {
	*Loop
	f     *fake
	now   time.Time
	plan  cluster.Decisions
	seen  cluster.Snapshot // by the planner
	reg   *prometheus.Registry
	waker *Waker
}

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{f: &fake{connected: time.Hour}, now: time.Unix(1000, 0), reg: prometheus.NewRegistry()}
	w.waker = NewWaker(func(wire.Address, []byte) error { return nil }, func() bool { return true })
	cfg := Config{Store: w.f, Bus: w.f, Deliver: w.f, Waker: w.waker, Plan: plan.DefaultConfig(), Logger: slog.New(slog.DiscardHandler), Metrics: NewMetrics(w.reg),
		Now: func() time.Time { return w.now },
		Compute: func(_ plan.Config, s cluster.Snapshot) cluster.Decisions {
			w.f.mu.Lock()
			defer w.f.mu.Unlock()
			w.seen = s
			return w.plan
		}}
	for _, c := range change {
		c(&cfg)
	}
	w.Loop = New(cfg)
	return w
}

// wakeAt lets the planner, which runs, ask for a look after d.
func (w *world) wakeAt(d time.Duration) {
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	w.plan.WakeAt = d
}

// metric is the sum of a series over its labels.
func (w *world) metric(t *testing.T, name string) (sum float64) {
	t.Helper()
	families, err := w.reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func runner(id cluster.SessionID, age time.Duration) cluster.RunnerView {
	return cluster.RunnerView{Runner: "r:" + cluster.RunnerID(id), Session: id, State: cluster.SessionActive, Age: age}
}
