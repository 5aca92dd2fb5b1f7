package protobuf

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace/millrace/sdk/data"
)

// numbers reads a message of numbers: the value of each field by its number, and the bytes of the first.
func numbers(b []byte) (n [5]int64, raw []byte, err error) {
	for len(b) > 0 {
		num, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return n, nil, errBroken
		}
		b = b[size:]
		if size = protowire.ConsumeFieldValue(num, typ, b); size < 0 {
			return n, nil, errBroken
		}
		switch {
		case typ == protowire.VarintType && int(num) < len(n):
			v, _ := protowire.ConsumeVarint(b)
			n[num] = int64(v) //nolint:gosec // its bits
		case typ == protowire.BytesType && num == 1:
			raw, _ = protowire.ConsumeBytes(b)
		}
		b = b[size:]
	}
	return n, raw, nil
}

const (
	second = 1000
	minute = 60 * second
	hour   = 60 * minute
	nanos  = 1_000_000 // in a millisecond

	firstSecond = -62135596800 // 0001-01-01T00:00:00Z, the first of google.protobuf.Timestamp
	lastSecond  = 253402300799 // 9999-12-31T23:59:59Z
)

// logicalValue reads a value of a logical type out of its message.
func (f *field) logicalValue(b []byte) (any, error) {
	n, raw, err := numbers(b)
	if err != nil {
		return nil, err
	}
	small := func(i int) int64 { return int64(int32(n[i])) } //nolint:gosec // cut as Java does
	switch f.logical {
	case data.LogicalDecimal:
		if len(raw) == 0 {
			return nil, bad("Zero length BigInteger (the decimal %s)", f.name).WithClass("java.lang.NumberFormatException")
		}
		return data.DecimalOfBytes(raw, int32(small(3))), nil //nolint:gosec // it has 32 bits
	case data.LogicalDate:
		i := data.InstantAt(small(1), small(2), small(3), 0)
		if y, m, d, _ := i.Date(); small(1) < 1 || y != small(1) || m != small(2) || d != small(3) {
			return nil, bad("%s is no date: year %d, month %d, day %d", f.name, small(1), small(2), small(3))
		}
		return i, nil
	case data.LogicalTime:
		h, m, s, ns := small(1), small(2), small(3), small(4)
		if h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59 || ns < 0 || ns > 999_999_999 {
			return nil, bad("%s is no time of day: hours %d, minutes %d, seconds %d, nanos %d", f.name, h, m, s, ns)
		}
		return data.Instant(h*hour + m*minute + s*second + ns/nanos), nil
	default:
		if s, ns := n[1], small(2); s >= firstSecond && s <= lastSecond && ns >= 0 && ns <= 999_999_999 {
			return data.Instant(s*second + ns/nanos), nil
		}
		return nil, bad("Timestamp is not valid (field %s): seconds %d, nanos %d; it must be of the years 1 to 9999", f.name, n[1], small(2))
	}
}

func appendNumber(b []byte, num protowire.Number, n int64) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(n)) //nolint:gosec // its bits
}

// appendLogical writes the content of the message of a value of a logical type.
func appendLogical(b []byte, logical data.Logical, v any) ([]byte, error) {
	if logical == data.LogicalDecimal {
		d, ok := v.(data.Decimal)
		if !ok {
			return nil, bad("Invalid type for Decimal, expected BigDecimal but was class %s", data.ClassOf(v))
		}
		unscaled := d.Bytes()
		b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), unscaled)
		return appendNumber(appendNumber(b, 2, precision(d, unscaled)), 3, int64(d.Scale())), nil
	}
	i, ok := v.(data.Instant)
	if !ok {
		return nil, bad("Invalid type for %s, expected Date but was class %s", logicalNames[logical], data.ClassOf(v))
	}
	switch logical {
	case data.LogicalDate:
		year, month, day, ms := i.Date()
		if ms != 0 {
			return nil, bad("Kafka Connect Date type should not have any time fields set to non-zero values.")
		}
		if year < 1 {
			return nil, bad("a date must be of the year 1 or later: %s", i)
		}
		return appendNumber(appendNumber(appendNumber(b, 1, year), 2, month), 3, day), nil
	case data.LogicalTime:
		if i < 0 || i >= data.Day {
			return nil, bad("Time values must use number of millis greater than 0 and less than 86400000")
		}
		ms := int64(i)
		b = appendNumber(appendNumber(appendNumber(b, 1, ms/hour), 2, ms%hour/minute), 3, ms%minute/second)
		return appendNumber(b, 4, ms%second*nanos), nil
	default:
		s, ms := int64(i)/second, int64(i)%second
		if ms < 0 {
			s, ms = s-1, ms+second
		}
		if s < firstSecond || s > lastSecond {
			return nil, bad("Timestamp is not valid: seconds %d; it must be of the years 1 to 9999", s)
		}
		return appendNumber(appendNumber(b, 1, s), 2, ms*nanos), nil
	}
}

var logicalNames = map[data.Logical]string{data.LogicalDate: "Date", data.LogicalTime: "Time", data.LogicalTimestamp: "Timestamp"}

// precision is the number of the digits of a decimal, whose bytes are at hand.
func precision(d data.Decimal, b []byte) int64 {
	digits := int64(1)
	if len(b) > 7 {
		u := d.Unscaled()
		return int64(len(u.Abs(u).Text(10)))
	}
	n := int64(int8(b[0])) //nolint:gosec // its bits
	for _, c := range b[1:] {
		n = n<<8 | int64(c)
	}
	for n = max(n, -n); n >= 10; n /= 10 {
		digits++
	}
	return digits
}
