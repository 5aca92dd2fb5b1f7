package oracledb

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/millrace/millrace/tests/ddl"
)

// catalog are the views that are asked, as tables.
const catalog = `
CREATE TABLE all_users (username, oracle_maintained);
CREATE TABLE all_objects (owner, object_name, object_type);
CREATE TABLE all_synonyms (owner, synonym_name, table_owner, table_name);
CREATE TABLE all_tab_cols (owner, table_name, column_id, column_name, data_type, char_length, data_length, data_precision, data_scale, nullable, default_length, identity_column, virtual_column, hidden_column);
CREATE TABLE all_constraints (owner, table_name, constraint_name, constraint_type);
CREATE TABLE all_cons_columns (owner, constraint_name, column_name, position);
INSERT INTO all_users VALUES ('SYS', 'Y'), ('SCOTT', 'N');
INSERT INTO all_objects VALUES ('SYS', 'AUD$', 'TABLE');`

type name struct{ owner, name string }

var part = regexp.MustCompile(`"[^"]+"|[\w$]+`)

// fold is a name as the catalog has it.
func fold(text string) string {
	if strings.HasPrefix(text, `"`) {
		return strings.Trim(text, `"`)
	}
	return strings.ToUpper(text)
}

func object(text string) name {
	parts := part.FindAllString(text, -1)
	n := name{Owner, fold(parts[len(parts)-1])}
	if len(parts) > 1 {
		n.owner = fold(parts[0])
	}
	return n
}

var (
	creating  = regexp.MustCompile(`(?is)^CREATE TABLE (\S+)\s*\((.*)\)$`)
	altering  = regexp.MustCompile(`(?is)^ALTER TABLE (\S+) (?:ADD\s*\((.*)\)|ADD ([^(].*)|DROP COLUMN (\S+))$`)
	viewing   = regexp.MustCompile(`(?is)^CREATE VIEW (\S+) AS (.*)$`)
	synonyms  = regexp.MustCompile(`(?is)^CREATE SYNONYM (\S+) FOR (\S+)$`)
	dropping  = regexp.MustCompile(`(?is)^DROP TABLE (\S+)$`)
	columning = regexp.MustCompile(`(?is)^("[^"]+"|\w+)\s+([A-Z][A-Z0-9_]*(?: RAW)?)\s*(?:\(([^)]*)\))?\s*((?:WITH(?: LOCAL)? TIME ZONE)?)(.*)$`)
	keying    = regexp.MustCompile(`(?is)^(PRIMARY KEY|UNIQUE)\s*\((.*)\)$`)
)

func (c *conn) do(ctx context.Context, statement string, args ...any) error {
	_, err := c.c.ExecContext(ctx, statement, args...)
	return err
}

