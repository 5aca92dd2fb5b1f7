package jdbcsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
)

// postgres reads rows in the form of text, but for bytes: it is what every type has, and what numbers and times are read from
// without a detour.
type postgres struct {
	sqlSession
	pg   *pgx.Conn
	name string // of the database
	// longest is how long a name can be; the server cuts longer ones, and so do its own messages.
	longest int
}

func newPostgres(ctx context.Context, s sqlSession) (*postgres, error) {
	p := &postgres{sqlSession: s}
	if err := connect.Postgres(s.conn, func(c *pgx.Conn) error { p.pg = c; return nil }); err != nil {
		return nil, err
	}
	// Times are read as ISO text, and numbers with all their digits.
	if err := p.exec(ctx, "SET DateStyle = 'ISO, MDY'"); err != nil {
		return nil, err
	}
	if err := p.exec(ctx, "SET extra_float_digits = 3"); err != nil {
		return nil, err
	}
	return p, s.conn.QueryRowContext(ctx, "SELECT current_database()::text, length(repeat('1234567890', 1000)::name)").Scan(&p.name, &p.longest)
}

func (p *postgres) names() parts { return parts{schemas: true, database: p.name} }
func (p *postgres) levels() []string {
	return []string{"READ_UNCOMMITTED", "READ_COMMITTED", "REPEATABLE_READ", "SERIALIZABLE"}
}

func (p *postgres) now(ctx context.Context, c clock, query string) (at time.Time, err error) {
	if query != "" {
		return p.asked(ctx, c, query)
	}
	err = p.conn.QueryRowContext(ctx, p.d.Now()).Scan(&at)
	return at.UTC(), err
}

// asked reads the time as text, which tells whether it has a zone.
func (p *postgres) asked(ctx context.Context, c clock, query string) (at time.Time, err error) {
	answer := p.pg.PgConn().ExecParams(ctx, query, nil, nil, nil, nil).Read()
	if answer.Err != nil {
		return at, answer.Err
	}
	if len(answer.Rows) != 1 || len(answer.Rows[0]) != 1 {
		return at, errNoTime
	}
	if answer.Rows[0][0] == nil {
		return at, errNullTime
	}
	return c.answer(answer.Rows[0][0])
}

func (p *postgres) begin(ctx context.Context, level string, readOnly bool) error {
	text := "BEGIN"
	if level != defaultLevel {
		text += " ISOLATION LEVEL " + strings.ReplaceAll(level, "_", " ")
	}
	if readOnly {
		text += " READ ONLY"
	}
	return p.exec(ctx, text)
}

func (p *postgres) end(ctx context.Context) error { return p.exec(ctx, "COMMIT") }

func (p *postgres) failure(err error) failure {
	f := p.sqlSession.failure(err)
	if p.pg.IsClosed() {
		f.broken, f.final = true, false
	}
	if _, ok := errors.AsType[*pgconn.PgError](err); !ok {
		f.final = false // of the net or the driver
	}
	return f
}

func postgresWriter(quote bool) writer {
	w := writer{param: func(n int, _ argument) string { return "$" + strconv.Itoa(n) }}
	if quote {
		w.quote = `"`
	} else {
		w.table = func(t table) string { return strings.ToLower(t.String()) }
	}
	return w
}

