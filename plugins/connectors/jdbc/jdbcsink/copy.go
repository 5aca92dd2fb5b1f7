package jdbcsink

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"io"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
)

// COPY takes rows as text. They are written as such straight from the records' values, one behind the other into one piece of
// memory, which is sent as it is.

// copyLine appends a record as a line of COPY.
func (w *writer) copyLine(b []byte, r *record.Sink, columns []*field) ([]byte, error) {
	for i, f := range columns {
		if i > 0 {
			b = append(b, '\t')
		}
		v := f.value(r, w.s.nullToDef)
		if v == nil {
			b = append(b, '\\', 'N')
			continue
		}
		switch v := v.(type) {
		case string:
			if !f.ts {
				b = appendEscaped(b, v)
				continue
			}
		case []byte: // of what is written only the first needs a backslash
			if !f.ts {
				b = hex.AppendEncode(append(b, `\\x`...), v)
				continue
			}
		}
		start := len(b)
		var err error
		if b, err = w.s.appendPostgres(b, f, v); err != nil {
			return b[:start], err
		}
		switch v.(type) {
		case []any, *data.Struct, *data.Map: // the text of these may have a backslash
			b = appendEscaped(b[:start], string(b[start:]))
		}
	}
	return append(b, '\n'), nil
}

// appendEscaped appends a text as COPY reads it.
func appendEscaped(b []byte, text string) []byte {
	from := 0
	for i := range len(text) {
		var c byte
		switch text[i] {
		case '\\':
			c = '\\'
		case '\n':
			c = 'n'
		case '\r':
			c = 'r'
		case '\t':
			c = 't'
		default:
			continue
		}
		b = append(append(b, text[from:i]...), '\\', c)
		from = i + 1
	}
	return append(b, text[from:]...)
}

// appendPostgres appends a value as PostgreSQL reads it, without quotes. Texts and bytes come here only as times.
func (s *settings) appendPostgres(b []byte, f *field, v any) ([]byte, error) {
	if !f.ts && (s.complex != complexJSON || !isComplex(f.schema, f.of)) {
		switch v := v.(type) {
		case bool, int8, int16, int32, int64, data.Decimal:
			return data.AppendText(b, v), nil
		case float32:
			return appendFloat(b, float64(v), 32), nil
		case float64:
			return appendFloat(b, v, 64), nil
		case data.Instant:
			if s.utc && v >= firstPlain && v < firstLong {
				return appendInstant(b, f.schema.Logical(), f.zoned, v), nil
			}
		}
	}
	bound, err := s.bindValue(f.of, f, v)
	if err != nil {
		return b, err
	}
	text, ok := bound.(string)
	if !ok {
		return b, connecterr.New(connecterr.Data, "field %s: %T is no text", f.name, bound)
	}
	return append(b, text...), nil
}

func appendFloat(b []byte, f float64, bits int) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(b, "Infinity"...)
	case math.IsInf(f, -1):
		return append(b, "-Infinity"...)
	}
	return strconv.AppendFloat(b, f, 'g', -1, bits)
}

// Between these instants both calendars count alike and years have four digits.
var (
	firstPlain = data.InstantOf(time.Date(1582, 10, 15, 0, 0, 0, 0, time.UTC))
	firstLong  = data.InstantOf(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))
)

const dayMillis = 86_400_000

// appendInstant appends a day, a time of day or both in UTC.
func appendInstant(b []byte, l data.Logical, zoned bool, v data.Instant) []byte {
	days, ms := int64(v)/dayMillis, int64(v)%dayMillis
	if ms < 0 {
		days, ms = days-1, ms+dayMillis
	}
	if l != data.LogicalTime {
		y, m, d := civil(days)
		b = append(appendTwo(append(appendTwo(append(appendTwo(appendTwo(b, y/100), y%100), '-'), m), '-'), d), ' ')
		if l == data.LogicalDate {
			return b[:len(b)-1]
		}
	}
	s := ms / 1000
	b = appendTwo(append(appendTwo(append(appendTwo(b, s/3600), ':'), s/60%60), ':'), s%60)
	if f := ms % 1000; f > 0 {
		b = append(b, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	if zoned && l != data.LogicalTime {
		b = append(b, "+00:00"...)
	}
	return b
}

func appendTwo(b []byte, n int64) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// civil is the day that lies so many days after 1970-01-01. It counts years from March, so that leap days come last.
func civil(days int64) (y, m, d int64) {
	days += 719468                       // from 0000-03-01
	era, day := days/146097, days%146097 // of 400 years; both calendars' days here are after the year 0
	year := (day - day/1460 + day/36524 - day/146096) / 365
	day -= 365*year + year/4 - year/100
	month := (5*day + 2) / 153
	y, m, d = era*400+year, month+3, day-(153*month+2)/5+1
	if m > 12 {
		y, m = y+1, m-12
	}
	return y, m, d
}

// copyReader gives the rows' lines as COPY reads them; those that are not there yet it makes, while the database is at work on
// those before them. A connection that breaks is given up while its goroutine still reads, so that nothing may be read after
// end: the lines' memory and the records belong to the next try then.
type copyReader struct {
	rows []row
	make func(b []byte, r *record.Sink) ([]byte, error)

	mu   sync.Mutex
	line []byte // what is left of the current one
	own  []byte // room for one that is made here
	err  error  // of a row
	over bool
}

// Read implements io.Reader.
func (l *copyReader) Read(p []byte) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return 0, io.ErrClosedPipe
	}
	for n < len(p) {
		if len(l.line) == 0 {
			if len(l.rows) == 0 {
				return n, io.EOF
			}
			if l.err = l.next(); l.err != nil {
				return n, l.err
			}
		}
		k := copy(p[n:], l.line)
		n, l.line = n+k, l.line[k:]
	}
	return n, nil
}

// next goes on to the next row. It is called on a goroutine of the driver's, where a panic would end the process.
func (l *copyReader) next() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = connecterr.Panicked(p)
		}
	}()
	r := l.rows[0]
	l.rows = l.rows[1:]
	if l.line = r.line; l.line == nil {
		l.own, err = l.make(l.own[:0], r.r)
		l.line = l.own
	}
	return err
}

// end waits for a read that is under way; those behind it get an error. It returns the error of a row, if there was one.
func (l *copyReader) end() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	return l.err
}

// copyRows sends rows by COPY.
func (w *writer) copyRows(ctx context.Context, conn *sql.Conn, st *statements, rows []row) error {
	return connect.Postgres(conn, func(c *pgx.Conn) error {
		lines := &copyReader{rows: rows, make: func(b []byte, r *record.Sink) ([]byte, error) { return w.copyLine(b, r, st.columns) }}
		_, err := c.PgConn().CopyFrom(ctx, lines, st.copy)
		return cmp.Or(lines.end(), err) // the server only says that we gave up
	})
}
