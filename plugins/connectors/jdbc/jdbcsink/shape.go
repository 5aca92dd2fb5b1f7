package jdbcsink

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
)

// origin is where a column's value comes from.
type origin uint8

const (
	fromTopic origin = iota
	fromPartition
	fromOffset
	fromKey      // the key itself
	fromKeyField // a field of the key
	fromValue    // the value itself, a text
	fromValueField
)

// field is a column as records have it.
type field struct {
	name   string
	schema *data.Schema
	key    bool
	ts     bool // one of timestamp.fields.list
	from   origin
	index  int // of the field in the key or value

	column *dialect.Column // of the table; nil until it was read
	of     dialect.Dialect // the table's
	zoned  bool            // the column has a zone of its own
}

// String prints the field as Java does.
func (f *field) String() string {
	return fmt.Sprintf("SinkRecordField{schema=%s, name='%s', isPrimaryKey=%t}", f.schema, f.name, f.key)
}

// optional: a key column never is.
func (f *field) optional() bool { return !f.key && f.schema.Optional() }

// value takes the column's value from a record.
func (f *field) value(r *record.Sink, nullToDefault bool) any {
	switch f.from {
	case fromTopic:
		return r.Topic
	case fromPartition:
		return r.KafkaPartition
	case fromOffset:
		return r.KafkaOffset
	case fromKey:
		if r.Key == nil {
			return f.schema.Default()
		}
		return r.Key
	case fromKeyField:
		return member(r.Key, f.index, true)
	case fromValueField:
		return member(r.Value, f.index, nullToDefault || f.key)
	case fromValue:
	}
	return r.Value
}

func member(of any, i int, withDefault bool) any {
	st, ok := of.(*data.Struct)
	switch {
	case !ok:
		return nil
	case withDefault:
		return st.At(i)
	}
	return st.Raw(i)
}

// shape is what records with one pair of schemas write to a table.
type shape struct {
	table              *target
	keySchema, valueOf *data.Schema
	deletes            bool // the value is null
	keys, others       []*field
	ready              bool // the table has all columns
	writer             *statements
}

func (s *shape) fields() []*field { return slices.Concat(s.keys, s.others) }

func (s *shape) keyNames() []string {
	names := make([]string, len(s.keys))
	for i, f := range s.keys {
		names[i] = f.name
	}
	return names
}

var (
	topicSchema     = data.NewSchema(data.String)
	partitionSchema = data.NewSchema(data.Int32)
	offsetSchema    = data.NewSchema(data.Int64)
	textSchema      = data.NewSchema(data.String, data.Optional())
	coordinateNames = []string{"__connect_topic", "__connect_partition", "__connect_offset"}
)

func bad(format string, args ...any) error { return connecterr.New(connecterr.Data, format, args...) }

// makeShape finds the columns of a pair of schemas. value is nil for a tombstone.
func (s *settings) makeShape(t *target, key, value *data.Schema) (*shape, error) {
	sh := &shape{table: t, keySchema: key, valueOf: value, deletes: value == nil}
	if value != nil && value.Type() != data.StructType && (value.Type() != data.String || s.aiven) {
		return nil, bad("Value schema must be of type Struct or String")
	}
	var err error
	if sh.keys, err = s.keyFields(t.name.Table, key, value); err != nil {
		return nil, err
	}
	taken := set(sh.keyNames())
	switch {
	case value == nil:
	case value.Type() == data.String:
		if taken[s.stringCol] {
			return nil, bad("Configured string.output.value.column.name '%s' conflicts with a primary key column for table '%s'", s.stringCol, t.name.Table)
		}
		sh.others = append(sh.others, &field{name: s.stringCol, schema: textSchema, from: fromValue})
	default:
		for _, f := range value.Fields() {
			if taken[f.Name] || s.whitelist != nil && !s.whitelist[f.Name] || s.complex == complexDrop && isComplex(f.Schema, t.d) {
				continue
			}
			sh.others = append(sh.others, &field{name: f.Name, schema: f.Schema, from: fromValueField, index: f.Index})
		}
	}
	for _, f := range sh.fields() {
		f.ts = s.tsFields[f.name] && f.from == fromValueField
	}
	if len(sh.keys)+len(sh.others) == 0 {
		return nil, bad("No fields found using key and value schemas for table: %s", t.name.Table)
	}
	if len(sh.keys) == 0 && (s.mode != modeInsert) {
		return nil, bad("Write to table '%s' in %s mode "+noWhereInKeys, t.text, strings.ToUpper(s.mode))
	}
	if len(sh.keys) == 0 && sh.deletes {
		return nil, bad("Require primary keys to support delete")
	}
	return sh, nil
}

func listed(names []string) string { return "[" + strings.Join(names, ", ") + "]" }

func (s *settings) keyFields(table string, key, value *data.Schema) ([]*field, error) {
	switch s.pkMode {
	case pkKafka:
		names := s.pkFields
		switch len(names) {
		case 0:
			names = coordinateNames
		case 3:
		default:
			return nil, bad("PK mode for table '%s' is KAFKA so there should either be no field names defined for defaults %s to be applicable, or exactly 3, defined fields are: %s",
				table, listed(coordinateNames), listed(names))
		}
		return []*field{{name: names[0], schema: topicSchema, key: true, from: fromTopic}, {name: names[1], schema: partitionSchema, key: true, from: fromPartition},
			{name: names[2], schema: offsetSchema, key: true, from: fromOffset}}, nil
	case pkRecordKey:
		return s.recordKey(table, key)
	case pkRecordValue:
		switch {
		case value == nil:
			return nil, bad("PK mode for table '%s' is RECORD_VALUE, but record value schema is missing", table)
		case value.Type() == data.String:
			return nil, bad("pk.mode record_value is not supported with String value schemas")
		}
		return s.members(table, "VALUE", "value", value, fromValueField)
	}
	return nil, nil
}

