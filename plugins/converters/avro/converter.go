package avro

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/scratch"
	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
)

// Class is the converter's name in configurations.
const Class = "io.confluent.connect.avro.AvroConverter"

// Def are the converter's keys.
var Def = &config.Def{Keys: append(registry.Keys(),
	registry.Flag("connect.meta.data", "true", "Keep in the Avro schema what only Kafka Connect has: names, versions, documentation, parameters."),
	registry.Flag("enhanced.avro.schema.support", "false", "Write enums as enums, and name the fields of unions with their name spaces."),
	registry.Flag("scrub.invalid.names", "false", "Replace characters in names that Avro does not allow."),
	registry.Flag("allow.optional.map.keys", "false", "Write maps with optional keys as Avro maps, too."),
	registry.Flag("generalized.sum.type.support", "false", "Read unions and enums in the form that is common to Avro, Protobuf and JSON Schema."),
	registry.Flag("discard.type.doc.default", "false", "Leave the documentation of records and the defaults of fields out of parameters."),
	registry.Flag("ignore.default.for.nullables", "false", "Leave a null where an optional field has a default."),
	registry.Flag("flatten.singleton.unions", "true", "Read a union of one type as that type."),
)}

var format = registry.Format{Name: "Avro", Write: "Failed to serialize Avro data from topic %s :", Read: "Failed to deserialize data for topic %s to Avro: ",
	Access: "Failed to access Avro data from topic %s : "}

// Converter is AvroConverter.
type Converter struct {
	rules
	serde   registry.Serde
	writers *registry.Plans[registry.WriteKey, writing]
	readers *registry.Plans[readKey, *reader]
	buffer  scratch.Buffer
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

// FromConnect writes a value.
func (c *Converter) FromConnect(topic string, schema *data.Schema, value any) ([]byte, error) {
	if value == nil {
		if schema == nil || schema.Optional() {
			return nil, nil
		}
		return nil, c.serde.Unwritable(topic, bad("Found null value for non-optional schema"))
	}
	w, err := c.writers.Get(registry.LikeLast(c.writers, topic, schema))
	if err != nil {
		return nil, err
	}
	b, err := w.plan.append(registry.AppendHeader(c.buffer.Empty(), w.id), value)
	if err != nil {
		return nil, c.serde.Unwritable(topic, err)
	}
	return c.buffer.Copy(b), nil
}

func (c *Converter) newWriting(k registry.WriteKey) (w writing, until time.Time, err error) {
	own, err := c.own(k.Schema)
	if err != nil {
		return w, until, c.serde.Unwritable(k.Topic, err)
	}
	record := ""
	if own.Type == Record {
		record = own.Name
	}
	target, err := c.serde.Target(k.Topic, record, registry.Schema{Type: registry.Avro, Text: own.String()})
	if err != nil {
		return w, until, err
	}
	w.id = target.ID
	if target.Given != nil {
		if own, err = parsed(*target.Given, target.Deps); err != nil {
			return w, until, c.serde.Unwritable(k.Topic, err)
		}
	}
	if w.plan, err = c.write(k.Schema, own, target.Strict); err != nil {
		if target.Given != nil && target.Strict {
			err = registry.Incompatible(own, k.Schema, err)
		}
		return w, until, c.serde.Unwritable(k.Topic, err)
	}
	return w, target.Until, nil
}

// parsed reads a schema of the registry.
func parsed(s registry.Schema, deps []registry.Named) (*Schema, error) {
	if err := s.Is(registry.Avro); err != nil {
		return nil, err
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
		return data.SchemaAndValue{}, c.serde.Broken(topic, id, err)
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
		return nil, forGood, c.serde.Broken(k.topic, k.id, err)
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
		return nil, forGood, c.serde.Broken(k.topic, k.id, err)
	}
	return plan, forGood, nil
}
