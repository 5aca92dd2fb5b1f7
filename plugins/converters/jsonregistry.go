package converters

import (
	"context"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/jsontree"
	"github.com/millrace/millrace/plugins/converters/jsonschema"
	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
)

var jsonSchemaDef = &config.Def{Keys: append(registry.Keys(),
	config.Key{Name: "object.additional.properties", Type: config.Boolean, Default: config.Default("true"), Importance: config.Medium, Doc: "Let objects have more properties than their schema says."},
	config.Key{Name: "use.optional.for.nonrequired", Type: config.Boolean, Default: config.Default("false"), Importance: config.Medium, Doc: "Read properties that are not required as optional fields."},
	config.Key{Name: "json.fail.invalid.schema", Type: config.Boolean, Default: config.Default("false"), Importance: config.Medium, Doc: "Refuse messages that are not valid by their JSON Schema, both written and read."},
	config.Key{Name: "decimal.format", Type: config.String, Default: config.Default("BASE64"), Importance: config.Low, Validators: []config.Rule{config.OneOfFold("NUMERIC", "BASE64")},
		Doc: "How decimals are written; both forms are read."},
	config.Key{Name: "ignore.default.for.nullables", Type: config.Boolean, Default: config.Default("false"), Importance: config.Low, Doc: "Write a null where an optional field has a default."},
	config.Key{Name: "generalized.sum.type.support", Type: config.Boolean, Default: config.Default("false"), Importance: config.Low, Doc: "Read unions and enums in the form that is common to Avro, Protobuf and JSON Schema."},
)}

var jsonSchemaFormat = registry.Format{Name: "JSON", Write: "Converting Kafka Connect data to byte[] failed due to serialization error of topic %s: ",
	Read: "Converting byte[] to Kafka Connect data failed due to serialization error of topic %s: ", Access: "Failed to access JSON Schema data from topic %s : "}

// jsonSchemaConverter writes and reads JSON by schemas in a registry.
type jsonSchemaConverter struct {
	serde    registry.Serde
	rules    jsonschema.Rules
	out, in  jsonConverter // for values
	defaults jsonConverter // for the defaults in schemas
	validate bool
	writers  *registry.Plans[registry.WriteKey, jsonWriting]
	readers  *registry.Plans[jsonReadKey, jsonReading]
}

type jsonWriting struct {
	id    int32
	valid *jsonschema.Validator // nil: any message is
}

type jsonReading struct {
	schema *data.Schema
	valid  *jsonschema.Validator // nil: any message is
}

type jsonReadKey struct {
	topic string
	id    int32
}

// Configure reads the keys. The registry is asked when the first record comes.
func (c *jsonSchemaConverter) Configure(props map[string]string, use converter.Use) error {
	if err := c.serde.Close(); err != nil {
		return err
	}
	v, err := c.serde.Configure(jsonSchemaFormat, jsonSchemaDef, props, use)
	if err != nil {
		return err
	}
	c.in = jsonConverter{unions: true, defaults: true, numeric: strings.EqualFold(v.String("decimal.format"), "NUMERIC"), names: map[string]any{}}
	c.out, c.defaults = c.in, c.in
	c.out.defaults, c.defaults.names = !v.Bool("ignore.default.for.nullables"), map[string]any{}
	c.rules = jsonschema.Rules{Sums: v.Bool("generalized.sum.type.support"), Closed: !v.Bool("object.additional.properties"), Required: v.Bool("use.optional.for.nonrequired"),
		Write: func(s *data.Schema, v any) ([]byte, error) { return c.defaults.appendValue(nil, s, v) }, Read: c.defaultOf}
	c.validate = v.Bool("json.fail.invalid.schema")
	size := int(v.Int("schemas.cache.config"))
	c.writers, c.readers = registry.NewPlans(size, c.newWriting), registry.NewPlans(size, c.newReading)
	return nil
}

func (c *jsonSchemaConverter) defaultOf(s *data.Schema, text []byte) (any, error) {
	d := &c.defaults
	d.places, d.lost = d.places[:0], false
	if err := d.tree.Parse(text); err != nil {
		return nil, connecterr.Wrap(connecterr.Data, err, "it is no JSON")
	}
	return d.value(s, d.tree.Root())
}

// Within implements converter.Waiter.
func (c *jsonSchemaConverter) Within(ctx context.Context) { c.serde.Within(ctx) }

// Close lets the registry go.
func (c *jsonSchemaConverter) Close() error { return c.serde.Close() }

