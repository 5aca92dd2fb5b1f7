package pgstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/pgstore"
)

// seenWorld is two stores over one database, as two api processes have them, and connectors with a running instance.
func seenWorld(t *testing.T, n int) (a, b *pgstore.Store, uids []cluster.UID) {
	t.Helper()
	a, schema := open(t)
	b, err := pgstore.Open(t.Context(), pgstore.Options{URL: database(t), Schema: schema, MaxConns: 4, AppName: schema})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	_, _, err = a.Register(t.Context(), cluster.Registration{Runner: "w:1", Session: "s", KafkaClusterID: "k"})
	require.NoError(t, err)
	lease, ok, _, err := a.AcquireLease(t.Context(), "leader", time.Hour)
	require.NoError(t, err)
	require.True(t, ok)
	var plan []cluster.Decision
	for i := range n {
		c, _, err := a.CreateConnector(t.Context(), cluster.NewConnector{UID: cluster.UID(fmt.Sprint("u", i)), Name: fmt.Sprint("c", i), Class: "C", Type: cluster.TypeSink,
			Target: cluster.Started, Config: cluster.ConfigOf(map[string]string{"name": fmt.Sprint("c", i)}), By: cluster.Author{Actor: "test"}})
		require.NoError(t, err)
		uids = append(uids, c.UID)
		plan = append(plan, cluster.Decision{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: "s", Epoch: 1})
	}
	_, err = a.CommitPlan(t.Context(), lease.Term, plan)
	require.NoError(t, err)
	return a, b, uids
}

func told(t testing.TB, s *pgstore.Store, uid cluster.UID, n int) error {
	accepted, _, _, err := s.StoreStatuses(t.Context(), []cluster.Status{{Job: cluster.InstanceJob(uid), Session: "s", Epoch: 1, Revision: 1,
		State: cluster.StateFailed, WorkerID: "w:1", Trace: strconv.Itoa(n)}})
	if err == nil && !accepted[0] {
		err = fmt.Errorf("status %d was refused", n)
	}
	return err
}

// A read by any process shows every change that was acknowledged before it began, whatever is remembered.
func TestSeen_a_read_is_never_older_than_what_was_acknowledged(t *testing.T) {
	t.Parallel()
	const connectors, writes, readers = 6, 150, 8
	a, b, uids := seenWorld(t, connectors)
	acknowledged := make([]atomic.Int64, connectors)
	for i, uid := range uids {
		require.NoError(t, told(t, a, uid, 0))
		acknowledged[i].Store(0)
	}
	var writers, all errgroup.Group
	done := make(chan struct{})
	for i, uid := range uids {
		writers.Go(func() error {
			for n := 1; n <= writes; n++ {
				if err := told(t, a, uid, n); err != nil {
					return err
				}
				acknowledged[i].Store(int64(n))
			}
			return nil
		})
	}
	var reads atomic.Int64
	for r := range readers {
		all.Go(func() error {
			rnd := rand.New(rand.NewPCG(1, uint64(r))) //nolint:gosec // a test
			for {
				select {
				case <-done:
					return nil
				default:
				}
				i := rnd.IntN(connectors)
				least := acknowledged[i].Load()
				c, err := b.LastConnector(t.Context(), fmt.Sprint("c", i))
				if err != nil {
					return err
				}
				if got, err := strconv.ParseInt(c.Status.Trace, 10, 64); err != nil || got < least {
					return fmt.Errorf("read %q of %s after %d was acknowledged", c.Status.Trace, c.Name, least)
				}
				reads.Add(1)
			}
		})
	}
	err := writers.Wait()
	close(done)
	require.NoError(t, err)
	require.NoError(t, all.Wait())
	require.Greater(t, reads.Load(), int64(writes))
}

// What has been pruned can't be told any more: everything is read again.
func TestSeen_a_change_that_was_pruned_is_not_missed(t *testing.T) {
	t.Parallel()
	a, b, uids := seenWorld(t, 1)
	for n := range 3 {
		require.NoError(t, told(t, a, uids[0], n))
		_, err := a.PruneEvents(t.Context(), 0, 1)
		require.NoError(t, err)
		c, err := b.LastConnector(t.Context(), "c0")
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(n), c.Status.Trace)
	}
}

// A change that commits long after others, and after its row has become old, is seen when it commits.
func TestSeen_a_change_that_commits_late_is_not_missed(t *testing.T) {
	t.Parallel()
	a, schema := open(t)
	_, _, err := a.CreateConnector(t.Context(), cluster.NewConnector{UID: "u", Name: "c", Class: "C", Type: cluster.TypeSink, Target: cluster.Started,
		Config: cluster.ConfigOf(map[string]string{"name": "c"}), By: cluster.Author{Actor: "test"}})
	require.NoError(t, err)
	tx, err := connect(t, schema).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `UPDATE connectors SET type = 'source'`)
	require.NoError(t, err)
	kind := func(want cluster.ConnectorType) {
		t.Helper()
		c, err := a.LastConnector(t.Context(), "c")
		require.NoError(t, err)
		require.Equal(t, want, c.Type)
	}
	kind(cluster.TypeSink)
	_, err = connect(t, schema).Exec(t.Context(), `INSERT INTO shown_changes (name) VALUES ('other')`)
	require.NoError(t, err)
	kind(cluster.TypeSink)
	_, err = a.PruneEvents(t.Context(), 0, 1)
	require.NoError(t, err)
	kind(cluster.TypeSink)
	require.NoError(t, tx.Commit(t.Context()))
	kind(cluster.TypeSource)
}

func TestSeen_finds_changes_by_the_index_though_the_planner_knows_nothing_of_the_table(t *testing.T) {
	t.Parallel()
	_, schema := open(t)
	conn, err := pgx.Connect(t.Context(), database(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	_, err = conn.Exec(t.Context(), "SET search_path TO "+pgx.Identifier{schema}.Sanitize())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `INSERT INTO shown_changes (name) SELECT 'c' || i FROM generate_series(1, 60000) i`)
	require.NoError(t, err)
	var now string
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT pg_current_snapshot()::text`).Scan(&now))
	for range 8 { // a plan for this snapshot, and later one for all
		rows, err := conn.Query(t.Context(), "EXPLAIN "+pgstore.SQLShownSince, now, 2001)
		require.NoError(t, err)
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.Contains(t, strings.Join(plan, "\n"), "shown_changes_xid")
	}
}
