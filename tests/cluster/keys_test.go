package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/tests/cluster"
)

const (
	keyWriters = 16
	apiKills   = 8
)

// The api is killed again and again while clients write under keys and repeat what was not answered: each write is made, and
// made once, which the versions of the configurations count.
func TestFleet_writes_with_keys_are_made_once_while_the_api_is_killed(t *testing.T) {
	f := theFleet(t)
	f.asWanted(t)
	var (
		wg                 sync.WaitGroup
		writes             [keyWriters]int64
		repeated, replayed atomic.Int64
		mu                 sync.Mutex
		refused            []string
		writing, stop      = context.WithCancel(t.Context())
		name               = func(i int) string { return fmt.Sprintf("keyed-%d", i) }
		config             = func(n int64) map[string]string {
			return map[string]string{"connector.class": "MockSource", "n": fmt.Sprint(n)}
		}
	)
	defer stop()
	once := func(key, method, path string, body any) bool {
		ctx, cancel := context.WithTimeout(t.Context(), settled)
		defer cancel()
		err := cluster.Until(ctx, func(ctx context.Context) error {
			again, err := f.REST.Once(ctx, key, method, path, body)
			if again {
				replayed.Add(1)
			}
			s, answered := errors.AsType[*cluster.StatusError](err)
			if answered && s.Status != http.StatusInternalServerError && s.Status != http.StatusServiceUnavailable { // 503: it starts
				return cluster.Final(err)
			}
			if err != nil {
				repeated.Add(1)
			}
			return err
		})
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			refused = append(refused, err.Error())
		}
		return err == nil
	}
	for i := range keyWriters {
		wg.Go(func() {
			if !once(name(i)+" made", http.MethodPost, "/connectors", map[string]any{"name": name(i), "config": config(1), "initial_state": "STOPPED"}) {
				return
			}
			for writes[i] = 1; writing.Err() == nil; writes[i]++ {
				n := writes[i] + 1
				if !once(fmt.Sprint(name(i), " ", n), http.MethodPut, "/connectors/"+name(i)+"/config", config(n)) {
					return
				}
			}
		})
	}
	for range apiKills {
		f.lasts(t, 700*time.Millisecond)
		require.NoError(t, f.API.Kill())
		require.NoError(t, f.API.Start())
		f.ready(t, f.API)
	}
	stop()
	wg.Wait()
	require.Empty(t, refused)
	var all int64
	for i := range keyWriters {
		var versions int64
		require.NoError(t, f.Query(t.Context(), []any{&versions}, "SELECT config_version FROM connectors WHERE name = $1 AND deleted_at IS NULL", name(i)))
		require.Equal(t, writes[i], versions, "%s: one version for each write", name(i))
		all += versions
		_, err := f.REST.Do(t.Context(), http.MethodDelete, "/connectors/"+name(i), nil)
		require.NoError(t, err)
	}
	t.Logf("%d writes, %d requests repeated, of which %d had been carried out", all, repeated.Load(), replayed.Load())
	f.sound(t)
}