// defineAtOnce changes table and catalog together.
func (c *conn) defineAtOnce(ctx context.Context, text string) error {
	if c.inTx {
		return c.define(ctx, text)
	}
	if err := c.do(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	end := "COMMIT"
	err := c.define(ctx, text)
	if err != nil {
		end = "ROLLBACK"
	}
	return errors.Join(err, c.do(context.WithoutCancel(ctx), end))
}

func (c *conn) define(ctx context.Context, text string) error {
	text = strings.TrimSpace(text)
	if m := creating.FindStringSubmatch(text); m != nil {
		return c.create(ctx, object(m[1]), m[2])
	}
	if m := altering.FindStringSubmatch(text); m != nil {
		n := object(m[1])
		if m[4] != "" {
			if err := c.do(ctx, "ALTER TABLE "+translated(m[1])+" DROP COLUMN "+m[4]); err != nil {
				return err
			}
			return c.do(ctx, "DELETE FROM all_tab_cols WHERE owner = ? AND table_name = ? AND column_name = ?", n.owner, n.name, fold(m[4]))
		}
		for _, one := range ddl.List(m[2] + m[3]) {
			col, err := parse(one)
			if err != nil {
				return err
			}
			if err := c.do(ctx, "ALTER TABLE "+translated(m[1])+" ADD COLUMN "+col.sqlite()); err != nil {
				return err
			}
			if err := c.column(ctx, n, col); err != nil {
				return err
			}
		}
		return nil
	}
	if m := viewing.FindStringSubmatch(text); m != nil {
		if err := c.do(ctx, "CREATE VIEW "+translated(m[1])+" AS "+translated(m[2])); err != nil {
			return err
		}
		return c.register(ctx, object(m[1]), "VIEW")
	}
	if m := synonyms.FindStringSubmatch(text); m != nil {
		n, base := object(m[1]), object(m[2])
		if err := c.do(ctx, "CREATE VIEW "+translated(m[1])+" AS SELECT * FROM "+translated(m[2])); err != nil {
			return err
		}
		if err := c.register(ctx, n, "SYNONYM"); err != nil {
			return err
		}
		return c.do(ctx, "INSERT INTO all_synonyms VALUES (?, ?, ?, ?)", n.owner, n.name, base.owner, base.name)
	}
	if m := dropping.FindStringSubmatch(text); m != nil {
		n := object(m[1])
		if err := c.do(ctx, "DROP TABLE "+translated(m[1])); err != nil {
			return err
		}
		if err := c.do(ctx, "DELETE FROM all_tab_cols WHERE owner = ? AND table_name = ?", n.owner, n.name); err != nil {
			return err
		}
		return c.do(ctx, "DELETE FROM all_objects WHERE owner = ? AND object_name = ?", n.owner, n.name)
	}
	return Error(900, "invalid SQL statement")
}

func (c *conn) register(ctx context.Context, n name, kind string) error {
	return c.do(ctx, "INSERT INTO all_objects VALUES (?, ?, ?)", n.owner, n.name, kind)
}

// oraType is the type of a column.
type oraType struct {
	name     string
	args     []int
	required bool
}

type column struct {
	name string // as the catalog has it
	text string // as it was written
	t    oraType
	rest string
	auto bool
	key  bool
}

var typeNames = map[string]bool{"NUMBER": true, "INTEGER": true, "INT": true, "BIGINT": true, "FLOAT": true, "VARCHAR": true, "VARCHAR2": true, "NVARCHAR2": true, "CHAR": true, "NCHAR": true, "CLOB": true, "NCLOB": true, "BLOB": true, "RAW": true,
	"LONG": true, "LONG RAW": true, "DATE": true, "TIMESTAMP": true, "BINARY_FLOAT": true, "BINARY_DOUBLE": true, "ROWID": true, "INTERVAL": true, "DECIMAL": true}

func parse(text string) (c column, err error) {
	m := columning.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return c, Error(904, "invalid identifier: "+text)
	}
	c.name, c.t.name = fold(m[1]), strings.ToUpper(m[2])
	c.text = `"` + c.name + `"`
	if !typeNames[c.t.name] {
		return c, Error(902, "invalid datatype "+c.t.name)
	}
	for a := range strings.SplitSeq(m[3], ",") {
		switch a = strings.TrimSpace(a); a {
		case "":
		case "*":
			c.t.args = append(c.t.args, 38)
		default:
			n, err := strconv.Atoi(a)
			if err != nil {
				return c, Error(902, "invalid datatype")
			}
			c.t.args = append(c.t.args, n)
		}
	}
	switch c.t.name {
	case "INTEGER", "INT", "DECIMAL":
		c.t.name = "NUMBER"
		if len(c.t.args) == 0 {
			c.t.args = []int{38, 0}
		}
	case "VARCHAR":
		c.t.name = "VARCHAR2"
	case "BIGINT": // of tests that are of other databases too
		c.t.name, c.t.args = "NUMBER", []int{19, 0}
	case "TIMESTAMP":
		if m[4] != "" {
			c.t.name += "_" + strings.ToUpper(strings.ReplaceAll(m[4], " ", "_"))
		}
	}
	upper := strings.ToUpper(m[5])
	c.auto = strings.Contains(upper, "IDENTITY")
	c.key = strings.Contains(upper, "PRIMARY KEY")
	c.t.required = strings.Contains(upper, "NOT NULL") || c.auto || c.key
	if i := strings.Index(upper, "DEFAULT "); i >= 0 && !c.auto {
		c.rest = " " + translated(m[5][i:])
	}
	return c, nil
}

