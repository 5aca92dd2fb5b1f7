package avro

import (
	"bytes"
	"context"
	"time"

	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
)

// Class is the converter's name in configurations.
const Class = "io.confluent.connect.avro.AvroConverter"

// Def are the converter's keys.
var Def = &config.Def{Keys: append(registry.Keys(),
	flag("connect.meta.data", "true", "Keep in the Avro schema what only Kafka Connect has: names, versions, documentation, parameters."),
	flag("enhanced.avro.schema.support", "false", "Write enums as enums, and name the fields of unions with their name spaces."),
	flag("scrub.invalid.names", "false", "Replace characters in names that Avro does not allow."),
	flag("allow.optional.map.keys", "false", "Write maps with optional keys as Avro maps, too."),
	flag("generalized.sum.type.support", "false", "Read unions and enums in the form that is common to Avro, Protobuf and JSON Schema."),
	flag("discard.type.doc.default", "false", "Leave the documentation of records and the defaults of fields out of parameters."),
	flag("ignore.default.for.nullables", "false", "Leave a null where an optional field has a default."),
	flag("flatten.singleton.unions", "true", "Read a union of one type as that type."),
)}

func flag(name, def, doc string) config.Key {
	return config.Key{Name: name, Type: config.Boolean, Default: config.Default(def), Importance: config.Low, Doc: doc}
}

var format = registry.Format{Name: "Avro", Write: "Failed to serialize Avro data from topic %s :", Read: "Failed to deserialize data for topic %s to Avro: ",
	Access: "Failed to access Avro data from topic %s : "}

// Converter is AvroConverter.
type Converter struct {
	rules
	serde   registry.Serde
	writers *registry.Plans[writeKey, writing]
	readers *registry.Plans[readKey, *reader]
	buffer  []byte
}

type writeKey struct {
	topic  string
	schema *data.Schema
}

type writing struct {
	plan *writer
	id   int32
}

type readKey struct {
	topic string
	id    int32
}

// New makes a converter.
func New() converter.Converter { return &Converter{} }

// Configure reads the keys. The registry is asked when the first record comes.
func (c *Converter) Configure(props map[string]string, use converter.Use) error {
	if err := c.serde.Close(); err != nil {
		return err
	}
	v, err := c.serde.Configure(format, Def, props, use)
	if err != nil {
		return err
	}
	size := int(v.Int("schemas.cache.config"))
	c.rules = rules{enhanced: v.Bool("enhanced.avro.schema.support"), sums: v.Bool("generalized.sum.type.support"), meta: v.Bool("connect.meta.data"), scrub: v.Bool("scrub.invalid.names"),
		optionalMapKeys: v.Bool("allow.optional.map.keys"), discard: v.Bool("discard.type.doc.default"), ignoreDefault: v.Bool("ignore.default.for.nullables"), flatten: v.Bool("flatten.singleton.unions")}
	c.writers, c.readers = registry.NewPlans(size, c.newWriting), registry.NewPlans(size, c.newReading)
	return nil
}

// Within implements converter.Waiter.
func (c *Converter) Within(ctx context.Context) { c.serde.Within(ctx) }

// Close lets the registry go.
func (c *Converter) Close() error { return c.serde.Close() }

// maxKept is the size of a buffer that is worth keeping for the next value.
const maxKept = 1 << 20

// FromConnect writes a value.
func (c *Converter) FromConnect(topic string, schema *data.Schema, value any) ([]byte, error) {
	if value == nil {
		if schema == nil || schema.Optional() {
			return nil, nil
		}
		return nil, c.serde.Unwritable(topic, bad("Found null value for non-optional schema"))
	}
	k := writeKey{topic, schema}
	if last, ok := c.writers.Last(); ok && last != k && last.topic == topic && schema.Equal(last.schema) {
		k = last // some connectors make an equal schema for each record
	}
	w, err := c.writers.Get(k)
	if err != nil {
		return nil, err
	}
	b, err := w.plan.append(registry.AppendHeader(c.buffer[:0], w.id), value)
	if err != nil {
		return nil, c.serde.Unwritable(topic, err)
	}
	if c.buffer = b; cap(b) > maxKept {
		c.buffer = nil
	}
	return bytes.Clone(b), nil
}

func (c *Converter) newWriting(k writeKey) (w writing, until time.Time, err error) {
	own, err := c.own(k.schema)
	if err != nil {
		return w, until, c.serde.Unwritable(k.topic, err)
	}
	record := ""
	if own.Type == Record {
		record = own.Name
	}
	target, err := c.serde.Target(k.topic, record, registry.Schema{Type: registry.Avro, Text: own.String()})
	if err != nil {
		return w, until, err
	}
	w.id = target.ID
	if target.Given != nil {
		if own, err = parsed(*target.Given, target.Deps); err != nil {
			return w, until, c.serde.Unwritable(k.topic, err)
		}
	}
	if w.plan, err = c.write(k.schema, own, target.Strict); err != nil {
		if target.Given != nil && target.Strict {
			err = bad("Incompatible schema %s for schema %s. Set latest.compatibility.strict=false (id.compatibility.strict=false with use.schema.id) to disable this check: %v", own, k.schema, err)
		}
		return w, until, c.serde.Unwritable(k.topic, err)
	}
	return w, target.Until, nil
}

// parsed reads a schema of the registry.
func parsed(s registry.Schema, deps []registry.Named) (*Schema, error) {
	if s.Type != registry.Avro {
		return nil, bad("the schema in the registry is of type %s, and not of type %s", s.Type, registry.Avro)
	}
	before := make([]string, len(deps))
	for i, d := range deps {
		before[i] = d.Text
	}
	return Parse(s.Text, before...)
}

// ToConnect reads a message.
func (c *Converter) ToConnect(topic string, b []byte) (data.SchemaAndValue, error) {
	if b == nil {
		return data.SchemaAndValue{}, nil
	}
	id, payload, err := registry.Split(b)
	if err != nil {
		return data.SchemaAndValue{}, c.serde.Unreadable(topic, err)
	}
	r, err := c.readers.Get(readKey{topic, id})
	if err != nil {
		return data.SchemaAndValue{}, err
	}
	in := input{payload}
	v, err := r.value(&in)
	if err != nil {
		return data.SchemaAndValue{}, c.serde.Unreadable(topic, broken(id, err))
	}
	return data.SchemaAndValue{Schema: r.conn, Value: v}, nil
}

func (c *Converter) newReading(k readKey) (plan *reader, forGood time.Time, err error) {
	found, deps, err := c.serde.Schema(k.topic, k.id)
	if err != nil {
		return nil, forGood, err
	}
	s, err := parsed(found, deps)
	if err != nil {
		return nil, forGood, c.serde.Unreadable(k.topic, broken(k.id, err))
	}
	record := ""
	if s.Type == Record {
		record = s.Name
	}
	version, err := c.serde.Version(k.topic, record, found)
	if err != nil {
		return nil, forGood, err
	}
	if plan, err = c.read(s, version); err != nil {
		return nil, forGood, c.serde.Unreadable(k.topic, broken(k.id, err))
	}
	return plan, forGood, nil
}

// broken says of which schema a message is.
func broken(id int32, err error) error {
	return connecterr.Wrap(connecterr.Serialization, err, "Error deserializing Avro message for id %d", id)
}
