package jdbcsink

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// isComplex tells whether a database has no column for a schema.
func isComplex(c *data.Schema, d dialect.Dialect) bool {
	if c.Type() == data.Array {
		return d.Kind() != dialect.PostgreSQL || c.ValueSchema() == nil || c.ValueSchema().Type() >= data.Array
	}
	return c.Type() == data.MapType || c.Type() == data.StructType
}

// columns of the table below.
const (
	inPostgres = iota
	inMySQL
	inSQLite
	inSQLServer
	inOracle
)

// plain are the types of columns, by the schema's type.
var plain = map[data.Type][5]string{
	data.Int8:    {"SMALLINT", "TINYINT", "INTEGER", "tinyint", "NUMBER(3,0)"},
	data.Int16:   {"SMALLINT", "SMALLINT", "INTEGER", "smallint", "NUMBER(5,0)"},
	data.Int32:   {"INT", "INT", "INTEGER", "int", "NUMBER(10,0)"},
	data.Int64:   {"BIGINT", "BIGINT", "INTEGER", "bigint", "NUMBER(19,0)"},
	data.Float32: {"REAL", "FLOAT", "REAL", "real", "BINARY_FLOAT"},
	data.Float64: {"DOUBLE PRECISION", "DOUBLE", "REAL", "float", "BINARY_DOUBLE"},
	data.Boolean: {"BOOLEAN", "TINYINT", "INTEGER", "bit", "NUMBER(1,0)"},
	data.String:  {"TEXT", "TEXT", "TEXT", "varchar(max)", "VARCHAR2(4000)"},
	data.Bytes:   {"BYTEA", "VARBINARY(1024)", "BLOB", "varbinary(max)", "BLOB"},
}

var (
	keyText    = [5]string{"TEXT", "VARCHAR(255)", "TEXT", "varchar(900)", "VARCHAR2(1000)"}
	keyBytes   = [5]string{"BYTEA", "VARBINARY(255)", "BLOB", "varbinary(900)", "RAW(1000)"}
	decimals   = [5]string{"DECIMAL", "DECIMAL(65,%d)", "NUMERIC", "decimal(38,%d)", "NUMBER(*,%d)"}
	dates      = [5]string{"DATE", "DATE", "NUMERIC", "date", "DATE"}
	times      = [5]string{"TIME", "TIME(3)", "NUMERIC", "time", "DATE"}
	timestamps = [5]string{"TIMESTAMP", "DATETIME(3)", "NUMERIC", "datetime2", "TIMESTAMP"}
	micros     = [5]string{"TIMESTAMP", "DATETIME(6)", "NUMERIC", "datetime2", "TIMESTAMP(6)"}
)

func columnOf(k dialect.Kind) int {
	return map[dialect.Kind]int{dialect.PostgreSQL: inPostgres, dialect.MySQL: inMySQL, dialect.SQLite: inSQLite, dialect.SQLServer: inSQLServer, dialect.Oracle: inOracle}[k]
}

// columnType is the type of a column that is made for a field.
func (s *settings) columnType(d dialect.Dialect, f *field) (string, error) {
	at := columnOf(d.Kind())
	c := f.schema
	switch {
	case f.ts && at == inOracle && s.tsNanos:
		return "TIMESTAMP(9)", nil
	case f.ts:
		return micros[at], nil
	case s.complex == complexJSON && isComplex(c, d):
		return s.textType(at, false), nil
	}
	return s.schemaType(at, c, f.key)
}

func (s *settings) textType(at int, key bool) string {
	switch {
	case key && s.wide && at == inSQLServer:
		return "nvarchar(450)"
	case key:
		return keyText[at]
	case s.aiven && at == inMySQL:
		return "VARCHAR(256)"
	case s.aiven && at == inOracle:
		return "CLOB"
	case s.wide:
		return [5]string{"TEXT", "LONGTEXT", "TEXT", "nvarchar(max)", "CLOB"}[at]
	}
	return plain[data.String][at]
}

func (s *settings) schemaType(at int, c *data.Schema, key bool) (string, error) {
	switch c.Logical() {
	case data.LogicalDecimal:
		scale, err := c.Scale()
		if err != nil {
			return "", err
		}
		if p, ok := c.Param("connect.decimal.precision"); ok && s.wide {
			if n, err := strconv.Atoi(p); err == nil && n > 0 {
				return fmt.Sprintf("%s(%d,%d)", [5]string{"DECIMAL", "DECIMAL", "DECIMAL", "decimal", "NUMBER"}[at], n, scale), nil
			}
		}
		if strings.Contains(decimals[at], "%d") {
			return fmt.Sprintf(decimals[at], scale), nil
		}
		return decimals[at], nil
	case data.LogicalDate:
		return dates[at], nil
	case data.LogicalTime:
		return times[at], nil
	case data.LogicalTimestamp:
		return timestamps[at], nil
	default:
	}
	switch c.Type() {
	case data.String:
		return s.textType(at, key), nil
	case data.Bytes:
		if key {
			return keyBytes[at], nil
		}
		if s.wide && at == inMySQL {
			return "LONGBLOB", nil
		}
	case data.Int8:
		if s.wide && at == inSQLServer {
			return "smallint", nil
		}
	case data.Boolean:
		if s.wide && at == inMySQL {
			return "BOOLEAN", nil
		}
	case data.Array:
		if e := c.ValueSchema(); at == inPostgres && e != nil && e.Type() < data.Array {
			of, err := s.schemaType(at, e, false)
			return of + "[]", err
		}
	default:
	}
	if t, ok := plain[c.Type()]; ok {
		return t[at], nil
	}
	name := "null"
	if c.HasName() {
		name = c.Name()
	}
	return "", bad("%s (%s) type doesn't have a mapping to the SQL database column type", name, c.Type())
}

