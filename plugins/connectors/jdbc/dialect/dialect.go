// Package dialect is what differs between databases for the sink and for the source alike: how names are quoted and table names
// read, how parameters are marked, what the catalog tells of tables, and what an error means.
//
// ByName and ByURL choose a Dialect. A Dialect has no state and may be shared.
package dialect

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/connectors/jdbc/jdbcurl"
	"github.com/millrace/millrace/sdk/connecterr"
)

// Querier is what reads a database: a session or a transaction.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Dialect is what a database is like.
type Dialect interface {
	// Kind tells which database it is.
	Kind() Kind
	// Name is the value of dialect.name.
	Name() string
	// Product is the database's name, as messages show it.
	Product() string
	// Quote quotes an identifier, whatever is in it.
	Quote(name string) string
	// Quotes are the pairs of characters that quote a part of a table's name in a configuration.
	Quotes() [][2]byte
	// Fold is a table's name as the database keeps it when it stands unquoted in a statement.
	Fold(table string) string
	// Mark is the mark of a statement's n-th parameter, from 1 on.
	Mark(n int) string
	// MaxMarks is the most parameters that a statement may have.
	MaxMarks() int
	// Table reads a table's definition. The name's empty parts are those that the database itself would take. nil: there is none.
	Table(ctx context.Context, q Querier, n Name) (*Table, error)
	// Tables lists tables without their columns.
	Tables(ctx context.Context, q Querier, f Filter) ([]Table, error)
	// Now is the query for the database's present time.
	Now() string
	// Fault tells what a driver's error means.
	Fault(err error) Fault
}

// Kind is one of the databases.
type Kind uint8

// The databases.
const (
	PostgreSQL Kind = iota + 1
	MySQL           // and MariaDB
	SQLite
	SQLServer
	Oracle
)

// Name is a table's name; parts that were not given are empty.
type Name struct{ Catalog, Schema, Table string }

// Parts are the parts that were given.
func (n Name) Parts() []string {
	return slices.DeleteFunc([]string{n.Catalog, n.Schema, n.Table}, func(s string) bool { return s == "" })
}

// String is the name with dots and no quotes.
func (n Name) String() string { return strings.Join(n.Parts(), ".") }

// Text is the name for a statement, quoted or not.
func (n Name) Text(d Dialect, quoted bool) string {
	parts := n.Parts()
	if quoted {
		for i, p := range parts {
			parts[i] = d.Quote(p)
		}
	}
	return strings.Join(parts, ".")
}

// The types of tables.
const (
	TypeTable       = "TABLE"
	TypeView        = "VIEW"
	TypePartitioned = "PARTITIONED TABLE"
)

// Table is what the catalog tells of a table.
type Table struct {
	Name    Name
	Type    string // TypeTable …, as the database's Java driver calls it
	Columns []Column
	Unique  [][]string // the columns of each unique key, the primary key first
	// Plain tells, for PostgreSQL, that COPY does to it what INSERT does: no rules, no row security, not a view.
	Plain bool
	// NoTransactions is, for MySQL, the storage engine of a table whose rows stay when a transaction is rolled back.
	NoTransactions string
}

// Column finds a column by its exact name, or else by a name that differs in case only.
func (t *Table) Column(name string) (c *Column, exact bool) {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i], true
		}
	}
	for i := range t.Columns {
		if strings.EqualFold(t.Columns[i].Name, name) {
			return &t.Columns[i], false
		}
	}
	return nil, false
}

// HasUnique tells whether a unique key is over exactly these columns.
func (t *Table) HasUnique(columns []string) bool {
	want := slices.Sorted(slices.Values(columns))
	return slices.ContainsFunc(t.Unique, func(key []string) bool { return slices.Equal(slices.Sorted(slices.Values(key)), want) })
}

