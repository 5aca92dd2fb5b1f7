package avro

import (
	"math"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/jsontree"
	"github.com/millrace/millrace/sdk/data"
)

// fromConnect makes an Avro schema of a schema of the data model.
type fromConnect struct {
	rules
	names   map[string]*Schema
	unnamed []unnamed
}

// unnamed is a struct without a name, and the record that has a made up one.
type unnamed struct {
	conn *data.Schema
	name string
}

// own is the Avro schema of values of a schema, nil for those that have none.
func (r rules) own(s *data.Schema) (*Schema, error) {
	if s == nil {
		return Parse(anythingText)
	}
	f := &fromConnect{rules: r, names: map[string]*Schema{}}
	return f.make(s, s.Optional())
}

func (f *fromConnect) make(s *data.Schema, optional bool) (*Schema, error) {
	if s == nil {
		return nil, bad("an array or map has no schema for what is in it")
	}
	base, err := f.base(s)
	if err != nil || base.Type == Union {
		return base, err
	}
	if f.meta {
		f.describe(base, s)
	}
	logicalProp(base, s)
	for k, v := range s.Params() {
		if strings.HasPrefix(k, "avro") {
			base.set(k, jsontree.AppendString(nil, v))
		}
	}
	if base.named() {
		if known := f.names[base.Name]; known == nil {
			f.names[base.Name] = base
		} else if base.String() != known.String() {
			return nil, bad("Can't redefine: %s. Two schemas of one record have this name and differ", base.Name)
		} else {
			base = known
		}
	}
	switch {
	case !optional:
		return base, nil
	case s.Default() != nil: // the default must be of the first type
		return &Schema{Type: Union, Branches: []*Schema{base, {Type: Null}}}, nil
	}
	return &Schema{Type: Union, Branches: []*Schema{{Type: Null}, base}}, nil
}

// set adds a property, if it is not there.
func (s *Schema) set(key string, value []byte) {
	if _, ok := s.prop(key); !ok {
		s.Props = append(s.Props, Prop{key, value})
	}
}

func (s *Schema) setText(key, value string) { s.set(key, jsontree.AppendString(nil, value)) }

var simpleTypes = map[data.Type]Type{data.Int8: Int, data.Int16: Int, data.Int32: Int, data.Int64: Long, data.Float32: Float, data.Float64: Double, data.Boolean: Boolean}

// base is a schema without its attributes.
func (f *fromConnect) base(s *data.Schema) (*Schema, error) {
	var err error
	switch s.Type() {
	case data.String:
		if isEnum(s) && (f.enhanced || f.sums) {
			if base := f.enum(s); base != nil {
				return base, nil
			}
		}
		return &Schema{Type: String}, nil
	case data.Bytes:
		return f.bytes(s)
	case data.Array:
		base := &Schema{Type: Array}
		if s.ValueSchema() == nil {
			return nil, bad("an array has no schema for its elements")
		}
		base.Of, err = f.make(s.ValueSchema(), s.ValueSchema().Optional())
		return base, err
	case data.MapType:
		return f.mapped(s)
	case data.StructType:
		if isUnion(s) {
			return f.union(s)
		}
		return f.record(s)
	default:
		return &Schema{Type: simpleTypes[s.Type()]}, nil
	}
}

func (f *fromConnect) enum(s *data.Schema) *Schema {
	param := f.enumParam()
	name, ok := s.Param(param)
	if !ok {
		return nil
	}
	base := &Schema{Type: Enum, Name: f.scrubbedFull(name)}
	for k := range s.Params() {
		if symbol, ok := strings.CutPrefix(k, param+"."); ok {
			base.Symbols = append(base.Symbols, symbol)
		}
	}
	if f.discard {
		base.Doc, base.HasDoc = s.Param(docOfEnum)
		return base
	}
	simpleName := simple(f.scrubbedFull(s.Name()))
	base.Doc, base.HasDoc = s.Param(paramEnumDoc + simpleName)
	base.Default, _ = s.Param(paramEnumDefault + simpleName)
	return base
}

