package protobuf

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/sdk/data"
)

// own is the schema of values of a schema, as text, and the full name of their message.
func (r rules) own(s *data.Schema) (text, name string, err error) {
	if of, ok := logicals[s.Logical()]; ok {
		switch s.Logical() {
		case data.LogicalDate:
			return known[dateFile], of, nil
		case data.LogicalTime:
			return known[timeFile], of, nil
		case data.LogicalTimestamp:
			return timestampText, of, nil
		default: // the message of a field could keep the scale, one alone can't
			return "", "", bad("Unsupported root schema of type %s (%s): put it into a struct, for example with HoistField", s.Type(), s.Name())
		}
	}
	switch s.Type() {
	case data.StructType:
		if isUnion(s) {
			return "", "", bad("Unsupported root schema: the union %s must be a field of a struct; put it into one, for example with HoistField", s.Name())
		}
	case data.Array, data.MapType:
		return "", "", bad("Unsupported root schema of type %s: put it into a struct, for example with HoistField", s.Type())
	case data.Int8, data.Int16:
		return wrappersText, wrappers["int32"], nil
	default:
		return wrappersText, wrappers[scalarNames[s.Type()]], nil
	}
	f := &fromConnect{rules: r, imports: map[string]bool{}}
	full := f.nameOr(s.Name())
	parts := strings.Split(full, ".")
	for i, p := range parts {
		parts[i] = r.scrubbed(p)
	}
	last := len(parts) - 1
	f.pkg = strings.Join(parts[:last], ".")
	m, err := f.message(parts[last], s)
	if err != nil {
		return "", "", err
	}
	return f.print(m), strings.Join(parts, "."), nil
}

// fromConnect makes a schema for Protobuf of one of the data model.
type fromConnect struct {
	rules
	pkg     string
	imports map[string]bool
	unnamed int
	shadow  bool // something here has the name of a package that types are imported from
	depth   int
}

// maxNesting bounds how deep messages lie in messages.
const maxNesting = 100

// messageDef is a message as it is declared.
type messageDef struct {
	name    string
	of      *data.Schema
	fields  []fieldDef
	oneofs  []oneofDef
	nested  []*messageDef
	enums   []*enumDef
	numbers map[int]bool
}

type fieldDef struct {
	label, typ, name string
	number           int
	meta             [][2]string // parameters that the field's options keep
}

type oneofDef struct {
	name   string
	fields []fieldDef
}

type enumDef struct {
	name    string
	symbols []symbol
}

type symbol struct {
	name   string
	number int32
}

// symbolsOf are the symbols of an enum, 0 first as proto3 has it; none where a parameter is no number.
func symbolsOf(s *data.Schema, param string) (all []symbol) {
	for k, v := range s.Params() {
		name, ok := strings.CutPrefix(k, param+".")
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(v, 10, 32)
		if err != nil {
			return nil
		}
		all = append(all, symbol{name, int32(n)})
	}
	if i := slices.IndexFunc(all, func(s symbol) bool { return s.number == 0 }); i > 0 {
		zero := all[i]
		copy(all[1:], all[:i])
		all[0] = zero
	}
	return all
}

func (f *fromConnect) nameOr(name string) string {
	if name != "" {
		return name
	}
	f.unnamed++
	return defaultName + strconv.Itoa(f.unnamed)
}

// unqualified is the name of a message that is declared in another.
func (f *fromConnect) unqualified(name string) string { return f.scrubbed(simple(f.nameOr(name))) }

func (f *fromConnect) message(name string, s *data.Schema) (*messageDef, error) {
	if f.depth++; f.depth > maxNesting {
		return nil, bad("structs lie in structs more than %d deep", maxNesting)
	}
	defer func() { f.depth-- }()
	m := &messageDef{name: name, of: s, numbers: map[int]bool{}}
	f.named(name)
	if err := m.take(s); err != nil {
		return nil, err
	}
	for _, field := range s.Fields() {
		if isUnion(field.Schema) {
			if err := f.oneof(m, field); err != nil {
				return nil, err
			}
			continue
		}
		d, err := f.field(m, f.scrubbed(field.Name), field.Schema)
		if err != nil {
			return nil, err
		}
		m.fields = append(m.fields, d)
	}
	return m, nil
}

