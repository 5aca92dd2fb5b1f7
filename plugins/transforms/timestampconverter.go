package transforms

import (
	"math"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/transforms/internal/simpledate"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/transform"
)

const convertingTimestamps = "converting timestamp formats"

// The kinds of timestamp, by the names that target.type has for them.
const (
	kindString    = "string"
	kindUnix      = "unix"
	kindDate      = "Date"
	kindTime      = "Time"
	kindTimestamp = "Timestamp"
)

var timestampConverterDef = &config.Def{Keys: []config.Key{
	optional("field", config.String, "", config.High, "Name of the field with the timestamp; empty: the whole is one."),
	required("target.type", config.String, config.High, "What the timestamp becomes: a text, a number, or one of Connect's types.",
		config.OneOf(kindString, kindUnix, kindDate, kindTime, kindTimestamp)),
	optional("format", config.String, "", config.Medium, "Pattern of texts, as Java's SimpleDateFormat has them, in UTC. Needed where a text is read or written."),
	optional("unix.precision", config.String, "milliseconds", config.Low, "What a number counts, whether it is read or written.",
		config.OneOf("nanoseconds", "microseconds", "milliseconds", "seconds")),
	nullsKey(),
}}

// kindSchemas are the schemas of each kind, required and optional.
var kindSchemas = map[string][2]*data.Schema{
	kindString:    {data.StringSchema, data.OptionalStringSchema},
	kindUnix:      {data.Int64Schema, data.OptionalInt64Schema},
	kindDate:      {data.DateSchema(), data.DateSchema(data.Optional())},
	kindTime:      {data.TimeSchema(), data.TimeSchema(data.Optional())},
	kindTimestamp: {timestampSchema, optionalTimestampSchema},
}

// timestampConverter converts timestamps.
type timestampConverter struct {
	base
	field, target, pattern, precision string
	format                            *simpledate.Format // nil: none
	schemas                           cache[*timestampPlan]
}

// timestampPlan is what becomes of a schema: the field's place (-1: there is none) and the kind that it is of.
type timestampPlan struct {
	schema *data.Schema
	at     int
	kind   string
}

func (c *timestampConverter) Configure(props map[string]string) error {
	v, err := parse(timestampConverterDef, props)
	if err != nil {
		return err
	}
	c.defaults, c.format, c.schemas = v.Bool(nullsName), nil, cache[*timestampPlan]{}
	c.field, c.target, c.pattern, c.precision = v.String("field"), v.String("target.type"), v.String("format"), v.String("unix.precision")
	if strings.TrimSpace(c.pattern) != "" {
		if c.format, err = simpledate.New(c.pattern, time.Now()); err != nil {
			return configError("Invalid value java.lang.IllegalArgumentException: %s for configuration TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: %s",
				err, c.pattern)
		}
	} else if c.target == kindString {
		return configError("TimestampConverter requires format option to be specified when using string timestamps")
	}
	return nil
}

func (c *timestampConverter) Apply(r *transform.Record) (bool, error) {
	s, v := c.operand(r)
	var err error
	switch {
	case s == nil:
		v, err = c.schemaless(r, v)
	case c.field == "":
		s, v, err = c.whole(s, v)
	default:
		s, v, err = c.ofField(s, v)
	}
	if err == nil {
		c.update(r, s, v)
	}
	return true, err
}

func (c *timestampConverter) schemaless(r *transform.Record, v any) (any, error) {
	if v == nil || c.field == "" {
		return c.inferred(v)
	}
	m, err := requireMap(v, convertingTimestamps)
	if err != nil {
		return nil, err
	}
	field, _ := m.Get(c.field)
	converted, err := c.inferred(field)
	if err != nil {
		return nil, err
	}
	out := r.Mutable(m)
	out.Set(c.field, converted)
	return out, nil
}

func (c *timestampConverter) whole(s *data.Schema, v any) (*data.Schema, any, error) {
	kind, err := kindOf(s)
	if err == nil {
		v, err = c.convert(v, kind)
	}
	return c.targetSchema(s), v, err
}

func (c *timestampConverter) ofField(s *data.Schema, v any) (*data.Schema, any, error) {
	var st *data.Struct
	var err error
	if v != nil {
		if st, err = requireStruct(s, v, convertingTimestamps); err != nil {
			return nil, nil, err
		}
	}
	plan, err := c.plan(s)
	if err != nil || st == nil {
		return plan.schema, nil, err
	}
	out, err := c.converted(st, plan)
	return plan.schema, out, err
}

// converted is a struct with its field converted.
func (c *timestampConverter) converted(st *data.Struct, plan *timestampPlan) (*data.Struct, error) {
	out := data.NewStruct(plan.schema)
	for i, f := range plan.schema.Fields() {
		v := c.read(st, i)
		if i == plan.at {
			var err error
			if plan.kind == "" {
				_, err = kindOf(st.Schema().Fields()[i].Schema)
			} else {
				v, err = c.convert(v, plan.kind)
			}
			if err != nil {
				return nil, err
			}
		}
		if v == nil && !f.Schema.Optional() {
			return nil, out.SetIndex(i, nil)
		}
		out.SetAt(i, v)
	}
	return out, nil
}

