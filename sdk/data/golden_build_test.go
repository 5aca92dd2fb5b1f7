package data_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/data/vector"
)

func replace(s, old, with string) string { return strings.ReplaceAll(s, old, with) }

type buildVector struct {
	Call        string
	Input       vector.Given
	Left, Right json.RawMessage
	Output      json.RawMessage
	Error       *vector.Error
}

func TestGolden_schema_builder(t *testing.T) {
	t.Parallel()
	ran, left := 0, 0
	vector.Each(t, "testdata/schema-builder-errors.jsonl.gz", func(id string, v buildVector) {
		if onlyJava[id] != "" {
			left++
			return
		}
		ran++
		if diff := v.run(); diff != "" {
			t.Errorf("%s: %s: %s", id, v.Call, diff)
		}
	})
	t.Logf("%d vectors, %d only for a JVM", ran, left)
}

func (v buildVector) run() string {
	switch {
	case v.Call == "equals":
		left, err := vector.Schema(v.Left)
		if err != nil {
			return err.Error()
		}
		right, err := vector.Schema(v.Right)
		if err != nil {
			return err.Error()
		}
		return v.text(fmt.Sprint(left.Equal(right) && right.Equal(left)) == strings.Trim(string(v.Output), `"`), left.String())
	case v.Input.Value != nil:
		return v.logical()
	}
	if call, ok := texts[v.Call]; ok {
		return v.text(`"`+call()+`"` == string(v.Output), call())
	}
	if strings.Contains(v.Call, "fields()") || strings.Contains(v.Call, "field(name)") || strings.Contains(v.Call, "Schema()") {
		return v.accessor()
	}
	steps, ok := builds[v.Call]
	if !ok {
		return "no such call is known"
	}
	s, err := steps()
	if diff := v.Error.Differs(err); diff != "" || v.Error != nil {
		return diff
	}
	return v.schema(s)
}

func (v buildVector) text(same bool, got string) string {
	if same {
		return ""
	}
	return got + ", want " + string(v.Output)
}

func (v buildVector) schema(got *data.Schema) string {
	want, err := vector.Schema(v.Output)
	if err != nil {
		return err.Error()
	}
	return v.text(want.Equal(got), got.String())
}

// accessor: asking a schema for what its type does not have. Java fails; here there is none of it.
func (v buildVector) accessor() string {
	word, _, _ := strings.Cut(v.Call, " ")
	s := map[string]*data.Schema{"int32": data.Int32Schema, "string": data.StringSchema, "bytes": data.BytesSchema, "array": data.ArrayOf(data.Int32Schema),
		"map": data.MapSchema(data.StringSchema, data.Int32Schema), "struct": data.StructOf(nil)}[word]
	_, field := s.Field("a")
	var got *data.Schema
	switch {
	case strings.HasSuffix(v.Call, "keySchema()"):
		got = s.KeySchema()
	case strings.HasSuffix(v.Call, "valueSchema()"):
		got = s.ValueSchema()
	case len(s.Fields()) > 0 || field:
		return "fields of a type that has none"
	}
	if v.Error != nil && got != nil {
		return "it has " + got.String()
	}
	if v.Error == nil {
		return v.schema(got)
	}
	return ""
}

func (v buildVector) logical() string {
	in, err := v.Input.Read()
	if err != nil {
		return err.Error()
	}
	var got any
	switch v.Call {
	case "Decimal.fromLogical":
		got, err = data.DecimalToBytes(in.Schema, in.Value.(data.Decimal))
		if err == nil {
			var want struct{ Hex string }
			if err := json.Unmarshal(v.Output, &want); err != nil {
				return err.Error()
			}
			return v.text(fmt.Sprintf("%x", got) == want.Hex, fmt.Sprintf("%x", got))
		}
	case "Decimal.toLogical":
		got, err = data.DecimalFromBytes(in.Schema, in.Value.([]byte))
	case "Date.fromLogical":
		got, err = data.DateToInt(in.Schema, in.Value.(data.Instant))
	case "Date.toLogical":
		got, err = data.DateFromInt(in.Schema, in.Value.(int32))
	case "Time.fromLogical":
		got, err = data.TimeToInt(in.Schema, in.Value.(data.Instant))
	case "Time.toLogical":
		got, err = data.TimeFromInt(in.Schema, in.Value.(int32))
	case "Timestamp.fromLogical":
		got, err = data.TimestampToInt(in.Schema, in.Value.(data.Instant))
	case "Timestamp.toLogical":
		got, err = data.TimestampFromInt(in.Schema, in.Value.(int64))
	default:
		return "no such call is known"
	}
	if diff := v.Error.Differs(err); diff != "" || v.Error != nil {
		return diff
	}
	return sameValue(v.Output, in.Schema, got)
}