func (f *fromConnect) bytes(s *data.Schema) (*Schema, error) {
	base := &Schema{Type: Bytes}
	if size, ok := s.Param(paramFixed); ok && isFixed(s) && s.Logical() == data.NotLogical {
		n, err := strconv.Atoi(size)
		if err != nil || n < 0 || n > maxFixed {
			return nil, bad("Invalid parameter %s=%s of the schema %s: it must be a number of bytes", paramFixed, size, s.Name())
		}
		base = &Schema{Type: Fixed, Name: f.scrubbedFull(s.Name()), Size: n}
	}
	if s.Logical() == data.LogicalDecimal {
		scale, err := s.Scale()
		if err != nil {
			return nil, err
		}
		base.set("scale", strconv.AppendInt(nil, int64(scale), 10))
		base.set("precision", strconv.AppendInt(nil, int64(precisionOf(s)), 10))
	}
	return base, nil
}

func precisionOf(s *data.Schema) int {
	text, _ := s.Param(paramPrecision)
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return defaultPrecision
}

func (f *fromConnect) mapped(s *data.Schema) (*Schema, error) {
	if s.KeySchema() == nil || s.ValueSchema() == nil {
		return nil, bad("a map has no schema for its keys or values")
	}
	if f.stringKeys(s) {
		of, err := f.make(s.ValueSchema(), s.ValueSchema().Optional())
		return &Schema{Type: Map, Of: of}, err
	}
	entry := &Schema{Type: Record, Name: namespace + "." + mapEntry}
	if s.HasName() {
		entry.Name = f.scrubbedFull(s.Name())
	}
	for _, part := range []data.Field{{Name: entryKey, Schema: s.KeySchema()}, {Name: entryValue, Schema: s.ValueSchema()}} {
		field, err := f.field(part.Name, part.Schema)
		if err != nil {
			return nil, err
		}
		entry.Fields = append(entry.Fields, field)
	}
	if s.HasName() {
		entry.setText(propInternal, mapEntry)
	}
	if known := f.names[entry.Name]; known != nil {
		if known.String() != entry.String() {
			return nil, bad("Can't redefine: %s. Maps with keys that are no texts need names of their own where they differ in type", entry.Name)
		}
		entry = known
	}
	f.names[entry.Name] = entry
	return &Schema{Type: Array, Of: entry}, nil
}

func (f *fromConnect) union(s *data.Schema) (*Schema, error) {
	u := &Schema{Type: Union}
	if s.Optional() {
		u.Branches = append(u.Branches, &Schema{Type: Null})
	}
	for _, field := range s.Fields() {
		branch, err := f.make(field.Schema, false)
		if err != nil {
			return nil, err
		}
		u.Branches = append(u.Branches, branch)
	}
	return u, nil
}

func (f *fromConnect) record(s *data.Schema) (*Schema, error) {
	base := &Schema{Type: Record, Name: f.scrubbedFull(s.Name())}
	if s.Name() == "" {
		base.Name = f.madeUp(s)
	}
	doc := paramRecordDoc
	if f.discard {
		doc = docOfRecord
	}
	base.Doc, base.HasDoc = s.Param(doc)
	for _, of := range s.Fields() {
		field, err := f.field(f.scrubbed(of.Name), of.Schema)
		if err != nil {
			return nil, err
		}
		if !f.discard {
			field.Doc, field.HasDoc = s.Param(paramFieldDoc + of.Name)
		}
		base.Fields = append(base.Fields, field)
	}
	return base, nil
}

// madeUp is the name of a struct that has none: the same for the same.
func (f *fromConnect) madeUp(s *data.Schema) string {
	for _, u := range f.unnamed {
		if u.conn.Equal(s) {
			return u.name
		}
	}
	name := namespace + "." + defaultName
	if n := len(f.unnamed); n > 0 {
		name += strconv.Itoa(n + 1)
	}
	f.unnamed = append(f.unnamed, unnamed{s, name})
	return name
}

func (f *fromConnect) field(name string, s *data.Schema) (Field, error) {
	of, err := f.make(s, s.Optional())
	field := Field{Name: name, Schema: of}
	if f.discard {
		field.Doc, field.HasDoc = s.Doc()
	}
	switch {
	case err != nil:
	case s.Default() != nil:
		if text, ok := f.defaultJSON(s, s.Default()); ok && (s.Type() != data.MapType || f.stringKeys(s)) {
			field.Default = text
		}
	case s.Optional():
		field.Default = []byte("null")
	}
	return field, err
}

