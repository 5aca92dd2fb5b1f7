package protobuf

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
)

// row is a struct of ten fields.
func row(t testing.TB) (*data.Schema, *data.Struct) {
	t.Helper()
	s := data.StructOf([]data.Field{{Name: "id", Schema: data.Int64Schema}, {Name: "name", Schema: data.OptionalStringSchema}, {Name: "price", Schema: data.DecimalSchema(2)},
		{Name: "at", Schema: data.TimestampSchema()}, {Name: "ok", Schema: data.BooleanSchema}, {Name: "ratio", Schema: data.Float64Schema}, {Name: "n", Schema: data.OptionalInt32Schema},
		{Name: "raw", Schema: data.BytesSchema}, {Name: "tags", Schema: data.ArrayOf(data.StringSchema)}, {Name: "attrs", Schema: data.MapSchema(data.StringSchema, data.StringSchema)}}, data.Name("shop.Row"))
	return s, structOf(t, s, int64(12345678), "a customer's name", data.NewDecimal(1999, 2), data.Instant(1700000000123), true, 0.25, int32(7), []byte("0123456789"),
		[]any{"new", "paid"}, data.MapOf("colour", "red"))
}

func BenchmarkProtobuf_reads_a_row(b *testing.B) {
	c := with(b, "", nil)
	s, v := row(b)
	m, err := c.FromConnect("t", s, v)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.ToConnect("t", m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkProtobuf_writes_a_row(b *testing.B) {
	c := with(b, "", nil)
	s, v := row(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.FromConnect("t", s, v); err != nil {
			b.Fatal(err)
		}
	}
}

// A message costs no more than its values: the registry, the schema and the plan are not its business.
func TestProtobuf_allocates_for_values_only(t *testing.T) {
	c := with(t, "", nil)
	s, v := row(t)
	m, err := c.FromConnect("t", s, v)
	require.NoError(t, err)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = c.FromConnect("t", s, v) }), 2.0)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = c.ToConnect("t", m) }), 25.0)
}