// query runs the statement with its parameters as text, so that the server takes them as the type of what they are compared with.
func (p *postgres) query(ctx context.Context, q query) (rows, error) {
	w := postgresWriter(q.quote)
	st := w.statement(q.mode, q.target, q.suffix, q.lastID != nil)
	q.said(st.text)
	var args [][]byte
	for _, a := range st.args {
		switch a {
		case beginArgument:
			args = append(args, []byte(postgresStamp(q.clock, q.begin())))
		case endArgument:
			args = append(args, []byte(postgresStamp(q.clock, q.until)))
		case idArgument:
			args = append(args, strconv.AppendInt(nil, q.firstID(), 10))
		case lastArgument:
			args = append(args, strconv.AppendInt(nil, *q.lastID, 10))
		}
	}
	described, err := p.pg.PgConn().Prepare(ctx, "", st.text, nil)
	if err != nil {
		return nil, err
	}
	columns, err := p.describe(ctx, described.Fields)
	if err != nil {
		return nil, err
	}
	formats := make([]int16, len(columns))
	for i, c := range columns {
		if c.kind == bytesKind && described.Fields[i].DataTypeOID == pgtype.ByteaOID {
			formats[i] = pgtype.BinaryFormatCode
		}
	}
	result := p.pg.PgConn().ExecParams(ctx, st.text, args, nil, nil, formats)
	// The table may have changed since it was described.
	r := &postgresRows{result: result, cols: columns, values: make([]any, len(columns)), room: make([]text, len(columns))}
	return r, nil
}

// postgresStamp is a time as a parameter: types without a zone take the clock and leave the zone.
func postgresStamp(c clock, at time.Time) string {
	switch {
	case !at.Before(infinity):
		return "infinity"
	case !at.After(negativeInfinity):
		return "-infinity"
	}
	w := clock{zone: c.zone}.wall(at)
	offset := c.offset(at.Unix())
	sign := '+'
	if offset < 0 {
		sign, offset = '-', -offset
	}
	text := fmt.Sprintf("%s%c%02d:%02d:%02d", w.text(' ', 6), sign, offset/3600, offset/60%60, offset%60)
	if w.year < 1 {
		text += " BC"
	}
	return text
}

// attribute is a column of a table.
type attribute struct {
	table  uint32
	number uint16
}

// describe finds out what the columns of a result are: their types are in the result, whether they can be null in the catalog.
func (p *postgres) describe(ctx context.Context, fields []pgconn.FieldDescription) ([]column, error) {
	notNull, err := p.notNull(ctx, fields)
	if err != nil {
		return nil, err
	}
	named, err := p.namedTypes(ctx, fields)
	if err != nil {
		return nil, err
	}
	columns := make([]column, len(fields))
	for i, f := range fields {
		c := column{name: f.Name, optional: !notNull[attribute{f.TableOID, f.TableAttributeNumber}]}
		c.typeName = "type " + strconv.FormatUint(uint64(f.DataTypeOID), 10)
		if t, ok := p.pg.TypeMap().TypeForOID(f.DataTypeOID); ok {
			c.typeName = t.Name
		}
		if n, ok := named[f.DataTypeOID]; ok {
			c.typeName = n.name
			if n.enum {
				c.kind = stringKind
			}
		}
		c.postgresType(f)
		columns[i] = c
	}
	return columns, nil
}

func (p *postgres) notNull(ctx context.Context, fields []pgconn.FieldDescription) (map[attribute]bool, error) {
	var tables []string
	for _, f := range fields {
		if oid := strconv.FormatUint(uint64(f.TableOID), 10); f.TableOID != 0 && !slices.Contains(tables, oid) {
			tables = append(tables, oid)
		}
	}
	found := map[attribute]bool{}
	if tables == nil {
		return found, nil
	}
	return found, p.each(ctx, `SELECT a.attrelid::bigint, a.attnum::bigint FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid IN (`+strings.Join(tables, ",")+`) AND a.attnum > 0 AND (a.attnotnull OR t.typtype = 'd' AND t.typnotnull)`, func(r *sql.Rows) error {
		var a attribute
		err := r.Scan(&a.table, &a.number)
		found[a] = true
		return err
	})
}

type namedType struct {
	name string
	enum bool
}

