package pgstore_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/lease"
)

func connect(t *testing.T, schema string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	_, err = conn.Exec(t.Context(), "SET search_path = "+pgx.Identifier{schema}.Sanitize())
	require.NoError(t, err)
	return conn
}

// The schema itself refuses what must never be, whoever writes.
func TestFault_DA_1_the_schema_refuses_two_owners_a_second_leader_and_numbers_that_fall(t *testing.T) {
	t.Parallel()
	s, schema := open(t)
	ctx := t.Context()
	_, _, err := s.CreateConnector(ctx, cluster.NewConnector{UID: "u", Name: "c", Class: "x.Y", Type: cluster.TypeSource})
	require.NoError(t, err)
	for _, id := range []cluster.SessionID{"s1", "s2"} {
		_, _, err := s.Register(ctx, cluster.Registration{Runner: cluster.RunnerID("r" + id), Session: id})
		require.NoError(t, err)
	}
	l, ok, _, err := s.AcquireLease(ctx, "me", time.Hour)
	require.NoError(t, err)
	require.True(t, ok)
	_, err = s.CommitPlan(ctx, l.Term, []cluster.Decision{{Kind: cluster.Assign, Job: cluster.InstanceJob("u"), Session: "s1", Epoch: 5}})
	require.NoError(t, err)
	accepted, _, _, err := s.StoreStatuses(ctx, []cluster.Status{{Job: cluster.InstanceJob("u"), Session: "s1", Epoch: 5, State: cluster.StateRunning, WorkerID: "w"}})
	require.NoError(t, err)
	require.Equal(t, []bool{true}, accepted)

	conn := connect(t, schema)
	for what, sql := range map[string]string{
		"a second owner row":              `INSERT INTO jobs (uid, task, revision, session, epoch) VALUES ('u', -1, 1, 's2', 6)`,
		"a new owner under an old epoch":  `UPDATE jobs SET session = 's2' WHERE uid = 'u'`,
		"an epoch that falls":             `UPDATE jobs SET epoch = 4 WHERE uid = 'u'`,
		"an owner that does not exist":    `UPDATE jobs SET session = 'nobody', epoch = 6 WHERE uid = 'u'`,
		"an older status over a newer":    `UPDATE statuses SET epoch = 4 WHERE uid = 'u'`,
		"a generation that falls":         `UPDATE connectors SET generation = 0 WHERE uid = 'u'`,
		"a uid that changes":              `UPDATE connectors SET uid = 'v' WHERE uid = 'u'`,
		"a second connector of the name":  `INSERT INTO connectors (uid, name, config, class, type, target) VALUES ('v', 'c', '{}', 'x', 'sink', 'STARTED')`,
		"a second leader row":             `INSERT INTO leader (one, holder, term) VALUES (false, 'other', 9)`,
		"the leader row twice":            `INSERT INTO leader DEFAULT VALUES`,
		"a term that falls":               `UPDATE leader SET term = 0`,
		"another leader in the same term": `UPDATE leader SET holder = 'other'`,
		"no leader row":                   `DELETE FROM leader`,
		"a lost session that comes back":  `UPDATE sessions SET state = 'lost', ended_at = now() WHERE id = 's2'; UPDATE sessions SET state = 'active', ended_at = NULL WHERE id = 's2'`,
		"two live sessions of a runner":   `INSERT INTO sessions (id, runner, state, pool, labels, capacity, kafka_cluster_id, internal_url, version) VALUES ('s3', 'rs1', 'active', '', '{}', 0, '', '', '')`,
		"an epoch floor that falls":       `UPDATE cluster_state SET epoch_floor = -1`,
		"an audit entry that changes":     `UPDATE audit SET actor = 'someone else'`,
		"a negative number of clearings":  `UPDATE connectors SET topic_resets = -1 WHERE uid = 'u'`,
		"a second log of what is shown":   `INSERT INTO shown_log (one) VALUES (false)`,
		"a key that is too long":          `INSERT INTO request_keys (key, digest, pending, status, header, body) VALUES (repeat('k', 301), decode(repeat('00', 32), 'hex'), false, 200, '{}', '')`,
		"a key of no request":             `INSERT INTO request_keys (key, digest, pending, status, header, body) VALUES ('k', '', false, 200, '{}', '')`,
		"a key without an answer":         `INSERT INTO request_keys (key, digest, pending, header, body) VALUES ('k', decode(repeat('00', 32), 'hex'), false, '{}', '')`,
		"a used topic without a name":     `INSERT INTO active_topics (uid, topic) VALUES ('u', '')`,
		"tasks of a stopped connector":    `UPDATE connectors SET target = 'STOPPED', task_count = 2 WHERE uid = 'u'`,
	} {
		_, err := conn.Exec(ctx, sql)
		require.Error(t, err, "the database takes %s", what)
	}
	snap, err := s.Snapshot(ctx)
	require.NoError(t, err)
	require.Equal(t, cluster.SessionID("s1"), snap.Jobs[0].Session)
	require.Equal(t, cluster.Epoch(5), snap.Jobs[0].Epoch)
}

func TestFault_SB_2_cut_connections_change_no_leader_that_renews_in_time(t *testing.T) {
	t.Parallel()
	s, schema := open(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	terms := make(chan cluster.Term, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		lease.Run(ctx, s, lease.Options{Holder: "a", TTL: 10 * time.Second, Renew: 20 * time.Millisecond, Margin: time.Second, Logger: slog.New(slog.DiscardHandler)},
			func(ctx context.Context, l cluster.LeaderLease) { terms <- l.Term; <-ctx.Done() })
	}()
	term := <-terms
	conn := connect(t, schema)
	for range 5 {
		_, err := conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1`, schema)
		require.NoError(t, err)
		var before, after time.Time
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT expires_at FROM leader`).Scan(&before))
		require.Eventually(t, func() bool {
			return conn.QueryRow(t.Context(), `SELECT expires_at FROM leader`).Scan(&after) == nil && after.After(before)
		}, 30*time.Second, 5*time.Millisecond, "it renews over a new connection")
	}
	_, ok, _, err := s.AcquireLease(t.Context(), "b", time.Second)
	require.NoError(t, err)
	require.False(t, ok)
	stop()
	<-done
	require.Empty(t, terms, "one term, %d, all along", term)
}

func TestStore_a_password_never_shows_in_an_error(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://me:s3cret@127.0.0.1:1/x?connect_timeout=1", "postgres://me:s3cret@%zz/x"} {
		_, err := openURL(t, url)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "s3cret")
	}
}
