package avro

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/sdk/data"
)

// op is how a value is read.
type op uint8

const (
	opBoolean op = iota
	opInt
	opInt8
	opInt16
	opDate
	opTime
	opLong
	opTimestamp
	opFloat
	opDouble
	opString
	opBytes
	opRest // bytes up to the end
	opFixed
	opEnum
	opArray
	opMap
	opEntries // a map as an array of its entries
	opRecord
	opChoice // one type, or null
	opUnion
	opAnything
)

// reader is the plan by which values of one schema are read.
type reader struct {
	op        op
	conn      *data.Schema
	parts     []*reader // of a record
	key, elem *reader
	keySecond bool // entries have their value first
	choices   []*reader
	places    []int // of a union: the field of each choice
	symbols   []any
	size      int
	least     int // the fewest bytes of an element
	decimal   bool
	scale     int32
}

// least is the fewest bytes that a value takes.
func (s *Schema) least(depth int) int {
	if depth > maxNesting {
		return 0
	}
	switch s.Type {
	case Null:
		return 0
	case Float:
		return 4
	case Double:
		return 8
	case Fixed:
		return s.Size
	case Record:
		n := 0
		for _, f := range s.Fields {
			if n += f.Schema.least(depth + 1); n > 0 {
				break // enough to know
			}
		}
		return n
	default:
		return 1
	}
}

// maxEmpty bounds how many elements without a byte an array may have: nothing else does.
const maxEmpty = 100_000

// input is what is left of a message.
type input struct{ b []byte }

var errShort = bad("the message ends too soon, or it was written with another schema")

// long reads a number of any length.
func (in *input) long() (int64, error) {
	u, n := binary.Uvarint(in.b)
	if n <= 0 {
		return 0, errShort
	}
	in.b = in.b[n:]
	return int64(u>>1) ^ -int64(u&1), nil //nolint:gosec // its bits
}

func (in *input) int() (int32, error) {
	n, err := in.long()
	if err == nil && n != int64(int32(n)) {
		return 0, bad("a number of the message has more than 32 bits: %d", n)
	}
	return int32(n), err
}

// take is a view of the next bytes.
func (in *input) take(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(in.b)) {
		return nil, errShort
	}
	b := in.b[:n]
	in.b = in.b[n:]
	return b, nil
}

// sized is a view of bytes behind their length.
func (in *input) sized() ([]byte, error) {
	n, err := in.long()
	if err != nil {
		return nil, err
	}
	return in.take(n)
}

// block reads how many elements follow; 0 ends an array or map.
func (in *input) block(least, sofar int) (int, error) {
	n, err := in.long()
	if err != nil {
		return 0, err
	}
	if n < 0 { // the size of the block follows
		if n = -n; n < 0 {
			return 0, errShort
		}
		if _, err := in.long(); err != nil {
			return 0, err
		}
	}
	switch {
	case least > 0 && n > int64(len(in.b)/least):
		return 0, errShort
	case least == 0 && n > int64(maxEmpty-sofar):
		return 0, bad("an array of the message has more than %d elements without content", maxEmpty)
	}
	return int(n), nil
}

func (r *reader) value(in *input) (any, error) {
	switch r.op {
	case opBoolean:
		b, err := in.take(1)
		if err != nil {
			return nil, err
		}
		return b[0] == 1, nil
	case opInt, opInt8, opInt16, opDate, opTime:
		n, err := in.int()
		if err != nil {
			return nil, err
		}
		return r.small(n)
	case opLong, opTimestamp:
		n, err := in.long()
		if err != nil {
			return nil, err
		}
		if r.op == opTimestamp {
			return data.Instant(n), nil
		}
		return n, nil
	case opFloat:
		b, err := in.take(4)
		if err != nil {
			return nil, err
		}
		return math.Float32frombits(binary.LittleEndian.Uint32(b)), nil
	case opDouble:
		b, err := in.take(8)
		if err != nil {
			return nil, err
		}
		return math.Float64frombits(binary.LittleEndian.Uint64(b)), nil
	case opString:
		b, err := in.sized()
		if err != nil {
			return nil, err
		}
		return string(b), nil
	case opBytes, opRest, opFixed:
		return r.bytes(in)
	case opEnum:
		n, err := in.int()
		if err != nil {
			return nil, err
		}
		if n < 0 || int(n) >= len(r.symbols) {
			return nil, bad("the message has symbol %d of an enum with %d symbols", n, len(r.symbols))
		}
		return r.symbols[n], nil
	case opArray:
		return r.array(in)
	case opMap:
		return r.stringMap(in)
	case opEntries:
		return r.entries(in)
	case opRecord:
		st := data.NewStruct(r.conn)
		for i, part := range r.parts {
			v, err := part.value(in)
			if err != nil {
				return nil, err
			}
			st.SetAt(i, v)
		}
		return st, nil
	case opChoice, opUnion:
		return r.choice(in)
	default:
		return readAnything(in, 0)
	}
}