var texts = map[string]func() string{
	"string toString":               data.StringSchema.String,
	"array toString":                data.ArrayOf(data.Int32Schema).String,
	"bytes toString":                data.BytesSchema.String,
	"struct toString":               data.StructOf(nil, data.Name("com.x.Y")).String,
	"struct field toString":         data.StructOf([]data.Field{{Name: "a", Schema: data.Int32Schema}}).Fields()[0].String,
	"Timestamp toString":            data.TimestampSchema().String,
	"int32 toString":                data.Int32Schema.String,
	"map toString":                  data.MapSchema(data.StringSchema, data.Int32Schema).String,
	"int32 schemaAndValue toString": data.SchemaAndValue{Schema: data.Int32Schema, Value: int32(5)}.String,
	"null schemaAndValue toString":  data.SchemaAndValue{}.String,
	"struct built unknown field": func() string {
		if _, ok := data.StructOf([]data.Field{{Name: "a", Schema: data.Int32Schema}}).Field("nope"); ok {
			return "found"
		}
		return "null"
	},
}

func steps(t data.Type, opts ...data.Option) func() (*data.Schema, error) {
	return func() (*data.Schema, error) { return data.Build(t, opts...) }
}

func field(name string, s *data.Schema) data.Option {
	return data.Fields(data.Field{Name: name, Schema: s})
}

var (
	ofInts   = data.Elements(data.Int32Schema)
	toInts   = data.Entries(data.StringSchema, data.Int32Schema)
	decimal2 = []data.Option{data.Name(data.DecimalName), data.Param("scale", "2"), data.Version(1)}
	aStruct  = data.StructOf([]data.Field{{Name: "a", Schema: data.Int32Schema}})
	filled   = func() *data.Struct { st := data.NewStruct(aStruct); st.SetAt(0, int32(1)); return st }
)

func with(opts []data.Option, more ...data.Option) []data.Option {
	return append(opts[:len(opts):len(opts)], more...)
}

func finished(s *data.Schema) func() (*data.Schema, error) {
	return func() (*data.Schema, error) { return s, nil }
}