func (c *timestampConverter) plan(s *data.Schema) (*timestampPlan, error) {
	if plan, ok := c.schemas.get(s); ok {
		return plan, nil
	}
	plan := &timestampPlan{at: -1}
	in, err := fieldsOf(s)
	if err != nil {
		return plan, err
	}
	fields := append([]data.Field{}, in...)
	for i, f := range fields {
		if f.Name == c.field {
			plan.at, fields[i].Schema = i, c.targetSchema(f.Schema)
			plan.kind, _ = kindOf(f.Schema) // an error shows with a value
		}
	}
	var more []data.Option
	if s.Optional() {
		more = append(more, data.Optional())
	}
	if plan.schema, err = structOf(s, fields, more...); err != nil {
		return plan, err
	}
	c.schemas.put(s, plan)
	return plan, nil
}

// targetSchema is the schema of the target, optional as another one.
func (c *timestampConverter) targetSchema(like *data.Schema) *data.Schema {
	return kindSchemas[c.target][oneIf(like.Optional())]
}

// kindOf is the kind that a schema stands for.
func kindOf(s *data.Schema) (string, error) {
	switch s.Logical() {
	case data.LogicalTimestamp:
		return kindTimestamp, nil
	case data.LogicalDate:
		return kindDate, nil
	case data.LogicalTime:
		return kindTime, nil
	default:
	}
	switch s.Type() {
	case data.String:
		return kindString, nil
	case data.Int64:
		return kindUnix, nil
	default:
	}
	return "", connecterr.New(connecterr.General, "Schema %s does not correspond to a known timestamp type format", s)
}

// inferred converts a value without a schema.
func (c *timestampConverter) inferred(v any) (any, error) {
	switch v.(type) {
	case nil:
		return nil, nil
	case data.Instant:
		return c.convert(v, kindTimestamp)
	case int64:
		return c.convert(v, kindUnix)
	case string:
		return c.convert(v, kindString)
	}
	return nil, dataError("TimestampConverter does not support class %s objects as timestamps", data.ClassOf(v))
}

func (c *timestampConverter) convert(v any, kind string) (any, error) {
	if v == nil {
		return nil, nil
	}
	at, zone, err := c.instant(v, kind)
	if err != nil {
		return nil, err
	}
	switch c.target {
	case kindString:
		return c.format.Text(at, zone), nil
	case kindUnix:
		return toUnix(int64(at), c.precision), nil
	case kindDate:
		return at - timeOfDay(at), nil
	case kindTime:
		return timeOfDay(at), nil
	}
	return at, nil
}

func timeOfDay(at data.Instant) data.Instant { return (at%data.Day + data.Day) % data.Day }

// instant is the point in time that a value of a kind stands for. A text may name a zone, which a text made of it keeps.
func (c *timestampConverter) instant(v any, kind string) (data.Instant, simpledate.Zone, error) {
	switch kind {
	case kindString:
		text, ok := v.(string)
		if !ok {
			return 0, simpledate.Zone{}, dataError("Expected string timestamp to be a String, but found class %s", data.ClassOf(v))
		}
		if c.format != nil {
			if at, zone, ok := c.format.Parse(text); ok {
				return at, zone, nil
			}
		}
		cause := connecterr.New(connecterr.General, "Unparseable date: \"%s\"", text).WithClass("java.text.ParseException")
		return 0, simpledate.Zone{}, connecterr.Wrap(connecterr.Data, cause, "Could not parse timestamp: value (%s) does not match pattern (%s)", text, c.pattern)
	case kindUnix:
		n, ok := v.(int64)
		if !ok {
			return 0, simpledate.Zone{}, dataError("Expected Unix timestamp to be a Long, but found class %s", data.ClassOf(v))
		}
		return data.Instant(fromUnix(n, c.precision)), simpledate.Zone{}, nil
	}
	at, ok := v.(data.Instant)
	if !ok {
		return 0, simpledate.Zone{}, dataError("Expected %s to be a java.util.Date, but found class %s", kind, data.ClassOf(v))
	}
	return at, simpledate.Zone{}, nil
}

func fromUnix(n int64, precision string) int64 {
	switch precision {
	case "nanoseconds":
		return n / 1_000_000
	case "microseconds":
		return n / 1000
	case "seconds":
		return multiply(n, 1000)
	}
	return n
}

func toUnix(ms int64, precision string) int64 {
	switch precision {
	case "nanoseconds":
		return multiply(ms, 1_000_000)
	case "microseconds":
		return multiply(ms, 1000)
	case "seconds":
		return ms / 1000
	}
	return ms
}

// multiply is bounded by the range of int64.
func multiply(n, by int64) int64 {
	switch {
	case n > math.MaxInt64/by:
		return math.MaxInt64
	case n < math.MinInt64/by:
		return math.MinInt64
	}
	return n * by
}
