package jdbcsource

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// kind is what a column is, whatever the database calls it: the types of JDBC, as far as they differ here.
type kind uint8

const (
	unsupported kind = iota
	boolKind
	int8Kind
	int16Kind
	int32Kind
	int64Kind
	float32Kind
	float64Kind
	numericKind
	decimalKind
	stringKind
	bytesKind
	dateKind
	timeKind
	timestampKind
	bitsKind // bits as a number, from a text of 0 and 1
	yearKind // a year as the date of its first day
)

// column is one column of a result.
type column struct {
	name             string
	kind             kind
	typeName         string // the database's, for messages
	precision, scale int
	optional         bool
	zeroDate         zeroDates
	money            bool // text with a currency's signs
	instead          kind // of an unsupported one, what unsupported.types=string makes of it; none: text
}

// zeroDates is what becomes of MySQL's date of zeros.
type zeroDates uint8

const (
	zeroFails zeroDates = iota
	zeroIsNull
	zeroRounds
)

// unset is the scale of decimals whose column has none.
const unset = 127

// field is a column as a field of records.
type field struct {
	column
	schema  *data.Schema
	convert func(raw any) (any, error)
}

// mapper makes fields of columns.
type mapper struct {
	numeric     string
	decimalToo  bool
	granularity string
	clock       clock
	text        bool
	unbounded   unbounded
}

func newMapper(s *settings) mapper {
	return mapper{numeric: s.numeric, decimalToo: s.Bool(decimalToo), granularity: s.granularity, clock: s.clock, text: s.text, unbounded: s.unbounded}
}

// field is the field of a column; false: it has none.
func (m mapper) field(c column) (f field, ok bool) {
	k := c.kind
	if k == unsupported {
		if !m.text {
			return f, false
		}
		if k, c.optional = c.instead, true; k == unsupported {
			k = stringKind
		}
	}
	if f, ok := m.unbounded.field(c); ok {
		return f, true
	}
	f.column = c
	if k == numericKind || k == decimalKind && m.decimalToo {
		k = m.number(c)
	}
	of := func(t data.Type, convert func(any) (any, error)) {
		f.schema, f.convert = data.NewSchema(t, options(c.optional)...), convert
	}
	switch k {
	case boolKind:
		of(data.Boolean, toBool)
	case int8Kind:
		of(data.Int8, integer(func(n int64) any { return int8(n) }, math.MinInt8, math.MaxInt8)) //nolint:gosec // in range
	case int16Kind:
		of(data.Int16, integer(func(n int64) any { return int16(n) }, math.MinInt16, math.MaxInt16)) //nolint:gosec // in range
	case int32Kind:
		of(data.Int32, integer(func(n int64) any { return int32(n) }, math.MinInt32, math.MaxInt32)) //nolint:gosec // in range
	case int64Kind:
		of(data.Int64, integer(func(n int64) any { return n }, math.MinInt64, math.MaxInt64))
	case float32Kind:
		of(data.Float32, func(raw any) (any, error) { x, err := toFloat(raw, 32, false); return float32(x), err })
	case float64Kind:
		of(data.Float64, func(raw any) (any, error) { return toFloat(raw, 64, c.money) })
	case decimalKind, numericKind:
		f.decimal(c.columnScale())
	case bytesKind:
		of(data.Bytes, toBytes)
	case bitsKind:
		of(data.Int8, bits)
	case dateKind:
		f.schema, f.convert = data.DateSchema(options(c.optional)...), m.date(c)
	case yearKind:
		f.schema, f.convert = data.DateSchema(options(c.optional)...), m.year
	case timeKind:
		f.schema, f.convert = data.TimeSchema(options(c.optional)...), m.timeOfDay
	case timestampKind:
		m.timestamp(&f)
	default:
		of(data.String, toText)
	}
	return f, true
}

func options(optional bool) []data.Option {
	if optional {
		return []data.Option{data.Optional()}
	}
	return nil
}

