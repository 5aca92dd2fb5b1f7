package protobuf

import (
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/millrace/millrace/sdk/data"
)

// message is the plan by which messages of a type are read.
type message struct {
	conn     *data.Schema // of a struct
	fields   map[protoreflect.FieldNumber]*field
	ordered  []*field
	unions   int    // how many fields of the struct are unions
	required int    // how many fields must be there
	root     *field // of a wrapper or a time that is a whole value: what it is read as
}

// field is how a field of a message is read.
type field struct {
	kind     protoreflect.Kind
	conn     *data.Schema // of an element, where it is repeated
	list     *data.Schema // of the list, where it is repeated
	place    int          // its place in the plan
	at       int          // its place in the struct
	union    int          // 1 more than the number of the union that it is a member of
	member   int          // its place in that
	name     string       // for messages
	repeated bool
	required bool
	absent   bool // null where it is not there; else def, or a message without content
	utf8     bool // texts must be
	def      any
	of       *message // a message
	entry    bool     // of is an entry of a map
	wrapper  bool     // of a value: of has one field
	logical  data.Logical
	symbols  map[int32]any
	enum     string
	closed   bool // numbers that are no symbol's count as not there
}

// toConnect makes of messages the schemas of what is read, and the plans by which it is read.
type toConnect struct {
	rules
	open  map[protoreflect.FullName]bool
	parts int
}

// maxParts bounds the plan of a schema: one that names a message twice in a message, and so on, doubles with each level.
const maxParts = 100_000

// read is the plan for whole messages of a type. version is that of the registry, 0 for none.
func (r rules) read(m protoreflect.MessageDescriptor, version int) (*message, error) {
	t := &toConnect{rules: r, open: map[protoreflect.FullName]bool{}}
	var opts []data.Option
	if version > 0 {
		opts = append(opts, data.Version(int32(version))) //nolint:gosec // a version
	}
	full := string(m.FullName())
	if logical, ok := logicalOf[full]; ok && r.wrapRaw && logical != data.LogicalDecimal {
		f := &field{logical: logical, name: full}
		conn, err := logicalSchema(logical, 0)
		f.conn = conn
		return &message{root: f}, err
	}
	if typ, ok := wrapped[full]; ok && r.wrapRaw {
		plan, err := t.fields(m)
		if err != nil {
			return nil, err
		}
		conn, err := data.Build(typ, opts...)
		plan.root = &field{wrapper: true, of: plan, conn: conn, name: full}
		return plan, err
	}
	return t.message(m, opts...)
}

// logicalSchema is the schema of a logical type.
func logicalSchema(logical data.Logical, scale int32, opts ...data.Option) (*data.Schema, error) {
	opts = append([]data.Option{data.Version(1)}, opts...)
	switch logical {
	case data.LogicalDate:
		return data.Build(data.Int32, append(opts, data.Name(data.DateName))...)
	case data.LogicalTime:
		return data.Build(data.Int32, append(opts, data.Name(data.TimeName))...)
	case data.LogicalTimestamp:
		return data.Build(data.Int64, append(opts, data.Name(data.TimestampName))...)
	default:
		opts = append([]data.Option{data.Param(data.ScaleParam, strconv.Itoa(int(scale)))}, opts...)
		return data.Build(data.Bytes, append(opts, data.Name(data.DecimalName))...)
	}
}

func (t *toConnect) name(d protoreflect.Descriptor) string {
	if t.enhanced {
		return string(d.FullName())
	}
	return string(d.Name())
}

// fields is a plan without a schema: the fields of a message that holds one value.
func (t *toConnect) fields(m protoreflect.MessageDescriptor) (*message, error) {
	plan := &message{fields: map[protoreflect.FieldNumber]*field{}}
	for i := range m.Fields().Len() {
		fd := m.Fields().Get(i)
		f, err := t.field(fd)
		if err != nil {
			return nil, err
		}
		f.at = i
		plan.add(fd, f)
	}
	return plan, nil
}

func (p *message) add(fd protoreflect.FieldDescriptor, f *field) {
	p.fields[fd.Number()] = f
	f.place = len(p.ordered)
	p.ordered = append(p.ordered, f)
	if f.required {
		p.required++
	}
}

