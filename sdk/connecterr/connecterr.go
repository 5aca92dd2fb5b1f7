// Package connecterr holds the kinds of error that cross the plugin border. Identity is by kind, never by text; each
// kind knows the Java class name that users see in traces and dead letter headers.
package connecterr

import (
	"errors"
	"fmt"
	"path"
	"runtime"
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
	Unsupported               // UnsupportedOperationException: the connector can't do this
	TooManyTasks              // TooManyTasksException: more tasks than tasks.max
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
	Unsupported:   "java.lang.UnsupportedOperationException",
	TooManyTasks:  "org.apache.kafka.connect.runtime.TooManyTasksException",
}

// Error is an error with a kind. Message is what users read; Cause may be nil.
type Error struct {
	Kind    Kind
	Message string
	Cause   error
	// Class is the Java class that is shown where it is not that of the kind; "" for the kind's.
	Class string
	// Frames are the calls that led here, innermost first, as Trace shows them; nil but for panics.
	Frames []string
}

// New makes an error of a kind.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an error of a kind with a cause.
func Wrap(k Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// maxFrames bounds a panic's frames: a recursion without end has millions.
const maxFrames = 64

// Panicked makes an error of what recover returned, with the frames of the panic. Call it in the deferred function.
func Panicked(p any) *Error {
	e := &Error{Message: fmt.Sprintf("panic: %v", p)}
	pcs := make([]uintptr, maxFrames)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for more, handling := true, true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		if handling && f.Function == "runtime.gopanic" { // what is above it only handles the panic
			handling, e.Frames = false, nil
			continue
		}
		if f.Function == "" || f.Function == "runtime.goexit" {
			continue
		}
		e.Frames = append(e.Frames, fmt.Sprintf("%s(%s:%d)", f.Function, path.Base(f.File), f.Line))
	}
	return e
}

// Error is the message, with the cause behind it where that says more.
func (e *Error) Error() string {
	switch {
	case e.Cause == nil && e.Message == "":
		return e.JavaClass() // never nothing
	case e.Cause == nil:
		return e.Message
	case e.Message == "":
		return e.Cause.Error()
	}
	return strings.TrimSuffix(e.Message, ": ") + ": " + e.Cause.Error() // some of Kafka Connect's messages end with a colon
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// JavaClass is the exception class that Kafka Connect would name.
func (e *Error) JavaClass() string {
	if e.Class != "" {
		return e.Class
	}
	return javaClass[e.Kind]
}

// WithClass makes e show another Java class than that of its kind, and returns it.
func (e *Error) WithClass(name string) *Error {
	e.Class = name
	return e
}

// KindOf is the kind of the outermost Error in err's chain, or General.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return General
}

// IsData tells whether err says that a record is bad. What is wrong with a schema is one way to be bad.
func IsData(err error) bool {
	switch KindOf(err) {
	case Data, SchemaBuilder, Projector:
		return true
	default:
		return false
	}
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

// Trace renders err as users of Kafka Connect expect a trace, and as their tools cut it up: "class: message", then the
// frames if there are any, then the same for each cause behind "Caused by: ". Every line ends with a newline; the trace of an
// error is never empty.
func Trace(err error) string {
	var b strings.Builder
	for err != nil {
		l := linkOf(err)
		if b.Len() > 0 {
			b.WriteString("Caused by: ")
		}
		b.WriteString(l.class)
		if l.message != "" {
			b.WriteString(": " + l.message)
		}
		b.WriteByte('\n')
		for _, f := range l.frames {
			b.WriteString("\tat " + f + "\n")
		}
		err = l.cause
	}
	return b.String()
}

// link is one "class: message" of a trace.
type link struct {
	class, message string
	frames         []string
	cause          error // what the next link is made of
}

// linkOf is the first link of err. An error of another package is one link, whatever it wraps: its text has all of that.
func linkOf(err error) link {
	e, ok := err.(*Error) //nolint:errorlint // walks the chain link by link on purpose
	if !ok {
		return link{class: ClassOf(err), message: strings.TrimRight(err.Error(), "\n")}
	}
	l := link{e.JavaClass(), strings.TrimRight(e.Message, "\n"), e.Frames, e.Cause}
	if l.message != "" || e.Cause == nil {
		return l
	}
	if _, ok := e.Cause.(*Error); ok { //nolint:errorlint // as above
		return linkOf(e.Cause) // it has a kind and says more
	}
	l.message, l.cause = e.Cause.Error(), nil // e only lends its kind
	return l
}
