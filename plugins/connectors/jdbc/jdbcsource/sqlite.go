package jdbcsource

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// sqlite reads SQLite, whose columns hold what they like: the declared word says what a column is, and where it says nothing
// the first row does.
type sqlite struct {
	sqlSession
	seconds bool            // integers are seconds since 1970, not milliseconds
	wide    map[string]bool // INTEGER columns of which a value needed more than 32 bits
}

func newSQLite(s sqlSession, property func(string) (string, bool)) *sqlite {
	precision, _ := property("date_precision")
	return &sqlite{sqlSession: s, seconds: strings.EqualFold(precision, "seconds"), wide: map[string]bool{}}
}

func (s *sqlite) levels() []string { return []string{"READ_UNCOMMITTED", "SERIALIZABLE"} }

func (s *sqlite) columns(ctx context.Context, t table) (all []tableColumn, err error) {
	d, err := s.define(ctx, t)
	if err != nil || d == nil {
		return nil, err
	}
	keys := 0
	for _, c := range d.Columns {
		keys = max(keys, c.KeyPart)
	}
	for _, c := range d.Columns {
		rowid := keys == 1 && c.KeyPart == 1 && strings.EqualFold(c.Full, "INTEGER")
		all = append(all, tableColumn{name: c.Name, nullable: c.Nullable && !rowid, auto: c.Auto || rowid})
	}
	return all, nil
}

func (s *sqlite) now(ctx context.Context, c clock, query string) (time.Time, error) {
	if query != "" {
		v, err := s.ask(ctx, query)
		if err != nil {
			return time.Time{}, err
		}
		return c.answer(s.stored(v))
	}
	var text string
	if err := s.conn.QueryRowContext(ctx, "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')").Scan(&text); err != nil {
		return time.Time{}, err
	}
	return c.stampOf(text)
}

func (s *sqlite) begin(ctx context.Context, level string, _ bool) error {
	if level == "READ_UNCOMMITTED" {
		if err := s.exec(ctx, "PRAGMA read_uncommitted = 1"); err != nil {
			return err
		}
	}
	return s.exec(ctx, "BEGIN")
}

func (s *sqlite) end(ctx context.Context) error { return s.exec(ctx, "COMMIT") }

// storage finds out how the timestamps of a target are stored.
func (s *sqlite) storage(ctx context.Context, w writer, t target) (class string, err error) {
	from := inParentheses(t.query)
	if t.query == "" {
		from = w.tableName(t.table)
	}
	at := w.timestamp(t)
	err = s.conn.QueryRowContext(ctx, "SELECT typeof("+at+") FROM "+from+" WHERE "+at+" IS NOT NULL LIMIT 1").Scan(&class)
	if errors.Is(err, sql.ErrNoRows) {
		return "text", nil
	}
	return class, err
}

func (s *sqlite) query(ctx context.Context, q query) (rows, error) {
	stamp := func(at time.Time) string {
		// Milliseconds as SQLite itself rounds them.
		return "'" + q.clock.wall(at.Round(time.Millisecond)).text(' ', 3) + "'"
	}
	w := s.writer(q, func(at time.Time) string { return stamp(at) })
	if q.mode == timestamp || q.mode == both {
		class, err := s.storage(ctx, w, q.target)
		if err != nil {
			return nil, err
		}
		switch class {
		case "integer":
			stamp = func(at time.Time) string {
				if s.seconds {
					return strconv.FormatInt(at.Unix(), 10)
				}
				return strconv.FormatInt(at.UnixMilli(), 10)
			}
		case "real":
			stamp = func(at time.Time) string {
				return "'" + clock{zone: time.UTC}.wall(at.Round(time.Millisecond)).text(' ', 3) + "'"
			}
		}
		if class != "integer" { // texts of several forms, or days
			w.stamp = func(expr string) string { return "strftime('%Y-%m-%d %H:%M:%f', " + expr + ")" }
		}
	}
	st := w.statement(q.mode, q.target, q.suffix, q.lastID != nil)
	literal := w.param
	w.param = func(int, argument) string { return "?" }
	q.said(w.statement(q.mode, q.target, q.suffix, q.lastID != nil).text)
	w.param = literal
	notNull := map[string]bool{}
	if q.isTable() {
		columns, err := s.columns(ctx, q.table)
		if err != nil {
			return nil, err
		}
		for _, c := range columns {
			notNull[c.name] = !c.nullable
		}
	}
	r, err := s.conn.QueryContext(ctx, st.text)
	if err != nil {
		return nil, err
	}
	return s.rows(r, q.name(), notNull)
}