// message is the plan of a message that is a struct. The schema has the fields that are one of several first.
func (t *toConnect) message(m protoreflect.MessageDescriptor, opts ...data.Option) (*message, error) {
	if t.open[m.FullName()] {
		return nil, bad("The message %s has itself inside: records of such a schema can't be read. Leave the field out, or keep the message as it is with ByteArrayConverter", m.FullName())
	}
	t.open[m.FullName()] = true
	defer delete(t.open, m.FullName())
	plan := &message{fields: map[protoreflect.FieldNumber]*field{}}
	var fields []data.Field
	put := func(fd protoreflect.FieldDescriptor) error {
		f, err := t.field(fd)
		if err != nil {
			return err
		}
		f.at = len(fields)
		conn := f.conn
		if f.list != nil {
			conn = f.list
		}
		fields = append(fields, data.Field{Name: string(fd.Name()), Schema: conn})
		plan.add(fd, f)
		return nil
	}
	for i := range m.Oneofs().Len() {
		o := m.Oneofs().Get(i)
		switch {
		case o.IsSynthetic(): // of a field that is optional
		case t.flatten:
			for j := range o.Fields().Len() {
				if err := put(o.Fields().Get(j)); err != nil {
					return nil, err
				}
			}
		default:
			plan.unions++
			conn, err := t.union(plan, o, len(fields))
			if err != nil {
				return nil, err
			}
			name := string(o.Name())
			if t.index {
				name += "_" + strconv.Itoa(o.Index())
			}
			fields = append(fields, data.Field{Name: name, Schema: conn})
		}
	}
	for i := range m.Fields().Len() {
		fd := m.Fields().Get(i)
		if o := fd.ContainingOneof(); o != nil && !o.IsSynthetic() {
			continue
		}
		if err := put(fd); err != nil {
			return nil, err
		}
	}
	var err error
	plan.conn, err = data.Build(data.StructType, append([]data.Option{data.Name(t.name(m)), data.Fields(fields...)}, opts...)...)
	return plan, err
}

func (t *toConnect) union(plan *message, o protoreflect.OneofDescriptor, at int) (*data.Schema, error) {
	var fields []data.Field
	for i := range o.Fields().Len() {
		fd := o.Fields().Get(i)
		f, err := t.field(fd)
		if err != nil {
			return nil, err
		}
		f.at, f.union, f.member = at, plan.unions, i
		plan.add(fd, f)
		fields = append(fields, data.Field{Name: string(fd.Name()), Schema: f.conn})
	}
	opts := []data.Option{data.Name(unionPrefix + t.name(o)), data.Fields(fields...), data.Optional()}
	if t.sums {
		opts[0] = data.Name(string(o.Name()))
		opts = append(opts, data.Param(sumUnion, string(o.Name())))
	}
	return data.Build(data.StructType, opts...)
}

// optional tells whether a field is declared so: in proto3 by the word, in proto2 each that is neither required nor repeated.
func optional(fd protoreflect.FieldDescriptor) (proto3, either bool) {
	if fd.ParentFile().Syntax() == protoreflect.Proto3 {
		return fd.HasOptionalKeyword(), fd.HasOptionalKeyword()
	}
	return false, fd.Cardinality() == protoreflect.Optional && fd.ContainingOneof() == nil && (fd.HasOptionalKeyword() || fd.HasPresence())
}

func (t *toConnect) field(fd protoreflect.FieldDescriptor) (*field, error) {
	if t.parts++; t.parts > maxParts {
		return nil, bad("the Protobuf schema has more than %d parts, those of messages that are named again counted again", maxParts)
	}
	if fd.Kind() == protoreflect.GroupKind {
		return nil, bad("Unknown Connect schema type: GROUP (field %s); groups can't be read", fd.FullName())
	}
	proto3, either := optional(fd)
	f := &field{kind: fd.Kind(), name: string(fd.FullName()), repeated: fd.Cardinality() == protoreflect.Repeated, required: fd.Cardinality() == protoreflect.Required,
		utf8: fd.ParentFile().Syntax() == protoreflect.Proto3}
	opts := []data.Option{data.Param(paramTag, strconv.Itoa(int(fd.Number())))}
	o := fd.ContainingOneof()
	member := o != nil && !o.IsSynthetic()
	if t.optionals && either || !t.optionals && !t.wrap || member {
		opts = append(opts, data.Optional())
	}
	if fd.Kind() == protoreflect.MessageKind {
		f.absent = !t.structs || member
		return f, t.messageField(f, fd, opts)
	}
	f.absent = (proto3 || t.proto2 && either) && !t.structs || member
	typ, before := t.scalar(f, fd)
	var err error
	if f.repeated {
		if f.conn, err = data.Build(typ, append(before, data.Optional())...); err == nil {
			f.list, err = data.Build(data.Array, append([]data.Option{data.Elements(f.conn), data.Optional()}, opts...)...)
		}
		return f, err
	}
	f.conn, err = data.Build(typ, append(before, opts...)...)
	f.def = f.scalar(fd.Default())
	return f, err
}

