package transforms

import "github.com/millrace/millrace/sdk/data"

// cacheSize is how many input schemas a transformation remembers.
const cacheSize = 16

// cache remembers what was made for the last schemas, the most recently used first. Schemas are few and shared, so identity
// finds most; equal ones are the same.
type cache[T any] struct{ entries []cached[T] }

type cached[T any] struct {
	schema *data.Schema
	made   T
}

func (c *cache[T]) get(s *data.Schema) (made T, ok bool) {
	for i := range c.entries {
		if c.entries[i].schema == s {
			return c.first(i), true
		}
	}
	for i := range c.entries {
		if c.entries[i].schema.Equal(s) {
			c.entries[i].schema = s
			return c.first(i), true
		}
	}
	return made, false
}

// first moves an entry to the front.
func (c *cache[T]) first(i int) T {
	if i > 0 {
		e := c.entries[i]
		copy(c.entries[1:i+1], c.entries[:i])
		c.entries[0] = e
	}
	return c.entries[0].made
}

func (c *cache[T]) put(s *data.Schema, made T) {
	if len(c.entries) < cacheSize {
		c.entries = append(c.entries, cached[T]{})
	}
	copy(c.entries[1:], c.entries)
	c.entries[0] = cached[T]{s, made}
}