// Column is what the catalog tells of a column.
type Column struct {
	Name      string
	Type      string // the database's own name of the type, without length: int4, varchar, NUMBER …
	Full      string // with length and everything: character varying(10), int(10) unsigned …
	Cast      string // of PostgreSQL: the type without a length, with its schema, quoted
	Array     bool   // of PostgreSQL
	Length    int64  // of texts and bytes; -1: none
	Precision int64  // of numbers and times; -1: none
	Scale     int64  // of numbers; -1: none
	Nullable  bool
	Default   bool // there is one, or the database makes the value
	Auto      bool // the database counts it up
	Generated bool // computed; not to be written
	KeyPart   int  // its place in the primary key, from 1 on; 0: not in it
}

// Filter says which tables are listed. Catalog and Schema are LIKE patterns; nil: no restriction.
type Filter struct {
	Catalog, Schema *string
	Types           []string // in any case; none: TABLE
}

func (f Filter) wants(kind string) bool {
	if len(f.Types) == 0 {
		return kind == TypeTable
	}
	return slices.ContainsFunc(f.Types, func(t string) bool { return strings.EqualFold(t, kind) })
}

var all = [...]Dialect{mysqlDialect{}, oracleDialect{}, postgresDialect{}, sqliteDialect{}, sqlServerDialect{}}

// Names are the values of dialect.name, those of databases that there is no driver for included.
func Names() []string {
	return []string{"", "Db2DatabaseDialect", "DerbyDatabaseDialect", "GenericDatabaseDialect", "MySqlDatabaseDialect", "OracleDatabaseDialect",
		"PostgreSqlDatabaseDialect", "SapHanaDatabaseDialect", "SqlServerDatabaseDialect", "SqliteDatabaseDialect", "SybaseDatabaseDialect", "VerticaDatabaseDialect"}
}

// Find chooses a dialect by name or, without one, by the URL.
func Find(name string, u *jdbcurl.URL) (Dialect, error) {
	of := map[string]Kind{"postgresql": PostgreSQL, "mysql": MySQL, "mariadb": MySQL, "sqlite": SQLite, "sqlserver": SQLServer, "oracle": Oracle}
	for _, d := range all {
		if name == d.Name() || name == "" && d.Kind() == of[u.Sub] {
			return d, nil
		}
	}
	if slices.Contains(Names(), name) {
		return nil, connecterr.New(connecterr.Config, "No driver is available for dialect.name %s: use one of %s", name, strings.Join(known(), ", "))
	}
	return nil, connecterr.New(connecterr.Config, "Unable to find dialect with name '%s' in the available dialects: [%s]", name, strings.Join(known(), ", "))
}

func known() []string {
	names := make([]string, len(all))
	for i, d := range all {
		names[i] = d.Name()
	}
	return names
}

// collect reads all rows of a query, each by scan.
func collect[T any](ctx context.Context, q Querier, scan func(func(...any) error) (T, error), query string, args ...any) (list []T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // Err tells what is wrong
	for rows.Next() {
		one, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, rows.Err()
}

// part is a column of a unique key, as catalogs list them: keys one after the other.
type part struct {
	key, column string
	primary     bool // only where the catalog tells it of each part
}

func scanPart(scan func(...any) error) (p part, err error) { return p, scan(&p.key, &p.column) }

func scanPrimary(scan func(...any) error) (p part, err error) {
	return p, scan(&p.key, &p.primary, &p.column)
}

// setUnique takes the parts of all unique keys; primary tells that the first key is the primary one.
func (t *Table) setUnique(parts []part, primary bool) {
	t.Unique = uniques(parts)
	if primary {
		t.markKey(t.Unique[0])
	}
}

// uniques joins the parts of keys.
func uniques(parts []part) (keys [][]string) {
	last := ""
	for i, p := range parts {
		if i == 0 || p.key != last {
			keys = append(keys, nil)
		}
		last = p.key
		keys[len(keys)-1] = append(keys[len(keys)-1], p.column)
	}
	return keys
}

// markKey notes the places of the primary key's columns.
func (t *Table) markKey(primary []string) {
	for i := range t.Columns {
		t.Columns[i].KeyPart = slices.Index(primary, t.Columns[i].Name) + 1
	}
}

// orMinus is the number, or -1 for none.
func orMinus(n sql.NullInt64) int64 {
	if n.Valid {
		return n.Int64
	}
	return -1
}
