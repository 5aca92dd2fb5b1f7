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
	lineBegin    = `(?:\A|(?<=[\n\u0085\u2028\u2029])(?!\z)|(?<=\r)(?![\n]|\z))`
	lineBeginUnx = `(?:\A|(?<=\n)(?!\z))`
	lineBreak    = `(?:\r\n|[\n\u000B\f\r\u0085\u2028\u2029])`
)

func (p *parser) expr() node {
	defer p.enter()()
	out := p.sequence()
	if p.peek() != '|' {
		return out
	}
	var b strings.Builder
	b.WriteString("(?:" + out.text)
	for p.peek() == '|' {
		p.next()
		n := p.sequence()
		b.WriteString("|" + n.text)
		out.endless = out.endless || n.endless
	}
	b.WriteByte(')')
	return node{text: b.String(), endless: out.endless}
}

func (p *parser) sequence() node {
	var b strings.Builder
	endless := false
	add := func(n node) { b.WriteString(n.text); endless = endless || n.endless }
	for {
		var n node
		switch c := p.peek(); c {
		case '(':
			if n, only := p.group(); !only {
				add(n)
			}
			continue
		case '[':
			n = set(p.class(true))
		case '\\':
			n = p.backslash()
		case '^':
			p.next()
			n.text = p.begin()
		case '$':
			p.next()
			n.text = p.end()
		case '.':
			p.next()
			n = set(p.dot())
		case '|', ')':
			return node{text: b.String(), endless: endless}
		case '?', '*', '+':
			p.next()
			p.fail("Dangling meta character '%c'", c)
		case '{': // nothing, repeated
			n.text = "(?:)"
		default:
			if c == 0 && p.cursor >= p.length {
				return node{text: b.String(), endless: endless}
			}
			p.next()
			n = set(p.literal(c))
		}
		add(p.closure(n))
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

// group reads a group; only is true for flags that hold from here on.
func (p *parser) group() (n node, only bool) {
	defer p.enter()()
	before := p.flags
	open := "(?:"
	behind := false
	if p.next() == '?' {
		switch c := p.skip(); c {
		case ':':
		case '=', '!', '>':
			open = "(?" + string(c)
		case '<':
			c = p.read()
			if c == '=' || c == '!' {
				open, behind = "(?<"+string(c), true
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
				return node{}, true
			}
			if c != ':' {
				p.fail("Unknown inline modifier")
			}
		}
	} else {
		open = "("
		p.groups++
	}
	n = p.expr()
	if behind && n.endless {
		p.fail("Look-behind group does not have an obvious maximum length")
	}
	p.accept(')', "Unclosed group")
	p.flags = before
	n.text = open + n.text + ")"
	n.single = false
	return p.closure(n), false
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

// closure reads the quantifier behind a node, if there is one.
func (p *parser) closure(n node) node {
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
		return n
	}
	plain := p.peek() != '}'
	how := p.next()
	if how == '?' || how == '+' {
		p.next()
	}
	if !quantifiable(n.text) {
		n.text = "(?:" + n.text + ")"
	}
	switch {
	case least == 0 && most < 0:
		n.text += "*"
	case least == 1 && most < 0:
		n.text += "+"
	case least == 0 && most == 1:
		n.text += "?"
	case most < 0:
		n.text += "{" + strconv.Itoa(least) + ",}"
	default:
		n.text += "{" + strconv.Itoa(least) + "," + strconv.Itoa(most) + "}"
	}
	switch how {
	case '?':
		n.text += "?"
	case '+':
		n.text = "(?>" + n.text + ")"
	}
	// the length of one character, repeated greedily, counts as obvious in Java, however often
	n.endless = n.endless || most < 0 && !(n.single && plain && how != '?' && how != '+')
	n.single = false
	return n
}

// quantifiable tells whether a node's text is one class or group, so that a quantifier holds for all of it.
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
