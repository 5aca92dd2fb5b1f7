package javaregex

import (
	"math"
	"strconv"
	"strings"
)

// What Java's anchors are in the engine's syntax.
const (
	nothing      = `[^\s\S]`
	atEnd        = `(?:(?=\r\n\z)|(?=[\r\u0085\u2028\u2029]\z)|(?<!\r)(?=\n\z)|\z)`
	atEndUnix    = `(?=\n?\z)`
	lineEnd      = `(?:(?<!\r)(?=\n)|(?=[\r\u0085\u2028\u2029])|\z)`
	lineEndUnix  = `(?:(?=\n)|\z)`
	lineBegin    = `(?:(?!\z)(?:\A|(?<=[\n\u0085\u2028\u2029])|(?<=\r)(?!\n)))`
	lineBeginUnx = `(?:(?!\z)(?:\A|(?<=\n)))`
	lineBreak    = `(?:\r\n|[\n\u000B\f\r\u0085\u2028\u2029])`
)

// expr reads alternatives, and returns them in the engine's syntax, as the others do.
func (p *parser) expr() string {
	defer p.enter()()
	first := p.sequence()
	if p.peek() != '|' {
		return first
	}
	var b strings.Builder
	b.WriteString("(?:" + first)
	for p.peek() == '|' {
		p.next()
		b.WriteString("|" + p.sequence())
	}
	b.WriteByte(')')
	return b.String()
}

func (p *parser) sequence() string {
	var b strings.Builder
	for {
		text := ""
		switch c := p.peek(); c {
		case '(':
			b.WriteString(p.group())
			continue
		case '[':
			text = p.emit(p.class(true))
		case '\\':
			text = p.backslash()
		case '^':
			p.next()
			text = p.begin()
		case '$':
			p.next()
			text = p.end()
		case '.':
			p.next()
			text = p.emit(p.dot())
		case '|', ')':
			return b.String()
		case '?', '*', '+':
			p.next()
			p.fail("Dangling meta character '%c'", c)
		case '{': // nothing, repeated
			text = "(?:)"
		default:
			if c == 0 && p.cursor >= p.length {
				return b.String()
			}
			p.next()
			text = p.emit(p.literal(c))
		}
		b.WriteString(p.closure(text))
	}
}

func (p *parser) begin() string {
	switch {
	case !p.has(multiline):
		return `\A`
	case p.has(unixLines):
		return lineBeginUnx
	}
	return lineBegin
}

func (p *parser) end() string {
	switch {
	case p.has(multiline) && p.has(unixLines):
		return lineEndUnix
	case p.has(multiline):
		return lineEnd
	case p.has(unixLines):
		return atEndUnix
	}
	return atEnd
}

func (p *parser) dot() ranges {
	switch {
	case p.has(dotAll):
		return everything
	case p.has(unixLines):
		return of('\n').negate()
	}
	return ranges{{'\n', '\n'}, {'\r', '\r'}, {0x85, 0x85}, {0x2028, 0x2029}}.negate()
}

// group reads a group, or flags that hold from here on.
func (p *parser) group() string {
	defer p.enter()()
	before := p.flags
	open := "(?:"
	if p.next() == '?' {
		switch c := p.skip(); c {
		case ':':
		case '=', '!', '>':
			open = "(?" + string(c)
		case '<':
			c = p.read()
			if c == '=' || c == '!' {
				open = "(?<" + string(c)
				break
			}
			name := p.groupName(c)
			if _, twice := p.named[name]; twice {
				p.fail("Named capturing group <%s> is already defined", name)
			}
			open = "("
			p.named[name] = p.groups
			p.groups++
		case '$', '@':
			p.fail("Unknown group type")
		default:
			p.cursor--
			p.setFlags()
			c = p.read()
			if c == ')' {
				return ""
			}
			if c != ':' {
				p.fail("Unknown inline modifier")
			}
		}
	} else {
		open = "("
		p.groups++
	}
	inner := p.expr()
	p.accept(')', "Unclosed group")
	p.flags = before
	return p.closure(open + inner + ")")
}

func (p *parser) setFlags() {
	on := true
	for c := p.peek(); ; c = p.next() {
		f, known := flagOf[c]
		switch {
		case known && on:
			p.flags |= f
		case known && c == 'U':
			p.flags &^= unicodeClass
		case known:
			p.flags &^= f
		case c == '-' && on:
			on = false
		default:
			return
		}
	}
}

func (p *parser) groupName(c rune) string {
	if !isAlpha(c) {
		p.fail("capturing group name does not start with a Latin letter")
	}
	var b strings.Builder
	for isAlpha(c) || isDigit(c) {
		b.WriteRune(c)
		c = p.read()
	}
	if c != '>' {
		p.fail("named capturing group is missing trailing '>'")
	}
	return b.String()
}

// closure reads the quantifier behind a part, if there is one.
func (p *parser) closure(text string) string {
	least, most := 0, -1
	switch p.peek() {
	case '?':
		most = 1
	case '*':
	case '+':
		least = 1
	case '{':
		least, most = p.count()
	default:
		return text
	}
	how := p.next()
	if how == '?' || how == '+' {
		p.next()
	}
	if !quantifiable(text) {
		text = "(?:" + text + ")"
	}
	switch {
	case least == 0 && most < 0:
		text += "*"
	case least == 1 && most < 0:
		text += "+"
	case least == 0 && most == 1:
		text += "?"
	case most < 0:
		text += "{" + strconv.Itoa(least) + ",}"
	default:
		text += "{" + strconv.Itoa(least) + "," + strconv.Itoa(most) + "}"
	}
	switch how {
	case '?':
		text += "?"
	case '+':
		text = "(?>" + text + ")"
	}
	return text
}

// quantifiable tells whether a part is one class or group, so that a quantifier holds for all of it.
func quantifiable(text string) bool {
	return strings.HasPrefix(text, "[") || strings.HasPrefix(text, "(") || len(text) == 1
}

// count reads the numbers of {n}, {n,} or {n,m}, and stays at the brace behind them; most is -1 where there is no limit.
func (p *parser) count() (least, most int) {
	number := func(c rune) (n int, after rune) {
		for ; isDigit(c); c = p.read() {
			if n = n*10 + int(c-'0'); n > math.MaxInt32 {
				p.fail("Illegal repetition range")
			}
		}
		return n, c
	}
	c := p.skip()
	if !isDigit(c) {
		p.fail("Illegal repetition")
	}
	least, c = number(c)
	most = least
	if c == ',' {
		most = -1
		if c = p.read(); c != '}' {
			if !isDigit(c) {
				p.fail("Illegal repetition")
			}
			most, c = number(c)
		}
	}
	if c != '}' {
		p.fail("Unclosed counted closure")
	}
	if most >= 0 && most < least {
		p.fail("Illegal repetition range")
	}
	p.cursor--
	return least, most
}
