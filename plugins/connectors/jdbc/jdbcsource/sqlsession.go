package jdbcsource

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
)

// sqlSession is what the sessions of all databases have in common.
type sqlSession struct {
	d       dialect.Dialect
	conn    *sql.Conn
	release func() error
}

func (s *sqlSession) names() parts                   { return parts{catalogs: s.d.Kind() == dialect.MySQL} }
func (s *sqlSession) ping(ctx context.Context) error { return s.conn.PingContext(ctx) }
func (s *sqlSession) close() error                   { return s.release() }

// mark is what the dialect puts before a name.
func (s *sqlSession) mark() string { return s.d.Quote("x")[:1] }

func (s *sqlSession) exec(ctx context.Context, statement string) error {
	_, err := s.conn.ExecContext(ctx, statement)
	return err
}

// tables lists what the patterns and types ask for.
func (s *sqlSession) tables(ctx context.Context, set *settings) ([]table, error) {
	return s.list(ctx, dialect.Filter{Catalog: pointer(set, catalogKey), Schema: pointer(set, schemaKey), Types: types(set)})
}

// types are the types of tables that are asked for; none is one that no table has.
func types(set *settings) []string {
	if all := set.List(typesKey); len(all) > 0 {
		return all
	}
	return []string{""}
}

func pointer(set *settings, key string) *string {
	if !set.Has(key) {
		return nil
	}
	text := set.String(key)
	return &text
}

func (s *sqlSession) list(ctx context.Context, f dialect.Filter) (all []table, err error) {
	found, err := s.d.Tables(ctx, s.conn, f)
	for _, t := range found {
		all = append(all, table{catalog: t.Name.Catalog, schema: t.Name.Schema, name: t.Name.Table})
	}
	return all, err
}

func (s *sqlSession) define(ctx context.Context, t table) (*dialect.Table, error) {
	return s.d.Table(ctx, s.conn, dialect.Name{Catalog: t.catalog, Schema: t.schema, Table: t.name})
}

func (s *sqlSession) columns(ctx context.Context, t table) (all []tableColumn, err error) {
	d, err := s.define(ctx, t)
	if err != nil || d == nil {
		return nil, err
	}
	for _, c := range d.Columns {
		all = append(all, tableColumn{name: c.Name, nullable: c.Nullable, auto: c.Auto})
	}
	return all, nil
}

// What is wrong with the answer of db.time.query.
const (
	errNoTime   = timeError("it gives not one row of one column")
	errNullTime = timeError("it gives NULL")
)

// timeError is what is wrong with an answer that the database gave without an error: the next one will be like it.
type timeError string

func (e timeError) Error() string { return string(e) }

// answer reads the time that a query gave.
func (c clock) answer(v any) (time.Time, error) {
	at, err := c.stampOf(v)
	if err != nil {
		return at, timeError(err.Error())
	}
	return at, nil
}

// ask reads the one value of a query.
func (s *sqlSession) ask(ctx context.Context, query string) (any, error) {
	v, _, err := s.askTyped(ctx, query)
	return v, err
}

// typed runs a query and tells the types of its columns.
func (s *sqlSession) typed(ctx context.Context, query string, args ...any) (*sql.Rows, []*sql.ColumnType, error) {
	r, err := s.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, nil, err
	}
	types, err := r.ColumnTypes()
	if err != nil {
		_ = r.Close() //nolint:sqlclosecheck // else the rows live on
		return nil, nil, err
	}
	return r, types, nil
}

// askTyped also tells the value's type.
func (s *sqlSession) askTyped(ctx context.Context, query string) (v any, kind string, err error) {
	count := 0
	err = s.each(ctx, query, func(r *sql.Rows) error {
		types, err := r.ColumnTypes()
		if count++; err == nil && (len(types) != 1 || count > 1) {
			err = errNoTime
		}
		if err != nil {
			return err
		}
		kind = types[0].DatabaseTypeName()
		return r.Scan(&v)
	})
	switch {
	case err != nil:
		return nil, "", err
	case count == 0:
		return nil, "", errNoTime
	case v == nil:
		return nil, "", errNullTime
	}
	return v, kind, nil
}

