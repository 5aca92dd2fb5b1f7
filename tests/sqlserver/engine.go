package sqlserver

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// engine is a session's side that runs statements.
type engine struct {
	s    *Server
	conn *sql.Conn
	id   uint64 // of the transaction; 0: there is none
	// committed tells how the last one ended.
	committed bool
	nested    int
}

// The limits of the server.
const (
	maxParams = 2100
	maxValues = 1000
)

// run runs a statement; errors are *Error where the server would say it.
func (e *engine) run(ctx context.Context, text string, params []Param) (res result, err error) {
	text = strings.TrimSpace(text)
	if rest, ok := strings.CutPrefix(text, "SET TRANSACTION ISOLATION LEVEL "); ok {
		_, text, _ = strings.Cut(rest, ";")
		text = strings.TrimSpace(text)
	}
	if len(params) > maxParams {
		return res, &Error{Number: 8003, Message: "The incoming request has too many parameters. The server supports a maximum of 2100 parameters."}
	}
	if done, err := e.control(ctx, text); done {
		return res, err
	}
	switch upper := strings.ToUpper(text); {
	case strings.HasPrefix(upper, "CREATE TABLE"), strings.HasPrefix(upper, "ALTER TABLE"), strings.HasPrefix(upper, "CREATE VIEW"), strings.HasPrefix(upper, "CREATE SYNONYM"),
		strings.HasPrefix(upper, "CREATE UNIQUE INDEX"), strings.HasPrefix(upper, "DROP TABLE"):
		return res, e.fault(e.defineAtOnce(ctx, text))
	case strings.HasPrefix(upper, "MERGE"):
		res.count, err = e.merge(ctx, text, params)
		return res, e.fault(err)
	case strings.HasPrefix(upper, "SELECT"), strings.HasPrefix(upper, "WITH"):
		res, err = e.query(ctx, text, params)
		return res, e.fault(err)
	case strings.HasPrefix(upper, "EXEC SP_DESCRIBE_FIRST_RESULT_SET"):
		_, err := e.describe(ctx, unquoted(text))
		return res, e.fault(err)
	case strings.HasPrefix(upper, "INSERT") && strings.Count(text, "),(") >= maxValues:
		return res, &Error{Number: 10738, Message: "The number of row value expressions in the INSERT statement exceeds the maximum allowed number of 1000 row values."}
	}
	res.count, err = e.exec(ctx, text, params)
	return res, e.fault(err)
}

var savepoint = regexp.MustCompile(`^(SAVE|ROLLBACK) TRANSACTION (\w+)$`)

// control runs statements about transactions.
func (e *engine) control(ctx context.Context, text string) (done bool, err error) {
	plain := func(statement string) (bool, error) {
		_, err := e.conn.ExecContext(ctx, statement)
		return true, e.fault(err)
	}
	if m := savepoint.FindStringSubmatch(text); m != nil {
		if e.id == 0 {
			return true, &Error{Number: 628, Message: "Cannot issue SAVE TRANSACTION when there is no active transaction."}
		}
		if m[1] == "SAVE" {
			return plain("SAVEPOINT " + m[2])
		}
		return plain("ROLLBACK TO " + m[2])
	}
	switch text {
	case "":
		return true, nil
	case "BEGIN TRANSACTION":
		if e.nested++; e.nested > 1 {
			return true, nil
		}
		e.id = e.s.transaction()
		return plain("BEGIN")
	case "IF XACT_STATE() = -1 ROLLBACK TRANSACTION ELSE IF @@TRANCOUNT > 0 COMMIT TRANSACTION":
		if e.id == 0 {
			return true, nil
		}
		return e.control(ctx, "COMMIT TRANSACTION")
	case "COMMIT TRANSACTION":
		if e.id == 0 {
			return true, &Error{Number: 3902, Message: "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION."}
		}
		if e.nested--; e.nested > 0 {
			return true, nil
		}
		_, err := e.conn.ExecContext(ctx, "COMMIT")
		e.id, e.committed = 0, err == nil
		return true, e.fault(err)
	case "ROLLBACK TRANSACTION":
		if e.id == 0 {
			return true, &Error{Number: 3903, Message: "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION."}
		}
		e.rollback()
		return true, nil
	}
	return false, nil
}

