package dataoracle

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// reasons are the differences that are intended. Each takes away what it explains, in this order; what is equal then is
// explained.
var reasons = []struct {
	why  string
	take func(s setting, theirs, ours string) (string, string)
}{
	{"Java before 19 prints more digits of some numbers than tell them apart; we print as later ones do", func(_ setting, theirs, ours string) (string, string) {
		return number.ReplaceAllStringFunc(theirs, shortest), number.ReplaceAllStringFunc(ours, shortest)
	}},
	{"a Java array prints as the address of its object; ours as base64", func(_ setting, theirs, ours string) (string, string) {
		parts := address.Split(theirs, -1)
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		if len(parts) > 1 && regexp.MustCompile(`(?s)^`+strings.Join(parts, `[A-Za-z0-9+/=]*`)+`$`).MatchString(ours) {
			return ours, ours
		}
		return theirs, ours
	}},
	{"the order of a Java HashMap, which changes with its size, is not copied: ours is the order of the record", func(s setting, theirs, ours string) (string, string) {
		if !s.maps { // settings that print maps have no arrays
			return theirs, ours
		}
		return members(theirs), members(ours)
	}},
}

var (
	address = regexp.MustCompile(`\[B@[0-9a-f]+`)
	number  = regexp.MustCompile(`\d\.\d+E-?\d+`)
)

// shortest is the shortest text of a number: of a float if it has no more digits than one, else of a double.
func shortest(text string) string {
	bits := 64
	if digits, _, _ := strings.Cut(text, "E"); len(digits) <= len("1.23456789") {
		if f, err := strconv.ParseFloat(text, 32); err == nil && f != 0 {
			bits = 32
		}
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil {
		return text
	}
	return strconv.FormatFloat(f, 'g', -1, bits)
}

// members are those of all maps of a text, in the order of the alphabet.
func members(text string) string {
	parts := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",{}[] \n", r) })
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// why names the reasons that explain a difference; none if something is left of it.
func why(s setting, d difference) (all []string) {
	theirs, ours := d.theirs, d.ours
	for _, r := range reasons {
		a, b := r.take(s, theirs, ours)
		if a != theirs || b != ours {
			all = append(all, r.why)
		}
		if theirs, ours = a, b; theirs == ours {
			return all
		}
	}
	return nil
}
