package config_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/data/vector"
)

// configVector is one recorded call of ConfigDef or of a validator.
type configVector struct {
	Call, Type, Validator, Def string
	Input                      json.RawMessage
	Output                     json.RawMessage
	Error                      *vector.Error
}

// left says why a vector is not for this package; "" for those that are.
func (v configVector) left() string {
	var text *string
	isText := json.Unmarshal(v.Input, &text) == nil
	switch {
	case v.Call == "ConfigDef.validate errors":
		return "the keys of all connectors, which package validate has"
	case v.Call == "ConfigDef.parseType" && !isText:
		return "a Java object in a configuration; here it is text or null"
	case (v.Call == "ConfigDef.parseType" || v.Call == "ConfigDef.convertToString") && v.Type == "CLASS":
		return "classes of the JVM; names of plugins are the registry's"
	case v.Call == "validate" && rules[v.Validator].Kind == "":
		return "a rule that no key here has, or one of a transformation"
	case v.Call == "validate" && strings.Contains(string(v.Input), "null]"):
		return "a list with a null; it is text here"
	}
	return ""
}

func TestGolden_config(t *testing.T) {
	t.Parallel()
	ran, left := 0, map[string]int{}
	vector.Each(t, "testdata/config-parse.jsonl.gz", func(id string, v configVector) {
		if why := v.left(); why != "" {
			left[why]++
			return
		}
		if diff := v.run(); diff == notHeld {
			left[diff]++
		} else if ran++; diff != "" {
			t.Errorf("%s: %s %s%s %s: %s", id, v.Call, v.Type, v.Validator, v.Input, diff)
		}
	})
	t.Logf("%d vectors; left out: %v", ran, left)
	if ran < 600 {
		t.Errorf("only %d vectors ran", ran)
	}
}

// notHeld is what can't happen here: a value that its type does not hold.
const notHeld = "a value of another type than its key's, or of a type that none has"

func (v configVector) run() string {
	switch v.Call {
	case "ConfigDef.parseType":
		return v.parse()
	case "ConfigDef.convertToString":
		return v.show()
	case "validate":
		return v.validate()
	default:
		return v.define()
	}
}

var parsed = map[config.Type]string{config.Int: "i32", config.Short: "i16", config.Long: "i64", config.Double: "f64"}

// value reads a recorded value in the form that parsed ones have here; false for one that no type has.
func value(t config.Type, raw json.RawMessage) (any, bool) {
	var tagged map[string]json.RawMessage
	if json.Unmarshal(raw, &tagged) == nil && len(tagged) > 0 {
		if p, ok := tagged["password"]; ok {
			var s string
			return s, json.Unmarshal(p, &s) == nil && t == config.Password && set(&s, p)
		}
		if _, ok := tagged["javaClass"]; ok || tagged["map"] != nil {
			return nil, false
		}
		if want := parsed[t]; want != "" && tagged[want] == nil || want == "" && tagged["list"] == nil {
			return nil, false
		}
	}
	v, err := vector.Value(raw, nil)
	switch n := v.(type) {
	case int16:
		return int64(n), err == nil
	case int32:
		return int64(n), err == nil
	case []any:
		list := make([]string, len(n))
		for i, e := range n {
			s, ok := e.(string)
			if !ok {
				return nil, false
			}
			list[i] = s
		}
		return list, err == nil && t == config.List
	case string:
		return v, t == config.String || t == config.Class || t == config.Password
	case bool:
		return v, t == config.Boolean
	}
	return v, err == nil
}

func set(s *string, raw json.RawMessage) bool { return json.Unmarshal(raw, s) == nil }

// secret is the text of a password.
func secret(raw json.RawMessage) (string, bool) {
	var p struct{ Password *string }
	if json.Unmarshal(raw, &p) != nil || p.Password == nil {
		return "", false
	}
	return *p.Password, true
}

