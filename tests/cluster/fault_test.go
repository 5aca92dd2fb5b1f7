package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/tests/cluster"
)

// The faults hit one cluster, so these tests do not run in parallel; each leaves it whole. Their order does not matter.

func TestFault_OK_1_a_killed_runner_is_replaced(t *testing.T) {
	f := theFleet(t)
	f.sound(t)
	r := f.busiest(t)
	f.watch.Mark()
	require.NoError(t, r.Kill())
	f.turn(t)
	f.gone(t, r, lost+5*time.Second)
	f.sound(t)
	require.NoError(t, r.Start())
	f.ready(t, r)
	f.sound(t)
}

func TestFault_ZT_1_and_ZT_2_a_frozen_runner_comes_back_and_nothing_it_writes_is_accepted(t *testing.T) {
	f := theFleet(t)
	f.sound(t)
	r := f.busiest(t)
	f.watch.Mark()
	require.NoError(t, r.Freeze())
	f.turn(t)
	f.gone(t, r, 2*lost+poll)
	f.sound(t) // successors write
	f.lasts(t, lost)
	require.NoError(t, r.Thaw())
	thawed := time.Now()
	f.until(t, settled, func(ctx context.Context) error { // it learns that its session is lost, and begins another
		var sessions int
		err := f.Query(ctx, []any{&sessions}, "SELECT count(*) FROM sessions WHERE runner = $1 AND state = 'active'", r.Name)
		if err == nil && sessions != 1 {
			err = fmt.Errorf("%s has %d active sessions", r.Name, sessions)
		}
		return err
	})
	t.Logf("the runner that came back registered anew after %s", time.Since(thawed).Round(time.Millisecond))
	f.ready(t, r)
	f.sound(t)
}

func TestFault_EX_3_a_runner_told_to_stop_hands_over_and_exits(t *testing.T) {
	f := theFleet(t)
	f.sound(t)
	r := f.busiest(t)
	f.watch.Mark()
	began := time.Now()
	f.turn(t)
	require.NoError(t, r.Terminate(t.Context()))
	took := time.Since(began)
	require.Less(t, took, 30*time.Second)
	gap := f.sound(t)
	t.Logf("drained and gone after %s, longest gap of a pipeline %s", took.Round(time.Millisecond), gap.Round(time.Millisecond))
	require.NoError(t, r.Start())
	f.ready(t, r)
	f.sound(t)
}

func TestFault_SB_5_a_killed_leader_is_followed_and_no_task_notices(t *testing.T) {
	f := theFleet(t)
	owners := f.calm(t)
	f.watch.Mark()
	old := f.leader(t, nil)
	require.NoError(t, old.Kill())
	began := time.Now()
	next := f.leader(t, old)
	t.Logf("%s leads after %s", next.Name, time.Since(began).Round(time.Millisecond))
	f.sound(t)
	require.Equal(t, owners, f.ownership(t), "something was moved or restarted")
	f.turn(t)
	require.NoError(t, old.Start())
	f.ready(t, old)
	f.sound(t)
}

func TestFault_SB_1_a_frozen_leader_comes_back_and_decides_nothing(t *testing.T) {
	f := theFleet(t)
	owners := f.calm(t)
	old := f.leader(t, nil)
	require.NoError(t, old.Freeze())
	next := f.leader(t, old)
	term := f.term(t)
	f.lasts(t, 2*lost)
	require.NoError(t, old.Thaw())
	f.ready(t, old)
	f.sound(t)
	require.Equal(t, owners, f.ownership(t), "something was moved or restarted")
	require.Equal(t, next, f.leader(t, nil))
	require.Equal(t, term, f.term(t), "the one that came back took the leadership")
	f.turn(t)
	f.sound(t)
}

func TestFault_SA_3_without_a_scheduler_tasks_run_and_requests_are_kept(t *testing.T) {
	f := theFleet(t)
	owners := f.calm(t)
	for _, s := range f.Schedulers {
		require.NoError(t, s.Kill())
	}
	f.watch.Mark()
	f.lasts(t, 2*lost)
	f.flows(t)
	f.turn(t)
	f.create(t, "meanwhile")
	require.Equal(t, owners, f.ownership(t), "something was moved or restarted")
	for _, s := range f.Schedulers {
		require.NoError(t, s.Start())
	}
	f.ready(t, f.Schedulers...)
	f.runs(t, "meanwhile", settled)
	f.sound(t)
	f.remove(t, "meanwhile")
}

func TestFault_LC_1_purged_streams_delay_a_command_by_at_most_a_poll(t *testing.T) {
	f := theFleet(t)
	owners := f.calm(t)
	began := time.Now()
	f.turn(t)
	n, err := f.PurgeStreams(t.Context())
	require.NoError(t, err)
	require.Positive(t, n)
	f.asWanted(t)
	require.Less(t, time.Since(began), 2*poll)
	f.sound(t)
	require.Equal(t, owners, f.ownership(t), "something was moved or restarted")
}

