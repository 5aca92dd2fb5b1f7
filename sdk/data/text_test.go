package data_test

import (
	"math"
	"testing"

	"github.com/millrace/millrace/sdk/data"
)

func TestText_prints_values_as_Java_does(t *testing.T) {
	t.Parallel()
	schema := data.StructOf([]data.Field{{Name: "a", Schema: data.Int32Schema}, {Name: "b", Schema: data.OptionalStringSchema}, {Name: "c", Schema: data.ArrayOf(data.StringSchema)}})
	st := data.NewStruct(schema)
	if err := st.Set("a", int32(1)); err != nil {
		t.Fatal(err)
	}
	st.SetAt(2, []any{"x", "y"})
	for want, in := range map[string]data.SchemaAndValue{
		"null": {}, "text": {Value: "text"}, "true": {Value: true}, "-7": {Value: int8(-7)}, "300": {Value: int16(300)}, "5": {Value: int64(5)},
		"12.2": {Value: 12.2}, "1.0": {Value: 1.0}, "1.0E10": {Value: 1e10}, "1.0E-5": {Value: 1e-5}, "0.001": {Value: 0.001}, "NaN": {Value: math.NaN()},
		"-Infinity": {Value: math.Inf(-1)}, "0.1": {Value: float32(0.1)}, "1.2345678E7": {Value: 12345678.0}, "0.0": {Value: 0.0},
		"AQI=":                         {Value: []byte{1, 2}},
		"[1, null, x]":                 {Value: []any{int64(1), nil, "x"}},
		"{a=1, b=[2]}":                 {Value: data.MapOf("a", int64(1), "b", []any{int64(2)})},
		"Struct{a=1,c=[x, y]}":         {Schema: schema, Value: st},
		"12.50":                        {Value: data.NewDecimal(1250, 2)},
		"-0.01":                        {Value: data.NewDecimal(-1, 2)},
		"0E-9":                         {Value: data.NewDecimal(0, 9)},
		"1.2E+3":                       {Value: data.NewDecimal(12, -2)},
		"Thu Jan 01 00:00:00 UTC 1970": {Value: data.Instant(0)},
		"Fri Jan 02 00:00:01 UTC 1970": {Value: data.Instant(86401000)},
	} {
		if got := data.Text(in.Value); got != want {
			t.Errorf("%v: %q, want %q", in.Value, got, want)
		}
	}
}

func TestStruct_gives_defaults_and_refuses_unknown_fields(t *testing.T) {
	t.Parallel()
	s := data.NewStruct(data.StructOf([]data.Field{{Name: "n", Schema: data.NewSchema(data.Int32, data.DefaultValue(int32(7)))}}))
	if v, err := s.Get("n"); err != nil || v != int32(7) {
		t.Errorf("%v", v)
	}
	if s.Raw(0) != nil {
		t.Error("the default is not set")
	}
	if err := s.Set("x", 1); err == nil || err.Error() != "x is not a valid field name" {
		t.Error(err)
	}
	if _, err := s.Get("x"); err == nil {
		t.Error("no such field")
	}
}
