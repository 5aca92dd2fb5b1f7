package data

import (
	"math/big"
	"strconv"
	"strings"

	"github.com/millrace/millrace/sdk/connecterr"
)

// Decimal is a decimal number of any size, unscaled × 10^-scale: Java's java.math.BigDecimal, the value of Decimal schemas.
// It is immutable; == compares as Java's equals does, so 1.5 and 1.50 differ. The zero value is 0.
type Decimal struct {
	unscaled string // two's complement, shortest form, highest byte first; "" is 0
	scale    int32
}

// NewDecimal makes a decimal of a number and its scale: NewDecimal(150, 2) is 1.50.
func NewDecimal(unscaled int64, scale int32) Decimal {
	var b [8]byte
	for i := range b {
		b[i] = byte(unscaled >> (56 - 8*i))
	}
	return DecimalOfBytes(b[:], scale)
}

// BigDecimal makes a decimal of a number of any size and its scale.
func BigDecimal(unscaled *big.Int, scale int32) Decimal {
	if unscaled.IsInt64() {
		return NewDecimal(unscaled.Int64(), scale)
	}
	if unscaled.Sign() > 0 {
		return DecimalOfBytes(append([]byte{0}, unscaled.Bytes()...), scale)
	}
	n := len(unscaled.Bytes()) + 1
	return DecimalOfBytes(new(big.Int).Add(unscaled, new(big.Int).Lsh(big.NewInt(1), uint(8*n))).FillBytes(make([]byte, n)), scale)
}

// DecimalOfBytes makes a decimal of its stored form, see DecimalToBytes. No bytes are 0.
func DecimalOfBytes(b []byte, scale int32) Decimal {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	if len(b) == 1 && b[0] == 0 {
		b = nil
	}
	return Decimal{string(b), scale}
}

// Scale is the number of digits behind the point; it can be negative.
func (d Decimal) Scale() int32 { return d.scale }

// Bytes is the unscaled number in two's complement, in its shortest form.
func (d Decimal) Bytes() []byte {
	if d.unscaled == "" {
		return []byte{0}
	}
	return []byte(d.unscaled)
}

// small is the unscaled number when it fits 64 bits.
func (d Decimal) small() (int64, bool) {
	if len(d.unscaled) > 8 {
		return 0, false
	}
	var n int64
	for i := range len(d.unscaled) {
		if i == 0 {
			n = int64(int8(d.unscaled[0]))
			continue
		}
		n = n<<8 | int64(d.unscaled[i])
	}
	return n, true
}

// Unscaled is the number without its scale.
func (d Decimal) Unscaled() *big.Int {
	if n, ok := d.small(); ok {
		return big.NewInt(n)
	}
	n := new(big.Int).SetBytes([]byte(d.unscaled))
	if d.unscaled[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(d.unscaled))))
	}
	return n
}

// IsZero tells whether the number is 0, whatever its scale.
func (d Decimal) IsZero() bool { return d.unscaled == "" }

// Float is the nearest float64; an infinity beyond its range.
func (d Decimal) Float() float64 { return d.float(64) }

// Float32 is the nearest float32; an infinity beyond its range.
func (d Decimal) Float32() float32 { return float32(d.float(32)) }

func (d Decimal) float(bits int) float64 {
	f, _ := strconv.ParseFloat(d.String(), bits) // beyond the range it is an infinity
	return f
}

// Int is the whole part in its low 64 bits, as Java's longValue; exact tells whether nothing was lost.
func (d Decimal) Int() (n int64, exact bool) {
	n, ok := d.small()
	switch {
	case d.IsZero():
		return 0, true
	case d.scale == 0 && ok:
		return n, true
	case ok && d.scale > 0 && int(d.scale) < len(powers):
		p := powers[d.scale]
		return n / p, n%p == 0
	case d.scale <= -64:
		return 0, false // a multiple of 2^64
	case int64(d.scale) > 3*int64(len(d.unscaled)): // a byte is fewer than three digits
		return 0, false
	}
	u, exact := d.Unscaled(), true
	if d.scale < 0 {
		u.Mul(u, pow10(-d.scale))
	} else if d.scale > 0 {
		rest := new(big.Int)
		u.QuoRem(u, pow10(d.scale), rest)
		exact = rest.Sign() == 0
	}
	if u.IsInt64() {
		return u.Int64(), exact
	}
	low := new(big.Int).And(u, new(big.Int).SetUint64(1<<64-1))
	return int64(low.Uint64()), false // the low bits, as Java does
}