// describe keeps what Avro has no place for in properties.
func (f *fromConnect) describe(base *Schema, s *data.Schema) {
	if doc, ok := s.Doc(); ok {
		base.setText(propDoc, doc)
	}
	if v, ok := s.Version(); ok {
		base.set(propVersion, strconv.AppendInt(nil, int64(v), 10))
	}
	params, open := []byte(nil), byte('{')
	for k, v := range s.Params() {
		if f.discard || k != paramDefaulted {
			params = append(jsontree.AppendString(append(params, open), k), ':')
			params, open = jsontree.AppendString(params, v), ','
		}
	}
	if params != nil {
		base.set(propParams, append(params, '}'))
	}
	if _, avros := s.Param(paramDefaulted); s.Default() != nil && (f.discard || !avros) {
		if text, ok := f.defaultJSON(s, s.Default()); ok {
			base.set(propDefault, text)
		}
	}
	if s.HasName() {
		base.setText(propName, s.Name())
	}
	switch s.Type() {
	case data.Int8:
		base.setText(propType, "int8")
	case data.Int16:
		base.setText(propType, "int16")
	default:
	}
}

func logicalProp(base *Schema, s *data.Schema) {
	switch s.Logical() {
	case data.LogicalDecimal:
		base.setText(propLogical, "decimal")
	case data.LogicalDate:
		base.setText(propLogical, "date")
	case data.LogicalTime:
		base.setText(propLogical, "time-millis")
	case data.LogicalTimestamp:
		base.setText(propLogical, "timestamp-millis")
	default:
	}
}

// defaultJSON is a default as Avro's schemas have it; false for what JSON can't say.
func (f *fromConnect) defaultJSON(s *data.Schema, v any) ([]byte, bool) {
	switch v := v.(type) {
	case nil:
		return []byte("null"), true
	case bool:
		return strconv.AppendBool(nil, v), true
	case int8:
		return strconv.AppendInt(nil, int64(v), 10), true
	case int16:
		return strconv.AppendInt(nil, int64(v), 10), true
	case int32:
		return strconv.AppendInt(nil, int64(v), 10), true
	case int64:
		return strconv.AppendInt(nil, v, 10), true
	case float32:
		return data.AppendFloat32(nil, v), !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0)
	case float64:
		return data.AppendFloat(nil, v), !math.IsNaN(v) && !math.IsInf(v, 0)
	case string:
		return jsontree.AppendString(nil, v), true
	case []byte:
		return jsontree.AppendString(nil, fromLatin1(v)), true
	case data.Decimal:
		return jsontree.AppendString(nil, fromLatin1(v.Bytes())), true
	case data.Instant:
		if s.Logical() == data.LogicalDate {
			v /= data.Day
		}
		return strconv.AppendInt(nil, int64(v), 10), true
	case []any:
		b := []byte{'['}
		for i, e := range v {
			text, ok := f.defaultJSON(s.ValueSchema(), e)
			if !ok {
				return nil, false
			}
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, text...)
		}
		return append(b, ']'), true
	case *data.Map:
		return f.defaultMap(s, v)
	}
	return nil, false
}

func (f *fromConnect) defaultMap(s *data.Schema, m *data.Map) ([]byte, bool) {
	texts := f.stringKeys(s)
	ends := "[]"
	if texts {
		ends = "{}"
	}
	b := []byte{ends[0]}
	for k, e := range m.All() {
		key, ok := f.defaultJSON(s.KeySchema(), k)
		value, fine := f.defaultJSON(s.ValueSchema(), e)
		if !ok || !fine {
			return nil, false
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		if texts {
			b = append(append(append(b, key...), ':'), value...)
			continue
		}
		b = append(append(append(append(append(b, '['), key...), ','), value...), ']')
	}
	return append(b, ends[1]), true
}

// fromLatin1 is a text whose characters have the numbers of bytes.
func fromLatin1(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}
