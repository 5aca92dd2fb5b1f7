package jdbcsource

import (
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
)

// shape is what the rows of a result become: the schema of records, and where the positions are.
type shape struct {
	columns []column
	fields  []field
	at      []int // the result's place of each field
	schema  *data.Schema
	id      int   // the place of the incrementing column, -1: none
	stamps  []int // those of the timestamp columns
	mapper  mapper
	target  target
	dropped []column

	key   *data.Schema // of records' keys; nil: they have none
	keyAt []int        // the fields that are in it
}

// shapeOf finds out what the rows of a result become.
func shapeOf(t target, columns []column, m mapper, mode string) (*shape, error) {
	sh := &shape{columns: slices.Clone(columns), id: -1, mapper: m, target: t}
	var fields []data.Field
	seen := map[string]bool{}
	for i, c := range columns {
		f, ok := m.field(c)
		if !ok {
			sh.dropped = append(sh.dropped, c)
			continue
		}
		if seen[c.name] {
			return nil, connecterr.New(connecterr.SchemaBuilder, "Cannot create field because of field name duplication %s", c.name)
		}
		seen[c.name] = true
		sh.fields = append(sh.fields, f)
		sh.at = append(sh.at, i)
		fields = append(fields, data.Field{Name: c.name, Schema: f.schema})
	}
	var opts []data.Option
	if t.query == "" {
		opts = append(opts, data.Name(t.table.name))
	}
	sh.schema = data.StructOf(fields, opts...)
	if mode == incrementing || mode == both {
		if err := sh.findID(); err != nil {
			return nil, err
		}
	}
	if mode == timestamp || mode == both {
		for _, c := range t.stamps {
			if err := sh.findStamp(c); err != nil {
				return nil, err
			}
		}
	}
	return sh, sh.findKey()
}

// findKey finds the fields that are a record's key.
func (sh *shape) findKey() error {
	if len(sh.target.key) == 0 {
		return nil
	}
	var fields []data.Field
	for _, name := range sh.target.key {
		at, several := sh.find(name)
		field := slices.Index(sh.at, at)
		switch {
		case at < 0:
			return connecterr.New(connecterr.Config, "%s: %s has no column %s. It has %s.", recordKeyKey, sh.target.name(), name, sh.names())
		case len(several) > 1:
			return connecterr.New(connecterr.Config, "%s: %s can be each of %s in %s. Write it as the column is written.", recordKeyKey, name, strings.Join(several, ", "), sh.target.name())
		case field < 0:
			return connecterr.New(connecterr.Config, "%s: column %s of %s is left out of records, as its type (%s) is not supported. Take another one, or set %s=string.", recordKeyKey, name,
				sh.target.name(), sh.columns[at].typeName, unsupportedKey)
		case slices.Contains(sh.keyAt, field):
			return connecterr.New(connecterr.Config, "%s: column %s of %s is named twice", recordKeyKey, sh.columns[at].name, sh.target.name())
		}
		sh.keyAt = append(sh.keyAt, field)
		fields = append(fields, data.Field{Name: sh.columns[at].name, Schema: sh.fields[field].schema})
	}
	sh.key = data.StructOf(fields)
	return nil
}

// keyed gives a record the key that its value has.
func (sh *shape) keyed(r *record.Source, value *data.Struct) {
	if sh.key == nil {
		return
	}
	key := data.NewStruct(sh.key)
	for i, at := range sh.keyAt {
		key.SetAt(i, value.Raw(at))
	}
	r.Key, r.KeySchema = key, sh.key
}

func (sh *shape) names() string {
	names := make([]string, len(sh.columns))
	for i, c := range sh.columns {
		names[i] = c.name
	}
	return strings.Join(names, ",")
}

// find looks for a column by its exact name, then in any case.
func (sh *shape) find(name string) (at int, several []string) {
	at = -1
	for i, c := range sh.columns {
		switch {
		case c.name == name:
			return i, nil
		case strings.EqualFold(c.name, name):
			at = i
			several = append(several, c.name)
		}
	}
	return at, several
}

func (sh *shape) findID() error {
	at, _ := sh.find(sh.target.id)
	if at < 0 {
		return connecterr.New(connecterr.General, "Incrementing column %s not found in %s", sh.target.id, sh.names())
	}
	switch sh.columns[at].kind {
	case int8Kind, int16Kind, int32Kind, int64Kind, numericKind, decimalKind:
	default:
		return connecterr.New(connecterr.General, "Invalid type for incrementing column: %s (%s)", sh.columns[at].typeName, sh.target.id)
	}
	sh.id = at
	return nil
}

