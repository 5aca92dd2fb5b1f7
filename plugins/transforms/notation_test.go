package transforms_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/header"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
)

// What the tables of cases are written in: a value with its type, a slash, and its schema.

func valueText(v any) string {
	switch v := v.(type) {
	case int8:
		return fmt.Sprintf("i8 %d", v)
	case int16:
		return fmt.Sprintf("i16 %d", v)
	case int32:
		return fmt.Sprintf("%d", v)
	case int64:
		return fmt.Sprintf("i64 %d", v)
	case float32:
		return "f32 " + data.Text(v)
	case string:
		return `"` + v + `"`
	case data.Instant:
		return fmt.Sprintf("date(%d)", int64(v))
	case data.Decimal:
		return "dec(" + v.String() + ")"
	case []byte:
		return "b[" + hex.EncodeToString(v) + "]"
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = valueText(e)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case *data.Map:
		var parts []string
		for k, e := range v.All() {
			parts = append(parts, data.Text(k)+":"+valueText(e))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case *data.Struct:
		var parts []string
		for i, f := range v.Schema().Fields() {
			parts = append(parts, f.Name+"="+valueText(v.Raw(i)))
		}
		return "Struct{" + strings.Join(parts, ",") + "}"
	}
	return data.Text(v)
}

var logicalNames = strings.NewReplacer("org.apache.kafka.connect.data.", "")

func schemaText(s *data.Schema) string {
	if s == nil {
		return "null"
	}
	out := strings.ToLower(s.Type().String())
	if s.Type() == data.Array {
		out += "[" + schemaText(s.ValueSchema()) + "]"
	}
	if s.Optional() {
		out += "?"
	}
	if s.HasName() {
		out += "<" + logicalNames.Replace(s.Name()) + ">"
	}
	if v, ok := s.Version(); ok {
		out += fmt.Sprintf("v%d", v)
	}
	if scale, ok := s.Param(data.ScaleParam); ok {
		out += "(" + scale + ")"
	}
	if d := s.Default(); d != nil {
		out += "=" + valueText(d)
	}
	if s.Type() == data.StructType {
		var parts []string
		for _, f := range s.Fields() {
			parts = append(parts, f.Name+":"+schemaText(f.Schema))
		}
		out += "{" + strings.Join(parts, " ") + "}"
	}
	return out
}

func headersText(h header.Headers) string {
	parts := make([]string, len(h))
	for i, x := range h {
		parts[i] = x.Key + "=" + valueText(x.Value) + "/" + schemaText(x.Schema)
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// kv makes a configuration of key=value pairs.
func kv(pairs ...string) map[string]string {
	out := map[string]string{}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		out[k] = v
	}
	return out
}

// fields makes a struct schema of names with schemas, in turn.
func fields(pairs ...any) []data.Field {
	var out []data.Field
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, data.Field{Name: pairs[i].(string), Schema: pairs[i+1].(*data.Schema)})
	}
	return out
}

// filled makes a struct of a schema and its values.
func filled(s *data.Schema, values ...any) *data.Struct {
	st := data.NewStruct(s)
	for i, v := range values {
		st.SetAt(i, v)
	}
	return st
}

func schema(t data.Type, opts ...data.Option) *data.Schema { return data.NewSchema(t, opts...) }

// example is a numbered case: what a transformation makes of a schema and a value.
type example struct {
	id, class string
	props     map[string]string
	schema    *data.Schema
	value     any
	want      string // a result, "same", "dropped", or an error that begins with its short class
	see       func(r *transform.Record) string
}

// short are the names of exceptions in the tables.
var short = map[string]string{
	"org.apache.kafka.connect.errors.DataException":          "DE ",
	"org.apache.kafka.common.config.ConfigException":         "CE ",
	"org.apache.kafka.connect.errors.SchemaBuilderException": "SBE ",
	"org.apache.kafka.connect.errors.ConnectException":       "ConnectException ",
	"java.lang.IllegalArgumentException":                     "IAE ",
	"java.lang.IndexOutOfBoundsException":                    "IOOBE ",
}

func errorText(err error) string {
	if e, ok := err.(*connecterr.Error); ok { //nolint:errorlint // the first link
		return short[e.JavaClass()] + e.Message
	}
	return err.Error()
}

func base(key bool, s *data.Schema, v any) *transform.Record {
	r := &transform.Record{Sink: record.Sink{Topic: "test", Timestamp: 1483425001864, TimestampType: record.CreateTime, KafkaOffset: 7, OriginalTopic: "test", OriginalOffset: 7}}
	if key {
		r.KeySchema, r.Key = s, v
	} else {
		r.ValueSchema, r.Value = s, v
	}
	return r
}

func (e example) result(t *testing.T) string {
	t.Helper()
	p := find(t, pkg+e.class)
	if p.Kind == plugin.Predicate {
		pr := p.NewPredicate()
		if err := pr.Configure(e.props); err != nil {
			return errorText(err)
		}
		r := base(false, e.schema, e.value)
		if topic, is := e.props["-topic"]; is {
			r.Topic = topic
		}
		holds, err := pr.Test(r)
		if err != nil {
			return errorText(err)
		}
		return fmt.Sprintf("%v %v", holds, pr)
	}
	smt := p.NewTransformation()
	if err := smt.Configure(e.props); err != nil {
		return errorText(err)
	}
	isKey := strings.HasSuffix(e.class, "$Key")
	r := base(isKey, e.schema, e.value)
	if topic, is := e.props["-topic"]; is {
		r.Topic = topic
	}
	r.Headers = r.Headers.Add("h1", data.StringSchema, "x")
	before := *r
	keep, err := smt.Apply(r)
	switch {
	case err != nil:
		return errorText(err)
	case !keep:
		return "dropped"
	case e.see != nil:
		return e.see(r)
	case difference(r, &before) == "":
		return "same"
	case isKey:
		return valueText(r.Key) + "/" + schemaText(r.KeySchema)
	}
	return valueText(r.Value) + "/" + schemaText(r.ValueSchema)
}

func run(t *testing.T, examples []example) {
	t.Helper()
	t.Parallel()
	for _, e := range examples {
		if got := e.result(t); got != e.want {
			t.Errorf("%s: %s %v of %s/%s:\n got %s\nwant %s", e.id, e.class, e.props, valueText(e.value), schemaText(e.schema), got, e.want)
		}
	}
	t.Logf("%d cases", len(examples))
}
