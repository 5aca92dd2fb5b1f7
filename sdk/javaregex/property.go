package javaregex

import (
	"slices"
	"strings"
	"sync"
	"unicode"
)

var (
	asciiDigit = ranges{{'0', '9'}}
	asciiSpace = ranges{{'\t', '\r'}, {' ', ' '}}
	asciiWord  = ranges{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
	horizontal = ranges{{'\t', '\t'}, {' ', ' '}, {0xa0, 0xa0}, {0x1680, 0x1680}, {0x180e, 0x180e}, {0x2000, 0x200a}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}}
	vertical   = ranges{{'\n', '\r'}, {0x85, 0x85}, {0x2028, 0x2029}}
	asciiPunct = ranges{{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}
	asciiAlpha = ranges{{'A', 'Z'}, {'a', 'z'}}
)

// ascii are the classes of POSIX, which are of ASCII unless (?U) is set.
var ascii = map[string]ranges{
	"ASCII": {{0, 0x7f}}, "Alnum": {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}, "Alpha": asciiAlpha, "Blank": {{'\t', '\t'}, {' ', ' '}},
	"Cntrl": {{0, 0x1f}, {0x7f, 0x7f}}, "Digit": asciiDigit, "Graph": {{'!', '~'}}, "Lower": {{'a', 'z'}}, "Print": {{' ', '~'}},
	"Punct": asciiPunct, "Space": asciiSpace, "Upper": {{'A', 'Z'}}, "XDigit": {{'0', '9'}, {'A', 'F'}, {'a', 'f'}},
	"L1": {{0, 0xff}}, "all": everything,
}

// blocks are those of Unicode's blocks that are known, without blanks, hyphens and underscores, in lower case.
var blocks = map[string]span{
	"basiclatin": {0, 0x7f}, "latin1supplement": {0x80, 0xff}, "latinextendeda": {0x100, 0x17f}, "latinextendedb": {0x180, 0x24f}, "ipaextensions": {0x250, 0x2af},
	"spacingmodifierletters": {0x2b0, 0x2ff}, "combiningdiacriticalmarks": {0x300, 0x36f}, "greek": {0x370, 0x3ff}, "greekandcoptic": {0x370, 0x3ff},
	"cyrillic": {0x400, 0x4ff}, "cyrillicsupplement": {0x500, 0x52f}, "armenian": {0x530, 0x58f}, "hebrew": {0x590, 0x5ff}, "arabic": {0x600, 0x6ff},
	"devanagari": {0x900, 0x97f}, "bengali": {0x980, 0x9ff}, "tamil": {0xb80, 0xbff}, "thai": {0xe00, 0xe7f}, "georgian": {0x10a0, 0x10ff}, "hanguljamo": {0x1100, 0x11ff},
	"latinextendedadditional": {0x1e00, 0x1eff}, "greekextended": {0x1f00, 0x1fff}, "generalpunctuation": {0x2000, 0x206f},
	"superscriptsandsubscripts": {0x2070, 0x209f}, "currencysymbols": {0x20a0, 0x20cf}, "letterlikesymbols": {0x2100, 0x214f}, "numberforms": {0x2150, 0x218f},
	"arrows": {0x2190, 0x21ff}, "mathematicaloperators": {0x2200, 0x22ff}, "boxdrawing": {0x2500, 0x257f}, "geometricshapes": {0x25a0, 0x25ff},
	"miscellaneoussymbols": {0x2600, 0x26ff}, "dingbats": {0x2700, 0x27bf}, "cjksymbolsandpunctuation": {0x3000, 0x303f}, "hiragana": {0x3040, 0x309f},
	"katakana": {0x30a0, 0x30ff}, "bopomofo": {0x3100, 0x312f}, "cjkunifiedideographsextensiona": {0x3400, 0x4dbf}, "cjkunifiedideographs": {0x4e00, 0x9fff},
	"hangulsyllables": {0xac00, 0xd7af}, "privateusearea": {0xe000, 0xf8ff}, "halfwidthandfullwidthforms": {0xff00, 0xffef}, "emoticons": {0x1f600, 0x1f64f},
}

func table(t *unicode.RangeTable) (r ranges) {
	for _, x := range t.R16 {
		r = append(r, spread(rune(x.Lo), rune(x.Hi), rune(x.Stride))...)
	}
	for _, x := range t.R32 {
		r = append(r, spread(rune(x.Lo), rune(x.Hi), rune(x.Stride))...)
	}
	return r.normal()
}

func spread(lo, hi, stride rune) (r ranges) {
	if stride == 1 {
		return ranges{{lo, hi}}
	}
	for c := lo; c <= hi; c += stride {
		r = append(r, span{c, c})
	}
	return r
}

// category is a general category of Unicode by its short name; nil when there is none.
func category(name string) ranges {
	switch name {
	case "LC":
		return category("Lu").union(category("Ll")).union(category("Lt"))
	case "LD":
		return category("L").union(category("Nd"))
	case "Cn":
		return assigned().negate()
	case "C":
		return category("Cn").union(category("Cc")).union(category("Cf")).union(category("Co")).union(category("Cs"))
	}
	if t, ok := unicode.Categories[name]; ok && len(name) <= 2 {
		return table(t)
	}
	return nil
}

var assigned = sync.OnceValue(func() (all ranges) {
	for _, t := range []*unicode.RangeTable{unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs} {
		all = append(all, table(t)...)
	}
	return all.normal()
})

func whiteSpace() ranges { return table(unicode.White_Space) }

func alphabetic() ranges {
	return category("L").union(category("Nl")).union(table(unicode.Other_Alphabetic))
}

func word() ranges {
	return alphabetic().union(category("M")).union(category("Nd")).union(category("Pc")).union(table(unicode.Join_Control))
}

// wide are the classes of POSIX under (?U), and Unicode's binary properties; by name in upper case.
func wide(name string) ranges {
	visible := func() ranges {
		return whiteSpace().union(category("Cc")).union(category("Cs")).union(category("Cn")).negate()
	}
	switch name {
	case "ALPHABETIC", "ALPHA":
		return alphabetic()
	case "LETTER":
		return category("L")
	case "IDEOGRAPHIC":
		return table(unicode.Ideographic)
	case "LOWERCASE", "LOWER":
		return category("Ll").union(table(unicode.Other_Lowercase))
	case "UPPERCASE", "UPPER":
		return category("Lu").union(table(unicode.Other_Uppercase))
	case "TITLECASE":
		return category("Lt")
	case "WHITE_SPACE", "WHITESPACE", "SPACE":
		return whiteSpace()
	case "CONTROL", "CNTRL":
		return category("Cc")
	case "PUNCTUATION", "PUNCT":
		return category("P")
	case "HEX_DIGIT", "HEXDIGIT", "XDIGIT":
		return category("Nd").union(table(unicode.Hex_Digit))
	case "ASSIGNED":
		return assigned()
	case "NONCHARACTERCODEPOINT", "NONCHARACTER_CODE_POINT":
		return table(unicode.Noncharacter_Code_Point)
	case "DIGIT":
		return category("Nd")
	case "ALNUM":
		return alphabetic().union(category("Nd"))
	case "BLANK":
		return category("Zs").union(of('\t'))
	case "GRAPH":
		return visible()
	case "PRINT":
		return visible().union(category("Zs")).and(category("Cc").negate())
	case "WORD":
		return word()
	case "JOIN_CONTROL", "JOINCONTROL":
		return table(unicode.Join_Control)
	}
	return nil
}

// javaClass are the classes that Java names after the methods of its Character.
func javaClass(name string) ranges {
	switch name {
	case "javaLowerCase":
		return wide("LOWERCASE")
	case "javaUpperCase":
		return wide("UPPERCASE")
	case "javaAlphabetic":
		return alphabetic()
	case "javaIdeographic":
		return wide("IDEOGRAPHIC")
	case "javaTitleCase":
		return category("Lt")
	case "javaDigit":
		return category("Nd")
	case "javaDefined":
		return wide("ASSIGNED")
	case "javaLetter":
		return category("L")
	case "javaLetterOrDigit":
		return category("LD")
	case "javaSpaceChar":
		return category("Z")
	case "javaWhitespace":
		return category("Z").and(of(0xa0, 0x2007, 0x202f).negate()).union(ranges{{'\t', '\r'}, {0x1c, 0x1f}})
	case "javaISOControl":
		return category("Cc")
	}
	return nil
}

// property reads the name behind \p or \P; the cursor is at the letter.
func (p *parser) property(negated bool) ranges {
	var name string
	if p.next() != '{' {
		name = string(p.at(p.cursor))
		if p.cursor >= p.length {
			name = "\x00"
		}
		p.read()
	} else {
		begin := p.cursor + 1
		end := slices.Index(p.text[min(begin, p.length):p.length], '}')
		if end < 0 {
			p.cursor = p.length + 1
			p.fail("Unclosed character family")
		}
		p.cursor = begin + end + 1
		if name = string(p.text[begin : begin+end]); name == "" {
			p.fail("Empty character family")
		}
	}
	r := p.spend(p.propertyOf(name))
	if negated {
		return r.negate()
	}
	return r
}

// propertyOf are the characters of a property.
func (p *parser) propertyOf(name string) (r ranges) {
	if key, value, pair := strings.Cut(name, "="); pair {
		key = strings.ToLower(key)
		switch key {
		case "sc", "script":
			r = script(value)
		case "blk", "block":
			r = block(value)
		case "gc", "general_category":
			r = p.simple(value)
		}
		if r == nil {
			p.fail("Unknown Unicode property {name=<%s>, value=<%s>}", key, value)
		}
		return r
	}
	if rest, is := strings.CutPrefix(name, "In"); is {
		r = block(rest)
	} else if rest, is := strings.CutPrefix(name, "Is"); is {
		if r = p.caseless(rest, wide(strings.ToUpper(rest))); r == nil {
			r = p.simple(rest)
		}
		if r == nil {
			r = script(rest)
		}
	} else {
		if _, posix := ascii[name]; posix && p.has(unicodeClass) {
			r = p.caseless(name, wide(strings.ToUpper(name)))
		}
		if r == nil {
			r = p.simple(name)
		}
	}
	if r == nil {
		p.fail("Unknown character property name {%s}", name)
	}
	return r
}

// simple are the properties that need no prefix.
func (p *parser) simple(name string) ranges {
	if r, ok := ascii[name]; ok {
		return p.caseless(name, r)
	}
	if r := category(name); r != nil {
		return p.caseless(name, r)
	}
	return p.caseless(name, javaClass(name))
}

// caseless widens the properties of one case, where case is ignored.
func (p *parser) caseless(name string, r ranges) ranges {
	if r == nil || !p.has(ignoreCase) {
		return r
	}
	switch {
	case name == "Lower" || name == "Upper":
		if p.has(unicodeClass) {
			return wide("LOWER").union(wide("UPPER")).union(category("Lt"))
		}
		return asciiAlpha
	case name == "Lu" || name == "Ll" || name == "Lt":
		return category("LC")
	case strings.EqualFold(name, "lowercase"), strings.EqualFold(name, "uppercase"), strings.EqualFold(name, "titlecase"), strings.HasSuffix(name, "Case"):
		return wide("LOWER").union(wide("UPPER")).union(category("Lt"))
	}
	return r
}

func script(name string) ranges {
	for n, t := range unicode.Scripts {
		if strings.EqualFold(n, name) {
			return table(t)
		}
	}
	return nil
}

func block(name string) ranges {
	s, ok := blocks[strings.ToLower(strings.NewReplacer(" ", "", "-", "", "_", "").Replace(name))]
	if !ok {
		return nil
	}
	return ranges{s}
}