func (f *fromConnect) named(name string) {
	f.shadow = f.shadow || name == "google" || name == "confluent"
}

// take notes the numbers that fields ask for, so that no other gets one of them.
func (m *messageDef) take(s *data.Schema) error {
	for _, field := range s.Fields() {
		if isUnion(field.Schema) {
			if err := m.take(field.Schema); err != nil {
				return err
			}
			continue
		}
		text, ok := field.Schema.Param(paramTag)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 536870911 || n >= 19000 && n <= 19999 {
			return bad("Invalid parameter %s=%s of the field %s: it must be a field number of Protobuf", paramTag, text, field.Name)
		}
		if m.numbers[n] {
			return bad("Field number %d has already been used in %q by another field than %q (parameter %s)", n, m.name, field.Name, paramTag)
		}
		m.numbers[n] = true
	}
	return nil
}

// number is the number of a field: its own, or the first that is free.
func (m *messageDef) number(s *data.Schema) int {
	if text, ok := s.Param(paramTag); ok {
		n, _ := strconv.Atoi(text) // it was looked at
		return n
	}
	n := 1
	for m.numbers[n] {
		n++
	}
	m.numbers[n] = true
	return n
}

func (f *fromConnect) oneof(m *messageDef, field data.Field) error {
	name, ok := field.Schema.Param(sumUnion)
	if !ok {
		if name, ok = strings.CutPrefix(field.Schema.Name(), unionPrefix); !ok {
			name = field.Name
		}
	}
	o := oneofDef{name: f.unqualified(name)}
	f.named(o.name)
	for _, member := range field.Schema.Fields() {
		if t := member.Schema.Type(); t == data.Array || t == data.MapType || isUnion(member.Schema) {
			return bad("The union %s has a field %s of type %s: a oneof can't hold that", name, member.Name, t)
		}
		d, err := f.field(m, f.scrubbed(member.Name), member.Schema)
		if err != nil {
			return err
		}
		d.label = ""
		o.fields = append(o.fields, d)
	}
	m.oneofs = append(m.oneofs, o)
	return nil
}

func (f *fromConnect) field(m *messageDef, name string, s *data.Schema) (d fieldDef, err error) {
	f.named(name)
	d = fieldDef{name: name, number: m.number(s)}
	switch {
	case s.Type() == data.Array:
		d.label = "repeated"
		if s = s.ValueSchema(); s == nil {
			return d, bad("The array %s has no schema for its elements", name)
		}
		if s.Type() == data.Array || s.Type() == data.MapType || isUnion(s) {
			return d, bad("Array cannot be nested: Protobuf has no lists of lists or maps; put what is in %s into a struct", name)
		}
	case s.Type() == data.MapType:
		d.label = "repeated"
	case f.optionals && s.Optional():
		d.label = "optional"
	}
	d.typ, err = f.typeOf(m, &d, s)
	return d, err
}

// scalarNames are the types of values that need no declaration.
var scalarNames = map[data.Type]string{data.Int8: "int32", data.Int16: "int32", data.Int32: "int32", data.Int64: "int64", data.Float32: "float", data.Float64: "double",
	data.Boolean: "bool", data.String: "string", data.Bytes: "bytes"}

// wholeTypes are the types that a whole number may ask for with a parameter, and those of their wrappers.
var wholeTypes = map[data.Type]map[string]string{
	data.Int32: {"int32": "int32", "sint32": "int32", "sfixed32": "int32"},
	data.Int64: {"int64": "int64", "sint64": "int64", "sfixed64": "int64", "uint32": "uint32", "fixed32": "uint32", "uint64": "uint64", "fixed64": "uint64"},
}

