package jdbcsink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
)

// copyFrom is the number of rows from which COPY is worth its extra messages.
const copyFrom = 20

// send writes rows in the open transaction: per table in order, runs of one shape at a time.
func (w *writer) send(ctx context.Context, conn *sql.Conn, rows []row) error {
	for _, ofTable := range byTable(rows) {
		for len(ofTable) > 0 {
			n := 1
			for n < len(ofTable) && n < w.s.batchSize && ofTable[n].sh == ofTable[0].sh {
				n++
			}
			if err := w.run(ctx, conn, ofTable[:n]); err != nil {
				return asDB(err, ofTable[0].sh.table, ofTable[0].r)
			}
			ofTable = ofTable[n:]
		}
	}
	return nil
}

// byTable parts rows, which stay in order.
func byTable(rows []row) (parts [][]row) {
	if !slices.ContainsFunc(rows, func(r row) bool { return r.sh.table != rows[0].sh.table }) {
		return [][]row{rows}
	}
	at := map[*target]int{}
	for _, r := range rows {
		i, ok := at[r.sh.table]
		if !ok {
			i = len(parts)
			at[r.sh.table] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], r)
	}
	return parts
}

// run writes rows of one shape.
func (w *writer) run(ctx context.Context, conn *sql.Conn, rows []row) error {
	st, t := rows[0].sh.writer, rows[0].sh.table
	if st.merges && len(rows) > 1 {
		rows = lastOfKey(rows, st.keys)
	}
	if st.copy != "" && len(rows) >= copyFrom {
		return w.copyRows(ctx, conn, st, rows)
	}
	if text := st.arrays(); text != "" && len(rows) > 1 && !t.oneByOn {
		return w.met(t, w.unnest(ctx, conn, text, st, rows))
	}
	for i := range rows {
		if rows[i].args == nil {
			var err error
			if rows[i].args, err = w.bind(rows[i].r, rows[i].sh); err != nil {
				return err
			}
		}
	}
	if len(rows) == 1 || t.oneByOn || !st.rows {
		return w.each(ctx, conn, st, rows)
	}
	return w.met(t, w.several(ctx, conn, st, rows))
}

// met notes that a statement met one row twice, by keys that the database takes for equal and we do not.
func (w *writer) met(t *target, err error) error {
	if err != nil && w.d.Fault(err).SQLState == "21000" {
		t.oneByOn = true
	}
	return err
}

// each sends a statement for each row.
func (w *writer) each(ctx context.Context, conn *sql.Conn, st *statements, rows []row) (err error) {
	if w.d.Kind() == dialect.PostgreSQL && len(rows) > 1 {
		return connect.Postgres(conn, func(c *pgx.Conn) error {
			b := &pgx.Batch{}
			for _, r := range rows {
				b.Queue(st.single, r.args...)
			}
			return c.SendBatch(ctx, b).Close()
		})
	}
	if len(rows) == 1 {
		_, err := conn.ExecContext(ctx, st.single, rows[0].args...)
		return err
	}
	prepared, err := conn.PrepareContext(ctx, st.single)
	if err != nil {
		return err
	}
	defer func() {
		if closed := prepared.Close(); err == nil {
			err = closed
		}
	}()
	for _, r := range rows {
		if _, err := prepared.ExecContext(ctx, r.args...); err != nil {
			return err
		}
	}
	return nil
}

// The most that one statement of several rows has: SQL Server takes 1,000 rows. What is more than a packet of MySQL's (4 MB by
// default in 5.7), its driver sends as a prepared statement.
const (
	maxRows  = 1000
	maxBytes = 4 << 20
)

// several sends statements of several rows.
func (w *writer) several(ctx context.Context, conn *sql.Conn, st *statements, rows []row) error {
	most := max(1, min(maxRows, (w.d.MaxMarks()-1)/len(st.columns)))
	for len(rows) > 0 {
		n, size := 0, 0
		for n < len(rows) && n < most && (n == 0 || size < maxBytes) {
			size += sizeOf(rows[n].args)
			n++
		}
		args := make([]any, 0, n*len(st.columns))
		for _, r := range rows[:n] {
			args = append(args, r.args...)
		}
		if _, err := conn.ExecContext(ctx, st.many(n), args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func sizeOf(args []any) (n int) {
	for _, a := range args {
		switch a := a.(type) {
		case string:
			n += len(a)
		case []byte:
			n += 2 * len(a)
		}
		n += 8
	}
	return n
}

// lastOfKey keeps the last of the rows with the same key: each sets all columns.
func lastOfKey(rows []row, keys int) []row {
	last := make(map[string]int, len(rows))
	var b []byte
	names := make([]string, len(rows))
	for i, r := range rows {
		b = b[:0]
		if r.ends != nil {
			b = append(b, r.line[:r.ends[keys-1]]...)
		} else {
			for _, a := range r.args[:keys] {
				b = appendKey(b, a)
			}
		}
		names[i] = string(b)
		last[names[i]] = i
	}
	if len(last) == len(rows) {
		return rows
	}
	kept := make([]row, 0, len(last))
	for i, r := range rows {
		if last[names[i]] == i {
			kept = append(kept, r)
		}
	}
	return kept
}

// appendKey appends a part of a key so that different keys differ.
func appendKey(b []byte, a any) []byte {
	var text string
	switch a := a.(type) {
	case nil:
		return append(b, "n;"...)
	case string:
		text = a
	case []byte:
		text = string(a)
	case int64:
		return append(strconv.AppendInt(append(b, 'i'), a, 10), ';')
	default:
		text = fmt.Sprint(a)
	}
	b = append(strconv.AppendInt(append(b, 's'), int64(len(text)), 10), ':')
	return append(b, text...)
}

// savepoint and the way back to it.
func (w *writer) savepoint(depth int) (set, back string) {
	name := "millrace_" + strconv.Itoa(depth)
	if w.d.Kind() == dialect.SQLServer {
		return "SAVE TRANSACTION " + name, "ROLLBACK TRANSACTION " + name
	}
	return "SAVEPOINT " + name, "ROLLBACK TO SAVEPOINT " + name
}

// halve writes rows and finds the bad ones among them: what fails is tried in halves. The transaction stays usable.
func (w *writer) halve(ctx context.Context, conn *sql.Conn, rows []row, depth int) (bad []setAside, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	set, back := w.savepoint(depth)
	if _, err := conn.ExecContext(ctx, set); err != nil {
		return nil, asDB(err, nil, rows[0].r)
	}
	failed := w.send(ctx, conn, rows)
	if failed == nil || !w.rowIsBad(failed) {
		return nil, failed
	}
	if gone, err := w.gone(ctx, conn); gone || err != nil {
		return nil, errors.Join(doomedError{failed}, err)
	}
	if _, err := conn.ExecContext(ctx, back); err != nil {
		return nil, errors.Join(failed, err)
	}
	if len(rows) == 1 {
		return []setAside{{rows[0].r, w.explain(failed)}}, nil
	}
	for _, half := range [][]row{rows[:len(rows)/2], rows[len(rows)/2:]} {
		more, err := w.halve(ctx, conn, half, depth+1)
		if err != nil {
			return nil, err
		}
		bad = append(bad, more...)
	}
	return bad, nil
}

// rowIsBad tells whether an error is that of a row.
func (w *writer) rowIsBad(err error) bool {
	var db *dbError
	return errors.As(err, &db) && w.d.Fault(db.error).Class == dialect.Data
}
