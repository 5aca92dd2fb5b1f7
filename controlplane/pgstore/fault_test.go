package pgstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

func TestFault_AC_3_messages_whose_ids_commit_in_reverse_are_both_published(t *testing.T) {
	t.Parallel()
	s, schema := open(t)
	url := database(t)
	insert := func(id int64) pgx.Tx {
		conn, err := pgx.Connect(t.Context(), url)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(t.Context()) }) // the server ends it in any case
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "INSERT INTO "+pgx.Identifier{schema, "outbox"}.Sanitize()+" (id, address, payload) VALUES ($1, 'a', 'x')", id)
		require.NoError(t, err)
		return tx
	}
	claim := func() []int64 {
		out, err := s.ClaimOutbox(t.Context(), 10, 0, time.Minute)
		require.NoError(t, err)
		ids := []int64{}
		for _, m := range out {
			ids = append(ids, m.ID)
		}
		require.NoError(t, s.MarkPublished(t.Context(), ids))
		return ids
	}
	first, second := insert(1), insert(2)
	require.NoError(t, second.Commit(t.Context()))
	require.Equal(t, []int64{2}, claim())
	require.NoError(t, first.Commit(t.Context()))
	require.Equal(t, []int64{1}, claim(), "a relay that looked above the last id would miss it")
	require.Empty(t, claim())
}

func TestFault_ZT_5_what_a_former_holder_says_late_is_not_shown(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	c, _, err := s.CreateConnector(t.Context(), cluster.NewConnector{UID: "u", Name: "c", Class: "x", Type: cluster.TypeSource,
		Config: cluster.ConfigOf(map[string]string{"connector.class": "x"})})
	require.NoError(t, err)
	job := cluster.InstanceJob(c.UID)
	lease, ok, _, err := s.AcquireLease(t.Context(), "leader", time.Hour)
	require.NoError(t, err)
	require.True(t, ok)
	say := func(session cluster.SessionID, epoch cluster.Epoch, state cluster.State, trace string) bool {
		accepted, _, _, err := s.StoreStatuses(t.Context(), []cluster.Status{{Job: job, Session: session, Epoch: epoch, Revision: 1, State: state, Trace: trace, WorkerID: "h:1"}})
		require.NoError(t, err)
		return accepted[0]
	}
	for i, session := range []cluster.SessionID{"former", "holder"} {
		_, _, err := s.Register(t.Context(), cluster.Registration{Runner: cluster.RunnerID(session), Session: session})
		require.NoError(t, err)
		_, err = s.CommitPlan(t.Context(), lease.Term, []cluster.Decision{{Kind: cluster.Assign, Job: job, Session: session, Prior: cluster.Epoch(i), Epoch: cluster.Epoch(i + 1)}})
		require.NoError(t, err)
		require.True(t, say(session, cluster.Epoch(i+1), cluster.StateRunning, ""))
	}
	require.False(t, say("former", 1, cluster.StateFailed, "too late"))
	view, err := s.Connector(t.Context(), "c")
	require.NoError(t, err)
	require.Equal(t, cluster.StateRunning, view.Status.State)
	require.Equal(t, cluster.Epoch(2), view.Status.Epoch)
	require.Empty(t, view.Status.Trace)
}

