package data

import (
	"iter"
	"math"
)

// Map is a map that remembers the order in which its keys were first set, the form that MAP values, schemaless objects,
// source partitions and source offsets take. Java's own maps have no such order; keeping it is a compatible refinement
// that makes output repeatable.
//
// Keys are values of the data model (usually strings) and are compared as Equal does. A nil *Map reads as an empty map. Not
// safe for concurrent use while it is written.
type Map struct {
	entries []entry
	index   map[any]int // of keys that can be hashed; built lazily: small maps are scanned
}

type entry struct{ key, value any }

// smallMap is the size up to which a scan beats a hash index.
const smallMap = 16

// NewMap returns an empty map with room for n entries.
func NewMap(n int) *Map { return &Map{entries: make([]entry, 0, n)} }

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

type float32Key uint32

type float64Key uint64

// hashed is a key in a form in which equal keys are ==; false for keys that have none.
func hashed(key any) (any, bool) {
	switch k := key.(type) {
	case float32:
		if k != k {
			k = float32(math.NaN())
		}
		return float32Key(math.Float32bits(k)), true
	case float64:
		if k != k {
			k = math.NaN()
		}
		return float64Key(math.Float64bits(k)), true
	case nil, string, bool, int8, int16, int32, int64, Decimal, Instant:
		return key, true
	}
	return nil, false
}

func (m *Map) find(key any) int {
	if m == nil {
		return -1
	}
	if m.index != nil {
		if h, ok := hashed(key); ok {
			if i, ok := m.index[h]; ok {
				return i
			}
			return -1
		}
	}
	if s, ok := key.(string); ok {
		for i := range m.entries {
			if k, ok := m.entries[i].key.(string); ok && k == s {
				return i
			}
		}
		return -1
	}
	for i := range m.entries {
		if Equal(m.entries[i].key, key) {
			return i
		}
	}
	return -1
}

// Add adds an entry whose key is known not to be there.
func (m *Map) Add(key, value any) {
	m.entries = append(m.entries, entry{key, value})
	switch {
	case m.index != nil:
		m.note(len(m.entries) - 1)
	case len(m.entries) > smallMap:
		m.reindex()
	}
}

// Set adds or replaces an entry; a replaced one keeps its place.
func (m *Map) Set(key, value any) {
	if i := m.find(key); i >= 0 {
		m.entries[i].value = value
		return
	}
	m.Add(key, value)
}

func (m *Map) note(i int) {
	if h, ok := hashed(m.entries[i].key); ok {
		m.index[h] = i
	}
}

func (m *Map) reindex() {
	m.index = make(map[any]int, 2*len(m.entries))
	for i := range m.entries {
		m.note(i)
	}
}

// Get returns the value of key and whether there is one (a nil value that is set counts as set).
func (m *Map) Get(key any) (any, bool) {
	if i := m.find(key); i >= 0 {
		return m.entries[i].value, true
	}
	return nil, false
}

// Delete removes an entry if it is there.
func (m *Map) Delete(key any) {
	i := m.find(key)
	if i < 0 {
		return
	}
	copy(m.entries[i:], m.entries[i+1:])
	m.entries[len(m.entries)-1] = entry{}
	m.entries = m.entries[:len(m.entries)-1]
	if m.index != nil {
		m.reindex()
	}
}

// Rename gives entries other keys and drops those that f does not keep. Where a new key is there already, the entry before keeps
// its place and takes the value, as with Set.
func (m *Map) Rename(f func(key any) (renamed any, keep bool)) {
	all, changed := m.entries, false
	m.entries, m.index = m.entries[:0], nil
	for _, e := range all {
		key, keep := f(e.key)
		if !keep {
			continue
		}
		changed = changed || !sameKey(key, e.key)
		if changed { // until then all keys are different
			if i := m.find(key); i >= 0 {
				m.entries[i].value = e.value
				continue
			}
		}
		m.entries = append(m.entries, entry{key, e.value})
	}
	clear(all[len(m.entries):])
	if len(m.entries) > smallMap {
		m.reindex()
	}
}

// sameKey tells whether two keys are equal without looking at much; false may be wrong.
func sameKey(a, b any) bool {
	s, ok := a.(string)
	t, also := b.(string)
	return ok && also && s == t
}

// Len is the number of entries.
func (m *Map) Len() int {
	if m == nil {
		return 0
	}
	return len(m.entries)
}

// All ranges over the entries in order.
func (m *Map) All() iter.Seq2[any, any] {
	return func(yield func(any, any) bool) {
		if m == nil {
			return
		}
		for i := range m.entries {
			if !yield(m.entries[i].key, m.entries[i].value) {
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
	c := &Map{entries: append(make([]entry, 0, len(m.entries)), m.entries...)}
	if len(c.entries) > smallMap {
		c.reindex()
	}
	return c
}
