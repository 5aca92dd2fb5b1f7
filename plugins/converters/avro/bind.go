package avro

import (
	"strconv"

	"github.com/millrace/millrace/internal/jsontree"
	"github.com/millrace/millrace/sdk/data"
)

// writer is the plan by which values of a schema of the data model are written by an Avro schema.
type writer struct {
	conn      *data.Schema // nil: values have no schema
	avro      Type
	branch    int // of a union, where the value goes; -1: it is none
	null      int // of a union, where null goes; -1: nowhere
	logical   data.Logical
	scale     int32 // of a decimal
	size      int
	key, elem *writer
	fields    []fieldWriter
	symbols   map[string]int32
	rest      bool // bytes without their length
	raw       bool // fields without the default of the schema in the place of null
}

// fieldWriter writes a field of a record, or what it is when it is not there.
type fieldWriter struct {
	from   int // the field of the struct
	w      *writer
	absent []byte // instead: the default, as it is written
}

// binder makes plans.
type binder struct {
	rules
	strict bool // a value may not have what the Avro schema has no place for
}

// write is the plan for whole messages.
func (r rules) write(conn *data.Schema, s *Schema, strict bool) (*writer, error) {
	if conn == nil {
		if s.Type != Record || s.Name != anythingName {
			return nil, bad("a value without a schema can't be written by the Avro schema %s: it needs %s", s.title(), anythingName)
		}
		return &writer{branch: -1, null: -1}, nil
	}
	w, err := (&binder{r, strict}).bind(conn, s)
	if err == nil && s.Type == Bytes {
		w.rest = true
	}
	return w, err
}

// title is how messages name a schema.
func (s *Schema) title() string {
	if s.named() {
		return s.Name
	}
	return s.Type.String()
}

func (b *binder) bind(conn *data.Schema, s *Schema) (*writer, error) {
	if s.Type != Union {
		if b.strict && conn.Optional() {
			return nil, b.noNull(conn)
		}
		return b.one(conn, s)
	}
	null := -1
	for i, branch := range s.Branches {
		if branch.Type == Null {
			null = i
		}
	}
	if isUnion(conn) {
		return b.union(conn, s, null)
	}
	first := error(bad("the Avro schema has no type but null where %s is", conn))
	for pass := range 2 { // what has the same name comes before what only fits
		for i, branch := range s.Branches {
			if branch.Type == Null || pass == 0 && !b.sameName(conn, branch) {
				continue
			}
			w, err := b.one(conn, branch)
			if err == nil && b.strict && null < 0 && conn.Optional() {
				err = b.noNull(conn)
			}
			if err == nil {
				w.branch, w.null = i, null
				return w, nil
			}
			first = err
		}
	}
	return nil, first
}

func (*binder) noNull(conn *data.Schema) error {
	return bad("%s can be null, and the Avro schema has no null there", conn)
}

func (b *binder) sameName(conn *data.Schema, s *Schema) bool {
	return s.named() && conn.HasName() && s.Name == b.scrubbedFull(conn.Name())
}

func (b *binder) union(conn *data.Schema, s *Schema, null int) (*writer, error) {
	w := &writer{conn: conn, avro: Union, branch: -1, null: null, raw: b.ignoreDefault}
	var types []int // those that are not null
	for j, branch := range s.Branches {
		if branch.Type != Null {
			types = append(types, j)
		}
	}
	for i, f := range conn.Fields() {
		if i >= len(types) {
			return nil, bad("the Avro schema has no type for %s of the union", f.Name)
		}
		at := types[i]
		for _, j := range types {
			if !b.sums && b.branchName(s.Branches[j], j) == f.Name {
				at = j
			}
		}
		part, err := b.one(f.Schema, s.Branches[at])
		if err != nil {
			return nil, err
		}
		part.branch = at
		w.fields = append(w.fields, fieldWriter{from: i, w: part})
	}
	return w, nil
}

