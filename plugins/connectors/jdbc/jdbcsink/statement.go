package jdbcsink

import (
	"strings"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
)

// statements are how rows of a shape are written.
type statements struct {
	d       dialect.Dialect
	columns []*field // in the order of parameters
	keys    int      // how many of them, at the end (update) or the beginning, are keys
	head    string   // before VALUES' rows
	tail    string   // behind them
	single  string   // the statement of one row; that of an update, a delete or a merge has no other form
	rows    bool     // head, rows and tail make a statement of many rows
	merges  bool     // no key twice in a statement
	copy    string   // PostgreSQL's COPY that does the same; "": none does
	skip    bool     // there is nothing to write: an update with nothing but keys

	unnested *string // of arrays; nil: not asked for yet
}

func join(fields []*field, sep string, one func(*field) string) string {
	texts := make([]string, len(fields))
	for i, f := range fields {
		texts[i] = one(f)
	}
	return strings.Join(texts, sep)
}

// makeStatements writes the statements of a shape.
func (s *settings) makeStatements(sh *shape) *statements {
	d, t := sh.table.d, sh.table.text
	id := func(f *field) string { return s.id(d, columnName(f)) }
	st := &statements{d: d, columns: sh.fields(), keys: len(sh.keys)}
	n := 0
	mark := func() string { n++; return d.Mark(n) }
	where := func() string { return join(sh.keys, " AND ", func(f *field) string { return id(f) + " = " + mark() }) }
	switch {
	case sh.deletes:
		st.columns = sh.keys
		st.single = "DELETE FROM " + t + " WHERE " + where()
		return st
	case s.mode == modeUpdate:
		st.columns = append(append([]*field{}, sh.others...), sh.keys...)
		st.skip = len(sh.others) == 0
		st.single = "UPDATE " + t + " SET " + join(sh.others, ", ", func(f *field) string { return id(f) + " = " + mark() }) + " WHERE " + where()
		return st
	}
	st.rows = d.Kind() != dialect.Oracle
	names := join(st.columns, ",", id)
	switch d.Kind() {
	case dialect.PostgreSQL:
		st.head = "INSERT INTO " + t + " (" + names + ") VALUES "
		if s.mode == modeInsert && !s.ignoreDups && sh.table.table.Plain {
			st.copy = "COPY " + t + " (" + names + ") FROM STDIN"
		}
	case dialect.MySQL:
		if s.mode == modeUpsert {
			st.head = "insert into " + t + "(" + names + ") values"
			break
		}
		fallthrough
	default:
		st.head = "INSERT INTO " + t + "(" + names + ") VALUES"
	}
	if s.mode == modeUpsert || s.ignoreDups && len(sh.keys) > 0 {
		st.merges = s.mode == modeUpsert
		s.merge(st, sh, id)
	}
	if st.single == "" {
		st.single = st.head + st.row(0) + st.tail
	}
	return st
}

// merge makes an insert an upsert, or an insert that leaves out what is there.
func (s *settings) merge(st *statements, sh *shape, id func(*field) string) {
	keys := join(sh.keys, ",", id)
	update := len(sh.others) > 0 && s.mode == modeUpsert
	set := func(from func(string) string) string {
		return join(sh.others, ",", func(f *field) string { return id(f) + "=" + from(id(f)) })
	}
	switch st.d.Kind() {
	case dialect.PostgreSQL:
		if st.tail = " ON CONFLICT (" + keys + ") DO NOTHING"; update {
			st.tail = " ON CONFLICT (" + keys + ") DO UPDATE SET " + set(func(c string) string { return "EXCLUDED." + c })
		}
	case dialect.MySQL:
		st.tail = " on duplicate key update "
		if update {
			st.tail += set(func(c string) string { return "values(" + c + ")" })
		} else {
			st.tail += join(sh.keys, ",", func(f *field) string { return id(f) + "=values(" + id(f) + ")" })
		}
	case dialect.SQLite:
		names := make([]string, len(sh.keys))
		for i, f := range sh.keys {
			names[i] = columnName(f)
		}
		switch {
		case !sh.table.table.HasUnique(names):
			if s.mode == modeUpsert {
				st.head = strings.Replace(st.head, "INSERT", "INSERT OR REPLACE", 1)
			}
		case update:
			st.tail = " ON CONFLICT(" + keys + ") DO UPDATE SET " + set(func(c string) string { return "excluded." + c })
		default:
			st.tail = " ON CONFLICT(" + keys + ") DO NOTHING"
		}
	default:
		st.rows = false
		st.single = s.mergeStatement(st, sh, id, update)
	}
}

