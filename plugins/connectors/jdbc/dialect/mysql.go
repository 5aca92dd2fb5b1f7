package dialect

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/go-sql-driver/mysql"
)

type mysqlDialect struct{}

func (mysqlDialect) Kind() Kind               { return MySQL }
func (mysqlDialect) Name() string             { return "MySqlDatabaseDialect" }
func (mysqlDialect) Product() string          { return "MySQL" }
func (mysqlDialect) Quote(name string) string { return doubled("`", "`", name) }
func (mysqlDialect) Quotes() [][2]byte        { return [][2]byte{{'`', '`'}, {'"', '"'}} }
func (mysqlDialect) Fold(table string) string { return table }
func (mysqlDialect) Mark(int) string          { return "?" }
func (mysqlDialect) MaxMarks() int            { return 65535 }
func (mysqlDialect) Now() string              { return "SELECT CURRENT_TIMESTAMP(6)" }

const mysqlTypes = `CASE table_type WHEN 'BASE TABLE' THEN 'TABLE' ELSE table_type END`

// Table implements Dialect. datetime_precision came with fractions of seconds; older servers take it for a comment.
func (mysqlDialect) Table(ctx context.Context, q Querier, n Name) (*Table, error) {
	schema := n.Catalog
	if schema == "" {
		schema = n.Schema
	}
	type head struct {
		table Table
		fold  int
	}
	heads, err := collect(ctx, q, func(scan func(...any) error) (h head, err error) {
		return h, scan(&h.table.Name.Catalog, &h.table.Name.Table, &h.table.Type, &h.fold, &h.table.NoTransactions)
	}, `SELECT table_schema, table_name, `+mysqlTypes+`, @@lower_case_table_names,
 COALESCE((SELECT e.engine FROM information_schema.engines e WHERE e.engine = t.engine AND COALESCE(e.transactions, 'NO') <> 'YES'), '') FROM information_schema.tables t
 WHERE table_schema = COALESCE(NULLIF(?, ''), DATABASE()) AND table_name = ?`, schema, n.Table)
	if err != nil {
		return nil, err
	}
	var t *Table
	for i := range heads {
		if heads[i].table.Name.Table == n.Table || heads[i].fold != 0 && t == nil {
			t = &heads[i].table
		}
	}
	if t == nil {
		return nil, nil
	}
	t.Columns, err = collect(ctx, q, func(scan func(...any) error) (c Column, err error) {
		var length, precision, scale, dt sql.NullInt64
		extra := ""
		err = scan(&c.Name, &c.Type, &c.Full, &length, &precision, &scale, &dt, &c.Nullable, &c.Default, &extra)
		c.Length, c.Precision, c.Scale = orMinus(length), orMinus(precision), orMinus(scale)
		if dt.Valid {
			c.Precision = dt.Int64
		}
		extra = strings.ToLower(extra)
		c.Auto = strings.Contains(extra, "auto_increment")
		c.Generated = strings.Contains(extra, "generated") && !strings.Contains(extra, "default_generated")
		c.Default = c.Default || c.Auto
		return c, err
	}, `SELECT column_name, data_type, column_type, character_maximum_length, numeric_precision, numeric_scale, COALESCE(NULL/*!50604 , datetime_precision*/),
 is_nullable = 'YES', column_default IS NOT NULL AND column_default <> 'NULL', extra FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position`,
		t.Name.Catalog, t.Name.Table)
	if err != nil {
		return nil, err
	}
	parts, err := collect(ctx, q, scanPart, `SELECT index_name, column_name FROM information_schema.statistics
 WHERE table_schema = ? AND table_name = ? AND non_unique = 0 ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index`, t.Name.Catalog, t.Name.Table)
	if err != nil {
		return nil, err
	}
	t.setUnique(parts, len(parts) > 0 && parts[0].key == "PRIMARY")
	return t, nil
}

// Tables implements Dialect. A filter without a catalog means the session's database, if it has one.
func (mysqlDialect) Tables(ctx context.Context, q Querier, f Filter) ([]Table, error) {
	list, err := collect(ctx, q, func(scan func(...any) error) (t Table, err error) {
		return t, scan(&t.Name.Catalog, &t.Name.Table, &t.Type)
	}, `SELECT table_schema, table_name, `+mysqlTypes+` AS type FROM information_schema.tables
 WHERE table_schema LIKE COALESCE(?, DATABASE(), '%') AND (? IS NOT NULL OR table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys'))
 ORDER BY type, table_schema, table_name`, f.Catalog, f.Catalog)
	return kept(list, f), err
}

var mysqlCodes = map[Class][]int{
	Connection:  {1040, 1042, 1043, 1053, 1077, 1078, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1205, 1203, 1226, 1927, 2002, 2003, 2006, 2013, 1021, 1041, 1290, 1836, 3024, 3100},
	Concurrency: {1213, 1020, 1637, 1317},
	Data: {1048, 1062, 1264, 1265, 1292, 1364, 1366, 1367, 1406, 1411, 1216, 1217, 1451, 1452, 1525, 1526, 1557, 1586, 1690, 3140, 3141, 3144, 3819, 4025, 1416, 1136, 1231,
		1263, 1300, 1365, 1441, 1591},
	Structure: {1044, 1045, 1049, 1050, 1051, 1054, 1060, 1064, 1101, 1142, 1143, 1146, 1170, 1227, 1370},
}

// Fault implements Dialect.
func (mysqlDialect) Fault(err error) Fault {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		f := Fault{Code: codeText(int(e.Number)), Message: e.Message, Class: byCode(int(e.Number), mysqlCodes)}
		if e.SQLState != [5]byte{} {
			f.SQLState = string(e.SQLState[:])
		}
		if f.Class == Other {
			f.Class = byState(f.SQLState)
		}
		if e.Number == 1105 && strings.Contains(e.Message, "max_allowed_packet") { // a value is larger; the number is that of all that has none
			f.Class = Data
		}
		return f
	}
	if errors.Is(err, mysql.ErrPktTooLarge) {
		return Fault{Class: Data, Message: err.Error()}
	}
	if errors.Is(err, mysql.ErrInvalidConn) {
		return Fault{Class: Connection, Message: err.Error()}
	}
	if f, ok := lost(err); ok {
		return f
	}
	return Fault{Message: err.Error()}
}
