package protobuf

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/millrace/millrace/sdk/data"
)

// writer is the plan by which values of a schema are written as messages of a type.
type writer struct {
	conn   *data.Schema
	name   string
	fields []fieldWriter // by number
	unions []int         // places of the struct's fields that are unions
	root   *fieldWriter  // of a value that is no struct
}

// fieldWriter is how a field of a message is written.
type fieldWriter struct {
	at     int // its place in the struct
	union  bool
	member int // its place in the union

	num      protowire.Number
	kind     protoreflect.Kind
	conn     *data.Schema // of an element, where it is repeated
	repeated bool
	packed   bool
	implicit bool // a value that is the type's zero is left out
	entry    *[2]fieldWriter
	of       *writer // a message
	logical  data.Logical
	wrapper  protoreflect.Kind // of a message that holds one value; 0: it is none
	symbols  map[string]int32
	nullable bool
	raw      bool // a null stays one where there is a default
}

// binder makes plans.
type binder struct {
	rules
	strict bool // every field must have a place
	parts  int
}

// write is the plan for values of a schema as whole messages.
func (r rules) write(conn *data.Schema, m protoreflect.MessageDescriptor, strict bool) (*writer, error) {
	b := &binder{rules: r, strict: strict}
	full := string(m.FullName())
	switch {
	case conn.Logical() != data.NotLogical:
		if logicals[conn.Logical()] == full && conn.Logical() != data.LogicalDecimal {
			return &writer{conn: conn, name: full, root: &fieldWriter{conn: conn, kind: protoreflect.MessageKind, logical: conn.Logical()}}, nil
		}
	case conn.Type() == data.StructType && !isUnion(conn):
		return b.message(conn, m)
	case wrapped[full] != 0:
		f := &fieldWriter{conn: conn}
		if err := b.single(f, conn, m.Fields().Get(0)); err != nil {
			return nil, err
		}
		f.wrapper = f.kind
		return &writer{conn: conn, name: full, root: f}, nil
	}
	return nil, bad("%s can't be written as the message %s", conn, full)
}

func (b *binder) message(conn *data.Schema, m protoreflect.MessageDescriptor) (*writer, error) {
	w := &writer{conn: conn, name: string(m.FullName())}
	for i, field := range conn.Fields() {
		if !isUnion(field.Schema) {
			if err := b.put(w, m, fieldWriter{at: i}, field); err != nil {
				return nil, err
			}
			continue
		}
		w.unions = append(w.unions, i)
		for j, member := range field.Schema.Fields() {
			if err := b.put(w, m, fieldWriter{at: i, union: true, member: j}, member); err != nil {
				return nil, err
			}
		}
	}
	for i := range m.Fields().Len() {
		fd := m.Fields().Get(i)
		if fd.Cardinality() == protoreflect.Required && !slices.ContainsFunc(w.fields, func(f fieldWriter) bool { return f.num == fd.Number() }) {
			return nil, bad("the message %s must have a field %s, and the struct has no such field", w.name, fd.Name())
		}
	}
	slices.SortFunc(w.fields, func(a, b fieldWriter) int { return cmp.Compare(a.num, b.num) })
	return w, nil
}

// put adds a field of a struct to the plan of its message.
func (b *binder) put(w *writer, m protoreflect.MessageDescriptor, f fieldWriter, field data.Field) error {
	fd := m.Fields().ByName(protoreflect.Name(b.scrubbed(field.Name)))
	if fd == nil {
		if b.strict {
			return bad("the message %s has no field %s", w.name, field.Name)
		}
		return nil
	}
	if slices.ContainsFunc(w.fields, func(o fieldWriter) bool { return o.num == fd.Number() }) {
		return bad("two fields of the struct are the field %s of the message %s", fd.Name(), w.name)
	}
	if err := b.bind(&f, field.Schema, fd); err != nil {
		return err
	}
	w.fields = append(w.fields, f)
	return nil
}

