package sim

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/memstore"
	"github.com/millrace/millrace/tests/conformance/storetest"
)

var (
	seeds   = flag.Int("sim.seeds", 10, "how many worlds are simulated")
	first   = flag.Uint64("sim.first", 1, "the first seed")
	tracing = flag.Bool("sim.trace", false, "tell what happens; for one seed")
	minutes = flag.Int("sim.minutes", 3, "how long each world's storm lasts, by its own clock")
)

func newStore(now func() time.Time) storetest.Store { return memstore.New(now) }

// settleTime is how long a healed world may need: lost sessions, backoffs, polls.
const settleTime = 2 * time.Minute

// outcome plays one world: a storm, then calm. It returns what was violated, or is not settled in the end.
func outcome(t *testing.T, o Options, storm time.Duration) (violations []string, unsettled string, took time.Duration) {
	t.Helper()
	w := New(t.Context(), o, newStore)
	w.traced(t)
	w.Run(storm)
	w.Heal()
	took, _ = w.RunUntil(settleTime, func() bool { return w.Unsettled() == "" })
	if len(w.violations) == 0 {
		unsettled = w.Unsettled()
	}
	return w.violations, unsettled, took
}

// replay is how to see a storm again.
func replay(seed uint64) string {
	return fmt.Sprintf("seed %d; replay: go test ./services/scheduler/internal/sim -run DA_2 -sim.first=%d -sim.seeds=1 -sim.minutes=%d -sim.trace", seed, seed, *minutes)
}

// again is how to see a test's world again; its seeds are its own.
func (w *World) again(t *testing.T) string {
	return fmt.Sprintf("seed %d; replay: go test ./services/scheduler/internal/sim -run '^%s$' -sim.minutes=%d -sim.trace", w.seed, strings.ReplaceAll(t.Name(), "/", "$/^"), *minutes)
}

func (w *World) traced(t *testing.T) {
	t.Helper()
	if *tracing {
		w.Trace = func(s string) { t.Log(s) }
	}
}

// DA-2 and all of I1 to I5, in any storm: with three schedulers that race, runners come, are killed, drained and replaced.
func TestFault_DA_2_in_any_storm_no_invariant_breaks_and_calm_brings_what_is_wanted(t *testing.T) {
	t.Parallel()
	for i := range *seeds {
		seed := *first + uint64(i)
		v, unsettled, _ := outcome(t, Options{Seed: seed, Replicas: 3, Faults: Weather(seed)}, time.Duration(*minutes)*time.Minute)
		require.Empty(t, v, replay(seed))
		require.Empty(t, unsettled, replay(seed))
	}
}

func TestSim_the_same_seed_is_the_same_world(t *testing.T) {
	t.Parallel()
	play := func() (told []string) {
		w := New(t.Context(), Options{Seed: 7, Faults: Stormy()}, newStore)
		w.Trace = func(s string) { told = append(told, s) }
		w.Run(2 * time.Minute)
		return told
	}
	first := play()
	require.NotEmpty(t, first)
	require.Equal(t, first, play())
}

// calm is a world with connectors that run and nothing that goes wrong.
func calm(t *testing.T, seed uint64, runners, connectors, tasks int) *World {
	t.Helper()
	w := New(t.Context(), Options{Seed: seed, Replicas: 2, Runners: runners, Faults: Faults{HTTP: true}}, newStore)
	w.traced(t)
	w.Run(3 * time.Second)
	for i := range connectors {
		w.api.create("c"+string(rune('a'+i)), tasks, true)
	}
	w.settles(t, 30*time.Second)
	return w
}

func (w *World) settles(t *testing.T, within time.Duration) time.Duration {
	t.Helper()
	took, ok := w.RunUntil(within, func() bool { return w.Unsettled() == "" })
	require.Empty(t, w.violations, w.again(t))
	require.True(t, ok, "not settled after %s: %s; %s", within, w.Unsettled(), w.again(t))
	return took
}

// poll is the longest pause between two looks of a leader at an unchanged world: 5 s, give or take a fifth.
const poll = 6 * time.Second

// long is n in a short run, and more with a longer -sim.minutes.
func long(n int) int { return n * max(1, *minutes/3) }

// owners is who owns what, to be compared later.
func (w *World) owners(t *testing.T) map[cluster.JobID]cluster.SessionID {
	t.Helper()
	snap, err := w.store.Snapshot(t.Context())
	require.NoError(t, err)
	m := map[cluster.JobID]cluster.SessionID{}
	for _, j := range snap.Jobs {
		m[j.Job] = j.Session
	}
	return m
}

func TestSim_seeds_that_once_failed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/seeds")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		var seed uint64
		var storm int
		if strings.HasPrefix(line, "#") {
			continue
		}
		_, err := fmt.Sscan(line, &seed, &storm)
		require.NoError(t, err, line)
		v, unsettled, _ := outcome(t, Options{Seed: seed, Replicas: 3, Faults: Weather(seed)}, time.Duration(storm)*time.Minute)
		require.Empty(t, v, line)
		require.Empty(t, unsettled, line)
	}
}
