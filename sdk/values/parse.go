// Package values reads values from text, writes them as text and converts them into each other, as Java's
// org.apache.kafka.connect.data.Values does. Header values without a schema, and transformations, are read and written so.
//
// Parse and Append are inverse to each other where a text says enough about its type. Convert gives a value another type;
// Infer finds a schema for a value that has none.
package values

import (
	"errors"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// Parse finds what a text stands for: null, a boolean, the narrowest number that holds it, a date, time or timestamp, an array
// or map of such, and else the text itself. It never fails.
func Parse(text string) data.SchemaAndValue {
	first, _ := utf8.DecodeRuneInString(strings.TrimLeft(text, blanks))
	switch {
	case first == '[', first == '{', first == '+', first == '-', unicode.IsDigit(first):
	case first == 'n' || first == 't' || first == 'f':
		switch trim(text) {
		case "null":
			return data.SchemaAndValue{}
		case "true":
			return data.SchemaAndValue{Schema: data.BooleanSchema, Value: true}
		case "false":
			return data.SchemaAndValue{Schema: data.BooleanSchema, Value: false}
		}
		return asString(text)
	default: // nothing else begins what is more than text
		return asString(text)
	}
	p := parser{tokens: tokens{text: text}}
	sv, err := p.parse(false, 0)
	if err != nil {
		return asString(text) // only what is embedded fails, and what embeds it is then text
	}
	return sv
}

func asString(s string) data.SchemaAndValue {
	return data.SchemaAndValue{Schema: data.StringSchema, Value: s}
}

// parser reads a text by its tokens.
type parser struct{ tokens }

// errInside is an error of what is inside an array or a map. Nobody sees it: the array or map is read as text instead.
var errInside = errors.New("no array or map")

// maxDepth bounds how deep arrays and maps lie in each other; what lies deeper is text.
const maxDepth = 1000

func (p *parser) parse(embedded bool, depth int) (data.SchemaAndValue, error) {
	switch {
	case !p.more():
		return data.SchemaAndValue{}, nil
	case embedded && p.take(`"`):
		return p.quoted(), nil
	case embedded && p.take("null"):
		return data.SchemaAndValue{}, nil
	case embedded && p.take("true"):
		return data.SchemaAndValue{Schema: data.BooleanSchema, Value: true}, nil
	case embedded && p.take("false"):
		return data.SchemaAndValue{Schema: data.BooleanSchema, Value: false}, nil
	}
	if depth < maxDepth {
		start, inside := p.mark(), p.array
		taken := p.take("[")
		if !taken && p.take("{") {
			taken, inside = true, p.dict
		}
		if taken {
			if sv, err := inside(depth + 1); err == nil {
				return sv, nil
			}
			p.rewind(start)
		}
	}
	token := p.next()
	if blank(token) {
		return asString(token), nil
	}
	token = trim(token)
	first, _ := utf8.DecodeRuneInString(token)
	digit := unicode.IsDigit(first)
	if digit {
		if sv, ok := p.temporal(token); ok {
			return sv, nil
		}
	}
	if digit || first == '+' || first == '-' {
		if d, err := data.ParseDecimal(token); err == nil {
			return number(d), nil
		}
	}
	if embedded {
		return data.SchemaAndValue{}, errInside
	}
	return asString(p.text), nil
}

func (p *parser) quoted() data.SchemaAndValue {
	var content []byte
	for p.more() && !p.take(`"`) {
		content = append(content, p.next()...)
	}
	s := string(content)
	if sv, ok := parseTemporal(s); ok {
		return sv
	}
	return asString(s)
}

func (p *parser) array(depth int) (data.SchemaAndValue, error) {
	list, elements := []any{}, merger{}
	for p.more() {
		if p.take("]") {
			return elements.list(list)
		}
		if p.take(",") {
			return data.SchemaAndValue{}, errInside // an empty element
		}
		e, err := p.parse(true, depth)
		if err != nil {
			return data.SchemaAndValue{}, err
		}
		elements.add(e.Schema)
		list = append(list, e.Value)
		at := p.mark()
		if p.take("]") {
			p.rewind(at)
		} else if !p.take(",") {
			return data.SchemaAndValue{}, errInside
		}
	}
	return data.SchemaAndValue{}, errInside // it does not end
}

func (p *parser) dict(depth int) (data.SchemaAndValue, error) {
	m, keys, vals := data.NewMap(4), merger{}, merger{}
	for p.more() {
		if p.take("}") {
			return entries(m, keys, vals)
		}
		if p.take(",") {
			return data.SchemaAndValue{}, errInside // an entry without anything
		}
		k, err := p.parse(true, depth)
		if err != nil {
			return data.SchemaAndValue{}, err
		}
		if k.Value == nil || !p.take(":") {
			return data.SchemaAndValue{}, errInside
		}
		v, err := p.parse(true, depth)
		if err != nil {
			return data.SchemaAndValue{}, err
		}
		p.take(",")
		keys.add(k.Schema)
		vals.add(v.Schema)
		m.Set(k.Value, v.Value)
	}
	return data.SchemaAndValue{}, errInside
}

// merger finds the schema that a list's elements have in common.
type merger struct {
	schema *data.Schema
	none   bool // there is none, and there won't be
}

func (m *merger) add(s *data.Schema) {
	switch {
	case s == nil || m.none:
	case m.schema == nil || m.schema.Type() == s.Type():
		m.schema = s
	case m.schema.Type() > data.Float64 || s.Type() > data.Float64:
		m.schema, m.none = nil, true
	case s.Type() > m.schema.Type():
		m.schema = s
	}
}

// list gives a list its schema, and its elements their common one.
func (m *merger) list(list []any) (data.SchemaAndValue, error) {
	if m.schema == nil {
		return data.SchemaAndValue{Schema: anyArray, Value: list}, nil
	}
	for i, v := range list {
		var err error
		if list[i], err = Convert(m.schema, nil, v); err != nil {
			return data.SchemaAndValue{}, errInside
		}
	}
	return data.SchemaAndValue{Schema: data.ArrayOf(m.schema), Value: list}, nil
}

// The schemas of arrays and maps whose contents have nothing in common.
var (
	anyArray = data.NewSchema(data.Array)
	anyMap   = data.NewSchema(data.MapType)
)

func entries(m *data.Map, keys, vals merger) (data.SchemaAndValue, error) {
	if keys.schema == nil {
		return data.SchemaAndValue{Schema: anyMap, Value: m}, nil
	}
	out := data.NewMap(m.Len())
	for k, v := range m.All() {
		key, err := Convert(keys.schema, nil, k)
		if err == nil && vals.schema != nil {
			v, err = Convert(vals.schema, nil, v)
		}
		if err != nil {
			return data.SchemaAndValue{}, errInside
		}
		out.Set(key, v)
	}
	s, err := data.Build(data.MapType, data.Keys(keys.schema))
	if vals.schema != nil {
		s, err = data.Build(data.MapType, data.Entries(keys.schema, vals.schema))
	}
	return data.SchemaAndValue{Schema: s, Value: out}, err
}

// number gives a number the narrowest type that holds it.
func number(d data.Decimal) data.SchemaAndValue {
	if n, exact := d.Int(); exact {
		switch {
		case n >= math.MinInt8 && n <= math.MaxInt8:
			return data.SchemaAndValue{Schema: data.Int8Schema, Value: int8(n)}
		case n >= math.MinInt16 && n <= math.MaxInt16:
			return data.SchemaAndValue{Schema: data.Int16Schema, Value: int16(n)}
		case n >= math.MinInt32 && n <= math.MaxInt32:
			return data.SchemaAndValue{Schema: data.Int32Schema, Value: int32(n)}
		}
		return data.SchemaAndValue{Schema: data.Int64Schema, Value: n}
	}
	if d.Scale() != 0 {
		if f := d.Float32(); !math.IsInf(float64(f), 0) {
			return data.SchemaAndValue{Schema: data.Float32Schema, Value: f}
		}
		if f := d.Float(); !math.IsInf(f, 0) {
			return data.SchemaAndValue{Schema: data.Float64Schema, Value: f}
		}
	}
	return data.SchemaAndValue{Schema: data.DecimalSchema(d.Scale()), Value: d}
}

func unable(v any, to string) *connecterr.Error {
	return connecterr.New(connecterr.Data, "Unable to convert %s (class %s) to %s", data.Text(v), data.ClassOf(v), to)
}
