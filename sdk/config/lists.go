package config

// The arguments of the rule for lists without duplicates: whether null is fine, and which elements are.
const (
	argNull = "null"
	argIn   = "in" // what follows are the elements
)

// OptionalNoDuplicates is NoDuplicates that accepts null.
func OptionalNoDuplicates() Rule { return Rule{ruleNoDuplicates, []string{argNull}} }

// ListOf is NoDuplicates for lists of certain texts.
func ListOf(values ...string) Rule { return Rule{ruleNoDuplicates, append([]string{argIn}, values...)} }

// SomeOf is ListOf for lists that must not be empty.
func SomeOf(values ...string) Rule { return Rule{ruleSome, append([]string{argIn}, values...)} }

// known are the elements that a list may have; false when it may have any.
func (r Rule) known() ([]string, bool) {
	if len(r.Args) == 0 || r.Args[0] != argIn {
		return nil, false
	}
	return r.Args[1:], true
}
