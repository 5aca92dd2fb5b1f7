package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/sdk/javaregex"
)

// The kinds of rule. A rule is data, so that a process without the plugin can apply it.
const (
	ruleRange        = "range"         // min, max ("" = open); null is refused
	ruleOptRange     = "opt-range"     // the same, null is fine
	ruleOneOf        = "one-of"        // any of the arguments
	ruleOneOfFold    = "one-of-fold"   // the same in any case; the arguments' order is that of the message
	ruleEnumerator   = "enumerator"    // text that is one of the arguments as it is, or all in lower or all in upper case; or a list of such
	ruleNonEmpty     = "non-empty"     // text that is not ""; null is fine
	ruleName         = "name"          // a connector's name
	ruleNonNull      = "non-null"      // a list that is not null
	ruleAliases      = "aliases"       // a list without duplicates, in the words used for aliases
	ruleNoDuplicates = "no-duplicates" // a list without duplicates and blanks, in the words of Kafka 4.2
	ruleSome         = "some"          // the same, and not empty
	ruleSomeList     = "some-list"     // a list that is not empty, whatever it holds
	ruleCasts        = "casts"         // a list that Casts reads
	ruleRenames      = "renames"       // a list that Renames reads
	ruleRegex        = "regex"         // text that compiles, and means the same in Java and in Go
	ruleSomeRegex    = "some-regex"    // a regular expression of Java; null is refused, and with an argument ""
	ruleValues       = "values"        // recommender: the arguments
	ruleHide         = "hide"          // recommender: not to be shown
	ruleWhen         = "when"          // recommender: visible only when the key of the first argument has one of the others, in any case
	ruleIfSet        = "if-set"        // recommender: visible only when the key of the first argument is set
)

// Default gives a key its default value.
func Default(v string) *string { return &v }

// Range accepts numbers from least to most; use AtLeast for an open end. null is refused.
func Range(least, most int64) Rule { return Rule{ruleRange, []string{itoa(least), itoa(most)}} }

// AtLeast accepts numbers from least; null is refused.
func AtLeast(least int64) Rule { return Rule{ruleRange, []string{itoa(least), ""}} }

// OptionalAtLeast accepts null and numbers from least.
func OptionalAtLeast(least int64) Rule { return Rule{ruleOptRange, []string{itoa(least), ""}} }

// OneOf accepts exactly these texts.
func OneOf(values ...string) Rule { return Rule{ruleOneOf, values} }

// OneOfFold accepts these texts in any case; messages show them in upper case and in this order.
func OneOfFold(values ...string) Rule { return Rule{ruleOneOfFold, values} }

// Enumerator accepts null and these texts, and each of them all in lower or all in upper case; of a list key, each element, and at least one.
func Enumerator(values ...string) Rule { return Rule{ruleEnumerator, values} }

// NonEmpty refuses ""; null is another rule's business.
func NonEmpty() Rule { return Rule{Kind: ruleNonEmpty} }

// ConnectorName is the rule for names: neither empty nor with control characters.
func ConnectorName() Rule { return Rule{Kind: ruleName} }

// NonNull refuses a list that is null.
func NonNull() Rule { return Rule{Kind: ruleNonNull} }

// UniqueAliases refuses a list that is null or has an element twice.
func UniqueAliases() Rule { return Rule{Kind: ruleAliases} }

// NoDuplicates refuses a list that has an element twice or an empty one.
func NoDuplicates() Rule { return Rule{Kind: ruleNoDuplicates} }

// Some is NoDuplicates for lists that must not be empty.
func Some() Rule { return Rule{Kind: ruleSome} }

// SomeList refuses a list that is null or empty.
func SomeList() Rule { return Rule{Kind: ruleSomeList} }

// CastList accepts what Casts reads.
func CastList() Rule { return Rule{Kind: ruleCasts} }

// RenameList accepts what Renames reads.
func RenameList() Rule { return Rule{Kind: ruleRenames} }

// Regex accepts texts that are regular expressions, of those that Java and Go understand alike.
func Regex() Rule { return Rule{Kind: ruleRegex} }

// RequiredRegex accepts texts that are regular expressions of Java; null is refused.
func RequiredRegex() Rule { return Rule{Kind: ruleSomeRegex} }

// NonEmptyRegex is RequiredRegex for texts that must not be "".
func NonEmptyRegex() Rule { return Rule{ruleSomeRegex, []string{"non-empty"}} }

// Recommend is a recommender that offers these values.
func Recommend(values ...string) *Rule { return &Rule{ruleValues, values} }