func TestFault_NO_1_NO_2_NO_3_NO_4_without_NATS_everything_goes_on_and_an_empty_one_is_filled_again(t *testing.T) {
	f := theFleet(t)
	owners := f.calm(t)
	f.watch.Mark()
	require.NoError(t, f.LoseNATS())
	f.lasts(t, 2*lost) // longer than a runner that does not beat would keep its jobs
	f.flows(t)
	began := time.Now()
	f.turn(t)
	f.create(t, "meanwhile")
	f.runs(t, "meanwhile", 2*poll)
	t.Logf("a connector made without NATS runs after %s", time.Since(began).Round(time.Millisecond))
	f.ready(t, f.API)
	f.ready(t, f.Schedulers...)
	f.ready(t, f.Runners...)
	require.Equal(t, owners, f.ownership(t), "something was moved or restarted")

	require.NoError(t, f.NATS.Start())
	f.sound(t)
	f.until(t, time.Minute, func(ctx context.Context) error {
		var rows int
		if err := f.Query(ctx, []any{&rows}, "SELECT count(*) FROM outbox"); err != nil || rows == 0 {
			return err
		}
		return fmt.Errorf("%d messages wait in the outbox", rows)
	})
	f.remove(t, "meanwhile")
	f.turn(t)
	f.sound(t)
	require.Equal(t, owners, f.ownership(t), "something was moved or restarted")
}

func TestFault_PF_1_postgres_restarts_and_no_task_notices(t *testing.T) {
	f := theFleet(t)
	owners := f.calm(t)
	f.watch.Mark()
	require.NoError(t, f.Postgres.Restart(t.Context()))
	f.ready(t, f.API)
	f.ready(t, f.Schedulers...)
	f.turn(t)
	f.sound(t)
	require.Equal(t, owners, f.ownership(t), "something was moved or restarted")
}

func TestFault_EX_1_a_name_that_is_deleted_and_made_again_is_another_connector(t *testing.T) {
	f := theFleet(t)
	f.sound(t)
	for range 10 {
		f.create(t, "again")
		f.remove(t, "again")
	}
	f.create(t, "again")
	f.runs(t, "again", settled)
	f.remove(t, "again")
	f.sound(t)
}

func TestFault_EX_9_a_delete_while_its_runner_dies_ends(t *testing.T) {
	f := theFleet(t)
	f.sound(t)
	r := f.busiest(t)
	for i := range 3 {
		f.create(t, fmt.Sprintf("doomed-%d", i))
		f.runs(t, fmt.Sprintf("doomed-%d", i), settled)
	}
	require.NoError(t, r.Kill())
	for i := range 3 {
		f.remove(t, fmt.Sprintf("doomed-%d", i))
	}
	f.until(t, time.Minute, func(ctx context.Context) error {
		var left int
		if err := f.Query(ctx, []any{&left}, "SELECT count(*) FROM jobs j JOIN connectors c USING (uid) WHERE c.name LIKE 'doomed-%' AND j.session IS NOT NULL"); err != nil || left == 0 {
			return err
		}
		return fmt.Errorf("%d jobs of deleted connectors are owned", left)
	})
	require.NoError(t, r.Start())
	f.ready(t, r)
	f.sound(t)
}

// leader waits for a leader that is not another.
func (f *fleet) leader(t *testing.T, not *cluster.Service) (leads *cluster.Service) {
	t.Helper()
	f.until(t, settled, func(ctx context.Context) (err error) {
		leads, err = f.Leader(ctx)
		if err == nil && leads == not {
			err = errors.New(leads.Name + " still leads")
		}
		return err
	})
	return leads
}

func (f *fleet) term(t *testing.T) (term int64) {
	t.Helper()
	require.NoError(t, f.Query(t.Context(), []any{&term}, "SELECT term FROM leader"))
	return term
}

// flows waits until every pipeline has moved on; nothing is asked of the control plane.
func (f *fleet) flows(t *testing.T) {
	t.Helper()
	from := make([]int64, len(f.pipes))
	for i, p := range f.pipes {
		from[i] = f.watch.Topic(p.topic).Next
	}
	f.until(t, poll, func(context.Context) error {
		for i, p := range f.pipes {
			if r := f.watch.File(p.file); r.Next <= from[i] {
				return fmt.Errorf("%s stands: %s", p.sink, r)
			}
		}
		return nil
	})
}

func (f *fleet) create(t *testing.T, name string) {
	t.Helper()
	_, err := f.REST.Do(t.Context(), http.MethodPost, "/connectors", map[string]any{"name": name, "config": sourceConfig("extra-"+name, 1)})
	require.NoError(t, err)
}

func (f *fleet) remove(t *testing.T, name string) {
	t.Helper()
	_, err := f.REST.Do(t.Context(), http.MethodDelete, "/connectors/"+name, nil)
	require.NoError(t, err)
}

func (f *fleet) runs(t *testing.T, name string, within time.Duration) {
	t.Helper()
	f.until(t, within, func(ctx context.Context) error {
		s, err := f.REST.Status(ctx, name)
		if err == nil && !s.Is("RUNNING") {
			err = fmt.Errorf("%+v", s)
		}
		return err
	})
}
