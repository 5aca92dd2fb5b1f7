package transforms

import (
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"
	"golang.org/x/text/unicode/runenames"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/javaregex"
)

// matchTime bounds a match: expressions that backtrack can take as good as for ever.
const matchTime = time.Second

// remembered is how many topics' answers are kept; there are rarely more, and then a few are worked out again.
const remembered = 1024

// regex is a regular expression of Java.
type regex struct {
	expr        *javaregex.Expr
	text        string
	whole, part *regexp2.Regexp
}

func newRegex(text string) (*regex, error) {
	expr, err := javaregex.Parse(text, runeNamed)
	if err != nil {
		return nil, err
	}
	r := &regex{expr: expr, text: text}
	if r.part, err = regexp2.Compile(expr.Text); err != nil {
		return nil, err
	}
	if r.whole, err = regexp2.Compile(`\A(?:` + expr.Text + `)\z`); err != nil {
		return nil, err
	}
	r.part.MatchTimeout, r.whole.MatchTimeout = matchTime, matchTime
	return r, nil
}

// runeNamed finds a character by its name in Unicode.
func runeNamed(name string) (rune, bool) {
	for r := range rune(0x110000) {
		if strings.EqualFold(runenames.Name(r), name) {
			return r, true
		}
	}
	return 0, false
}

// matches tells whether all of a text matches.
func (r *regex) matches(text string) (bool, error) {
	ok, err := r.whole.MatchString(text)
	return ok, r.failed(err, text)
}

func (r *regex) failed(err error, text string) error {
	if err == nil {
		return nil
	}
	return connecterr.Wrap(connecterr.Data, err, "Could not match %s with the regular expression %s", text, r.text)
}

// replaceFirst replaces the first part of a text that matches.
func (r *regex) replaceFirst(text string, with replacement) (string, error) {
	m, err := r.part.FindStringMatch(text)
	if err != nil {
		return "", r.failed(err, text)
	}
	if m == nil {
		return text, nil
	}
	begin, length := m.ByteRange()
	var b strings.Builder
	b.WriteString(text[:begin])
	for _, p := range with {
		if p.group < 0 {
			b.WriteString(p.text)
		} else if g := m.GroupByNumber(p.group); g != nil && len(g.Captures) > 0 {
			b.WriteString(g.String())
		}
	}
	b.WriteString(text[begin+length:])
	return b.String(), nil
}

// replacement is what takes the place of a match: texts and groups.
type replacement []replacementPart

type replacementPart struct {
	text  string
	group int // -1: text
}

// replacement reads a replacement in the syntax of Java's Matcher. Its errors show as Java's.
func (r *regex) replacement(text string) (out replacement, err error) {
	var b strings.Builder
	for i := 0; i < len(text); {
		switch text[i] {
		case '\\':
			if i++; i == len(text) {
				return nil, illegalArgument("character to be escaped is missing")
			}
			b.WriteByte(text[i])
			i++
		case '$':
			group, length, err := r.reference(text[i+1:])
			if err != nil {
				return nil, err
			}
			out = append(out, replacementPart{b.String(), -1}, replacementPart{"", group})
			b.Reset()
			i += 1 + length
		default:
			b.WriteByte(text[i])
			i++
		}
	}
	return append(out, replacementPart{b.String(), -1}), nil
}

// reference reads a group's number or name behind a dollar sign.
func (r *regex) reference(text string) (group, length int, err error) {
	isDigit := func(c byte) bool { return c >= '0' && c <= '9' }
	switch {
	case text == "":
		return 0, 0, illegalArgument("Illegal group reference: group index is missing")
	case text[0] == '{':
		return r.namedReference(text)
	case !isDigit(text[0]):
		return 0, 0, illegalArgument("Illegal group reference")
	}
	group, length = int(text[0]-'0'), 1
	for length < len(text) && isDigit(text[length]) && group*10+int(text[length]-'0') <= r.expr.Groups {
		group = group*10 + int(text[length]-'0')
		length++
	}
	if group > r.expr.Groups {
		return 0, 0, connecterr.New(connecterr.General, "No group %d", group).WithClass("java.lang.IndexOutOfBoundsException")
	}
	return group, length, nil
}

func (r *regex) namedReference(text string) (group, length int, err error) {
	end := 1
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || text[end]|0x20 >= 'a' && text[end]|0x20 <= 'z') {
		end++
	}
	name := text[1:end]
	switch {
	case name == "":
		return 0, 0, illegalArgument("named capturing group has 0 length name")
	case end == len(text) || text[end] != '}':
		return 0, 0, illegalArgument("named capturing group is missing trailing '}'")
	case name[0] <= '9':
		return 0, 0, illegalArgument("capturing group name {%s} starts with digit character", name)
	}
	group, known := r.expr.Names[name]
	if !known {
		return 0, 0, illegalArgument("No group with name {%s}", name)
	}
	return group, end + 1, nil
}

// memo remembers answers by topic.
type memo[T any] map[string]T

func (m memo[T]) put(topic string, answer T) {
	if len(m) >= remembered {
		clear(m)
	}
	m[topic] = answer
}