func (r *reader) small(n int32) (any, error) {
	switch r.op {
	case opInt8:
		return int8(n), nil //nolint:gosec // cut as Java does
	case opInt16:
		return int16(n), nil //nolint:gosec // cut as Java does
	case opDate:
		return data.Instant(int64(n) * data.Day), nil
	case opTime:
		i, err := data.TimeFromInt(r.conn, n)
		if err != nil {
			return nil, err
		}
		return i, nil
	default:
		return n, nil
	}
}

func (r *reader) bytes(in *input) (any, error) {
	var b []byte
	var err error
	switch r.op {
	case opRest:
		b, err = in.take(int64(len(in.b)))
	case opFixed:
		b, err = in.take(int64(r.size))
	default:
		b, err = in.sized()
	}
	switch {
	case err != nil:
		return nil, err
	case !r.decimal:
		return append(make([]byte, 0, len(b)), b...), nil
	case len(b) == 0:
		return nil, bad("Zero length BigInteger").WithClass("java.lang.NumberFormatException")
	}
	return data.DecimalOfBytes(b, r.scale), nil
}

func (r *reader) array(in *input) (any, error) {
	list := []any{}
	for {
		n, err := in.block(r.least, len(list))
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return list, nil
		}
		if len(list) == 0 {
			list = make([]any, 0, min(n, 1024))
		}
		for range n {
			v, err := r.elem.value(in)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
	}
}

func (r *reader) stringMap(in *input) (any, error) {
	m := data.NewMap(0)
	for {
		n, err := in.block(1, 0)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return m, nil
		}
		for range n {
			k, err := in.sized()
			if err != nil {
				return nil, err
			}
			v, err := r.elem.value(in)
			if err != nil {
				return nil, err
			}
			m.Set(string(k), v)
		}
	}
}

func (r *reader) entries(in *input) (any, error) {
	m := data.NewMap(0)
	for seen := 0; ; {
		n, err := in.block(r.least, seen)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return m, nil
		}
		seen += n
		for range n {
			first, second := r.key, r.elem
			if r.keySecond {
				first, second = second, first
			}
			k, err := first.value(in)
			if err != nil {
				return nil, err
			}
			v, err := second.value(in)
			if err != nil {
				return nil, err
			}
			if r.keySecond {
				k, v = v, k
			}
			if err := hashable(k, m.Len()); err != nil {
				return nil, err
			}
			m.Set(k, v)
		}
	}
}

// maxOddKeys bounds maps whose keys are found by comparing all: the time grows with the square of their number.
const maxOddKeys = 2000

func hashable(key any, size int) error {
	switch key.(type) {
	case []byte, []any, *data.Map, *data.Struct:
		if size > maxOddKeys {
			return bad("a map of the message has more than %d keys that are bytes, arrays, maps or structs", maxOddKeys)
		}
	}
	return nil
}

func (r *reader) choice(in *input) (any, error) {
	n, err := in.int()
	if err != nil {
		return nil, err
	}
	if n < 0 || int(n) >= len(r.choices) {
		return nil, bad("the message has type %d of a union with %d types", n, len(r.choices))
	}
	part := r.choices[n]
	if part == nil {
		return nil, nil
	}
	v, err := part.value(in)
	if err != nil || r.op == opChoice {
		return v, err
	}
	st := data.NewStruct(r.conn)
	st.SetAt(r.places[n], v)
	return st, nil
}