// VisibleIfSet is a recommender that shows the key only when another one is set.
func VisibleIfSet(key string) *Rule { return &Rule{ruleIfSet, []string{key}} }

// VisibleWhen is a recommender that shows the key only when another one has one of these values, in any case.
func VisibleWhen(key string, values ...string) *Rule {
	return &Rule{ruleWhen, append([]string{key}, values...)}
}

// Hide is a recommender that does not show the key.
func Hide() *Rule { return &Rule{Kind: ruleHide} }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// check returns the message for a value that the rule refuses, "" for one that it accepts. An unknown kind, from a newer
// definition, accepts everything: the runner that has the plugin checks again.
func (r Rule) check(k Key, v any) string {
	if k.Bare != "" {
		k.Name = k.Bare
	}
	why := ""
	switch r.Kind {
	case ruleRange, ruleOptRange:
		why = r.checkRange(v)
	case ruleOneOf:
		if s, ok := v.(string); !ok || !slices.Contains(r.Args, s) {
			why = "String must be one of: " + strings.Join(r.Args, ", ")
		}
	case ruleOneOfFold:
		s, ok := v.(string)
		if !ok || !slices.ContainsFunc(r.Args, func(a string) bool { return strings.EqualFold(a, s) }) {
			why = "String must be one of (case insensitive): " + strings.ToUpper(strings.Join(r.Args, ", "))
		}
	case ruleEnumerator:
		return r.checkEnumerator(k, v)
	case ruleNonEmpty:
		if s, ok := v.(string); ok && s == "" {
			why = "String must be non-empty"
		}
	case ruleName:
		why = checkName(v)
	case ruleNonNull:
		if v == nil {
			why = "entry must be non null"
		}
	case ruleAliases:
		if list, ok := v.([]string); !ok {
			why = "entry must be non null"
		} else if hasDuplicate(list) {
			why = "Duplicate alias provided."
		}
	case ruleNoDuplicates, ruleSome:
		return r.checkList(k, v)
	case ruleSomeList:
		if list, _ := v.([]string); len(list) == 0 {
			why = "Empty list"
		}
	case ruleCasts, ruleRenames:
		return r.checkPairs(v)
	case ruleRegex:
		if s, ok := v.(string); ok {
			if err := compiles(s); err != nil {
				why = "Invalid regex: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
			}
		}
	case ruleSomeRegex:
		why = r.checkJavaRegex(v)
	}
	if why == "" {
		return ""
	}
	shown := show(v)
	if k.Type == Password && v != nil {
		shown = Hidden
	}
	return fmt.Sprintf("Invalid value %s for configuration %s: %s", shown, k.Name, why)
}

// refusesDuplicates tells whether it is a rule for lists whose elements differ.
func (r Rule) refusesDuplicates() bool { return r.Kind == ruleNoDuplicates || r.Kind == ruleSome }

func (r Rule) checkRange(v any) string {
	if v == nil {
		if r.Kind == ruleOptRange {
			return ""
		}
		return "Value must be non-null"
	}
	var x float64
	switch n := v.(type) {
	case int64:
		x = float64(n)
	case float64:
		x = n
	}
	for i, sign := range []float64{1, -1} {
		if i >= len(r.Args) || r.Args[i] == "" {
			continue
		}
		limit, err := strconv.ParseFloat(r.Args[i], 64)
		if err != nil {
			continue
		}
		if sign*x < sign*limit {
			return []string{"Value must be at least ", "Value must be no more than "}[i] + r.Args[i]
		}
	}
	return ""
}

func (r Rule) checkEnumerator(k Key, v any) string {
	list, isList := v.([]string)
	if v == nil {
		return ""
	}
	if !isList {
		s, _ := v.(string)
		list = []string{s}
	}
	if len(list) == 0 {
		return fmt.Sprintf("Invalid value %s for configuration %s: At least one value must be specified. Valid values are: %s", show(v), k.Name, show(r.Args))
	}
	for _, s := range list {
		if !slices.ContainsFunc(r.Args, func(a string) bool { return s == a || s == strings.ToLower(a) || s == strings.ToUpper(a) }) {
			return fmt.Sprintf("Invalid value %s for configuration %s: Invalid enumerator", s, k.Name)
		}
	}
	return ""
}

