package javaregex

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParse_refuses_what_Java_refuses_in_its_words(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"(":                           "Unclosed group near index 1\n(",
		"(a":                          "Unclosed group near index 2\n(a",
		"[":                           "Unclosed character class near index 0\n[\n^",
		"*":                           "Dangling meta character '*' near index 0\n*\n^",
		"+":                           "Dangling meta character '+' near index 0\n+\n^",
		"a**":                         "Dangling meta character '*' near index 2\na**\n  ^",
		`\`:                           "Unescaped trailing backslash near index 1\n\\",
		"(?<n>a)(?<n>b)":              "Named capturing group <n> is already defined near index 11\n(?<n>a)(?<n>b)\n           ^",
		`\k<x>`:                       "named capturing group <x> does not exist near index 4\n\\k<x>\n    ^",
		"[z-a]":                       "Illegal character range near index 3\n[z-a]\n   ^",
		`\p{Foo}`:                     "Unknown character property name {Foo} near index 6\n\\p{Foo}\n      ^",
		")":                           "Unmatched closing ')'\n)",
		"a)":                          "Unmatched closing ')' near index 0\na)\n^",
		"(?z)":                        "Unknown inline modifier near index 2\n(?z)\n  ^",
		"(?":                          "Unknown inline modifier near index 2\n(?",
		`\u00`:                        "Illegal Unicode escape sequence near index 4\n\\u00",
		"(?<1a>x)":                    "capturing group name does not start with a Latin letter near index 3\n(?<1a>x)\n   ^",
		"x{99999999999}":              "Illegal repetition range near index 11\nx{99999999999}\n           ^",
		`\c`:                          "Illegal control escape sequence near index 1\n\\c\n ^",
		"a{,2}":                       "Illegal repetition near index 2\na{,2}\n  ^",
		"{":                           "Illegal repetition",
		"a{2":                         "Unclosed counted closure",
		"a{3,2}":                      "Illegal repetition range",
		`\q`:                          "Illegal/unsupported escape sequence",
		`\p`:                          "Unknown character property name",
		`\p{`:                         "Unclosed character family",
		`\p{}`:                        "Empty character family",
		`\x{110000}`:                  "Hexadecimal codepoint is too big",
		`\xg`:                         "Illegal hexadecimal escape sequence",
		`\08`:                         "Illegal octal escape sequence",
		"[&&]":                        "Bad class syntax",
		`\b{g}`:                       "Illegal/unsupported escape sequence",
		`\N{nothing}`:                 "Unknown character name [nothing]",
		`\p{sc=Nowhere}`:              "Unknown Unicode property {name=<sc>, value=<Nowhere>}",
		"(?<n":                        "named capturing group is missing trailing '>'",
		strings.Repeat(`\p{L}`, 5000): "The expression is too large",
		"[" + strings.Repeat("acegikmoqsuwy", 5000): "The expression is too large",
		strings.Repeat("(", 2000):                   "The expression is nested too deeply",
	} {
		_, err := Parse(pattern, func(string) (rune, bool) { return 0, false })
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.40s: %v, want %s", pattern, err, want)
		}
	}
}

func TestParse_writes_the_same_expression_for_another_engine(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"":                     "",
		"ab":                   "ab",
		"a.b":                  `a[\u0000-\u0009\u000B-\u000C\u000E-\u0084\u0086-\u2027\u202A-\uD7FF\uE000-` + "\U0010ffff" + `]b`,
		"a*+":                  "(?>a*)",
		"a{2,3}?":              "a{2,3}?",
		`\b{2}`:                `(?:(?<=[0-9A-Z\u005Fa-z])(?![0-9A-Z\u005Fa-z])|(?<![0-9A-Z\u005Fa-z])(?=[0-9A-Z\u005Fa-z])){2,2}`,
		"(?<=(a|b)*)c":         "(?<=((?:a|b))*)c",
		"a{2}{3}":              "a{2,2}(?:){3,3}",
		"a|b*":                 "(?:a|b*)",
		"(?<n>a)(b)":           "(a)(b)",
		"(?>a)(?=b)":           "(?>a)(?=b)",
		`(a)\1\2`:              `(a)(?:\k<1>)` + nothing,
		`\d`:                   "[0-9]",
		"[a-z&&[^b]]":          "[ac-z]",
		"[^a-c&&b]":            "[\\u0000-ac-\\uD7FF\\uE000-\U0010ffff]",
		`\Qa.1\E`:              `a[\u002E]1`,
		"(?i)a":                "[Aa]",
		"(?iu)k":               `[Kk\u212A]`,
		"(?x) a # b\nc":        "ac",
		"[[:alpha:]]":          `[\u003Aahlp]`,
		`\x41\u0042\0103\cD\t`: `ABC[\u0004][\u0009]`,
		`\ud83d\ude00`:         "[\U0001f600]",
		"]}":                   `[\u005D][\u007D]`,
	} {
		e, err := Parse(pattern, nil)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
		} else if e.Text != want {
			t.Errorf("%s: %s, want %s", pattern, e.Text, want)
		}
	}
}

func TestParse_counts_and_names_groups(t *testing.T) {
	t.Parallel()
	e, err := Parse("(?<first>a)(?:b)((c)|(?<last>d))", nil)
	if err != nil || e.Groups != 4 || e.Names["first"] != 1 || e.Names["last"] != 4 || len(e.Names) != 2 {
		t.Errorf("%+v, %v", e, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "(a|b)*c", `[a-z&&[^b]]+\d{2,}?`, `(?<n>.)\k<n>(?i:x)(?x) # y`, `\Q.\E`, `\p{IsLatin}\P{L}\N{X}\R\X\b`, "(?<=a{1,3})^$", "[]a]", "[^]]", "[a&&&b]", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		if !utf8.ValidString(pattern) || len(pattern) > 200 {
			return
		}
		e, err := Parse(pattern, nil)
		if (e == nil) == (err == nil) {
			t.Fatalf("%v, %v", e, err)
		}
		if err != nil {
			_ = err.Error()
		}
	})
}
