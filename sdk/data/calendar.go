package data

import "strconv"

// gregorianStart is the first day of the Gregorian calendar, 15 October 1582, in days since 1970. Java's calendar is Julian
// before it.
const gregorianStart = -141427

// floorDiv divides toward minus infinity.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// dayNumber is the number of the day since 1970 of a date: era by era of 4 years in the Julian calendar, of 400 in the
// Gregorian. The month counts from 1 and is in range; the day may be any number.
func dayNumber(year, month, day int64, gregorian bool) int64 {
	if month <= 2 { // years begin in March, so that leap days end them
		year--
		month += 12
	}
	ofYear := (153*(month-3)+2)/5 + day - 1
	n := 365*year + floorDiv(year, 4) + ofYear
	if gregorian {
		return n - floorDiv(year, 100) + floorDiv(year, 400) - 719468
	}
	return n - 719470
}

// InstantAt is the instant of a date and a time of day as Java's lenient calendars reckon: numbers out of range carry over,
// and the Julian calendar holds before 15 October 1582. The month counts from 1; year 0 is 1 BC.
func InstantAt(year, month, day, ms int64) Instant {
	year += floorDiv(month-1, 12)
	month = month - 1 - 12*floorDiv(month-1, 12) + 1
	days := dayNumber(year, month, day, true)
	if days < gregorianStart {
		days = dayNumber(year, month, day, false)
	}
	return Instant(days*Day + ms)
}

// Date is the instant's day in UTC as Java's calendars reckon, see InstantAt, and the milliseconds since its midnight.
func (i Instant) Date() (year, month, day, ms int64) {
	days := floorDiv(int64(i), Day)
	ms = int64(i) - days*Day
	n := days + 719468
	if days < gregorianStart {
		n += 2
		year = floorDiv(4*n+3, 1461)
		n -= 365*year + floorDiv(year, 4)
	} else {
		era := floorDiv(n, 146097)
		n -= era * 146097
		y := (n - n/1460 + n/36524 - n/146096) / 365
		year = era*400 + y
		n -= 365*y + y/4 - y/100
	}
	month = (5*n + 2) / 153
	day = n - (153*month+2)/5 + 1
	if month += 3; month > 12 {
		month -= 12
		year++
	}
	return year, month, day, ms
}

// appendClock appends a time of day as HH:mm:ss.
func appendClock(b []byte, ms int64) []byte {
	s := ms / 1000
	b = append(appendPadded(b, s/3600, 2), ':')
	b = append(appendPadded(b, s/60%60, 2), ':')
	return appendPadded(b, s%60, 2)
}

func appendPadded(b []byte, n int64, width int) []byte {
	var buf [20]byte
	digits := strconv.AppendInt(buf[:0], n, 10)
	for range width - len(digits) {
		b = append(b, '0')
	}
	return append(b, digits...)
}

const (
	weekdays = "ThuFriSatSunMonTueWed" // 1 January 1970 was a Thursday
	months   = "JanFebMarAprMayJunJulAugSepOctNovDec"
)

// appendJava appends what java.util.Date prints in UTC.
func (i Instant) appendJava(b []byte) []byte {
	year, month, day, ms := i.Date()
	weekday := 3 * ((floorDiv(int64(i), Day)%7 + 7) % 7)
	b = append(append(b, weekdays[weekday:weekday+3]...), ' ')
	b = append(append(b, months[3*month-3:3*month]...), ' ')
	b = append(appendPadded(b, day, 2), ' ')
	b = append(appendClock(b, ms), " UTC "...)
	return strconv.AppendInt(b, eraYear(year), 10)
}

func eraYear(year int64) int64 {
	if year <= 0 {
		return 1 - year
	}
	return year
}

// String is what java.util.Date prints, in UTC.
func (i Instant) String() string { return string(i.appendJava(nil)) }

// AppendClock appends the time of day as HH:mm:ss.SSSZ.
func (i Instant) AppendClock(b []byte) []byte {
	_, _, _, ms := i.Date()
	b = append(appendClock(b, ms), '.')
	return append(appendPadded(b, ms%1000, 3), 'Z')
}

// AppendDate appends the day as yyyy-MM-dd.
func (i Instant) AppendDate(b []byte) []byte {
	year, month, day, _ := i.Date()
	b = append(appendPadded(b, eraYear(year), 4), '-')
	b = append(appendPadded(b, month, 2), '-')
	return appendPadded(b, day, 2)
}