// Two transactions with one key overlap: whoever comes second neither changes anything nor fails, but waits and hears what the
// first was answered; if the first gives up, it is the first.
func TestFault_a_key_in_use_is_waited_for(t *testing.T) {
	t.Parallel()
	for _, ending := range []string{"COMMIT", "ROLLBACK"} {
		t.Run(ending, func(t *testing.T) {
			t.Parallel()
			s, schema := open(t)
			first := connect(t, schema)
			for _, sql := range []string{"BEGIN", "SELECT pg_advisory_xact_lock(hashtextextended('millrace request key k', 0))",
				"INSERT INTO request_keys (key, digest, pending, status, header, body) VALUES ('k', decode(repeat('00', 32), 'hex'), false, 201, '{\"A\":\"b\"}', 'first')"} {
				_, err := first.Exec(t.Context(), sql)
				require.NoError(t, err)
			}
			second := make(chan error, 1)
			go func() {
				_, _, err := s.CreateConnector(t.Context(), cluster.NewConnector{UID: "u", Name: "c", Class: "x", Type: cluster.TypeSource, By: cluster.Author{Terms: cluster.Terms{
					Once: &cluster.Once{Key: "k", Answer: func(cluster.Outcome) cluster.Answer { return cluster.Answer{Status: 200} }}}}})
				second <- err
			}()
			watcher := connect(t, schema)
			require.Eventually(t, func() bool {
				var waits int
				err := watcher.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'advisory'", schema).Scan(&waits)
				return err == nil && waits == 1
			}, 8*time.Second, 5*time.Millisecond, "it waits")
			require.Empty(t, second)
			_, err := first.Exec(t.Context(), ending)
			require.NoError(t, err)
			err = <-second
			names, listErr := s.FindNames(t.Context(), cluster.ConnectorQuery{})
			require.NoError(t, listErr)
			if ending == "ROLLBACK" {
				require.NoError(t, err)
				require.Equal(t, []string{"c"}, names)
				return
			}
			var was *cluster.Recorded
			require.ErrorAs(t, err, &was)
			require.Equal(t, cluster.Answer{Status: 201, Header: map[string]string{"A": "b"}, Body: []byte("first")}, was.Answer)
			require.Empty(t, names)
		})
	}
}

// A plan may wait, for rows or for a slow disk, for longer than a lease lasts. The leader that made it renews its lease all the
// while; another takes over only before the plan has looked whose term it is, or after it was committed.
func TestFault_a_plan_that_waits_costs_no_leadership(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		lock  string
		early bool // the plan has not looked at the term yet when it waits
	}{
		"for the rows of its jobs":   {"SELECT FROM jobs FOR UPDATE", true},
		"for what it writes at last": {"LOCK TABLE outbox IN SHARE MODE", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, schema := open(t)
			c, _, err := s.CreateConnector(t.Context(), cluster.NewConnector{UID: "u", Name: "c", Class: "x", Type: cluster.TypeSource,
				Config: cluster.ConfigOf(map[string]string{"connector.class": "x"})})
			require.NoError(t, err)
			_, _, err = s.Register(t.Context(), cluster.Registration{Runner: "r", Session: "s"})
			require.NoError(t, err)
			l, ok, _, err := s.AcquireLease(t.Context(), "leader", time.Minute)
			require.NoError(t, err)
			require.True(t, ok)
			conn := connect(t, schema)
			blocked := func(n int) {
				t.Helper()
				require.Eventually(t, func() bool {
					var waiting int
					err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'", schema).Scan(&waiting)
					return err == nil && waiting == n
				}, 10*time.Second, 5*time.Millisecond)
			}
			locks := connect(t, schema)
			_, err = locks.Exec(t.Context(), "BEGIN; "+tc.lock)
			require.NoError(t, err)
			planned := make(chan error, 1)
			go func() {
				_, err := s.CommitPlan(t.Context(), l.Term, []cluster.Decision{{Kind: cluster.Assign, Job: cluster.InstanceJob(c.UID), Session: "s", Epoch: 1}})
				planned <- err
			}()
			blocked(1)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			require.NoError(t, s.RenewLease(ctx, l), "the plan keeps its own leader from renewing")

			_, err = conn.Exec(t.Context(), "UPDATE leader SET expires_at = clock_timestamp()")
			require.NoError(t, err)
			taken := make(chan cluster.Term, 1)
			go func() {
				next, ok, _, err := s.AcquireLease(t.Context(), "next", time.Minute)
				if err == nil && ok {
					taken <- next.Term
				}
				close(taken)
			}()
			if tc.early {
				require.Equal(t, l.Term+1, <-taken)
			} else {
				blocked(2)
			}
			_, err = locks.Exec(t.Context(), "ROLLBACK")
			require.NoError(t, err)
			err = <-planned
			if tc.early {
				require.Equal(t, cluster.StaleEpoch, cluster.CodeOf(err), "%v", err)
			} else {
				require.NoError(t, err)
				require.Equal(t, l.Term+1, <-taken)
			}
		})
	}
}
