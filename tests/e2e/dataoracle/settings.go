package dataoracle

import (
	"flag"
	"fmt"
	"maps"
	"strings"
)

// seed makes other records up, for a longer search.
var seed = flag.Uint64("data-seed", 1, "seed of the records that are compared with Kafka Connect's")

// setting is one configuration of a connector with what it reads.
type setting struct {
	name    string
	id      string // of the run
	letters bool   // it writes dead letters
	maps    bool   // it prints maps without a schema
	props   map[string]string
	given   []given  // of a sink's topic
	lines   []string // of a file
	script  bool     // the file is a script
}

func (s setting) sink() bool { return s.given != nil }

func (s setting) text() string { return strings.Join(s.lines, "\n") + "\n" }

func (s setting) count() int { return max(len(s.given), len(s.lines)) }

// end is how the committed offset shows that all has been done.
func (s setting) end(n int) string {
	if s.sink() {
		return fmt.Sprintf(`"kafka_offset":%d}`, n)
	}
	return fmt.Sprintf(`"line":%d}`, n)
}

func (s setting) config(w Target) map[string]string {
	c := maps.Clone(s.props)
	c["file"], c["tasks.max"] = s.file(w), "1"
	switch {
	case s.sink():
		c["connector.class"], c["topics"] = "org.apache.kafka.connect.file.FileStreamSinkConnector", s.topic()
	case s.script:
		c["connector.class"], c["topic"] = scriptedClass, s.produced(w)
	default:
		c["connector.class"], c["topic"] = "org.apache.kafka.connect.file.FileStreamSourceConnector", s.produced(w)
	}
	if s.letters {
		c["errors.tolerance"], c["errors.deadletterqueue.topic.name"] = "all", s.deadLetters(w)
		c["errors.deadletterqueue.topic.replication.factor"], c["errors.deadletterqueue.context.headers.enable"] = "1", "true"
	}
	return c
}

const (
	storage    = "org.apache.kafka.connect.storage."
	numbers    = "org.apache.kafka.connect.converters."
	transforms = "org.apache.kafka.connect.transforms."
)

const lastOrder = `{"id":1,"name":"n","price":0.5,"amount":null,"born":1,"at":1,"nested":{"a":1,"b":"b"},"secret":"s"}`

