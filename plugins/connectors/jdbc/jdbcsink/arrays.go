package jdbcsink

import (
	"context"
	"database/sql"
	"encoding/hex"
	"slices"

	"github.com/millrace/millrace/sdk/data"
)

// Rows that COPY can't write go to PostgreSQL as an array for each column, so that one text serves any number of rows. The elements
// are written as text straight from the records' values, one behind the other into one piece of memory, each with the comma behind it.

// elements makes a record's values elements of arrays, and notes where each ends.
func (w *writer) elements(one *row) error {
	from, first := len(w.text), len(w.ends)
	b := w.text
	for _, f := range one.sh.writer.columns {
		var err error
		if b, err = w.element(b, f, f.value(one.r, w.s.nullToDef)); err != nil {
			w.ends = w.ends[:first]
			return err
		}
		b = append(b, ',')
		w.ends = append(w.ends, len(b)-from)
	}
	w.text = b
	one.line, one.ends = b[from:len(b):len(b)], w.ends[first:len(w.ends):len(w.ends)]
	return nil
}

func (w *writer) element(b []byte, f *field, v any) ([]byte, error) {
	if v == nil {
		return append(b, "NULL"...), nil
	}
	switch v := v.(type) {
	case string:
		if !f.ts {
			return appendElement(b, v), nil
		}
	case []byte:
		if !f.ts {
			return append(hex.AppendEncode(append(b, `"\\x`...), v), '"'), nil
		}
	case bool, int8, int16, int32, int64, float32, float64, data.Decimal:
		if !f.ts {
			return w.s.appendPostgres(b, f, v)
		}
	case data.Instant:
		if !f.ts {
			b, err := w.s.appendPostgres(append(b, '"'), f, v) // no sign in it needs a backslash
			return append(b, '"'), err
		}
	}
	text, err := w.s.appendPostgres(nil, f, v)
	return appendElement(b, string(text)), err
}

// unnest sends rows as arrays.
func (w *writer) unnest(ctx context.Context, conn *sql.Conn, text string, st *statements, rows []row) error {
	args, err := w.arrays(st, rows)
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, text, args...)
	return err
}

// arrays makes the parameters of a statement, an array for each column.
func (w *writer) arrays(st *statements, rows []row) ([]any, error) {
	w.part = append(w.part[:0], rows...)
	defer clear(w.part)
	rows = w.part
	if !slices.ContainsFunc(rows, func(r row) bool { return r.line != nil }) {
		w.text, w.ends = w.text[:0], w.ends[:0] // no lines of others are there
	}
	for i := range rows {
		if rows[i].ends == nil { // they may have been made for COPY, but are too few for it
			if err := w.elements(&rows[i]); err != nil {
				return nil, err
			}
		}
	}
	if st.merges {
		rows = lastOfKey(rows, st.keys)
	}
	args := make([]any, len(st.columns))
	var array []byte
	for c := range st.columns {
		array = append(array[:0], '{')
		for _, r := range rows {
			from := 0
			if c > 0 {
				from = r.ends[c-1]
			}
			array = append(array, r.line[from:r.ends[c]]...)
		}
		array[len(array)-1] = '}' // instead of the last comma
		args[c] = string(array)
	}
	return args, nil
}
