package avro

import (
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/jsontree"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// toConnect makes of an Avro schema the schema of what is read by it, and the plan by which it is read.
type toConnect struct {
	rules
	open   map[string]bool // records that are being made
	unions int
	parts  int
}

// maxParts bounds the plan of a schema: one that names a record twice in a record, and so on, doubles with each level.
const maxParts = 100_000

// read is the plan for a whole message. version is that of the registry, 0 for none.
func (r rules) read(s *Schema, version int) (*reader, error) {
	if s.Type == Record && s.Name == anythingName && s.String() == anythingText {
		return &reader{op: opAnything}, nil
	}
	t := &toConnect{rules: r, open: map[string]bool{}}
	plan, err := t.make(s, from{version: version})
	if err == nil && s.Type == Bytes { // alone they stand without their length
		plan.op = opRest
	}
	return plan, err
}

// from is what stands around a schema.
type from struct {
	optional bool
	def      []byte // of the field
	doc      string
	hasDoc   bool
	version  int
}

func (t *toConnect) make(s *Schema, f from) (*reader, error) {
	if t.parts++; t.parts > maxParts {
		return nil, bad("the Avro schema has more than %d parts, those of records that are named again counted again", maxParts)
	}
	r := &reader{}
	var opts []data.Option
	var err error
	typ := data.StructType
	logical, _ := s.text(propLogical)
	name := ""
	switch s.Type {
	case Null:
		return nil, bad("Standalone null schemas are not supported by this converter")
	case Boolean:
		typ, r.op = data.Boolean, opBoolean
	case Int:
		typ, r.op, name, err = intType(s, logical)
	case Long:
		if typ, r.op = data.Int64, opLong; strings.EqualFold(logical, "timestamp-millis") {
			r.op, name = opTimestamp, data.TimestampName
		}
	case Float:
		typ, r.op = data.Float32, opFloat
	case Double:
		typ, r.op = data.Float64, opDouble
	case String:
		typ, r.op = data.String, opString
	case Bytes, Fixed:
		typ = data.Bytes
		opts, name, err = t.bytes(s, r, logical)
	case Array:
		typ, opts, err = t.array(s, r)
	case Map:
		typ, r.op = data.MapType, opMap
		if r.elem, err = t.make(s.Of, from{}); err == nil {
			opts = append(opts, data.Entries(data.StringSchema, r.elem.conn))
		}
	case Record:
		opts, err = t.record(s, r)
	case Enum:
		typ, r.op = data.String, opEnum
		opts = t.enum(s, r)
	case Union:
		if single, optional := t.single(s); single >= 0 {
			return t.wrapped(s, single, optional || f.optional && len(s.Branches) == 1, f)
		}
		var optional bool
		opts, optional, name, err = t.union(s, r)
		f.optional = f.optional || optional
	}
	if err != nil {
		return nil, err
	}
	if name != "" {
		if s.Type != Union {
			opts = append(opts, data.Version(1))
		}
		opts = append(opts, data.Name(name))
	}
	r.conn, err = t.attributes(s, typ, opts, name, f)
	return r, err
}

func intType(s *Schema, logical string) (data.Type, op, string, error) {
	switch {
	case strings.EqualFold(logical, "date"):
		return data.Int32, opDate, data.DateName, nil
	case strings.EqualFold(logical, "time-millis"):
		return data.Int32, opTime, data.TimeName, nil
	case logical != "":
		return data.Int32, opInt, "", nil
	}
	switch kind, ok := s.text(propType); {
	case !ok:
		return data.Int32, opInt, "", nil
	case kind == "int8":
		return data.Int8, opInt8, "", nil
	case kind == "int16":
		return data.Int16, opInt16, "", nil
	}
	return 0, 0, "", bad("Connect type annotation for Avro int field is null")
}

func (t *toConnect) bytes(s *Schema, r *reader, logical string) (opts []data.Option, name string, err error) {
	if r.op = opBytes; s.Type == Fixed {
		r.op, r.size = opFixed, s.Size
		opts = append(opts, data.Param(paramFixed, strconv.Itoa(s.Size)))
	}
	if !strings.EqualFold(logical, "decimal") {
		return opts, "", nil
	}
	scale, _ := s.int("scale") // 0 if it is not given
	r.scale, r.decimal = scale, true
	opts = append([]data.Option{data.Param(data.ScaleParam, strconv.Itoa(int(scale)))}, opts...)
	if raw, given := s.prop("precision"); given {
		precision, ok := s.int("precision")
		if !ok {
			return nil, "", bad("precision property must be a JSON Integer. It is %s", raw)
		}
		if precision != defaultPrecision {
			opts = append(opts, data.Param(paramPrecision, strconv.Itoa(int(precision))))
		}
	}
	return opts, data.DecimalName, nil
}

func (s *Schema) int(prop string) (int32, bool) {
	raw, _ := s.prop(prop)
	n, err := strconv.ParseInt(string(raw), 10, 32)
	return int32(n), err == nil
}

func (t *toConnect) array(s *Schema, r *reader) (data.Type, []data.Option, error) {
	var err error
	if internal, _ := s.Of.text(propInternal); s.Of.Type != Record || s.Of.Name != namespace+"."+mapEntry && internal != mapEntry {
		r.op = opArray
		if r.elem, err = t.make(s.Of, from{}); err != nil {
			return 0, nil, err
		}
		r.least = s.Of.least(0)
		return data.Array, []data.Option{data.Elements(r.elem.conn)}, nil
	}
	if len(s.Of.Fields) != 2 {
		return 0, nil, bad("Found map encoded as array of key-value pairs, but array elements do not match the expected format.")
	}
	r.op, r.least = opEntries, s.Of.least(0)
	for i, f := range s.Of.Fields {
		part, err := t.make(f.Schema, from{})
		switch {
		case err != nil:
			return 0, nil, err
		case f.Name == entryKey:
			r.key, r.keySecond = part, i == 1
		case f.Name == entryValue:
			r.elem = part
		}
	}
	if r.key == nil || r.elem == nil {
		return 0, nil, bad("Found map encoded as array of key-value pairs, but array elements do not match the expected format.")
	}
	return data.MapType, []data.Option{data.Entries(r.key.conn, r.elem.conn)}, nil
}

func (t *toConnect) record(s *Schema, r *reader) (opts []data.Option, err error) {
	if t.open[s.Name] {
		return nil, bad("The Avro record %s has itself inside: records of such a schema can't be read. Leave the field out, or keep the message as it is with ByteArrayConverter", s.Name)
	}
	t.open[s.Name] = true
	defer delete(t.open, s.Name)
	r.op = opRecord
	if !t.discard && t.meta && s.HasDoc {
		opts = append(opts, data.Param(paramRecordDoc, s.Doc))
	}
	fields := make([]data.Field, 0, len(s.Fields))
	for _, f := range s.Fields {
		if !t.discard && t.meta && f.HasDoc {
			opts = append(opts, data.Param(paramFieldDoc+f.Name, f.Doc))
		}
		part, err := t.make(f.Schema, from{def: f.Default, doc: f.Doc, hasDoc: f.HasDoc})
		if err != nil {
			return nil, err
		}
		r.parts = append(r.parts, part)
		fields = append(fields, data.Field{Name: f.Name, Schema: part.conn})
	}
	return append(opts, data.Fields(fields...)), nil
}

func (t *toConnect) enum(s *Schema, r *reader) (opts []data.Option) {
	if t.meta {
		doc, def := paramEnumDoc+simple(s.Name), paramEnumDefault+simple(s.Name)
		if t.discard {
			doc, def = docOfEnum, ""
		}
		if s.HasDoc {
			opts = append(opts, data.Param(doc, s.Doc))
		}
		if def != "" && s.Default != "" {
			opts = append(opts, data.Param(def, s.Default))
		}
	}
	param := t.enumParam()
	opts = append(opts, data.Param(param, s.Name))
	for i, symbol := range s.Symbols {
		value := symbol
		if t.sums {
			value = strconv.Itoa(i)
		}
		opts = append(opts, data.Param(param+"."+symbol, value))
		r.symbols = append(r.symbols, symbol)
	}
	return opts
}

// single finds the only branch of a union that is not null, if the union is not more than that.
func (t *toConnect) single(s *Schema) (at int, optional bool) {
	if len(s.Branches) == 1 && t.flatten {
		return 0, false
	}
	if len(s.Branches) == 2 {
		for i := range 2 {
			if s.Branches[i].Type == Null && s.Branches[1-i].Type != Null {
				return 1 - i, true
			}
		}
	}
	return -1, false
}

// wrapped is the plan of a union that is nothing but one type, or that and null.
func (t *toConnect) wrapped(s *Schema, at int, optional bool, f from) (*reader, error) {
	// As in Confluent's converter the default of the field is not that of the branch.
	part, err := t.make(s.Branches[at], from{optional: optional, doc: f.doc, hasDoc: f.hasDoc, version: f.version})
	if err != nil {
		return nil, err
	}
	r := &reader{op: opChoice, conn: part.conn, choices: make([]*reader, len(s.Branches))}
	r.choices[at] = part
	return r, nil
}

func (t *toConnect) union(s *Schema, r *reader) (opts []data.Option, optional bool, name string, err error) {
	r.op, r.choices = opUnion, make([]*reader, len(s.Branches))
	if name = unionName; t.sums {
		name = sumUnion + "." + strconv.Itoa(t.unions)
		t.unions++
		opts = append(opts, data.Param(sumUnion, name))
	}
	var fields []data.Field
	for i, b := range s.Branches {
		if b.Type == Null {
			optional = true
			continue
		}
		part, err := t.make(b, from{optional: true})
		if err != nil {
			return nil, false, "", err
		}
		field := t.branchName(b, i)
		for _, other := range fields {
			if other.Name == field {
				return nil, false, "", bad("Multiple union schemas map to the Connect union field name %s; enhanced.avro.schema.support=true takes the names with their name spaces", field)
			}
		}
		r.choices[i] = part
		r.places = append(r.places, len(fields))
		fields = append(fields, data.Field{Name: field, Schema: part.conn})
	}
	at := make([]int, len(s.Branches))
	for i, n := 0, 0; i < len(at); i++ {
		if r.choices[i] != nil {
			at[i] = r.places[n]
			n++
		}
	}
	r.places = at
	return append(opts, data.Fields(fields...)), optional, name, nil
}

// branchName is the name that a branch of a union has as a field.
func (r rules) branchName(b *Schema, i int) string {
	switch {
	case r.sums:
		return sumField + strconv.Itoa(i)
	case !b.named():
		return b.Type.String()
	case r.enhanced:
		return b.Name
	}
	return simple(b.Name)
}

// attributes makes the schema out of its type and what Avro's properties say of it.
func (t *toConnect) attributes(s *Schema, typ data.Type, opts []data.Option, name string, f from) (*data.Schema, error) {
	if doc, ok := t.doc(s, f); ok {
		opts = append(opts, data.Doc(doc))
	}
	if t.discard && t.meta && s.HasDoc {
		opts = append(opts, data.Param(docOfRecord, s.Doc))
	}
	if raw, ok := s.prop(propVersion); ok {
		v, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return nil, bad("Invalid Connect version found: %s", raw)
		}
		f.version = int(v)
	}
	if f.version > 0 && (name == "" || s.Type == Union) { // a logical type has its own
		opts = append(opts, data.Version(int32(f.version))) //nolint:gosec // a version
	}
	params, err := t.params(s)
	if err != nil {
		return nil, err
	}
	opts = append(opts, params...)
	given, err := t.name(s, name)
	if err != nil {
		return nil, err
	}
	if given != "" {
		opts = append(opts, data.Name(given))
	}
	if f.optional {
		opts = append(opts, data.Optional())
	}
	def, own := s.prop(propDefault)
	if f.def != nil {
		if def = f.def; !t.discard && t.meta && !own {
			opts = append(opts, data.Param(paramDefaulted, "true"))
		}
	}
	conn, err := data.Build(typ, opts...)
	if err != nil || def == nil {
		return conn, err
	}
	if v, err := t.defaultValue(conn, s, def); err == nil && v != nil {
		if with, err := data.Build(typ, append(opts, data.DefaultValue(v))...); err == nil {
			return with, nil
		}
	}
	return conn, nil // as in Confluent's converter: a default that is none is left out
}

