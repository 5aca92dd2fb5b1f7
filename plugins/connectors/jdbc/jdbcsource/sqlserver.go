package jdbcsource

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-sql/civil"
	mssql "github.com/microsoft/go-mssqldb"

	"github.com/millrace/millrace/sdk/connecterr"
)

// sqlServer reads SQL Server. The driver gives times without a zone as if they were UTC's.
type sqlServer struct {
	sqlSession
	major     int                          // the server's version; 0: not asked yet
	described map[string]map[string]string // the types of queries' columns
}

func (s *sqlServer) names() parts { return parts{schemas: true, catalogs: true} }

func (s *sqlServer) levels() []string {
	return []string{"READ_UNCOMMITTED", "READ_COMMITTED", "REPEATABLE_READ", "SERIALIZABLE", snapshot}
}

// columns are those of the table that a synonym stands for.
func (s *sqlServer) columns(ctx context.Context, t table) ([]tableColumn, error) {
	all, err := s.sqlSession.columns(ctx, t)
	if err != nil || len(all) > 0 {
		return all, err
	}
	base, err := s.synonym(ctx, t)
	if err != nil || base == nil {
		return nil, err
	}
	all, err = s.sqlSession.columns(ctx, *base)
	if err == nil && len(all) == 0 {
		err = connecterr.New(connecterr.Config, "Could not resolve base table for synonym: %s", t)
	}
	return all, err
}

// synonym is the table that a synonym stands for; nil: it is none.
func (s *sqlServer) synonym(ctx context.Context, t table) (*table, error) {
	var text string
	in := "sys.synonyms"
	if t.catalog != "" {
		in = quoted(t.catalog, "[") + "." + in
	}
	err := s.each(ctx, "SELECT base_object_name FROM "+in+" WHERE name = @p1 AND schema_id = SCHEMA_ID(COALESCE(NULLIF(@p2, ''), SCHEMA_NAME()))", func(r *sql.Rows) error {
		return r.Scan(&text)
	}, t.name, t.schema)
	if err != nil || text == "" {
		return nil, err
	}
	parts, err := cut(text, '.', false)
	if err != nil || len(parts) > 3 {
		return nil, connecterr.New(connecterr.Config, "Could not resolve base table for synonym: %s", t)
	}
	base := table{catalog: t.catalog, schema: t.schema}
	for i, to := range []*string{&base.name, &base.schema, &base.catalog} {
		if i < len(parts) {
			one, err := parseTable(parts[len(parts)-1-i], false)
			if err != nil {
				return nil, err
			}
			*to = one.name
		}
	}
	return &base, nil
}

func (s *sqlServer) now(ctx context.Context, c clock, query string) (time.Time, error) {
	if query == "" {
		query = s.d.Now()
	}
	v, err := s.ask(ctx, query)
	if err != nil {
		return time.Time{}, err
	}
	if t, ok := v.(time.Time); ok && t.Location() == time.UTC {
		return c.instant(wallOf(t)), nil
	}
	return c.answer(v)
}

// begin sets the level each time: it stays with the session.
func (s *sqlServer) begin(ctx context.Context, level string, _ bool) error {
	statement := "BEGIN TRANSACTION"
	if level != defaultLevel {
		statement = "SET TRANSACTION ISOLATION LEVEL " + strings.ReplaceAll(strings.TrimPrefix(level, "SQL_SERVER_"), "_", " ") + "; " + statement
	}
	return s.exec(ctx, statement)
}

// end ends a transaction that the server may have ended already, for an error.
func (s *sqlServer) end(ctx context.Context) error {
	return s.exec(ctx, "IF XACT_STATE() = -1 ROLLBACK TRANSACTION ELSE IF @@TRANCOUNT > 0 COMMIT TRANSACTION")
}

// check asks for the columns of the result, as the driver prepares nothing.
func (s *sqlServer) check(ctx context.Context, query string) error {
	return s.exec(ctx, "EXEC sp_describe_first_result_set @tsql = N'"+strings.ReplaceAll(query, "'", "''")+"'")
}

// declared are the types of the columns of a target, as the database calls them: the driver calls numeric decimal.
func (s *sqlServer) declared(ctx context.Context, q query) (map[string]string, error) {
	types := map[string]string{}
	if q.isTable() {
		d, err := s.define(ctx, q.table)
		if err == nil && d == nil {
			var base *table
			if base, err = s.synonym(ctx, q.table); err == nil && base != nil {
				d, err = s.define(ctx, *base)
			}
		}
		if err != nil || d == nil {
			return types, err
		}
		for _, c := range d.Columns {
			types[c.Name] = strings.ToLower(c.Type)
		}
		return types, nil
	}
	if known, ok := s.described[q.query]; ok {
		return known, nil
	}
	err := s.each(ctx, "SELECT name, system_type_name FROM sys.dm_exec_describe_first_result_set(@p1, NULL, 0) WHERE name IS NOT NULL AND system_type_name IS NOT NULL", func(r *sql.Rows) error {
		var name, kind string
		err := r.Scan(&name, &kind)
		kind, _, _ = strings.Cut(kind, "(")
		types[name] = strings.ToLower(kind)
		return err
	}, q.query)
	s.described[q.query] = types
	return types, err
}

