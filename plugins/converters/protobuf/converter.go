package protobuf

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/millrace/millrace/internal/scratch"
	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
)

// Class is the converter's name in configurations.
const Class = "io.confluent.connect.protobuf.ProtobufConverter"

const (
	keySkip     = "skip.known.types"
	keyRefName  = "reference.subject.name.strategy"
	refName     = "io.confluent.kafka.serializers.subject.DefaultReferenceSubjectNameStrategy"
	refQualfied = "io.confluent.kafka.serializers.subject.QualifiedReferenceSubjectNameStrategy"
)

// Def are the converter's keys.
var Def = &config.Def{Keys: append(registry.Keys(),
	registry.Flag("enhanced.protobuf.schema.support", "false", "Keep the packages of messages and enums in names that are read."),
	registry.Flag("generalized.sum.type.support", "false", "Read unions and enums in the form that is common to Avro, Protobuf and JSON Schema."),
	registry.Flag("generate.index.for.unions", "true", "Name the field of a oneof with its index behind it."),
	registry.Flag("flatten.unions", "false", "Read the fields of a oneof as fields of the struct itself."),
	registry.Flag("generate.struct.for.nulls", "false", "Read a message that is not there as a struct of defaults, not as null."),
	registry.Flag("int.for.enums", "false", "Read enums as numbers."),
	registry.Flag("optional.for.nullables", "false", "Write optional fields with the word optional, and read only such fields as optional."),
	registry.Flag("optional.for.proto2", "true", "Read an optional field of proto2 that is not there as null, not as its default."),
	registry.Flag("scrub.invalid.names", "false", "Replace characters in names that Protobuf does not allow."),
	registry.Flag("wrapper.for.nullables", "false", "Write optional fields as Google's wrapper messages, and read those as optional values."),
	registry.Flag("wrapper.for.raw.primitives", "true", "Read a whole value that is a wrapper message as the value in it."),
	registry.Flag("ignore.default.for.nullables", "false", "Leave a null where an optional field has a default."),
	registry.Flag(keySkip, "true", "Register schemas without references to the files that come with registries, such as confluent/meta.proto. Set it to false for a registry that lacks them."),
	config.Key{Name: keyRefName, Type: config.Class, Default: config.Default(refName), Importance: config.Low,
		Doc: "How the subjects of such files are named: " + refName + " (the file's name) or …QualifiedReferenceSubjectNameStrategy (with points, without .proto)."},
)}

var format = registry.Format{Name: "Protobuf", Write: "Failed to serialize Protobuf data from topic %s :", Read: "Failed to deserialize data for topic %s to Protobuf: ",
	Access: "Failed to access Protobuf data from topic %s : "}

// Converter is ProtobufConverter.
type Converter struct {
	rules
	refer     bool // to known files
	qualified bool
	serde     registry.Serde
	writers   *registry.Plans[registry.WriteKey, writing]
	readers   *registry.Plans[readKey, *message]
	buffer    scratch.Buffer
	in        input
}

type writing struct {
	plan   *writer
	header []byte // zero, id, message indexes
}

type readKey struct {
	topic   string
	id      int32
	indexes string // as they are in the message
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
	switch strategy := v.String(keyRefName); strategy {
	case refName, refQualfied:
		c.qualified = strategy == refQualfied
	default:
		return connecterr.New(connecterr.Config, "Invalid value %s for configuration %s: it must be %s or %s; strategies of one's own can't be loaded", strategy, keyRefName, refName, refQualfied)
	}
	size := int(v.Int("schemas.cache.config"))
	c.refer = !v.Bool(keySkip)
	c.rules = rules{enhanced: v.Bool("enhanced.protobuf.schema.support"), sums: v.Bool("generalized.sum.type.support"), index: v.Bool("generate.index.for.unions"),
		flatten: v.Bool("flatten.unions"), structs: v.Bool("generate.struct.for.nulls"), intEnums: v.Bool("int.for.enums"), optionals: v.Bool("optional.for.nullables"),
		proto2: v.Bool("optional.for.proto2"), scrub: v.Bool("scrub.invalid.names"), wrap: v.Bool("wrapper.for.nullables"), wrapRaw: v.Bool("wrapper.for.raw.primitives"),
		ignoreDefault: v.Bool("ignore.default.for.nullables")}
	c.writers, c.readers = registry.NewPlans(size, c.newWriting), registry.NewPlans(size, c.newReading)
	return nil
}