// FromConnect writes a value. A null that has a schema is the text null, if the schema allows it.
func (c *jsonSchemaConverter) FromConnect(topic string, schema *data.Schema, value any) ([]byte, error) {
	switch {
	case schema == nil && value == nil:
		return nil, nil
	case schema == nil:
		return nil, c.serde.Unwritable(topic, bad("a value without a schema can't be written: JsonSchemaConverter needs one, JsonConverter with schemas.enable=false does not"))
	case value == nil && !schema.Optional() && (schema.Default() == nil || !c.out.defaults):
		return nil, nil
	}
	w, err := c.writers.Get(registry.LikeLast(c.writers, topic, schema))
	if err != nil {
		return nil, err
	}
	b, err := c.out.appendValue(registry.AppendHeader(c.out.out.Empty(), w.id), schema, value)
	if err == nil {
		err = w.valid.Check(b[registry.HeaderSize:])
	}
	if err != nil {
		return nil, c.serde.Unwritable(topic, err)
	}
	return c.out.out.Copy(b), nil
}

func (c *jsonSchemaConverter) newWriting(k registry.WriteKey) (w jsonWriting, until time.Time, err error) {
	own, err := c.rules.Own(k.Schema)
	if err != nil {
		return w, until, c.serde.Unwritable(k.Topic, err)
	}
	title := ""
	if !k.Schema.Optional() {
		title = k.Schema.Name()
	}
	target, err := c.serde.Target(k.Topic, title, registry.Schema{Type: registry.JSON, Text: own})
	if err != nil {
		return w, until, err
	}
	if target.Given != nil && target.Strict {
		given, err := c.parsed(*target.Given, target.Deps, 0)
		if err == nil {
			err = jsonschema.Fits(k.Schema, given)
		}
		if err != nil {
			err = registry.Incompatible(target.Given.Text, own, err)
			return w, until, c.serde.Unwritable(k.Topic, err)
		}
	}
	if w.id = target.ID; c.validate {
		by, deps := own, []registry.Named(nil)
		if target.Given != nil {
			by, deps = target.Given.Text, target.Deps
		}
		if w.valid, err = jsonschema.NewValidator(by, named(deps)); err != nil {
			return w, until, c.serde.Unwritable(k.Topic, err)
		}
	}
	return w, target.Until, nil
}

// parsed reads a schema of the registry.
func (c *jsonSchemaConverter) parsed(s registry.Schema, deps []registry.Named, version int) (*data.Schema, error) {
	if err := s.Is(registry.JSON); err != nil {
		return nil, err
	}
	return c.rules.Parse(s.Text, named(deps), version)
}

func named(deps []registry.Named) []jsonschema.Named {
	all := make([]jsonschema.Named, len(deps))
	for i, d := range deps {
		all[i] = jsonschema.Named(d)
	}
	return all
}

// ToConnect reads a message.
func (c *jsonSchemaConverter) ToConnect(topic string, b []byte) (data.SchemaAndValue, error) {
	if b == nil {
		return data.SchemaAndValue{}, nil
	}
	id, payload, err := registry.Split(b)
	if err != nil {
		return data.SchemaAndValue{}, c.serde.Unreadable(topic, err)
	}
	r, err := c.readers.Get(jsonReadKey{topic, id})
	if err != nil {
		return data.SchemaAndValue{}, err
	}
	schema := r.schema
	in := &c.in
	in.places, in.lost = in.places[:0], false
	if err := in.tree.Parse(payload); err != nil {
		return data.SchemaAndValue{}, c.serde.Broken(topic, id, serialization(err))
	}
	if in.tree.Root() == jsontree.None {
		return data.SchemaAndValue{}, nil
	}
	if err := r.valid.Check(payload); err != nil {
		return data.SchemaAndValue{}, c.serde.Broken(topic, id, err)
	}
	v, err := in.value(schema, in.tree.Root())
	if err != nil {
		return data.SchemaAndValue{}, c.serde.Broken(topic, id, err)
	}
	return data.SchemaAndValue{Schema: schema, Value: v}, nil
}

func (c *jsonSchemaConverter) newReading(k jsonReadKey) (r jsonReading, forGood time.Time, err error) {
	found, deps, err := c.serde.Schema(k.topic, k.id)
	if err != nil {
		return r, forGood, err
	}
	if r.schema, err = c.parsed(found, deps, 0); err == nil && c.validate {
		r.valid, err = jsonschema.NewValidator(found.Text, named(deps))
	}
	if err != nil {
		return r, forGood, c.serde.Broken(k.topic, k.id, err)
	}
	version, err := c.serde.Version(k.topic, r.schema.Name(), found)
	if err != nil || version == 0 {
		return r, forGood, err
	}
	if r.schema, err = c.parsed(found, deps, version); err != nil {
		err = c.serde.Broken(k.topic, k.id, err)
	}
	return r, forGood, err
}
