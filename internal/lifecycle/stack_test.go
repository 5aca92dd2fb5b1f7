package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/lifecycle"
)

func step(name string, closeFn lifecycle.CloseFunc) lifecycle.Step {
	return lifecycle.Step{Name: name, Start: func(context.Context) (lifecycle.CloseFunc, error) { return closeFn, nil }}
}

func TestStack_closes_in_the_opposite_order_whatever_fails(t *testing.T) {
	t.Parallel()
	var order []string
	note := func(name string, err error) lifecycle.Step {
		return step(name, func(context.Context) error { order = append(order, name); return err })
	}
	s := lifecycle.New(nil)
	broken := errors.New("broken")
	require.NoError(t, s.Start(t.Context(), note("first", nil)))
	require.NoError(t, s.Start(t.Context(), step("nothing to close", nil)))
	require.NoError(t, s.Start(t.Context(), note("second", broken)))
	require.NoError(t, s.Start(t.Context(), step("panics", func(context.Context) error { panic("oh") })))
	require.NoError(t, s.Start(t.Context(), note("third", nil)))

	err := s.Close(t.Context())
	require.Equal(t, []string{"third", "second", "first"}, order)
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "closing second: broken")
	require.ErrorContains(t, err, "closing panics: panic: oh")
	require.NoError(t, s.Close(t.Context()), "a second close has nothing to do")
}

func TestStack_a_failed_start_adds_nothing_and_names_the_step(t *testing.T) {
	t.Parallel()
	s := lifecycle.New(nil)
	closed := false
	require.NoError(t, s.Start(t.Context(), step("store", func(context.Context) error { closed = true; return nil })))
	err := s.Start(t.Context(), lifecycle.Step{Name: "bus", Start: func(context.Context) (lifecycle.CloseFunc, error) { return nil, errors.New("no route") }})
	require.EqualError(t, err, "starting bus: no route")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Start(ended, step("late", nil)), context.Canceled)
	require.False(t, closed)
	require.NoError(t, s.Close(t.Context()))
	require.True(t, closed)
}

func TestStack_leaves_a_hanging_step_behind_and_closes_the_rest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		rest := false
		s := lifecycle.New(nil)
		require.NoError(t, s.Start(t.Context(), step("rest", func(context.Context) error { rest = true; return nil })))
		hang := step("hangs", func(context.Context) error { <-release; return nil })
		hang.Timeout = 3 * time.Second
		require.NoError(t, s.Start(t.Context(), hang))
		begin := time.Now()
		err := s.Close(t.Context())
		require.ErrorIs(t, err, lifecycle.ErrLeftBehind)
		require.ErrorContains(t, err, "closing hangs")
		require.Equal(t, 4*time.Second, time.Since(begin), "its time and the grace")
		require.True(t, rest)
		close(release)
	})
}

func TestStack_a_step_that_honours_its_context_is_not_left_behind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := lifecycle.New(nil)
		require.NoError(t, s.Start(t.Context(), step("slow", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })))
		err := s.Close(t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, lifecycle.ErrLeftBehind)
	})
}

func TestBackground_runs_until_the_stack_closes_and_outlives_the_start(t *testing.T) {
	t.Parallel()
	ended := false
	s := lifecycle.New(nil)
	starting, started := context.WithCancel(t.Context())
	alive := make(chan struct{})
	require.NoError(t, s.Start(starting, lifecycle.Step{Name: "loop", Start: lifecycle.Background(func(ctx context.Context) {
		close(alive)
		<-ctx.Done()
		ended = true
	})}))
	<-alive
	started()
	require.NoError(t, s.Close(t.Context()))
	require.True(t, ended)
}
