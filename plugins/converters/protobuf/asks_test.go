package protobuf

import (
	"testing"

	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/tests/conformance/convertertest"
)

func TestProtobuf_asks_the_registry_once_for_each_schema(t *testing.T) {
	t.Parallel()
	v := everyValue(t)
	again := data.StructOf(everything.Fields(), data.Name("shop.Everything"))
	w := data.NewStruct(again)
	for i := range again.Fields() {
		w.SetAt(i, v.Raw(i))
	}
	over := func(url string) converter.Converter {
		return with(t, "", map[string]string{"schema.registry.url": url})
	}
	convertertest.AsksOnce(t, over, convertertest.Once{Registered: `"schemaType":"PROTOBUF","schema":"syntax = \"proto3\"; message A { message B { int32 n = 1; } }"`,
		Write: [2]data.SchemaAndValue{{Schema: everything, Value: v}, {Schema: again, Value: w}}, Read: "\x04\x00\x00\x08\x05", Text: "Struct{n=5}"})
}
