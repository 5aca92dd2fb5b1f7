package dialect

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

type sqliteDialect struct{}

func (sqliteDialect) Kind() Kind               { return SQLite }
func (sqliteDialect) Name() string             { return "SqliteDatabaseDialect" }
func (sqliteDialect) Product() string          { return "SQLite" }
func (sqliteDialect) Quote(name string) string { return doubled("`", "`", name) }
func (sqliteDialect) Quotes() [][2]byte        { return [][2]byte{{'`', '`'}, {'"', '"'}, {'[', ']'}} }
func (sqliteDialect) Fold(table string) string { return table }
func (sqliteDialect) Mark(int) string          { return "?" }
func (sqliteDialect) MaxMarks() int            { return 32766 }
func (sqliteDialect) Now() string              { return "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')" }

var sqliteSize = regexp.MustCompile(`^\s*([^(]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*$`)

// Table implements Dialect. Names of SQLite are the same in any case.
func (sqliteDialect) Table(ctx context.Context, q Querier, n Name) (*Table, error) {
	list, err := collect(ctx, q, func(scan func(...any) error) (t Table, err error) {
		err = scan(&t.Name.Table, &t.Type)
		return t, err
	}, `SELECT name, upper(type) FROM sqlite_master WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE`, n.Table)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	t := &list[0]
	t.Columns, err = collect(ctx, q, func(scan func(...any) error) (c Column, err error) {
		declared, notNull, hasDefault, hidden := "", false, false, 0
		err = scan(&c.Name, &declared, &notNull, &hasDefault, &c.KeyPart, &hidden)
		c.Full, c.Type, c.Length, c.Precision, c.Scale = declared, strings.ToUpper(declared), -1, -1, -1
		if m := sqliteSize.FindStringSubmatch(declared); m != nil {
			c.Type = strings.ToUpper(m[1])
			if p, err := strconv.ParseInt(m[2], 10, 64); err == nil {
				c.Length, c.Precision = p, p
			}
			if s, err := strconv.ParseInt(m[3], 10, 64); err == nil {
				c.Scale = s
			}
		}
		c.Nullable, c.Default, c.Generated = !notNull, hasDefault, hidden == 2 || hidden == 3
		return c, err
	}, `SELECT name, type, "notnull", dflt_value IS NOT NULL, pk, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid`, t.Name.Table)
	if err != nil {
		return nil, err
	}
	parts, err := collect(ctx, q, scanPart, `SELECT l.name, i.name FROM pragma_index_list(?) l, pragma_index_info(l.name) i
 WHERE l."unique" = 1 AND l.partial = 0 AND i.name IS NOT NULL ORDER BY l.origin <> 'pk', l.seq, i.seqno`, t.Name.Table)
	if err != nil {
		return nil, err
	}
	primary := make([]string, len(t.Columns))
	keys := 0
	for i, c := range t.Columns {
		if c.KeyPart > 0 && c.KeyPart <= len(primary) {
			primary[c.KeyPart-1], keys = c.Name, keys+1
			if strings.EqualFold(c.Full, "INTEGER") {
				t.Columns[i].Default = true // the row's number
			}
		}
	}
	if keys > 0 { // INTEGER PRIMARY KEY has no index
		t.Unique = append(t.Unique, primary[:keys])
	}
	if keys > 1 {
		for i := range t.Columns {
			if t.Columns[i].KeyPart > 0 {
				t.Columns[i].Default = t.Columns[i].Default && !strings.EqualFold(t.Columns[i].Full, "INTEGER")
			}
		}
	}
	t.Unique = append(t.Unique, uniques(parts)...)
	return t, nil
}

// Tables implements Dialect.
func (sqliteDialect) Tables(ctx context.Context, q Querier, f Filter) ([]Table, error) {
	list, err := collect(ctx, q, func(scan func(...any) error) (t Table, err error) {
		return t, scan(&t.Name.Table, &t.Type)
	}, `SELECT name, upper(type) FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY type, name`)
	return kept(list, f), err
}

// Fault implements Dialect.
func (sqliteDialect) Fault(err error) Fault {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		if f, ok := lost(err); ok {
			return f
		}
		return Fault{Message: err.Error()}
	}
	f := Fault{Code: codeText(e.Code()), Message: e.Error()}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_INTERRUPT:
		f.Class = Concurrency
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE:
		f.Class = Data
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_NOTADB:
		f.Class = Structure
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM:
		f.Class = Connection
	}
	return f
}
