// Package header holds record headers: an ordered list in which a key may occur several times.
package header

import (
	"slices"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// Header is one record header. Value follows the data model; Schema may be nil (schemaless).
type Header struct {
	Key    string
	Schema *data.Schema
	Value  any
}

// New makes a header whose value is of the schema's type; it does not look into lists, maps and structs. A struct brings its
// schema along.
func New(key string, schema *data.Schema, value any) (Header, error) {
	if st, ok := value.(*data.Struct); ok && schema == nil {
		schema = st.Schema()
	}
	if schema != nil && value == nil && !schema.Optional() {
		return Header{}, connecterr.New(connecterr.Data, "A null value requires an optional schema but was %s", schema)
	}
	if schema != nil && value != nil && !fits(schema, value) {
		return Header{}, connecterr.New(connecterr.Data, "The value %s is not compatible with the schema %s", data.Text(value), schema)
	}
	return Header{Key: key, Schema: schema, Value: value}, nil
}

func fits(s *data.Schema, v any) bool {
	switch v.(type) {
	case data.Decimal:
		return s.Type() == data.Bytes && s.Logical() == data.LogicalDecimal
	case data.Instant:
		return s.Type() == data.Int32 && (s.Logical() == data.LogicalDate || s.Logical() == data.LogicalTime) ||
			s.Type() == data.Int64 && s.Logical() == data.LogicalTimestamp
	}
	return data.TypeOf(v) == s.Type()
}

// String prints the header as Java does.
func (h Header) String() string {
	return "ConnectHeader(key=" + h.Key + ", value=" + data.Text(h.Value) + ", schema=" + h.Schema.String() + ")"
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

// Add appends a header, whatever its value, and returns the list, like append.
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

// Latest returns the list with only the most recent header of each of these keys, of all keys when none is named; order is
// kept.
func (h Headers) Latest(keys ...string) Headers {
	out := h[:0:0]
	for i, x := range h {
		later := func(y Header) bool { return y.Key == x.Key }
		if (len(keys) == 0 || slices.Contains(keys, x.Key)) && slices.ContainsFunc(h[i+1:], later) {
			continue
		}
		out = append(out, x)
	}
	return out
}

// String prints the headers as Java does.
func (h Headers) String() string {
	if len(h) == 0 {
		return "ConnectHeaders(headers=)"
	}
	b := []byte("ConnectHeaders(headers=[")
	for i, x := range h {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, x.String()...)
	}
	return string(append(b, "])"...))
}
