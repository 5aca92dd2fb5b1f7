package values_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/data/vector"
	"github.com/millrace/millrace/sdk/values"
)

func TestGolden_parse(t *testing.T) {
	t.Parallel()
	ran := 0
	vector.Each(t, "testdata/values-parse.jsonl.gz", func(id string, v struct {
		Input  *string
		Output vector.Given
	}) {
		ran++
		if v.Input == nil {
			return // null is no text here
		}
		if diff := v.Output.Differs(values.Parse(*v.Input)); diff != "" {
			t.Errorf("%s: %q: %s", id, *v.Input, diff)
		}
	})
	t.Logf("%d vectors", ran)
}

func TestGolden_format_convert_and_infer(t *testing.T) {
	t.Parallel()
	ran := 0
	vector.Each(t, "testdata/values-format.jsonl.gz", func(id string, v struct {
		Method string
		Scale  int32
		Input  vector.Given
		Output json.RawMessage
		Error  *vector.Error
	}) {
		ran++
		in, err := v.Input.Read()
		if err != nil {
			t.Errorf("%s: %v", id, err)
			return
		}
		switch v.Method {
		case "convertToString":
			checkFormat(t, id, in.Value, v.Output, v.Error)
			return
		case "inferSchema":
			got, err := values.Infer(in.Value)
			want, broken := vector.Schema(v.Output)
			if diff := v.Error.Differs(err); diff != "" || broken != nil || !want.Equal(got) {
				t.Errorf("%s: %s: %s, want %s %v", id, data.Text(in.Value), got, v.Output, diff)
			}
			return
		}
		to := targets[v.Method]
		if v.Method == "convertToDecimal" {
			to = data.DecimalSchema(v.Scale)
		}
		got, err := values.Convert(to, in.Schema, in.Value)
		diff := v.Error.Differs(err)
		if want, broken := vector.Value(v.Output, in.Schema); v.Error == nil && diff == "" && (broken != nil || !data.Equal(want, got)) {
			diff = fmt.Sprintf("%s %s, want %s", data.ClassOf(got), data.Text(got), v.Output)
		}
		if diff != "" {
			t.Errorf("%s: %s %s: %s", id, v.Method, v.Input.Value, diff)
		}
	})
	t.Logf("%d vectors", ran)
}

func checkFormat(t *testing.T, id string, in any, output json.RawMessage, want *vector.Error) {
	t.Helper()
	got, err := values.Format(in)
	if diff := want.Differs(err); diff != "" {
		t.Errorf("%s: %s", id, diff)
		return
	}
	var text *string
	if err := json.Unmarshal(output, &text); want == nil && (err != nil || text != nil && !vector.SameText(got, *text)) {
		t.Errorf("%s: %q, want %s", id, got, output)
	}
}

var targets = map[string]*data.Schema{
	"convertToBoolean": data.OptionalBooleanSchema, "convertToByte": data.OptionalInt8Schema, "convertToShort": data.OptionalInt16Schema,
	"convertToInteger": data.OptionalInt32Schema, "convertToLong": data.OptionalInt64Schema, "convertToFloat": data.OptionalFloat32Schema,
	"convertToDouble": data.OptionalFloat64Schema, "convertToList": data.NewSchema(data.Array), "convertToMap": data.NewSchema(data.MapType),
	"convertToStruct": data.NewSchema(data.StructType), "convertToDate": data.DateSchema(), "convertToTime": data.TimeSchema(), "convertToTimestamp": data.TimestampSchema(),
}
