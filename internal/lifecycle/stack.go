// Package lifecycle starts the parts of a process in order and closes them in the opposite order, each within its own
// time, so that a part that hangs can't keep the others open.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// DefaultTimeout is the time a step has for closing when it names none.
	DefaultTimeout = 10 * time.Second
	// grace is what a close function gets after its context has ended, so that one that honours it can still return.
	grace = time.Second
)

// ErrLeftBehind is in the error of Close when a step did not close in time; it is left running.
var ErrLeftBehind = errors.New("did not close in time and was left behind")

// CloseFunc closes what a step opened. Its context has the step's deadline.
type CloseFunc func(ctx context.Context) error

// Step is one part of a process.
type Step struct {
	// Name says what it is, in one or two words; it appears in logs and errors.
	Name string
	// Reason says why the step stands at this place of the order.
	Reason string
	// Timeout bounds the closing; zero means DefaultTimeout.
	Timeout time.Duration
	// Start opens the part. ctx bounds the opening only: what runs afterwards must not depend on it. A nil CloseFunc
	// means that there is nothing to close.
	Start func(ctx context.Context) (CloseFunc, error)
}

// Stack holds the steps that were started. It belongs to one goroutine.
type Stack struct {
	log  *slog.Logger
	open []opened
}

type opened struct {
	step  Step
	close CloseFunc
}

// New returns an empty stack. A nil logger discards.
func New(log *slog.Logger) *Stack {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Stack{log: log}
}

// Start runs the step and remembers how to close it. When it fails nothing was added and the steps before it are still
// open: the caller closes the stack.
func (s *Stack) Start(ctx context.Context, step Step) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("starting %s: %w", step.Name, err)
	}
	begin := time.Now()
	closeFn, err := step.Start(ctx)
	if err != nil {
		return fmt.Errorf("starting %s: %w", step.Name, err)
	}
	s.log.Debug("started", slog.String("step", step.Name), slog.String("reason", step.Reason), slog.Duration("took", time.Since(begin)))
	s.open = append(s.open, opened{step, closeFn})
	return nil
}

// Close closes the steps in reverse order, each within its timeout and within ctx, whatever happens to the others, and
// joins their errors. When ctx ends early the remaining steps are still asked, with an ended context and a second of
// grace each; so pass a context that is not the one whose end caused the close.
func (s *Stack) Close(ctx context.Context) error {
	var errs []error
	for len(s.open) > 0 {
		o := s.open[len(s.open)-1]
		s.open = s.open[:len(s.open)-1]
		if o.close == nil {
			continue
		}
		begin := time.Now()
		err := closeWithin(ctx, o.step, o.close)
		if err != nil {
			s.log.Warn("closing failed", slog.String("step", o.step.Name), slog.Any("err", err), slog.Duration("took", time.Since(begin)))
			errs = append(errs, err)
			continue
		}
		s.log.Debug("closed", slog.String("step", o.step.Name), slog.Duration("took", time.Since(begin)))
	}
	return errors.Join(errs...)
}

// closeWithin runs a close function within the step's timeout. A panic becomes an error: one bad part must not keep the
// others from closing.
func closeWithin(ctx context.Context, step Step, closeFn CloseFunc) error {
	timeout := step.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("panic: %v", p)
			}
		}()
		done <- closeFn(ctx)
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		late := time.NewTimer(grace)
		defer late.Stop()
		select {
		case err = <-done:
		case <-late.C:
			err = ErrLeftBehind
		}
	}
	if err != nil {
		return fmt.Errorf("closing %s: %w", step.Name, err)
	}
	return nil
}

// Background is a step's Start for what runs in a goroutine of its own: closing ends run's context and waits for it.
func Background(run func(ctx context.Context)) func(context.Context) (CloseFunc, error) {
	return func(ctx context.Context) (CloseFunc, error) {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan struct{})
		go func() { defer close(done); run(ctx) }()
		return func(ctx context.Context) error {
			cancel()
			select {
			case <-done:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, nil
	}
}
