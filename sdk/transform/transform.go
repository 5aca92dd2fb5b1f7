// Package transform holds the interfaces of single message transformations (SMTs) and predicates.
package transform

import (
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
)

// Record is what a transformation may see and change: the part that source and sink records share. The runtime copies it
// back into the record it came from, so position and origin can't be touched. Maps, structs and the list of headers may be
// shared: change a copy. Mutable makes one where it is needed.
type Record struct {
	record.Sink
	// Source is the record that a source task made, as it made it; nil on the way to a sink. Only to be read.
	Source *record.Source

	own [2]*data.Map // maps that nothing refers to but the record's key and value
}

// Mutable is a map of the same entries that may be changed: m itself if it was made for this record, else a copy. A
// transformation that can fail calls it when it no longer can.
func (r *Record) Mutable(m *data.Map) *data.Map {
	if m == r.own[0] || m == r.own[1] {
		return m
	}
	c := m.Clone()
	r.Made(c)
	return c
}

// Made notes that a map was made for this record: as its key or its value, it may be changed by the transformations that
// follow, through Mutable.
func (r *Record) Made(m *data.Map) { r.own[0], r.own[1] = m, r.own[0] }

// Share takes back what Made and Mutable noted: the record's maps may be referred to from elsewhere.
func (r *Record) Share() { r.own = [2]*data.Map{} }

// Careful is an optional power of a transformation: where it keeps the record's key or value in another place than the record's
// key or value, it calls Share. After one that lacks it, the runtime takes all maps for shared.
type Careful interface{ Careful() }

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
