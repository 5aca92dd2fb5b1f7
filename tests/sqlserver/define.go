package sqlserver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/millrace/millrace/tests/ddl"
)

// catalog are the views of the server that are asked, as tables.
const catalog = `
CREATE TABLE sys_schemas (schema_id INTEGER PRIMARY KEY, name, UNIQUE (name));
CREATE TABLE sys_types (user_type_id INTEGER PRIMARY KEY, name, UNIQUE (name));
CREATE TABLE sys_objects (object_id INTEGER PRIMARY KEY AUTOINCREMENT, schema_id, name, type, is_ms_shipped);
CREATE TABLE sys_columns (object_id, column_id, name, user_type_id, max_length, precision, scale, is_nullable, default_object_id, is_identity, is_computed);
CREATE TABLE sys_indexes (object_id, index_id, is_unique, is_primary_key, has_filter);
CREATE TABLE sys_index_columns (object_id, index_id, column_id, key_ordinal, is_included_column);
CREATE TABLE sys_synonyms (name, schema_id, base_object_name);
INSERT INTO sys_schemas VALUES (1, 'dbo'), (4, 'sys');
INSERT INTO sys_objects (schema_id, name, type, is_ms_shipped) VALUES (4, 'trace_xe_action_map', 'U', 0);`

// object is the name of a table, a view or a synonym.
type object struct{ schema, name string }

// sqlite is the object's name there.
func (o object) sqlite() string {
	if o.schema == "dbo" {
		return "[" + o.name + "]"
	}
	return "[" + o.schema + "." + o.name + "]"
}

// namePart is a part of a name, in brackets or quotes or plain.
const namePart = `(?:\[[^\]]+\]|"[^"]+"|\w+)`

var (
	creating  = regexp.MustCompile(`(?is)^CREATE TABLE (` + namePart + `(?:\.` + namePart + `)*)\s*\((.*)\)$`)
	altering  = regexp.MustCompile(`(?is)^ALTER TABLE (` + namePart + `(?:\.` + namePart + `)*)\s+(ADD|DROP COLUMN)\s+(.*)$`)
	viewing   = regexp.MustCompile(`(?is)^CREATE VIEW (` + namePart + `(?:\.` + namePart + `)*) AS (.*)$`)
	naming    = regexp.MustCompile(`(?is)^CREATE SYNONYM (` + namePart + `(?:\.` + namePart + `)*) FOR (.*)$`)
	indexing  = regexp.MustCompile(`(?is)^CREATE UNIQUE INDEX (\w+) ON (` + namePart + `(?:\.` + namePart + `)*)\s*\((.*)\)$`)
	dropping  = regexp.MustCompile(`(?is)^DROP TABLE (` + namePart + `(?:\.` + namePart + `)*)$`)
	columning = regexp.MustCompile(`(?is)^(` + namePart + `)\s+(\w+)\s*(?:\(([^)]*)\))?(.*)$`)
	keying    = regexp.MustCompile(`(?is)^(?:CONSTRAINT ` + namePart + ` )?(PRIMARY KEY|UNIQUE)\s*\((.*)\)$`)
	parting   = regexp.MustCompile(namePart)
)

func bare(part string) string { return strings.Trim(strings.TrimSpace(part), `[]"`) }

func objectOf(text string) object {
	parts := parting.FindAllString(text, -1)
	o := object{schema: "dbo", name: bare(parts[len(parts)-1])}
	if len(parts) > 1 {
		o.schema = bare(parts[len(parts)-2])
	}
	return o
}

