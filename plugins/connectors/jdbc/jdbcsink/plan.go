package jdbcsink

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
)

// writer writes batches to the tables.
type writer struct {
	s        *settings
	d        dialect.Dialect
	provider *connect.Provider
	log      *slog.Logger
	targets  map[string]*target // by topic
	ledger   *ledger            // nil: offsets are Kafka's alone
	last     *target            // the last record's
	topic    string             // the last record's
	text     []byte             // the lines of the batch
	ends     []int              // of the elements in them
}

// row is a record with the parameters of its statement.
type row struct {
	r    *record.Sink
	sh   *shape
	args []any  // nil: see line
	line []byte // of COPY, or the elements of arrays, where these write the shape's rows; nil: COPY makes it
	ends []int  // where the elements of arrays end in line; nil: line has none
}

// setAside is a record that can't be written, and why.
type setAside struct {
	r     *record.Sink
	cause error
}

// dbError is an error of the database or on the way to it.
type dbError struct {
	error
	at *record.Sink // the first record of what was being written; nil: none was
	t  *target
}

func (e *dbError) Unwrap() error { return e.error }

// asDB makes a dbError of what is neither ours nor a table that does not fit.
func asDB(err error, t *target, r *record.Sink) error {
	if err == nil {
		return nil
	}
	var own *connecterr.Error
	var structure structureError
	var known *dbError
	var contested contestedError
	if errors.As(err, &contested) || errors.As(err, &own) || errors.As(err, &structure) || errors.As(err, &known) {
		return err
	}
	return &dbError{error: err, at: r, t: t}
}

// isBad tells whether an error is the record's own or that of its table: others may be written.
func isBad(err error) bool {
	var structure structureError
	return connecterr.IsData(err) || errors.As(err, &structure)
}

// plan makes rows of records, and the tables fit for them. Records that can't be written are set aside where that is wanted,
// else the first one's error is returned. Lines of COPY are made here only where records are set aside: otherwise while the database is
// at work on those before them.
func (w *writer) plan(ctx context.Context, conn *sql.Conn, batch []record.Sink, aside bool) (rows []row, bad []setAside, err error) {
	rows = make([]row, 0, len(batch))
	if cap(w.text) > maxText {
		w.text = nil
	}
	w.text, w.ends = w.text[:0], w.ends[:0]
	for i := range batch {
		r := &batch[i]
		one, err := w.planOne(ctx, conn, r, aside)
		switch {
		case err == nil:
			if one.sh != nil {
				rows = append(rows, one)
			}
		case aside && isBad(err):
			bad = append(bad, setAside{r, err})
		default:
			return nil, nil, err
		}
	}
	return rows, bad, nil
}

// planOne makes a row of a record; one without a shape is nothing to write.
func (w *writer) planOne(ctx context.Context, conn *sql.Conn, r *record.Sink, aside bool) (row, error) {
	if err := w.s.check(r); err != nil {
		return row{}, err
	}
	t, err := w.target(r.Topic)
	if err != nil {
		return row{}, err
	}
	sh, err := w.shape(t, r)
	if err != nil {
		return row{}, err
	}
	if !sh.ready {
		if err := w.prepare(ctx, conn, sh); err != nil {
			return row{}, asDB(err, t, r)
		}
		if t.table == nil {
			w.log.Debug("Nothing to delete: the table is missing", "table", t.text, "record", place(r))
			return row{}, nil
		}
	}
	if sh.writer.skip {
		return row{}, nil
	}
	from, first := len(w.text), len(w.ends)
	switch {
	case sh.writer.copy != "" && !aside:
		return row{r: r, sh: sh}, nil
	case sh.writer.copy != "":
		w.text, err = w.copyLine(w.text, r, sh.writer.columns)
	case sh.writer.arrays() != "" && !t.oneByOn:
		w.text, err = w.elements(w.text, r, sh.writer.columns)
	default:
		args, err := w.bind(r, sh)
		return row{r: r, sh: sh, args: args}, err
	}
	if err != nil {
		w.text, w.ends = w.text[:from], w.ends[:first]
		return row{}, err
	}
	one := row{r: r, sh: sh, line: w.text[from:len(w.text):len(w.text)]}
	if len(w.ends) > first {
		one.ends = w.ends[first:len(w.ends):len(w.ends)]
	}
	return one, nil
}

// maxText is how much memory for lines is kept for the next batch.
const maxText = 8 << 20

// bind makes the parameters of a record's statement.
func (w *writer) bind(r *record.Sink, sh *shape) ([]any, error) {
	args := make([]any, len(sh.writer.columns))
	for i, f := range sh.writer.columns {
		v := f.value(r, w.s.nullToDef)
		if v == nil && f.key && !sh.writer.rows && (sh.deletes || w.s.mode == modeUpdate) {
			return nil, bad("Primary key column %s is null in record at %s", f.name, place(r))
		}
		var err error
		if args[i], err = w.s.bindValue(w.d, f, v); err != nil {
			return nil, err
		}
	}
	return args, nil
}

func (w *writer) target(topic string) (t *target, err error) {
	if w.last == nil || w.topic != topic {
		w.last, err = w.findTarget(topic)
		w.topic = topic
	}
	return w.last, err
}

func (w *writer) findTarget(topic string) (*target, error) {
	if t, ok := w.targets[topic]; ok {
		return t, nil
	}
	n, err := w.s.tableName(w.d, topic)
	if err != nil {
		return nil, err
	}
	text := n.Text(w.d, w.s.quote)
	for _, t := range w.targets { // of another topic
		if t.text == text {
			w.targets[topic] = t
			return t, nil
		}
	}
	t := &target{d: w.d, name: n, text: text}
	w.targets[topic] = t
	return t, nil
}

// shape finds what a record's schemas make of it.
func (w *writer) shape(t *target, r *record.Sink) (*shape, error) {
	value, key := r.ValueSchema, r.KeySchema
	if r.Value == nil {
		value = nil
	}
	if w.s.pkMode != pkRecordKey {
		key = nil
	}
	for _, sh := range t.shapes {
		if sh.keySchema == key && sh.valueOf == value {
			return sh, nil
		}
	}
	for _, sh := range t.shapes {
		if equal(sh.keySchema, key) && equal(sh.valueOf, value) {
			sh.keySchema, sh.valueOf = key, value // the next records are likely to have the same ones
			return sh, nil
		}
	}
	sh, err := w.s.makeShape(t, key, value)
	if err != nil {
		return nil, err
	}
	if len(t.shapes) >= maxShapes {
		t.shapes = nil
	}
	t.shapes = append(t.shapes, sh)
	return sh, nil
}

// maxShapes bounds what is remembered of a table's schemas.
const maxShapes = 100

func equal(a, b *data.Schema) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(b)
}

// forget drops what is known of tables, after an error that may come of it.
func (w *writer) forget() { w.targets, w.last = map[string]*target{}, nil }

// fault shows a database's error, without values if they are to be hidden.
func (w *writer) fault(err error) string {
	f := w.provider.Fault(err)
	if w.s.trim {
		f.Message = "(message left out, see " + trimLogKey + ")"
	}
	return f.String()
}
