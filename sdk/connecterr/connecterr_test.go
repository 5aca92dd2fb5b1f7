package connecterr

import (
	"errors"
	"fmt"
	"testing"
)

func TestTrace_has_a_line_for_each_link_that_says_something(t *testing.T) {
	t.Parallel()
	cause := errors.New("open /x: no such file or directory")
	for want, err := range map[string]error{
		"": nil,
		"org.apache.kafka.connect.errors.ConnectException: open /x: no such file or directory\n":                                                                     cause,
		"org.apache.kafka.connect.errors.RetriableException: later\n":                                                                                                New(Retriable, "later"),
		"org.apache.kafka.connect.errors.DataException: record 7\nCaused by: org.apache.kafka.connect.errors.ConnectException: open /x: no such file or directory\n": Wrap(Data, cause, "record %d", 7),
		"org.apache.kafka.connect.errors.ConnectException: a\nCaused by: org.apache.kafka.connect.errors.DataException: b\n":                                         Wrap(General, New(Data, "b"), "a"),
		// A link without a message lends its kind only.
		"org.apache.kafka.connect.errors.DataException: b\n": &Error{Kind: Retriable, Cause: New(Data, "b")},
	} {
		if got := Trace(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestKindOf_looks_through_wrapping(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("writing: %w", New(Retriable, "later"))
	if KindOf(err) != Retriable || !IsRetriable(err) || ClassOf(err) != "org.apache.kafka.connect.errors.RetriableException" {
		t.Error(KindOf(err), ClassOf(err))
	}
	if KindOf(errors.New("x")) != General {
		t.Error("an error of others is general")
	}
}