func (s *settings) recordKey(table string, key *data.Schema) ([]*field, error) {
	switch {
	case key == nil:
		return nil, bad("PK mode for table '%s' is RECORD_KEY, but record key schema is missing", table)
	case key.Type() == data.StructType:
		return s.members(table, "KEY", "key", key, fromKeyField)
	case key.Type() == data.Array || key.Type() == data.MapType:
		return nil, bad("Key schema must be primitive type or Struct, but is of type: %s", key.Type())
	case len(s.pkFields) != 1:
		return nil, bad("Need exactly one PK column defined since the key schema for records is a primitive type, defined columns are: %s", listed(s.pkFields))
	}
	return []*field{{name: s.pkFields[0], schema: key, key: true, from: fromKey}}, nil
}

// members are the fields of a key or value that are key columns.
func (s *settings) members(table, mode, what string, of *data.Schema, from origin) ([]*field, error) {
	names := s.pkFields
	if len(names) == 0 {
		for _, f := range of.Fields() {
			names = append(names, f.Name)
		}
	}
	fields := make([]*field, len(names))
	for i, n := range names {
		f, ok := of.Field(n)
		if !ok {
			return nil, bad("PK mode for table '%s' is RECORD_%s with configured PK fields %s, but record %s schema does not contain field: %s", table, mode, listed(s.pkFields), what, n)
		}
		fields[i] = &field{name: n, schema: f.Schema, key: true, from: from, index: f.Index}
	}
	return fields, nil
}

// ddlOrder is the order of columns that are made: Kafka's coordinates, the value's fields, the rest by name.
func (sh *shape) ddlOrder(missing []*field) []*field {
	place := func(f *field) int {
		if f.from <= fromOffset && slices.Contains(coordinateNames, f.name) {
			return slices.Index(coordinateNames, f.name) - 3
		}
		if sh.valueOf != nil {
			if v, ok := sh.valueOf.Field(f.name); ok {
				return v.Index
			}
		}
		return 1 << 30
	}
	return slices.SortedStableFunc(slices.Values(missing), func(a, b *field) int {
		if pa, pb := place(a), place(b); pa != pb {
			return pa - pb
		}
		return strings.Compare(a.name, b.name)
	})
}

// check is what a record must be like, before anything else.
func (s *settings) check(r *record.Sink) error {
	primitive := func(c *data.Schema) bool { return c.Type() != data.Array && c.Type() != data.MapType }
	if s.pkMode == pkRecordKey && (r.Key == nil || r.KeySchema == nil || !primitive(r.KeySchema)) {
		return s.unfit(r, "a non-null key and non-null Struct or primitive key schema", r.Key, r.KeySchema, "key")
	}
	what := "a non-null Struct or String value and non-null Struct or String schema"
	if s.aiven {
		what = "a non-null Struct value and non-null Struct schema"
	}
	fits := r.ValueSchema != nil && (r.ValueSchema.Type() == data.StructType || r.ValueSchema.Type() == data.String && !s.aiven)
	switch {
	case s.deletes && r.Value == nil:
		return nil
	case s.deletes && !fits:
		return bad("Value schema must be of type Struct or String")
	case r.Value == nil || !fits:
		return s.unfit(r, what, r.Value, r.ValueSchema, "value")
	}
	if r.ValueSchema.Type() == data.String {
		var odd []string
		if s.whitelist != nil {
			odd = append(odd, whitelistKey)
		}
		if len(s.tsFields) > 0 {
			odd = append(odd, tsFieldsKey)
		}
		if odd != nil {
			return bad("Sink connector '%s' is configured with field-level options that are not applicable to String values: %s. Remove these options, or have the upstream producer emit Struct values instead.",
				s.name, strings.Join(odd, ", "))
		}
	}
	return nil
}

func (s *settings) unfit(r *record.Sink, what string, v any, schema *data.Schema, part string) error {
	kind := "null"
	if schema != nil {
		kind = schema.Type().String()
	}
	hint := ""
	if v != nil && schema == nil {
		hint = " Use a converter with schemas (schemas.enable=true, Avro, Protobuf, JSON Schema)."
	}
	return bad("Sink connector '%s' is configured with 'delete.enabled=%t' and 'pk.mode=%s' and therefore requires records with %s, but found record at %s with a %s %s and %s %s schema.%s",
		s.name, s.deletes, s.pkMode, what, place(r), kindOf(v), part, kind, part, hint)
}

// place tells where a record was read.
func place(r *record.Sink) string {
	return fmt.Sprintf("(topic='%s',partition=%d,offset=%d,timestamp=%d)", r.Topic, r.KafkaPartition, r.KafkaOffset, r.Timestamp)
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case *data.Map:
		return "map"
	case *data.Struct:
		return "Struct"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return strings.ToLower(data.TypeOf(v).String())
}