func expected(t config.Type, raw json.RawMessage) (any, bool) {
	if s, ok := secret(raw); ok {
		return s, t == config.Password
	}
	return value(t, raw)
}

func (v configVector) parse() string {
	var text *string
	if err := json.Unmarshal(v.Input, &text); err != nil {
		return err.Error()
	}
	var got config.Value
	if text == nil {
		got = (&config.Def{Keys: []config.Key{{Name: "k", Type: config.Type(v.Type)}}}).Check(map[string]*string{"k": nil})[0]
	} else {
		got = (&config.Def{Keys: []config.Key{{Name: "k", Type: config.Type(v.Type)}}}).Check(map[string]*string{"k": text})[0]
	}
	if v.Error != nil {
		if len(got.Errors) != 1 || got.Errors[0] != *v.Error.Message {
			return fmt.Sprintf("%q, want %q", got.Errors, *v.Error.Message)
		}
		return ""
	}
	want, ok := expected(config.Type(v.Type), v.Output)
	if !ok || len(got.Errors) > 0 || !same(got.Parsed, want) {
		return fmt.Sprintf("%#v %q, want %s", got.Parsed, got.Errors, v.Output)
	}
	return ""
}

func same(a, b any) bool {
	x, ok := a.([]string)
	y, also := b.([]string)
	if ok && also {
		return slices.Equal(x, y)
	}
	return ok == also && data.Equal(a, b)
}

func (v configVector) show() string {
	in, ok := expected(config.Type(v.Type), v.Input)
	if _, hidden := secret(v.Input); !ok || v.Error != nil || (v.Type == "PASSWORD" && in != nil) != hidden {
		return notHeld
	}
	got := config.Text(config.Type(v.Type), in)
	var want *string
	if err := json.Unmarshal(v.Output, &want); err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
		return fmt.Sprintf("%v, want %s", got, v.Output)
	}
	return ""
}

var rules = map[string]config.Rule{
	"Range.between(0,10)": config.Range(0, 10), "Range.between(0.5,2.5)": {Kind: config.Range(0, 0).Kind, Args: []string{"0.5", "2.5"}},
	"Range.atLeast(-1)": config.AtLeast(-1), "Range.atLeast(1)": config.AtLeast(1), "NonEmptyString": config.NonEmpty(),
	"NonEmptyStringWithoutControlChars": config.ConnectorName(), "NonNullValidator": config.NonNull(), "ValidString.in(a,b,none)": config.OneOf("a", "b", "none"),
	"CaseInsensitiveValidString.in(a,NONE,all)":    config.OneOfFold("a", "all", "none"), // Java's order is that of a hash set
	"ValidList.anyNonDuplicateValues(true,false)":  config.NoDuplicates(),
	"ValidList.anyNonDuplicateValues(false,false)": config.Some(), "ValidList.anyNonDuplicateValues(true,true)": config.OptionalNoDuplicates(),
	"ValidList.in(a,b)": config.ListOf("a", "b"), "ValidList.in(false,a,b)": config.SomeOf("a", "b"), "LambdaValidator-none": config.NonNull(),
}

func (v configVector) validate() string {
	typ := config.String
	if strings.HasPrefix(v.Validator, "Range") {
		typ = config.Double
		for t, tag := range parsed {
			if strings.Contains(string(v.Input), `"`+tag+`"`) {
				typ = t
			}
		}
	} else if strings.HasPrefix(v.Validator, "ValidList") {
		typ = config.List
	}
	in, ok := value(typ, v.Input)
	if !ok {
		return notHeld
	}
	text := config.Text(typ, in)
	if s, ok := in.(string); ok && untrimmed(s) {
		return notHeld // parsed texts are trimmed
	}
	if list, ok := in.([]string); ok && slices.ContainsFunc(list, untrimmed) || slices.Equal(list, []string{""}) {
		return notHeld // as are elements, and no text is a list of one empty text
	}
	got := (&config.Def{Keys: []config.Key{{Name: "k", Type: typ, Validators: []config.Rule{rules[v.Validator]}}}}).Check(map[string]*string{"k": text})[0].Errors
	switch {
	case v.Error == nil && len(got) > 0:
		return strings.Join(got, "; ")
	case v.Error != nil && (len(got) != 1 || got[0] != *v.Error.Message):
		return fmt.Sprintf("%q, want %q", got, *v.Error.Message)
	}
	return ""
}

