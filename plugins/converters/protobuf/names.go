package protobuf

import (
	"strings"

	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// Names and parameters by which Confluent's converter keeps what one side has and the other does not.
const (
	namespace   = "io.confluent.connect.protobuf"
	defaultName = "ConnectDefault"
	entrySuffix = "Entry" // of the message that holds a map's entry
	entryKey    = "key"
	entryValue  = "value"

	paramEnum   = namespace + ".Enum"
	paramTag    = namespace + ".Tag"  // a field's number
	paramType   = namespace + ".Type" // a whole number's type, such as fixed64
	unionName   = namespace + ".Union"
	unionPrefix = unionName + "."

	sumEnum  = "org.apache.kafka.connect.data.Enum" // generalized.sum.type.support
	sumUnion = "org.apache.kafka.connect.data.Union"

	paramPrecision = "connect.decimal.precision"
	metaType       = "connect.type" // in a field's options: int8 or int16
	metaPrecision  = "precision"
	metaScale      = "scale"

	decimalType   = "confluent.type.Decimal"
	dateType      = "google.type.Date"
	timeType      = "google.type.TimeOfDay"
	timestampType = "google.protobuf.Timestamp"

	decimalFile   = "confluent/type/decimal.proto"
	metaFile      = "confluent/meta.proto"
	dateFile      = "google/type/date.proto"
	timeFile      = "google/type/timeofday.proto"
	timestampFile = "google/protobuf/timestamp.proto"
	wrappersFile  = "google/protobuf/wrappers.proto"
)

// wrappers are the messages that hold a value which may be null, by the type of their field.
var wrappers = map[string]string{
	"double": "google.protobuf.DoubleValue", "float": "google.protobuf.FloatValue", "int64": "google.protobuf.Int64Value", "uint64": "google.protobuf.UInt64Value",
	"int32": "google.protobuf.Int32Value", "uint32": "google.protobuf.UInt32Value", "bool": "google.protobuf.BoolValue", "string": "google.protobuf.StringValue",
	"bytes": "google.protobuf.BytesValue",
}

// wrapped is the type of the values of each wrapper.
var wrapped = map[string]data.Type{
	"google.protobuf.DoubleValue": data.Float64, "google.protobuf.FloatValue": data.Float32, "google.protobuf.Int64Value": data.Int64, "google.protobuf.UInt64Value": data.Int64,
	"google.protobuf.Int32Value": data.Int32, "google.protobuf.UInt32Value": data.Int64, "google.protobuf.BoolValue": data.Boolean, "google.protobuf.StringValue": data.String,
	"google.protobuf.BytesValue": data.Bytes,
}

// logicals are the messages that stand for logical types.
var logicals = map[data.Logical]string{data.LogicalDecimal: decimalType, data.LogicalDate: dateType, data.LogicalTime: timeType, data.LogicalTimestamp: timestampType}

// logicalOf is the logical type that a message stands for.
var logicalOf = map[string]data.Logical{decimalType: data.LogicalDecimal, dateType: data.LogicalDate, timeType: data.LogicalTime, timestampType: data.LogicalTimestamp}

// rules are the converter's keys that decide what becomes of a schema.
type rules struct {
	enhanced      bool // enhanced.protobuf.schema.support
	sums          bool // generalized.sum.type.support
	index         bool // generate.index.for.unions
	flatten       bool // flatten.unions
	structs       bool // generate.struct.for.nulls
	intEnums      bool // int.for.enums
	optionals     bool // optional.for.nullables
	proto2        bool // optional.for.proto2
	scrub         bool // scrub.invalid.names
	wrap          bool // wrapper.for.nullables
	wrapRaw       bool // wrapper.for.raw.primitives
	ignoreDefault bool // ignore.default.for.nullables
}

func bad(format string, args ...any) *connecterr.Error {
	return connecterr.New(connecterr.Data, format, args...)
}

func isUnion(s *data.Schema) bool {
	if s == nil || s.Type() != data.StructType {
		return false
	}
	_, sum := s.Param(sumUnion)
	return sum || strings.HasPrefix(s.Name(), unionName)
}

// enumParam is the parameter by which a schema says that its values are those of an enum; false if it does not say so.
func enumParam(s *data.Schema) (param, name string, ok bool) {
	if s.Type() != data.String && s.Type() != data.Int32 || s.Logical() != data.NotLogical {
		return "", "", false
	}
	for _, param := range []string{sumEnum, paramEnum} {
		if name, ok := s.Param(param); ok && len(symbolsOf(s, param)) > 0 {
			return param, name, true
		}
	}
	return "", "", false
}

// scrubbed is a name with what Protobuf does not allow in one replaced, if that is wanted.
func (r rules) scrubbed(name string) string {
	if !r.scrub {
		return name
	}
	return registry.Scrubbed(name, oddStart)
}

// oddStart tells whether a name can't begin so. An underscore could, and Confluent's converter replaces it.
func oddStart(c byte) bool { return c >= '0' && c <= '9' || c == '_' }

// simple is the last part of a name.
func simple(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// entryName is the name of the message that holds an entry of a map.
func entryName(name string) string {
	if !strings.Contains(name, "_") {
		return name + entrySuffix
	}
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		if part != "" {
			b.WriteString(strings.ToUpper(part[:1]) + strings.ToLower(part[1:]))
		}
	}
	return b.String() + entrySuffix
}

// mapName is the name that a map has by the message of its entries.
func mapName(name string) string {
	at := strings.LastIndexByte(name, '.') + 1
	last, ok := strings.CutSuffix(name[at:], entrySuffix)
	if !ok {
		return name
	}
	b := []byte(name[:at])
	for i := range len(last) {
		c := last[i]
		if c >= 'A' && c <= 'Z' {
			if i > 0 {
				b = append(b, '_')
			}
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return string(b)
}
