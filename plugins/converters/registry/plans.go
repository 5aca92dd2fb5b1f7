package registry

import (
	"time"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// Plans remembers what is made of each schema, and that nothing could be: for a moment, since a topic may be full of such
// messages. The last one is at hand. Not safe for concurrent use.
type Plans[K comparable, P any] struct {
	make func(K) (P, time.Time, error)
	all  *Cache[K, *plan[P]]
	key  K
	last *plan[P] // of key
}

type plan[P any] struct {
	p     P
	err   error // instead
	until time.Time
}

// NewPlans makes room for so many plans. make makes one, and says until when it holds; the zero time is for good.
func NewPlans[K comparable, P any](most int, make func(K) (P, time.Time, error)) *Plans[K, P] {
	return &Plans[K, P]{make: make, all: NewCache[K, *plan[P]](most)}
}

// Get returns a plan.
func (s *Plans[K, P]) Get(k K) (P, error) {
	if s.last == nil || s.key != k || !Fresh(s.last.until) {
		found, ok := s.all.Get(k)
		if !ok || !Fresh(found.until) {
			p, until, err := s.make(k)
			switch {
			case connecterr.IsRetriable(err):
				return p, err
			case err != nil:
				until = Soon()
			}
			found = &plan[P]{p, err, until}
			s.all.Put(k, found)
		}
		s.key, s.last = k, found
	}
	return s.last.p, s.last.err
}

// WriteKey is what a plan to write is made of.
type WriteKey struct {
	Topic  string
	Schema *data.Schema
}

// LikeLast is the key of a record that is to be written: the last one where its schema is equal, since some connectors make an
// equal schema for each record.
func LikeLast[P any](s *Plans[WriteKey, P], topic string, schema *data.Schema) WriteKey {
	if s.last != nil && s.key.Schema != schema && s.key.Topic == topic && schema.Equal(s.key.Schema) {
		return s.key
	}
	return WriteKey{topic, schema}
}

// Last is the key that was asked for last, if any was.
func (s *Plans[K, P]) Last() (k K, ok bool) { return s.key, s.last != nil }
