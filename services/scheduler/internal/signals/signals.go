// Package signals says how many runners each pool wants, for autoscalers: as a Prometheus gauge and as JSON.
//
// The formula is deliberately plain. A pool's demand is the sum of the loads (1 where unknown) of its wanted jobs,
// running or waiting. What one runner takes is the mean capacity of the pool's runners, or JobsPerRunner where they set
// no limit or there are none. Wanted runners = demand / (what one takes × Target), rounded up; 0 when nothing is wanted,
// so that a pool can scale to zero, and never below 1 otherwise. A job that names no pool counts for the pool it runs in,
// or for DefaultPool while it waits.
//
// Start reading at Compute.
package signals

import (
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Config holds the numbers of the formula.
type Config struct {
	DefaultPool   string
	JobsPerRunner float64 // for runners without a capacity
	Target        float64 // share of a runner's capacity that should be in use
}

// DefaultConfig is a guess that a measured load should replace.
func DefaultConfig() Config { return Config{DefaultPool: "default", JobsPerRunner: 100, Target: 0.8} }

// Pool is the signal of one pool.
type Pool struct {
	Pool    string  `json:"pool"`
	Wanted  int     `json:"wanted_runners"`
	Runners int     `json:"runners"` // that take jobs now
	Jobs    int     `json:"jobs"`    // wanted
	Waiting int     `json:"waiting_jobs"`
	Demand  float64 `json:"demand"`
	PerOne  float64 `json:"load_per_runner"`
}

// Compute is the formula. Pools ascend by name.
func Compute(cfg Config, s cluster.Snapshot, waiting []cluster.Waiting) []Pool {
	type sums struct {
		Pool
		capacity float64
	}
	pools := map[string]*sums{}
	at := func(name string) *sums {
		if name == "" {
			name = cfg.DefaultPool
		}
		if pools[name] == nil {
			pools[name] = &sums{Pool: Pool{Pool: name}}
		}
		return pools[name]
	}
	home := map[cluster.SessionID]string{}
	for _, r := range s.Runners {
		home[r.Session] = r.Pool
		if r.State != cluster.SessionActive {
			continue
		}
		p := at(r.Pool)
		p.Runners++
		if r.Capacity > 0 {
			p.capacity += float64(r.Capacity)
		} else {
			p.capacity += cfg.JobsPerRunner
		}
	}
	waits := make(map[cluster.JobID]bool, len(waiting))
	for _, w := range waiting {
		waits[w.Job] = w.Why != cluster.WhyBudget // those run, only not where they should
	}
	for _, j := range s.Jobs {
		if !j.Wanted {
			continue
		}
		name := j.Pool
		if name == "" {
			name = home[j.Session]
		}
		p := at(name)
		p.Jobs++
		if waits[j.Job] {
			p.Waiting++
		}
		load := j.Load
		if load <= 0 {
			load = 1
		}
		p.Demand += load
	}
	out := make([]Pool, 0, len(pools))
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		p := pools[name]
		p.PerOne = cfg.JobsPerRunner
		if p.Runners > 0 {
			p.PerOne = p.capacity / float64(p.Runners)
		}
		p.Wanted = int(math.Ceil(p.Demand / (p.PerOne * cfg.Target)))
		out = append(out, p.Pool)
	}
	return out
}

// Board shows the last signals. It is safe for concurrent use.
type Board struct {
	cfg    Config
	wanted *prometheus.GaugeVec

	mu      sync.Mutex // guards the fields below
	pools   []Pool
	leading bool
}

// NewBoard makes a board and registers its series with reg; nil registers nowhere.
func NewBoard(cfg Config, reg prometheus.Registerer) *Board {
	b := &Board{cfg: cfg, pools: []Pool{}, wanted: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "millrace_scheduler_wanted_runners",
		Help: "Runners that a pool wants, for autoscalers. Only the leader shows it."}, []string{"pool"})}
	if reg != nil {
		reg.MustRegister(b.wanted)
	}
	return b
}

// Observe takes the leader's latest round.
func (b *Board) Observe(s cluster.Snapshot, d cluster.Decisions) {
	b.show(Compute(b.cfg, s, d.Waiting), true)
}

// Clear empties the board: this replica leads no more.
func (b *Board) Clear() { b.show([]Pool{}, false) }

func (b *Board) show(pools []Pool, leading bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pools, b.leading = pools, leading
	b.wanted.Reset()
	for _, p := range pools {
		b.wanted.WithLabelValues(p.Pool).Set(float64(p.Wanted))
	}
}

// ServeHTTP answers with {"pools": [...]}. Replicas that don't lead answer 503, so that a scaler asks another one.
func (b *Board) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	b.mu.Lock()
	pools, leading := b.pools, b.leading
	b.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if !leading {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string][]Pool{"pools": pools}) // the reader went away
}