// scalar is the type that values of a field are read as, and the options that come before all others.
func (t *toConnect) scalar(f *field, fd protoreflect.FieldDescriptor) (data.Type, []data.Option) {
	asked := func(usual protoreflect.Kind) (opts []data.Option) {
		if fd.Kind() != usual {
			opts = append(opts, data.Param(paramType, fd.Kind().String()))
		}
		return opts
	}
	switch fd.Kind() {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		switch metaOf(fd)[metaType] {
		case "int8":
			return data.Int8, nil
		case "int16":
			return data.Int16, nil
		}
		return data.Int32, asked(protoreflect.Int32Kind)
	case protoreflect.FloatKind:
		return data.Float32, nil
	case protoreflect.DoubleKind:
		return data.Float64, nil
	case protoreflect.BoolKind:
		return data.Boolean, nil
	case protoreflect.StringKind:
		return data.String, nil
	case protoreflect.BytesKind:
		return data.Bytes, nil
	case protoreflect.EnumKind:
		return t.enum(f, fd.Enum())
	default:
		return data.Int64, asked(protoreflect.Int64Kind)
	}
}

func (t *toConnect) enum(f *field, e protoreflect.EnumDescriptor) (data.Type, []data.Option) {
	param, typ := paramEnum, data.String
	if t.sums {
		param = sumEnum
	}
	if t.intEnums {
		typ = data.Int32
	}
	f.enum, f.closed = string(e.Name()), e.IsClosed()
	f.symbols = make(map[int32]any, e.Values().Len())
	opts := []data.Option{data.Name(t.name(e)), data.Param(param, f.enum)}
	for i := range e.Values().Len() {
		v := e.Values().Get(i)
		n := int32(v.Number())
		opts = append(opts, data.Param(param+"."+string(v.Name()), strconv.Itoa(int(n))))
		if _, alias := f.symbols[n]; alias {
			continue
		}
		if f.symbols[n] = string(v.Name()); t.intEnums {
			f.symbols[n] = n
		}
	}
	return typ, append(opts, data.Optional())
}

func (t *toConnect) messageField(f *field, fd protoreflect.FieldDescriptor, opts []data.Option) (err error) {
	m := fd.Message()
	full := string(m.FullName())
	opts = append(opts, data.Optional())
	mine := opts
	if f.repeated {
		mine = []data.Option{data.Optional()}
	}
	switch typ, isWrapper := wrapped[full]; {
	case logicalOf[full] != data.NotLogical:
		f.logical = logicalOf[full]
		if f.logical == data.LogicalDate || f.logical == data.LogicalDecimal {
			f.absent = true // there is no date, and no number, without content
		}
		meta := metaOf(fd)
		scale, _ := strconv.ParseInt(meta[metaScale], 10, 32) // 0 if it is none
		if p, err := strconv.ParseInt(meta[metaPrecision], 10, 32); err == nil && f.logical == data.LogicalDecimal {
			mine = append([]data.Option{data.Param(paramPrecision, strconv.FormatInt(p, 10))}, mine...)
		}
		f.conn, err = logicalSchema(f.logical, int32(scale), mine...)
	case isWrapper && t.wrap:
		f.wrapper = true
		if f.of, err = t.fields(m); err == nil {
			f.conn, err = data.Build(typ, mine...)
		}
	case f.repeated && isEntry(m):
		return t.mapField(f, m, opts)
	default:
		if f.of, err = t.message(m, mine...); err == nil {
			f.conn = f.of.conn
		}
	}
	if err == nil && f.repeated {
		f.list, err = data.Build(data.Array, append([]data.Option{data.Elements(f.conn)}, opts...)...)
	}
	return err
}

// isEntry tells whether a message is an entry of a map: those that stand for one, and those that look the same, as Confluent's
// converter writes them.
func isEntry(m protoreflect.MessageDescriptor) bool {
	fs := m.Fields()
	return m.IsMapEntry() || strings.HasSuffix(string(m.Name()), entrySuffix) && fs.Len() == 2 && fs.Get(0).Name() == entryKey && fs.Get(1).Name() == entryValue &&
		fs.Get(0).Cardinality() != protoreflect.Repeated && fs.Get(1).Cardinality() != protoreflect.Repeated
}

func (t *toConnect) mapField(f *field, m protoreflect.MessageDescriptor, opts []data.Option) (err error) {
	if t.open[m.FullName()] {
		return bad("The map %s has itself inside: records of such a schema can't be read", m.FullName())
	}
	t.open[m.FullName()] = true
	defer delete(t.open, m.FullName())
	if f.of, err = t.fields(m); err != nil {
		return err
	}
	for _, part := range f.of.ordered { // a part that is not there is what it is without content
		part.absent = part.logical == data.LogicalDate || part.logical == data.LogicalDecimal
	}
	f.entry = true
	f.list, err = data.Build(data.MapType, append([]data.Option{data.Entries(f.of.ordered[0].conn, f.of.ordered[1].conn), data.Name(mapName(t.name(m)))}, opts...)...)
	f.conn = f.list
	return err
}
