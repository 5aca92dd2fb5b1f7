package jdbcsink

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/jdbcurl"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/tests/servers"
)

// wide is a value with a field of each type that sinks see often.
func wide(id int64) data.SchemaAndValue {
	return st("id", i64, id, "n", i32, int32(7_000_000), "f", data.NewSchema(data.Float64), 1.25e9, "ok", data.NewSchema(data.Boolean), true,
		"text", str, "a text with a \\ and a\ttab", "raw", data.NewSchema(data.Bytes), bytes.Repeat([]byte{0, 255, '\\'}, 50),
		"at", data.TimestampSchema(), data.Instant(1719849600123), "day", data.DateSchema(), data.Instant(1709164800000))
}

// A line of COPY is written into memory that is there, and costs no allocation, whatever is in it.
//
// Not parallel, as all that count allocations: they are counted for the process.
func TestAllocations_of_a_line(t *testing.T) {
	d, err := dialect.Find("PostgreSqlDatabaseDialect", &jdbcurl.URL{})
	require.NoError(t, err)
	w := &writer{s: &settings{zone: time.UTC, dateZone: time.UTC, utc: true}, d: d}
	v := wide(1_000_000)
	r := &record.Sink{Topic: "t", Value: v.Value, ValueSchema: v.Schema}
	var columns []*field
	for i, f := range v.Schema.Fields() {
		columns = append(columns, &field{name: f.Name, schema: f.Schema, of: d, from: fromValueField, index: i})
	}
	b := make([]byte, 0, 1<<12)
	require.Zero(t, testing.AllocsPerRun(100, func() { b, err = w.copyLine(b[:0], r, columns) }))
	require.NoError(t, err)
	require.Equal(t, len(columns)-1, strings.Count(string(b), "\t"))

	// The parameters of a statement are a list, and a text in an interface for each that is not one yet.
	sh := &shape{writer: &statements{d: d, columns: columns}}
	var args []any
	got := testing.AllocsPerRun(100, func() { args, err = w.bind(r, sh) })
	require.NoError(t, err)
	require.Len(t, args, len(columns))
	t.Logf("%v allocations for %d parameters", got, len(columns))
	require.LessOrEqual(t, got, 17.0)
}

// A put allocates for each row no more than its statement needs.
func TestAllocations_of_a_put(t *testing.T) {
	const rows = 500
	for name, mode := range map[string]struct {
		pairs []string
		most  float64 // allocations of a row
	}{
		"COPY":   {nil, 0.2},
		"upsert": {[]string{"insert.mode=upsert", "pk.mode=record_value", "pk.fields=id"}, 19},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, servers.PostgresDatabase(t), append(mode.pairs, "auto.create=true")...)
			var batch []record.Sink
			like := wide(0)
			for i := range rows {
				v := data.NewStruct(like.Schema)
				for at := range like.Schema.Fields() {
					v.SetAt(at, like.Value.(*data.Struct).Raw(at))
				}
				v.SetAt(0, int64(i))
				batch = append(batch, b.rec(none, data.SchemaAndValue{Schema: like.Schema, Value: v}))
			}
			b.must(batch...)
			got := testing.AllocsPerRun(10, func() {
				if err := b.task.Put(t.Context(), batch); err != nil {
					t.Error(err)
				}
			}) / rows
			t.Logf("%.2f allocations for a row", got)
			require.LessOrEqual(t, got, mode.most)
		})
	}
}
