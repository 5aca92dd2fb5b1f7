package jsonschema

import (
	"strconv"

	"github.com/millrace/millrace/internal/jsontree"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// typed makes the schema of a type of JSON Schema, or of an enum.
func (p *parser) typed(at place, kind string, f around, depth int) (*data.Schema, error) {
	connect, given := at.text(connectType)
	var typ data.Type
	var opts []data.Option
	var err error
	switch kind {
	case "boolean":
		typ = data.Boolean
	case "integer", "number":
		typ = data.Int64
		if kind == "number" {
			typ = data.Float64
		}
		if given {
			var ok bool
			if typ, ok = typeNamed(connect); !ok {
				return nil, bad("Unsupported type %s", connect)
			}
		}
	case "string":
		if typ = data.String; connect == "bytes" {
			typ = data.Bytes
		}
	case "enum":
		typ = data.String
		opts = p.enum(at)
	case "array":
		typ, opts, err = p.array(at, connect == "map", depth)
	case "object":
		typ, opts, err = p.object(at, connect == "map", depth)
	default:
		return nil, bad("Unsupported schema type: %s", clip(at.raw()))
	}
	if err != nil {
		return nil, err
	}
	return p.finish(at, typ, opts, false, f)
}

func (p *parser) enum(at place) []data.Option {
	param := p.enumParam()
	opts := []data.Option{data.Param(param, "")}
	for i, e := range at.get("enum").list() {
		symbol := nullEnum
		switch e.kind() {
		case jsontree.String:
			symbol = e.doc.tree.Text(e.n)
		case jsontree.Null:
		default:
			symbol = string(e.raw())
		}
		value := symbol
		if p.Sums {
			value = strconv.Itoa(i)
		}
		opts = append(opts, data.Param(param+"."+symbol, value))
	}
	return opts
}

func (p *parser) array(at place, entries bool, depth int) (data.Type, []data.Option, error) {
	items := at.get("items")
	if items.kind() != jsontree.Object {
		return 0, nil, bad("Array schema did not specify the items type")
	}
	if properties := items.get("properties"); entries && properties.there() {
		key, err := p.schema(properties.get(entryKey), around{}, depth+1)
		if err != nil {
			return 0, nil, err
		}
		value, err := p.schema(properties.get(entryValue), around{}, depth+1)
		return data.MapType, []data.Option{data.Entries(key, value)}, err
	}
	of, err := p.schema(items, around{}, depth+1)
	return data.Array, []data.Option{data.Elements(of)}, err
}

func (p *parser) object(at place, asMap bool, depth int) (data.Type, []data.Option, error) {
	if asMap {
		of, err := p.schema(at.get("additionalProperties"), around{}, depth+1)
		return data.MapType, []data.Option{data.Entries(data.StringSchema, of)}, err
	}
	required := map[string]bool{}
	for _, r := range at.get("required").list() {
		if r.kind() == jsontree.String {
			required[r.doc.tree.Text(r.n)] = true
		}
	}
	fields, err := p.fields(ordered(at.get("properties").members()), required, depth)
	return data.StructType, []data.Option{data.Fields(fields...)}, err
}

// finish makes the schema out of its type and what stands beside.
func (p *parser) finish(at place, typ data.Type, opts []data.Option, named bool, f around) (*data.Schema, error) {
	if f.bare {
		return data.Build(typ, append(opts, data.Optional())...)
	}
	if title, ok := at.text("title"); ok && !named {
		opts = append(opts, data.Name(title))
	}
	version := int32(f.version) //nolint:gosec // a version
	if v := at.get(connectVersion); v.there() {
		n, ok := v.doc.tree.Int32(v.n)
		if !ok {
			return nil, bad("Invalid %s found: %s", connectVersion, clip(v.raw()))
		}
		version = n
	}
	if version > 0 {
		opts = append(opts, data.Version(version))
	}
	if doc, ok := at.text("description"); ok {
		opts = append(opts, data.Doc(doc))
	}
	for _, m := range at.get(connectParams).members() {
		value, ok := at.get(connectParams).text(m.name)
		if !ok {
			return nil, bad("Expected schema parameter values to be strings but found: %s", clip(m.at.raw()))
		}
		opts = append(opts, data.Param(m.name, value))
	}
	if f.optional {
		opts = append(opts, data.Optional())
	}
	s, err := data.Build(typ, opts...)
	def := at.get("default")
	if err != nil || !def.there() || def.kind() == jsontree.Null || typ == data.StructType { // the data model has no default for structs
		return s, err
	}
	v, err := p.Read(s, def.raw())
	if err == nil && v != nil {
		s, err = data.Build(typ, append(opts, data.DefaultValue(v))...)
	}
	if err != nil {
		return nil, connecterr.Wrap(connecterr.Data, err, "the default %s of the JSON Schema", clip(def.raw()))
	}
	return s, nil
}

// Fits tells why values of a schema may not fit into another: what it has is not there, or is of another type. Whole numbers
// fit into wider ones.
func Fits(own, given *data.Schema) error {
	if own.Optional() && !given.Optional() && given.Default() == nil {
		return bad("%s can be null, and the given one can't", own)
	}
	if own.Type() != given.Type() {
		whole := own.Type() >= data.Int8 && own.Type() <= data.Int64 && own.Logical() == data.NotLogical && given.Logical() == data.NotLogical
		if !whole || given.Type() < own.Type() || given.Type() > data.Int64 {
			return bad("%s is not %s", own, given)
		}
	}
	switch own.Type() {
	case data.Array:
		return Fits(own.ValueSchema(), given.ValueSchema())
	case data.MapType:
		if err := Fits(own.KeySchema(), given.KeySchema()); err != nil {
			return err
		}
		return Fits(own.ValueSchema(), given.ValueSchema())
	case data.StructType:
		for _, f := range own.Fields() {
			to, ok := given.Field(f.Name)
			if !ok {
				return bad("%s has no field %s", given, f.Name)
			}
			if err := Fits(f.Schema, to.Schema); err != nil {
				return connecterr.Wrap(connecterr.Data, err, "field %s", f.Name)
			}
		}
	default:
	}
	return nil
}
