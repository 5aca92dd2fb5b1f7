package javaregex

import (
	"strconv"
	"strings"
	"unicode/utf16"
)

// escaped is what a backslash begins: a character, a class, or (outside of classes) something with a text of its own.
type escaped struct {
	char    rune // when neither class nor text is set
	class   ranges
	isClass bool
	text    string
}

// backslash reads an escape outside of classes.
func (p *parser) backslash() string {
	if c := p.nextRaw(); c == 'p' || c == 'P' {
		return p.emit(p.property(c == 'P'))
	}
	p.cursor--
	switch e := p.escape(false, false); {
	case e.isClass:
		return p.emit(e.class)
	case e.text != "":
		return e.text
	default:
		return p.emit(p.literal(e.char))
	}
}

// escape reads an escape; the cursor is at the backslash. before a hyphen in a class, \v is a character.
func (p *parser) escape(inClass, beforeHyphen bool) escaped {
	c := p.skip()
	if r, ok := map[rune]rune{'a': 7, 'e': 0x1b, 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}[c]; ok {
		return escaped{char: r}
	}
	switch c {
	case 0:
		if p.cursor > p.length {
			p.fail("Unescaped trailing backslash")
		}
		return escaped{char: 0}
	case '0':
		return escaped{char: p.octal()}
	case 'c':
		if p.cursor >= p.length {
			p.fail("Illegal control escape sequence")
		}
		return escaped{char: p.read() ^ 64}
	case 'u':
		return escaped{char: p.unicode()}
	case 'x':
		return escaped{char: p.hex()}
	case 'N':
		return escaped{char: p.name()}
	case 'v':
		if beforeHyphen {
			return escaped{char: '\v'}
		}
		return escaped{class: vertical, isClass: true}
	case 'V', 'h', 'H', 'd', 'D', 's', 'S', 'w', 'W':
		return escaped{class: p.shorthand(c), isClass: true}
	}
	if !inClass {
		if e, ok := p.anchor(c); ok {
			return e
		}
	}
	if isAlpha(c) || isDigit(c) {
		p.fail("Illegal/unsupported escape sequence")
	}
	return escaped{char: c}
}

// shorthand are the classes that one letter names; the upper case letter negates.
func (p *parser) shorthand(c rune) (r ranges) {
	wide := p.has(unicodeClass)
	switch c | 0x20 {
	case 'v':
		r = vertical
	case 'h':
		r = horizontal
	case 'd':
		if r = asciiDigit; wide {
			r = category("Nd")
		}
	case 's':
		if r = asciiSpace; wide {
			r = whiteSpace()
		}
	case 'w':
		if r = asciiWord; wide {
			r = word()
		}
	}
	if c < 'a' {
		return r.negate()
	}
	return r
}

// anchor are the escapes that match no character, or that refer to what was matched.
func (p *parser) anchor(c rune) (escaped, bool) {
	boundary := func(format string) escaped {
		w := asciiWord
		if p.has(unicodeClass) {
			w = word()
		}
		return escaped{text: strings.ReplaceAll(format, "W", p.emit(w))}
	}
	switch c {
	case 'A':
		return escaped{text: `\A`}, true
	case 'z':
		return escaped{text: `\z`}, true
	case 'G':
		return escaped{text: `\G`}, true
	case 'Z':
		if p.has(unixLines) {
			return escaped{text: atEndUnix}, true
		}
		return escaped{text: atEnd}, true
	case 'R':
		return escaped{text: lineBreak}, true
	case 'X': // a character with what is combined with it; Java follows more of Unicode's rules
		m := category("M")
		return escaped{text: `(?>\r\n|` + m.negate().text() + m.text() + `*|` + m.text() + `+)`}, true
	case 'b':
		if p.peek() == '{' && p.at(p.cursor+1) == 'g' {
			p.fail("Illegal/unsupported escape sequence")
		}
		return boundary(`(?:(?<=W)(?!W)|(?<!W)(?=W))`), true
	case 'B':
		return boundary(`(?:(?<=W)(?=W)|(?<!W)(?!W))`), true
	case 'k':
		if p.read() != '<' {
			p.fail(`\k is not followed by '<' for named capturing group`)
		}
		name := p.groupName(p.read())
		n, known := p.named[name]
		if !known {
			p.fail("named capturing group <%s> does not exist", name)
		}
		return p.reference(n), true
	}
	if c < '1' || c > '9' {
		return escaped{}, false
	}
	n := int(c - '0')
	for isDigit(p.peek()) && n*10+int(p.peek()-'0') < p.groups {
		n = n*10 + int(p.read()-'0')
	}
	return p.reference(n), true
}

func (p *parser) reference(n int) escaped {
	switch {
	case n >= p.groups: // a group that comes later, or never: it has not matched
		return escaped{text: nothing}
	case p.has(ignoreCase):
		return escaped{text: "(?i:\\k<" + strconv.Itoa(n) + ">)"}
	}
	return escaped{text: "(?:\\k<" + strconv.Itoa(n) + ">)"}
}

func (p *parser) octal() rune {
	is := func(c rune) bool { return c >= '0' && c <= '7' }
	a := p.read()
	if !is(a) {
		p.fail("Illegal octal escape sequence")
	}
	b := p.read()
	if !is(b) {
		p.cursor--
		return a - '0'
	}
	if c := p.read(); is(c) && a <= '3' {
		return (a-'0')*64 + (b-'0')*8 + c - '0'
	}
	p.cursor--
	return (a-'0')*8 + b - '0'
}

// hexValue is the value of a hexadecimal digit, or -1.
func hexValue(c rune) rune {
	switch {
	case isDigit(c):
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return -1
}

func (p *parser) hex() (r rune) {
	c := p.read()
	if a := hexValue(c); a >= 0 {
		if b := hexValue(p.read()); b >= 0 {
			return a*16 + b
		}
	} else if c == '{' && hexValue(p.peek()) >= 0 {
		for c = p.read(); hexValue(c) >= 0; c = p.read() {
			if r = r*16 + hexValue(c); r > maxRune {
				p.fail("Hexadecimal codepoint is too big")
			}
		}
		if c != '}' {
			p.fail("Unclosed hexadecimal escape sequence")
		}
		return r
	}
	p.fail("Illegal hexadecimal escape sequence")
	return 0
}

// unicode reads the digits behind \u; two escapes may be the halves of one character.
func (p *parser) unicode() rune {
	four := func() (n rune) {
		for range 4 {
			d := hexValue(p.read())
			if d < 0 {
				p.fail("Illegal Unicode escape sequence")
			}
			n = n*16 + d
		}
		return n
	}
	n := four()
	if !utf16.IsSurrogate(n) || n >= 0xdc00 {
		return n
	}
	back := p.cursor
	if p.read() == '\\' && p.read() == 'u' {
		if low := four(); low >= 0xdc00 && low <= 0xdfff {
			return utf16.DecodeRune(n, low)
		}
	}
	p.cursor = back
	return n
}

func (p *parser) name() rune {
	if p.read() != '{' {
		p.fail("Illegal character name escape sequence")
	}
	begin := p.cursor
	for p.read() != '}' {
		if p.cursor >= p.length {
			p.fail("Unclosed character name escape sequence")
		}
	}
	name := string(p.text[begin : p.cursor-1])
	r, ok := p.names(name)
	if !ok {
		p.fail("Unknown character name [%s]", name)
	}
	return r
}