// Within implements converter.Waiter.
func (c *Converter) Within(ctx context.Context) { c.serde.Within(ctx) }

// Close lets the registry go.
func (c *Converter) Close() error { return c.serde.Close() }

// FromConnect writes a value.
func (c *Converter) FromConnect(topic string, schema *data.Schema, value any) ([]byte, error) {
	switch {
	case value == nil:
		return nil, nil
	case schema == nil:
		return nil, c.serde.Unwritable(topic, bad("a value without a schema can't be written: ProtobufConverter needs one, JsonConverter with schemas.enable=false does not"))
	}
	w, err := c.writers.Get(registry.LikeLast(c.writers, topic, schema))
	if err != nil {
		return nil, err
	}
	b, err := w.plan.append(append(c.buffer.Empty(), w.header...), value)
	if err != nil {
		return nil, c.serde.Unwritable(topic, err)
	}
	return c.buffer.Copy(b), nil
}

func (c *Converter) newWriting(k registry.WriteKey) (w writing, until time.Time, err error) {
	text, name, err := c.own(k.Schema)
	if err != nil {
		return w, until, c.serde.Unwritable(k.Topic, err)
	}
	own := registry.Schema{Type: registry.Protobuf, Text: text}
	var message protoreflect.MessageDescriptor
	if !c.serde.Given() { // else it need not be a good one
		if message, err = c.declared(k.Topic, text, name, &own); err != nil {
			return w, until, err
		}
	}
	target, err := c.serde.Target(k.Topic, name, own)
	if err != nil {
		return w, until, err
	}
	if target.Given != nil {
		if message, err = given(*target.Given, target.Deps, name, k.Schema); err != nil {
			return w, until, c.serde.Unwritable(k.Topic, err)
		}
	}
	w.header = appendIndexes(registry.AppendHeader(nil, target.ID), indexesOf(message))
	if w.plan, err = c.write(k.Schema, message, target.Given == nil || target.Strict); err != nil {
		if target.Given != nil && target.Strict {
			err = registry.Incompatible(target.Given.Text, text, err)
		}
		return w, until, c.serde.Unwritable(k.Topic, err)
	}
	return w, target.Until, nil
}

// declared is the message of a record's own schema, which gets its references.
func (c *Converter) declared(topic, text, name string, own *registry.Schema) (protoreflect.MessageDescriptor, error) {
	file, err := compile(text, nil)
	if err != nil {
		return nil, c.serde.Unwritable(topic, bad("%v; scrub.invalid.names=true replaces what Protobuf does not allow in names. The schema is:\n%s", err, text))
	}
	own.References, err = c.references(topic, file)
	return find(file.Messages(), func(m protoreflect.MessageDescriptor) bool { return string(m.FullName()) == name }), err
}

