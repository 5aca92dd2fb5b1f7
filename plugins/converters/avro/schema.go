// Package avro is Confluent's AvroConverter: the data model as Avro, under schemas that a registry keeps. Bytes become values of
// the data model in one step, by a plan that is made once for each schema, and the other way round.
//
// Start reading at Converter; schema.go reads Avro schemas and print.go writes them, tables for what becomes of a schema are
// connect.go (Avro to Connect) and own.go (Connect to Avro), read.go and write.go are the plans.
package avro

import (
	"strings"

	"github.com/millrace/millrace/internal/jsontree"
	"github.com/millrace/millrace/sdk/connecterr"
)

// Type is a type of Avro.
type Type uint8

// The types of Avro.
const (
	Null Type = iota
	Boolean
	Int
	Long
	Float
	Double
	Bytes
	String
	Record
	Enum
	Array
	Map
	Union
	Fixed
)

var typeNames = [...]string{Null: "null", Boolean: "boolean", Int: "int", Long: "long", Float: "float", Double: "double", Bytes: "bytes", String: "string",
	Record: "record", Enum: "enum", Array: "array", Map: "map", Union: "union", Fixed: "fixed"}

// String is the name that schemas have for the type.
func (t Type) String() string { return typeNames[t] }

// Schema is an Avro schema.
type Schema struct {
	Type     Type
	Name     string // of a record, enum or fixed, in full
	Doc      string
	HasDoc   bool
	Fields   []Field
	Symbols  []string
	Default  string // of an enum; "" is none
	Size     int
	Of       *Schema // elements of an array, values of a map
	Branches []*Schema
	Props    []Prop
}

// Field is a field of a record.
type Field struct {
	Name    string
	Doc     string
	HasDoc  bool
	Schema  *Schema
	Default []byte // as JSON; nil is none
}

// Prop is a property that Avro itself does not know, as JSON.
type Prop struct {
	Key   string
	Value []byte
}

// prop returns a property as JSON.
func (s *Schema) prop(key string) ([]byte, bool) {
	for _, p := range s.Props {
		if p.Key == key {
			return p.Value, true
		}
	}
	return nil, false
}

// text is a property that is a text.
func (s *Schema) text(key string) (string, bool) {
	raw, ok := s.prop(key)
	var t jsontree.Tree
	if !ok || t.Parse(raw) != nil || t.Kind(t.Root()) != jsontree.String {
		return "", false
	}
	return t.Text(t.Root()), true
}

func (s *Schema) named() bool { return s.Type == Record || s.Type == Enum || s.Type == Fixed }

func bad(format string, args ...any) *connecterr.Error {
	return connecterr.New(connecterr.Data, format, args...)
}

// Bounds on a schema that somebody else wrote.
const (
	maxFixed  = 1 << 26
	maxSchema = 1 << 24
)

// Parse reads a schema; the texts of those that it refers to come first, in an order in which each can be read.
func Parse(text string, before ...string) (*Schema, error) {
	p := parser{names: map[string]*Schema{}}
	var s *Schema
	for _, t := range append(before[:len(before):len(before)], text) {
		if len(t) > maxSchema {
			return nil, bad("the Avro schema has %d bytes; at most %d are read", len(t), maxSchema)
		}
		p.tree = jsontree.Tree{}
		if err := p.tree.Parse([]byte(t)); err != nil {
			return nil, connecterr.Wrap(connecterr.Data, err, "the Avro schema is no JSON")
		}
		if p.tree.Root() == jsontree.None {
			return nil, bad("the Avro schema is empty")
		}
		var err error
		if s, err = p.schema(p.tree.Root(), "", 0); err != nil {
			return nil, err
		}
	}
	return s, nil
}

type parser struct {
	tree  jsontree.Tree
	names map[string]*Schema
}

// maxNesting bounds how deep types are nested.
const maxNesting = 200

func (p *parser) schema(n jsontree.Node, space string, depth int) (*Schema, error) {
	t := &p.tree
	if depth > maxNesting {
		return nil, bad("the Avro schema is nested more than %d deep", maxNesting)
	}
	switch t.Kind(n) {
	case jsontree.String:
		return p.byName(t.Text(n), space)
	case jsontree.Array:
		return p.union(n, space, depth)
	case jsontree.Object:
	default:
		return nil, bad("No type: %s", t.Raw(n))
	}
	kind := t.Get(n, "type")
	switch t.Kind(kind) {
	case jsontree.String:
	case jsontree.Object, jsontree.Array: // {"type": {…}}, as some write it
		return p.schema(kind, space, depth+1)
	default:
		return nil, bad("No type: the Avro schema has an object without a \"type\"")
	}
	name := t.Text(kind)
	for typ := Null; typ <= Fixed; typ++ {
		if typ != Union && typ.String() == name {
			return p.typed(n, typ, space, depth)
		}
	}
	if name == "error" {
		return p.typed(n, Record, space, depth)
	}
	return p.byName(name, space)
}

func (p *parser) byName(name, space string) (*Schema, error) {
	for typ := Null; typ <= String; typ++ {
		if typ.String() == name {
			return &Schema{Type: typ}, nil
		}
	}
	if s, ok := p.names[fullName(name, space)]; ok {
		return s, nil
	}
	if s, ok := p.names[name]; ok {
		return s, nil
	}
	return nil, bad("Undefined name: %q", name)
}

