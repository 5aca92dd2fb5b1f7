package transforms

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The table of field.syntax.version=V2.
func TestParsePath_splits_at_dots_and_keeps_what_is_in_backticks(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][]string{
		"foo.bar.baz": {"foo", "bar", "baz"}, "`foo.bar`.baz": {"foo.bar", "baz"}, "foo.`bar.baz`": {"foo", "bar.baz"}, "foo..bar": {"foo", "", "bar"}, ".": {"", ""},
		"foo.": {"foo", ""}, ".foo": {"", "foo"}, "foo`bar": {"foo`bar"}, "`foo`bar`.baz": {"foo`bar", "baz"}, "`foo\\`.bar`": {"foo`.bar"}, "``": {""},
		"a.`b`.`c.d`": {"a", "b", "c.d"}, `a\b`: {`a\b`},
	} {
		got, err := parsePath(path)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", path, got, err, want)
		}
	}
	for path, position := range map[string]string{"`foo": "0", "foo.`bar": "4", "`a`b": "0"} {
		want := "Incomplete backtick pair in path: [" + path + "], consider adding a backslash before backtick at position " + position + " to escape it"
		if _, err := parsePath(path); err == nil || err.Error() != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"a.b", "`a.b`.c", "``.", "`a\\`.b`", "a`", "`", ".", "`a`b`.`c`"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		steps, err := parsePath(path)
		if err != nil {
			return
		}
		if len(steps) == 0 || len(steps) > strings.Count(path, ".")+1 {
			t.Fatalf("%q", steps)
		}
		if !strings.Contains(path, "`") && strings.Join(steps, ".") != path {
			t.Fatalf("%q", steps)
		}
	})
}

// What Java would accept has to be an expression of our engine, and a replacement has to be read or refused.
func FuzzRegex(f *testing.F) {
	for _, s := range []string{"", "(a|b)*c", `[a-z&&[^b]]+\d{2,}?`, `(?<n>.)\k<n>(?i:x)(?x) # y`, `\Q.\E`, `\p{IsLatin}\P{L}\R\X\b`, "(?<=a{1,3})^$", "(?m)^a$(?s).", `(a)\1\2`, "[&&a]", "a{0}{2}"} {
		f.Add(s, "$1-${n}\\$", "abc")
	}
	f.Fuzz(func(t *testing.T, pattern, replacement, text string) {
		if len(pattern) > 60 || len(text) > 30 || !utf8.ValidString(pattern) || !utf8.ValidString(text) || strings.Contains(pattern, "N{") {
			return
		}
		r, err := newRegex(pattern)
		if err != nil {
			if strings.HasPrefix(err.Error(), "error parsing regexp") && !strings.Contains(err.Error(), "capacity") {
				t.Fatalf("%q: %v", pattern, err)
			}
			return
		}
		with, err := r.replacement(replacement)
		if err != nil {
			return
		}
		if ok, err := r.matches(text); ok && err == nil {
			if _, err := r.replaceFirst(text, with); err != nil && !strings.Contains(err.Error(), "Could not match") {
				t.Fatal(err)
			}
		}
	})
}
