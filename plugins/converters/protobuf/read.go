package protobuf

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/millrace/millrace/sdk/data"
)

// input is what reading a message has used up, and what is at hand for the next one. Not safe for concurrent use.
type input struct {
	slots int
	free  []*parts
}

// maxSlots bounds how many fields and elements a message is read to: a message in a list takes two bytes, and may have a
// thousand fields that are not there.
const maxSlots = 10_000_000

func (in *input) use(n int) error {
	if in.slots += n; in.slots > maxSlots {
		return bad("the message has more than %d fields and elements", maxSlots)
	}
	return nil
}

var errBroken = bad("the message ends too soon, or it was written with another schema")

// value reads a whole message.
func (in *input) value(p *message, b []byte) (any, error) {
	in.slots = 0
	switch {
	case p.root == nil:
		return in.structure(p, b)
	case p.root.logical != data.NotLogical:
		return p.root.logicalValue(b)
	}
	return in.inner(p.root, b)
}

// schema is what value's values are of.
func (p *message) schema() *data.Schema {
	if p.root != nil {
		return p.root.conn
	}
	return p.conn
}

// parts is what was found of a message so far. Messages wait until the end, since what comes again adds to what was there.
type parts struct {
	values  []any
	lists   [][]any
	waiting [][]byte
	present []bool
	unions  []*field // what each union holds
}

// take returns room for the parts of a message.
func (in *input) take(p *message) *parts {
	got := &parts{}
	if n := len(in.free); n > 0 {
		got = in.free[n-1]
		in.free = in.free[:n-1]
	}
	n := len(p.ordered)
	got.values, got.present, got.unions = cleared(got.values, n), cleared(got.present, n), cleared(got.unions, p.unions)
	got.waiting, got.lists = cleared(got.waiting, n), cleared(got.lists, n)
	return got
}

// maxFree bounds how many are kept: as many as messages lie in each other.
const maxFree = 32

func (in *input) done(got *parts) {
	if len(in.free) < maxFree && len(got.values) <= 256 {
		clear(got.values)
		clear(got.waiting)
		clear(got.lists)
		in.free = append(in.free, got)
	}
}

// cleared is a slice with room for n zeros.
func cleared[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, max(n, 16))
	}
	s = s[:n]
	clear(s)
	return s
}

// read goes through a message.
func (in *input) read(p *message, b []byte) (*parts, error) {
	if err := in.use(len(p.ordered) + 1); err != nil {
		return nil, err
	}
	got := in.take(p)
	for len(b) > 0 {
		num, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return nil, errBroken
		}
		b = b[size:]
		if size = protowire.ConsumeFieldValue(num, typ, b); size < 0 {
			return nil, errBroken
		}
		if f := p.fields[num]; f != nil {
			if err := in.occurs(got, f, typ, b[:size]); err != nil {
				return nil, err
			}
		}
		b = b[size:]
	}
	for i, f := range p.ordered {
		if f.required && !got.present[i] {
			return nil, bad("Message missing required fields: %s", f.name)
		}
		if got.waiting[i] == nil {
			continue
		}
		v, err := in.inner(f, got.waiting[i])
		if err != nil {
			return nil, err
		}
		got.values[i] = v
	}
	return got, nil
}

// occurs reads one occurrence of a field.
func (in *input) occurs(got *parts, f *field, typ protowire.Type, b []byte) error {
	want := wireType(f.kind)
	if typ != want && (!f.repeated || typ != protowire.BytesType) {
		return nil // a field of another type that has the number: as one that is not known
	}
	i := f.place
	if f.union > 0 {
		if last := got.unions[f.union-1]; last != nil && last != f {
			got.present[last.place], got.values[last.place] = false, nil
			got.waiting[last.place] = nil
		}
		got.unions[f.union-1] = f
	}
	if typ == protowire.BytesType {
		b, _ = protowire.ConsumeBytes(b)
	}
	switch {
	case f.entry:
		return in.entry(got, f, i, b)
	case f.repeated:
		return in.elements(got, f, i, typ != want, b)
	case f.kind == protoreflect.MessageKind:
		if before := got.waiting[i]; before != nil {
			b = append(before[:len(before):len(before)], b...)
		} else if b == nil {
			b = []byte{}
		}
		got.waiting[i], got.present[i] = b, true
		return nil
	}
	v, err := f.read(b)
	if err == nil && v != nil {
		got.values[i], got.present[i] = v, true
	}
	return err
}

func (in *input) elements(got *parts, f *field, i int, packed bool, b []byte) error {
	list := got.lists[i]
	if got.present[i] = true; list == nil {
		list = make([]any, 0, 4)
	}
	defer func() { got.lists[i] = list }()
	if !packed {
		if err := in.use(1); err != nil {
			return err
		}
		var v any
		var err error
		if f.kind == protoreflect.MessageKind {
			v, err = in.inner(f, b)
		} else {
			v, err = f.read(b)
		}
		if err == nil && v != nil {
			list = append(list, v)
		}
		return err
	}
	for len(b) > 0 {
		size := protowire.ConsumeFieldValue(1, wireType(f.kind), b)
		if size < 0 {
			return errBroken
		}
		if err := in.use(1); err != nil {
			return err
		}
		v, err := f.read(b[:size])
		if err != nil {
			return err
		}
		if v != nil {
			list = append(list, v)
		}
		b = b[size:]
	}
	return nil
}

// maxOddKeys bounds maps whose keys are found by comparing all: the time grows with the square of their number.
const maxOddKeys = 2000

