package jsonschema

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/jsontree"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// Bounds on a schema that somebody else wrote.
const (
	maxSchema = 1 << 24
	maxDepth  = 200
	maxParts  = 100_000
)

// Named is a schema that others refer to by this name.
type Named struct{ Name, Text string }

// document is a text with a schema in it.
type document struct {
	name string
	tree *jsontree.Tree
	ids  map[string]jsontree.Node // places with an $id, or an $anchor
}

// place is a schema: a node of a document.
type place struct {
	doc *document
	n   jsontree.Node
}

// parser makes a schema of the data model.
type parser struct {
	*Rules
	docs   []*document // the schema itself, then those it refers to
	open   map[place]bool
	parts  int
	unions int
}

// Parse makes the schema of values of a JSON Schema; those that it refers to are given. version is that of the registry, 0 for none.
func (r *Rules) Parse(text string, deps []Named, version int) (*data.Schema, error) {
	p := &parser{Rules: r, open: map[place]bool{}}
	for _, d := range append([]Named{{"", text}}, deps...) {
		doc := &document{name: d.Name, tree: &jsontree.Tree{}, ids: map[string]jsontree.Node{}}
		if len(d.Text) > maxSchema {
			return nil, bad("the JSON Schema has %d bytes; at most %d are read", len(d.Text), maxSchema)
		}
		if err := doc.tree.Parse([]byte(d.Text)); err != nil {
			return nil, connecterr.Wrap(connecterr.Data, err, "the JSON Schema %s is no JSON", d.Name)
		}
		if doc.tree.Root() == jsontree.None {
			return nil, bad("the JSON Schema %s is empty", d.Name)
		}
		doc.note(doc.tree.Root(), 0)
		p.docs = append(p.docs, doc)
	}
	return p.schema(place{p.docs[0], p.docs[0].tree.Root()}, around{version: version}, 0)
}

// note finds the places that have names of their own.
func (d *document) note(n jsontree.Node, depth int) {
	t := d.tree
	switch t.Kind(n) {
	case jsontree.Object:
		for _, key := range []string{"$id", "id", "$anchor"} {
			if at := t.Get(n, key); t.Kind(at) == jsontree.String {
				id := t.Text(at)
				if key == "$anchor" {
					id = "#" + id
				}
				d.ids[id] = n
			}
		}
		for m := t.First(n); m != t.End(n); m = t.Next(t.Next(m)) {
			if depth < maxDepth {
				d.note(t.Next(m), depth+1)
			}
		}
	case jsontree.Array:
		for e := t.First(n); e != t.End(n) && depth < maxDepth; e = t.Next(e) {
			d.note(e, depth+1)
		}
	default:
	}
}

// around is what stands around a schema.
type around struct {
	optional bool
	version  int
	bare     bool // its attributes are those of the union that it is in
}

func (at place) get(key string) place { return place{at.doc, at.doc.tree.Get(at.n, key)} }

func (at place) kind() jsontree.Kind { return at.doc.tree.Kind(at.n) }

func (at place) there() bool { return at.n != jsontree.None }

func (at place) text(key string) (string, bool) {
	v := at.get(key)
	if v.kind() != jsontree.String {
		return "", false
	}
	return v.doc.tree.Text(v.n), true
}

// raw is a value as JSON.
func (at place) raw() []byte {
	if at.kind() == jsontree.String {
		return jsontree.AppendString(nil, at.doc.tree.Text(at.n))
	}
	return at.doc.tree.Raw(at.n)
}

// list are the elements of an array.
func (at place) list() (all []place) {
	if t := at.doc.tree; at.kind() == jsontree.Array {
		for e := t.First(at.n); e != t.End(at.n); e = t.Next(e) {
			all = append(all, place{at.doc, e})
		}
	}
	return all
}

// property is a member of an object.
type property struct {
	name  string
	at    place
	index int
}

// members are those of an object, the last of each name.
func (at place) members() (all []property) {
	t := at.doc.tree
	if at.kind() != jsontree.Object {
		return nil
	}
	seen := map[string]int{}
	for m := t.First(at.n); m != t.End(at.n); m = t.Next(t.Next(m)) {
		p := property{name: t.Text(m), at: place{at.doc, t.Next(m)}}
		if i, again := seen[p.name]; again {
			all[i] = p
			continue
		}
		seen[p.name] = len(all)
		all = append(all, p)
	}
	return all
}

