package converters

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
	"unsafe"

	"github.com/millrace/millrace/sdk/data"
)

// direct reads structs that are written the usual way, without a tree: all fields in the order of the schema, none but plain
// values in them, no space between, no escapes. It is made once for a schema that comes in front of each value. What is written
// in any other way is left to the tree, errors too.
type direct struct {
	schema *data.Schema
	fields []directField
}

type directField struct {
	label  []byte // what stands in front of the value: {"name": or ,"name":
	schema *data.Schema
	typ    data.Type
	kind   data.Logical
	scale  int32 // of a decimal
	null   bool  // null stands for null
}

// newDirect is nil where a schema is no struct of plain fields.
func newDirect(s *data.Schema) *direct {
	if s == nil || s.Type() != data.StructType || s.Logical() != data.NotLogical || len(s.Fields()) == 0 {
		return nil
	}
	d := &direct{schema: s}
	for i, f := range s.Fields() {
		one := directField{schema: f.Schema, typ: f.Schema.Type(), kind: f.Schema.Logical(), null: f.Schema.Optional() && f.Schema.Default() == nil}
		one.label = append(strconv.AppendQuote([]byte{",{"[b2i(i == 0)]}, f.Name), ':')
		if len(one.label) != len(f.Name)+4 || one.typ >= data.Array { // the name has escapes, or the value parts
			return nil
		}
		if one.kind == data.LogicalDecimal {
			scale, err := f.Schema.Scale()
			if err != nil {
				return nil
			}
			one.scale = scale
		}
		d.fields = append(d.fields, one)
	}
	return d
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// read reads a struct and the brace that ends the envelope around it. view: texts may be views of the bytes.
func (d *direct) read(b []byte, view bool) (*data.Struct, bool) {
	st := data.NewStruct(d.schema)
	at := 0
	for i := range d.fields {
		f := &d.fields[i]
		if len(b)-at <= len(f.label) || string(b[at:at+len(f.label)]) != string(f.label) {
			return nil, false
		}
		at += len(f.label)
		v, n := f.value(b[at:], view)
		if n == 0 {
			return nil, false
		}
		st.SetAt(i, v)
		at += n
	}
	return st, len(b)-at >= 2 && b[at] == '}' && b[at+1] == '}'
}

// value reads a value, and tells how many bytes it is; 0: it is none of the usual form.
func (f *directField) value(b []byte, view bool) (v any, n int) {
	if b[0] == 'n' {
		if f.null && len(b) > 4 && string(b[:4]) == "null" {
			return nil, 4
		}
		return nil, 0
	}
	switch f.kind {
	case data.LogicalDecimal:
		var room [40]byte
		raw, n := plainBase64(b, room[:0])
		if len(raw) == 0 {
			return nil, 0
		}
		return data.DecimalOfBytes(raw, f.scale), n
	case data.LogicalTimestamp:
		i, n := plainInt(b)
		return data.Instant(i), n
	case data.LogicalDate, data.LogicalTime:
		return f.day(b)
	default:
	}
	switch f.typ {
	case data.Boolean:
		switch {
		case len(b) > 4 && string(b[:4]) == "true":
			return true, 4
		case len(b) > 5 && string(b[:5]) == "false":
			return false, 5
		}
		return nil, 0
	case data.Int8:
		i, n := plainInt(b)
		return int8(i), n // cut on purpose
	case data.Int16:
		i, n := plainInt(b)
		return int16(i), n // cut on purpose
	case data.Int32:
		i, n := plainInt(b)
		return int32(i), n // cut on purpose
	case data.Int64:
		return plainInt64(b)
	case data.Float32:
		x, n := plainFloat(b, 32)
		return float32(x), n
	case data.Float64:
		return plainFloat64(b)
	case data.String:
		text, n := plainText(b)
		switch {
		case n == 0:
			return nil, 0
		case view && len(text) > 0:
			return unsafe.String(&text[0], len(text)), n
		}
		return string(text), n
	case data.Bytes:
		raw, n := plainBase64(b, nil)
		if raw == nil {
			return nil, 0
		}
		return raw, n
	default:
		return nil, 0
	}
}

// day reads a Date or a Time.
func (f *directField) day(b []byte) (any, int) {
	i, n := plainInt(b)
	if n == 0 || i != int64(int32(i)) {
		return nil, 0
	}
	of := data.DateFromInt
	if f.kind == data.LogicalTime {
		of = data.TimeFromInt
	}
	v, err := of(f.schema, int32(i))
	if err != nil {
		return nil, 0
	}
	return v, n
}

func plainInt64(b []byte) (any, int) {
	i, n := plainInt(b)
	return i, n
}

func plainFloat64(b []byte) (any, int) {
	x, n := plainFloat(b, 64)
	return x, n
}

// plainInt reads an integer of up to 18 digits that a comma or brace follows; 0 bytes: it is none.
func plainInt(b []byte) (i int64, n int) {
	negative := b[0] == '-'
	if negative {
		n = 1
	}
	first := n
	for n < len(b) && b[n]-'0' <= 9 {
		i = i*10 + int64(b[n]-'0')
		n++
	}
	if n == first || n-first > 18 || n-first > 1 && b[first] == '0' || !ends(b, n) {
		return 0, 0
	}
	if negative {
		return -i, n
	}
	return i, n
}

// ends tells whether a number has ended.
func ends(b []byte, n int) bool { return n < len(b) && (b[n] == ',' || b[n] == '}') }

// longest is the length of a number that is worth a look here.
const longest = 64

// plainFloat reads a number as JSON has them.
func plainFloat(b []byte, bits int) (x float64, n int) {
	digits := func() bool {
		from := n
		for n < len(b) && b[n]-'0' <= 9 {
			n++
		}
		return n > from
	}
	if b[0] == '-' {
		n++
	}
	if !digits() {
		return 0, 0
	}
	if n < len(b) && b[n] == '.' {
		if n++; !digits() {
			return 0, 0
		}
	}
	if n < len(b) && b[n]|0x20 == 'e' {
		if n++; n < len(b) && (b[n] == '-' || b[n] == '+') {
			n++
		}
		if !digits() {
			return 0, 0
		}
	}
	if n > longest || !ends(b, n) {
		return 0, 0
	}
	x, _ = strconv.ParseFloat(string(b[:n]), bits) // beyond the range it is an infinity
	if x == 0 {
		x = 0 // without a sign
	}
	return x, n
}

// plainText is what stands between quotes, if it needs no look at escapes.
func plainText(b []byte) (text []byte, n int) {
	if b[0] != '"' {
		return nil, 0
	}
	wide := byte(0)
	for i := 1; i < len(b); i++ {
		c := b[i]
		if c == '"' {
			if text = b[1:i]; wide >= utf8.RuneSelf && !utf8.Valid(text) {
				return nil, 0
			}
			return text, i + 1
		}
		if c == '\\' || c < ' ' {
			return nil, 0
		}
		wide |= c
	}
	return nil, 0
}

// plainBase64 appends what a text in base64 means; nil: it is none of the usual form.
func plainBase64(b, to []byte) (raw []byte, n int) {
	text, n := plainText(b)
	if n == 0 {
		return nil, 0
	}
	if to == nil {
		to = make([]byte, 0, base64.StdEncoding.DecodedLen(len(text)))
	}
	raw, err := base64.StdEncoding.AppendDecode(to, text)
	if err != nil {
		return nil, 0
	}
	return raw, n
}
