package jdbcsource

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
)

// mysql reads MySQL and MariaDB. Its statements have literals instead of parameters, which keeps them to one round trip.
type mysql struct {
	sqlSession
	mariaDB    bool // the URL is MariaDB's
	tinyIsBit  bool // tinyint(1) is a bit
	bitIsBool  bool // and a bit a boolean
	yearIsDate bool
	zeroDate   zeroDates
}

func newMySQL(s sqlSession, mariaDB bool, property func(string) (string, bool)) *mysql {
	m := &mysql{sqlSession: s, mariaDB: mariaDB, tinyIsBit: true, yearIsDate: true}
	flag := func(name string, to *bool) {
		if v, ok := property(name); ok {
			*to = strings.EqualFold(v, "true") || v == "1"
		}
	}
	flag("tinyInt1isBit", &m.tinyIsBit)
	flag("transformedBitIsBoolean", &m.bitIsBool)
	flag("yearIsDateType", &m.yearIsDate)
	zero, _ := property("zeroDateTimeBehavior")
	switch strings.ToLower(strings.ReplaceAll(zero, "_", "")) {
	case "converttonull":
		m.zeroDate = zeroIsNull
	case "round":
		m.zeroDate = zeroRounds
	}
	return m
}

func (m *mysql) levels() []string {
	return []string{"READ_UNCOMMITTED", "READ_COMMITTED", "REPEATABLE_READ", "SERIALIZABLE"}
}

// tables lists those of the session's database, and the others when what is asked for is not all there.
func (m *mysql) tables(ctx context.Context, set *settings) ([]table, error) {
	all, err := m.sqlSession.tables(ctx, set)
	if err != nil || set.Has(catalogKey) {
		return all, err
	}
	_, missing, err := set.filter(all, m.mark())
	if err != nil {
		return nil, err
	}
	here := len(missing) == 0
	for _, p := range set.include {
		matched, err := anyMatches(p, all)
		if err != nil {
			return nil, err
		}
		here = here && matched
	}
	if here {
		return all, nil
	}
	every := "%"
	more, err := m.list(ctx, dialect.Filter{Catalog: &every, Types: types(set)})
	var kept []table
	for _, t := range more {
		switch t.catalog {
		case "information_schema", "mysql", "performance_schema", "sys":
		default:
			kept = append(kept, t)
		}
	}
	return kept, err
}

func anyMatches(p pattern, all []table) (bool, error) {
	for _, t := range all {
		if ok, err := p.matches(t.String()); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// now has whole seconds: rows of a second that is not over wait.
func (m *mysql) now(ctx context.Context, c clock, query string) (time.Time, error) {
	if query != "" {
		v, err := m.ask(ctx, query)
		if err != nil {
			return time.Time{}, err
		}
		return c.answer(v)
	}
	var text string
	if err := m.conn.QueryRowContext(ctx, "SELECT CAST(CURRENT_TIMESTAMP AS CHAR)").Scan(&text); err != nil {
		return time.Time{}, err
	}
	return c.stampOf(text)
}

func (m *mysql) begin(ctx context.Context, level string, readOnly bool) error {
	if level != defaultLevel {
		if err := m.exec(ctx, "SET TRANSACTION ISOLATION LEVEL "+strings.ReplaceAll(level, "_", " ")); err != nil {
			return err
		}
	}
	if readOnly {
		return m.exec(ctx, "START TRANSACTION/*!50605 READ ONLY*/") // a comment to servers that have no such transactions
	}
	return m.exec(ctx, "START TRANSACTION")
}

func (m *mysql) end(ctx context.Context) error { return m.exec(ctx, "COMMIT") }

func (m *mysql) query(ctx context.Context, q query) (rows, error) {
	st := m.writer(q, func(at time.Time) string { return "'" + q.clock.wall(at).text(' ', 6) + "'" }).statement(q.mode, q.target, q.suffix, q.lastID != nil)
	shown := m.writer(q, nil)
	shown.param = func(int, argument) string { return "?" }
	q.said(shown.statement(q.mode, q.target, q.suffix, q.lastID != nil).text)
	full := map[string]string{} // the whole types of a table's columns
	if q.isTable() {
		d, err := m.define(ctx, q.table)
		if err != nil {
			return nil, err
		}
		if d != nil {
			for _, c := range d.Columns {
				full[c.Name] = strings.ToLower(c.Full)
			}
		}
	}
	r, types, err := m.typed(ctx, st.text)
	if err != nil {
		return nil, err
	}
	columns := make([]column, len(types))
	isBits := make([]bool, len(types))
	for i, t := range types {
		columns[i] = m.column(t, full[t.Name()])
		isBits[i] = strings.HasSuffix(t.DatabaseTypeName(), "BIT")
	}
	out := newSQLRows(r, columns)
	out.fix = func(i int, v any) any {
		b, ok := v.([]byte)
		if !ok || !isBits[i] || len(b) > 8 {
			return v
		}
		var n uint64
		for _, x := range b {
			n = n<<8 | uint64(x)
		}
		return int64(n) //nolint:gosec // the bits as they are
	}
	return out, nil
}

var mysqlKinds = map[string]kind{
	"TINYINT": int8Kind, "UNSIGNED TINYINT": int16Kind, "SMALLINT": int16Kind, "UNSIGNED SMALLINT": int32Kind, "MEDIUMINT": int32Kind, "UNSIGNED MEDIUMINT": int64Kind,
	"INT": int32Kind, "UNSIGNED INT": int64Kind, "BIGINT": int64Kind, "UNSIGNED BIGINT": int64Kind, "FLOAT": float32Kind, "DOUBLE": float64Kind, "DECIMAL": decimalKind,
	"DATE": dateKind, "TIME": timeKind, "DATETIME": timestampKind, "TIMESTAMP": timestampKind, "BIT": int8Kind,
	"CHAR": stringKind, "VARCHAR": stringKind, "TINYTEXT": stringKind, "TEXT": stringKind, "MEDIUMTEXT": stringKind, "LONGTEXT": stringKind, "ENUM": stringKind, "SET": stringKind,
	"JSON": stringKind, "BINARY": bytesKind, "VARBINARY": bytesKind, "TINYBLOB": bytesKind, "BLOB": bytesKind, "MEDIUMBLOB": bytesKind, "LONGBLOB": bytesKind, "GEOMETRY": bytesKind,
}

func (m *mysql) column(t *sql.ColumnType, full string) column {
	name := t.DatabaseTypeName()
	c := column{name: t.Name(), typeName: name, kind: mysqlKinds[name], zeroDate: m.zeroDate}
	if full != "" {
		c.typeName = full
	}
	nullable, known := t.Nullable()
	c.optional = nullable || !known
	if p, s, ok := t.DecimalSize(); ok && name == "DECIMAL" {
		c.precision, c.scale = int(p), int(s)
	}
	switch {
	case name == "YEAR" && m.yearIsDate:
		c.kind = yearKind
	case name == "YEAR":
		c.kind = int32Kind
	case strings.HasPrefix(full, "tinyint(1)") && m.tinyIsBit && (m.mariaDB || m.bitIsBool), full == "bit(1)" && m.mariaDB:
		c.kind = boolKind
	}
	return c
}

var _ session = (*mysql)(nil)