// columnText is a column in CREATE TABLE or ALTER TABLE.
func (s *settings) columnText(d dialect.Dialect, f *field) (string, error) {
	typ, err := s.columnType(d, f)
	if err != nil {
		return "", err
	}
	text := s.id(d, f.name) + " " + typ
	noLiteral := d.Kind() == dialect.MySQL && (strings.HasSuffix(typ, "TEXT") || strings.HasSuffix(typ, "BLOB"))
	if f.schema.Default() != nil && !noLiteral && !isComplex(f.schema, d) || f.schema.Default() != nil && d.Kind() == dialect.PostgreSQL && f.schema.Type() == data.Array {
		literal, err := s.literal(d, f)
		return text + " DEFAULT " + literal, err
	}
	if f.optional() {
		return text + " NULL", nil
	}
	return text + " NOT NULL", nil
}

// createTable is the statement that makes a table.
func (s *settings) createTable(d dialect.Dialect, table string, fields []*field) (string, error) {
	var b strings.Builder
	b.WriteString("CREATE TABLE " + table + " (")
	var keys []string
	for i, f := range fields {
		if i > 0 {
			b.WriteString(",")
		}
		text, err := s.columnText(d, f)
		if err != nil {
			return "", err
		}
		b.WriteString("\n" + text)
		if f.key {
			keys = append(keys, s.id(d, f.name))
		}
	}
	if keys != nil {
		b.WriteString(",\nPRIMARY KEY(" + strings.Join(keys, ",") + ")")
	}
	return b.String() + ")", nil
}

// alterTable are the statements that add columns.
func (s *settings) alterTable(d dialect.Dialect, table string, fields []*field) ([]string, error) {
	texts := make([]string, len(fields))
	for i, f := range fields {
		var err error
		if texts[i], err = s.columnText(d, f); err != nil {
			return nil, err
		}
	}
	head := "ALTER TABLE " + table + " "
	switch d.Kind() {
	case dialect.SQLite:
		for i := range texts {
			texts[i] = head + "ADD " + texts[i]
		}
		return texts, nil
	case dialect.SQLServer:
		return []string{head + "ADD\n" + strings.Join(texts, ",\n")}, nil
	case dialect.Oracle:
		return []string{head + "ADD(\n" + strings.Join(texts, ",\n") + ")"}, nil
	default:
	}
	if len(texts) == 1 {
		return []string{head + "ADD " + texts[0]}, nil
	}
	return []string{head + "\nADD " + strings.Join(texts, ",\nADD ")}, nil
}

// literal is a field's default in a statement.
func (s *settings) literal(d dialect.Dialect, f *field) (string, error) {
	v := f.schema.Default()
	if f.ts {
		bound, err := s.bindTimestampField(d, v)
		return quoted(d, fmt.Sprint(bound)), err
	}
	return s.literalOf(d, f.schema, v)
}

func (s *settings) literalOf(d dialect.Dialect, c *data.Schema, v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "NULL", nil
	case int8, int16, int32, int64, data.Decimal:
		return data.Text(v), nil
	case float32, float64:
		return data.Text(v), nil
	case bool:
		switch {
		case d.Kind() == dialect.PostgreSQL:
			return strings.ToUpper(strconv.FormatBool(v)), nil
		case v:
			return "1", nil
		}
		return "0", nil
	case string:
		return quoted(d, v), nil
	case []byte:
		h := hex.EncodeToString(v)
		return map[dialect.Kind]string{dialect.PostgreSQL: `'\x` + h + "'", dialect.SQLServer: "0x" + h, dialect.Oracle: "HEXTORAW('" + h + "')"}[d.Kind()] +
			map[dialect.Kind]string{dialect.MySQL: "x'" + h + "'", dialect.SQLite: "x'" + h + "'"}[d.Kind()], nil
	case data.Instant:
		return s.literalTime(d, c, v), nil
	case []any:
		if d.Kind() == dialect.PostgreSQL {
			texts := make([]string, len(v))
			for i, e := range v {
				var err error
				if texts[i], err = s.literalOf(d, c.ValueSchema(), e); err != nil {
					return "", err
				}
			}
			typ, err := s.schemaType(inPostgres, c, false)
			return "ARRAY[" + strings.Join(texts, ",") + "]::" + typ, err
		}
	}
	return "", connecterr.New(connecterr.General, "Unsupported type for column value: %s", c.Type())
}

func (s *settings) literalTime(d dialect.Dialect, c *data.Schema, v data.Instant) string {
	if d.Kind() == dialect.SQLite {
		return strconv.FormatInt(int64(v), 10) // as values are stored
	}
	var prefix string
	form := "2006-01-02 15:04:05.000"
	wall := s.calendar.Wall(v.Time(), s.zone)
	switch c.Logical() {
	case data.LogicalDate:
		form, prefix, wall = "2006-01-02", "DATE ", s.calendar.Wall(v.Time(), s.dateZone)
	case data.LogicalTime:
		if form = "15:04:05.000"; d.Kind() == dialect.Oracle {
			form = "2006-01-02 15:04:05.000"
		}
		prefix = "TIMESTAMP "
	default:
		prefix = "TIMESTAMP "
	}
	if d.Kind() != dialect.Oracle {
		prefix = ""
	}
	return prefix + "'" + wall.Format(form) + "'"
}

// quoted is a text literal.
func quoted(d dialect.Dialect, v string) string {
	if d.Kind() == dialect.MySQL {
		v = strings.ReplaceAll(v, `\`, `\\`)
	}
	return "'" + strings.ReplaceAll(v, "'", "''") + "'"
}
