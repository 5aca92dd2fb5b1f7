package avro

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/sdk/data"
)

func appendLong(b []byte, n int64) []byte { return binary.AppendVarint(b, n) }

func appendText(b []byte, s string) []byte {
	return append(binary.AppendVarint(b, int64(len(s))), s...)
}

func appendFloat(b []byte, f float32) []byte {
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
}

func appendDouble(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

// append writes a value.
func (w *writer) append(b []byte, v any) ([]byte, error) {
	switch {
	case w.conn == nil:
		return appendAnything(b, v)
	case v == nil:
		if w.null < 0 || !w.conn.Optional() {
			return nil, bad("Found null value for non-optional schema")
		}
		return appendLong(b, int64(w.null)), nil
	case w.branch >= 0:
		b = appendLong(b, int64(w.branch))
	}
	switch w.logical {
	case data.LogicalDecimal:
		return w.decimal(b, v)
	case data.LogicalDate, data.LogicalTime, data.LogicalTimestamp:
		return w.instant(b, v)
	default:
	}
	switch v := v.(type) {
	case int8:
		if w.conn.Type() == data.Int8 {
			return w.number(b, int64(v)), nil
		}
	case int16:
		if w.conn.Type() == data.Int16 {
			return w.number(b, int64(v)), nil
		}
	case int32:
		if w.conn.Type() == data.Int32 {
			return w.number(b, int64(v)), nil
		}
	case int64:
		if w.conn.Type() == data.Int64 {
			return appendLong(b, v), nil
		}
	case float32:
		if w.conn.Type() == data.Float32 {
			if w.avro == Double {
				return appendDouble(b, float64(v)), nil
			}
			return appendFloat(b, v), nil
		}
	case float64:
		if w.conn.Type() == data.Float64 {
			return appendDouble(b, v), nil
		}
	case bool:
		if w.conn.Type() == data.Boolean {
			return appendBool(b, v), nil
		}
	case string:
		if w.conn.Type() == data.String {
			return w.text(b, v)
		}
	case []byte:
		if w.conn.Type() == data.Bytes {
			return w.bytes(b, v)
		}
	case []any:
		if w.conn.Type() == data.Array {
			return w.array(b, v)
		}
	case *data.Map:
		if w.conn.Type() == data.MapType {
			return w.entries(b, v)
		}
	case *data.Struct:
		if w.conn.Type() == data.StructType {
			return w.record(b, v)
		}
	}
	return nil, bad("Invalid type for %s: class %s", w.conn.Type(), data.ClassOf(v))
}

func (w *writer) number(b []byte, n int64) []byte {
	switch w.avro {
	case Float:
		return appendFloat(b, float32(n))
	case Double:
		return appendDouble(b, float64(n))
	default:
		return appendLong(b, n)
	}
}

func (w *writer) text(b []byte, s string) ([]byte, error) {
	if w.avro == String {
		return appendText(b, s), nil
	}
	i, ok := w.symbols[s]
	if !ok {
		return nil, bad("%q is no symbol of the Avro enum %s", s, w.conn.Name())
	}
	return appendLong(b, int64(i)), nil
}

func (w *writer) bytes(b, v []byte) ([]byte, error) {
	switch {
	case w.rest:
	case w.avro == Bytes:
		b = appendLong(b, int64(len(v)))
	case len(v) != w.size:
		return nil, bad("Fixed size mismatch: a value has %d bytes, and the Avro schema %s says %d", len(v), w.conn.Name(), w.size)
	}
	return append(b, v...), nil
}

func (w *writer) decimal(b []byte, v any) ([]byte, error) {
	d, ok := v.(data.Decimal)
	if !ok {
		return nil, bad("Invalid type for Decimal, expected BigDecimal but was class %s", data.ClassOf(v))
	}
	if d.Scale() != w.scale {
		_, err := data.DecimalToBytes(w.conn, d) // it has the words
		return nil, err
	}
	unscaled := d.Bytes()
	if w.avro != Fixed {
		return w.bytes(b, unscaled)
	}
	if len(unscaled) > w.size {
		return nil, bad("a decimal needs %d bytes, and the Avro schema has %d", len(unscaled), w.size)
	}
	sign := byte(0)
	if unscaled[0] >= 0x80 {
		sign = 0xff
	}
	for range w.size - len(unscaled) {
		b = append(b, sign)
	}
	return append(b, unscaled...), nil
}

func (w *writer) instant(b []byte, v any) ([]byte, error) {
	i, ok := v.(data.Instant)
	if !ok {
		name := map[data.Logical]string{data.LogicalDate: "Date", data.LogicalTime: "Time", data.LogicalTimestamp: "Timestamp"}[w.logical]
		return nil, bad("Invalid type for %s, expected Date but was class %s", name, data.ClassOf(v))
	}
	var n int32
	var err error
	switch w.logical {
	case data.LogicalDate:
		n, err = data.DateToInt(w.conn, i)
	case data.LogicalTime:
		n, err = data.TimeToInt(w.conn, i)
	default:
		return appendLong(b, int64(i)), nil
	}
	return appendLong(b, int64(n)), err
}

func (w *writer) array(b []byte, list []any) (_ []byte, err error) {
	b = appendCount(b, len(list))
	for _, e := range list {
		if b, err = w.elem.append(b, e); err != nil {
			return nil, err
		}
	}
	return append(b, 0), nil
}

func (w *writer) entries(b []byte, m *data.Map) (_ []byte, err error) {
	b = appendCount(b, m.Len())
	for k, v := range m.All() {
		if w.key != nil {
			if b, err = w.key.append(b, k); err != nil {
				return nil, err
			}
		} else if s, ok := k.(string); ok {
			b = appendText(b, s)
		} else {
			return nil, bad("Invalid type for the key of an Avro map: class %s", data.ClassOf(k))
		}
		if b, err = w.elem.append(b, v); err != nil {
			return nil, err
		}
	}
	return append(b, 0), nil
}

func (w *writer) record(b []byte, st *data.Struct) (_ []byte, err error) {
	if s := st.Schema(); s != w.conn && !s.Equal(w.conn) {
		return nil, bad("Mismatching struct schema")
	}
	if w.avro == Union {
		return w.union(b, st)
	}
	for i := range w.fields {
		f := &w.fields[i]
		if f.w == nil {
			b = append(b, f.absent...)
			continue
		}
		v := st.Raw(f.from)
		if v == nil && !w.raw {
			v = st.At(f.from)
		}
		if b, err = f.w.append(b, v); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (w *writer) union(b []byte, st *data.Struct) ([]byte, error) {
	for i := range w.fields {
		f := &w.fields[i]
		if v := st.Raw(f.from); v != nil {
			return f.w.append(b, v)
		}
	}
	return w.append(b, nil)
}