// number is what numeric.mapping makes of a number with so many digits.
func (m mapper) number(c column) kind {
	p, s := c.precision, c.scale
	if p == 0 { // any number
		if s == 0 && (m.numeric == "best_fit" || m.numeric == "best_fit_eager_double") {
			return float64Kind
		}
		return decimalKind
	}
	whole := s < 1 && s >= -84
	switch m.numeric {
	case "precision_only":
		if s == 0 && p <= 18 {
			return byDigits(p)
		}
	case "best_fit":
		switch {
		case p <= 18 && whole:
			return byDigits(p)
		case p <= 18 && s > 0:
			return float64Kind
		}
	case "best_fit_eager_double":
		switch {
		case whole && p <= 18:
			return byDigits(p)
		case s > 0:
			return float64Kind
		}
	}
	return decimalKind
}

func byDigits(p int) kind {
	switch {
	case p > 9:
		return int64Kind
	case p > 4:
		return int32Kind
	case p > 2:
		return int16Kind
	}
	return int8Kind
}

// columnScale is the scale of decimals of a column.
func (c column) columnScale() int32 {
	if c.scale == -unset || c.precision == 0 && c.scale == 0 {
		return unset
	}
	return int32(c.scale) //nolint:gosec // databases have few digits
}

func (f *field) decimal(scale int32) {
	opts := append(options(f.optional), data.Param("connect.decimal.precision", strconv.Itoa(f.precision)))
	f.schema = data.DecimalSchema(scale, opts...)
	f.convert = func(raw any) (any, error) {
		text, err := numberView(raw)
		if err != nil {
			return nil, err
		}
		d, err := data.ParseDecimal(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no decimal number", text)
		}
		return rescaled(d, scale)
	}
}

// numberText is a number as text.
func numberText(raw any) (string, error) {
	text, err := numberView(raw)
	return kept(raw, text), err
}

// numberView is a number as text that is good until the next row.
func numberView(raw any) (string, error) {
	if x, ok := raw.(float64); ok {
		return strconv.FormatFloat(x, 'f', -1, 64), nil
	}
	return view(raw)
}

// integer converts to a type of integers with these bounds.
func integer(of func(int64) any, least, most int64) func(any) (any, error) {
	return func(raw any) (any, error) {
		n, err := toInt(raw)
		if err != nil {
			return nil, err
		}
		if n < least || n > most {
			return nil, fmt.Errorf("%d is out of the range from %d to %d", n, least, most)
		}
		return of(n), nil
	}
}

func toInt(raw any) (int64, error) {
	switch x := raw.(type) {
	case int64:
		return x, nil
	case float64:
		if x != math.Trunc(x) || math.Abs(x) >= 1<<63 {
			return 0, fmt.Errorf("%v is no integer of 64 bits", x)
		}
		return int64(x), nil
	case bool:
		if x {
			return 1, nil
		}
		return 0, nil
	case []byte:
		return bytesInt(x)
	case *text:
		return bytesInt(*x)
	case string:
		return textInt(x)
	}
	return 0, fmt.Errorf("%T is no number", raw)
}

func bytesInt(b []byte) (int64, error) {
	if n, ok := plainInt(b); ok {
		return n, nil
	}
	return textInt(string(b))
}