func (f *fromConnect) typeOf(m *messageDef, d *fieldDef, s *data.Schema) (string, error) {
	if typ, ok := logicals[s.Logical()]; ok {
		f.imports[map[data.Logical]string{data.LogicalDecimal: decimalFile, data.LogicalDate: dateFile, data.LogicalTime: timeFile, data.LogicalTimestamp: timestampFile}[s.Logical()]] = true
		if s.Logical() == data.LogicalDecimal {
			f.keep(d, s, paramPrecision, metaPrecision)
			f.keep(d, s, data.ScaleParam, metaScale)
		}
		return typ, nil
	}
	if param, name, ok := enumParam(s); ok {
		if name == "" {
			name = f.nameOr(s.Name())
		}
		name = f.scrubbed(simple(name))
		return name, m.declare(&enumDef{name, symbolsOf(s, param)})
	}
	switch s.Type() {
	case data.StructType:
		return f.structType(m, d, s)
	case data.MapType:
		return f.mapType(m, s)
	default:
	}
	typ, wrapper := scalarNames[s.Type()], scalarNames[s.Type()]
	if asked, ok := s.Param(paramType); ok && wholeTypes[s.Type()] != nil {
		if wrapper, ok = wholeTypes[s.Type()][asked]; !ok {
			return "", bad("Invalid parameter %s=%s of the field %s: %s can't be written as that", paramType, asked, d.name, s.Type())
		}
		typ = asked
	}
	if s.Type() == data.Int8 || s.Type() == data.Int16 {
		f.imports[metaFile] = true
		d.meta = append(d.meta, [2]string{metaType, strings.ToLower(s.Type().String())})
	}
	if f.wrap && s.Optional() {
		f.imports[wrappersFile] = true
		return wrappers[wrapper], nil
	}
	return typ, nil
}

// keep notes a parameter of the schema in the field's options.
func (f *fromConnect) keep(d *fieldDef, s *data.Schema, param, key string) {
	if v, ok := s.Param(param); ok {
		f.imports[metaFile] = true
		d.meta = append(d.meta, [2]string{key, v})
	}
}

func (f *fromConnect) structType(m *messageDef, d *fieldDef, s *data.Schema) (string, error) {
	name := f.unqualified(s.Name())
	if name == d.name || m.hasName(name, f) { // a message and a field can't have one name
		name += "Message"
	}
	for _, n := range m.nested {
		if n.name == name {
			if !alike(n.of, s) {
				return "", bad("Two structs in %s have the name %s and differ", m.name, name)
			}
			return name, nil
		}
	}
	n, err := f.message(name, s)
	if err == nil {
		m.nested = append(m.nested, n)
	}
	return name, err
}

// alike tells whether two structs are one message: what a field says of them does not count.
func alike(a, b *data.Schema) bool {
	if len(a.Fields()) != len(b.Fields()) || a.Name() != b.Name() {
		return false
	}
	for i, f := range a.Fields() {
		if g := b.Fields()[i]; f.Name != g.Name || !f.Schema.Equal(g.Schema) {
			return false
		}
	}
	return true
}

func (m *messageDef) hasName(name string, f *fromConnect) bool {
	return slices.ContainsFunc(m.of.Fields(), func(field data.Field) bool {
		if !isUnion(field.Schema) {
			return f.scrubbed(field.Name) == name
		}
		return slices.ContainsFunc(field.Schema.Fields(), func(member data.Field) bool { return f.scrubbed(member.Name) == name })
	})
}

func (f *fromConnect) mapType(m *messageDef, s *data.Schema) (string, error) {
	if s.KeySchema() == nil || s.ValueSchema() == nil {
		return "", bad("A map in %s has no schema for its keys or values", m.name)
	}
	name := entryName(f.unqualified(s.Name()))
	entry := data.StructOf([]data.Field{{Name: entryKey, Schema: s.KeySchema()}, {Name: entryValue, Schema: s.ValueSchema()}})
	for _, n := range m.nested {
		if n.name == name {
			if !alike(n.of, entry) {
				return "", bad("Two maps in %s have the name %s and differ", m.name, s.Name())
			}
			return name, nil
		}
	}
	for _, part := range entry.Fields() {
		if isUnion(part.Schema) {
			return "", bad("The map %s has a union as its %s, which Protobuf does not have", s.Name(), part.Name)
		}
	}
	// As in a map of Protobuf's own the key is 1, the value 2, whatever the parameters say.
	n := &messageDef{name: name, of: entry, numbers: map[int]bool{}}
	f.named(name)
	for i, part := range entry.Fields() {
		d, err := f.field(n, part.Name, part.Schema)
		if err != nil {
			return "", err
		}
		d.number = i + 1
		n.fields = append(n.fields, d)
	}
	m.nested = append(m.nested, n)
	return name, nil
}