// check prepares a query.
func (s *sqlSession) check(ctx context.Context, query string) error {
	st, err := s.conn.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	return st.Close() //nolint:sqlclosecheck // at once
}

// noTableCodes are the codes of tables that are not there.
var noTableCodes = map[dialect.Kind]int{dialect.PostgreSQL: -1, dialect.MySQL: 1146, dialect.SQLite: -1, dialect.SQLServer: 208, dialect.Oracle: 942}

func (s *sqlSession) failure(err error) failure {
	f := s.d.Fault(err)
	code, _ := strconv.Atoi(f.Code) // not a number: none
	return failure{state: f.SQLState, code: code, broken: f.Class == dialect.Connection,
		noTable: f.SQLState == "42P01" || f.SQLState == "42S02" || code == noTableCodes[s.d.Kind()] || strings.Contains(f.Message, "no such table"),
		final:   f.Class == dialect.Structure || f.Class == dialect.Data}
}

// writer writes names and literals; times are literals of the database's clock.
func (s *sqlSession) writer(q query, stamp func(time.Time) string) writer {
	w := writer{param: func(_ int, a argument) string {
		switch a {
		case beginArgument:
			return stamp(q.begin())
		case endArgument:
			return stamp(q.until)
		case lastArgument:
			return strconv.FormatInt(*q.lastID, 10)
		case idArgument:
		}
		return strconv.FormatInt(q.firstID(), 10)
	}}
	if q.quote {
		w.quote = s.mark()
	}
	return w
}

// begin is the timestamp behind which rows are read.
func (q query) begin() time.Time {
	if q.from.hasAt {
		return q.from.at
	}
	return time.Unix(0, 0).UTC()
}

func (q query) firstID() int64 {
	if q.from.hasID {
		return q.from.id
	}
	return -1
}

// sqlRows are rows that come through database/sql.
type sqlRows struct {
	rows   *sql.Rows
	cols   []column
	values []any
	into   []any
	fix    func(i int, v any) any // what a driver gives as one of raw's types; nil: it already is
	failed error
}

func newSQLRows(rows *sql.Rows, cols []column) *sqlRows {
	r := &sqlRows{rows: rows, cols: cols, values: make([]any, len(cols)), into: make([]any, len(cols))}
	for i := range r.values {
		r.into[i] = &r.values[i]
	}
	return r
}

func (r *sqlRows) columns() []column { return r.cols }
func (r *sqlRows) raw() []any        { return r.values }

func (r *sqlRows) next() bool {
	if !r.rows.Next() {
		return false
	}
	if r.failed = r.rows.Scan(r.into...); r.failed != nil {
		return false
	}
	for i, v := range r.values {
		switch x := v.(type) {
		case uint64:
			if v = strconv.FormatUint(x, 10); x <= 1<<63-1 {
				v = int64(x)
			}
		case float32:
			v = float64(x)
		}
		if r.fix != nil && v != nil {
			v = r.fix(i, v)
		}
		r.values[i] = v
	}
	return true
}

func (r *sqlRows) close() error {
	err := r.rows.Err()
	if e := r.rows.Close(); err == nil {
		err = e
	}
	if r.failed != nil {
		return r.failed
	}
	return err
}

// values are the parameters of a statement; stamp makes one of a time.
func (q query) values(st statement, stamp func(time.Time) any) []any {
	values := make([]any, len(st.args))
	for i, a := range st.args {
		switch a {
		case beginArgument:
			values[i] = stamp(q.begin())
		case endArgument:
			values[i] = stamp(q.until)
		case lastArgument:
			values[i] = *q.lastID
		case idArgument:
			values[i] = q.firstID()
		}
	}
	return values
}

// wallOf is what the clock of a time shows, in its own zone.
func wallOf(t time.Time) wall {
	return wall{year: t.Year(), month: int(t.Month()), day: t.Day(), hour: t.Hour(), minute: t.Minute(), second: t.Second(), nano: t.Nanosecond()}
}

// timeOf is a time whose clock shows w.
func timeOf(w wall) time.Time {
	return time.Date(w.year, time.Month(w.month), w.day, w.hour, w.minute, w.second, w.nano, time.UTC)
}
