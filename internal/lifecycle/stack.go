package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// DefaultTimeout is the time a step has for closing when it names none.
const DefaultTimeout = 10 * time.Second

// grace is what a close function gets after its context has ended, so that one
// that honours the context can still return properly.
const grace = time.Second

var (
	// ErrClosed is returned by Start once Close was called.
	ErrClosed = errors.New("lifecycle: already closing")
	// ErrLeftBehind is in the error of Close when a step did not close in time.
	// LeftBehind gives the names.
	ErrLeftBehind = errors.New("lifecycle: left behind")
)

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
	// Start opens the part. ctx bounds the opening only: what runs afterwards
	// must not depend on it. A nil CloseFunc means that there is nothing to close.
	Start func(ctx context.Context) (CloseFunc, error)
}

// Stack holds the steps that were started. Its methods may be called from any
// goroutine; Start calls run one after the other.
type Stack struct {
	log *slog.Logger
	// OnLeftBehind, if set before Close, is called with the name of each step
	// that did not close in time: the place for a counter.
	OnLeftBehind func(name string)

	starting sync.Mutex // one Start at a time; Close waits for a running Start

	mu     sync.Mutex
	open   []opened
	closed bool
	done   chan struct{} // closed when the first Close has finished
	err    error         // its result
}

type opened struct {
	name, reason string
	timeout      time.Duration
	close        CloseFunc
}

// New returns an empty stack. A nil logger discards.
func New(log *slog.Logger) *Stack {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Stack{log: log, done: make(chan struct{})}
}

// Start runs the step and remembers how to close it. When it fails nothing was
// added and the steps before it are still open: the caller closes the stack.
// After Close it returns ErrClosed without running the step.
func (s *Stack) Start(ctx context.Context, step Step) error {
	s.starting.Lock()
	defer s.starting.Unlock()
	if s.isClosed() {
		return fmt.Errorf("starting %s: %w", step.Name, ErrClosed)
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("starting %s: %w", step.Name, err)
	}
	begin := time.Now()
	closeFn, err := step.Start(ctx)
	if err != nil {
		return fmt.Errorf("starting %s: %w", step.Name, err)
	}
	s.log.Debug("started", "step", step.Name, "reason", step.Reason, "took", time.Since(begin))
	s.push(opened{step.Name, step.Reason, step.Timeout, closeFn})
	return nil
}

// Push adds a part that is open already. Pushing after Close is refused with
// ErrClosed; the part is the caller's to close then.
func (s *Stack) Push(name, reason string, closeFn CloseFunc) error {
	s.starting.Lock()
	defer s.starting.Unlock()
	if s.isClosed() {
		return fmt.Errorf("adding %s: %w", name, ErrClosed)
	}
	s.push(opened{name, reason, 0, closeFn})
	return nil
}

func (s *Stack) push(o opened) {
	if o.timeout <= 0 {
		o.timeout = DefaultTimeout
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = append(s.open, o)
}

func (s *Stack) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Names lists the open steps in the order in which they were started.
func (s *Stack) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, len(s.open))
	for i, o := range s.open {
		names[i] = o.name
	}
	return names
}

// Close closes the steps in reverse order, each within its timeout and within
// ctx, whatever happens to the others, and joins their errors. When ctx ends
// early the remaining steps are still asked, with an ended context and a second
// of grace each; so pass a context that is not the one whose end caused the
// close. Idempotent: a later or concurrent call waits for the first (until its
// own ctx is done) and returns the same.
func (s *Stack) Close(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if !first {
		select {
		case <-s.done:
			return s.err
		case <-ctx.Done():
			return fmt.Errorf("waiting for the close under way: %w", context.Cause(ctx))
		}
	}
	// A Start that was under way finishes first, so that what it opened is closed.
	s.starting.Lock()
	defer s.starting.Unlock()

	var errs []error
	for {
		o, ok := s.pop()
		if !ok {
			break
		}
		if o.close == nil {
			continue
		}
		begin := time.Now()
		err := CloseWithin(ctx, o.timeout, o.name, o.close)
		took := time.Since(begin)
		switch {
		case err == nil:
			s.log.Debug("closed", "step", o.name, "reason", o.reason, "took", took)
			continue
		case errors.Is(err, ErrLeftBehind):
			s.log.Error("left behind", "step", o.name, "took", took)
			if s.OnLeftBehind != nil {
				s.OnLeftBehind(o.name)
			}
		default:
			s.log.Warn("closing failed", "step", o.name, "error", err, "took", took)
		}
		errs = append(errs, err)
	}
	s.err = errors.Join(errs...)
	close(s.done)
	return s.err
}

func (s *Stack) pop() (opened, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) == 0 {
		return opened{}, false
	}
	o := s.open[len(s.open)-1]
	s.open = s.open[:len(s.open)-1]
	return o, true
}

// leftBehindError names a part that did not close in time.
type leftBehindError struct {
	name  string
	after time.Duration
}

func (e *leftBehindError) Error() string {
	return fmt.Sprintf("closing %s: gave up after %s", e.name, e.after.Round(time.Millisecond))
}

func (e *leftBehindError) Is(target error) bool { return target == ErrLeftBehind }

// LeftBehind lists the names of the parts that err, from Close or CloseWithin,
// says were left behind.
func LeftBehind(err error) []string {
	var names []string
	var walk func(error)
	walk = func(err error) {
		switch e := err.(type) {
		case nil:
		case *leftBehindError:
			names = append(names, e.name)
		case interface{ Unwrap() []error }:
			for _, sub := range e.Unwrap() {
				walk(sub)
			}
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		}
	}
	walk(err)
	return names
}

// CloseWithin calls closeFn with a context that ends after d or with ctx. If
// closeFn has not returned a second after that, it is left running and the error
// is ErrLeftBehind with the name. A panic of closeFn becomes an error: one bad
// part must not keep the others from closing.
func CloseWithin(ctx context.Context, d time.Duration, what string, closeFn CloseFunc) error {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, d)
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
	finish := func(err error) error {
		if err == nil || strings.HasPrefix(err.Error(), "closing "+what) {
			return err
		}
		return fmt.Errorf("closing %s: %w", what, err)
	}
	select {
	case err := <-done:
		return finish(err)
	case <-ctx.Done():
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case err := <-done:
		return finish(err)
	case <-late.C:
		return &leftBehindError{name: what, after: time.Since(begin)}
	}
}
