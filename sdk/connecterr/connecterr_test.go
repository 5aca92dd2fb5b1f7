package connecterr

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

const (
	general       = "org.apache.kafka.connect.errors.ConnectException"
	data          = "org.apache.kafka.connect.errors.DataException"
	retriable     = "org.apache.kafka.connect.errors.RetriableException"
	serialization = "org.apache.kafka.common.errors.SerializationException"
)

func TestTrace_has_a_line_for_each_link_that_says_something(t *testing.T) {
	t.Parallel()
	cause := &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no error":                    {nil, ""},
		"an error of another package": {cause, general + ": open /x: file does not exist\n"},
		"a kind":                      {New(Retriable, "later"), retriable + ": later\n"},
		"a cause of another package":  {Wrap(Data, cause, "record %d", 7), data + ": record 7\nCaused by: " + general + ": open /x: file does not exist\n"},
		"a cause with a kind":         {Wrap(General, New(Data, "b"), "a"), general + ": a\nCaused by: " + data + ": b\n"},
		"three links": {Wrap(General, Wrap(Data, New(Serialization, "c"), "b"), "a"),
			general + ": a\nCaused by: " + data + ": b\nCaused by: " + serialization + ": c\n"},
		"no message, and a cause with a kind of its own": {&Error{Kind: Retriable, Cause: New(Data, "b")}, data + ": b\n"},
		"no message, and a cause without a kind":         {&Error{Kind: Serialization, Cause: cause}, serialization + ": open /x: file does not exist\n"},
		"as the JSON converter does": {Wrap(Data, Wrap(Serialization, cause, ""), "Converting failed: "),
			data + ": Converting failed: \nCaused by: " + serialization + ": open /x: file does not exist\n"},
		"no message and no cause":                          {&Error{Kind: Data}, data + "\n"},
		"a wrapper of another package keeps the kind":      {fmt.Errorf("writing: %w", New(Retriable, "later")), retriable + ": writing: later\n"},
		"the same behind a message":                        {Wrap(General, fmt.Errorf("writing: %w", New(Data, "bad")), "a"), general + ": a\nCaused by: " + data + ": writing: bad\n"},
		"joined errors":                                    {errors.Join(errors.New("a"), errors.New("b")), general + ": a\nb\n"},
		"a message that ends with a newline adds no line":  {Wrap(General, errors.New("b\n"), "a\n"), general + ": a\nCaused by: " + general + ": b\n"},
		"frames follow their message, before their causes": {&Error{Message: "a", Frames: []string{"x.f(a.go:1)", "x.g(a.go:2)"}, Cause: New(Data, "b")}, general + ": a\n\tat x.f(a.go:1)\n\tat x.g(a.go:2)\nCaused by: " + data + ": b\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Trace(c.err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			// What is shown elsewhere of the same error is not at odds with its trace.
			if c.err != nil && !strings.HasPrefix(name, "no message, and a cause with") && !strings.HasPrefix(c.want, ClassOf(c.err)) {
				t.Errorf("the class is %s, but the trace %q", ClassOf(c.err), c.want)
			}
		})
	}
}

func TestEvery_kind_has_the_name_of_an_exception(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^(org\.apache\.kafka\.(connect|common)\.(errors|config|runtime)|java\.lang)\.\w+Exception: x\n$`)
	seen := map[string]bool{}
	for k := range Kind(len(javaClass)) {
		trace := Trace(New(k, "x"))
		if !name.MatchString(trace) || seen[trace] {
			t.Error(k, trace)
		}
		seen[trace] = true
	}
}

func TestError_is_the_message_and_what_is_behind_it(t *testing.T) {
	t.Parallel()
	b := errors.New("b")
	for want, err := range map[string]error{
		"a":    New(Data, "a"),
		"a: b": Wrap(Data, b, "a"),
		"b":    Wrap(Data, b, ""),
		"c: b": Wrap(Data, Wrap(Serialization, b, ""), "c: "), // one colon, not two
		data:   &Error{Kind: Data},
	} {
		if got := err.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if wrapped := fmt.Errorf("x: %w", err); strings.Contains(want, "b") && !errors.Is(wrapped, b) {
			t.Errorf("%v hides its cause", wrapped)
		}
	}
}

func TestKindOf_looks_through_wrapping(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("writing: %w", New(Retriable, "later"))
	if KindOf(err) != Retriable || !IsRetriable(err) || ClassOf(err) != retriable {
		t.Error(KindOf(err), ClassOf(err))
	}
	if KindOf(errors.New("x")) != General || IsRetriable(nil) {
		t.Error("an error of others is general")
	}
}

func explode(depth int) {
	if depth > 0 {
		explode(depth - 1)
		return
	}
	var m map[string]int
	m["x"] = 1 //nolint:staticcheck // the fault
}

func TestPanicked_shows_what_panicked_and_where(t *testing.T) {
	t.Parallel()
	catch := func(f func()) (err error) {
		defer func() { err = Panicked(recover()) }()
		f()
		return nil
	}
	for name, c := range map[string]struct {
		f    func()
		want string
	}{
		"a word":  {func() { panic("boom") }, `^org\.apache\.kafka\.connect\.errors\.ConnectException: panic: boom\n\tat \S+\.func\S+\(connecterr_test\.go:\d+\)\n`},
		"a fault": {func() { explode(0) }, `^\S+: panic: assignment to entry in nil map\n(\tat runtime\.\S+\n)*\tat \S+\.explode\(connecterr_test\.go:\d+\)\n`},
		"an error": {func() { panic(New(Retriable, "later")) }, // a mistake in code does not pass by itself
			`^org\.apache\.kafka\.connect\.errors\.ConnectException: panic: later\n`},
		"much": {func() { explode(10_000) }, `^\S+: panic: [^\n]+\n(\tat \S+\n){2,64}$`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := catch(c.f)
			trace := Trace(err)
			if !regexp.MustCompile(c.want).MatchString(trace) {
				t.Error(trace)
			}
			if strings.Contains(trace, ".Panicked(") || strings.Contains(trace, "(/") {
				t.Error("frames of the handling, or folders of the machine that compiled it:", trace)
			}
			if strings.Contains(err.Error(), "\n") || IsRetriable(err) {
				t.Error(err)
			}
		})
	}
}

func TestWithClass_shows_another_class_and_keeps_the_kind(t *testing.T) {
	t.Parallel()
	err := Wrap(Data, New(Data, "x").WithClass("java.lang.NumberFormatException"), "bad")
	if got, want := Trace(err), "org.apache.kafka.connect.errors.DataException: bad\nCaused by: java.lang.NumberFormatException: x\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if KindOf(err.Cause) != Data {
		t.Error("the kind is what it was")
	}
	if !IsData(err) || !IsData(New(SchemaBuilder, "x")) || IsData(New(Config, "x")) || IsData(nil) {
		t.Error("schemas that can't be made are bad data")
	}
}
