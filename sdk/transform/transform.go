// Package transform holds the interfaces of single message transformations (SMTs) and predicates.
package transform

import (
	"github.com/millrace/millrace/sdk/record"
)

// Record is what a transformation may see and change: the part that source and sink records share. The runtime copies it
// back into the record it came from, so position and origin can't be touched. Maps, structs and the list of headers may be
// shared: change a copy.
type Record struct {
	record.Sink
	// Source is the record that a source task made, as it made it; nil on the way to a sink. Only to be read.
	Source *record.Source
}

// Transformation changes or drops one record. After Configure it is used by one goroutine at a time.
type Transformation interface {
	// Configure takes the transformation's own keys, without prefix.
	Configure(config map[string]string) error
	// Apply changes r in place. keep=false drops the record. An error is handled as errors.tolerance says, and leaves r as it
	// was: what failed may be repeated. r is only valid during the call.
	Apply(r *Record) (keep bool, err error)
	// Close releases what it holds; called once with its task.
	Close() error
}

// Predicate decides which records a transformation sees.
type Predicate interface {
	Configure(config map[string]string) error
	Test(r *Record) (bool, error)
	Close() error
}
