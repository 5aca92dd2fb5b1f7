package converters

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/millrace/millrace/sdk/connecterr"
)

// charset is an encoding of text as Java has it: what it can't write becomes a question mark, what it can't read U+FFFD.
type charset interface {
	encode(s string) []byte
	decode(b []byte) string
}

// javaNames are Java's names of encodings that the IANA has under another name, or not at all.
var javaNames = map[string]string{
	"utf8": "utf-8", "unicode-1-1-utf-8": "utf-8", "utf16": "utf-16", "unicode": "utf-16", "utf32": "utf-32", "unicodebigunmarked": "utf-16be",
	"unicodelittleunmarked": "utf-16le", "x-utf-16be": "utf-16be", "x-utf-16le": "utf-16le", "iso8859_1": "iso-8859-1", "iso8859-1": "iso-8859-1",
	"8859_1": "iso-8859-1", "latin-1": "iso-8859-1", "ascii": "us-ascii", "ascii7": "us-ascii", "iso646-us": "us-ascii", "default": "us-ascii",
	"sjis": "shift_jis", "ms_kanji": "shift_jis", "eucjp": "euc-jp", "euc_jp": "euc-jp", "euckr": "euc-kr", "euc_kr": "euc-kr", "cp936": "gbk",
	"windows-936": "gbk", "big5_tw": "big5", "koi8": "koi8-r", "koi8_r": "koi8-r", "koi8_u": "koi8-u", "cp500": "ibm500", "500": "ibm500", "ibm-500": "ibm500",
}

// charsetOf finds an encoding by a name that Java knows, in any case.
func charsetOf(name string) (charset, error) {
	key := strings.ToLower(name)
	if n, ok := javaNames[key]; ok {
		key = n
	}
	if n, ok := strings.CutPrefix(key, "cp125"); ok {
		key = "windows-125" + n
	}
	if n, ok := strings.CutPrefix(key, "iso8859_"); ok {
		key = "iso-8859-" + n
	}
	switch key {
	case "utf-8":
		return utf8Charset{}, nil
	case "utf-16":
		return utf16Charset{order: binary.BigEndian, mark: true}, nil
	case "utf-16be":
		return utf16Charset{order: binary.BigEndian}, nil
	case "utf-16le":
		return utf16Charset{order: binary.LittleEndian}, nil
	case "utf-32":
		return utf32Charset{order: binary.BigEndian, mark: true}, nil
	case "utf-32be":
		return utf32Charset{order: binary.BigEndian}, nil
	case "utf-32le":
		return utf32Charset{order: binary.LittleEndian}, nil
	case "iso-8859-1":
		return latin(0xFF), nil
	case "us-ascii":
		return latin(0x7F), nil
	case "ibm500":
		return ibm500, nil
	}
	e, err := ianaindex.IANA.Encoding(key)
	if err == nil && e != nil {
		m, single := e.(*charmap.Charmap)
		switch name, _ := ianaindex.IANA.Name(e); {
		case name == "ISO_8859-1:1987":
			return latin(0xFF), nil
		case name == "US-ASCII":
			return latin(0x7F), nil
		case name == "UTF-8":
			return utf8Charset{}, nil
		case single:
			return newTable(m), nil
		}
		return several{e, e == simplifiedchinese.GBK}, nil
	}
	class := "java.nio.charset.UnsupportedCharsetException"
	if !legal(name) {
		class = "java.nio.charset.IllegalCharsetNameException"
	}
	cause := connecterr.New(connecterr.Serialization, "%s", name).WithClass(class)
	return nil, connecterr.Wrap(connecterr.Serialization, cause, "Unsupported encoding %s", name)
}

// legal tells whether a name can be that of an encoding.
func legal(name string) bool {
	for i, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == ':' || c == '_'
		if !letter && (i == 0 || !strings.ContainsRune("-+.", c)) {
			return false
		}
	}
	return name != ""
}

type utf8Charset struct{}

func (utf8Charset) encode(s string) []byte {
	if utf8.ValidString(s) {
		return []byte(s)
	}
	out := make([]byte, 0, len(s))
	for _, r := range runes(s) {
		if r == half {
			r = '?'
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

func (utf8Charset) decode(b []byte) string { return decodeUTF8(b) }

// half stands for half of a surrogate, which no encoding has.
const half = -1

// runes are a text's characters.
func runes(s string) []rune {
	out := make([]rune, 0, len(s))
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 && len(s) >= 3 && s[0] == 0xED && s[1]&0xE0 == 0xA0 && s[2]&0xC0 == 0x80 {
			r, n = half, 3
		}
		out, s = append(out, r), s[n:]
	}
	return out
}

// decodeUTF8 reads UTF-8 as Java does: each part of a sequence that is cut off or broken becomes one U+FFFD, and so does a
// surrogate.
func decodeUTF8(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = brokenUTF8(b)
		}
		out.WriteRune(r)
		b = b[n:]
	}
	return out.String()
}

// brokenUTF8 is how many bytes of a broken sequence belong together.
func brokenUTF8(b []byte) int {
	if len(b) == 1 {
		return 1
	}
	low, high := byte(0x80), byte(0xBF)
	size := 0
	switch c := b[0]; {
	case c == 0xE0:
		low, size = 0xA0, 3
	case c > 0xE0 && c <= 0xEF: // surrogates are whole sequences
		size = 3
	case c == 0xF0:
		low, size = 0x90, 4
	case c > 0xF0 && c < 0xF4:
		size = 4
	case c == 0xF4:
		high, size = 0x8F, 4
	}
	n := 1
	for n < size && n < len(b) && b[n] >= low && b[n] <= high {
		low, high = 0x80, 0xBF
		n++
	}
	return n
}