// references registers, or looks up, the known files that a schema imports, if that is wanted. Those of google/protobuf come with
// every compiler.
func (c *Converter) references(topic string, file protoreflect.FileDescriptor) (refs []registry.Reference, err error) {
	for i := 0; c.refer && i < file.Imports().Len(); i++ {
		name := file.Imports().Get(i).Path()
		text, ok := known[name]
		if !ok {
			continue
		}
		subject := name
		if c.qualified {
			subject = strings.ReplaceAll(strings.TrimSuffix(name, ".proto"), "/", ".")
		}
		ref, err := c.serde.Refer(topic, name, subject, registry.Schema{Type: registry.Protobuf, Text: text})
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

// given finds the message that records are written as in a schema that is not their own: the one with their name, or the first
// for records without one.
func given(s registry.Schema, deps []registry.Named, name string, conn *data.Schema) (protoreflect.MessageDescriptor, error) {
	file, err := open(s, deps)
	if err != nil {
		return nil, err
	}
	found := find(file.Messages(), func(m protoreflect.MessageDescriptor) bool { return string(m.FullName()) == name })
	if found == nil && !strings.Contains(name, ".") {
		found = find(file.Messages(), func(m protoreflect.MessageDescriptor) bool { return string(m.Name()) == name })
	}
	if all := messages(file.Messages()); found == nil && conn.Name() == "" && len(all) > 0 {
		found = all[0]
	}
	if found == nil {
		return nil, bad("the schema in the registry has no message %s", name)
	}
	return found, nil
}

// open reads a schema of the registry.
func open(s registry.Schema, deps []registry.Named) (protoreflect.FileDescriptor, error) {
	if err := s.Is(registry.Protobuf); err != nil {
		return nil, err
	}
	return compile(s.Text, deps)
}

// appendIndexes writes which message of its schema a record is: the first in the shortest way.
func appendIndexes(b []byte, indexes []int) []byte {
	if slices.Equal(indexes, []int{0}) {
		return append(b, 0)
	}
	b = binary.AppendVarint(b, int64(len(indexes)))
	for _, i := range indexes {
		b = binary.AppendVarint(b, int64(i))
	}
	return b
}

// indexes reads which message of its schema a record is. size is how many bytes tell it.
func indexes(b []byte) (all []int, size int, err error) {
	next := func() (int64, error) {
		n, used := binary.Varint(b[size:])
		if used <= 0 {
			return 0, bad("the message ends within its message indexes")
		}
		size += used
		return n, nil
	}
	count, err := next()
	switch {
	case err != nil:
		return nil, 0, err
	case count == 0:
		return []int{0}, size, nil
	case count < 0 || count > maxDepth:
		return nil, 0, bad("Invalid message indexes: there are %d", count)
	}
	for range count {
		i, err := next()
		if err != nil {
			return nil, 0, err
		}
		all = append(all, int(min(max(i, -1), 1<<30)))
	}
	return all, size, nil
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
	k := readKey{topic: topic, id: id}
	if len(payload) == 0 || payload[0] != 0 {
		_, size, err := indexes(payload)
		if err != nil {
			return data.SchemaAndValue{}, c.serde.Broken(topic, id, err)
		}
		if last, ok := c.readers.Last(); ok && last.indexes == string(payload[:size]) {
			k.indexes = last.indexes
		} else {
			k.indexes = string(payload[:size])
		}
		payload = payload[size:]
	} else {
		payload = payload[1:]
	}
	plan, err := c.readers.Get(k)
	if err != nil {
		return data.SchemaAndValue{}, err
	}
	v, err := c.in.value(plan, payload)
	if err != nil {
		return data.SchemaAndValue{}, c.serde.Broken(topic, id, err)
	}
	return data.SchemaAndValue{Schema: plan.schema(), Value: v}, nil
}

func (c *Converter) newReading(k readKey) (plan *message, forGood time.Time, err error) {
	found, deps, err := c.serde.Schema(k.topic, k.id)
	if err != nil {
		return nil, forGood, err
	}
	which := []int{0}
	if k.indexes != "" {
		which, _, err = indexes([]byte(k.indexes))
	}
	var file protoreflect.FileDescriptor
	if err == nil {
		file, err = open(found, deps)
	}
	var m protoreflect.MessageDescriptor
	if err == nil {
		m, err = at(file, which)
	}
	if err != nil {
		return nil, forGood, c.serde.Broken(k.topic, k.id, err)
	}
	version, err := c.serde.Version(k.topic, string(m.FullName()), found)
	if err != nil {
		return nil, forGood, err
	}
	if plan, err = c.read(m, version); err != nil {
		return nil, forGood, c.serde.Broken(k.topic, k.id, err)
	}
	return plan, forGood, nil
}
