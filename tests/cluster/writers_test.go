package cluster_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// writersFor is long enough for both faults; go test ./tests/cluster -writers 60s for more.
var writersFor = flag.Duration("writers", 10*time.Second, "how long TestFleet_takes_every_write writes")

const writers = 50

// No write and no read is refused because a runner or the leader is away, and what was acknowledged is there afterwards.
func TestFleet_takes_every_write_while_runners_and_the_leader_are_killed(t *testing.T) {
	f := theFleet(t)
	f.asWanted(t)
	var (
		wg            sync.WaitGroup
		acked         [writers]int
		writes, reads atomic.Int64
		mu            sync.Mutex
		refused       []string
	)
	writing, stop := context.WithCancel(t.Context())
	defer stop()
	note := func(what string, err error) {
		mu.Lock()
		defer mu.Unlock()
		refused = append(refused, fmt.Sprintf("%s: %v", what, err))
	}
	name := func(i int) string { return fmt.Sprintf("writer-%d", i) }
	config := func(n int) map[string]string {
		return map[string]string{"connector.class": "MockSource", "n": fmt.Sprint(n)}
	}
	for i := range writers {
		state := "STOPPED"
		if i%10 == 0 {
			state = "RUNNING" // these are restarted by each write
		}
		_, err := f.REST.Do(t.Context(), http.MethodPost, "/connectors", map[string]any{"name": name(i), "config": config(0), "initial_state": state})
		require.NoError(t, err)
	}
	for i := range writers {
		wg.Go(func() {
			for n := 1; writing.Err() == nil; n++ {
				if _, err := f.REST.Do(context.WithoutCancel(writing), http.MethodPut, "/connectors/"+name(i)+"/config", config(n)); err != nil {
					note("writing "+name(i), err)
					continue
				}
				acked[i] = n
				writes.Add(1)
				if _, err := f.REST.Do(context.WithoutCancel(writing), http.MethodGet, "/connectors?expand=status&expand=info", nil); err != nil {
					note("reading", err)
				}
				reads.Add(1)
			}
		})
	}
	f.lasts(t, *writersFor/5)
	runner, leader := f.busiest(t), f.leader(t, nil)
	require.NoError(t, runner.Kill())
	f.lasts(t, *writersFor/5)
	require.NoError(t, leader.Kill())
	f.lasts(t, *writersFor*2/5)
	require.NoError(t, runner.Start())
	require.NoError(t, leader.Start())
	f.lasts(t, *writersFor/5)
	stop()
	wg.Wait()
	t.Logf("%d writes and %d reads by %d writers within %s", writes.Load(), reads.Load(), writers, *writersFor)
	require.Empty(t, refused)
	for i := range writers {
		body, err := f.REST.Do(t.Context(), http.MethodGet, "/connectors/"+name(i)+"/config", nil)
		require.NoError(t, err)
		var stored map[string]string
		require.NoError(t, json.Unmarshal(body, &stored))
		require.Equal(t, fmt.Sprint(acked[i]), stored["n"], "what was acknowledged is there")
		_, err = f.REST.Do(t.Context(), http.MethodDelete, "/connectors/"+name(i), nil)
		require.NoError(t, err)
	}
	f.ready(t, runner, leader)
	f.sound(t)
}