func fullName(name, space string) string {
	if space == "" || strings.Contains(name, ".") {
		return strings.TrimPrefix(name, ".")
	}
	return space + "." + name
}

// space is the name space of a full name.
func space(full string) string {
	if i := strings.LastIndexByte(full, '.'); i >= 0 {
		return full[:i]
	}
	return ""
}

// simple is the last part of a full name.
func simple(full string) string { return full[strings.LastIndexByte(full, '.')+1:] }

func (p *parser) union(n jsontree.Node, space string, depth int) (*Schema, error) {
	t := &p.tree
	s := &Schema{Type: Union}
	seen := map[string]bool{}
	for e := t.First(n); e != t.End(n); e = t.Next(e) {
		b, err := p.schema(e, space, depth+1)
		if err != nil {
			return nil, err
		}
		name := b.Type.String()
		if b.named() {
			name = b.Name
		}
		switch {
		case b.Type == Union:
			return nil, bad("Nested union in the Avro schema")
		case seen[name]:
			return nil, bad("Duplicate in union: %s", name)
		}
		seen[name] = true
		s.Branches = append(s.Branches, b)
	}
	if len(s.Branches) == 0 {
		return nil, bad("the Avro schema has a union without a type")
	}
	return s, nil
}

// reserved are the members of a schema that are no properties.
var reserved = map[string]bool{"type": true, "name": true, "namespace": true, "doc": true, "fields": true, "items": true, "values": true, "symbols": true, "size": true, "aliases": true}

func (p *parser) typed(n jsontree.Node, typ Type, outer string, depth int) (*Schema, error) {
	t := &p.tree
	s := &Schema{Type: typ}
	s.Doc, s.HasDoc = p.text(n, "doc")
	for m := t.First(n); m != t.End(n); m = t.Next(t.Next(m)) {
		if key := t.Text(m); !reserved[key] && (key != "default" || typ != Enum) {
			s.Props = append(s.Props, Prop{key, p.raw(t.Next(m))})
		}
	}
	inner := outer
	if s.named() {
		name, ok := p.text(n, "name")
		if !ok || name == "" {
			return nil, bad("No name in schema: a %s of the Avro schema has none", typ)
		}
		if given, ok := p.text(n, "namespace"); ok {
			outer = given
		}
		s.Name = fullName(name, outer)
		inner = space(s.Name)
		if p.names[s.Name] != nil {
			return nil, bad("Can't redefine: %s", s.Name)
		}
		p.names[s.Name] = s
	}
	var err error
	switch typ {
	case Record:
		err = p.fields(s, t.Get(n, "fields"), inner, depth)
	case Enum:
		err = p.symbols(s, n)
	case Fixed:
		size, ok := t.Int32(t.Get(n, "size"))
		if s.Size = int(size); !ok || size < 0 || size > maxFixed {
			return nil, bad("Invalid or no size: %s of the Avro schema", s.Name)
		}
	case Array, Map:
		member := "items"
		if typ == Map {
			member = "values"
		}
		of := t.Get(n, member)
		if of == jsontree.None {
			return nil, bad("No %s type: a %s of the Avro schema has none", member, typ)
		}
		s.Of, err = p.schema(of, inner, depth+1)
	default:
	}
	return s, err
}

func (p *parser) fields(s *Schema, list jsontree.Node, space string, depth int) error {
	t := &p.tree
	if t.Kind(list) != jsontree.Array {
		return bad("Record has no fields: %s", s.Name)
	}
	seen := map[string]bool{}
	for e := t.First(list); e != t.End(list); e = t.Next(e) {
		var f Field
		var ok bool
		if f.Name, ok = p.text(e, "name"); !ok || f.Name == "" || seen[f.Name] {
			return bad("the Avro record %s has a field without a name, or two of the same name %q", s.Name, f.Name)
		}
		seen[f.Name] = true
		f.Doc, f.HasDoc = p.text(e, "doc")
		of := t.Get(e, "type")
		if of == jsontree.None {
			return bad("No field type: %s of the Avro record %s", f.Name, s.Name)
		}
		var err error
		if f.Schema, err = p.schema(of, space, depth+1); err != nil {
			return err
		}
		if def := t.Get(e, "default"); def != jsontree.None {
			f.Default = p.raw(def)
		}
		s.Fields = append(s.Fields, f)
	}
	return nil
}

func (p *parser) symbols(s *Schema, n jsontree.Node) error {
	t := &p.tree
	list := t.Get(n, "symbols")
	if t.Kind(list) != jsontree.Array {
		return bad("Enum has no symbols: %s", s.Name)
	}
	for e := t.First(list); e != t.End(list); e = t.Next(e) {
		if t.Kind(e) != jsontree.String {
			return bad("the Avro enum %s has a symbol that is no text", s.Name)
		}
		s.Symbols = append(s.Symbols, t.Text(e))
	}
	s.Default, _ = p.text(n, "default")
	return nil
}

func (p *parser) text(n jsontree.Node, member string) (string, bool) {
	at := p.tree.Get(n, member)
	if p.tree.Kind(at) != jsontree.String {
		return "", false
	}
	return p.tree.Text(at), true
}

// raw is a copy of a node's JSON.
func (p *parser) raw(n jsontree.Node) []byte {
	if p.tree.Kind(n) == jsontree.String {
		return jsontree.AppendString(nil, p.tree.Text(n))
	}
	return append([]byte(nil), p.tree.Raw(n)...)
}
