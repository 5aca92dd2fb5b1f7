package config_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/sdk/config"
)

func ptr(s string) *string { return &s }

// one checks a single key against a value; nil leaves it out.
func one(k config.Key, given *string) config.Value {
	if k.Name == "" {
		k.Name = "k"
	}
	props := map[string]*string{}
	if given != nil {
		props[k.Name] = given
	}
	return (&config.Def{Keys: []config.Key{k}}).Check(props)[0]
}

func TestCheck_parses_each_type_and_shows_it_as_Kafka_does(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ         config.Type
		raw         string
		parsed      any
		shown, fail string
	}{
		{config.Boolean, " TRUE ", true, "true", ""},
		{config.Boolean, "yes", nil, "", "Invalid value yes for configuration k: Expected value to be either true or false"},
		{config.Int, " +7", int64(7), "7", ""},
		{config.Int, "2147483648", nil, "", "Invalid value 2147483648 for configuration k: Not a number of type INT"},
		{config.Short, "-32768", int64(-32768), "-32768", ""},
		{config.Short, "32768", nil, "", "Invalid value 32768 for configuration k: Not a number of type SHORT"},
		{config.Long, "9223372036854775807", int64(math.MaxInt64), "9223372036854775807", ""},
		{config.Long, "1.0", nil, "", "Invalid value 1.0 for configuration k: Not a number of type LONG"},
		{config.Double, "1", 1.0, "1.0", ""},
		{config.Double, "1e3", 1000.0, "1000.0", ""},
		{config.Double, "1f", 1.0, "1.0", ""},
		{config.Double, "12345678", 12345678.0, "1.2345678E7", ""},
		{config.Double, "0.0001", 0.0001, "1.0E-4", ""},
		{config.Double, "x", nil, "", "Invalid value x for configuration k: Not a number of type DOUBLE"},
		{config.String, "  a b ", "a b", "a b", ""},
		{config.Class, "org.example.X", "org.example.X", "org.example.X", ""},
		{config.Password, "s3cret", "s3cret", "[hidden]", ""},
		{config.List, "a , b,c", []string{"a", "b", "c"}, "a,b,c", ""},
		{config.List, " ", []string{}, "", ""},
		{config.List, "a,,b,", []string{"a", "", "b", ""}, "a,,b,", ""},
	} {
		v := one(config.Key{Type: c.typ}, ptr(c.raw))
		if c.fail != "" {
			if len(v.Errors) != 1 || v.Errors[0] != c.fail || v.Value != nil {
				t.Errorf("%s %q: errors %q, value %v; want %q and null", c.typ, c.raw, v.Errors, v.Value, c.fail)
			}
			continue
		}
		if len(v.Errors) != 0 || !reflect.DeepEqual(v.Parsed, c.parsed) || v.Value == nil || *v.Value != c.shown {
			t.Errorf("%s %q: %#v shown as %v with errors %q; want %#v shown as %q", c.typ, c.raw, v.Parsed, v.Value, v.Errors, c.parsed, c.shown)
		}
	}
}

