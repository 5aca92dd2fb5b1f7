package jdbcsink

import (
	"context"
	"database/sql"
	"encoding/hex"
	"slices"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
)

// Rows that COPY can't write go to PostgreSQL as an array for each column, so that one text serves any number of rows. The elements
// are written as text straight from the records' values, one behind the other into one piece of memory, each with the comma behind it.

// elements appends a record's values as elements of arrays, and notes where each ends.
func (w *writer) elements(b []byte, r *record.Sink, columns []*field) ([]byte, error) {
	from := len(b)
	for _, f := range columns {
		var err error
		if b, err = w.element(b, f, f.value(r, w.s.nullToDef)); err != nil {
			return b, err
		}
		b = append(b, ',')
		w.ends = append(w.ends, len(b)-from)
	}
	return b, nil
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
	var own []byte
	if rows[0].ends == nil { // they are for COPY, but too few for it; they may come again among more
		rows = slices.Clone(rows)
	}
	for i := range rows {
		if rows[i].ends != nil {
			continue
		}
		from, first := len(own), len(w.ends)
		var err error
		if own, err = w.elements(own, rows[i].r, st.columns); err != nil {
			return err
		}
		rows[i].line, rows[i].ends = own[from:len(own):len(own)], w.ends[first:len(w.ends):len(w.ends)]
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
	_, err := conn.ExecContext(ctx, text, args...)
	return err
}
