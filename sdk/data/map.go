package data

import "iter"

// Map is a map that remembers the order in which its keys were first set, the form that MAP values, schemaless objects,
// source partitions and source offsets take. Java's own maps have no such order; keeping it is a compatible refinement
// that makes output repeatable.
//
// Keys are any hashable value of the data model (usually string). A nil *Map reads as an empty map. Not safe for
// concurrent use while it is written.
type Map struct {
	keys   []any
	values []any
	index  map[any]int // built lazily: small maps are scanned
}

// smallMap is the size up to which a scan beats a hash index.
const smallMap = 8

// NewMap returns an empty map with room for n entries.
func NewMap(n int) *Map {
	return &Map{keys: make([]any, 0, n), values: make([]any, 0, n)}
}

// MapOf builds a map from alternating keys and values. It panics on an odd count, which is a mistake in code.
func MapOf(pairs ...any) *Map {
	if len(pairs)%2 != 0 {
		panic("data.MapOf: odd number of arguments")
	}
	m := NewMap(len(pairs) / 2)
	for i := 0; i < len(pairs); i += 2 {
		m.Set(pairs[i], pairs[i+1])
	}
	return m
}

func (m *Map) find(key any) int {
	if m == nil {
		return -1
	}
	if m.index != nil {
		if i, ok := m.index[key]; ok {
			return i
		}
		return -1
	}
	for i, k := range m.keys {
		if k == key {
			return i
		}
	}
	return -1
}

// Set adds or replaces an entry; a replaced one keeps its place.
func (m *Map) Set(key, value any) {
	if i := m.find(key); i >= 0 {
		m.values[i] = value
		return
	}
	m.keys = append(m.keys, key)
	m.values = append(m.values, value)
	switch {
	case m.index != nil:
		m.index[key] = len(m.keys) - 1
	case len(m.keys) > smallMap:
		m.index = make(map[any]int, 2*len(m.keys))
		for i, k := range m.keys {
			m.index[k] = i
		}
	}
}

// Get returns the value of key and whether there is one (a nil value that is set counts as set).
func (m *Map) Get(key any) (any, bool) {
	if i := m.find(key); i >= 0 {
		return m.values[i], true
	}
	return nil, false
}

// Delete removes an entry if it is there.
func (m *Map) Delete(key any) {
	i := m.find(key)
	if i < 0 {
		return
	}
	m.keys = append(m.keys[:i], m.keys[i+1:]...)
	m.values = append(m.values[:i], m.values[i+1:]...)
	if m.index != nil {
		delete(m.index, key)
		for j := i; j < len(m.keys); j++ {
			m.index[m.keys[j]] = j
		}
	}
}

// Len is the number of entries.
func (m *Map) Len() int {
	if m == nil {
		return 0
	}
	return len(m.keys)
}

// All ranges over the entries in order.
func (m *Map) All() iter.Seq2[any, any] {
	return func(yield func(any, any) bool) {
		if m == nil {
			return
		}
		for i, k := range m.keys {
			if !yield(k, m.values[i]) {
				return
			}
		}
	}
}

// Clone returns a copy whose entries can be changed without changing m; the values themselves are shared.
func (m *Map) Clone() *Map {
	if m == nil {
		return nil
	}
	c := NewMap(len(m.keys))
	for i, k := range m.keys {
		c.Set(k, m.values[i])
	}
	return c
}
