// Package connecterr holds the kinds of error that cross the plugin border. Identity is by kind, never by text; each
// kind knows the Java class name that users see in traces and dead letter headers.
package connecterr

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is what went wrong, coarse enough to act on.
type Kind uint8

// The kinds, with the Java exception whose name they show.
const (
	General       Kind = iota // ConnectException
	Retriable                 // RetriableException: may pass by itself
	Data                      // DataException: this record is bad
	Config                    // ConfigException: the user's configuration is wrong
	NotFound                  // NotFoundException
	IllegalState              // IllegalWorkerStateException
	SchemaBuilder             // SchemaBuilderException
	Projector                 // SchemaProjectorException
	Serialization             // SerializationException
)

var javaClass = [...]string{
	General:       "org.apache.kafka.connect.errors.ConnectException",
	Retriable:     "org.apache.kafka.connect.errors.RetriableException",
	Data:          "org.apache.kafka.connect.errors.DataException",
	Config:        "org.apache.kafka.common.config.ConfigException",
	NotFound:      "org.apache.kafka.connect.errors.NotFoundException",
	IllegalState:  "org.apache.kafka.connect.errors.IllegalWorkerStateException",
	SchemaBuilder: "org.apache.kafka.connect.errors.SchemaBuilderException",
	Projector:     "org.apache.kafka.connect.errors.SchemaProjectorException",
	Serialization: "org.apache.kafka.common.errors.SerializationException",
}

// Error is an error with a kind. Message is what users read; Cause may be nil.
type Error struct {
	Kind    Kind
	Message string
	Cause   error
}

// New makes an error of a kind.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an error of a kind with a cause.
func Wrap(k Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// Error is the message, with the cause behind it where that says more.
func (e *Error) Error() string {
	if e.Cause != nil {
		if e.Message == "" {
			return e.Cause.Error()
		}
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// JavaClass is the exception class that Kafka Connect would name.
func (e *Error) JavaClass() string { return javaClass[e.Kind] }

// KindOf is the kind of the outermost Error in err's chain, or General.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return General
}

// IsRetriable tells whether err may pass by itself.
func IsRetriable(err error) bool { return KindOf(err) == Retriable }

// ClassOf is the Java class name shown for err.
func ClassOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.JavaClass()
	}
	return javaClass[General]
}

// Trace renders err as users of Kafka Connect expect a trace: "class: message", then the causes, one "Caused by:" line
// each, with a final newline (spec: first line holds the top message).
func Trace(err error) string {
	var b strings.Builder
	link := func(class, message string) {
		if b.Len() > 0 {
			b.WriteString("Caused by: ")
		}
		fmt.Fprintf(&b, "%s: %s\n", class, message)
	}
	for err != nil {
		e, ok := err.(*Error) //nolint:errorlint // walks the chain link by link on purpose
		if !ok {
			link(javaClass[General], err.Error())
			break
		}
		if e.Message != "" { // else it only lends its kind to its cause
			link(e.JavaClass(), e.Message)
		}
		err = e.Cause
	}
	return b.String()
}
