package jdbcsink

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/connecterr"
)

// target is a table that is written to.
type target struct {
	d       dialect.Dialect
	name    dialect.Name
	text    string         // in statements
	table   *dialect.Table // nil: missing, or not read yet
	fresh   bool           // table was read
	warned  bool           // of a unique key that is missing
	oneByOn bool           // a statement of several rows met one row twice: send each row alone
	shapes  []*shape
}

// structureError says that a table is missing or can't be changed. Trying again does not help.
type structureError struct{ error }

func (e structureError) Unwrap() error { return e.error }

func unfitTable(format string, args ...any) error {
	return structureError{connecterr.New(connecterr.General, format, args...)}
}

// load reads the table's definition, unless it is known and again is false.
func (w *writer) load(ctx context.Context, conn *sql.Conn, t *target, again bool) error {
	if t.fresh && !again {
		return nil
	}
	table, err := w.d.Table(ctx, conn, t.name)
	if err != nil {
		return err
	}
	if table != nil && !w.s.takes(table.Type) {
		return unfitTable("%s is a %s and %s has only %s: add its kind there, or name another table", t.text, table.Type, tableTypesKey, strings.Join(w.s.types, ", "))
	}
	if table != nil && table.NoTransactions != "" && w.ledger != nil {
		return noTransactions(t.text, table.NoTransactions)
	}
	t.table, t.fresh = table, true
	for _, sh := range t.shapes {
		sh.ready = false
	}
	return nil
}

// prepare makes the table fit a shape: it is created or altered if need be. Each change is a transaction of its own.
func (w *writer) prepare(ctx context.Context, conn *sql.Conn, sh *shape) error {
	t := sh.table
	if err := w.load(ctx, conn, t, false); err != nil || sh.ready {
		return err
	}
	if t.table == nil { // somebody may have made it since
		if err := w.load(ctx, conn, t, true); err != nil {
			return err
		}
	}
	if t.table == nil {
		if sh.deletes {
			return nil // nothing to delete
		}
		if err := w.create(ctx, conn, sh); err != nil {
			return err
		}
	}
	if err := w.amend(ctx, conn, sh); err != nil {
		return err
	}
	sh.bind()
	sh.writer = w.s.makeStatements(sh)
	sh.ready = true
	w.checkKey(sh)
	return nil
}

// bind finds the columns of fields.
func (sh *shape) bind() {
	for _, f := range sh.fields() {
		f.column, _ = sh.table.table.Column(f.name)
		f.of = sh.table.d
		f.zoned = f.column != nil && (f.column.Type == "timestamptz" || f.column.Type == "datetimeoffset" || strings.HasSuffix(f.column.Type, "TIME ZONE"))
	}
}

// checkKey warns once if an upsert has no unique key to go by.
func (w *writer) checkKey(sh *shape) {
	t := sh.table
	if w.s.mode != modeUpsert || t.warned || t.table.Type == dialect.TypeView || sh.deletes {
		return
	}
	t.warned = true
	names := make([]string, len(sh.keys))
	for i, f := range sh.keys {
		names[i] = columnName(f)
	}
	if !t.table.HasUnique(names) {
		w.log.Warn("No unique key of the table is over exactly the key columns: upserts will fail or insert again", "table", t.text, "columns", strings.Join(names, ","))
	}
}

func columnName(f *field) string {
	if f.column != nil {
		return f.column.Name
	}
	return f.name
}

func (w *writer) create(ctx context.Context, conn *sql.Conn, sh *shape) error {
	t := sh.table
	if !w.s.create {
		return unfitTable("Table %s is missing and auto-creation is disabled%s", t.text, w.similar(ctx, conn, t))
	}
	statement, err := w.s.createTable(w.d, t.text, sh.ddlOrder(sh.fields()))
	if err != nil {
		return err
	}
	w.log.Info("Creating table", "table", t.text, "statement", statement)
	_, failed := conn.ExecContext(ctx, statement)
	if failed != nil {
		w.log.Warn("Create failed, will attempt amend if table already exists", "table", t.text, "error", w.fault(failed))
	}
	if err := w.load(ctx, conn, t, true); err != nil {
		return err
	}
	switch {
	case t.table != nil:
		return nil
	case failed != nil:
		return failed
	}
	return unfitTable("Table %s was created and can't be seen: check table.name.format and the user's schema", t.text)
}

// similar names a table whose name differs in case only.
func (w *writer) similar(ctx context.Context, conn *sql.Conn, t *target) string {
	list, err := w.d.Tables(ctx, conn, dialect.Filter{Types: []string{dialect.TypeTable, dialect.TypeView, dialect.TypePartitioned}})
	if err != nil {
		return "" // it was to be a hint only
	}
	for _, o := range list {
		if strings.EqualFold(o.Name.Table, t.name.Table) && o.Name.Table != t.name.Table {
			return fmt.Sprintf(`. A table named "%s" exists; check case, quote.sql.identifiers and table.name.format`, o.Name.Table)
		}
	}
	return ""
}

func (t *target) missing(sh *shape) []*field {
	var out []*field
	for _, f := range sh.fields() {
		if c, _ := t.table.Column(f.name); c == nil {
			out = append(out, f)
		}
	}
	return out
}

// amend adds the columns that are missing.
func (w *writer) amend(ctx context.Context, conn *sql.Conn, sh *shape) error {
	t := sh.table
	if len(t.missing(sh)) == 0 {
		return nil
	}
	for try := 0; ; try++ {
		if err := w.load(ctx, conn, t, true); err != nil { // somebody may have added them
			return err
		}
		if t.table == nil {
			return unfitTable("Table %s is missing", t.text)
		}
		missing := sh.ddlOrder(t.missing(sh))
		if len(missing) == 0 {
			return nil
		}
		if err := w.mayAmend(t, missing); err != nil {
			return err
		}
		statements, err := w.s.alterTable(w.d, t.text, missing)
		if err != nil {
			return err
		}
		if try > w.s.maxRetries {
			return unfitTable("Failed to amend TABLE '%s' to add missing fields: %s", t.text, fieldList(missing))
		}
		for _, statement := range statements {
			w.log.Info("Amending table", "table", t.text, "statement", statement)
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				if ctx.Err() != nil || w.d.Fault(err).Class == dialect.Connection {
					return err
				}
				w.log.Warn("Amend failed, re-attempting", "table", t.text, "error", w.fault(err))
				break
			}
		}
	}
}

func fieldList(fields []*field) string {
	texts := make([]string, len(fields))
	for i, f := range fields {
		texts[i] = f.String()
	}
	return listed(texts)
}

func (w *writer) mayAmend(t *target, missing []*field) error {
	if t.table.Type == dialect.TypeView {
		return unfitTable("View %s is missing fields (%s) and ALTER VIEW is unsupported", t.text, fieldList(missing))
	}
	if i := slices.IndexFunc(missing, func(f *field) bool { return !f.optional() && f.schema.Default() == nil }); i >= 0 {
		return unfitTable("Cannot ALTER TABLE %s to add missing field %s, as the field is not optional and does not have a default value", t.text, missing[i])
	}
	if !w.s.evolve {
		return unfitTable("Table %s is missing fields (%s) and auto-evolution is disabled", t.text, fieldList(missing))
	}
	return nil
}