func (t *toConnect) doc(s *Schema, f from) (string, bool) {
	switch {
	case !t.discard:
		doc, ok := s.text(propDoc)
		return doc, ok && t.meta
	case f.hasDoc:
		return f.doc, true
	case s.HasDoc:
		return s.Doc, true
	}
	return s.text(propDoc)
}

// params are the parameters that properties stand for.
func (t *toConnect) params(s *Schema) (opts []data.Option, err error) {
	if raw, ok := s.prop(propParams); ok && t.meta {
		var tree jsontree.Tree
		if err := tree.Parse(raw); err != nil || tree.Kind(tree.Root()) != jsontree.Object {
			return nil, bad("Expected JSON object for schema parameters but found: %s", raw)
		}
		root := tree.Root()
		for m := tree.First(root); m != tree.End(root); m = tree.Next(tree.Next(m)) {
			value := tree.Next(m)
			if tree.Kind(value) != jsontree.String {
				return nil, bad("Expected schema parameter values to be strings but found: %s", tree.Raw(value))
			}
			opts = append(opts, data.Param(tree.Text(m), tree.Text(value)))
		}
	}
	for _, p := range s.Props {
		if strings.HasPrefix(p.Key, "avro") {
			value, ok := s.text(p.Key)
			if !ok {
				value = string(p.Value)
			}
			opts = append(opts, data.Param(p.Key, value))
		}
	}
	return opts, nil
}

