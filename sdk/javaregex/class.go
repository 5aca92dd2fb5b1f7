package javaregex

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const maxRune = unicode.MaxRune

// span is a range of characters; ranges are sorted and apart.
type (
	span   struct{ lo, hi rune }
	ranges []span
)

var everything = ranges{{0, maxRune}}

func of(chars ...rune) (r ranges) {
	for _, c := range chars {
		r = append(r, span{c, c})
	}
	return r.normal()
}

func (r ranges) normal() ranges {
	r = slices.Clone(r)
	slices.SortFunc(r, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	out := r[:0]
	for _, s := range r {
		if n := len(out); n > 0 && s.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, s.hi)
			continue
		}
		out = append(out, s)
	}
	return out
}

func (r ranges) union(o ranges) ranges { return append(slices.Clone(r), o...).normal() }

func (r ranges) negate() ranges {
	out, from := ranges{}, rune(0)
	for _, s := range r.normal() {
		if s.lo > from {
			out = append(out, span{from, s.lo - 1})
		}
		from = s.hi + 1
	}
	if from <= maxRune {
		out = append(out, span{from, maxRune})
	}
	return out
}

func (r ranges) and(o ranges) ranges { return r.negate().union(o.negate()).negate() }

// fold adds what differs only in case: all of Unicode, or ASCII alone.
func (r ranges) fold(wide bool) ranges {
	out := slices.Clone(r)
	add := func(c rune) { out = append(out, span{c, c}) }
	for _, s := range r {
		for c := max(s.lo, 'A'); c <= min(s.hi, 'z'); c++ {
			if isAlpha(c) {
				add(c ^ 0x20)
			}
		}
		if !wide {
			continue
		}
		all := cased()
		from, _ := slices.BinarySearch(all, s.lo)
		for _, c := range all[from:] {
			if c > s.hi {
				break
			}
			for f := unicode.SimpleFold(c); f != c; f = unicode.SimpleFold(f) {
				add(f)
			}
		}
	}
	return out.normal()
}

// cased are the characters that differ from others only in case.
var cased = sync.OnceValue(func() (all []rune) {
	for c := range rune(0x20000) { // the rest has no case
		if unicode.SimpleFold(c) != c {
			all = append(all, c)
		}
	}
	return all
})

// text is the class in the engine's syntax. Surrogates can't be in a text, so they are left out.
func (r ranges) text() string {
	r = r.and(ranges{{0xd800, 0xdfff}}.negate())
	switch {
	case len(r) == 0:
		return nothing
	case len(r) == 1 && r[0].lo == r[0].hi && (isAlpha(r[0].lo) || isDigit(r[0].lo)):
		return string(r[0].lo)
	}
	var b strings.Builder
	b.WriteByte('[')
	for _, s := range r {
		char(&b, s.lo)
		if s.hi > s.lo {
			b.WriteByte('-')
			char(&b, s.hi)
		}
	}
	b.WriteByte(']')
	return b.String()
}

func char(b *strings.Builder, c rune) {
	switch {
	case isAlpha(c) || isDigit(c) || c > 0xffff && utf8.ValidRune(c):
		b.WriteRune(c)
	default:
		fmt.Fprintf(b, `\u%04X`, c)
	}
}

// literal is a character under the flags.
func (p *parser) literal(c rune) ranges { return p.folded(of(c)) }

func (p *parser) folded(r ranges) ranges {
	if p.has(ignoreCase) {
		return p.spend(r.fold(p.has(unicodeCase)))
	}
	return r
}

// class reads a class; the cursor is at its bracket, or (whole=false) before the right side of an intersection, which ends
// at the bracket of the class around it.
func (p *parser) class(whole bool) ranges {
	defer p.enter()()
	var out ranges
	any, negated := false, false
	add := func(r ranges) { out, any = p.spend(out.union(r)), true }
	c := p.next()
	if c == '^' && p.at(p.cursor-1) == '[' {
		c = p.next()
		negated = true
	}
	for ; ; c = p.peek() {
		switch c {
		case '[':
			add(p.class(true))
			continue
		case '&':
			if p.next() == '&' {
				p.next()
				right, some := p.rightSide()
				switch {
				case !any && !some:
					p.fail("Bad class syntax")
				case !any:
					add(right)
				case some:
					out = p.spend(out.and(right))
				}
				continue
			}
			p.cursor--
		case 0:
			if p.cursor >= p.length {
				p.fail("Unclosed character class")
			}
		case ']':
			if any {
				if whole {
					p.next()
				}
				if negated {
					return out.negate()
				}
				return out
			}
		}
		add(p.member())
	}
}

// rightSide reads what stands behind && in a class.
func (p *parser) rightSide() (out ranges, some bool) {
	for c := p.peek(); c != ']' && c != '&'; c = p.peek() {
		if c == '[' {
			out = p.spend(out.union(p.class(true)))
		} else {
			p.cursor--
			out = p.spend(out.union(p.class(false)))
		}
		some = true
	}
	return out, some
}

// member reads a character, a range or a class within a class.
func (p *parser) member() ranges {
	c := p.peek()
	if c == '\\' {
		if c = p.nextRaw(); c == 'p' || c == 'P' {
			return p.property(c == 'P')
		}
		hyphen := p.at(p.cursor+1) == '-'
		p.cursor--
		e := p.escape(true, hyphen)
		if e.isClass {
			return e.class
		}
		c = e.char
	} else {
		p.next()
	}
	if p.peek() != '-' {
		return p.literal(c)
	}
	if end := p.at(p.cursor + 1); end == '[' || end == ']' {
		return p.literal(c)
	}
	p.next()
	last := p.peek()
	if last == '\\' {
		e := p.escape(true, true)
		if last = e.char; e.isClass {
			last = -1
		}
	} else {
		p.next()
	}
	if last < c {
		p.fail("Illegal character range")
	}
	return p.folded(ranges{{c, last}})
}