// rollback ends the transaction, if there is one.
func (e *engine) rollback() {
	if e.id == 0 {
		return
	}
	_, _ = e.conn.ExecContext(context.Background(), "ROLLBACK") // SQLite may have done so
	e.id, e.nested, e.committed = 0, 0, false
}

func (e *engine) exec(ctx context.Context, text string, params []Param) (int64, error) {
	r, err := e.conn.ExecContext(ctx, translated(text), arguments(params)...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func arguments(params []Param) []any {
	args := make([]any, len(params))
	for i, p := range params {
		args[i] = sql.Named(strings.TrimPrefix(p.Name, "@"), p.Value)
	}
	return args
}

var (
	full      = regexp.MustCompile(`\[` + Database + `\]\.\[(\w+)\]\.\[`)
	withDBO   = regexp.MustCompile(`(?:\b` + Database + `\.)?(?:\[dbo\]|\bdbo)\.`)
	system    = regexp.MustCompile(`(?:\[` + Database + `\]\.)?\bsys\.(\w+)`)
	hexes     = regexp.MustCompile(`\b0x([0-9A-Fa-f]*)`)
	functions = strings.NewReplacer("DB_NAME()", "'"+Database+"'", "SCHEMA_ID(COALESCE(NULLIF(@p2, ''), SCHEMA_NAME()))", "(SELECT schema_id FROM sys_schemas WHERE name = COALESCE(NULLIF(@p2, ''), 'dbo'))",
		"SCHEMA_NAME()", "'dbo'", "SERVERPROPERTY('ProductVersion')", "'16.0.1000.6'")
)

// translated is a statement as SQLite has it: the schema dbo is its own, others are a part of the table's name.
func translated(text string) string {
	text = full.ReplaceAllStringFunc(text, func(m string) string {
		if schema := full.FindStringSubmatch(m)[1]; schema != "dbo" {
			return "[" + schema + "."
		}
		return "["
	})
	text = system.ReplaceAllString(text, "sys_$1")
	text = withDBO.ReplaceAllString(text, "")
	text = hexes.ReplaceAllString(text, "x'$1'")
	return functions.Replace(text)
}

const describing = "FROM sys.dm_exec_describe_first_result_set(@p1, NULL, 0)"

func (e *engine) query(ctx context.Context, text string, params []Param) (res result, err error) {
	switch {
	case text == "SELECT XACT_STATE()":
		state := int64(0)
		if e.id != 0 {
			state = 1
		}
		return result{names: []string{""}, types: []sqlType{{name: "smallint", required: true}}, rows: [][]any{{state}}, count: 1}, nil
	case text == "SELECT CURRENT_TIMESTAMP":
		return result{names: []string{""}, types: []sqlType{{name: "datetime", required: true}}, rows: [][]any{{time.Now().In(e.s.zone).Format(stampText)}}, count: 1}, nil
	case strings.Contains(text, describing):
		all, err := e.describe(ctx, fmt.Sprint(params[0].Value))
		if err != nil {
			return res, err
		}
		res.names, res.types = []string{"name", "system_type_name"}, []sqlType{{name: "nvarchar", args: []int{128}}, {name: "nvarchar", args: []int{128}}}
		for i, n := range all.names {
			res.rows = append(res.rows, []any{n, all.types[i].described()})
		}
		return res, nil
	}
	r, err := e.conn.QueryContext(ctx, translated(text), arguments(params)...)
	if err != nil {
		return res, err
	}
	defer func() { _ = r.Close() }() // Err tells what is wrong
	types, err := r.ColumnTypes()
	if err != nil {
		return res, err
	}
	res.types, res.names = make([]sqlType, len(types)), make([]string, len(types))
	for r.Next() {
		row, into := make([]any, len(types)), make([]any, len(types))
		for i := range row {
			into[i] = &row[i]
		}
		if err := r.Scan(into...); err != nil {
			return res, err
		}
		res.rows = append(res.rows, row)
	}
	res.count = int64(len(res.rows))
	for i, t := range types {
		res.names[i] = t.Name()
		res.types[i] = columnType(t.DatabaseTypeName(), res.rows, i)
	}
	return res, r.Err()
}

// columnType is the type of a result's column; that of an expression goes by its values.
func columnType(decl string, rows [][]any, i int) sqlType {
	if t, ok := typeOf(decl); ok {
		return t
	}
	for _, row := range rows {
		switch row[i].(type) {
		case int64, bool:
			return sqlType{name: "bigint"}
		case float64:
			return sqlType{name: "float"}
		case []byte:
			return sqlType{name: "varbinary", args: []int{-1}}
		}
	}
	return sqlType{name: "nvarchar", args: []int{-1}}
}

// describe finds the columns of a query without its rows.
func (e *engine) describe(ctx context.Context, text string) (res result, err error) {
	res, err = e.query(ctx, text, nil)
	res.rows = nil
	return res, err
}

// unquoted is the first literal of a text.
func unquoted(text string) string {
	from, to := strings.IndexByte(text, '\''), strings.LastIndexByte(text, '\'')
	if from < 0 || to <= from {
		return ""
	}
	return strings.ReplaceAll(text[from+1:to], "''", "'")
}

var merging = regexp.MustCompile(`(?s)^merge into (\S+)(?: with \(HOLDLOCK\))? AS target using \((.*)\) AS incoming on \((.*?)\)(?: when matched then update set (.*?))? when not matched then insert \((.*?)\) values \((.*?)\);$`)

// merge updates the rows that are there and inserts the others.
func (e *engine) merge(ctx context.Context, text string, params []Param) (int64, error) {
	m := merging.FindStringSubmatch(text)
	if m == nil {
		return 0, &Error{Number: 102, Message: "Incorrect syntax near 'merge'."}
	}
	table, using, on, set, columns, values := m[1], m[2], m[3], m[4], m[5], m[6]
	changed := int64(0)
	if set != "" {
		n, err := e.exec(ctx, "UPDATE "+table+" AS target SET "+set+" FROM ("+using+") AS incoming WHERE "+on, params)
		if err != nil {
			return 0, err
		}
		changed = n
	}
	n, err := e.exec(ctx, "INSERT INTO "+table+"("+columns+") SELECT "+values+" FROM ("+using+") AS incoming WHERE NOT EXISTS (SELECT 1 FROM "+table+" AS target WHERE "+on+")", params)
	return changed + n, err
}

// faults are SQLite's texts, and what the server says instead.
var faults = []struct {
	text string
	Error
}{
	{"UNIQUE constraint failed", Error{Number: 2627, Message: "Violation of PRIMARY KEY constraint. Cannot insert duplicate key in object."}},
	{"NOT NULL constraint failed", Error{Number: 515, Message: "Cannot insert the value NULL into a column; column does not allow nulls. INSERT fails."}},
	{"conversion_failed", Error{Number: 245, Message: "Conversion failed when converting the nvarchar value to data type int.", Dooms: true}},
	{"arithmetic_overflow", Error{Number: 220, Message: "Arithmetic overflow error for data type tinyint."}},
	{"would_be_truncated", Error{Number: 2628, Message: "String or binary data would be truncated in table."}},
	{"no such table", Error{Number: 208, Message: "Invalid object name."}},
	{"no such column", Error{Number: 207, Message: "Invalid column name."}},
	{"has no column named", Error{Number: 207, Message: "Invalid column name."}},
	{"already exists", Error{Number: 2714, Message: "There is already an object of that name in the database."}},
	{"duplicate column name", Error{Number: 2705, Message: "Column names in each table must be unique."}},
	{"syntax error", Error{Number: 102, Message: "Incorrect syntax."}},
	{"database is locked", Error{Number: 1205, Message: "Transaction was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction.", Dooms: true}},
}

// fault makes an error of SQLite one of the server.
func (e *engine) fault(err error) error {
	if err == nil {
		return nil
	}
	i := slices.IndexFunc(faults, func(f struct {
		text string
		Error
	},
	) bool {
		return strings.Contains(err.Error(), f.text)
	})
	if i < 0 {
		return err
	}
	f := faults[i].Error
	f.Message += " (" + err.Error() + ")"
	return &f
}