// defineAtOnce changes table and catalog together.
func (e *engine) defineAtOnce(ctx context.Context, text string) error {
	if e.id != 0 {
		return e.define(ctx, text)
	}
	if err := e.do(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	end := "COMMIT"
	err := e.define(ctx, text)
	if err != nil {
		end = "ROLLBACK"
	}
	return errors.Join(err, e.do(context.WithoutCancel(ctx), end))
}

// define runs a statement that changes the catalog.
func (e *engine) define(ctx context.Context, text string) (err error) {
	text = strings.TrimSuffix(strings.TrimSpace(text), ";")
	if m := creating.FindStringSubmatch(text); m != nil {
		return e.createTable(ctx, objectOf(m[1]), m[2])
	}
	if m := altering.FindStringSubmatch(text); m != nil {
		return e.alterTable(ctx, objectOf(m[1]), strings.ToUpper(m[2]) == "ADD", m[3])
	}
	if m := viewing.FindStringSubmatch(text); m != nil {
		o := objectOf(m[1])
		if _, err := e.exec(ctx, "CREATE VIEW "+o.sqlite()+" AS "+m[2], nil); err != nil {
			return err
		}
		return e.register(ctx, o, "V")
	}
	if m := naming.FindStringSubmatch(text); m != nil {
		o := objectOf(m[1])
		if _, err := e.exec(ctx, "CREATE VIEW "+o.sqlite()+" AS SELECT * FROM "+objectOf(m[2]).sqlite(), nil); err != nil {
			return err
		}
		if err := e.register(ctx, o, "SN"); err != nil {
			return err
		}
		return e.do(ctx, "INSERT INTO sys_synonyms SELECT ?, schema_id, ? FROM sys_schemas WHERE name = ?", o.name, m[2], o.schema)
	}
	if m := indexing.FindStringSubmatch(text); m != nil {
		o := objectOf(m[2])
		if err := e.do(ctx, "CREATE UNIQUE INDEX "+m[1]+" ON "+o.sqlite()+"("+m[3]+")"); err != nil {
			return err
		}
		return e.key(ctx, o, m[3], false)
	}
	if m := dropping.FindStringSubmatch(text); m != nil {
		o := objectOf(m[1])
		if err := e.do(ctx, "DROP TABLE "+o.sqlite()); err != nil {
			return err
		}
		return e.do(ctx, "DELETE FROM sys_objects WHERE object_id = "+id, o.name, o.schema)
	}
	return &Error{Number: 102, Message: "Incorrect syntax near '" + text[:min(len(text), 20)] + "'."}
}

func (e *engine) do(ctx context.Context, statement string, args ...any) error {
	_, err := e.conn.ExecContext(ctx, statement, args...)
	return err
}

// id finds an object by its name and schema.
const id = "(SELECT o.object_id FROM sys_objects o JOIN sys_schemas s ON s.schema_id = o.schema_id WHERE o.name = ? AND s.name = ?)"

func (e *engine) register(ctx context.Context, o object, kind string) error {
	if err := e.do(ctx, "INSERT OR IGNORE INTO sys_schemas (name) VALUES (?)", o.schema); err != nil {
		return err
	}
	if err := e.do(ctx, "INSERT INTO sys_objects (schema_id, name, type, is_ms_shipped) SELECT schema_id, ?, ?, 0 FROM sys_schemas WHERE name = ?", o.name, kind, o.schema); err != nil {
		return err
	}
	if kind != "V" {
		return nil
	}
	all, err := e.query(ctx, "SELECT name, type FROM pragma_table_info(@p1)", []Param{{Name: "@p1", Value: bare(o.sqlite())}})
	for _, row := range all.rows {
		if err == nil {
			c := col{name: fmt.Sprint(row[0])}
			c.t, _ = typeOf(fmt.Sprint(row[1]))
			c.t.required = false
			err = e.addColumn(ctx, o, c)
		}
	}
	return err
}

// col is a column of a table.
type col struct {
	name     string
	t        sqlType
	rest     string // DEFAULT and the like
	identity bool
	key      bool
}

func parseColumn(text string) (c col, err error) {
	m := columning.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return c, &Error{Number: 102, Message: "Incorrect syntax near '" + text + "'."}
	}
	c.name, c.t.name = bare(m[1]), strings.ToLower(m[2])
	for a := range strings.SplitSeq(m[3], ",") {
		a = strings.TrimSpace(a)
		if strings.EqualFold(a, "max") {
			a = "-1"
		}
		if n, err := strconv.Atoi(a); err == nil {
			c.t.args = append(c.t.args, n)
		}
	}
	if _, known := kinds[c.t.name]; !known && forSQLite[c.t.name] == "" && !strings.Contains(" char varchar nchar nvarchar text ntext ", " "+c.t.name+" ") {
		return c, &Error{Number: 2715, Message: "Column, parameter, or variable: Cannot find data type " + c.t.name + "."}
	}
	upper := strings.ToUpper(m[4])
	c.identity = strings.Contains(upper, "IDENTITY")
	c.key = strings.Contains(upper, "PRIMARY KEY")
	c.t.required = strings.Contains(upper, "NOT NULL") || c.key || c.identity
	if i := strings.Index(upper, "DEFAULT "); i >= 0 {
		c.rest = " " + hexes.ReplaceAllString(m[4][i:], "x'$1'")
	}
	return c, nil
}