// powers are those of ten that 64 bits hold.
var powers = func() (p [19]int64) {
	p[0] = 1
	for i := range len(p) - 1 {
		p[i+1] = p[i] * 10
	}
	return p
}()

func pow10(n int32) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// String is the number as java.math.BigDecimal prints it.
func (d Decimal) String() string { return string(d.AppendText(nil)) }

// AppendText appends what String returns.
func (d Decimal) AppendText(b []byte) []byte {
	var buf [24]byte
	var digits []byte
	if n, ok := d.small(); ok {
		digits = strconv.AppendInt(buf[:0], n, 10)
	} else {
		digits = d.Unscaled().Append(buf[:0], 10)
	}
	if digits[0] == '-' {
		b, digits = append(b, '-'), digits[1:]
	}
	scale := int64(d.scale)
	exponent := int64(len(digits)) - 1 - scale
	switch whole := int64(len(digits)) - scale; {
	case scale == 0:
		return append(b, digits...)
	case scale > 0 && exponent >= -6 && whole > 0:
		return append(append(append(b, digits[:whole]...), '.'), digits[whole:]...)
	case scale > 0 && exponent >= -6:
		b = append(b, "0."...)
		for range -whole {
			b = append(b, '0')
		}
		return append(b, digits...)
	}
	b = append(b, digits[0])
	if len(digits) > 1 {
		b = append(append(b, '.'), digits[1:]...)
	}
	b = append(b, 'E')
	if exponent >= 0 {
		b = append(b, '+')
	}
	return strconv.AppendInt(b, exponent, 10)
}

// ParseDecimal reads what Java's new BigDecimal(text) reads: an optional sign, digits of any script with an optional point,
// an optional exponent. The scale is that of the text.
func ParseDecimal(text string) (Decimal, error) {
	if d, ok := plainDecimal(text); ok {
		return d, nil
	}
	no := func() (Decimal, error) {
		return Decimal{}, connecterr.New(connecterr.Data, "%q is no decimal number", text).WithClass(numberFormat)
	}
	s := ASCIIDigits(text)
	mantissa, exponent := s, int64(0)
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e := s[i+1:]
		// Java looks at ten digits of an exponent at most, leading zeros aside
		sign := strings.TrimLeft(strings.TrimLeft(e, "+-"), "0")
		n, err := strconv.ParseInt(e, 10, 64)
		if err != nil || len(sign) > 10 {
			return no()
		}
		mantissa, exponent = s[:i], n
	}
	negative := strings.HasPrefix(mantissa, "-")
	if negative || strings.HasPrefix(mantissa, "+") {
		mantissa = mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return no()
	}
	scale := int64(len(fraction)) - exponent
	if scale != int64(int32(scale)) { // that is the question
		return no()
	}
	if len(digits) <= 18 {
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil {
			return no()
		}
		if negative {
			n = -n
		}
		return NewDecimal(n, int32(scale)), nil
	}
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return no()
	}
	if negative {
		n.Neg(n)
	}
	return BigDecimal(n, int32(scale)), nil
}

// plainDecimal reads what most numbers are: up to 18 digits of ASCII, perhaps with a minus and a point; false: it is something else.
func plainDecimal(text string) (d Decimal, ok bool) {
	digits, negative := strings.CutPrefix(text, "-")
	if len(digits) == 0 || len(digits) > 19 {
		return d, false
	}
	var n int64
	point := -1
	for i := range len(digits) {
		switch c := digits[i]; {
		case c >= '0' && c <= '9':
			n = n*10 + int64(c-'0')
		case c == '.' && point < 0:
			point = i
		default:
			return d, false
		}
	}
	scale := 0
	if point >= 0 {
		scale = len(digits) - 1 - point
	}
	if len(digits) == 1 && point == 0 || len(digits) == 19 && point < 0 {
		return d, false
	}
	if negative {
		n = -n
	}
	return NewDecimal(n, int32(scale)), true //nolint:gosec // at most 18
}
