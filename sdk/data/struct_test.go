package data_test

import (
	"testing"

	"github.com/millrace/millrace/sdk/data"
)

func TestStruct_refuses_what_is_none_of_its_schema_in_Kafka_Connects_words(t *testing.T) {
	t.Parallel()
	other := data.NewStruct(data.StructOf([]data.Field{{Name: "b", Schema: data.OptionalInt32Schema}}))
	for _, c := range []struct {
		schema *data.Schema
		value  any
		want   string
	}{
		{data.Int32Schema, "x", `Invalid Java object for schema with type INT32: class java.lang.String for field: "f"`},
		{data.Int32Schema, nil, `Invalid value: null used for required field: "f", schema type: INT32`},
		{data.NewSchema(data.Int32, data.DefaultValue(int32(1))), nil, `Invalid value: null used for required field: "f", schema type: INT32`},
		{data.ArrayOf(data.Int32Schema), []any{"x"}, `Invalid Java object for schema with type INT32: class java.lang.String for element of array field: "f"`},
		{data.MapSchema(data.Int32Schema, data.StringSchema), data.MapOf("k", "v"), `Invalid Java object for schema with type INT32: class java.lang.String for key of map field: "f"`},
		{data.MapSchema(data.StringSchema, data.StringSchema), data.MapOf("k", nil), `Invalid value: null used for required value of map field: "f", schema type: STRING`},
		{data.TimestampSchema(), int64(1), `Invalid Java object for schema "org.apache.kafka.connect.data.Timestamp" with type INT64: class java.lang.Long for field: "f"`},
		{data.DecimalSchema(2), []byte{1}, `Invalid Java object for schema "org.apache.kafka.connect.data.Decimal" with type BYTES: class [B for field: "f"`},
		{data.NewSchema(data.Int32, data.Name("foo")), "x", `Invalid Java object for schema "foo" with type INT32: class java.lang.String for field: "f"`},
		{data.StructOf([]data.Field{{Name: "a", Schema: data.OptionalInt32Schema}}), other, "Struct schemas do not match."},
		{data.NewSchema(data.Array), []any{int8(1)}, `No schema defined for element of array field: "f"`},
		{data.NewSchema(data.MapType), data.MapOf("a", nil), `No schema defined for key of map field: "f"`},
		{data.ArrayOf(data.MapSchema(data.StringSchema, data.ArrayOf(data.Int8Schema))), []any{data.MapOf("k", []any{int8(1), nil})},
			`Invalid value: null used for required element of array value of map element of array field: "f", schema type: INT8`},
	} {
		st := data.NewStruct(data.StructOf([]data.Field{{Name: "f", Schema: c.schema}}))
		if err := st.Set("f", c.value); err == nil || err.Error() != c.want {
			t.Errorf("%v\nwant %s", err, c.want)
		}
		if st.Raw(0) != nil {
			t.Error("what was refused is set")
		}
	}
}

func TestMap_keys_are_compared_as_values(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 40} { // scanned, and by an index
		m := data.NewMap(n)
		for i := range n {
			m.Set(int64(i), i)
		}
		keys := []any{"a", []byte{1}, []any{"x", nil}, data.MapOf("k", "v"), 0.5, data.NewDecimal(15, 1), data.Instant(5), nil, true}
		for i, k := range keys {
			m.Set(k, i)
		}
		m.Set([]byte{1}, "again")
		m.Set(data.MapOf("k", "v"), "again")
		if m.Len() != n+len(keys) {
			t.Errorf("%d entries: %s", m.Len(), m)
		}
		if v, ok := m.Get([]byte{1}); !ok || v != "again" {
			t.Error(v, ok)
		}
		if _, ok := m.Get(data.NewDecimal(150, 2)); ok {
			t.Error("1.5 and 1.50 differ")
		}
		m.Delete([]any{"x", nil})
		m.Delete(int64(0))
		if _, ok := m.Get(0.5); !ok || m.Len() != n+len(keys)-2 {
			t.Error(m)
		}
		c := m.Clone()
		c.Set("more", 1)
		if _, ok := m.Get("more"); ok || !data.Equal(m, m.Clone()) || data.Equal(m, c) {
			t.Error("a clone is a copy")
		}
	}
}