func TestCheck_validators_say_what_Kafka_says(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		key  config.Key
		raw  *string
		want []string
	}{
		{"absent and required", config.Key{Type: config.String, Required: true}, nil, []string{`Missing required configuration "k" which has no default value.`}},
		{"absent with a default", config.Key{Type: config.Int, Default: config.Default("5")}, nil, nil},
		{"unparsable counts as null for the validator", config.Key{Name: "tasks.max", Type: config.Int, Validators: []config.Rule{config.AtLeast(1)}}, ptr("abc"),
			[]string{"Invalid value abc for configuration tasks.max: Not a number of type INT", "Invalid value null for configuration tasks.max: Value must be non-null"}},
		{"too small", config.Key{Type: config.Int, Validators: []config.Rule{config.AtLeast(1)}}, ptr("0"), []string{"Invalid value 0 for configuration k: Value must be at least 1"}},
		{"too large", config.Key{Type: config.Int, Validators: []config.Rule{config.Range(1, 3)}}, ptr("4"), []string{"Invalid value 4 for configuration k: Value must be no more than 3"}},
		{"null where a range allows it", config.Key{Type: config.Long, Validators: []config.Rule{config.OptionalAtLeast(0)}}, nil, nil},
		{"not one of", config.Key{Type: config.String, Validators: []config.Rule{config.OneOf("none", "all")}}, ptr("ALL"), []string{"Invalid value ALL for configuration k: String must be one of: none, all"}},
		{"one of in any case", config.Key{Type: config.String, Validators: []config.Rule{config.OneOfFold("required", "requested")}}, ptr("Required"), nil},
		{"not one of in any case", config.Key{Type: config.String, Validators: []config.Rule{config.OneOfFold("required", "requested")}}, ptr("x"),
			[]string{"Invalid value x for configuration k: String must be one of (case insensitive): REQUIRED, REQUESTED"}},
		{"empty", config.Key{Type: config.String, Validators: []config.Rule{config.NonEmpty()}}, ptr(" "), []string{"Invalid value  for configuration k: String must be non-empty"}},
		{"an empty name", config.Key{Name: "name", Type: config.String, Validators: []config.Rule{config.ConnectorName()}}, ptr(""), []string{"Invalid value  for configuration name: String may not be empty"}},
		{"a name with control characters", config.Key{Name: "name", Type: config.String, Validators: []config.Rule{config.ConnectorName()}}, ptr("a\tb\u0085c"),
			[]string{"Invalid value a\tb\u0085c for configuration name: String may not contain control sequences but had the following ASCII chars: 9, 133"}},
		{"an alias twice", config.Key{Name: "transforms", Type: config.List, Validators: []config.Rule{config.UniqueAliases()}}, ptr("t,t"),
			[]string{"Invalid value [t, t] for configuration transforms: Duplicate alias provided."}},
		{"a topic twice", config.Key{Name: "topics", Type: config.List, Validators: []config.Rule{config.NoDuplicates()}}, ptr(","), []string{"Configuration 'topics' values must not be duplicated."}},
		{"an empty topic", config.Key{Name: "topics", Type: config.List, Validators: []config.Rule{config.NoDuplicates()}}, ptr("a,"), []string{"Configuration 'topics' values must not be empty."}},
		{"no element", config.Key{Type: config.List, Validators: []config.Rule{config.Some()}}, ptr(""), []string{"Configuration 'k' must not be empty. Valid values include: any non-empty value"}},
		{"a password is never shown", config.Key{Type: config.Password, Validators: []config.Rule{config.OneOf("x")}}, ptr("s3cret"), []string{"Invalid value [hidden] for configuration k: String must be one of: x"}},
		{"a rule of a newer version", config.Key{Type: config.String, Validators: []config.Rule{{Kind: "from the future"}}}, ptr("x"), nil},
	} {
		if got := one(c.key, c.raw).Errors; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := one(config.Key{Type: config.String, Validators: []config.Rule{config.Regex()}}, ptr("[")).Errors; len(got) != 1 ||
		!strings.HasPrefix(got[0], "Invalid value [ for configuration k: Invalid regex: ") {
		t.Errorf("a bad regex: %q", got)
	}
}

func TestParse_gives_defaults_and_all_problems_and_ignores_unknown_keys(t *testing.T) {
	t.Parallel()
	d := &config.Def{Keys: []config.Key{
		{Name: "file", Type: config.String, Required: true}, {Name: "n", Type: config.Int, Default: config.Default("2000")},
		{Name: "opt", Type: config.String}, {Name: "on", Type: config.Boolean, Default: config.Default("true")}, {Name: "tags", Type: config.List, Default: config.Default("a,b")},
	}}
	v, problems := d.Parse(map[string]string{"n": "x", "other": "y"})
	if len(problems) != 2 || problems[0].Key != "file" || problems[1].Error() != "Invalid value x for configuration n: Not a number of type INT" {
		t.Errorf("problems: %v", problems)
	}
	if v.Has("n") || v.Has("opt") || !v.Bool("on") || len(v.List("tags")) != 2 || v.Has("other") {
		t.Errorf("values: %v", v)
	}
	v, problems = d.Parse(map[string]string{"file": "f"})
	if len(problems) != 0 || v.String("file") != "f" || v.Int("n") != 2000 {
		t.Errorf("values: %v, problems: %v", v, problems)
	}
}

func TestMerge_a_redefined_key_keeps_its_place(t *testing.T) {
	t.Parallel()
	d := config.Merge(&config.Def{Keys: []config.Key{{Name: "a"}, {Name: "b"}}}, nil, &config.Def{Keys: []config.Key{{Name: "c"}, {Name: "a", Type: config.Int}}})
	if len(d.Keys) != 3 || d.Keys[0].Name != "a" || d.Keys[0].Type != config.Int || d.Keys[2].Name != "c" {
		t.Errorf("%v", d.Keys)
	}
}

func TestDef_comes_back_from_JSON(t *testing.T) {
	t.Parallel()
	d := &config.Def{Keys: []config.Key{{Name: "a", Type: config.List, Default: config.Default(""), Importance: config.High, Doc: "d", Group: "g", Order: 3,
		Width: config.WidthLong, DisplayName: "A", Dependents: []string{"b"}, Validators: []config.Rule{config.OneOf("x", "y")}, Recommend: config.Recommend("x")}}}
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back config.Def
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(*d, back) {
		t.Errorf("%v: %s", err, b)
	}
}

func FuzzParseValue_never_panics(f *testing.F) {
	for _, s := range []string{"", "1", "-1.5e9", "NaN", "a,b", "\x00", "0x1p-2", "1_000"} {
		f.Add(s)
	}
	types := []config.Type{config.Boolean, config.String, config.Int, config.Short, config.Long, config.Double, config.List, config.Class, config.Password, "?"}
	f.Fuzz(func(t *testing.T, s string) {
		for _, typ := range types {
			v, err := config.ParseValue(typ, "k", s)
			if err == nil && v == nil {
				t.Errorf("%s %q: neither value nor error", typ, s)
			}
			config.Text(typ, v)
		}
	})
}
