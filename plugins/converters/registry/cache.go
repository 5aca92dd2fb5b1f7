package registry

import (
	"strconv"
	"time"
)

// Cache remembers so many values; one more makes it forget all, which costs less than to know the oldest and is as good where
// what is remembered fits. Not safe for concurrent use.
type Cache[K comparable, V any] struct {
	most int
	m    map[K]V
}

// NewCache makes a cache for so many values.
func NewCache[K comparable, V any](most int) *Cache[K, V] {
	return &Cache[K, V]{most: most, m: map[K]V{}}
}

// Get returns what is remembered.
func (c *Cache[K, V]) Get(k K) (V, bool) {
	v, ok := c.m[k]
	return v, ok
}

// Put remembers a value.
func (c *Cache[K, V]) Put(k K, v V) {
	if _, there := c.m[k]; !there && len(c.m) >= c.most {
		clear(c.m)
	}
	c.m[k] = v
}

// Len is how many values are remembered.
func (c *Cache[K, V]) Len() int { return len(c.m) }

func itoa(n int32) string { return strconv.Itoa(int(n)) }

// remembered is for how long a schema that can't be used is not asked for again: a topic may be full of such messages.
const remembered = 10 * time.Second

// Soon is until when a failure is remembered.
func Soon() time.Time { return time.Now().Add(remembered) }

// Fresh tells whether what is remembered until then still holds; the zero time is for good.
func Fresh(until time.Time) bool { return until.IsZero() || time.Now().Before(until) }
