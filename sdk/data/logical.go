package data

import (
	"strconv"
	"time"

	"github.com/millrace/millrace/sdk/connecterr"
)

// The names of the logical types.
const (
	DecimalName   = "org.apache.kafka.connect.data.Decimal"
	DateName      = "org.apache.kafka.connect.data.Date"
	TimeName      = "org.apache.kafka.connect.data.Time"
	TimestampName = "org.apache.kafka.connect.data.Timestamp"
	// ScaleParam is the parameter of a Decimal schema that tells its scale.
	ScaleParam = "scale"
)

// Logical is what a schema's name makes of its base type.
type Logical uint8

// The logical types.
const (
	NotLogical Logical = iota
	LogicalDecimal
	LogicalDate
	LogicalTime
	LogicalTimestamp
)

type logical = Logical

func logicalOf(name string) Logical {
	switch name {
	case DecimalName:
		return LogicalDecimal
	case DateName:
		return LogicalDate
	case TimeName:
		return LogicalTime
	case TimestampName:
		return LogicalTimestamp
	}
	return NotLogical
}

// Logical tells which logical type the schema's name stands for, whatever the base type.
func (s *Schema) Logical() Logical {
	if s == nil {
		return NotLogical
	}
	return s.logical
}

// DecimalSchema makes the schema of decimals of a scale.
func DecimalSchema(scale int32, opts ...Option) *Schema {
	return NewSchema(Bytes, append([]Option{Name(DecimalName), Param(ScaleParam, strconv.Itoa(int(scale))), Version(1)}, opts...)...)
}

// DateSchema makes the schema of days: an Instant at midnight UTC.
func DateSchema(opts ...Option) *Schema {
	return NewSchema(Int32, append([]Option{Name(DateName), Version(1)}, opts...)...)
}

// TimeSchema makes the schema of times of day: an Instant on 1 January 1970.
func TimeSchema(opts ...Option) *Schema {
	return NewSchema(Int32, append([]Option{Name(TimeName), Version(1)}, opts...)...)
}

// TimestampSchema makes the schema of points in time.
func TimestampSchema(opts ...Option) *Schema {
	return NewSchema(Int64, append([]Option{Name(TimestampName), Version(1)}, opts...)...)
}

// Instant is a point in time in milliseconds since 1970-01-01T00:00:00Z, Java's java.util.Date: the value of Date, Time and
// Timestamp schemas. A date is an instant at midnight UTC, a time of day one on 1 January 1970.
type Instant int64

// InstantOf is the instant of a time, which is cut to milliseconds.
func InstantOf(t time.Time) Instant { return Instant(t.UnixMilli()) }

// Time is the instant in UTC.
func (i Instant) Time() time.Time { return time.UnixMilli(int64(i)).UTC() }

// Day is the number of milliseconds in a day.
const Day = 86_400_000

// DateToInt is a date as days since 1970, the form in which it is stored.
func DateToInt(s *Schema, i Instant) (int32, error) {
	if s.Logical() != LogicalDate {
		return 0, mismatch("Date")
	}
	if i%Day != 0 {
		return 0, bad("Kafka Connect Date type should not have any time fields set to non-zero values.")
	}
	return int32(i / Day), nil // cut as Java does
}

// DateFromInt is the date of a number of days.
func DateFromInt(s *Schema, days int32) (Instant, error) {
	if s.Logical() != LogicalDate {
		return 0, mismatch("Date")
	}
	return Instant(int64(days) * Day), nil
}

// TimeToInt is a time of day as milliseconds since midnight, the form in which it is stored.
func TimeToInt(s *Schema, i Instant) (int32, error) {
	if s.Logical() != LogicalTime {
		return 0, mismatch("Time")
	}
	if i < 0 || i > Day {
		return 0, bad("Kafka Connect Time type should not have any date fields set to non-zero values.")
	}
	return int32(i), nil
}

// TimeFromInt is the time of day of a number of milliseconds.
func TimeFromInt(s *Schema, ms int32) (Instant, error) {
	if s.Logical() != LogicalTime {
		return 0, mismatch("Date") // that is what Kafka Connect says
	}
	if ms < 0 || ms > Day {
		return 0, bad("Time values must use number of milliseconds greater than 0 and less than 86400000")
	}
	return Instant(ms), nil
}

// TimestampToInt is a timestamp as milliseconds since 1970, the form in which it is stored.
func TimestampToInt(s *Schema, i Instant) (int64, error) {
	if s.Logical() != LogicalTimestamp {
		return 0, mismatch("Timestamp")
	}
	return int64(i), nil
}

// TimestampFromInt is the timestamp of a number of milliseconds.
func TimestampFromInt(s *Schema, ms int64) (Instant, error) {
	if s.Logical() != LogicalTimestamp {
		return 0, mismatch("Timestamp")
	}
	return Instant(ms), nil
}

func mismatch(what string) error {
	return bad("Requested conversion of %s object but the schema does not match.", what)
}

// DecimalToBytes is a decimal in the form in which it is stored: the unscaled number in two's complement, the highest byte
// first. Its scale must be that of the schema.
func DecimalToBytes(s *Schema, d Decimal) ([]byte, error) {
	scale, err := s.Scale()
	if err != nil {
		return nil, err
	}
	if d.scale != scale {
		return nil, bad("Decimal value has mismatching scale for given Decimal schema. Schema has scale %d, value has scale %d.", scale, d.scale)
	}
	return d.Bytes(), nil
}

// DecimalFromBytes is the decimal of its stored form.
func DecimalFromBytes(s *Schema, b []byte) (Decimal, error) {
	scale, err := s.Scale()
	if err != nil {
		return Decimal{}, err
	}
	if len(b) == 0 {
		return Decimal{}, connecterr.New(connecterr.Data, "Zero length BigInteger").WithClass(numberFormat)
	}
	return DecimalOfBytes(b, scale), nil
}

// The exceptions of the JVM that can be seen where a value is none of its schema.
const (
	numberFormat = "java.lang.NumberFormatException"
	nullPointer  = "java.lang.NullPointerException"
	classCast    = "java.lang.ClassCastException"
)

// Scale is the scale that a Decimal schema asks for.
func (s *Schema) Scale() (int32, error) {
	if !s.HasParams() {
		return 0, connecterr.New(connecterr.Data, "the schema has no parameters, and so no scale").WithClass(nullPointer)
	}
	text, ok := s.Param(ScaleParam)
	if !ok {
		return 0, bad("Invalid Decimal schema: scale parameter not found.")
	}
	n, err := strconv.ParseInt(ASCIIDigits(text), 10, 32)
	if err != nil {
		return 0, connecterr.Wrap(connecterr.Data, connecterr.New(connecterr.Data, "For input string: %q", text).WithClass(numberFormat),
			"Invalid scale parameter found in Decimal schema: ")
	}
	return int32(n), nil
}
