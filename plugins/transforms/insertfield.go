package transforms

import (
	"strings"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
)

const fieldInsertion = "field insertion"

var insertFieldDef = &config.Def{Keys: []config.Key{
	key("topic.field", config.String, config.Medium, "Name of a field for the topic."+suffixes),
	key("partition.field", config.String, config.Medium, "Name of a field for the Kafka partition."+suffixes),
	key("offset.field", config.String, config.Medium, "Name of a field for the Kafka offset; sinks only."+suffixes),
	key("timestamp.field", config.String, config.Medium, "Name of a field for the record's timestamp."+suffixes),
	key("static.field", config.String, config.Medium, "Name of a field for static.value."+suffixes),
	key("static.value", config.String, config.Medium, "Text for static.field."),
	nullsKey(),
}}

const suffixes = " With ! behind it the field is required, with ? or nothing it is optional."

// The schemas of inserted fields, required and optional.
var (
	timestampSchema         = data.TimestampSchema()
	optionalTimestampSchema = data.TimestampSchema(data.Optional())
)

// insertField adds fields that describe the record.
type insertField struct {
	base
	added   []addition
	schemas cache[*data.Schema]
}

// addition is one field that is added. value is what it gets; ok is false where it gets nothing.
type addition struct {
	name   string
	schema *data.Schema
	value  func(r *transform.Record, schemaless bool) (v any, ok bool, err error)
}

// what can be inserted, in the order of the new fields.
var insertable = []struct {
	key                string
	required, optional *data.Schema
	value              func(r *transform.Record, schemaless bool) (v any, ok bool, err error)
}{
	{"topic.field", data.StringSchema, data.OptionalStringSchema, func(r *transform.Record, _ bool) (any, bool, error) { return r.Topic, true, nil }},
	{"partition.field", data.Int32Schema, data.OptionalInt32Schema, func(r *transform.Record, _ bool) (any, bool, error) {
		return r.KafkaPartition, r.KafkaPartition != record.AnyPartition, nil
	}},
	{"offset.field", data.Int64Schema, data.OptionalInt64Schema, func(r *transform.Record, _ bool) (any, bool, error) {
		if r.Source != nil {
			return nil, false, dataError("Only SinkRecord supported for [%s], found: org.apache.kafka.connect.source.SourceRecord", fieldInsertion)
		}
		return r.KafkaOffset, true, nil
	}},
	{"timestamp.field", timestampSchema, optionalTimestampSchema, func(r *transform.Record, schemaless bool) (any, bool, error) {
		if schemaless {
			return r.Timestamp, r.Timestamp != record.NoTimestamp, nil
		}
		return data.Instant(r.Timestamp), r.Timestamp != record.NoTimestamp, nil
	}},
	{"static.field", data.StringSchema, data.OptionalStringSchema, nil},
}

func (f *insertField) Configure(props map[string]string) error {
	v, err := parse(insertFieldDef, props)
	if err != nil {
		return err
	}
	f.defaults, f.added, f.schemas = v.Bool(nullsName), nil, cache[*data.Schema]{}
	for _, what := range insertable {
		if !v.Has(what.key) {
			continue
		}
		a := addition{name: v.String(what.key), schema: what.optional, value: what.value}
		if name, is := strings.CutSuffix(a.name, "!"); is {
			a.name, a.schema = name, what.required
		} else {
			a.name = strings.TrimSuffix(a.name, "?")
		}
		if a.value == nil {
			if !v.Has("static.value") {
				return configError("Invalid value null for configuration static.value: No value specified for static field: %s", a.name)
			}
			var text any = v.String("static.value")
			a.value = func(*transform.Record, bool) (any, bool, error) { return text, true, nil }
		}
		f.added = append(f.added, a)
	}
	if f.added == nil {
		return configError("No field insertion configured")
	}
	return nil
}

func (f *insertField) Apply(r *transform.Record) (bool, error) {
	s, v := f.operand(r)
	if v == nil {
		return true, nil
	}
	if s == nil {
		return true, f.schemaless(r, v)
	}
	st, err := requireStruct(s, v, fieldInsertion)
	if err != nil {
		return false, err
	}
	schema, err := f.schema(s)
	if err != nil {
		return false, err
	}
	out := data.NewStruct(schema)
	n := len(s.Fields())
	for i := range n {
		if err := put(out, i, f.read(st, i)); err != nil {
			return false, err
		}
	}
	for i := range f.added {
		v, ok, err := f.added[i].value(r, false)
		if err != nil {
			return false, err
		}
		if ok { // else it stays unset, even where it is required
			out.SetAt(n+i, v)
		}
	}
	f.update(r, schema, out)
	return true, nil
}

func (f *insertField) schemaless(r *transform.Record, v any) error {
	m, err := requireMap(v, fieldInsertion)
	if err != nil {
		return err
	}
	var values [5]any // as many as can be inserted
	var given [5]bool
	for i := range f.added {
		if values[i], given[i], err = f.added[i].value(r, true); err != nil { //nolint:gosec // insertable has no more than five
			return err
		}
	}
	out := r.Mutable(m)
	for i := range f.added {
		if given[i] {
			out.Set(f.added[i].name, values[i])
		}
	}
	f.update(r, nil, out)
	return nil
}

func (f *insertField) schema(s *data.Schema) (*data.Schema, error) {
	if schema, ok := f.schemas.get(s); ok {
		return schema, nil
	}
	fields := append([]data.Field{}, s.Fields()...)
	for _, a := range f.added {
		fields = append(fields, data.Field{Name: a.name, Schema: a.schema})
	}
	schema, err := structOf(s, fields)
	if err == nil {
		f.schemas.put(s, schema)
	}
	return schema, err
}