// wider are the Avro types that take values of a type without loss, the usual one first.
var wider = map[data.Type][]Type{data.Int8: {Int, Long, Float, Double}, data.Int16: {Int, Long, Float, Double}, data.Int32: {Int, Long, Double}, data.Int64: {Long},
	data.Float32: {Float, Double}, data.Float64: {Double}, data.Boolean: {Boolean}, data.String: {String, Enum}, data.Bytes: {Bytes, Fixed},
	data.Array: {Array}, data.MapType: {Map, Array}, data.StructType: {Record}}

func (b *binder) one(conn *data.Schema, s *Schema) (*writer, error) {
	w := &writer{conn: conn, avro: s.Type, branch: -1, null: -1, logical: conn.Logical(), raw: b.ignoreDefault}
	fits := false
	for i, t := range wider[conn.Type()] {
		fits = fits || t == s.Type && (i == 0 || w.logical == data.NotLogical || t == Fixed)
	}
	if !fits {
		return nil, bad("%s can't be written as the Avro type %s", conn, s.title())
	}
	var err error
	switch s.Type {
	case Record:
		err = b.record(w, conn, s)
	case Array:
		if conn.Type() == data.MapType {
			err = b.entries(w, conn, s)
			break
		}
		w.elem, err = b.bind(conn.ValueSchema(), s.Of)
	case Map:
		if k := conn.KeySchema(); k == nil || k.Type() != data.String || k.Logical() != data.NotLogical {
			return nil, bad("a map with keys of %s can't be written as an Avro map, whose keys are texts", k)
		}
		w.elem, err = b.bind(conn.ValueSchema(), s.Of)
	case Enum:
		w.symbols = make(map[string]int32, len(s.Symbols))
		for i, symbol := range s.Symbols {
			w.symbols[symbol] = int32(i) //nolint:gosec // they are few
		}
	case Fixed:
		w.size = s.Size
	default:
	}
	if err == nil && w.logical == data.LogicalDecimal {
		err = b.decimal(w, conn, s)
	}
	return w, err
}

func (b *binder) decimal(w *writer, conn *data.Schema, s *Schema) (err error) {
	if w.scale, err = conn.Scale(); err != nil {
		return err
	}
	if _, given := s.prop("scale"); !given && w.scale == 0 {
		return nil
	}
	if scale, _ := s.int("scale"); scale != w.scale {
		return bad("a decimal with scale %d can't be written by an Avro schema with scale %d", w.scale, scale)
	}
	return nil
}

func (b *binder) entries(w *writer, conn *data.Schema, s *Schema) (err error) {
	if s.Of.Type != Record || len(s.Of.Fields) != 2 || s.Of.Fields[0].Name != entryKey || s.Of.Fields[1].Name != entryValue {
		return bad("a map can't be written as an array of %s: its elements must be records of %s and %s", s.Of.title(), entryKey, entryValue)
	}
	if w.key, err = b.bind(conn.KeySchema(), s.Of.Fields[0].Schema); err != nil {
		return err
	}
	w.elem, err = b.bind(conn.ValueSchema(), s.Of.Fields[1].Schema)
	return err
}

func (b *binder) record(w *writer, conn *data.Schema, s *Schema) error {
	places := map[string]int{}
	for i, f := range conn.Fields() {
		places[b.scrubbed(f.Name)] = i
	}
	for _, f := range s.Fields {
		i, there := places[f.Name]
		if !there {
			if f.Default == nil {
				return bad("the field %s of the Avro record %s has no default, and the record has no such field", f.Name, s.Name)
			}
			var t jsontree.Tree
			if err := t.Parse(f.Default); err != nil {
				return err
			}
			absent, err := (&defaults{maxDefault}).append(nil, &t, t.Root(), f.Schema)
			if err != nil {
				return err
			}
			w.fields = append(w.fields, fieldWriter{absent: absent})
			continue
		}
		delete(places, f.Name)
		part, err := b.bind(conn.Fields()[i].Schema, f.Schema)
		if err != nil {
			return err
		}
		w.fields = append(w.fields, fieldWriter{from: i, w: part})
	}
	if b.strict {
		for name := range places {
			return bad("the Avro record %s has no field %s", s.Name, name)
		}
	}
	return nil
}