// follow goes where a $ref points.
func (p *parser) follow(from place, ref string) (place, error) {
	missing := bad("the JSON Schema refers to %s, which is not there", ref)
	name, fragment, _ := strings.Cut(ref, "#")
	doc := from.doc
	root := doc.tree.Root()
	if at, ok := doc.ids[ref]; ok {
		return place{doc, at}, nil
	}
	if name != "" {
		doc = nil
		for _, d := range p.docs {
			if d.name == name || d.name != "" && d.name == ref {
				doc, root = d, d.tree.Root()
			} else if at, ok := d.ids[name]; ok && doc == nil {
				doc, root = d, at
			}
		}
		if doc == nil {
			return place{}, missing
		}
	}
	if at, ok := doc.ids["#"+fragment]; ok && fragment != "" {
		return place{doc, at}, nil
	}
	at := place{doc, root}
	if fragment == "" {
		return at, nil
	}
	for _, step := range strings.Split(strings.TrimPrefix(fragment, "/"), "/") {
		if plain, err := url.PathUnescape(step); err == nil {
			step = plain
		}
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		if at.kind() == jsontree.Array {
			all := at.list()
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(all) {
				return place{}, missing
			}
			at = all[i]
			continue
		}
		if at = at.get(step); !at.there() {
			return place{}, missing
		}
	}
	return at, nil
}

// schema makes a schema.
func (p *parser) schema(at place, f around, depth int) (*data.Schema, error) {
	if p.parts++; p.parts > maxParts || depth > maxDepth {
		return nil, bad("the JSON Schema has more than %d parts, or is nested more than %d deep", maxParts, maxDepth)
	}
	if at.kind() != jsontree.Object {
		return nil, bad("Unsupported schema type: %s", clip(at.raw()))
	}
	if p.open[at] {
		return nil, bad("The JSON Schema has itself inside, at %s: records of such a schema can't be read. Leave the property out, or keep the message as it is with ByteArrayConverter", clip(at.raw()))
	}
	p.open[at] = true
	defer delete(p.open, at)
	if ref, ok := at.text("$ref"); ok {
		to, err := p.follow(at, ref)
		if err != nil {
			return nil, err
		}
		return p.schema(to, f, depth+1)
	}
	kind := p.kindOf(at)
	switch kind {
	case "oneOf", "anyOf":
		return p.union(at, at.get(kind).list(), f, depth)
	case "types":
		return p.types(at, f, depth)
	case "allOf":
		return p.all(at, f, depth)
	}
	return p.typed(at, kind, f, depth)
}

func clip(b []byte) string {
	if len(b) > 100 {
		return string(b[:100]) + "…"
	}
	return string(b)
}