// props are pairs of key and value.
func props(pairs ...string) map[string]string {
	m := map[string]string{"key.converter": numbers + "ByteArrayConverter"}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// chain are transforms, each "Class key=value key=value"; spaces of values are written ␠.
func chain(c map[string]string, steps ...string) map[string]string {
	var names []string
	for i, step := range steps {
		name, words := fmt.Sprintf("t%d", i), strings.Fields(step)
		names = append(names, name)
		c["transforms."+name+".type"] = transforms + words[0]
		for _, w := range words[1:] {
			k, v, _ := strings.Cut(w, "=")
			c["transforms."+name+"."+k] = strings.ReplaceAll(v, "␠", " ")
		}
	}
	c["transforms"] = strings.Join(names, ",")
	return c
}

func settings() (all []setting) {
	add := func(s setting) { all = append(all, s) }
	of := func(name string) corpus { return newCorpus(*seed, name) }
	sinks := func(name string, n, broken int, value func(corpus) []byte, p map[string]string) {
		c := of(name)
		maps := strings.Contains(name, "maps") || strings.Contains(name, "without schemas")
		add(setting{name: name, letters: true, maps: maps, props: p, given: c.records(n, broken, func() []byte { return value(c) })})
	}
	envelope := func(c corpus) []byte { return []byte(c.envelope(2)) }
	plain := func(c corpus) []byte { return []byte(c.plain(2)) }
	order := func(c corpus) []byte { return []byte(c.order(true)) }
	bare := func(c corpus) []byte { return []byte(c.order(false)) }

	sinks("sink of text", 200, 20, func(c corpus) []byte { return []byte(strings.ReplaceAll(c.text(), "\n", "")) }, props("value.converter", storage+"StringConverter"))
	sinks("sink of JSON with schemas", 400, 15, envelope, props("value.converter", jsonClass, "value.converter.schemas.enable", "true"))
	sinks("sink of JSON without schemas", 300, 15, plain, props("value.converter", jsonClass, "value.converter.schemas.enable", "false"))
	sinks("sink of defaults for nulls", 100, 0, envelope, props("value.converter", jsonClass, "value.converter.replace.null.with.default", "false", "key.converter", storage+"StringConverter"))
	for name, size := range map[string]int{"Boolean": 1, "Short": 2, "Integer": 4, "Long": 8, "Float": 4, "Double": 8} {
		sinks("sink of "+name, 60, 0, func(c corpus) []byte { return c.numbers(size) }, props("value.converter", numbers+name+"Converter"))
	}
	typed := func(steps ...string) map[string]string { return chain(props("value.converter", jsonClass), steps...) }
	loose := func(steps ...string) map[string]string {
		return chain(props("value.converter", jsonClass, "value.converter.schemas.enable", "false"), steps...)
	}
	renaming := []string{"ReplaceField$Value exclude=price renames=id:key,name:title", "MaskField$Value fields=secret replacement=***",
		"InsertField$Value static.field=origin static.value=here topic.field=topic offset.field=offset partition.field=partition", "Flatten$Value delimiter=_"}
	sinks("sink that renames and flattens", 150, 5, order, typed(renaming...))
	sinks("sink that renames and flattens maps", 150, 5, bare, loose(renaming...))
	casting := []string{"Cast$Value spec=id:string,price:int32", "TimestampConverter$Value field=at target.type=string format=yyyy-MM-dd'T'HH:mm:ss.SSS", "HoistField$Value field=row"}
	sinks("sink that casts", 150, 5, order, typed(casting...))
	sinks("sink that casts maps", 150, 5, bare, loose(casting...))
	sinks("sink of one field", 100, 5, order, typed("ExtractField$Value field=nested", "ExtractField$Value field=b"))
	sinks("sink of one field of maps", 100, 5, bare, loose("ExtractField$Value field=nested.b field.syntax.version=V2"))
	filtering := func(p map[string]string) map[string]string {
		maps.Copy(p, map[string]string{"transforms.t0.predicate": "gone", "predicates": "gone,traced", "predicates.gone.type": transforms + "predicates.RecordIsTombstone",
			"predicates.traced.type": transforms + "predicates.HasHeaderKey", "predicates.traced.name": "trace", "transforms.t1.predicate": "traced", "transforms.t1.negate": "true"})
		return p
	}
	sinks("sink that filters", 100, 5, order, filtering(typed("Filter", "MaskField$Value fields=name,id", "SetSchemaMetadata$Value schema.name=renamed schema.version=7")))

	lines := func(name string, n int, p map[string]string) {
		c := of(name)
		s := setting{name: name, props: p}
		for range n {
			s.lines = append(s.lines, strings.NewReplacer("\n", " ", "\r", " ").Replace(c.text()))
		}
		add(s)
	}
	lines("source of lines", 200, props("value.converter", storage+"StringConverter"))
	lines("source of lines as JSON", 150, chain(props("value.converter", jsonClass, "key.converter", jsonClass), "HoistField$Value field=line", "InsertField$Value static.field=host static.value=a␠b",
		"ValueToKey fields=line", "InsertHeader header=origin value.literal=5", "SetSchemaMetadata$Key schema.name=k"))

	scripts := func(name string, n int, value func(corpus) string, p map[string]string) {
		c := of(name)
		c.wrong = 0
		p["errors.tolerance"] = "all"
		lines := c.script(n, func() string { return value(c) })
		// The last one is never left out: its offset tells that all have been done.
		last := fmt.Sprintf(`{"key":null,"value":{"schema":%s,"payload":%s},"headers":[],"timestamp":%d}`, strings.ReplaceAll(orderSchema, "\n\t", ""), lastOrder, eldest)
		add(setting{name: name, script: true, props: p, lines: append(lines, last)})
	}
	any3 := func(c corpus) string { return c.sure(3) }
	both := func(class string, pairs ...string) map[string]string {
		p := props(append([]string{"key.converter", class, "value.converter", class}, pairs...)...)
		return p
	}
	sure := func(c corpus) string {
		for {
			if o := c.order(true); strings.Contains(o, `"secret"`) {
				return o
			}
		}
	}
	scripts("script as JSON with schemas", 300, any3, both(jsonClass))
	scripts("script as JSON without schemas", 200, any3, both(jsonClass, "value.converter.schemas.enable", "false", "key.converter.schemas.enable", "false", "value.converter.decimal.format", "NUMERIC"))
	scripts("script as text", 200, any3, both(storage+"StringConverter", "header.converter", storage+"StringConverter"))
	scripts("script of JSON headers", 100, any3, both(jsonClass, "header.converter", jsonClass))
	scripts("script that changes", 150, sure, chain(both(jsonClass), "ValueToKey fields=id,name", "ExtractField$Key field=id", "HeaderFrom$Value fields=name,nested headers=n,m operation=copy",
		"DropHeaders headers=trace", "TimestampConverter$Value field=at target.type=Date", "Cast$Value spec=price:string", "Flatten$Value"))
	return all
}
