package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/sdk/data"
)

// Hidden stands for a password's value wherever values are shown.
const Hidden = "[hidden]"

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Key     string
	Message string
}

// Error makes a Problem usable as an error.
func (p Problem) Error() string { return p.Message }

// Values are parsed values by key: bool, int64, float64, string, []string, or nil for null. CLASS and PASSWORD keys are
// strings. Only keys of the definition are in it.
type Values map[string]any

// Bool returns a BOOLEAN key; false when it is null.
func (v Values) Bool(key string) bool { b, _ := v[key].(bool); return b }

// Int returns an INT, SHORT or LONG key; 0 when it is null.
func (v Values) Int(key string) int64 { n, _ := v[key].(int64); return n }

// Float returns a DOUBLE key; 0 when it is null.
func (v Values) Float(key string) float64 { f, _ := v[key].(float64); return f }

// String returns a STRING, CLASS or PASSWORD key; "" when it is null.
func (v Values) String(key string) string { s, _ := v[key].(string); return s }

// List returns a LIST key; nil when it is null.
func (v Values) List(key string) []string { l, _ := v[key].([]string); return l }

// Has tells whether the key is set or has a default: its value is not null.
func (v Values) Has(key string) bool { return v[key] != nil }

// Parse reads a configuration by the definition, with defaults for what is absent. Keys that the definition does not know
// are left out without a word. As in Kafka, an element that a list has twice counts once, where Check refuses it. All problems are returned, in the order of the definition.
func (d *Def) Parse(props map[string]string) (Values, []Problem) {
	given := make(map[string]*string, len(props))
	for k, v := range props {
		given[k] = &v
	}
	values := make(Values, len(d.Keys))
	var problems []Problem
	for _, v := range d.check(given, true) {
		values[v.Name] = v.Parsed
		for _, m := range v.Errors {
			problems = append(problems, Problem{Key: v.Name, Message: m})
		}
	}
	return values, problems
}

// Value is what Check says of one key.
type Value struct {
	Name        string
	Value       *string // as text, passwords hidden; nil for null
	Parsed      any     // see Values
	Recommended []string
	Errors      []string
	Visible     bool
}

// Check reads each key of the definition from a configuration in which values can be null, in the order of the
// definition. As in Kafka, a value that can't be parsed counts as null, and the validator judges that too.
func (d *Def) Check(props map[string]*string) []Value { return d.check(props, false) }

// check is Check. once takes the first of equal elements of a list only.
func (d *Def) check(props map[string]*string, once bool) []Value {
	out := make([]Value, len(d.Keys))
	for i, k := range d.Keys {
		v := Value{Name: k.Name, Visible: true}
		given, there := props[k.Name]
		var err error
		switch {
		case there && given != nil:
			if v.Parsed, err = ParseValue(k.Type, k.Name, *given); err != nil {
				v.Errors = append(v.Errors, err.Error())
			}
		case there: // an explicit null
		case k.Required:
			v.Errors = append(v.Errors, fmt.Sprintf("Missing required configuration %q which has no default value.", k.Name))
		case k.Default != nil:
			if v.Parsed, err = ParseValue(k.Type, k.Name, *k.Default); err != nil {
				v.Errors = append(v.Errors, err.Error())
			}
		}
		if list, ok := v.Parsed.([]string); ok && once && slices.ContainsFunc(k.Validators, Rule.refusesDuplicates) {
			v.Parsed = withoutDuplicates(list)
		}
		for _, r := range k.Validators {
			if msg := r.check(k, v.Parsed); msg != "" {
				v.Errors = append(v.Errors, msg)
				break
			}
		}
		v.Value = Text(k.Type, v.Parsed)
		if k.Recommend != nil {
			v.Recommended, v.Visible = k.Recommend.recommend(props)
		}
		out[i] = v
	}
	return out
}

// ParseValue reads one value by its type. The error is a Problem with Kafka's text.
func ParseValue(t Type, key, raw string) (any, error) {
	text := trim(raw)
	fail := func(why string) error {
		return Problem{Key: key, Message: fmt.Sprintf("Invalid value %s for configuration %s: %s", raw, key, why)}
	}
	switch t {
	case Boolean:
		switch {
		case strings.EqualFold(text, "true"):
			return true, nil
		case strings.EqualFold(text, "false"):
			return false, nil
		}
		return nil, fail("Expected value to be either true or false")
	case Int, Short, Long:
		n, err := strconv.ParseInt(data.ASCIIDigits(text), 10, bits[t])
		if err != nil {
			return nil, fail("Not a number of type " + string(t))
		}
		return n, nil
	case Double:
		f, err := parseDouble(text)
		if err != nil {
			return nil, fail("Not a number of type DOUBLE")
		}
		return f, nil
	case List:
		return splitList(text), nil
	case String, Class, Password:
		return text, nil
	}
	return nil, fail("Unknown type " + string(t))
}

var bits = map[Type]int{Short: 16, Int: 32, Long: 64}

// parseDouble reads what Java's Double.parseDouble reads, hexadecimal forms aside.
func parseDouble(s string) (float64, error) {
	switch s {
	case "NaN", "+NaN", "-NaN":
		return math.NaN(), nil
	case "Infinity", "+Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	}
	s = strings.TrimRight(s, "fFdD")
	if s == "" || strings.ContainsAny(s, "_xXpPiInN") {
		return 0, strconv.ErrSyntax
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) { // out of range is infinity in Java, and no error
		return 0, err
	}
	return f, nil
}

// splitList splits as Kafka does: at commas with the white space around them; blank text is an empty list.
func splitList(text string) []string {
	if text == "" {
		return []string{}
	}
	parts := strings.Split(text, ",")
	for i, p := range parts {
		parts[i] = trim(p)
	}
	return parts
}

// withoutDuplicates keeps the first of equal elements.
func withoutDuplicates(list []string) []string {
	once := make([]string, 0, len(list))
	for _, e := range list {
		if !slices.Contains(once, e) {
			once = append(once, e)
		}
	}
	return once
}

// trim removes what Java's String.trim removes.
func trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
}

// Text is a parsed value as text, in the form that Kafka shows; nil for null.
func Text(t Type, v any) *string {
	if v == nil {
		return nil
	}
	s := show(v)
	switch t {
	case Password:
		s = Hidden
	case List:
		s = strings.Join(v.([]string), ",")
	default:
	}
	return &s
}

// show prints a parsed value as Java's String.valueOf would inside a message.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	case float64:
		return data.FormatFloat(v)
	}
	return fmt.Sprint(v)
}
