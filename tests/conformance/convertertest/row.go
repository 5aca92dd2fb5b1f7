package convertertest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
)

// StructOf is a struct of these values, in the order of its fields; nil leaves one unset.
func StructOf(t testing.TB, s *data.Schema, values ...any) *data.Struct {
	t.Helper()
	st := data.NewStruct(s)
	for i, v := range values {
		if v != nil {
			require.NoError(t, st.SetIndex(i, v))
		}
	}
	return st
}

// Row is a struct of ten fields, as databases have them; each call makes a schema of its own.
func Row(t testing.TB) (*data.Schema, *data.Struct) {
	t.Helper()
	s := data.StructOf([]data.Field{{Name: "id", Schema: data.Int64Schema}, {Name: "name", Schema: data.OptionalStringSchema}, {Name: "price", Schema: data.DecimalSchema(2)},
		{Name: "at", Schema: data.TimestampSchema()}, {Name: "ok", Schema: data.BooleanSchema}, {Name: "ratio", Schema: data.Float64Schema}, {Name: "n", Schema: data.OptionalInt32Schema},
		{Name: "raw", Schema: data.BytesSchema}, {Name: "tags", Schema: data.ArrayOf(data.StringSchema)}, {Name: "attrs", Schema: data.MapSchema(data.StringSchema, data.StringSchema)}}, data.Name("shop.Row"))
	return s, StructOf(t, s, int64(12345678), "a customer's name", data.NewDecimal(1999, 2), data.Instant(1700000000123), true, 0.25, int32(7), []byte("0123456789"),
		[]any{"new", "paid"}, data.MapOf("colour", "red"))
}

// Reads is a benchmark of reading a Row.
func Reads(b *testing.B, c converter.Converter) {
	s, v := Row(b)
	m, err := c.FromConnect("t", s, v)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.ToConnect("t", m); err != nil {
			b.Fatal(err)
		}
	}
}

// Writes is a benchmark of writing a Row.
func Writes(b *testing.B, c converter.Converter) {
	s, v := Row(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.FromConnect("t", s, v); err != nil {
			b.Fatal(err)
		}
	}
}

// Allocates requires that a message of a Row costs no more than its values: the registry, the schema and the plan are not its
// business.
func Allocates(t *testing.T, c converter.Converter, written, read float64) {
	t.Helper()
	s, v := Row(t)
	m, err := c.FromConnect("t", s, v)
	require.NoError(t, err)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = c.FromConnect("t", s, v) }), written)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = c.ToConnect("t", m) }), read)
}
