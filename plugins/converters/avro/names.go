package avro

import (
	"strings"

	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/data"
)

// Names and properties by which Confluent's converter keeps in Avro what Avro does not have.
const (
	namespace   = "io.confluent.connect.avro"
	defaultName = "ConnectDefault"
	mapEntry    = "MapEntry"
	entryKey    = "key"
	entryValue  = "value"

	propName     = "connect.name"
	propDoc      = "connect.doc"
	propVersion  = "connect.version"
	propDefault  = "connect.default"
	propParams   = "connect.parameters"
	propInternal = "connect.internal.type"
	propType     = "connect.type"
	propLogical  = "logicalType"

	paramRecordDoc   = namespace + ".record.doc"
	paramFieldDoc    = namespace + ".field.doc."
	paramEnumDoc     = namespace + ".enum.doc."
	paramEnumDefault = namespace + ".enum.default."
	paramDefaulted   = namespace + ".field.default" // the default is that of the Avro field
	paramEnum        = namespace + ".Enum"
	unionName        = namespace + ".Union"

	sumEnum  = "org.apache.kafka.connect.data.Enum" // generalized.sum.type.support
	sumUnion = "org.apache.kafka.connect.data.Union"
	sumField = "connect_union_field_"

	paramPrecision   = "connect.decimal.precision"
	paramFixed       = "connect.fixed.size"
	docOfRecord      = "connect.record.doc" // with discard.type.doc.default
	docOfEnum        = "connect.enum.doc"
	defaultPrecision = 64
)

// anythingText is the schema of values that have none.
const anythingText = `{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":[{"name":"boolean","type":["null","boolean"],"default":null},` +
	`{"name":"bytes","type":["null","bytes"],"default":null},{"name":"double","type":["null","double"],"default":null},{"name":"float","type":["null","float"],"default":null},` +
	`{"name":"int","type":["null","int"],"default":null},{"name":"long","type":["null","long"],"default":null},{"name":"string","type":["null","string"],"default":null},` +
	`{"name":"array","type":["null",{"type":"array","items":"Anything"}],"default":null},{"name":"map","type":["null",{"type":"array","items":{"type":"record","name":"MapEntry",` +
	`"fields":[{"name":"key","type":"Anything"},{"name":"value","type":"Anything"}]}}],"default":null}]}`

const anythingName = namespace + ".Anything"

// rules are the converter's keys that decide what becomes of a schema.
type rules struct {
	enhanced        bool // enhanced.avro.schema.support
	sums            bool // generalized.sum.type.support
	meta            bool // connect.meta.data
	scrub           bool // scrub.invalid.names
	optionalMapKeys bool // allow.optional.map.keys
	discard         bool // discard.type.doc.default
	ignoreDefault   bool // ignore.default.for.nullables
	flatten         bool // flatten.singleton.unions
}

func isUnion(s *data.Schema) bool {
	if s.Type() != data.StructType {
		return false
	}
	_, sum := s.Param(sumUnion)
	return s.Name() == unionName || sum
}

// enumParam is the parameter that says that a text is one of an enum.
func (r rules) enumParam() string {
	if r.sums {
		return sumEnum
	}
	return paramEnum
}

func isEnum(s *data.Schema) bool {
	_, a := s.Param(paramEnum)
	_, b := s.Param(sumEnum)
	return s.Type() == data.String && (a || b)
}

func isFixed(s *data.Schema) bool {
	_, ok := s.Param(paramFixed)
	return ok && s.Type() == data.Bytes && s.HasName()
}

// stringKeys tells whether a map can be one of Avro, whose keys are texts.
func (r rules) stringKeys(s *data.Schema) bool {
	k := s.KeySchema()
	return k != nil && k.Type() == data.String && k.Logical() == data.NotLogical && (!k.Optional() || r.optionalMapKeys)
}

// scrubbed is a name with what Avro does not allow in one replaced, if that is wanted.
func (r rules) scrubbed(name string) string {
	if !r.scrub {
		return name
	}
	return registry.Scrubbed(name, digit)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// scrubbedFull is scrubbed for each part of a full name.
func (r rules) scrubbedFull(name string) string {
	if !r.scrub {
		return name
	}
	parts := strings.Split(name, ".")
	for i, p := range parts {
		parts[i] = r.scrubbed(p)
	}
	return strings.Join(parts, ".")
}