// rows reads the first row, which the columns' kinds may depend on.
func (s *sqlite) rows(r *sql.Rows, target string, notNull map[string]bool) (rows, error) {
	types, err := r.ColumnTypes()
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	columns := make([]column, len(types))
	out := &sqliteRows{sqlRows: *newSQLRows(r, columns), session: s, target: target}
	out.there = out.sqlRows.next()
	for i, t := range types {
		var first any
		if out.there {
			first = out.values[i]
		}
		columns[i] = sqliteColumn(t.Name(), t.DatabaseTypeName(), first)
		columns[i].optional = !notNull[t.Name()]
		if columns[i].kind == int32Kind && s.wide[target+"."+t.Name()] {
			columns[i].kind = int64Kind
		}
	}
	if out.there {
		out.repair()
	}
	return out, nil
}

var sqliteWords = map[string]kind{
	"BOOLEAN": boolKind, "TINYINT": int16Kind, "SMALLINT": int32Kind, "INT2": int32Kind, "BIGINT": int64Kind, "INT8": int64Kind, "UNSIGNED BIG INT": int64Kind,
	"INT": int64Kind, "MEDIUMINT": int64Kind, "INTEGER": int32Kind, "DATE": dateKind, "DATETIME": timestampKind, "TIMESTAMP": timestampKind,
	"DECIMAL": decimalKind, "DOUBLE": float64Kind, "DOUBLE PRECISION": float64Kind, "NUMERIC": numericKind, "REAL": float32Kind, "FLOAT": float64Kind,
	"CHARACTER": stringKind, "NCHAR": stringKind, "NATIVE CHARACTER": stringKind, "CHAR": stringKind, "CLOB": stringKind, "VARCHAR": stringKind,
	"VARYING CHARACTER": stringKind, "NVARCHAR": stringKind, "TEXT": stringKind, "BINARY": bytesKind, "BLOB": bytesKind,
}

var declaration = regexp.MustCompile(`^\s*([^(]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\).*)?$`)

func sqliteColumn(name, declared string, first any) column {
	c := column{name: name, typeName: declared, kind: numericKind}
	word := strings.ToUpper(declared)
	if m := declaration.FindStringSubmatch(word); m != nil {
		word = m[1]
		c.precision, _ = strconv.Atoi(m[2]) // "" is 0
		c.scale, _ = strconv.Atoi(m[3])
	}
	if k, ok := sqliteWords[word]; ok {
		c.kind = k
		return c
	}
	switch first.(type) {
	case int64:
		c.kind = int64Kind
	case float64:
		c.kind = float64Kind
	case string, time.Time:
		c.kind = stringKind
	case []byte:
		c.kind = bytesKind
	}
	return c
}

// sqliteRows are rows of which the first was read ahead.
type sqliteRows struct {
	sqlRows
	session *sqlite
	target  string
	there   bool // the first row waits
	begun   bool
	narrow  error
}

// errAgain ends a query that is to be run again at once, as what was learned changes its columns.
var errAgain = errors.New("a value needs a wider type")

func (r *sqliteRows) next() bool {
	if r.begun || !r.there {
		if r.begun = true; !r.sqlRows.next() {
			return false
		}
		r.repair()
	}
	r.begun = true
	return r.narrow == nil
}

func (r *sqliteRows) close() error {
	if err := r.sqlRows.close(); err != nil {
		return err
	}
	return r.narrow
}

// repair gives times their form, and looks for numbers that do not fit.
func (r *sqliteRows) repair() {
	for i, v := range r.values {
		c := r.cols[i]
		if c.kind == timestampKind {
			r.values[i] = r.session.stored(v)
			continue
		}
		switch x := v.(type) {
		case int64:
			switch {
			case c.kind == int32Kind && (x < math.MinInt32 || x > math.MaxInt32):
				r.session.wide[r.target+"."+c.name] = true
				r.narrow = errAgain
			case c.kind == dateKind && r.session.seconds:
				r.values[i] = x * 1000
			}
		case time.Time: // of a day
			r.values[i] = wallText(x)
		}
	}
}

// stored is a timestamp as SQLite keeps it, as a time or a text.
func (s *sqlite) stored(v any) any {
	const unixEpoch = 2440587.5 // in Julian days
	switch x := v.(type) {
	case int64:
		if s.seconds {
			return time.Unix(x, 0).UTC()
		}
		return time.UnixMilli(x).UTC()
	case float64:
		return time.UnixMilli(int64(math.Round((x - unixEpoch) * 86_400_000))).UTC()
	case time.Time:
		return wallText(x)
	}
	return v
}

// wallText is a text that the driver has read as a time: its clock is that of the database.
func wallText(t time.Time) string { return t.Format("2006-01-02 15:04:05.999999999") }

var _ session = (*sqlite)(nil)