// hints are the words that tell the type of a schema that does not say it.
var hints = []struct {
	typ   string
	words []string
}{
	{"object", []string{"properties", "required", "additionalProperties", "minProperties", "maxProperties", "patternProperties", "propertyNames", "dependencies"}},
	{"array", []string{"items", "minItems", "maxItems", "uniqueItems", "contains"}},
	{"number", []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
	{"string", []string{"minLength", "maxLength", "pattern", "format"}},
}

// kindOf tells what a schema is: a type, enum, or how it is combined of others.
func (p *parser) kindOf(at place) string {
	typ, single := at.text("type")
	if single && typ == "object" && at.get("properties").there() {
		return typ
	}
	for _, how := range []string{"allOf", "oneOf", "anyOf"} {
		if at.get(how).there() {
			return how
		}
	}
	switch {
	case at.get("enum").there() && typ != "integer" && typ != "number" && typ != "boolean":
		return "enum"
	case single:
		return typ
	case at.get("type").there():
		return "types"
	}
	for _, h := range hints {
		if slices.ContainsFunc(h.words, func(w string) bool { return at.get(w).there() }) {
			return h.typ
		}
	}
	return ""
}

func (p *parser) isNull(at place) bool {
	typ, ok := at.text("type")
	return ok && typ == "null"
}

// types reads a list of types: one and null, or a union.
func (p *parser) types(at place, f around, depth int) (*data.Schema, error) {
	var names []string
	for _, t := range at.get("type").list() {
		if t.kind() == jsontree.String {
			if name := t.doc.tree.Text(t.n); name != "null" {
				names = append(names, name)
			} else {
				f.optional = true
			}
		}
	}
	if len(names) == 1 {
		return p.typed(at, names[0], f, depth)
	}
	if len(names) == 0 {
		return nil, bad("Unsupported schema type: %s", clip(at.raw()))
	}
	name, opts := p.unionName()
	var fields []data.Field
	for i, typ := range names {
		part, err := p.typed(at, typ, around{optional: true, bare: true}, depth)
		if err != nil {
			return nil, err
		}
		fields = append(fields, data.Field{Name: p.unionField(name, i), Schema: part})
	}
	return p.finish(at, data.StructType, append(opts, data.Name(name), data.Fields(fields...)), true, f)
}

func (p *parser) unionName() (string, []data.Option) {
	if !p.Sums {
		return oneOfName, nil
	}
	name := sumName + strconv.Itoa(p.unions)
	p.unions++
	return name, []data.Option{data.Param(sumUnion, name)}
}

func (p *parser) unionField(name string, i int) string {
	if p.Sums {
		return sumField + strconv.Itoa(i)
	}
	return name + ".field." + strconv.Itoa(i)
}

// union reads oneOf and anyOf: a type and null, or a struct with a field for each.
func (p *parser) union(at place, branches []place, f around, depth int) (*data.Schema, error) {
	nulls := 0
	var other []place
	for _, b := range branches {
		if p.isNull(b) {
			nulls++
		} else {
			other = append(other, b)
		}
	}
	if len(other) == 0 {
		return nil, bad("Unsupported schema type: %s", clip(at.raw()))
	}
	if len(branches) == 2 && nulls == 1 {
		f.optional = true
		return p.schema(other[0], f, depth+1)
	}
	f.optional = f.optional || nulls > 0
	name, opts := p.unionName()
	var fields []data.Field
	for i, b := range other {
		part, err := p.schema(b, around{optional: true}, depth+1)
		if err != nil {
			return nil, err
		}
		fields = append(fields, data.Field{Name: p.unionField(name, i), Schema: part})
	}
	return p.finish(at, data.StructType, append(opts, data.Name(name), data.Fields(fields...)), true, f)
}

// all reads allOf: the properties of all, or the one that tells a type.
func (p *parser) all(at place, f around, depth int) (*data.Schema, error) {
	branches := at.get("allOf").list()
	var properties []property
	required := map[string]bool{}
	if err := p.collect(at, &properties, required, depth); err != nil {
		return nil, err
	}
	if len(properties) > 0 {
		fields, err := p.fields(properties, required, depth)
		if err != nil {
			return nil, err
		}
		return p.finish(at, data.StructType, []data.Option{data.Fields(fields...)}, false, f)
	}
	for _, wanted := range []func(kind string, b place) bool{
		func(kind string, _ place) bool {
			return kind == "oneOf" || kind == "anyOf" || kind == "allOf" || kind == "types"
		},
		func(kind string, _ place) bool { return kind == "enum" },
		func(kind string, _ place) bool { return kind == "integer" || kind == "number" },
		func(kind string, b place) bool { return kind != "" || b.get("$ref").there() },
	} {
		for _, b := range branches {
			if b.kind() == jsontree.Object && wanted(p.kindOf(b), b) {
				return p.schema(b, f, depth+1)
			}
		}
	}
	return nil, bad("Unsupported criterion allOf for %s", clip(at.raw()))
}

// collect gathers the properties of an object, and of all that it must be besides.
func (p *parser) collect(at place, into *[]property, required map[string]bool, depth int) error {
	if p.parts++; p.parts > maxParts || depth > maxDepth {
		return bad("the JSON Schema has more than %d parts, or is nested more than %d deep", maxParts, maxDepth)
	}
	if ref, ok := at.text("$ref"); ok {
		to, err := p.follow(at, ref)
		if err != nil {
			return err
		}
		return p.collect(to, into, required, depth+1)
	}
	for _, b := range at.get("allOf").list() {
		if err := p.collect(b, into, required, depth+1); err != nil {
			return err
		}
	}
	for _, m := range at.get("properties").members() {
		if i := slices.IndexFunc(*into, func(q property) bool { return q.name == m.name }); i >= 0 {
			(*into)[i] = m
		} else {
			*into = append(*into, m)
		}
	}
	for _, r := range at.get("required").list() {
		if r.kind() == jsontree.String {
			required[r.doc.tree.Text(r.n)] = true
		}
	}
	return nil
}

// ordered puts properties in the order that connect.index says; those that have none are where they stand.
func ordered(properties []property) []property {
	for i := range properties {
		properties[i].index = i
		if at := properties[i].at.get(connectIndex); at.there() {
			if n, ok := at.doc.tree.Int32(at.n); ok {
				properties[i].index = int(n)
			}
		}
	}
	slices.SortStableFunc(properties, func(a, b property) int { return a.index - b.index })
	return properties
}

func (p *parser) fields(properties []property, required map[string]bool, depth int) ([]data.Field, error) {
	var fields []data.Field
	for _, m := range properties {
		part, err := p.schema(m.at, around{optional: p.Required && !required[m.name]}, depth+1)
		if err != nil {
			return nil, err
		}
		fields = append(fields, data.Field{Name: m.name, Schema: part})
	}
	return fields, nil
}
