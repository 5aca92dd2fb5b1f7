package converters

import (
	"errors"
	"strconv"
	"unsafe"

	"github.com/millrace/millrace/internal/jsontree"
	"github.com/millrace/millrace/plugins/converters/jsonschema"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// value reads a node as a value of a schema, or as what it is where there is none. Numbers are cut to what their type holds;
// what is not of its type is 0, false or null.
func (c *jsonConverter) value(s *data.Schema, n jsontree.Node) (any, error) {
	if s == nil {
		return c.any(n)
	}
	kind := c.tree.Kind(n)
	if kind == jsontree.Null {
		return c.null(s)
	}
	if s.Logical() != data.NotLogical {
		return c.logical(s, n)
	}
	switch s.Type() {
	case data.Boolean:
		return kind == jsontree.True, nil
	case data.Int8:
		return int8(c.whole(n)), nil // cut on purpose
	case data.Int16:
		return int16(c.whole(n)), nil // cut on purpose
	case data.Int32:
		return int32(c.whole(n)), nil // cut on purpose
	case data.Int64:
		return c.whole(n), nil
	case data.Float32:
		return float32(c.float(n, 32)), nil
	case data.Float64:
		return c.float(n, 64), nil
	case data.String:
		if kind == jsontree.String {
			return c.text(n), nil
		}
		c.lost = true
		return nil, nil
	case data.Bytes:
		if kind != jsontree.String {
			c.lost = true
			return nil, nil
		}
		b, err := decodeBase64(c.tree.Text(n))
		if err != nil {
			return nil, connecterr.Wrap(connecterr.Data, err, "Invalid bytes field")
		}
		return b, nil
	case data.Array:
		return c.array(s, n)
	case data.MapType:
		return c.dict(s, n)
	default:
		return c.structure(s, n)
	}
}

// null is what a null or a missing member stands for.
func (c *jsonConverter) null(s *data.Schema) (any, error) {
	if def := s.Default(); def != nil && c.defaults {
		return def, nil
	}
	if s.Optional() {
		return nil, nil
	}
	return nil, bad("Invalid null value for required %s field", s.Type())
}

// any reads a node without a schema.
func (c *jsonConverter) any(n jsontree.Node) (any, error) {
	t := &c.tree
	switch t.Kind(n) {
	case jsontree.False, jsontree.True:
		return t.Kind(n) == jsontree.True, nil
	case jsontree.Int:
		return c.whole(n), nil
	case jsontree.Number:
		return c.float(n, 64), nil
	case jsontree.String:
		return c.text(n), nil
	case jsontree.Array:
		list := make([]any, 0, t.Len(n))
		for e := t.First(n); e != t.End(n); e = t.Next(e) {
			v, err := c.any(e)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case jsontree.Object:
		return c.object(n)
	default:
		return nil, nil
	}
}

// text is a string.
func (c *jsonConverter) text(n jsontree.Node) string {
	if c.view && c.tree.Plain(n) {
		if raw := c.tree.Raw(n); len(raw) > 0 {
			return unsafe.String(&raw[0], len(raw))
		}
		return ""
	}
	return c.tree.Text(n)
}

// spare is room for what transformations add to an object.
const spare = 2

// object reads an object without a schema. Most are like the one before: then their names are known, and all different.
func (c *jsonConverter) object(n jsontree.Node) (*data.Map, error) {
	t := &c.tree
	m, object := data.NewMap(t.Len(n)+spare), c.nth
	for k := t.First(n); k != t.End(n); k = t.Next(t.Next(k)) {
		at := c.nth
		c.nth++
		known := at < len(c.like) && c.like[at].object == object && t.Plain(k) && string(t.Raw(k)) == c.like[at].text
		if !known {
			c.like = c.like[:min(at, len(c.like))]
		}
		var name any
		if known {
			name = c.like[at].name
		} else {
			name = c.name(k)
		}
		v, err := c.any(t.Next(k))
		if err != nil {
			return nil, err
		}
		if known {
			m.Add(name, v)
			continue
		}
		before := m.Len()
		m.Set(name, v)
		if text, ok := name.(string); ok && m.Len() > before && at == len(c.like) && at < maxNames {
			c.like = append(c.like, likeness{name, text, object})
		}
	}
	return m, nil
}

// likeness is a name of the last object that was read without a schema.
type likeness struct {
	name   any
	text   string
	object int // which of the objects in it, by how many names came before its first
}

// Objects have the same names again and again: so many names, up to such a length, are kept.
const (
	maxNames = 1024
	maxName  = 64
)

func (c *jsonConverter) name(n jsontree.Node) any {
	raw := c.tree.Raw(n)
	if !c.tree.Plain(n) || len(raw) > maxName {
		return c.tree.Text(n)
	}
	if name, ok := c.names[string(raw)]; ok {
		return name
	}
	name := string(raw)
	if len(c.names) < maxNames {
		c.names[name] = name
	}
	return name
}

// whole is a number's whole part, of which the low 64 bits; 0 of what is no number.
func (c *jsonConverter) whole(n jsontree.Node) int64 {
	kind := c.tree.Kind(n)
	if kind != jsontree.Int && kind != jsontree.Number {
		return 0
	}
	raw := c.tree.Raw(n)
	if kind == jsontree.Int && len(raw) <= 18 {
		negative := raw[0] == '-'
		if negative {
			raw = raw[1:]
		}
		var sum int64
		for _, d := range raw {
			sum = sum*10 + int64(d-'0')
		}
		if negative {
			return -sum
		}
		return sum
	}
	d, err := data.ParseDecimal(string(raw))
	if err != nil {
		return 0
	}
	sum, _ := d.Int()
	return sum
}

// float is a number as the nearest one of so many bits, without a sign when it is 0; 0 of what is no number.
func (c *jsonConverter) float(n jsontree.Node, bits int) float64 {
	if k := c.tree.Kind(n); k != jsontree.Int && k != jsontree.Number {
		return 0
	}
	f, _ := strconv.ParseFloat(string(c.tree.Raw(n)), bits) // beyond the range it is an infinity
	if f == 0 {
		return 0
	}
	return f
}

func (c *jsonConverter) logical(s *data.Schema, n jsontree.Node) (any, error) {
	kind := c.tree.Kind(n)
	switch s.Logical() {
	case data.LogicalDecimal:
		return c.readDecimal(s, n)
	case data.LogicalTimestamp:
		if kind != jsontree.Int {
			return nil, bad("Invalid type for Timestamp, underlying representation should be integral but was %s", kind)
		}
		return data.TimestampFromInt(s, c.whole(n))
	default:
	}
	days, ok := c.tree.Int32(n)
	if s.Logical() == data.LogicalDate {
		if !ok {
			return nil, bad("Invalid type for Date, underlying representation should be integer but was %s", kind)
		}
		return data.DateFromInt(s, days)
	}
	if !ok {
		return nil, bad("Invalid type for Time, underlying representation should be integer but was %s", kind)
	}
	return data.TimeFromInt(s, days)
}

func (c *jsonConverter) readDecimal(s *data.Schema, n jsontree.Node) (any, error) {
	switch kind := c.tree.Kind(n); kind {
	case jsontree.Int, jsontree.Number:
		return data.ParseDecimal(string(c.tree.Raw(n)))
	case jsontree.String:
		b, err := decodeBase64(c.tree.Text(n))
		if err == nil {
			var d data.Decimal
			if d, err = data.DecimalFromBytes(s, b); err == nil {
				return d, nil
			}
		}
		return nil, connecterr.Wrap(connecterr.Data, err, "Invalid bytes for Decimal field")
	default:
		return nil, bad("Invalid type for Decimal, underlying representation should be numeric or bytes but was %s", kind)
	}
}

// array reads an array's elements, an object's values; anything else is an empty list.
func (c *jsonConverter) array(s *data.Schema, n jsontree.Node) (any, error) {
	t := &c.tree
	switch t.Kind(n) {
	case jsontree.Array:
		list := make([]any, 0, t.Len(n))
		for e := t.First(n); e != t.End(n); e = t.Next(e) {
			v, err := c.value(s.ValueSchema(), e)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case jsontree.Object:
		list := []any{}
		for _, e := range c.members(n) {
			v, err := c.value(s.ValueSchema(), e.value)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	default:
		return []any{}, nil
	}
}

type member struct {
	name  any
	value jsontree.Node
}

// members are an object's members; of one that comes twice the place of the first and the value of the last.
func (c *jsonConverter) members(n jsontree.Node) []member {
	t := &c.tree
	out, at := make([]member, 0, t.Len(n)), make(map[any]int, t.Len(n))
	for k := t.First(n); k != t.End(n); k = t.Next(t.Next(k)) {
		name := c.name(k)
		if i, again := at[name]; again {
			out[i].value = t.Next(k)
			continue
		}
		at[name] = len(out)
		out = append(out, member{name, t.Next(k)})
	}
	return out
}

// dict reads a map: an object where keys are strings, else an array of pairs.
func (c *jsonConverter) dict(s *data.Schema, n jsontree.Node) (any, error) {
	t := &c.tree
	kind := t.Kind(n)
	if c.unions && !jsonschema.TextKeys(s) {
		return c.entries(s, n)
	}
	if s.KeySchema().Type() == data.String {
		if kind != jsontree.Object {
			return nil, bad("Maps with string fields should be encoded as JSON objects, but found %s", kind)
		}
		m := data.NewMap(t.Len(n))
		for _, e := range c.members(n) {
			v, err := c.value(s.ValueSchema(), e.value)
			if err != nil {
				return nil, err
			}
			m.Set(e.name, v)
		}
		return m, nil
	}
	if kind != jsontree.Array {
		return nil, bad("Maps with non-string fields should be encoded as JSON array of tuples, but found %s", kind)
	}
	m := data.NewMap(t.Len(n))
	for e := t.First(n); e != t.End(n); e = t.Next(e) {
		if kind := t.Kind(e); kind != jsontree.Array {
			return nil, bad("Found invalid map entry instead of array tuple: %s", kind)
		}
		if size := t.Len(e); size != 2 {
			return nil, bad("Found invalid map entry, expected length 2 but found :%d", size)
		}
		key, err := c.value(s.KeySchema(), t.First(e))
		if err != nil {
			return nil, err
		}
		v, err := c.value(s.ValueSchema(), t.Next(t.First(e)))
		if err != nil {
			return nil, err
		}
		m.Set(key, v)
	}
	return m, nil
}

func (c *jsonConverter) structure(s *data.Schema, n jsontree.Node) (any, error) {
	if c.unions && jsonschema.IsUnion(s) {
		return c.union(s, n)
	}
	if kind := c.tree.Kind(n); kind != jsontree.Object {
		return nil, bad("Structs should be encoded as JSON objects, but found %s", kind)
	}
	fields, base := s.Fields(), len(c.places)
	c.find(s, n)
	st := data.NewStruct(s)
	for i := range fields {
		var v any
		var err error
		if at := c.places[base+i]; at == jsontree.None && c.unions {
			v = fields[i].Schema.Default()
		} else if at == jsontree.None {
			v, err = c.null(fields[i].Schema)
		} else {
			v, err = c.value(fields[i].Schema, at)
		}
		if err == nil && c.lost { // it may be null, or have a null inside
			err = st.SetIndex(i, v)
		} else {
			st.SetAt(i, v)
		}
		if err != nil {
			return nil, err
		}
	}
	c.places = c.places[:base]
	return st, nil
}

// find notes where the fields of a struct are: the last member of each name.
func (c *jsonConverter) find(s *data.Schema, n jsontree.Node) {
	t := &c.tree
	fields, base := s.Fields(), len(c.places)
	for range fields {
		c.places = append(c.places, jsontree.None)
	}
	next := 0 // mostly they come in the order of the schema
	for k := t.First(n); k != t.End(n); k = t.Next(t.Next(k)) {
		if next < len(fields) && t.Is(k, fields[next].Name) {
			c.places[base+next] = t.Next(k)
			next++
			continue
		}
		f, ok := s.Field(string(t.Raw(k)))
		if !t.Plain(k) {
			f, ok = s.Field(t.Text(k))
		}
		if ok {
			c.places[base+f.Index] = t.Next(k)
			next = f.Index + 1
		}
	}
}

var errBase64 = errors.New("the text is no base64: four characters of the standard alphabet each, the last ones padded")

// decodeBase64 reads base64 as Kafka Connect's parser does: white space may stand before four characters, never within them.
func decodeBase64(s string) ([]byte, error) {
	out := make([]byte, 0, len(s)/4*3)
	for i := 0; i < len(s); i += 4 {
		for i < len(s) && s[i] <= ' ' {
			i++
		}
		if i == len(s) {
			break
		}
		if len(s)-i < 4 {
			return nil, errBase64
		}
		a, b, c, d := code(s[i]), code(s[i+1]), code(s[i+2]), code(s[i+3])
		switch {
		case a >= 64 || b >= 64 || c == broken || d == broken || c == padding && d != padding:
			return nil, errBase64
		case c == padding:
			out = append(out, a<<2|b>>4)
		case d == padding:
			out = append(out, a<<2|b>>4, b<<4|c>>2)
		default:
			out = append(out, a<<2|b>>4, b<<4|c>>2, c<<6|d)
		}
	}
	return out, nil
}

const (
	padding = 64
	broken  = 65
)

func code(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c - 'A'
	case c >= 'a' && c <= 'z':
		return c - 'a' + 26
	case c >= '0' && c <= '9':
		return c - '0' + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	case c == '=':
		return padding
	}
	return broken
}
