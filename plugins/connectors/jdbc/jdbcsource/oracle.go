package jdbcsource

import (
	"context"
	"database/sql"
	"strings"
	"time"

	ora "github.com/sijms/go-ora/v2"
)

// oracle reads Oracle. The driver gives times without a zone in one or the other zone: only their clock counts.
type oracle struct {
	sqlSession
	tx *sql.Tx // of which statements need not know; outside of one the driver commits each
}

func (o *oracle) names() parts     { return parts{schemas: true} }
func (o *oracle) levels() []string { return []string{"READ_COMMITTED", "SERIALIZABLE"} }

// columns are those of the table that a synonym stands for.
func (o *oracle) columns(ctx context.Context, t table) ([]tableColumn, error) {
	base, err := o.base(ctx, t)
	if err != nil {
		return nil, err
	}
	return o.sqlSession.columns(ctx, base)
}

// base is the table that a synonym stands for, or the table itself.
func (o *oracle) base(ctx context.Context, t table) (table, error) {
	err := o.each(ctx, "SELECT table_owner, table_name FROM all_synonyms WHERE owner = COALESCE(:1, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')) AND synonym_name = :2", func(r *sql.Rows) error {
		return r.Scan(&t.schema, &t.name)
	}, t.schema, t.name)
	return t, err
}

func (o *oracle) now(ctx context.Context, c clock, query string) (time.Time, error) {
	if query == "" {
		query = o.d.Now()
	}
	v, kind, err := o.askTyped(ctx, query)
	if err != nil {
		return time.Time{}, err
	}
	if t, ok := v.(time.Time); ok && oracleKinds[kind] == timestampKind { // it has no zone
		return c.instant(wallOf(t)), nil
	}
	return c.answer(v)
}

// begin begins a transaction at the driver, which can begin plain ones only.
func (o *oracle) begin(ctx context.Context, level string, readOnly bool) (err error) {
	if o.tx, err = o.conn.BeginTx(ctx, nil); err != nil {
		return err
	}
	switch {
	case level != defaultLevel:
		return o.exec(ctx, "SET TRANSACTION ISOLATION LEVEL "+strings.ReplaceAll(level, "_", " "))
	case readOnly:
		return o.exec(ctx, "SET TRANSACTION READ ONLY")
	}
	return nil
}

func (o *oracle) end(context.Context) error {
	if o.tx == nil {
		return nil
	}
	tx := o.tx
	o.tx = nil
	return tx.Commit()
}

// parsing has the server parse a query, as the driver prepares nothing.
const parsing = "DECLARE c INTEGER := DBMS_SQL.OPEN_CURSOR; BEGIN DBMS_SQL.PARSE(c, :1, DBMS_SQL.NATIVE); DBMS_SQL.CLOSE_CURSOR(c); END;"

func (o *oracle) check(ctx context.Context, query string) error {
	_, err := o.conn.ExecContext(ctx, parsing, withoutAS(query))
	return err
}

// oracleType is what the catalog tells of a column: the result's own metadata tells FLOAT and negative scales from NUMBER in part only.
type oracleType struct {
	kind             string
	precision, scale sql.NullInt64
}

func (o *oracle) declared(ctx context.Context, q query) (map[string]oracleType, error) {
	all := map[string]oracleType{}
	if !q.isTable() {
		return all, nil
	}
	base, err := o.base(ctx, q.table)
	if err != nil {
		return nil, err
	}
	return all, o.each(ctx, `SELECT column_name, data_type, data_precision, data_scale FROM all_tab_cols
 WHERE owner = COALESCE(:1, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')) AND table_name = :2 AND hidden_column = 'NO'`, func(r *sql.Rows) error {
		name, d := "", oracleType{}
		err := r.Scan(&name, &d.kind, &d.precision, &d.scale)
		all[name] = d
		return err
	}, base.schema, base.name)
}

func (o *oracle) query(ctx context.Context, q query) (rows, error) {
	declared, err := o.declared(ctx, q)
	if err != nil {
		return nil, err
	}
	w := writer{param: func(n int, _ argument) string { return o.d.Mark(n) }, noAS: true}
	if q.quote {
		w.quote = o.mark()
	} else {
		w.table = func(t table) string { return strings.ToUpper(t.String()) }
	}
	st := w.statement(q.mode, q.target, q.suffix, q.lastID != nil)
	q.said(st.text)
	r, types, err := o.typed(ctx, st.text, q.values(st, func(at time.Time) any { return ora.TimeStamp(timeOf(q.clock.wall(at))) })...)
	if err != nil {
		return nil, err
	}
	columns := make([]column, len(types))
	for i, t := range types {
		d, known := declared[t.Name()]
		columns[i] = oracleColumn(t, d, known)
	}
	out := newSQLRows(r, columns)
	out.fix = func(i int, v any) any {
		t, ok := v.(time.Time)
		switch {
		case !ok:
		case columns[i].kind == timestampKind:
			return q.clock.instant(wallOf(t))
		case columns[i].instead == unsupported:
			return wallText(t)
		}
		return v
	}
	return out, nil
}

// oracleKinds go by the driver's names of types: large objects come as long texts and bytes.
var oracleKinds = map[string]kind{
	"NUMBER": numericKind, "FLOAT": numericKind, "CHAR": stringKind, "NCHAR": stringKind, "VARCHAR": stringKind, "LONG": stringKind, "LongVarChar": stringKind, "OCIClobLocator": stringKind,
	"OCIXMLType": stringKind, "XMLType": stringKind, "RAW": bytesKind, "LongRaw": bytesKind, "OCIBlobLocator": bytesKind,
	"DATE": timestampKind, "OCIDate": timestampKind, "TIMESTAMP": timestampKind, "TimeStampDTY": timestampKind,
}

// oracleInstead is what the types that are left out become with unsupported.types=string, if not text.
var oracleInstead = map[string]kind{
	"IBFloat": float32Kind, "IBDouble": float64Kind, "TIMESTAMPTZ": timestampKind, "TimeStampTZ": timestampKind, "TimeStampTZ_DTY": timestampKind, "TimeStampLTZ_DTY": timestampKind,
	"TimeStampeLTZ": timestampKind,
}

// anyScale is how the driver writes the scale of a number that has none.
const anyScale = 255

func oracleColumn(t *sql.ColumnType, d oracleType, known bool) column {
	name := t.DatabaseTypeName()
	c := column{name: t.Name(), typeName: name, kind: oracleKinds[name], instead: oracleInstead[name]}
	nullable, told := t.Nullable()
	c.optional = nullable || !told
	if known {
		c.typeName = d.kind
	}
	if c.kind != numericKind {
		return c
	}
	p, scale, _ := t.DecimalSize()
	switch {
	case known && d.kind == "FLOAT":
		c.precision, c.scale = int(d.precision.Int64), -unset
	case known && !d.precision.Valid && !d.scale.Valid, !known && scale == anyScale:
		c.precision, c.scale = 0, -unset
	case known:
		c.precision, c.scale = int(d.precision.Int64), int(d.scale.Int64)
		if !d.precision.Valid { // NUMBER(*,s), INTEGER
			c.precision = 38
		}
	default:
		c.precision, c.scale = int(p), int(int8(scale)) //nolint:gosec // the driver gives a byte
	}
	return c
}

var _ session = (*oracle)(nil)
