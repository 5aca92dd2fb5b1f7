package jdbcsource

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/sdk/data"
)

// date reads the day of a date, which is in no zone.
func (m mapper) date(c column) func(any) (any, error) {
	return func(raw any) (any, error) {
		switch x := raw.(type) {
		case time.Time: // whose wall is that of UTC
			return data.Instant(m.clock.days(clock{zone: time.UTC}.wall(x)) * data.Day), nil
		case int64: // milliseconds
			return data.Instant(floorDiv(x, data.Day) * data.Day), nil
		}
		t, err := view(raw)
		if err != nil {
			return nil, err
		}
		s, ok := parseStamp(t)
		if !ok {
			return nil, fmt.Errorf("%q is no date", t)
		}
		if !s.extreme.IsZero() {
			return data.Instant(floorDiv(s.extreme.UnixMilli(), data.Day) * data.Day), nil
		}
		if zero, null, err := zeroDate(c, s.wall); err != nil || null {
			return nil, err
		} else if zero != nil {
			s.wall = *zero
		}
		return data.Instant(m.clock.days(s.wall) * data.Day), nil
	}
}

// zeroDate judges a date whose month or day is 0.
func zeroDate(c column, w wall) (instead *wall, null bool, err error) {
	if w.month != 0 && w.day != 0 {
		return nil, false, nil
	}
	switch c.zeroDate {
	case zeroIsNull:
		return nil, true, nil
	case zeroRounds:
		r := wall{year: max(w.year, 1), month: max(w.month, 1), day: max(w.day, 1)}
		return &r, false, nil
	case zeroFails:
	}
	return nil, false, fmt.Errorf("zero date %04d-%02d-%02d: set zeroDateTimeBehavior=CONVERT_TO_NULL in the URL to read it as null", w.year, w.month, w.day)
}

func (m mapper) year(raw any) (any, error) {
	n, err := toInt(raw)
	if err != nil {
		return nil, err
	}
	return data.Instant(m.clock.days(wall{year: int(n), month: 1, day: 1}) * data.Day), nil
}

// timeOfDay reads a time of day, which the database's zone shows on the first day of 1970.
func (m mapper) timeOfDay(raw any) (any, error) {
	t, err := view(raw)
	if err != nil {
		return nil, err
	}
	s, ok := parseTime(t)
	if !ok {
		return nil, fmt.Errorf("%q is no time of day", t)
	}
	s.year, s.month, s.day = 1970, 1, 1
	at := m.clock.at(s).UnixMilli()
	return data.Instant(at - floorDiv(at, data.Day)*data.Day), nil
}

// timestamp gives a timestamp's field the form that timestamp.granularity says.
func (m mapper) timestamp(f *field) {
	opts, c := options(f.optional), f.column
	if m.granularity == "connect_logical" {
		f.schema = data.TimestampSchema(opts...)
	} else if strings.HasSuffix(m.granularity, "_long") {
		f.schema = data.NewSchema(data.Int64, opts...)
	} else {
		f.schema = data.NewSchema(data.String, opts...)
	}
	f.convert = func(raw any) (any, error) {
		at, null, err := m.instant(c, raw)
		if err != nil || null {
			return nil, err
		}
		return m.granular(at)
	}
}

// instant reads a timestamp; null: a date of zeros that is to be null.
func (m mapper) instant(c column, raw any) (at time.Time, null bool, err error) {
	switch raw.(type) {
	case string, []byte, *text:
		t, err := view(raw)
		if err != nil {
			return at, false, err
		}
		s, ok := parseStamp(t)
		if !ok {
			return at, false, fmt.Errorf("%q is no timestamp", t)
		}
		if s.extreme.IsZero() {
			instead, null, err := zeroDate(c, s.wall)
			if err != nil || null {
				return at, null, err
			}
			if instead != nil {
				s.wall = *instead
			}
		}
		return m.clock.at(s), false, nil
	}
	at, err = m.clock.stampOf(raw)
	return at, false, err
}

func (m mapper) granular(at time.Time) (any, error) {
	micros := func() *big.Int {
		n := new(big.Int).Mul(big.NewInt(at.Unix()), big.NewInt(1_000_000))
		return n.Add(n, big.NewInt(int64(at.Nanosecond()/1000)))
	}
	nanos := func() *big.Int {
		n := new(big.Int).Mul(big.NewInt(at.Unix()), big.NewInt(1_000_000_000))
		return n.Add(n, big.NewInt(int64(at.Nanosecond())))
	}
	long := func(n *big.Int) (any, error) {
		if !n.IsInt64() {
			return nil, fmt.Errorf("%s is out of the range of timestamp.granularity=%s", at, m.granularity)
		}
		return n.Int64(), nil
	}
	switch m.granularity {
	case "micros_long":
		return long(micros())
	case "micros_string":
		return micros().String(), nil
	case "micros_iso_datetime_string":
		return m.clock.wall(at).text('T', 6), nil
	case "nanos_long":
		return long(nanos())
	case "nanos_string":
		return nanos().String(), nil
	case "nanos_iso_datetime_string":
		return m.clock.wall(at).text('T', 9), nil
	}
	return data.Instant(at.UnixMilli()), nil
}

// rescaled gives a decimal another scale, which must not cost it digits.
func rescaled(d data.Decimal, scale int32) (data.Decimal, error) {
	if d.Scale() == scale {
		return d, nil
	}
	n := d.Unscaled()
	by := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(scale-d.Scale(), d.Scale()-scale))), nil)
	if scale > d.Scale() {
		return data.BigDecimal(n.Mul(n, by), scale), nil
	}
	q, r := new(big.Int).QuoRem(n, by, new(big.Int))
	if r.Sign() != 0 {
		return d, fmt.Errorf("%s has more than %s digits behind the point", d, strconv.Itoa(int(scale)))
	}
	return data.BigDecimal(q, scale), nil
}
