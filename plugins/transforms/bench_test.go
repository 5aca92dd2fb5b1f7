package transforms_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
)

const (
	pkg        = "org.apache.kafka.connect.transforms."
	predicates = pkg + "predicates."
)

// order is a record as they are in practice: a struct of ten fields, or the same as a map.
func order(schemaless bool) transform.Record {
	address := data.StructOf([]data.Field{{Name: "city", Schema: data.StringSchema}, {Name: "zip", Schema: data.OptionalStringSchema}}, data.Name("address"))
	s := data.StructOf([]data.Field{
		{Name: "id", Schema: data.Int64Schema}, {Name: "customer", Schema: data.StringSchema}, {Name: "count", Schema: data.Int32Schema},
		{Name: "price", Schema: data.Float64Schema}, {Name: "paid", Schema: data.BooleanSchema}, {Name: "created", Schema: data.TimestampSchema()},
		{Name: "note", Schema: data.OptionalStringSchema}, {Name: "state", Schema: data.NewSchema(data.String, data.DefaultValue("new"))},
		{Name: "tags", Schema: data.ArrayOf(data.StringSchema)}, {Name: "address", Schema: address},
	}, data.Name("order"), data.Version(1))
	r := transform.Record{Sink: record.Sink{Topic: "orders-2024", Timestamp: 1483425001864, TimestampType: record.CreateTime, KafkaOffset: 7}}
	where := data.NewStruct(address)
	where.SetAt(0, "Bern")
	st := data.NewStruct(s)
	for i, v := range []any{int64(7), "c-1", int32(3), 9.5, true, data.Instant(1483425001864), nil, nil, []any{"a"}, where} {
		st.SetAt(i, v)
	}
	r.ValueSchema, r.Value = s, st
	if schemaless {
		r.ValueSchema, r.Value = nil, data.MapOf("id", int64(7), "customer", "c-1", "count", int64(3), "price", 9.5, "paid", true, "created", int64(1483425001864),
			"note", nil, "state", "new", "tags", []any{"a"}, "address", data.MapOf("city", "Bern", "zip", nil))
	}
	r.Headers = r.Headers.Add("h1", data.StringSchema, "x").Add("h2", data.StringSchema, "y")
	return r
}

// benchmarks is one for each transformation and predicate, in a configuration that makes it work.
var benchmarks = []struct {
	class string
	props map[string]string
}{
	{pkg + "Cast$Value", map[string]string{"spec": "id:string,count:int64"}},
	{pkg + "DropHeaders", map[string]string{"headers": "h1"}},
	{pkg + "ExtractField$Value", map[string]string{"field": "address.city", "field.syntax.version": "V2"}},
	{pkg + "Filter", nil},
	{pkg + "Flatten$Value", nil},
	{pkg + "HeaderFrom$Value", map[string]string{"fields": "customer", "headers": "customer", "operation": "move"}},
	{pkg + "HoistField$Value", map[string]string{"field": "order"}},
	{pkg + "InsertField$Value", map[string]string{"topic.field": "topic", "offset.field": "offset", "timestamp.field": "ts", "static.field": "source", "static.value": "shop"}},
	{pkg + "InsertHeader", map[string]string{"header": "h", "value.literal": "1"}},
	{pkg + "MaskField$Value", map[string]string{"fields": "customer,price"}},
	{pkg + "RegexRouter", map[string]string{"regex": "(.*)-(\\d+)", "replacement": "$2-$1"}},
	{pkg + "ReplaceField$Value", map[string]string{"exclude": "note", "renames": "customer:client"}},
	{pkg + "SetSchemaMetadata$Value", map[string]string{"schema.name": "Order", "schema.version": "2"}},
	{pkg + "TimestampConverter$Value", map[string]string{"target.type": "string", "format": "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "field": "created"}},
	{pkg + "TimestampRouter", nil},
	{pkg + "ValueToKey", map[string]string{"fields": "id,customer"}},
	{predicates + "HasHeaderKey", map[string]string{"name": "h2"}},
	{predicates + "RecordIsTombstone", nil},
	{predicates + "TopicNameMatches", map[string]string{"pattern": "orders-.*"}},
}

func BenchmarkTransforms(b *testing.B) {
	for _, c := range benchmarks {
		for _, kind := range []string{"struct", "map"} {
			if kind == "map" && strings.Contains(c.class, "Schema") {
				continue
			}
			b.Run(c.class[len(pkg):]+"/"+kind, func(b *testing.B) {
				apply := applying(b, c.class, c.props)
				sample := order(kind == "map")
				r := &transform.Record{}
				b.ReportAllocs()
				for b.Loop() {
					*r = sample
					if err := apply(r); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// applying is a configured transformation or predicate.
func applying(t testing.TB, class string, props map[string]string) func(*transform.Record) error {
	t.Helper()
	p := find(t, class)
	if p.NewPredicate != nil {
		pr := p.NewPredicate()
		if err := pr.Configure(props); err != nil {
			t.Fatal(err)
		}
		return func(r *transform.Record) error { _, err := pr.Test(r); return err }
	}
	smt := p.NewTransformation()
	if err := smt.Configure(props); err != nil {
		t.Fatal(err)
	}
	return func(r *transform.Record) error { _, err := smt.Apply(r); return err }
}

func TestAllocations_what_depends_on_the_schema_is_made_once(t *testing.T) {
	for _, c := range benchmarks {
		apply := applying(t, c.class, c.props)
		sample := order(false)
		r := &transform.Record{}
		n := testing.AllocsPerRun(100, func() {
			*r = sample
			if err := apply(r); err != nil {
				t.Fatal(err)
			}
		})
		// a struct is two: itself and its values; a text, a number or a list of headers is one more
		if most := map[string]float64{"Cast$Value": 5, "HoistField$Value": 4, "InsertField$Value": 5, "HeaderFrom$Value": 3, "TimestampConverter$Value": 5}[c.class[len(pkg):]]; n > max(most, 2) {
			t.Errorf("%s: %v allocations a record", c.class, n)
		}
	}
}