// namedTypes looks up the types that do not come with the server.
func (p *postgres) namedTypes(ctx context.Context, fields []pgconn.FieldDescription) (map[uint32]namedType, error) {
	const firstOwn = 16384
	var own []string
	for _, f := range fields {
		if f.DataTypeOID >= firstOwn {
			own = append(own, strconv.FormatUint(uint64(f.DataTypeOID), 10))
		}
	}
	found := map[uint32]namedType{}
	if own == nil {
		return found, nil
	}
	return found, p.each(ctx, `SELECT oid::bigint, typname::text, typtype = 'e' FROM pg_catalog.pg_type WHERE oid IN (`+strings.Join(own, ",")+`)`, func(r *sql.Rows) error {
		var oid uint32
		var t namedType
		err := r.Scan(&oid, &t.name, &t.enum)
		found[oid] = t
		return err
	})
}

func (s *sqlSession) each(ctx context.Context, query string, row func(*sql.Rows) error, args ...any) error {
	r, err := s.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // Err tells what is wrong
	for r.Next() {
		if err := row(r); err != nil {
			return err
		}
	}
	return r.Err()
}

var postgresKinds = map[uint32]kind{
	pgtype.BoolOID: boolKind, pgtype.ByteaOID: bytesKind, pgtype.QCharOID: stringKind, pgtype.NameOID: stringKind, pgtype.Int8OID: int64Kind, pgtype.Int2OID: int16Kind,
	pgtype.Int4OID: int32Kind, pgtype.TextOID: stringKind, pgtype.OIDOID: int64Kind, pgtype.JSONOID: stringKind, pgtype.XMLOID: stringKind, pgtype.Float4OID: float32Kind,
	pgtype.Float8OID: float64Kind, moneyOID: float64Kind, pgtype.BPCharOID: stringKind, pgtype.VarcharOID: stringKind, pgtype.DateOID: dateKind, pgtype.TimeOID: timeKind,
	pgtype.TimetzOID: timeKind, pgtype.TimestampOID: timestampKind, pgtype.TimestamptzOID: timestampKind, pgtype.NumericOID: numericKind, pgtype.UUIDOID: stringKind,
	pgtype.JSONBOID: stringKind,
}

const moneyOID = 790

// postgresType finds the kind of a column.
func (c *column) postgresType(f pgconn.FieldDescription) {
	if k, ok := postgresKinds[f.DataTypeOID]; ok {
		c.kind = k
	}
	mod := int(f.TypeModifier)
	switch f.DataTypeOID {
	case moneyOID:
		c.money, c.typeName = true, "money"
	case pgtype.NumericOID:
		if mod >= 4 {
			mod -= 4
			c.precision, c.scale = mod>>16&0xffff, mod&0x7ff
			if c.scale >= 1024 { // negative
				c.scale -= 2048
			}
		}
	case pgtype.BitOID:
		switch {
		case mod == 1:
			c.kind = boolKind
		case mod > 1 && mod <= 8:
			c.kind = bitsKind
		default:
			c.kind = bytesKind // the text of the bits
		}
	}
}

type postgresRows struct {
	result *pgconn.ResultReader
	cols   []column
	values []any
	room   []text
	seen   bool
	failed error
}

func (r *postgresRows) columns() []column { return r.cols }
func (r *postgresRows) raw() []any        { return r.values }

func (r *postgresRows) next() bool {
	if r.failed != nil || !r.result.NextRow() {
		return false
	}
	values := r.result.Values()
	if !r.seen {
		r.seen = true
		if len(values) != len(r.cols) {
			r.failed = fmt.Errorf("the columns of the result changed while it was read: %d instead of %d", len(values), len(r.cols))
			return false
		}
	}
	for i, v := range values {
		switch {
		case v == nil:
			r.values[i] = nil
		case r.cols[i].kind == bytesKind:
			r.values[i] = v
		default: // without a slice of its own for each value
			r.room[i] = v
			r.values[i] = &r.room[i]
		}
	}
	return true
}

func (r *postgresRows) close() error {
	_, err := r.result.Close()
	return errors.Join(err, r.failed)
}

var _ session = (*postgres)(nil)
