package lifecycle_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/lifecycle"
)

// recorder notes the order in which steps are closed.
type recorder struct {
	mu    sync.Mutex
	order []string
}

func (r *recorder) note(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order = append(r.order, name)
}

func (r *recorder) step(name string, timeout time.Duration, closeFn lifecycle.CloseFunc) lifecycle.Step {
	return lifecycle.Step{Name: name, Reason: "test", Timeout: timeout, Start: func(context.Context) (lifecycle.CloseFunc, error) {
		return func(ctx context.Context) error {
			r.note(name)
			if closeFn == nil {
				return nil
			}
			return closeFn(ctx)
		}, nil
	}}
}

func TestCloseRunsInReverseOrderAndJoinsErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		s := lifecycle.New(nil)
		bad, worse := errors.New("bad"), errors.New("worse")
		require.NoError(t, s.Start(t.Context(), r.step("database", 0, func(context.Context) error { return bad })))
		require.NoError(t, s.Start(t.Context(), r.step("bus", 0, func(context.Context) error { panic("oh") })))
		require.NoError(t, s.Start(t.Context(), r.step("broker", 0, func(context.Context) error { return worse })))
		require.NoError(t, s.Start(t.Context(), r.step("api", 0, nil)))
		require.Equal(t, []string{"database", "bus", "broker", "api"}, s.Names())

		err := s.Close(t.Context())
		require.Equal(t, []string{"api", "broker", "bus", "database"}, r.order)
		require.ErrorIs(t, err, bad)
		require.ErrorIs(t, err, worse)
		require.ErrorContains(t, err, "closing bus: panic: oh")
		require.Empty(t, lifecycle.LeftBehind(err))
		require.Empty(t, s.Names())
	})
}

func TestAHangingStepIsLeftBehindAndNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		var counted []string
		never := make(chan struct{})
		s := lifecycle.New(nil)
		s.OnLeftBehind = func(name string) { counted = append(counted, name) }
		require.NoError(t, s.Start(t.Context(), r.step("database", 0, nil)))
		require.NoError(t, s.Start(t.Context(), r.step("consumer", 3*time.Second, func(context.Context) error { <-never; return nil })))
		require.NoError(t, s.Start(t.Context(), r.step("slow but polite", 2*time.Second, func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		})))

		begin := time.Now()
		err := s.Close(t.Context())
		require.Equal(t, 2*time.Second+3*time.Second+time.Second, time.Since(begin), "polite step, hanging step, its grace")
		require.ErrorIs(t, err, lifecycle.ErrLeftBehind)
		require.Equal(t, []string{"consumer"}, lifecycle.LeftBehind(err))
		require.Equal(t, []string{"consumer"}, counted)
		require.Equal(t, []string{"slow but polite", "consumer", "database"}, r.order, "the step below is closed all the same")
		close(never)
	})
}

func TestAnEndedContextStillAsksEveryStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		s := lifecycle.New(nil)
		for _, n := range []string{"a", "b", "c"} {
			require.NoError(t, s.Start(t.Context(), r.step(n, time.Minute, func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		err := s.Close(ctx)
		require.Equal(t, time.Second, time.Since(begin))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, []string{"c", "b", "a"}, r.order)
	})
}

func TestCloseIsIdempotentAndConcurrentCallersGetTheSameAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		bad := errors.New("bad")
		s := lifecycle.New(nil)
		require.NoError(t, s.Start(t.Context(), r.step("a", 0, func(context.Context) error {
			time.Sleep(time.Second) // virtual time: the other callers arrive meanwhile
			return bad
		})))
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := s.Close(t.Context()); !errors.Is(err, bad) {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		require.ErrorIs(t, s.Close(t.Context()), bad)
		require.Equal(t, []string{"a"}, r.order)
		require.ErrorIs(t, s.Start(t.Context(), r.step("late", 0, nil)), lifecycle.ErrClosed)
		require.ErrorIs(t, s.Push("late", "", nil), lifecycle.ErrClosed)
	})
}

func TestAStartUnderWayIsClosedToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		s := lifecycle.New(nil)
		release := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			err := s.Start(t.Context(), lifecycle.Step{Name: "slow", Start: func(context.Context) (lifecycle.CloseFunc, error) {
				<-release
				return func(context.Context) error { r.note("slow"); return nil }, nil
			}})
			if err != nil {
				t.Errorf("start: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := s.Close(t.Context()); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		synctest.Wait()
		close(release)
		wg.Wait()
		require.Equal(t, []string{"slow"}, r.order)
	})
}

func TestAFailedStartAddsNothing(t *testing.T) {
	t.Parallel()
	var r recorder
	s := lifecycle.New(nil)
	bad := errors.New("no binaries")
	require.NoError(t, s.Push("first", "", func(context.Context) error { r.note("first"); return nil }))
	err := s.Start(t.Context(), lifecycle.Step{Name: "database", Start: func(context.Context) (lifecycle.CloseFunc, error) { return nil, bad }})
	require.ErrorIs(t, err, bad)
	require.ErrorContains(t, err, "starting database")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Start(canceled, r.step("never", 0, nil)), context.Canceled)
	require.Equal(t, []string{"first"}, s.Names())
	require.NoError(t, s.Close(t.Context()))
	require.Equal(t, []string{"first"}, r.order)
}