// sqlite is the column's declaration there, with what the server would refuse.
func (c col) sqlite() string {
	name := "[" + c.name + "]"
	if c.identity {
		return name + " INTEGER PRIMARY KEY AUTOINCREMENT"
	}
	text := name + " " + c.t.sqlite() + c.rest
	if c.t.required && !strings.Contains(strings.ToUpper(c.rest), "NOT NULL") {
		text += " NOT NULL"
	}
	if c.key {
		text += " PRIMARY KEY"
	}
	switch n := c.t.arg(0, 1); c.t.name {
	case "tinyint":
		text += " CONSTRAINT arithmetic_overflow CHECK (" + name + " IS NULL OR " + name + " BETWEEN 0 AND 255)"
	case "smallint", "int", "bigint":
		text += " CONSTRAINT conversion_failed CHECK (typeof(" + name + ") IN ('integer', 'null'))"
	case "varchar", "nvarchar", "char", "nchar":
		if n > 0 {
			text += fmt.Sprintf(" CONSTRAINT would_be_truncated CHECK (%s IS NULL OR length(%s) <= %d)", name, name, n)
		}
	}
	return text
}

func (e *engine) createTable(ctx context.Context, o object, body string) error {
	var columns []col
	var parts, primary []string
	var uniques []string
	for _, one := range ddl.List(body) {
		if m := keying.FindStringSubmatch(one); m != nil {
			if strings.EqualFold(m[1], "UNIQUE") {
				uniques = append(uniques, m[2])
			} else {
				primary = append(primary, m[2])
			}
			parts = append(parts, m[1]+"("+m[2]+")")
			continue
		}
		c, err := parseColumn(one)
		if err != nil {
			return err
		}
		if c.identity || c.key {
			primary = append(primary, c.name)
		}
		columns = append(columns, c)
	}
	if columns[0].identity && len(parts) > 0 && len(primary) > 1 { // the key is the column's
		parts, primary = parts[1:], primary[:1]
	}
	texts := make([]string, len(columns))
	for i, c := range columns {
		texts[i] = c.sqlite()
	}
	if err := e.do(ctx, "CREATE TABLE "+o.sqlite()+" ("+strings.Join(append(texts, parts...), ", ")+")"); err != nil {
		return err
	}
	if err := e.register(ctx, o, "U"); err != nil {
		return err
	}
	for _, c := range columns {
		if err := e.addColumn(ctx, o, c); err != nil {
			return err
		}
	}
	for _, p := range primary {
		if err := e.key(ctx, o, p, true); err != nil {
			return err
		}
	}
	for _, u := range uniques {
		if err := e.key(ctx, o, u, false); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) addColumn(ctx context.Context, o object, c col) error {
	if err := e.do(ctx, "INSERT OR IGNORE INTO sys_types (name) VALUES (?)", c.t.name); err != nil {
		return err
	}
	length, precision, scale := c.t.measures()
	return e.do(ctx, "INSERT INTO sys_columns SELECT t.object_id, (SELECT COUNT(*) + 1 FROM sys_columns c WHERE c.object_id = t.object_id), ?, (SELECT user_type_id FROM sys_types WHERE name = ?), ?, ?, ?, ?, ?, ?, 0 "+
		"FROM (SELECT "+id+" AS object_id) t", c.name, c.t.name, length, precision, scale, !c.t.required, c.rest != "", c.identity, o.name, o.schema)
}

func (e *engine) key(ctx context.Context, o object, columns string, primary bool) error {
	var object, index sql.NullInt64
	if err := e.conn.QueryRowContext(ctx, "SELECT "+id, o.name, o.schema).Scan(&object); err != nil {
		return err
	}
	if err := e.conn.QueryRowContext(ctx, "SELECT COUNT(*) + 1 FROM sys_indexes WHERE object_id = ?", object).Scan(&index); err != nil {
		return err
	}
	if err := e.do(ctx, "INSERT INTO sys_indexes VALUES (?, ?, 1, ?, 0)", object, index, primary); err != nil {
		return err
	}
	for i, c := range ddl.List(columns) {
		if err := e.do(ctx, "INSERT INTO sys_index_columns SELECT object_id, ?, column_id, ?, 0 FROM sys_columns WHERE object_id = ? AND name = ?", index, i+1, object, bare(c)); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) alterTable(ctx context.Context, o object, add bool, body string) error {
	for _, one := range ddl.List(body) {
		if !add {
			if err := e.do(ctx, "ALTER TABLE "+o.sqlite()+" DROP COLUMN "+one); err != nil {
				return err
			}
			if err := e.do(ctx, "DELETE FROM sys_columns WHERE name = ? AND object_id = "+id, bare(one), o.name, o.schema); err != nil {
				return err
			}
			continue
		}
		c, err := parseColumn(one)
		if err != nil {
			return err
		}
		if err := e.do(ctx, "ALTER TABLE "+o.sqlite()+" ADD COLUMN "+c.sqlite()); err != nil {
			return err
		}
		if err := e.addColumn(ctx, o, c); err != nil {
			return err
		}
	}
	return nil
}
