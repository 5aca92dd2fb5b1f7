package data_test

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/sdk/data"
)

// A schema is written down once, and structs of it are filled: what does not fit is refused with the words of Kafka Connect.
func Example() {
	order := data.StructOf([]data.Field{
		{Name: "id", Schema: data.Int64Schema},
		{Name: "price", Schema: data.DecimalSchema(2)},
		{Name: "status", Schema: data.NewSchema(data.String, data.Optional(), data.DefaultValue("new"))},
	}, data.Name("shop.Order"), data.Version(1))

	st := data.NewStruct(order)
	fmt.Println(st.Set("id", int64(7)), st.Set("price", data.NewDecimal(1250, 2)))
	fmt.Println(st.Set("id", 7))
	fmt.Println(st, order)
	status, err := st.Get("status")
	fmt.Println(status, err)
	// Output:
	// <nil> <nil>
	// Invalid Java object for schema with type INT64: class int for field: "id"
	// Struct{id=7,price=12.50} Schema{shop.Order:STRUCT}
	// new <nil>
}

// A schema that is not known beforehand is built step by step; mistakes are errors.
func ExampleBuild() {
	opts := []data.Option{data.Name("row")}
	for _, column := range []string{"a", "b", "a"} {
		opts = append(opts, data.Fields(data.Field{Name: column, Schema: data.OptionalStringSchema}))
	}
	_, err := data.Build(data.StructType, opts...)
	fmt.Println(err)
	// Output:
	// Cannot create field because of field name duplication a
}

func BenchmarkSet(b *testing.B) {
	s := data.StructOf([]data.Field{{Name: "id", Schema: data.Int64Schema}, {Name: "tags", Schema: data.ArrayOf(data.StringSchema)}})
	st, id, tags := data.NewStruct(s), any(int64(70000)), any([]any{"a", "b"})
	b.ReportAllocs()
	for b.Loop() {
		if st.Set("id", id) != nil || st.Set("tags", tags) != nil {
			b.Fatal("refused")
		}
	}
}