// sqlite is the column's declaration there; words keep values as they are.
func (c column) sqlite() string {
	if c.auto {
		return c.text + " INTEGER PRIMARY KEY AUTOINCREMENT"
	}
	text := c.text + " " + c.t.name + " blob"
	if c.t.required {
		text += " required"
	}
	if len(c.t.args) > 0 {
		texts := make([]string, len(c.t.args))
		for i, a := range c.t.args {
			texts[i] = strconv.Itoa(a)
		}
		text += "(" + strings.Join(texts, ",") + ")"
	}
	text += c.rest
	if c.t.required && !strings.Contains(strings.ToUpper(c.rest), "NOT NULL") {
		text += " NOT NULL"
	}
	if c.key {
		text += " PRIMARY KEY"
	}
	switch c.t.name {
	case "NUMBER", "FLOAT":
		text += fmt.Sprintf(" CONSTRAINT invalid_number CHECK (typeof(%[1]s) <> 'text' OR %[1]s NOT GLOB '*[^-0-9.eE+]*')", c.text)
	case "VARCHAR2", "CHAR", "NVARCHAR2":
		text += fmt.Sprintf(" CONSTRAINT too_large CHECK (%[1]s IS NULL OR length(%[1]s) <= %d)", c.text, c.t.args[0])
	}
	return text
}

func (c *conn) create(ctx context.Context, n name, body string) error {
	var texts, keys []string
	var columns []column
	for _, one := range ddl.List(body) {
		if m := keying.FindStringSubmatch(one); m != nil {
			texts, keys = append(texts, one), append(keys, m[2])
			continue
		}
		col, err := parse(one)
		if err != nil {
			return err
		}
		columns = append(columns, col)
		if col.key || col.auto {
			keys = append(keys, col.text)
		}
		texts = append(texts, col.sqlite())
	}
	table := n.name
	if n.owner != Owner {
		table = n.owner + "." + n.name
	}
	if err := c.do(ctx, `CREATE TABLE "`+table+`" (`+strings.Join(texts, ", ")+")"); err != nil {
		return err
	}
	if err := c.register(ctx, n, "TABLE"); err != nil {
		return err
	}
	for _, col := range columns {
		if err := c.column(ctx, n, col); err != nil {
			return err
		}
	}
	for i, k := range keys {
		constraint := fmt.Sprintf("%s_PK%d", n.name, i)
		if err := c.do(ctx, "INSERT INTO all_constraints VALUES (?, ?, ?, 'P')", n.owner, n.name, constraint); err != nil {
			return err
		}
		for at, one := range ddl.List(k) {
			if err := c.do(ctx, "INSERT INTO all_cons_columns VALUES (?, ?, ?, ?)", n.owner, constraint, fold(one), at+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *conn) column(ctx context.Context, n name, col column) error {
	var chars, precision, scale any = 0, nil, nil
	kind := strings.ReplaceAll(col.t.name, "_WITH", "(6) WITH")
	kind = strings.ReplaceAll(kind, "_LOCAL", " LOCAL")
	kind = strings.ReplaceAll(kind, "_TIME_ZONE", " TIME ZONE")
	length := 22
	switch col.t.name {
	case "NUMBER":
		if len(col.t.args) > 0 {
			precision, scale = col.t.args[0], 0
		}
		if len(col.t.args) > 1 {
			scale = col.t.args[1]
		}
	case "FLOAT":
		precision = 126
		if len(col.t.args) > 0 {
			precision = col.t.args[0]
		}
	case "VARCHAR2", "CHAR", "NVARCHAR2", "NCHAR":
		chars, length = col.t.args[0], col.t.args[0]
	case "RAW":
		length = col.t.args[0]
	case "TIMESTAMP":
		kind, scale = "TIMESTAMP(6)", 6
	}
	flag := func(b bool, yes, no string) string {
		if b {
			return yes
		}
		return no
	}
	var defaults any
	if col.rest != "" {
		defaults = len(col.rest)
	}
	return c.do(ctx, "INSERT INTO all_tab_cols VALUES (?, ?, (SELECT count(*) + 1 FROM all_tab_cols WHERE owner = ? AND table_name = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, 'NO', 'NO')", n.owner, n.name, n.owner, n.name,
		col.name, kind, chars, length, precision, scale, flag(!col.t.required, "Y", "N"), defaults, flag(col.auto, "YES", "NO"))
}