func (m *messageDef) declare(e *enumDef) error {
	for _, other := range m.enums {
		if other.name == e.name {
			if !slices.Equal(other.symbols, e.symbols) {
				return bad("Two enums in %s have the name %s and differ", m.name, e.name)
			}
			return nil
		}
	}
	m.enums = append(m.enums, e)
	return nil
}

// print writes a whole file.
func (f *fromConnect) print(m *messageDef) string {
	var b strings.Builder
	b.WriteString("syntax = \"proto3\";\n")
	if f.pkg != "" {
		b.WriteString("package " + f.pkg + ";\n")
		for p := range strings.SplitSeq(f.pkg, ".") {
			f.named(p)
		}
	}
	b.WriteByte('\n')
	for _, file := range slices.Sorted(maps.Keys(f.imports)) {
		fmt.Fprintf(&b, "import %q;\n", file)
	}
	if len(f.imports) > 0 {
		b.WriteByte('\n')
	}
	f.printMessage(&b, m, "")
	return b.String()
}

func (f *fromConnect) printMessage(b *strings.Builder, m *messageDef, indent string) {
	b.WriteString(indent + "message " + m.name + " {\n")
	inner := indent + "  "
	for _, d := range m.fields {
		f.printField(b, d, inner)
	}
	gap := len(m.fields) > 0
	next := func() {
		if gap {
			b.WriteByte('\n')
		}
		gap = true
	}
	for _, o := range m.oneofs {
		next()
		b.WriteString(inner + "oneof " + o.name + " {\n")
		for _, d := range o.fields {
			f.printField(b, d, inner+"  ")
		}
		b.WriteString(inner + "}\n")
	}
	for _, n := range m.nested {
		next()
		f.printMessage(b, n, inner)
	}
	for _, e := range m.enums {
		next()
		b.WriteString(inner + "enum " + e.name + " {\n")
		numbers := map[int32]bool{}
		for _, s := range e.symbols {
			numbers[s.number] = true
		}
		if len(numbers) < len(e.symbols) {
			b.WriteString(inner + "  option allow_alias = true;\n")
		}
		for _, s := range e.symbols {
			fmt.Fprintf(b, "%s  %s = %d;\n", inner, s.name, s.number)
		}
		b.WriteString(inner + "}\n")
	}
	b.WriteString(indent + "}\n")
}

func (f *fromConnect) printField(b *strings.Builder, d fieldDef, indent string) {
	b.WriteString(indent)
	if d.label != "" {
		b.WriteString(d.label + " ")
	}
	typ := d.typ
	if f.shadow && strings.Contains(typ, ".") {
		typ = "." + typ
	}
	fmt.Fprintf(b, "%s %s = %d", typ, d.name, d.number)
	if len(d.meta) > 0 {
		meta := "confluent.field_meta"
		if f.shadow {
			meta = "." + meta
		}
		fmt.Fprintf(b, " [(%s) = {\n%s  params: [", meta, indent)
		for i, p := range d.meta {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(b, "\n%[1]s    {\n%[1]s      key: %[2]s,\n%[1]s      value: %[3]s\n%[1]s    }", indent, literal(p[0]), literal(p[1]))
		}
		fmt.Fprintf(b, "\n%[1]s  ]\n%[1]s}]", indent)
	}
	b.WriteString(";\n")
}

// literal is a text as .proto files have it.
func literal(s string) string {
	b := []byte{'"'}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c >= 0x7f:
			b = fmt.Appendf(b, "\\%03o", c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}
