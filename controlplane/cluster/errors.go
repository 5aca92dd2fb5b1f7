package cluster

import (
	"errors"
	"fmt"
)

// Code is the identity of a control plane error; the text is for people.
type Code string

// The codes. Each has one HTTP status, mapped in one place of the api service.
const (
	NotFound      Code = "not_found"
	AlreadyExists Code = "already_exists"
	Conflict      Code = "conflict" // lost a race; the same request can be repeated
	Invalid       Code = "invalid"
	Forbidden     Code = "forbidden"
	Unavailable   Code = "unavailable" // something we need is away; may pass by itself
	StaleEpoch    Code = "stale_epoch" // the writer is not the current holder or leader any more
	Timeout       Code = "timeout"
	Gone          Code = "gone"   // what is asked for was there and is not kept any more
	Busy          Code = "busy"   // a bound of this process is reached; may pass by itself
	Failed        Code = "failed" // the connector or task itself failed
	Internal      Code = "internal"

	PreconditionFailed Code = "precondition_failed" // what the request asks to be true first is not
	KeyReused          Code = "key_reused"          // its key belongs to another request
	InProgress         Code = "in_progress"         // the first request with its key has not been answered yet
)

// Codes lists every code, for contract tests.
func Codes() []Code {
	return []Code{NotFound, AlreadyExists, Conflict, Invalid, Forbidden, Unavailable, StaleEpoch, Timeout, Gone, Busy, Failed, Internal,
		PreconditionFailed, KeyReused, InProgress}
}

// Error is an error with a code. Message is shown to users as it is.
type Error struct {
	Code    Code
	Message string
	Cause   error
}

// Errorf makes an error of a code.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrapf makes an error of a code around a cause; the cause is for logs, the message for users.
func Wrapf(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Cause: cause}
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf is the code of the outermost Error in err's chain, or Internal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// Is tells whether err has the code.
func Is(err error, code Code) bool { return err != nil && CodeOf(err) == code }