func (sh *shape) findStamp(name string) error {
	at, several := sh.find(name)
	switch {
	case at < 0:
		return connecterr.New(connecterr.General, "Timestamp column %s not found in %s", name, sh.names())
	case len(several) > 1:
		return connecterr.New(connecterr.General, "Timestamp column %s not found in columns read from database: %s. Could not fall back to case-insensitively selecting a column because "+
			"there were multiple columns whose names case-insensitively matched the specified name: %s. To force the connector to choose between these columns, specify a value for the "+
			"timestamp column configuration property that matches the desired column case-sensitively.", name, sh.names(), strings.Join(several, ","))
	case sh.columns[at].kind != timestampKind:
		return connecterr.New(connecterr.General, "Timestamp column %s of type %s is not a timestamp", name, sh.columns[at].typeName)
	}
	sh.stamps = append(sh.stamps, at)
	return nil
}

// position is where a row stands.
func (sh *shape) position(raw []any) (p position, err error) {
	if sh.id >= 0 {
		if raw[sh.id] == nil {
			return p, connecterr.New(connecterr.General, "Null value for incrementing column of type: %s", sh.columns[sh.id].typeName)
		}
		var err error
		if p.id, err = idOf(raw[sh.id]); err != nil {
			return p, err
		}
		p.hasID = true
	}
	for _, at := range sh.stamps {
		if raw[at] == nil {
			continue
		}
		t, null, err := sh.mapper.instant(sh.columns[at], raw[at])
		if err != nil {
			return p, connecterr.Wrap(connecterr.General, err, "timestamp column %s of %s", sh.columns[at].name, sh.target.name())
		}
		if !null {
			p.at, p.hasAt = t, true
			break
		}
	}
	return p, nil
}

// idOf is the id that a database gave.
func idOf(raw any) (int64, error) {
	switch x := raw.(type) {
	case int64:
		return x, nil
	case []byte:
		if n, ok := plainInt(x); ok {
			return n, nil
		}
	case *text:
		if n, ok := plainInt(*x); ok {
			return n, nil
		}
	}
	number, err := numberView(raw)
	if err != nil {
		return 0, err
	}
	return toID(number)
}

// toID reads an id, which may be a decimal without a fraction.
func toID(text string) (int64, error) {
	d, err := data.ParseDecimal(text)
	if err != nil {
		return 0, connecterr.New(connecterr.General, "Invalid value of incrementing column: %s", text)
	}
	whole, err := rescaled(d, 0)
	if err != nil {
		return 0, connecterr.New(connecterr.General, "Scale of Decimal value for incrementing column must be 0")
	}
	n, exact := whole.Int()
	if !exact {
		return 0, connecterr.New(connecterr.General, "Decimal value for incrementing column exceeded Long.MAX_VALUE")
	}
	return n, nil
}

// value makes a row the value of a record.
func (sh *shape) value(raw []any, at position) (*data.Struct, error) {
	st := data.NewStruct(sh.schema)
	for i, f := range sh.fields {
		v := raw[sh.at[i]]
		if v != nil {
			c, err := f.convert(v)
			if err != nil {
				return nil, refusedValue(sh.target.name(), f, data.Text(at.offset()), err)
			}
			v = c
		}
		if v == nil && !f.schema.Optional() {
			return nil, connecterr.Wrap(connecterr.Data, connecterr.New(connecterr.Data, "Invalid value: null used for required field: %q, schema type: %s", f.name, f.schema.Type()),
				"Error while processing table querier")
		}
		st.SetAt(i, v)
	}
	return st, nil
}

// reading is a target with what is known of it from one query to the next.
type reading struct {
	target
	topic     string
	partition record.SourcePartition // of the offsets
	bare      record.SourcePartition // of records without one
	from      position
	shape     *shape
	warned    map[string]bool // of columns that are left out
	said      string          // the last statement that was logged
	done      time.Time       // when it was queried last
	failures  int             // in a row
	noTable   time.Time       // since when the table is not there

	settled *mark    // with wait.for.transactions, how far it may be read; nil: not at all yet
	barrier *barrier // the next mark
	held    int      // how often it did not count
}

// shaped gives the shape of a result; an unchanged one is the same as before.
func (r *reading) shaped(columns []column, m mapper, mode string, warn func(string)) (*shape, error) {
	if r.shape != nil && slices.Equal(r.shape.columns, columns) {
		return r.shape, nil
	}
	sh, err := shapeOf(r.target, columns, m, mode)
	if err != nil {
		return nil, err
	}
	for _, c := range sh.dropped {
		if !r.warned[c.name] {
			r.warned[c.name] = true
			warn(unsupportedWarning(c))
		}
	}
	if r.shape != nil && r.shape.schema.Equal(sh.schema) {
		sh.schema = r.shape.schema
	}
	if r.shape != nil && sh.key != nil && r.shape.key.Equal(sh.key) {
		sh.key = r.shape.key
	}
	r.shape = sh
	return sh, nil
}
