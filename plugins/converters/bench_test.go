package converters

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
)

// row is a record as databases have them: ten fields.
func row() data.SchemaAndValue {
	s := data.StructOf([]data.Field{
		{Name: "id", Schema: data.Int64Schema}, {Name: "customer", Schema: data.Int32Schema}, {Name: "name", Schema: data.StringSchema},
		{Name: "email", Schema: data.OptionalStringSchema}, {Name: "active", Schema: data.BooleanSchema}, {Name: "balance", Schema: data.Float64Schema},
		{Name: "price", Schema: data.DecimalSchema(2)}, {Name: "created", Schema: data.TimestampSchema()}, {Name: "tags", Schema: data.ArrayOf(data.StringSchema)},
		{Name: "note", Schema: data.OptionalStringSchema},
	}, data.Name("shop.Order"))
	st := data.NewStruct(s)
	for i, v := range []any{int64(1234567890123), int32(70000), "Grace Hopper", "grace@example.org", true, 1234.5, data.NewDecimal(123456, 2),
		data.Instant(1700000000123), []any{"new", "paid"}, nil} {
		if err := st.SetIndex(i, v); err != nil {
			panic(err)
		}
	}
	return data.SchemaAndValue{Schema: s, Value: st}
}

func BenchmarkJSON(b *testing.B) {
	in := row()
	object := data.NewMap(10)
	for i, f := range in.Schema.Fields() {
		v := in.Value.(*data.Struct).At(i)
		if data.TypeOf(v) == 0 {
			v = data.Text(v) // without a schema there are no decimals and instants
		}
		object.Set(f.Name, v)
	}
	for _, schemas := range []string{"true", "false"} {
		for name, sv := range map[string]data.SchemaAndValue{"struct": in, "map": {Value: object}} {
			c := &jsonConverter{}
			if err := c.Configure(map[string]string{"schemas.enable": schemas}, converter.ForValue); err != nil {
				b.Fatal(err)
			}
			text, err := c.FromConnect("t", sv.Schema, sv.Value)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("schemas=%s/%s/write", schemas, name), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					if _, err := c.FromConnect("t", sv.Schema, sv.Value); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("schemas=%s/%s/read", schemas, name), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					if _, err := c.ToConnect("t", text); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
