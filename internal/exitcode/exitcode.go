// Package exitcode gives process exit codes a meaning: 0 a wanted stop, 1 our fault, 2 bad input, 3 something we need is
// not there.
package exitcode

import (
	"context"
	"errors"
)

// The exit codes.
const (
	OK          = 0
	Fault       = 1
	BadInput    = 2
	Unavailable = 3
)

type coded struct {
	code int
	err  error
}

func (c *coded) Error() string { return c.err.Error() }
func (c *coded) Unwrap() error { return c.err }

// Input marks err as the user's to mend: the process ends with BadInput.
func Input(err error) error { return with(BadInput, err) }

// Missing marks err as something we need that is not there: the process ends with Unavailable.
func Missing(err error) error { return with(Unavailable, err) }

func with(code int, err error) error {
	if err == nil {
		return nil
	}
	return &coded{code: code, err: err}
}

// Of is the exit code for what a run function returned. A cancelled context is a wanted stop.
func Of(err error) int {
	if err == nil || errors.Is(err, context.Canceled) {
		return OK
	}
	if c, ok := errors.AsType[*coded](err); ok {
		return c.code
	}
	return Fault
}
