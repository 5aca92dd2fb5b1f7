// Package header holds record headers: an ordered list in which a key may occur several times.
package header

import "github.com/millrace/millrace/sdk/data"

// Header is one record header. Value follows the data model; Schema may be nil (schemaless).
type Header struct {
	Key    string
	Schema *data.Schema
	Value  any
}

// Headers are in the order in which they were added. The slice is owned by its record.
type Headers []Header

// Last returns the most recent header of that key.
func (h Headers) Last(key string) (Header, bool) {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].Key == key {
			return h[i], true
		}
	}
	return Header{}, false
}

// Add appends a header and returns the list, like append.
func (h Headers) Add(key string, schema *data.Schema, value any) Headers {
	return append(h, Header{Key: key, Schema: schema, Value: value})
}

// Without returns the list with every header of that key left out; order is kept.
func (h Headers) Without(key string) Headers {
	out := h[:0:0]
	for _, x := range h {
		if x.Key != key {
			out = append(out, x)
		}
	}
	return out
}
