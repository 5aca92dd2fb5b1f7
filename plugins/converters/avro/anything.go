package avro

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/sdk/data"
)

// The fields of the record that a value without a schema is in; each is a union with null.
const (
	anyBoolean = iota
	anyBytes
	anyDouble
	anyFloat
	anyInt
	anyLong
	anyString
	anyArray
	anyMap
	anyFields
)

// maxAnything bounds how deep values without a schema are nested.
const maxAnything = 500

// readAnything reads a value that has no schema: the first field that is there is the value.
func readAnything(in *input, depth int) (value any, err error) {
	if depth > maxAnything {
		return nil, bad("a value of the message is nested more than %d deep", maxAnything)
	}
	found := false
	for field := range anyFields {
		branch, err := in.int()
		switch {
		case err != nil:
			return nil, err
		case branch == 0:
			continue
		case branch != 1:
			return nil, bad("the message has type %d of a union with 2 types", branch)
		}
		v, err := anyField(field, in, depth)
		if err != nil {
			return nil, err
		}
		if !found {
			value, found = v, true
		}
	}
	return value, nil
}

var anyReaders = [...]*reader{anyBoolean: {op: opBoolean}, anyBytes: {op: opBytes}, anyDouble: {op: opDouble}, anyFloat: {op: opFloat}, anyInt: {op: opInt},
	anyLong: {op: opLong}, anyString: {op: opString}}

func anyField(field int, in *input, depth int) (any, error) {
	if field < anyArray {
		return anyReaders[field].value(in)
	}
	list, m := []any{}, data.NewMap(0)
	for {
		n, err := in.block(anyFields, 0) // no value has fewer bytes
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		for range n {
			v, err := readAnything(in, depth+1)
			if err != nil {
				return nil, err
			}
			if field == anyArray {
				list = append(list, v)
				continue
			}
			of, err := readAnything(in, depth+1)
			if err != nil {
				return nil, err
			}
			if err := hashable(v, m.Len()); err != nil {
				return nil, err
			}
			m.Set(v, of)
		}
	}
	if field == anyArray {
		return list, nil
	}
	return m, nil
}

// appendAnything writes a value that has no schema.
func appendAnything(b []byte, v any) ([]byte, error) {
	field := anyFields
	switch v.(type) {
	case nil:
	case bool:
		field = anyBoolean
	case []byte:
		field = anyBytes
	case float64:
		field = anyDouble
	case float32:
		field = anyFloat
	case int8, int16, int32:
		field = anyInt
	case int64:
		field = anyLong
	case string:
		field = anyString
	case []any:
		field = anyArray
	case *data.Map:
		field = anyMap
	default:
		return nil, bad("Unknown Java type for schemaless data: class %s", data.ClassOf(v))
	}
	var err error
	for f := range anyFields {
		if f != field {
			b = append(b, 0)
			continue
		}
		b = append(b, 2)
		switch v := v.(type) {
		case bool:
			b = appendBool(b, v)
		case []byte:
			b = append(binary.AppendVarint(b, int64(len(v))), v...)
		case float64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		case float32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		case int8:
			b = binary.AppendVarint(b, int64(v))
		case int16:
			b = binary.AppendVarint(b, int64(v))
		case int32:
			b = binary.AppendVarint(b, int64(v))
		case int64:
			b = binary.AppendVarint(b, v)
		case string:
			b = append(binary.AppendVarint(b, int64(len(v))), v...)
		case []any:
			b = appendCount(b, len(v))
			for _, e := range v {
				if b, err = appendAnything(b, e); err != nil {
					return nil, err
				}
			}
			b = append(b, 0)
		case *data.Map:
			b = appendCount(b, v.Len())
			for k, e := range v.All() {
				if b, err = appendAnything(b, k); err != nil {
					return nil, err
				}
				if b, err = appendAnything(b, e); err != nil {
					return nil, err
				}
			}
			b = append(b, 0)
		}
	}
	return b, nil
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// appendCount begins an array or map of so many elements; a zero ends it.
func appendCount(b []byte, n int) []byte {
	if n == 0 {
		return b
	}
	return binary.AppendVarint(b, int64(n))
}
