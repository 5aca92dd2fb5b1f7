// Package javaregex reads regular expressions as java.util.regex.Pattern does, with its error texts, and writes them for an
// engine that backtracks: the expressions in people's configurations were written for Java, and use what Go's own package
// does not have (lookaround, back references, possessive quantifiers, class intersections).
//
// Start reading at Parse. What an Expr's Text uses is listed there; matching is the engine's business.
package javaregex

import (
	"fmt"
	"strings"
)

// Expr is an expression that Java would accept.
type Expr struct {
	// Text is the expression for an engine with Perl's or .NET's syntax. It uses only: characters and classes of ranges,
	// groups (capturing ones unnamed and in Java's order, non-capturing, atomic), lookaround, quantifiers (greedy and lazy), |,
	// \A \z \G, and \k<n>. It needs no options, and has none inside.
	Text string
	// Groups is the number of capturing groups; Names are the numbers of those that have a name.
	Groups int
	Names  map[string]int
}

// Error is why Java would refuse an expression, in the words of its PatternSyntaxException.
type Error struct {
	Description string
	Pattern     string
	Index       int // in characters; -1: none
}

// Error is PatternSyntaxException's message.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Description)
	if e.Index >= 0 {
		fmt.Fprintf(&b, " near index %d", e.Index)
	}
	b.WriteString("\n" + e.Pattern)
	if e.Index >= 0 && e.Index < len([]rune(e.Pattern)) {
		b.WriteString("\n" + strings.Repeat(" ", e.Index) + "^")
	}
	return b.String()
}

// Names finds a character by its Unicode name.
type Names func(name string) (rune, bool)

// Parse reads an expression. Without names, every \N{name} is accepted and stands for U+FFFD: enough for a check.
func Parse(pattern string, names Names) (e *Expr, err error) {
	if names == nil {
		names = func(string) (rune, bool) { return '\uFFFD', true }
	}
	p := &parser{pattern: pattern, names: names, text: []rune(pattern), groups: 1, named: map[string]int{}}
	p.length = len(p.text)
	p.text = append(p.text, 0, 0)
	p.unquote()
	defer func() {
		if r := recover(); r != nil {
			syntax, ours := r.(*Error)
			if !ours {
				panic(r)
			}
			err = syntax
		}
	}()
	text := p.expr()
	if p.cursor != p.length {
		if p.peek() == ')' {
			p.fail("Unmatched closing ')'")
		}
		p.fail("Unexpected internal error")
	}
	return &Expr{Text: text, Groups: p.groups - 1, Names: p.named}, nil
}

// The flags that an expression can set for a part of itself.
type flags uint8

const (
	ignoreCase flags = 1 << iota
	multiline
	dotAll
	unixLines
	unicodeCase
	comments
	unicodeClass
)

// flagOf are the letters of the flags; c asks for canonical equivalence, which no character class or literal here has.
var flagOf = map[rune]flags{'i': ignoreCase, 'm': multiline, 's': dotAll, 'd': unixLines, 'u': unicodeCase, 'c': 0, 'x': comments, 'U': unicodeClass | unicodeCase}

// maxDepth bounds nested groups and classes; Java's own bound is its stack. maxRanges bounds what classes cost: \p{L} has
// hundreds of ranges.
const (
	maxDepth  = 500
	maxRanges = 1 << 18
)

// parser follows the structure of Java's compiler, so that an error is found at the same place.
type parser struct {
	pattern string
	names   Names
	text    []rune // with two zeros behind length
	length  int
	cursor  int
	flags   flags
	groups  int // with the whole match
	named   map[string]int
	depth   int
	spent   int // ranges
}

func (p *parser) fail(format string, args ...any) {
	panic(&Error{Description: fmt.Sprintf(format, args...), Pattern: p.pattern, Index: p.cursor - 1})
}

func (p *parser) has(f flags) bool { return p.flags&f != 0 }

func (p *parser) at(i int) rune {
	if i < len(p.text) {
		return p.text[i]
	}
	return 0
}

// peek is the character at the cursor; next goes to the one behind; read returns it and goes behind it. Comments are passed.
func (p *parser) peek() rune {
	if p.has(comments) {
		p.passComments()
	}
	return p.at(p.cursor)
}

func (p *parser) next() rune {
	p.cursor++
	return p.peek()
}

func (p *parser) read() rune {
	c := p.peek()
	p.cursor++
	return c
}

// nextRaw is next, also within comments; skip returns the character behind the one at the cursor, and goes behind it.
func (p *parser) nextRaw() rune {
	p.cursor++
	return p.at(p.cursor)
}

func (p *parser) skip() rune {
	c := p.at(p.cursor + 1)
	p.cursor += 2
	return c
}

func (p *parser) passComments() {
	for {
		for isSpace(p.at(p.cursor)) {
			p.cursor++
		}
		if p.at(p.cursor) != '#' {
			return
		}
		for p.cursor < p.length && !p.endsLine(p.at(p.cursor)) {
			p.cursor++
		}
	}
}

func (p *parser) endsLine(c rune) bool {
	return c == '\n' || !p.has(unixLines) && (c == '\r' || c == '\u0085' || c == '\u2028' || c == '\u2029')
}

func (p *parser) accept(c rune, otherwise string) {
	if p.read() != c {
		p.fail("%s", otherwise)
	}
}

// enter counts a level of nesting; call what it returns to leave it.
func (p *parser) enter() func() {
	if p.depth++; p.depth > maxDepth {
		p.fail("The expression is nested too deeply")
	}
	return func() { p.depth-- }
}

// spend counts the ranges of classes that are joined or written.
func (p *parser) spend(r ranges) ranges {
	if p.spent += len(r); p.spent > maxRanges {
		p.fail("The expression is too large")
	}
	return r
}

// emit is a class in the engine's syntax.
func (p *parser) emit(r ranges) string { return p.spend(r).text() }

// unquote replaces \Q...\E by escapes, as Java does before it reads on.
func (p *parser) unquote() {
	in := p.text[:p.length]
	begin := 0
	for begin < len(in)-1 && (in[begin] != '\\' || in[begin+1] != 'Q') {
		if in[begin] == '\\' {
			begin++
		}
		begin++
	}
	if begin >= len(in)-1 {
		return
	}
	out := append([]rune{}, in[:begin]...)
	quoted, first := true, true
	for i := begin + 2; i < len(in); {
		c := in[i]
		i++
		switch {
		case c >= 0x80 || isAlpha(c):
			out = append(out, c)
		case isDigit(c):
			if first { // else it could continue an escape
				out = append(out, '\\', 'x', '3')
			}
			out = append(out, c)
		case c != '\\':
			if quoted {
				out = append(out, '\\')
			}
			out = append(out, c)
		case quoted:
			if i < len(in) && in[i] == 'E' {
				i++
				quoted = false
			} else {
				out = append(out, '\\', '\\')
			}
		case i < len(in) && in[i] == 'Q':
			i++
			quoted, first = true, true
			continue
		default:
			out = append(out, c)
			if i < len(in) {
				out = append(out, in[i])
				i++
			}
		}
		first = false
	}
	p.length = len(out)
	p.text = append(out, 0, 0)
}

func isAlpha(c rune) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c rune) bool { return c >= '0' && c <= '9' }
func isSpace(c rune) bool { return c == ' ' || c >= '\t' && c <= '\r' }