func (in *input) entry(got *parts, f *field, i int, b []byte) error {
	m, _ := got.values[i].(*data.Map)
	if m == nil {
		m = data.NewMap(0)
		got.values[i], got.present[i] = m, true
	}
	parts, err := in.read(f.of, b)
	if err != nil {
		return err
	}
	key, err := in.finished(f.of.ordered[0], parts, 0)
	if err != nil {
		return err
	}
	value, err := in.finished(f.of.ordered[1], parts, 1)
	if err != nil {
		return err
	}
	switch key.(type) {
	case []byte, *data.Struct:
		if m.Len() > maxOddKeys {
			return bad("the map %s has more than %d keys that are bytes or structs", f.name, maxOddKeys)
		}
	case nil:
		return bad("the map %s has an entry without a key", f.name)
	}
	m.Set(key, value)
	in.done(parts)
	return nil
}

// finished is the value of a field when all of the message was read.
func (in *input) finished(f *field, got *parts, i int) (any, error) {
	switch {
	case got.present[i] && f.repeated && !f.entry:
		return got.lists[i], nil
	case got.present[i]:
		return got.values[i], nil
	case f.union > 0 || f.absent && !f.repeated:
		return nil, nil
	case f.entry:
		return data.NewMap(0), nil
	case f.repeated:
		return []any{}, nil
	case f.kind == protoreflect.MessageKind:
		return in.inner(f, nil)
	}
	if b, ok := f.def.([]byte); ok { // not to be shared
		return append([]byte{}, b...), nil
	}
	return f.def, nil
}

func (in *input) structure(p *message, b []byte) (any, error) {
	got, err := in.read(p, b)
	if err != nil {
		return nil, err
	}
	st := data.NewStruct(p.conn)
	for i, f := range p.ordered {
		v, err := in.finished(f, got, i)
		switch {
		case err != nil:
			return nil, err
		case f.union == 0:
			st.SetAt(f.at, v)
		case got.present[i]:
			union := data.NewStruct(p.conn.Fields()[f.at].Schema)
			union.SetAt(f.member, v)
			st.SetAt(f.at, union)
		}
	}
	in.done(got)
	return st, nil
}

// inner reads what a field of a message type holds.
func (in *input) inner(f *field, b []byte) (any, error) {
	switch {
	case f.logical != data.NotLogical:
		return f.logicalValue(b)
	case !f.wrapper:
		return in.structure(f.of, b)
	}
	got, err := in.read(f.of, b)
	if err != nil {
		return nil, err
	}
	v, err := in.finished(f.of.ordered[0], got, 0)
	in.done(got)
	return v, err
}

func wireType(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	default:
		return protowire.VarintType
	}
}

// read reads a value that is no message, out of bytes that are whole. It returns nil for one that counts as not there.
func (f *field) read(b []byte) (any, error) {
	switch wireType(f.kind) {
	case protowire.VarintType:
		n, _ := protowire.ConsumeVarint(b)
		return f.whole(n), nil
	case protowire.Fixed32Type:
		n, _ := protowire.ConsumeFixed32(b)
		switch f.kind {
		case protoreflect.FloatKind:
			return math.Float32frombits(n), nil
		case protoreflect.Fixed32Kind:
			return int64(n), nil
		default:
			return f.small(int32(n)), nil //nolint:gosec // its bits
		}
	case protowire.Fixed64Type:
		n, _ := protowire.ConsumeFixed64(b)
		if f.kind == protoreflect.DoubleKind {
			return math.Float64frombits(n), nil
		}
		return int64(n), nil //nolint:gosec // its bits
	default:
	}
	if f.kind == protoreflect.BytesKind {
		return append(make([]byte, 0, len(b)), b...), nil
	}
	if f.utf8 && !utf8.Valid(b) {
		return nil, bad("Protocol message had invalid UTF-8 (field %s)", f.name)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD"), nil
}

func (f *field) whole(n uint64) any {
	switch f.kind {
	case protoreflect.BoolKind:
		return n != 0
	case protoreflect.EnumKind:
		return f.symbol(int32(n)) //nolint:gosec // cut as Java does
	case protoreflect.Int32Kind:
		return f.small(int32(n)) //nolint:gosec // cut as Java does
	case protoreflect.Sint32Kind:
		return f.small(int32(protowire.DecodeZigZag(n & math.MaxUint32))) //nolint:gosec // cut as Java does
	case protoreflect.Uint32Kind:
		return int64(uint32(n)) //nolint:gosec // cut as Java does
	case protoreflect.Sint64Kind:
		return protowire.DecodeZigZag(n)
	default:
		return int64(n) //nolint:gosec // its bits
	}
}

func (f *field) small(n int32) any {
	switch f.conn.Type() {
	case data.Int8:
		return int8(n) //nolint:gosec // cut as Java does
	case data.Int16:
		return int16(n) //nolint:gosec // cut as Java does
	default:
		return n
	}
}

// symbol is a value of an enum. One that has no name has that which Java makes up for it.
func (f *field) symbol(n int32) any {
	if s, ok := f.symbols[n]; ok {
		return s
	}
	switch {
	case f.closed:
		return nil
	case f.conn.Type() == data.Int32:
		return n
	}
	return fmt.Sprintf("UNKNOWN_ENUM_VALUE_%s_%d", f.enum, n)
}

// scalar is a default.
func (f *field) scalar(v protoreflect.Value) any {
	switch f.kind {
	case protoreflect.BoolKind:
		return v.Bool()
	case protoreflect.EnumKind:
		return f.symbol(int32(v.Enum()))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return f.small(int32(v.Int())) //nolint:gosec // of 32 bits
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return v.Int()
	case protoreflect.FloatKind:
		return float32(v.Float())
	case protoreflect.DoubleKind:
		return v.Float()
	case protoreflect.StringKind:
		return v.String()
	case protoreflect.BytesKind:
		return append([]byte{}, v.Bytes()...)
	default:
		return int64(v.Uint()) //nolint:gosec // its bits
	}
}
