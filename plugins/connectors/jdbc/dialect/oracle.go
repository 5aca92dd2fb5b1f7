package dialect

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"github.com/sijms/go-ora/v2/network"
)

type oracleDialect struct{}

func (oracleDialect) Kind() Kind               { return Oracle }
func (oracleDialect) Name() string             { return "OracleDatabaseDialect" }
func (oracleDialect) Product() string          { return "Oracle" }
func (oracleDialect) Quote(name string) string { return doubled(`"`, `"`, name) }
func (oracleDialect) Quotes() [][2]byte        { return [][2]byte{{'"', '"'}} }
func (oracleDialect) Fold(table string) string { return strings.ToUpper(table) }
func (oracleDialect) Mark(n int) string        { return ":" + strconv.Itoa(n) }
func (oracleDialect) MaxMarks() int            { return 65535 }
func (oracleDialect) Now() string              { return "SELECT CURRENT_TIMESTAMP FROM dual" }

// Table implements Dialect.
func (oracleDialect) Table(ctx context.Context, q Querier, n Name) (*Table, error) {
	list, err := collect(ctx, q, func(scan func(...any) error) (t Table, err error) {
		return t, scan(&t.Name.Schema, &t.Name.Table, &t.Type)
	}, `SELECT owner, object_name, object_type FROM all_objects WHERE object_type IN ('TABLE', 'VIEW') AND object_name = :1
 AND owner = COALESCE(:2, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA'))`, n.Table, n.Schema)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	t := &list[0]
	t.Columns, err = collect(ctx, q, func(scan func(...any) error) (c Column, err error) {
		var length, precision, scale sql.NullInt64
		nullable, hasDefault, auto, virtual := "", "", "", ""
		err = scan(&c.Name, &c.Type, &length, &precision, &scale, &nullable, &hasDefault, &auto, &virtual)
		c.Length, c.Precision, c.Scale = orMinus(length), orMinus(precision), orMinus(scale)
		c.Full, c.Nullable, c.Auto, c.Generated = c.Type, nullable == "Y", auto == "YES", virtual == "YES"
		c.Default = hasDefault == "Y" || c.Auto
		return c, err
	}, `SELECT column_name, data_type, CASE WHEN char_length > 0 THEN char_length ELSE data_length END, data_precision, data_scale, nullable,
 CASE WHEN default_length > 0 THEN 'Y' ELSE 'N' END, identity_column, virtual_column FROM all_tab_cols
 WHERE owner = :1 AND table_name = :2 AND hidden_column = 'NO' ORDER BY column_id`, t.Name.Schema, t.Name.Table)
	if err != nil {
		return nil, err
	}
	parts, err := collect(ctx, q, scanPart, `SELECT c.constraint_type || c.constraint_name, k.column_name FROM all_constraints c
 JOIN all_cons_columns k ON k.owner = c.owner AND k.constraint_name = c.constraint_name
 WHERE c.owner = :1 AND c.table_name = :2 AND c.constraint_type IN ('P', 'U') ORDER BY c.constraint_type, c.constraint_name, k.position`, t.Name.Schema, t.Name.Table)
	if err != nil {
		return nil, err
	}
	t.setUnique(parts, len(parts) > 0 && strings.HasPrefix(parts[0].key, "P"))
	return t, nil
}

// Tables implements Dialect. Owners that come with Oracle are hidden unless the filter names a schema.
func (oracleDialect) Tables(ctx context.Context, q Querier, f Filter) ([]Table, error) {
	list, err := collect(ctx, q, func(scan func(...any) error) (t Table, err error) {
		return t, scan(&t.Name.Schema, &t.Name.Table, &t.Type)
	}, `SELECT o.owner, o.object_name, o.object_type FROM all_objects o WHERE o.object_type IN ('TABLE', 'VIEW', 'SYNONYM') AND o.object_name NOT LIKE 'BIN$%'
 AND o.owner LIKE COALESCE(:1, '%') AND (:2 IS NOT NULL OR o.owner NOT IN (SELECT username FROM all_users WHERE oracle_maintained = 'Y'))
 ORDER BY o.object_type, o.owner, o.object_name`, f.Schema, f.Schema)
	return kept(list, f), err
}

var oracleCodes = map[Class][]int{
	Connection: {28, 51, 54, 1012, 1033, 1034, 1089, 1090, 1092, 3113, 3114, 3135, 12153, 12154, 12500, 12505, 12514, 12516, 12518, 12519, 12520, 12521, 12528, 12537, 12541, 12543,
		12547, 12560, 12570, 12571, 17002, 17008, 18, 20, 1652, 1653, 1654, 1688, 1691, 257},
	Concurrency: {60, 8177, 104, 4020, 4021, 4068},
	Data:        {1, 1400, 1401, 1407, 1438, 1722, 1839, 1840, 1841, 1843, 1847, 1858, 1861, 2290, 2291, 2292, 12899, 1426, 1461, 1483, 1465, 932, 30926, 40478, 40441},
	Structure:   {900, 903, 904, 907, 911, 913, 917, 922, 936, 942, 947, 955, 1017, 1031, 1045, 1430, 1435, 1918, 1950, 2289, 28000, 28001},
}

// Fault implements Dialect.
func (oracleDialect) Fault(err error) Fault {
	if e, ok := errors.AsType[*network.OracleError](err); ok {
		return Fault{Class: byCode(e.ErrCode, oracleCodes), Code: codeText(e.ErrCode), Message: e.Error()}
	}
	if f, ok := lost(err); ok {
		return f
	}
	return Fault{Message: err.Error()}
}
