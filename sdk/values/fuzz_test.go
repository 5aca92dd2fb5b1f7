package values_test

import (
	"encoding/json"
	"testing"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/data/vector"
	"github.com/millrace/millrace/sdk/values"
)

// FuzzParse: whatever the text, there is a value, it fits its schema, and it can be written.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "null", "[1,2.5]", `{"a":[1,{"b":"2019-08-23T14:34:54.346Z"}]}`, "1e2147483647", "1e-2147483648", "\\:", "[[[[", "\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sv := values.Parse(s)
		if sv.Schema == nil {
			if sv.Value != nil {
				t.Fatalf("%q: %v without a schema", s, sv.Value)
			}
			return
		}
		switch sv.Value.(type) {
		case []any, *data.Map: // their elements may be of several types
			if data.TypeOf(sv.Value) != sv.Schema.Type() {
				t.Fatalf("%q: %s of %s", s, sv.Value, sv.Schema)
			}
		default:
			if err := sv.Schema.Validate(sv.Value); err != nil {
				t.Fatalf("%q: %v", s, err)
			}
		}
		text, err := values.Format(sv.Value)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if str, ok := sv.Value.(string); ok && text != str {
			t.Fatalf("%q became %q", str, text)
		}
		if _, err := values.Infer(sv.Value); err != nil {
			if _, list := sv.Value.([]any); !list { // of nulls alone
				if _, m := sv.Value.(*data.Map); !m {
					t.Fatalf("%q: %v", s, err)
				}
			}
		}
	})
}

// FuzzConvert: whatever is converted becomes a value of the target, or an error.
func FuzzConvert(f *testing.F) {
	vector.Each(f, "testdata/values-format.jsonl.gz", func(_ string, v struct{ Input vector.Given }) {
		var text string
		if json.Unmarshal(v.Input.Value, &text) == nil && text != "" {
			f.Add(text, int64(len(text)), 0.5)
		}
	})
	f.Fuzz(func(t *testing.T, s string, n int64, x float64) {
		for _, in := range []any{s, n, x, float32(x), int8(n), data.Instant(n), data.NewDecimal(n, int32(n%400)), []any{s}, data.MapOf(s, n)} {
			for name, to := range targets {
				got, err := values.Convert(to, nil, in)
				switch to.Type() {
				case data.Array, data.MapType, data.StructType:
					if err == nil && data.TypeOf(got) != to.Type() {
						t.Fatalf("%s of %v: %v", name, in, got)
					}
				default:
					if err == nil && to.Validate(got) != nil {
						t.Fatalf("%s of %v: %v", name, in, to.Validate(got))
					}
				}
			}
		}
	})
}