// bind finds out how values of a schema are written as a field.
func (b *binder) bind(f *fieldWriter, conn *data.Schema, fd protoreflect.FieldDescriptor) error {
	if b.parts++; b.parts > maxParts {
		return bad("the Protobuf schema has more than %d parts, those of messages that are named again counted again", maxParts)
	}
	if conn == nil {
		return bad("there is no schema for what is written as %s", fd.FullName())
	}
	f.num, f.repeated, f.packed = fd.Number(), fd.Cardinality() == protoreflect.Repeated, fd.IsPacked()
	f.implicit = !fd.HasPresence()
	f.nullable, f.raw = conn.Optional(), b.ignoreDefault && conn.Optional()
	isMap := conn.Type() == data.MapType
	if f.repeated != (conn.Type() == data.Array || isMap) {
		return bad("%s can't be written as the field %s of the message %s: only lists and maps are repeated", conn, fd.Name(), fd.ContainingMessage().FullName())
	}
	if isMap {
		return b.entries(f, conn, fd)
	}
	if f.repeated {
		if conn = conn.ValueSchema(); conn == nil {
			return bad("there is no schema for the elements of %s", fd.FullName())
		}
	}
	return b.single(f, conn, fd)
}

func (b *binder) entries(f *fieldWriter, conn *data.Schema, fd protoreflect.FieldDescriptor) error {
	f.conn = conn
	m := fd.Message()
	if m == nil || m.Fields().ByName(entryKey) == nil || m.Fields().ByName(entryValue) == nil {
		return bad("a map can't be written as the field %s: it must be a map, or repeated messages of %s and %s", fd.FullName(), entryKey, entryValue)
	}
	f.kind, f.entry = protoreflect.MessageKind, &[2]fieldWriter{}
	if err := b.bind(&f.entry[0], conn.KeySchema(), m.Fields().ByName(entryKey)); err != nil {
		return err
	}
	if err := b.bind(&f.entry[1], conn.ValueSchema(), m.Fields().ByName(entryValue)); err != nil {
		return err
	}
	if m.IsMapEntry() { // others write both, be they zero
		f.entry[0].implicit, f.entry[1].implicit = false, false
	}
	return nil
}

// wholes are the kinds that take whole numbers. Those that do not fit are refused when they come.
var wholes = []protoreflect.Kind{protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind, protoreflect.Uint32Kind, protoreflect.Fixed32Kind,
	protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind}

// takes are the kinds that values of a type are written as without loss.
var takes = map[data.Type][]protoreflect.Kind{data.Int8: wholes, data.Int16: wholes, data.Int32: append(wholes[:10:10], protoreflect.EnumKind), data.Int64: wholes,
	data.Float32: {protoreflect.FloatKind, protoreflect.DoubleKind}, data.Float64: {protoreflect.DoubleKind}, data.Boolean: {protoreflect.BoolKind},
	data.String: {protoreflect.StringKind, protoreflect.EnumKind}, data.Bytes: {protoreflect.BytesKind}, data.StructType: {protoreflect.MessageKind}}

// single finds out how one value, or one element, is written.
func (b *binder) single(f *fieldWriter, conn *data.Schema, fd protoreflect.FieldDescriptor) (err error) {
	f.conn, f.kind, f.logical = conn, fd.Kind(), conn.Logical()
	fits := slices.Contains(takes[conn.Type()], f.kind) && !isUnion(conn)
	m := fd.Message()
	switch {
	case f.logical != data.NotLogical:
		fits = m != nil && string(m.FullName()) == logicals[f.logical]
	case f.kind == protoreflect.MessageKind && wrapped[string(m.FullName())] != 0 && conn.Type() != data.StructType:
		inner := m.Fields().Get(0)
		f.wrapper = inner.Kind()
		fits = slices.Contains(takes[conn.Type()], f.wrapper)
	case fits && f.kind == protoreflect.MessageKind:
		f.of, err = b.message(conn, m)
	case fits && f.kind == protoreflect.EnumKind:
		f.symbols = map[string]int32{}
		for i := range fd.Enum().Values().Len() {
			v := fd.Enum().Values().Get(i)
			f.symbols[string(v.Name())] = int32(v.Number())
		}
	}
	if !fits {
		return bad("%s can't be written as the field %s of the message %s, which is %s", conn, fd.Name(), fd.ContainingMessage().FullName(), kindName(fd))
	}
	return err
}

func kindName(fd protoreflect.FieldDescriptor) string {
	if m := fd.Message(); m != nil {
		return string(m.FullName())
	}
	return fd.Kind().String()
}