// builds are the recorded sequences of calls.
var builds = map[string]func() (*data.Schema, error){
	"int32 optional optional":                 steps(data.Int32, data.Optional(), data.Optional()),
	"int32 optional required":                 steps(data.Int32, data.Optional(), data.Required()),
	"int32 required required":                 steps(data.Int32, data.Required(), data.Required()),
	"int32 required optional":                 steps(data.Int32, data.Required(), data.Optional()),
	"string name a name b":                    steps(data.String, data.Name("a"), data.Name("b")),
	"string name a name a":                    steps(data.String, data.Name("a"), data.Name("a")),
	"string name null name a":                 steps(data.String, data.Name("a")), // null sets nothing
	"string version 1 version 2":              steps(data.String, data.Version(1), data.Version(2)),
	"string version 1 version 1":              steps(data.String, data.Version(1), data.Version(1)),
	"string doc a doc b":                      steps(data.String, data.Doc("a"), data.Doc("b")),
	"int32 default 1 default 2":               steps(data.Int32, data.DefaultValue(int32(1)), data.DefaultValue(int32(2))),
	"int32 default 1 default 1":               steps(data.Int32, data.DefaultValue(int32(1)), data.DefaultValue(int32(1))),
	"int32 default null":                      steps(data.Int32, data.DefaultValue(nil)),
	"int32 optional default null":             steps(data.Int32, data.Optional(), data.DefaultValue(nil)),
	"int32 default null optional":             steps(data.Int32, data.DefaultValue(nil), data.Optional()),
	"int32 default 1 optional":                steps(data.Int32, data.DefaultValue(int32(1)), data.Optional()),
	"int32 default i64 1":                     steps(data.Int32, data.DefaultValue(int64(1))),
	"float64 default f32 1":                   steps(data.Float64, data.DefaultValue(float32(1))),
	"string default i32 1":                    steps(data.String, data.DefaultValue(int32(1))),
	"bytes default string x":                  steps(data.Bytes, data.DefaultValue("x")),
	"boolean default string true":             steps(data.Boolean, data.DefaultValue("true")),
	"array int32 default [x]":                 steps(data.Array, ofInts, data.DefaultValue([]any{"x"})),
	"array int32 default [null]":              steps(data.Array, ofInts, data.DefaultValue([]any{nil})),
	"map string int32 default {1:1}":          steps(data.MapType, toInts, data.DefaultValue(data.MapOf(int32(1), int32(1)))),
	"map string int32 default {a:x}":          steps(data.MapType, toInts, data.DefaultValue(data.MapOf("a", "x"))),
	"map string int32 default list":           steps(data.MapType, toInts, data.DefaultValue([]any{int32(1)})),
	"struct default struct of another schema": steps(data.StructType, field("b", data.Int32Schema), data.DefaultValue(filled())),
	"struct{a:int32} default struct built on the finished equal schema": steps(data.StructType, field("a", data.Int32Schema), data.DefaultValue(filled())),
	"Timestamp default i64 5":                  steps(data.Int64, data.Name(data.TimestampName), data.Version(1), data.DefaultValue(int64(5))),
	"Decimal(2) default i32 5":                 steps(data.Bytes, with(decimal2, data.DefaultValue(int32(5)))...),
	"Decimal(2) default decimal 1.5 (scale 1)": steps(data.Bytes, with(decimal2, data.DefaultValue(data.NewDecimal(15, 1)))...),
	"int32 named Decimal default i32 5":        steps(data.Int32, data.Name(data.DecimalName), data.DefaultValue(int32(5))),
	"int32 default 1 name Timestamp":           steps(data.Int32, data.DefaultValue(int32(1)), data.Name(data.TimestampName)),
	"int32 field a":                            steps(data.Int32, field("a", data.Int32Schema)),
	"string field a":                           steps(data.String, field("a", data.Int32Schema)),
	"array field a":                            steps(data.Array, ofInts, field("a", data.Int32Schema)),
	"map field a":                              steps(data.MapType, toInts, field("a", data.Int32Schema)),
	"bytes field a":                            steps(data.Bytes, field("a", data.Int32Schema)),
	"struct field empty name":                  steps(data.StructType, field("", data.Int32Schema)),
	"struct field blank name":                  steps(data.StructType, field(" ", data.Int32Schema)),
	"struct field a null schema":               steps(data.StructType, field("a", nil)),
	"struct field a twice":                     steps(data.StructType, field("a", data.Int32Schema), field("a", data.StringSchema)),
	"struct field a A":                         steps(data.StructType, field("a", data.Int32Schema), field("A", data.StringSchema)),
	"array null":                               steps(data.Array, data.Elements(nil)),
	"map null int32":                           steps(data.MapType, data.Entries(nil, data.Int32Schema)),
	"map string null":                          steps(data.MapType, data.Entries(data.StringSchema, nil)),
	"builder null type":                        steps(0),
	"struct empty":                             steps(data.StructType),
	"string parameter a=1 a=2":                 steps(data.String, data.Param("a", "1"), data.Param("a", "2")),
	"string parameters {}":                     steps(data.String),
	"string parameters {} parameter a=1":       steps(data.String, data.Param("a", "1")),
	"string parameter b=1 parameters {a:2}":    steps(data.String, data.Param("b", "1"), data.Param("a", "2")),
	"Decimal(-3)":                              finished(data.DecimalSchema(-3)),
	"Decimal(0)":                               finished(data.DecimalSchema(0)),
	"Date":                                     finished(data.DateSchema()),
	"Time":                                     finished(data.TimeSchema()),
	"Timestamp":                                finished(data.TimestampSchema()),
}