// maxDefault bounds how many values a default may have: a record whose default holds the record again has no end.
const maxDefault = 10_000

// defaults writes defaults out of their JSON.
type defaults struct{ left int }

func (d *defaults) append(b []byte, t *jsontree.Tree, n jsontree.Node, s *Schema) ([]byte, error) {
	if d.left--; d.left < 0 {
		return nil, bad("a default of the Avro schema has more than %d values", maxDefault)
	}
	var err error
	kind := t.Kind(n)
	mismatch := bad("a default of the Avro schema is no %s: %s", s.title(), t.Raw(n))
	switch s.Type {
	case Union:
		for i, branch := range s.Branches { // the first, said the older specification; any, says the newer
			if with, err := d.append(appendLong(b, int64(i)), t, n, branch); err == nil {
				return with, nil
			}
		}
		return nil, mismatch
	case Null:
		if kind == jsontree.Null {
			return b, nil
		}
	case Boolean:
		if kind == jsontree.True || kind == jsontree.False {
			return appendBool(b, kind == jsontree.True), nil
		}
	case Int, Long:
		if i, err := strconv.ParseInt(string(t.Raw(n)), 10, 64); err == nil && kind == jsontree.Int && (s.Type == Long || i == int64(int32(i))) {
			return appendLong(b, i), nil
		}
	case Float, Double:
		if f, err := strconv.ParseFloat(string(t.Raw(n)), 64); err == nil && (kind == jsontree.Int || kind == jsontree.Number) {
			if s.Type == Float {
				return appendFloat(b, float32(f)), nil
			}
			return appendDouble(b, f), nil
		}
	case String:
		if kind == jsontree.String {
			return appendText(b, t.Text(n)), nil
		}
	case Enum:
		for i, symbol := range s.Symbols {
			if kind == jsontree.String && t.Text(n) == symbol {
				return appendLong(b, int64(i)), nil
			}
		}
	case Bytes, Fixed:
		if kind != jsontree.String {
			break
		}
		raw, err := latin1(t.Text(n))
		switch {
		case err != nil:
			return nil, err
		case s.Type == Bytes:
			return append(appendLong(b, int64(len(raw))), raw...), nil
		case len(raw) == s.Size:
			return append(b, raw...), nil
		}
	case Array:
		if kind != jsontree.Array {
			break
		}
		b = appendCount(b, t.Len(n))
		for e := t.First(n); e != t.End(n); e = t.Next(e) {
			if b, err = d.append(b, t, e, s.Of); err != nil {
				return nil, err
			}
		}
		return append(b, 0), nil
	case Map:
		if kind != jsontree.Object {
			break
		}
		b = appendCount(b, t.Len(n))
		for e := t.First(n); e != t.End(n); e = t.Next(t.Next(e)) {
			if b, err = d.append(appendText(b, t.Text(e)), t, t.Next(e), s.Of); err != nil {
				return nil, err
			}
		}
		return append(b, 0), nil
	case Record:
		return d.record(b, t, n, s)
	}
	return nil, mismatch
}

func (d *defaults) record(b []byte, t *jsontree.Tree, n jsontree.Node, s *Schema) (_ []byte, err error) {
	for _, f := range s.Fields {
		if at := t.Get(n, f.Name); at != jsontree.None {
			b, err = d.append(b, t, at, f.Schema)
		} else if f.Default == nil {
			return nil, bad("the default of the Avro record %s has no %s", s.Name, f.Name)
		} else {
			var own jsontree.Tree
			if err := own.Parse(f.Default); err != nil {
				return nil, err
			}
			b, err = d.append(b, &own, own.Root(), f.Schema)
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}
