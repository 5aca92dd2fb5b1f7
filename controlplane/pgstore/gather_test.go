package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

// What is asked while statements run is asked together, after they were begun.
func TestGather_reads_together_what_comes_meanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var batches []int
		g := &gather{read: func(_ context.Context, names []string) (map[string]cluster.Shown, error) {
			mu.Lock()
			batches = append(batches, len(names))
			mu.Unlock()
			<-time.After(time.Second)
			found := map[string]cluster.Shown{}
			for _, n := range names {
				if n != "nobody" {
					found[n] = cluster.Shown{Name: n}
				}
			}
			return found, nil
		}}
		done := make(chan error, 100)
		ask := func(name string) {
			c, err := g.get(t.Context(), name)
			if err == nil && c.Name != name {
				err = fmt.Errorf("%s instead of %s", c.Name, name)
			}
			done <- err
		}
		for i := range 4 {
			go ask(fmt.Sprint("first-", i))
			synctest.Wait()
		}
		for i := range 50 {
			go ask(fmt.Sprint("c-", i%5))
		}
		go ask("nobody")
		synctest.Wait()
		missing := 0
		for range 4 + 51 {
			if err := <-done; err != nil {
				require.True(t, cluster.Is(err, cluster.NotFound), err)
				missing++
			}
		}
		require.Equal(t, 1, missing)
		require.Equal(t, []int{1, 9}, batches, "the first alone, then three more, five that ten each ask for, and nobody")
		<-time.After(2 * gatherPause)
		synctest.Wait()
		require.Zero(t, g.running)
	})
}

// Who asks alone, again and again, waits for nobody. Many who do are read together, also when one of them comes late.
func TestGather_waits_only_where_many_ask(t *testing.T) {
	t.Parallel()
	for clients, statements := range map[int]int{1: 10, 2: 20, 8: 2*10 + 1} {
		t.Run(fmt.Sprint(clients), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int64
				g := &gather{read: func(_ context.Context, names []string) (map[string]cluster.Shown, error) {
					n.Add(1)
					<-time.After(100 * time.Microsecond)
					return map[string]cluster.Shown{names[0]: {}}, nil
				}}
				began := time.Now()
				var all sync.WaitGroup
				for range clients {
					all.Go(func() {
						for range 10 {
							_, err := g.get(t.Context(), "c")
							require.NoError(t, err)
						}
					})
				}
				all.Wait()
				took := time.Since(began)
				require.LessOrEqual(t, n.Load(), int64(statements))
				if clients == 1 {
					require.Equal(t, 10*100*time.Microsecond, took)
				}
				require.LessOrEqual(t, took, time.Duration(statements)*(100*time.Microsecond+gatherPause))
				<-time.After(2 * gatherPause)
				synctest.Wait()
				require.Zero(t, g.running)
			})
		})
	}
}

// A statement that hangs holds up nobody who comes later.
func TestGather_reads_beside_a_statement_that_is_slow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &gather{read: func(_ context.Context, names []string) (map[string]cluster.Shown, error) {
			if names[0] == "slow" {
				<-time.After(time.Minute)
			}
			return map[string]cluster.Shown{names[0]: {}}, nil
		}}
		done := make(chan error, 1)
		go func() { _, err := g.get(t.Context(), "slow"); done <- err }()
		<-time.After(2 * gatherSlow)
		began := time.Now()
		_, err := g.get(t.Context(), "quick")
		require.NoError(t, err)
		require.Zero(t, time.Since(began))
		require.NoError(t, <-done)
	})
}

func TestGather_a_failure_a_deadline_and_a_name_that_is_no_text(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		g := &gather{read: func(_ context.Context, names []string) (map[string]cluster.Shown, error) {
			<-time.After(time.Minute)
			return nil, broken
		}}
		_, err := g.get(t.Context(), "c")
		require.ErrorIs(t, err, broken)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err = g.get(ctx, "c")
		require.True(t, cluster.Is(err, cluster.Timeout), err)
		require.Equal(t, time.Second, time.Since(began))
		for _, name := range []string{"a\x00b", "a\xffb"} {
			_, err = g.get(t.Context(), name)
			require.True(t, cluster.Is(err, cluster.Invalid), err)
		}
		<-time.After(time.Hour) // what was left ends
	})
}