func checkName(v any) string {
	s, ok := v.(string)
	if !ok {
		return "" // a missing name has its own message
	}
	if s == "" {
		return "String may not be empty"
	}
	var bad []string
	for _, c := range s {
		if c < 0x20 || c >= 0x7f && c <= 0x9f {
			bad = append(bad, strconv.Itoa(int(c)))
		}
	}
	if bad != nil {
		return "String may not contain control sequences but had the following ASCII chars: " + strings.Join(bad, ", ")
	}
	return ""
}

func (r Rule) checkList(k Key, v any) string {
	list, ok := v.([]string)
	values, only := r.known()
	some := "any non-empty value"
	if only {
		some = show(values)
	}
	switch {
	case !ok && slices.Equal(r.Args, []string{argNull}):
		return ""
	case !ok:
		return fmt.Sprintf("Configuration '%s' values must not be null.", k.Name)
	case len(list) == 0 && r.Kind == ruleSome:
		return fmt.Sprintf("Configuration '%s' must not be empty. Valid values include: %s", k.Name, some)
	case hasDuplicate(list):
		return fmt.Sprintf("Configuration '%s' values must not be duplicated.", k.Name)
	case slices.Contains(list, ""):
		return fmt.Sprintf("Configuration '%s' values must not be empty.", k.Name)
	}
	for _, e := range list {
		if only && !slices.Contains(values, e) {
			return fmt.Sprintf("Invalid value %s for configuration %s: String must be one of: %s", e, k.Name, strings.Join(values, ", "))
		}
	}
	return ""
}

func (r Rule) checkPairs(v any) string {
	list, _ := v.([]string)
	var err error
	if r.Kind == ruleCasts {
		_, err = Casts(list)
	} else {
		_, err = Renames(list)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func (r Rule) checkJavaRegex(v any) string {
	s, ok := v.(string)
	switch {
	case !ok:
		return "Invalid regex: there is none"
	case s == "" && len(r.Args) > 0:
		return "String must be non-empty"
	}
	if _, err := javaregex.Parse(s, nil); err != nil {
		return "Invalid regex: " + err.Error()
	}
	return ""
}

func hasDuplicate(list []string) bool {
	sorted := slices.Sorted(slices.Values(list))
	return len(slices.Compact(sorted)) < len(list)
}

// recommend returns the recommended values and whether the key is to be shown.
func (r Rule) recommend(props map[string]*string) (values []string, visible bool) {
	switch r.Kind {
	case ruleValues:
		return r.Args, true
	case ruleHide:
		return nil, false
	case ruleWhen:
		return nil, len(r.Args) > 0 && props[r.Args[0]] != nil && slices.ContainsFunc(r.Args[1:], func(a string) bool { return strings.EqualFold(a, trim(*props[r.Args[0]])) })
	case ruleIfSet:
		return nil, len(r.Args) > 0 && props[r.Args[0]] != nil
	}
	return nil, true
}

// Merge joins definitions. A key that occurs again keeps its first place but takes its last definition, as when a
// connector redefines a key of the framework.
func Merge(defs ...*Def) *Def {
	out := &Def{}
	at := map[string]int{}
	for _, d := range defs {
		if d == nil {
			continue
		}
		for _, k := range d.Keys {
			if i, again := at[k.Name]; again {
				out.Keys[i] = k
				continue
			}
			at[k.Name] = len(out.Keys)
			out.Keys = append(out.Keys, k)
		}
	}
	return out
}

// Key returns the definition of a key.
func (d *Def) Key(name string) (Key, bool) {
	if d == nil {
		return Key{}, false
	}
	for _, k := range d.Keys {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

// count is what a brace begins in Java's expressions; Go takes any other brace as itself.
var count = regexp.MustCompile(`^\{[0-9]+(,[0-9]*)?\}`)

// compiles tells what is wrong with an expression that is to mean the same in Java and in Go.
func compiles(s string) error {
	if _, err := regexp.Compile(s); err != nil {
		return err
	}
	inClass := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\': // an escaped character, a class such as \p{L}, or a quotation
			rest := s[i+1:]
			end := ""
			if strings.HasPrefix(rest, "Q") {
				end = `\E`
			} else if len(rest) > 1 && strings.ContainsRune("pPx", rune(rest[0])) && rest[1] == '{' {
				end = "}"
			}
			if at := strings.Index(rest, end); end != "" && at >= 0 {
				i += at + len(end)
			} else {
				i++
			}
		case inClass:
			inClass = c != ']'
		case c == '[':
			inClass = true
		case c == '{' && !count.MatchString(s[i:]):
			return fmt.Errorf("illegal repetition near index %d: write \\{ for the character", i)
		}
	}
	return nil
}