// plainInt reads a number of nothing but up to 18 digits, with or without a minus.
func plainInt(b []byte) (n int64, ok bool) {
	digits := b
	if len(b) > 0 && b[0] == '-' {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(b) {
		n = -n
	}
	return n, true
}

func textInt(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil {
		return n, nil
	}
	d, bad := data.ParseDecimal(text) // 12.00, 1E+3
	if bad != nil {
		return 0, fmt.Errorf("%q is no integer", text)
	}
	whole, err := rescaled(d, 0)
	if err != nil {
		return 0, fmt.Errorf("%s has a fraction", text)
	}
	n, exact := whole.Int()
	if !exact {
		return 0, fmt.Errorf("%s is out of the range of 64 bits", text)
	}
	return n, nil
}

func toFloat(raw any, size int, money bool) (float64, error) {
	switch x := raw.(type) {
	case float64:
		return x, nil
	case int64:
		return float64(x), nil
	}
	number, err := view(raw)
	if err != nil {
		return 0, err
	}
	if money {
		number = plainMoney(number)
	}
	x, err := strconv.ParseFloat(number, size)
	if err != nil && !math.IsInf(x, 0) {
		return 0, fmt.Errorf("%q is no number", number)
	}
	return x, nil
}

// plainMoney leaves sign, digits and point of an amount such as -$1,234.50 or ($1,234.50).
func plainMoney(text string) string {
	negative := strings.ContainsAny(text, "-(")
	text = strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c == '.' {
			return c
		}
		return -1
	}, text)
	if negative {
		return "-" + text
	}
	return text
}

func toBool(raw any) (any, error) {
	switch x := raw.(type) {
	case bool:
		return x, nil
	case int64:
		return x != 0, nil
	}
	t, err := view(raw)
	if err != nil {
		return nil, err
	}
	switch t {
	case "t", "true", "1", "\x01":
		return true, nil
	case "f", "false", "0", "\x00":
		return false, nil
	}
	n, err := toInt(raw)
	return n != 0, err
}

func toText(raw any) (any, error) {
	t, err := view(raw)
	if err != nil {
		return nil, err
	}
	return kept(raw, t), nil
}

// kept is a view of a value as it may be kept.
func kept(raw any, view string) string {
	switch raw.(type) {
	case []byte, *text:
		return strings.Clone(view)
	}
	return view
}

// view is a value as text that is good until the next row.
func view(raw any) (string, error) {
	switch x := raw.(type) {
	case string:
		return x, nil
	case []byte:
		return viewOf(x)
	case *text:
		return viewOf(*x)
	case int64:
		return strconv.FormatInt(x, 10), nil
	case float64:
		return data.FormatFloat(x), nil
	case bool:
		return strconv.FormatBool(x), nil
	}
	return "", fmt.Errorf("%T is no text", raw)
}

func viewOf(b []byte) (string, error) {
	if !utf8.Valid(b) {
		return "", fmt.Errorf("text of %d bytes that is not UTF-8", len(b))
	}
	return unsafe.String(unsafe.SliceData(b), len(b)), nil
}

func toBytes(raw any) (any, error) {
	switch x := raw.(type) {
	case []byte:
		return bytes.Clone(x), nil
	case *text:
		return bytes.Clone(*x), nil
	case string:
		return []byte(x), nil
	}
	return nil, fmt.Errorf("%T are no bytes", raw)
}

// bits reads up to eight bits as a number.
func bits(raw any) (any, error) {
	t, err := view(raw)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(t, 2, 8)
	if err != nil {
		return nil, fmt.Errorf("%q are no bits", t)
	}
	return int8(n), nil //nolint:gosec // the bits as they are
}

// refusedValue names the column of a value that could not be converted.
func refusedValue(where string, f field, at string, err error) error {
	return connecterr.Wrap(connecterr.General, fmt.Errorf("column %s (%s) of %s at %s: %w", f.name, f.typeName, where, at, err), "Error while processing table querier")
}

// unsupportedWarning is what is logged of a column that is left out.
func unsupportedWarning(c column) string {
	return fmt.Sprintf("JDBC type of column %s (%s) not currently supported", c.name, c.typeName)
}

// stampOf reads a timestamp of the database.
func (c clock) stampOf(raw any) (time.Time, error) {
	switch x := raw.(type) {
	case time.Time:
		return x, nil
	case string, []byte, *text:
		t, err := view(x)
		if err != nil {
			return time.Time{}, err
		}
		s, ok := parseStamp(t)
		if !ok {
			return time.Time{}, fmt.Errorf("%q is no timestamp", t)
		}
		return c.at(s), nil
	}
	return time.Time{}, fmt.Errorf("%T is no timestamp", raw)
}
