package jsontree

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// str reads a string.
func (t *Tree) str() error {
	t.at++
	start, odd := t.at, false
	for t.at < len(t.text) {
		switch c := t.text[t.at]; {
		case c == '"':
			t.leaf(String, start, t.at, odd)
			t.at++
			return nil
		case c == '\\':
			odd = true
			n := escape(t.text[t.at:])
			if n == 0 {
				return fmt.Errorf("a backslash at byte %d escapes nothing", t.at)
			}
			t.at += n
		case c < 0x20:
			return fmt.Errorf("a control character (code %d) at byte %d must be escaped in a string", c, t.at)
		case c < 0x80:
			t.at++
		default:
			n := sequence(t.text[t.at:], t.wide)
			if n == 0 {
				return fmt.Errorf("the bytes at %d are no UTF-8", t.at)
			}
			odd = odd || !utf8.Valid(t.text[t.at:t.at+n])
			t.at += n
		}
	}
	return t.unexpected("the end of the string")
}

// escape is the length of an escape sequence, 0 when there is none.
func escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b[2:]); ok {
			return 6
		}
	}
	return 0
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// sequence is the length of a UTF-8 sequence, 0 for one that is broken. Sequences that are longer than they need to be are
// accepted, and halves of surrogates where another encoding had them.
func sequence(b []byte, halves bool) int {
	n := 0
	switch c := b[0]; {
	case c&0xE0 == 0xC0:
		n = 2
	case c&0xF0 == 0xE0:
		n = 3
	case c&0xF8 == 0xF0:
		n = 4
	}
	if n == 0 || len(b) < n {
		return 0
	}
	for _, c := range b[1:n] {
		if c&0xC0 != 0x80 {
			return 0
		}
	}
	r := wide(b[:n])
	if r >= 0xD800 && r < 0xE000 && !halves || r > unicode.MaxRune || n == 4 && r < 0x10000 {
		return 0
	}
	return n
}

// wide is the code point of a sequence, however long it is.
func wide(b []byte) rune {
	r := rune(b[0]) & (0xFF >> (len(b) + 1))
	for _, c := range b[1:] {
		r = r<<6 | rune(c&0x3F)
	}
	return r
}

func surrogate(r rune) bool { return r >= 0xD800 && r < 0xE000 }

// unescape is what a string between quotes, which was read before, stands for.
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c >= 0x80:
			n := sequence(b[i:], true)
			out = appendRune(out, wide(b[i:i+n]))
			i += n
			continue
		case c != '\\':
			out = append(out, c)
			i++
			continue
		}
		c, i = b[i+1], i+2
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(b[i:])
			i += 4
			if r >= 0xD800 && r < 0xDC00 && i+6 <= len(b) && b[i] == '\\' && b[i+1] == 'u' {
				if low, _ := hex4(b[i+2:]); low >= 0xDC00 && low < 0xE000 {
					r = 0x10000 + (r-0xD800)<<10 + (low - 0xDC00)
					i += 6
				}
			}
			out = appendRune(out, r)
			continue
		}
		out = append(out, c)
	}
	return out
}

// appendRune is utf8.AppendRune that keeps halves of surrogates.
func appendRune(b []byte, r rune) []byte {
	if surrogate(r) {
		return append(b, 0xE0|byte(r>>12), 0x80|byte(r>>6&0x3F), 0x80|byte(r&0x3F)) // 16 bits
	}
	return utf8.AppendRune(b, r)
}

const hexDigits = "0123456789ABCDEF"

// AppendString writes a string as Kafka Connect does: what JSON demands is escaped, and characters beyond the 16-bit plane as
// two surrogates.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x80 && c != '"' && c != '\\' {
			i++
			continue
		}
		if c < 0x80 {
			b = appendEscape(append(b, s[from:i]...), c)
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(b, s[from:i]...)
			if len(s)-i >= 3 && c == 0xED && s[i+1]&0xE0 == 0xA0 && s[i+2]&0xC0 == 0x80 { // half of a surrogate
				b, n = appendUnicode(b, wide([]byte(s[i:i+3]))), 3
			} else {
				b = append(b, "\uFFFD"...)
			}
			from = i + n
		case r >= 0x10000:
			r -= 0x10000
			b = appendUnicode(appendUnicode(append(b, s[from:i]...), 0xD800+r>>10), 0xDC00+r&0x3FF)
			from = i + n
		}
		i += n
	}
	return append(append(b, s[from:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\t':
		return append(b, '\\', 't')
	case '\n':
		return append(b, '\\', 'n')
	case '\f':
		return append(b, '\\', 'f')
	case '\r':
		return append(b, '\\', 'r')
	}
	return appendUnicode(b, rune(c))
}

func appendUnicode(b []byte, r rune) []byte {
	return append(b, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// identifier tells whether a text begins with a character that Java has in its names.
func identifier(b []byte) bool {
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError && n == 1 {
		return true // broken, which is refused as well
	}
	return unicode.In(r, unicode.L, unicode.Nl, unicode.Pc, unicode.Sc, unicode.Mn, unicode.Mc, unicode.Nd, unicode.Cf) || r >= 0x7F && r < 0xA0
}