// name is the schema's name; "" where it has none, or has that of its logical type already.
func (t *toConnect) name(s *Schema, logical string) (string, error) {
	name := ""
	if raw, ok := s.prop(propName); ok {
		if name, ok = s.text(propName); !ok {
			return "", bad("Invalid schema name: %s", raw)
		}
	} else if s.named() {
		if name = s.Name; logical == data.DecimalName { // a fixed: Confluent's converter has no name for it, and fails
			return "", nil
		}
	}
	switch {
	case strings.HasPrefix(name, namespace+"."+defaultName), name == logical:
		return "", nil
	case logical != "" && name != "":
		return "", bad("Mismatched names: name already added to SchemaBuilder (%s) differs from name in source schema (%s)", logical, name)
	}
	return name, nil
}

// defaultValue reads a default out of its JSON.
func (t *toConnect) defaultValue(conn *data.Schema, s *Schema, raw []byte) (any, error) {
	var tree jsontree.Tree
	if err := tree.Parse(raw); err != nil {
		return nil, err
	}
	v, err := defaultOf(&tree, tree.Root(), conn, s)
	if err != nil {
		return nil, connecterr.Wrap(connecterr.Data, err, "the default of the Avro schema")
	}
	return v, nil
}

func defaultOf(t *jsontree.Tree, n jsontree.Node, conn *data.Schema, s *Schema) (any, error) {
	kind := t.Kind(n)
	if kind == jsontree.Null || kind == jsontree.Missing {
		return nil, nil
	}
	number := kind == jsontree.Int || kind == jsontree.Number
	mismatch := bad("it is no %s: %s", s.Type, t.Raw(n))
	switch s.Type {
	case Union:
		for _, b := range s.Branches {
			if b.Type != Null {
				return defaultOf(t, n, conn, b)
			}
		}
	case Boolean:
		if kind == jsontree.True || kind == jsontree.False {
			return kind == jsontree.True, nil
		}
	case Int, Long:
		whole, err := strconv.ParseInt(string(t.Raw(n)), 10, 64)
		if number && err == nil {
			return wholeDefault(conn, whole)
		}
	case Float, Double:
		f, err := strconv.ParseFloat(string(t.Raw(n)), 64)
		switch {
		case !number || err != nil:
		case conn.Type() == data.Float32:
			return float32(f), nil
		default:
			return f, nil
		}
	case String, Enum:
		if kind == jsontree.String {
			return t.Text(n), nil
		}
	case Bytes, Fixed:
		if kind != jsontree.String {
			break
		}
		b, err := latin1(t.Text(n))
		if err == nil && conn.Logical() == data.LogicalDecimal {
			return data.DecimalFromBytes(conn, b)
		}
		return b, err
	case Array:
		if kind != jsontree.Array || conn.Type() != data.Array {
			break
		}
		list := make([]any, 0, t.Len(n))
		for e := t.First(n); e != t.End(n); e = t.Next(e) {
			v, err := defaultOf(t, e, conn.ValueSchema(), s.Of)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case Map:
		if kind != jsontree.Object {
			break
		}
		m := data.NewMap(t.Len(n))
		for e := t.First(n); e != t.End(n); e = t.Next(t.Next(e)) {
			v, err := defaultOf(t, t.Next(e), conn.ValueSchema(), s.Of)
			if err != nil {
				return nil, err
			}
			m.Set(t.Text(e), v)
		}
		return m, nil
	default: // the data model has no default for structs
	}
	return nil, mismatch
}

func wholeDefault(conn *data.Schema, n int64) (any, error) {
	switch conn.Logical() {
	case data.LogicalDate:
		return data.DateFromInt(conn, int32(n)) //nolint:gosec // cut as Java does
	case data.LogicalTime:
		return data.TimeFromInt(conn, int32(n)) //nolint:gosec // cut as Java does
	case data.LogicalTimestamp:
		return data.TimestampFromInt(conn, n)
	default:
	}
	switch conn.Type() {
	case data.Int8:
		return int8(n), nil //nolint:gosec // cut as Java does
	case data.Int16:
		return int16(n), nil //nolint:gosec // cut as Java does
	case data.Int32:
		return int32(n), nil //nolint:gosec // cut as Java does
	default:
		return n, nil
	}
}

// latin1 are the bytes whose numbers a text's characters have.
func latin1(text string) ([]byte, error) {
	b := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return nil, bad("it has a character that is no byte: %q", r)
		}
		b = append(b, byte(r))
	}
	return b, nil
}