func untrimmed(s string) bool {
	return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }) != s
}

// definitions are those that were recorded, by how their description begins.
var definitions = map[string]*config.Def{"req": definition, "l L": {Keys: []config.Key{
	{Name: "l", Type: config.List, Required: true, Validators: []config.Rule{config.Some()}},
	{Name: "m", Type: config.List, Validators: []config.Rule{config.OptionalNoDuplicates()}},
	{Name: "e", Type: config.List, Default: config.Default(""), Validators: []config.Rule{config.ListOf("x", "y", "z")}}}}}

// definition is the one that was recorded, in the order in which Kafka lists its keys.
var definition = &config.Def{Keys: []config.Key{
	{Name: "req", Type: config.String, Required: true}, {Name: "int", Type: config.Int, Default: config.Default("5"), Validators: []config.Rule{config.Range(0, 10)}},
	{Name: "bool", Type: config.Boolean, Default: config.Default("true")}, {Name: "list", Type: config.List, Default: config.Default("a,b")},
	{Name: "en", Type: config.String, Default: config.Default("x"), Validators: []config.Rule{config.OneOf("x", "y")}}, {Name: "nul", Type: config.String},
	{Name: "pw", Type: config.Password}, {Name: "cls", Type: config.Class}, {Name: "dbl", Type: config.Double, Default: config.Default("1.5")},
	{Name: "lng", Type: config.Long, Default: config.Default("7"), Validators: []config.Rule{config.AtLeast(1)}}, {Name: "sh", Type: config.Short, Default: config.Default("3")},
}}

// define runs a whole definition, to parse a configuration or to validate it.
func (v configVector) define() string {
	var in map[string]*string
	if err := json.Unmarshal(v.Input, &in); err != nil {
		return notHeld
	}
	if in["cls"] != nil {
		return notHeld
	}
	def := definitions[v.Def[:3]]
	checked := def.Check(in)
	if v.Call == "ConfigDef.validate" {
		var want []struct {
			Name    string
			Value   json.RawMessage
			Errors  []string
			Visible bool
		}
		if err := json.Unmarshal(v.Output, &want); err != nil {
			return err.Error()
		}
		for _, w := range want {
			i := slices.IndexFunc(checked, func(c config.Value) bool { return c.Name == w.Name })
			value, ok := expected(def.Keys[i].Type, w.Value)
			if got := checked[i]; !ok || !same(got.Parsed, value) || !slices.Equal(got.Errors, w.Errors) || got.Visible != w.Visible {
				return fmt.Sprintf("%s is %#v %q, want %s %q", w.Name, got.Parsed, got.Errors, w.Value, w.Errors)
			}
		}
		return ""
	}
	given := map[string]string{}
	for k, text := range in {
		if text == nil {
			return notHeld // Parse knows no null; Check does
		}
		given[k] = *text
	}
	parsed, problems := def.Parse(given)
	if v.Error != nil {
		if len(problems) == 0 || problems[0].Message != *v.Error.Message {
			return fmt.Sprintf("%v, want %s", problems, *v.Error.Message)
		}
		return ""
	}
	var want map[string]json.RawMessage
	if err := json.Unmarshal(v.Output, &want); err != nil {
		return err.Error()
	}
	for _, k := range def.Keys {
		if value, ok := expected(k.Type, want[k.Name]); !ok || len(problems) > 0 || !same(parsed[k.Name], value) {
			return fmt.Sprintf("%s is %#v %v, want %s", k.Name, parsed[k.Name], problems, want[k.Name])
		}
	}
	return ""
}
