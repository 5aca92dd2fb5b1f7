// Package secretref is the form of references to secrets in configurations: ${provider:key} or ${provider:path:key}. Several
// may stand in one value; there is no escape. A reference without a provider of its name is plain text.
package secretref

import "regexp"

// Ref is one reference. The path has no colon in it; the key may.
type Ref struct {
	Provider, Path, Key string
}

var form = regexp.MustCompile(`\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}`)

// Find lists the references in a value.
func Find(value string) (refs []Ref) {
	for _, m := range form.FindAllStringSubmatch(value, -1) {
		refs = append(refs, Ref{m[1], m[3], m[4]})
	}
	return refs
}

// Replace puts values in place of references; those that get none stay as they are. It does not look at what it has put.
func Replace(value string, with func(Ref) (string, bool)) string {
	return form.ReplaceAllStringFunc(value, func(text string) string {
		if v, ok := with(Find(text)[0]); ok {
			return v
		}
		return text
	})
}
