package dialect

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

type postgresDialect struct{}

func (postgresDialect) Kind() Kind               { return PostgreSQL }
func (postgresDialect) Name() string             { return "PostgreSqlDatabaseDialect" }
func (postgresDialect) Product() string          { return "PostgreSQL" }
func (postgresDialect) Quote(name string) string { return doubled(`"`, `"`, name) }
func (postgresDialect) Quotes() [][2]byte        { return [][2]byte{{'"', '"'}} }
func (postgresDialect) Fold(table string) string { return strings.ToLower(table) }
func (postgresDialect) Mark(n int) string        { return "$" + strconv.Itoa(n) }
func (postgresDialect) MaxMarks() int            { return 65535 }
func (postgresDialect) Now() string              { return "SELECT CURRENT_TIMESTAMP" }

const postgresTypes = `CASE WHEN n.nspname IN ('pg_catalog', 'information_schema') OR n.nspname ~ '^pg_toast' THEN
 CASE c.relkind WHEN 'v' THEN 'SYSTEM VIEW' ELSE 'SYSTEM TABLE' END
 WHEN n.nspname ~ '^pg_temp' THEN CASE c.relkind WHEN 'v' THEN 'TEMPORARY VIEW' ELSE 'TEMPORARY TABLE' END
 ELSE CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' END END`

// Table implements Dialect.
func (postgresDialect) Table(ctx context.Context, q Querier, n Name) (*Table, error) {
	type head struct {
		oid   string
		table Table
	}
	heads, err := collect(ctx, q, func(scan func(...any) error) (h head, err error) {
		return h, scan(&h.oid, &h.table.Name.Schema, &h.table.Name.Table, &h.table.Type, &h.table.Plain)
	}, `SELECT c.oid::text, n.nspname::text, c.relname::text, `+postgresTypes+`, c.relkind IN ('r', 'p') AND NOT c.relrowsecurity AND NOT c.relhasrules
 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname = $1::text AND CASE WHEN $2::text = '' THEN pg_catalog.pg_table_is_visible(c.oid) ELSE n.nspname = $2::text END`,
		n.Table, n.Schema)
	if err != nil || len(heads) == 0 {
		return nil, err
	}
	h := heads[0]
	t := &h.table
	t.Columns, err = collect(ctx, q, func(scan func(...any) error) (c Column, err error) {
		mod, category := int64(0), ""
		err = scan(&c.Name, &c.Type, &c.Full, &mod, &category, &c.Nullable, &c.Default, &c.Auto, &c.Generated, &c.Cast)
		c.Array = category == "A"
		c.Length, c.Precision, c.Scale = -1, -1, -1
		switch {
		case mod < 0:
		case c.Type == "numeric":
			c.Precision, c.Scale = (mod-4)>>16&0xffff, (mod-4)&0x7ff
			if c.Scale >= 1024 { // negative
				c.Scale -= 2048
			}
		case c.Type == "varchar" || c.Type == "bpchar":
			c.Length = mod - 4
		case c.Type == "bit" || c.Type == "varbit":
			c.Length = mod
		case category == "D":
			c.Precision = mod
		}
		return c, err
	}, `SELECT a.attname::text, t.typname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypmod::bigint, t.typcategory::text,
 NOT (a.attnotnull OR t.typtype = 'd' AND t.typnotnull), a.atthasdef OR a.attidentity <> '',
 a.attidentity <> '' OR COALESCE(pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', false), a.attgenerated <> '',
 pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.typname)
 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
 LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = $1::text::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, h.oid)
	if err != nil {
		return nil, err
	}
	parts, err := collect(ctx, q, scanPrimary, `SELECT i.indexrelid::text, i.indisprimary, a.attname::text
 FROM pg_catalog.pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(num, place)
 JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num
 WHERE i.indrelid = $1::text::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts
 ORDER BY i.indisprimary DESC, i.indexrelid, k.place`, h.oid)
	if err != nil {
		return nil, err
	}
	t.setUnique(parts, len(parts) > 0 && parts[0].primary)
	return t, nil
}

// Tables implements Dialect.
func (postgresDialect) Tables(ctx context.Context, q Querier, f Filter) ([]Table, error) {
	list, err := collect(ctx, q, func(scan func(...any) error) (t Table, err error) {
		return t, scan(&t.Name.Schema, &t.Name.Table, &t.Type)
	}, `SELECT n.nspname::text, c.relname::text, `+postgresTypes+` AS type
 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname LIKE COALESCE($1::text, '%') ORDER BY type, n.nspname, c.relname`, f.Schema)
	return kept(list, f), err
}

// kept are the tables of wanted types.
func kept(list []Table, f Filter) []Table {
	var out []Table
	for _, t := range list {
		if f.wants(t.Type) {
			out = append(out, t)
		}
	}
	return out
}

// Fault implements Dialect.
func (postgresDialect) Fault(err error) Fault {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		f := Fault{Class: byState(e.Code), SQLState: e.Code, Message: "ERROR: " + e.Message}
		if e.Detail != "" {
			f.Message += " Detail: " + e.Detail
		}
		if e.Hint != "" {
			f.Message += " Hint: " + e.Hint
		}
		if e.Code == "28000" || e.Code == "28P01" || e.Code == "3D000" {
			f.Class = Structure
		}
		return f
	}
	if f, ok := lost(err); ok {
		return f
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return Fault{Class: Connection, Message: err.Error()}
	}
	if strings.Contains(err.Error(), "conn closed") || pgconn.SafeToRetry(err) {
		return Fault{Class: Connection, Message: err.Error()}
	}
	if errors.Is(err, sql.ErrNoRows) {
		return Fault{Message: err.Error()}
	}
	// What the driver itself refuses to encode is a value that does not fit.
	return Fault{Class: Data, Message: err.Error()}
}