// utf16Charset is UTF-16; with mark its byte order stands in front.
type utf16Charset struct {
	order interface {
		binary.ByteOrder
		binary.AppendByteOrder
	}
	mark bool
}

func (c utf16Charset) encode(s string) []byte {
	out := make([]byte, 0, 2*len(s)+2)
	if c.mark && s != "" {
		out = c.order.AppendUint16(out, 0xFEFF)
	}
	for _, r := range runes(s) {
		switch {
		case r == half:
			out = c.order.AppendUint16(out, utf8.RuneError)
		case r < 0x10000:
			out = c.order.AppendUint16(out, uint16(r)) // checked
		default:
			high, low := utf16.EncodeRune(r)
			out = c.order.AppendUint16(c.order.AppendUint16(out, uint16(high)), uint16(low)) // 16 bits each
		}
	}
	return out
}

func (c utf16Charset) decode(b []byte) string {
	var order binary.ByteOrder = c.order
	if c.mark && len(b) >= 2 {
		switch binary.BigEndian.Uint16(b) {
		case 0xFEFF:
			b = b[2:]
		case 0xFFFE:
			order, b = binary.LittleEndian, b[2:]
		}
	}
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	text := string(utf16.Decode(units))
	if len(b) > 0 {
		text += "\uFFFD"
	}
	return text
}

// utf32Charset is UTF-32; with mark its byte order may stand in front.
type utf32Charset struct {
	order interface {
		binary.ByteOrder
		binary.AppendByteOrder
	}
	mark bool
}

func (c utf32Charset) encode(s string) []byte {
	out := make([]byte, 0, 4*len(s))
	for _, r := range runes(s) {
		if r == half {
			r = utf8.RuneError
		}
		out = c.order.AppendUint32(out, uint32(r)) // a character
	}
	return out
}

func (c utf32Charset) decode(b []byte) string {
	var order binary.ByteOrder = c.order
	if c.mark && len(b) >= 4 {
		switch binary.BigEndian.Uint32(b) {
		case 0xFEFF:
			b = b[4:]
		case 0xFFFE0000:
			order, b = binary.LittleEndian, b[4:]
		}
	}
	var out strings.Builder
	for ; len(b) >= 4; b = b[4:] {
		r := utf8.RuneError
		if n := order.Uint32(b); n <= utf8.MaxRune {
			r = rune(n) // checked
		}
		out.WriteRune(r)
	}
	if len(b) > 0 {
		out.WriteRune(utf8.RuneError)
	}
	return out.String()
}

// latin is ISO-8859-1, or US-ASCII: characters up to its value are their own bytes.
type latin rune

func (c latin) encode(s string) []byte {
	out := make([]byte, 0, len(s))
	for _, r := range runes(s) {
		if r > rune(c) || r == half {
			r = '?'
		}
		out = append(out, byte(r)) // checked
	}
	return out
}

func (c latin) decode(b []byte) string {
	var out strings.Builder
	for _, x := range b {
		r := rune(x)
		if r > rune(c) {
			r = utf8.RuneError
		}
		out.WriteRune(r)
	}
	return out.String()
}

// table is an encoding of one byte a character.
type table struct {
	runes [256]rune
	bytes map[rune]byte
}

func newTable(m *charmap.Charmap) *table {
	t := &table{bytes: map[rune]byte{}}
	windows := strings.HasPrefix(m.String(), "Windows")
	for i := range t.runes {
		r := m.DecodeByte(byte(i)) // a byte
		if windows && r == rune(i) && r >= 0x80 && r < 0xA0 {
			r = utf8.RuneError // a byte without a character, which others than Java read as a control character
		}
		t.runes[i] = r
		if r != utf8.RuneError {
			t.bytes[r] = byte(i) // a byte
		}
	}
	return t
}

func (t *table) encode(s string) []byte {
	out := make([]byte, 0, len(s))
	for _, r := range runes(s) {
		b, ok := t.bytes[r]
		if !ok {
			b = '?' // also where that byte is another character
		}
		out = append(out, b)
	}
	return out
}

func (t *table) decode(b []byte) string {
	var out strings.Builder
	for _, x := range b {
		out.WriteRune(t.runes[x])
	}
	return out.String()
}

// ibm500 is the EBCDIC of the IANA's name IBM500: that of code page 37 with some signs elsewhere.
var ibm500 = func() *table {
	t := newTable(charmap.CodePage037)
	for b, r := range map[byte]rune{0x4A: '[', 0x4F: '!', 0x5A: ']', 0x5F: '^', 0xB0: '¢', 0xBA: '¬', 0xBB: '|'} {
		t.runes[b], t.bytes[r] = r, b
	}
	return t
}()

// several is an encoding of several bytes a character. Java's own tables of these differ in a few characters, and in how
// many bytes of what is broken they take for one.
type several struct {
	e    encoding.Encoding
	euro bool // it is written as two bytes
}

func (c several) encode(s string) []byte {
	if !c.euro || !strings.ContainsRune(s, '€') {
		if b, err := c.e.NewEncoder().Bytes([]byte(s)); err == nil {
			return b
		}
	}
	var out []byte
	enc := c.e.NewEncoder()
	for _, r := range runes(s) {
		b, err := enc.Bytes(utf8.AppendRune(nil, r))
		switch {
		case err != nil || r == half:
			b = []byte{'?'}
		case c.euro && r == '€':
			b = []byte{0xA2, 0xE3}
		}
		out = append(out, b...)
	}
	return out
}

func (c several) decode(b []byte) string {
	text, err := c.e.NewDecoder().Bytes(b)
	if err != nil {
		return strings.Repeat("\uFFFD", len(b))
	}
	return string(text)
}
