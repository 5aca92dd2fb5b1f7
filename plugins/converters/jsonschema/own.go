package jsonschema

import (
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/jsontree"
	"github.com/millrace/millrace/sdk/data"
)

// Own is the JSON Schema of values of a schema.
func (r *Rules) Own(s *data.Schema) (string, error) {
	b, err := r.append(nil, s, -1)
	return string(b), err
}

// object writes the members of a JSON object.
type object struct{ b []byte }

func (o *object) name(key string) {
	if last := o.b[len(o.b)-1]; last != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(jsontree.AppendString(o.b, key), ':')
}

func (o *object) text(key, value string) {
	o.name(key)
	o.b = jsontree.AppendString(o.b, value)
}

func (o *object) number(key string, n int) {
	o.name(key)
	o.b = strconv.AppendInt(o.b, int64(n), 10)
}

func (o *object) raw(key, value string) {
	o.name(key)
	o.b = append(o.b, value...)
}

// append writes the schema of a value that may be null, if it may. index is its place in a struct, -1 if it has none.
func (r *Rules) append(b []byte, s *data.Schema, index int) ([]byte, error) {
	if s == nil {
		return nil, bad("an array or map has no schema for what is in it")
	}
	if !s.Optional() || IsUnion(s) {
		return r.plain(b, s, index)
	}
	o := object{append(b, '{')}
	o.raw("oneOf", `[{"type":"null"},`)
	var err error
	if o.b, err = r.plain(o.b, s, -1); err != nil {
		return nil, err
	}
	o.b = append(o.b, ']')
	if index >= 0 {
		o.number(connectIndex, index)
	}
	return append(o.b, '}'), nil
}

// plain writes the schema of a value that is not null.
func (r *Rules) plain(b []byte, s *data.Schema, index int) ([]byte, error) {
	o := object{append(b, '{')}
	var err error
	kind := typeNames[s.Type()]
	switch s.Type() {
	case data.Int8, data.Int16, data.Int32, data.Int64:
		o.text("type", "integer")
	case data.Float32, data.Float64:
		o.text("type", "number")
	case data.Boolean:
		o.text("type", "boolean")
	case data.String:
		if !r.enum(&o, s) {
			o.text("type", "string")
		}
	case data.Bytes:
		if o.text("type", "string"); s.Logical() == data.LogicalDecimal {
			o = object{append(o.b[:len(b)], '{')}
			o.text("type", "number")
		}
	case data.Array:
		o.text("type", "array")
		o.name("items")
		o.b, err = r.append(o.b, s.ValueSchema(), -1)
	case data.MapType:
		kind = "map"
		err = r.dict(&o, s)
	default:
		err = r.structure(&o, s)
	}
	if err != nil {
		return nil, err
	}
	if !IsUnion(s) {
		if err := r.describe(&o, s); err != nil {
			return nil, err
		}
	}
	if kind != "" {
		o.text(connectType, kind)
	}
	if index >= 0 {
		o.number(connectIndex, index)
	}
	return append(o.b, '}'), nil
}

func (r *Rules) enum(o *object, s *data.Schema) bool {
	_, plain := s.Param(enumParam)
	_, sum := s.Param(sumEnum)
	if !plain && !sum {
		return false
	}
	param := r.enumParam() + "."
	o.raw("enum", "[")
	first := true
	for k := range s.Params() {
		symbol, ok := strings.CutPrefix(k, param)
		if !ok {
			continue
		}
		if !first {
			o.b = append(o.b, ',')
		}
		first = false
		if symbol == nullEnum {
			o.b = append(o.b, "null"...)
			continue
		}
		o.b = jsontree.AppendString(o.b, symbol)
	}
	o.b = append(o.b, ']')
	return true
}

func (r *Rules) enumParam() string {
	if r.Sums {
		return sumEnum
	}
	return enumParam
}

func (r *Rules) dict(o *object, s *data.Schema) (err error) {
	if TextKeys(s) {
		o.text("type", "object")
		o.name("additionalProperties")
		o.b, err = r.append(o.b, s.ValueSchema(), -1)
		return err
	}
	o.text("type", "array")
	o.raw("items", `{"type":"object","properties":{"`+entryKey+`":`)
	if o.b, err = r.append(o.b, s.KeySchema(), 0); err != nil {
		return err
	}
	o.b = append(o.b, `,"`+entryValue+`":`...)
	if o.b, err = r.append(o.b, s.ValueSchema(), 1); err == nil {
		o.b = append(o.b, "}}"...)
	}
	return err
}

func (r *Rules) structure(o *object, s *data.Schema) (err error) {
	if IsUnion(s) {
		o.raw("oneOf", "[")
		if s.Optional() {
			o.b = append(o.b, `{"type":"null"}`...)
		}
		for i, f := range s.Fields() {
			if o.b[len(o.b)-1] != '[' {
				o.b = append(o.b, ',')
			}
			if o.b, err = r.plain(o.b, f.Schema, i); err != nil {
				return err
			}
		}
		o.b = append(o.b, ']')
		return nil
	}
	o.text("type", "object")
	o.raw("properties", "{")
	for i, f := range s.Fields() {
		o.name(f.Name)
		if o.b, err = r.append(o.b, f.Schema, i); err != nil {
			return err
		}
	}
	o.b = append(o.b, '}')
	if r.Closed {
		o.raw("additionalProperties", "false")
	}
	return nil
}

// describe keeps a schema's attributes.
func (r *Rules) describe(o *object, s *data.Schema) error {
	if s.HasName() {
		o.text("title", s.Name())
	}
	if doc, ok := s.Doc(); ok {
		o.text("description", doc)
	}
	if def := s.Default(); def != nil {
		text, err := r.Write(s, def)
		if err != nil {
			return err
		}
		o.raw("default", string(text))
	}
	if v, ok := s.Version(); ok {
		o.number(connectVersion, int(v))
	}
	params := object{[]byte{'{'}}
	for k, v := range s.Params() {
		if !strings.HasPrefix(k, namespace) {
			params.text(k, v)
		}
	}
	if len(params.b) > 1 {
		o.raw(connectParams, string(params.b)+"}")
	}
	return nil
}
