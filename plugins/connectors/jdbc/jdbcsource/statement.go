package jdbcsource

import (
	"strings"
)

// argument is what stands at a parameter's place.
type argument uint8

const (
	beginArgument argument = iota // the timestamp so far
	endArgument                   // the timestamp from which rows wait
	idArgument                    // the id so far
	lastArgument                  // the id behind which rows wait
)

// statement is a query and what its parameters are.
type statement struct {
	text string
	args []argument
}

// target is what is read: a table, or a query.
type target struct {
	table  table
	query  string   // "": the table
	id     string   // the incrementing column
	stamps []string // the timestamp columns
	wrap   bool     // the query stands in parentheses
	key    []string // the columns of records' keys
}

// inParentheses is a query that has a parenthesis behind it: without what ends a statement, and behind a line's comment.
func inParentheses(query string) string {
	query = strings.TrimRight(query, "; \t\r\n")
	if strings.Contains(query, "--") || strings.Contains(query, "#") {
		query += "\n"
	}
	return "(" + query + ")"
}

// wrapped is a query as a table, which has its columns by the names they have in the result. Clauses can stand behind it,
// whatever clauses it has.
func wrapped(query string) string {
	return "SELECT * FROM " + inParentheses(query) + wrapName
}

// wrapName names a query in parentheses.
const wrapName = " AS connect_query"

// withoutAS is a wrapped query for databases that have no AS there.
func withoutAS(query string) string {
	if rest, ok := strings.CutSuffix(query, wrapName); ok {
		return rest + " connect_query"
	}
	return query
}

// name is the table's, or that queries go by in logs.
func (t target) name() string {
	if t.query != "" {
		return "query"
	}
	return t.table.String()
}

func (t target) isTable() bool { return t.query == "" }

// writer writes names and parameters in a database's way.
type writer struct {
	quote string                         // what stands around names; "": nothing
	table func(table) string             // the table's name; nil: each part quoted
	param func(n int, a argument) string // the n-th parameter, from 1
	stamp func(expr string) string       // a timestamp expression as it is compared; nil: as it is
	noAS  bool                           // no AS before the name of a query in parentheses
}

func (w writer) column(t target, name string) string {
	column := name
	if w.quote != "" {
		column = quoted(name, w.quote)
	}
	if t.query != "" {
		return column
	}
	return w.tableName(t.table) + "." + column
}

func (w writer) tableName(t table) string {
	if w.table != nil {
		return w.table(t)
	}
	if w.quote == "" {
		return t.String()
	}
	return t.quoted(w.quote)
}

// timestamp is the expression of the timestamp: the first column that is not null.
func (w writer) timestamp(t target) string {
	all := make([]string, len(t.stamps))
	for i, c := range t.stamps {
		all[i] = w.column(t, c)
	}
	expr := all[0]
	if len(all) > 1 {
		expr = "COALESCE(" + strings.Join(all, ",") + ")"
	}
	if w.stamp != nil {
		expr = w.stamp(expr)
	}
	return expr
}

// last is the query for the greatest id.
func (w writer) last(t target) string {
	id := w.column(t, t.id)
	if t.isTable() {
		return "SELECT max(" + id + ") FROM " + w.tableName(t.table)
	}
	return "SELECT max(" + id + ") FROM " + inParentheses(t.query) + " AS connect_query"
}

// statement is the query of a mode; bounded: ids have an end too.
func (w writer) statement(mode string, t target, suffix string, bounded bool) statement {
	var b strings.Builder
	var args []argument
	param := func(a argument) string {
		args = append(args, a)
		return w.param(len(args), a)
	}
	switch {
	case t.isTable():
		b.WriteString("SELECT * FROM " + w.tableName(t.table))
	case t.wrap && w.noAS:
		b.WriteString(withoutAS(wrapped(t.query)))
	case t.wrap:
		b.WriteString(wrapped(t.query))
	default:
		b.WriteString(t.query)
	}
	switch mode {
	case incrementing:
		id := w.column(t, t.id)
		b.WriteString(" WHERE " + id + " > " + param(idArgument))
		if bounded {
			b.WriteString(" AND " + id + " <= " + param(lastArgument))
		}
		b.WriteString(" ORDER BY " + id + " ASC")
	case timestamp:
		at := w.timestamp(t)
		b.WriteString(" WHERE " + at + " > " + param(beginArgument) + " AND " + at + " < " + param(endArgument) + " ORDER BY " + at + " ASC")
	case both:
		at, id := w.timestamp(t), w.column(t, t.id)
		b.WriteString(" WHERE " + at + " < " + param(endArgument) + " AND ((" + at + " = " + param(beginArgument) + " AND " + id + " > " + param(idArgument) + ") OR " +
			at + " > " + param(beginArgument) + ") ORDER BY " + at + "," + id + " ASC")
	}
	if suffix != "" {
		b.WriteString(" " + suffix)
	}
	return statement{text: b.String(), args: args}
}
