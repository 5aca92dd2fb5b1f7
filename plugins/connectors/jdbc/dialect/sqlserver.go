package dialect

import (
	"context"
	"errors"
	"strconv"

	mssql "github.com/microsoft/go-mssqldb"
)

type sqlServerDialect struct{}

func (sqlServerDialect) Kind() Kind               { return SQLServer }
func (sqlServerDialect) Name() string             { return "SqlServerDatabaseDialect" }
func (sqlServerDialect) Product() string          { return "SQL Server" }
func (sqlServerDialect) Quote(name string) string { return doubled("[", "]", name) }
func (sqlServerDialect) Quotes() [][2]byte        { return [][2]byte{{'[', ']'}, {'"', '"'}} }
func (sqlServerDialect) Fold(table string) string { return table }
func (sqlServerDialect) Mark(n int) string        { return "@p" + strconv.Itoa(n) }
func (sqlServerDialect) MaxMarks() int            { return 2100 }
func (sqlServerDialect) Now() string              { return "SELECT CURRENT_TIMESTAMP" }

// in names a catalog view of a database: "sys.objects" of the session's own, "[db].sys.objects" of another.
func (d sqlServerDialect) in(catalog, view string) string {
	if catalog == "" {
		return view
	}
	return d.Quote(catalog) + "." + view
}

// Table implements Dialect.
func (d sqlServerDialect) Table(ctx context.Context, q Querier, n Name) (*Table, error) {
	list, err := collect(ctx, q, func(scan func(...any) error) (t Table, err error) {
		return t, scan(&t.Name.Catalog, &t.Name.Schema, &t.Name.Table, &t.Type)
	}, `SELECT COALESCE(NULLIF(@p1, ''), DB_NAME()), s.name, o.name, CASE o.type WHEN 'V' THEN 'VIEW' ELSE 'TABLE' END FROM `+d.in(n.Catalog, "sys.objects")+` o
 JOIN `+d.in(n.Catalog, "sys.schemas")+` s ON s.schema_id = o.schema_id WHERE o.type IN ('U', 'V') AND o.name = @p2 AND s.name = COALESCE(NULLIF(@p3, ''), SCHEMA_NAME())`,
		n.Catalog, n.Table, n.Schema)
	if err != nil {
		return nil, err
	}
	var t *Table
	for i := range list {
		if t == nil || list[i].Name.Table == n.Table {
			t = &list[i]
		}
	}
	if t == nil {
		return nil, nil
	}
	object := `(SELECT o.object_id FROM ` + d.in(n.Catalog, "sys.objects") + ` o JOIN ` + d.in(n.Catalog, "sys.schemas") + ` s ON s.schema_id = o.schema_id WHERE o.name = @p1 AND s.name = @p2)`
	t.Columns, err = collect(ctx, q, func(scan func(...any) error) (c Column, err error) {
		err = scan(&c.Name, &c.Type, &c.Length, &c.Precision, &c.Scale, &c.Nullable, &c.Default, &c.Auto, &c.Generated)
		c.Full = c.Type
		return c, err
	}, `SELECT c.name, t.name, CAST(c.max_length AS bigint), CAST(c.precision AS bigint), CAST(c.scale AS bigint), c.is_nullable,
 CAST(CASE WHEN c.default_object_id <> 0 OR c.is_identity = 1 THEN 1 ELSE 0 END AS bit), c.is_identity, c.is_computed
 FROM `+d.in(n.Catalog, "sys.columns")+` c JOIN `+d.in(n.Catalog, "sys.types")+` t ON t.user_type_id = c.user_type_id WHERE c.object_id = `+object+` ORDER BY c.column_id`,
		t.Name.Table, t.Name.Schema)
	if err != nil {
		return nil, err
	}
	parts, err := collect(ctx, q, scanPrimary, `SELECT CAST(i.index_id AS varchar(20)), i.is_primary_key, c.name FROM `+d.in(n.Catalog, "sys.indexes")+` i
 JOIN `+d.in(n.Catalog, "sys.index_columns")+` k ON k.object_id = i.object_id AND k.index_id = i.index_id AND k.is_included_column = 0
 JOIN `+d.in(n.Catalog, "sys.columns")+` c ON c.object_id = k.object_id AND c.column_id = k.column_id
 WHERE i.object_id = `+object+` AND i.is_unique = 1 AND i.has_filter = 0 ORDER BY i.is_primary_key DESC, i.index_id, k.key_ordinal`, t.Name.Table, t.Name.Schema)
	if err != nil {
		return nil, err
	}
	t.setUnique(parts, len(parts) > 0 && parts[0].primary)
	return t, nil
}

// Tables implements Dialect.
func (d sqlServerDialect) Tables(ctx context.Context, q Querier, f Filter) ([]Table, error) {
	list, err := collect(ctx, q, func(scan func(...any) error) (t Table, err error) {
		return t, scan(&t.Name.Catalog, &t.Name.Schema, &t.Name.Table, &t.Type)
	}, `SELECT DB_NAME(), s.name, o.name, CASE o.type WHEN 'V' THEN 'VIEW' WHEN 'SN' THEN 'SYNONYM' ELSE 'TABLE' END AS type FROM sys.objects o
 JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE o.type IN ('U', 'V', 'SN') AND o.is_ms_shipped = 0 AND s.name NOT IN ('sys', 'INFORMATION_SCHEMA')
 AND s.name LIKE COALESCE(@p1, '%') AND DB_NAME() LIKE COALESCE(@p2, '%') ORDER BY type, s.name, o.name`, f.Schema, f.Catalog)
	return kept(list, f), err
}

var sqlServerCodes = map[Class][]int{
	Connection: {4060, 10053, 10054, 10060, 10061, 10928, 10929, 40197, 40501, 40613, 49918, 49919, 49920, 233, 64, 20, 121, 983, 976, 978, 1105, 9002, 701, 802, 8645, 3989},
	// 1222 is a lock that was not given in time
	Concurrency: {1205, 1222, 3960, 3961, 3935, 41302, 41305, 41325, 41301},
	Data:        {220, 232, 241, 242, 245, 248, 295, 296, 515, 517, 544, 547, 2601, 2627, 2628, 3621, 8114, 8115, 8152, 8169, 257, 206, 8672, 6522, 9420, 13609},
	Structure:   {102, 105, 156, 207, 208, 213, 229, 230, 262, 2714, 2705, 3701, 4902, 15151, 18456, 916, 1088},
}

// Fault implements Dialect.
func (sqlServerDialect) Fault(err error) Fault {
	if e, ok := errors.AsType[mssql.Error](err); ok {
		return Fault{Class: byCode(int(e.Number), sqlServerCodes), Code: codeText(int(e.Number)), Message: e.Message}
	}
	if f, ok := lost(err); ok {
		return f
	}
	return Fault{Message: err.Error()}
}