func (s *sqlServer) query(ctx context.Context, q query) (rows, error) {
	declared, err := s.declared(ctx, q)
	if err != nil {
		return nil, err
	}
	if err := s.refuseDatetime(ctx, q, declared); err != nil {
		return nil, err
	}
	w := writer{param: func(n int, _ argument) string { return s.d.Mark(n) }}
	if q.quote {
		w.quote = s.mark()
	}
	st := w.statement(q.mode, q.target, q.suffix, q.lastID != nil)
	q.said(st.text)
	args := q.values(st, func(at time.Time) any {
		if slices.ContainsFunc(q.stamps, func(c string) bool { return declaredAs(declared, c) == "datetimeoffset" }) {
			return mssql.DateTimeOffset(at.UTC())
		}
		return civilOf(q.clock.wall(at))
	})
	r, types, err := s.typed(ctx, st.text, args...)
	if err != nil {
		return nil, err
	}
	columns := make([]column, len(types))
	for i, t := range types {
		columns[i] = sqlServerColumn(t, declared[t.Name()])
	}
	out := newSQLRows(r, columns)
	out.fix = func(i int, v any) any { return sqlServerValue(columns[i], q.clock, v) }
	return out, nil
}

// declaredAs finds the type of a column that may be written in another case.
func declaredAs(types map[string]string, name string) string {
	if t, ok := types[name]; ok {
		return t
	}
	for n, t := range types {
		if strings.EqualFold(n, name) {
			return t
		}
	}
	return ""
}

// sqlServer2016 compares a datetime with a datetime2 by its three hundredths of a second, so that no row equals what was read of it.
const sqlServer2016 = 13

func (s *sqlServer) refuseDatetime(ctx context.Context, q query, declared map[string]string) error {
	if q.mode != timestamp && q.mode != both || !slices.ContainsFunc(q.stamps, func(c string) bool { return declaredAs(declared, c) == "datetime" }) {
		return nil
	}
	if s.major == 0 {
		v, err := s.ask(ctx, "SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128))")
		if err != nil {
			return err
		}
		major, _, _ := strings.Cut(fmt.Sprint(v), ".")
		if s.major, err = strconv.Atoi(major); err != nil {
			s.major = sqlServer2016 // what it is called in clouds
		}
	}
	if s.major >= sqlServer2016 {
		return rowError{connecterr.New(connecterr.General, "A DATETIME column is configured for timestamp.column.name with Sql Server. DATETIME is not supported. Use DATETIME2 instead.")}
	}
	return nil
}

func civilOf(w wall) civil.DateTime {
	return civil.DateTime{Date: civil.Date{Year: w.year, Month: time.Month(w.month), Day: w.day}, Time: civil.Time{Hour: w.hour, Minute: w.minute, Second: w.second, Nanosecond: w.nano}}
}

var sqlServerKinds = map[string]kind{
	"BIT": int8Kind, "TINYINT": int16Kind, "SMALLINT": int16Kind, "INT": int32Kind, "BIGINT": int64Kind, "DECIMAL": decimalKind, "MONEY": decimalKind, "SMALLMONEY": decimalKind,
	"REAL": float32Kind, "FLOAT": float64Kind, "CHAR": stringKind, "VARCHAR": stringKind, "TEXT": stringKind, "NCHAR": stringKind, "NVARCHAR": stringKind, "NTEXT": stringKind,
	"XML": stringKind, "UNIQUEIDENTIFIER": stringKind, "BINARY": bytesKind, "VARBINARY": bytesKind, "IMAGE": bytesKind, "HIERARCHYID": bytesKind, "DATE": dateKind, "TIME": timeKind,
	"DATETIME": timestampKind, "SMALLDATETIME": timestampKind, "DATETIME2": timestampKind, "DATETIMEOFFSET": timestampKind,
}

func sqlServerColumn(t *sql.ColumnType, declared string) column {
	name := t.DatabaseTypeName()
	c := column{name: t.Name(), typeName: strings.ToLower(name), kind: sqlServerKinds[name]}
	if declared != "" {
		c.typeName = declared
	}
	nullable, known := t.Nullable()
	c.optional = nullable || !known
	switch name {
	case "DECIMAL":
		if declared == "numeric" {
			c.kind = numericKind
		}
		p, scale, _ := t.DecimalSize()
		c.precision, c.scale = int(p), int(scale)
	case "MONEY":
		c.precision, c.scale = 19, 4
	case "SMALLMONEY":
		c.precision, c.scale = 10, 4
	}
	return c
}

// sqlServerValue gives a value of the driver one of raw's types.
func sqlServerValue(c column, zone clock, v any) any {
	switch x := v.(type) {
	case time.Time:
		switch {
		case c.kind == timeKind:
			return x.Format("15:04:05.999999999")
		case c.kind == timestampKind && c.typeName != "datetimeoffset":
			return zone.instant(wallOf(x))
		case c.kind == unsupported:
			return wallText(x)
		}
	case []byte:
		switch {
		case c.typeName == "uniqueidentifier":
			var id mssql.UniqueIdentifier
			if id.Scan(x) == nil {
				return id.String()
			}
		case c.kind == unsupported:
			return "0x" + strings.ToUpper(hex.EncodeToString(x))
		}
	}
	return v
}

var _ session = (*sqlServer)(nil)
