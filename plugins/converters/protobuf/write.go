package protobuf

import (
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/millrace/millrace/sdk/data"
)

// append writes a value as a whole message.
func (w *writer) append(b []byte, v any) ([]byte, error) {
	switch f := w.root; {
	case f == nil:
		return w.structure(b, v)
	case f.logical != data.NotLogical:
		return appendLogical(b, f.logical, v)
	default:
		return f.appendField(b, 1, f.wrapper, v, true)
	}
}

func (w *writer) structure(b []byte, v any) (_ []byte, err error) {
	st, ok := v.(*data.Struct)
	if !ok {
		return nil, bad("Invalid type for STRUCT: class %s", data.ClassOf(v))
	}
	if s := st.Schema(); s != w.conn && !s.Equal(w.conn) {
		return nil, bad("Mismatching struct schema")
	}
	for _, i := range w.unions {
		if union, ok := st.At(i).(*data.Struct); ok && chosen(union) < 0 {
			return nil, bad("Cannot find non-null field (the union %s)", w.conn.Fields()[i].Name)
		}
	}
	for i := range w.fields {
		f := &w.fields[i]
		value := st.At(f.at)
		if f.raw && !f.union {
			value = st.Raw(f.at)
		}
		if f.union {
			union, ok := value.(*data.Struct)
			if !ok || chosen(union) != f.member {
				if value != nil && !ok {
					return nil, bad("Invalid type for STRUCT: class %s", data.ClassOf(value))
				}
				continue
			}
			value = union.At(f.member)
		}
		if b, err = f.append(b, value); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// chosen is the first field of a union that has a value; -1 if none has.
func chosen(union *data.Struct) int {
	for i := range union.Schema().Fields() {
		if union.At(i) != nil {
			return i
		}
	}
	return -1
}

// append writes a field. A null is not written.
func (f *fieldWriter) append(b []byte, v any) ([]byte, error) {
	switch {
	case v == nil && (f.nullable || f.repeated):
		return b, nil
	case v == nil:
		return nil, bad("Found null value for a field that is required (number %d of the message)", f.num)
	case f.entry != nil:
		return f.entries(b, v)
	case !f.repeated:
		return f.appendField(b, f.num, f.kind, v, f.implicit)
	}
	list, ok := v.([]any)
	switch {
	case !ok:
		return nil, bad("Invalid type for ARRAY: class %s", data.ClassOf(v))
	case len(list) == 0:
		return b, nil
	case !f.packed:
		for _, e := range list {
			var err error
			if b, err = f.element(b, e); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	b = protowire.AppendTag(b, f.num, protowire.BytesType)
	at := len(b)
	b = append(b, 0)
	for _, e := range list {
		if e == nil {
			return nil, errNullElement
		}
		var err error
		if b, err = f.appendValue(b, f.kind, e); err != nil {
			return nil, err
		}
	}
	return sized(b, at), nil
}

var errNullElement = bad("a list has a null, which Protobuf does not have")

func (f *fieldWriter) element(b []byte, v any) ([]byte, error) {
	if v == nil {
		return nil, errNullElement
	}
	return f.appendField(b, f.num, f.kind, v, false)
}

func (f *fieldWriter) entries(b []byte, v any) (_ []byte, err error) {
	m, ok := v.(*data.Map)
	if !ok {
		return nil, bad("Invalid type for MAP: class %s", data.ClassOf(v))
	}
	for k, e := range m.All() {
		if k == nil {
			return nil, bad("a map has a null as a key, which Protobuf does not have")
		}
		b = protowire.AppendTag(b, f.num, protowire.BytesType)
		at := len(b)
		if b, err = f.entry[0].append(append(b, 0), k); err != nil {
			return nil, err
		}
		if b, err = f.entry[1].append(b, e); err != nil {
			return nil, err
		}
		b = sized(b, at)
	}
	return b, nil
}

// sized puts the length of what was written since at in its place: a byte was left for it.
func sized(b []byte, at int) []byte {
	n := len(b) - at - 1
	if more := protowire.SizeVarint(uint64(n)) - 1; more > 0 { //nolint:gosec // a length
		b = append(b, make([]byte, more)...)
		copy(b[at+1+more:], b[at+1:at+1+n])
	}
	protowire.AppendVarint(b[at:at], uint64(n)) //nolint:gosec // a length
	return b
}

// appendField writes one value with the number of its field. A zero is left out where that is how it is told.
func (f *fieldWriter) appendField(b []byte, num protowire.Number, kind protoreflect.Kind, v any, implicit bool) ([]byte, error) {
	before := len(b)
	b = protowire.AppendTag(b, num, wireType(kind))
	start := len(b)
	var err error
	if kind == protoreflect.MessageKind {
		b = append(b, 0)
		switch {
		case f.logical != data.NotLogical:
			b, err = appendLogical(b, f.logical, v)
		case f.wrapper != 0:
			b, err = f.appendField(b, 1, f.wrapper, v, true)
		default:
			b, err = f.of.structure(b, v)
		}
		if err != nil {
			return nil, err
		}
		return sized(b, start), nil
	}
	if b, err = f.appendValue(b, kind, v); err != nil {
		return nil, err
	}
	if implicit && zero(b[start:]) {
		return b[:before], nil
	}
	return b, nil
}

// zero tells whether a value is its type's zero by its bytes.
func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func (f *fieldWriter) appendValue(b []byte, kind protoreflect.Kind, v any) ([]byte, error) {
	t := f.conn.Type()
	switch v := v.(type) {
	case int8:
		if t == data.Int8 {
			return appendWhole(b, kind, int64(v))
		}
	case int16:
		if t == data.Int16 {
			return appendWhole(b, kind, int64(v))
		}
	case int32:
		if t == data.Int32 {
			return appendWhole(b, kind, int64(v))
		}
	case int64:
		if t == data.Int64 {
			return appendWhole(b, kind, v)
		}
	case float32:
		if t == data.Float32 && kind == protoreflect.DoubleKind {
			return protowire.AppendFixed64(b, math.Float64bits(float64(v))), nil
		}
		if t == data.Float32 {
			return protowire.AppendFixed32(b, math.Float32bits(v)), nil
		}
	case float64:
		if t == data.Float64 {
			return protowire.AppendFixed64(b, math.Float64bits(v)), nil
		}
	case bool:
		if t == data.Boolean {
			return protowire.AppendVarint(b, protowire.EncodeBool(v)), nil
		}
	case string:
		if t == data.String {
			return f.text(b, kind, v)
		}
	case []byte:
		if t == data.Bytes {
			return protowire.AppendBytes(b, v), nil
		}
	}
	return nil, bad("Invalid type for %s: class %s", t, data.ClassOf(v))
}

func (f *fieldWriter) text(b []byte, kind protoreflect.Kind, s string) ([]byte, error) {
	if kind == protoreflect.EnumKind {
		n, ok := f.symbols[s]
		if !ok {
			return nil, bad("%q is no symbol of the enum %s", s, f.conn.Name())
		}
		return protowire.AppendVarint(b, uint64(int64(n))), nil //nolint:gosec // its bits
	}
	if !utf8.ValidString(s) {
		return nil, bad("a text is no UTF-8, as Protobuf's are: %q", s)
	}
	return protowire.AppendString(b, s), nil
}

func appendWhole(b []byte, kind protoreflect.Kind, n int64) ([]byte, error) {
	var low, high int64 = math.MinInt64, math.MaxInt64
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind, protoreflect.EnumKind:
		low, high = math.MinInt32, math.MaxInt32
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		low, high = 0, math.MaxUint32
	default: // uint64 takes negative numbers as Java does: by their bits
	}
	if n < low || n > high {
		return nil, bad("%d does not fit into a %s", n, kind)
	}
	switch kind {
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return protowire.AppendVarint(b, protowire.EncodeZigZag(n)), nil
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protowire.AppendFixed32(b, uint32(n)), nil //nolint:gosec // its bits
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.AppendFixed64(b, uint64(n)), nil //nolint:gosec // its bits
	default:
		return protowire.AppendVarint(b, uint64(n)), nil //nolint:gosec // its bits
	}
}
