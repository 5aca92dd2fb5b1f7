package avro

import (
	"testing"

	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/tests/conformance/convertertest"
)

func TestAvro_asks_the_registry_once_for_each_schema(t *testing.T) {
	t.Parallel()
	s, v := convertertest.Row(t)
	again, w := convertertest.Row(t)
	over := func(url string) converter.Converter {
		return with(t, "", map[string]string{"schema.registry.url": url})
	}
	convertertest.AsksOnce(t, over, convertertest.Once{Registered: `"schema":"\"string\""`, Write: [2]data.SchemaAndValue{{Schema: s, Value: v}, {Schema: again, Value: w}}, Read: "\x02a", Text: "a"})
}