// mergeStatement is the MERGE of SQL Server and Oracle.
func (s *settings) mergeStatement(st *statements, sh *shape, id func(*field) string, update bool) string {
	t, n := sh.table.text, 0
	mark := func() string { n++; return st.d.Mark(n) }
	incoming := join(append(append([]*field{}, sh.others...), sh.keys...), ",", func(f *field) string { return "incoming." + id(f) })
	if st.d.Kind() == dialect.Oracle {
		using := join(st.columns, ", ", func(f *field) string { return mark() + " " + id(f) })
		on := join(sh.keys, " and ", func(f *field) string { return t + "." + id(f) + "=incoming." + id(f) })
		text := "merge into " + t + " using (select " + using + " FROM dual) incoming on(" + on + ")"
		if update {
			text += " when matched then update set " + join(sh.others, ",", func(f *field) string { return t + "." + id(f) + "=incoming." + id(f) })
		}
		return text + " when not matched then insert(" + join(append(append([]*field{}, sh.others...), sh.keys...), ",", func(f *field) string { return t + "." + id(f) }) + ") values(" + incoming + ")"
	}
	hold := ""
	if s.holdlock {
		hold = " with (HOLDLOCK)"
	}
	using := join(st.columns, ", ", func(f *field) string { return mark() + " AS " + id(f) })
	on := join(sh.keys, " and ", func(f *field) string { return "target." + id(f) + "=incoming." + id(f) })
	text := "merge into " + t + hold + " AS target using (select " + using + ") AS incoming on (" + on + ")"
	if update {
		text += " when matched then update set " + join(sh.others, ",", func(f *field) string { return id(f) + "=incoming." + id(f) })
	}
	return text + " when not matched then insert (" + join(append(append([]*field{}, sh.others...), sh.keys...), ", ", id) + ") values (" + incoming + ");"
}

// row is a row of marks; before counts the marks in front of it.
func (st *statements) row(before int) string {
	var b strings.Builder
	st.appendRow(&b, before)
	return b.String()
}

func (st *statements) appendRow(b *strings.Builder, before int) {
	b.WriteByte('(')
	for i := range st.columns {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(st.d.Mark(before + i + 1))
	}
	b.WriteByte(')')
}

// many is the statement of n rows.
func (st *statements) many(n int) string {
	var b strings.Builder
	b.WriteString(st.head)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		st.appendRow(&b, i*len(st.columns))
	}
	b.WriteString(st.tail)
	return b.String()
}

// arrays is PostgreSQL's statement for any number of rows, an array for each column; "": there is none, or a column has no such
// form.
func (st *statements) arrays() string {
	if st.unnested == nil {
		text := ""
		if st.d.Kind() == dialect.PostgreSQL && st.rows {
			text = st.makeArrays()
		}
		st.unnested = &text
	}
	return *st.unnested
}

func (st *statements) makeArrays() string {
	casts := make([]string, len(st.columns))
	for i, f := range st.columns {
		if f.column == nil || f.column.Array || f.column.Cast == "" {
			return ""
		}
		casts[i] = st.d.Mark(i+1) + "::" + f.column.Cast + "[]"
	}
	return strings.TrimSuffix(st.head, "VALUES ") + "SELECT * FROM unnest(" + strings.Join(casts, ",") + ")" + st.tail
}
