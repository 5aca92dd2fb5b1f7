// Package ddl reads the statements that make tables, for the stand-ins for databases.
package ddl

import "strings"

// List cuts a part of a statement at the commas outside of parentheses and literals.
func List(text string) (all []string) {
	depth, from, quoted := 0, 0, false
	for i, c := range text {
		switch {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			all = append(all, strings.TrimSpace(text[from:i]))
			from = i + 1
		}
	}
	return append(all, strings.TrimSpace(text[from:]))
}
