// Package converters holds the converters that come with Kafka: strings, bytes, booleans, numbers, JSON, and the header
// converter that finds out what a text is. They keep their Java class names and keys. Those over a schema registry are in
// folders of their own, avro, jsonschema and protobuf, with registry for what they have in common.
//
// Start reading at All, the only list of them.
package converters

import (
	"github.com/millrace/millrace/plugins/converters/avro"
	"github.com/millrace/millrace/plugins/converters/protobuf"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/plugin"
)

// Version is what the converters report.
const Version = "4.3.0"

// All lists the converters.
func All() []plugin.Plugin {
	var all []plugin.Plugin
	add := func(class, doc string, def *config.Def, make func() converter.Converter) {
		all = append(all,
			plugin.Plugin{Class: class, Kind: plugin.Converter, Version: Version, Def: def, Doc: doc,
				NewConverter: make},
			plugin.Plugin{Class: class, Kind: plugin.HeaderConverter, Version: Version, Def: def, Doc: doc,
				NewHeaderConverter: func() converter.HeaderConverter { return asHeader{make()} }})
	}
	add("org.apache.kafka.connect.storage.StringConverter", "Text, in UTF-8 or another encoding.", stringDef, func() converter.Converter { return &stringConverter{} })
	add("org.apache.kafka.connect.converters.ByteArrayConverter", "Bytes as they are.", typeOnlyDef, func() converter.Converter { return bytesConverter{} })
	add("org.apache.kafka.connect.converters.BooleanConverter", "Booleans as one byte.", typeOnlyDef, func() converter.Converter { return booleanConverter{} })
	add("org.apache.kafka.connect.converters.ShortConverter", "16-bit numbers as two bytes.", typeOnlyDef, func() converter.Converter { return shortConverter })
	add("org.apache.kafka.connect.converters.IntegerConverter", "32-bit numbers as four bytes.", typeOnlyDef, func() converter.Converter { return integerConverter })
	add("org.apache.kafka.connect.converters.LongConverter", "64-bit numbers as eight bytes.", typeOnlyDef, func() converter.Converter { return longConverter })
	add("org.apache.kafka.connect.converters.FloatConverter", "Single precision numbers as four bytes.", typeOnlyDef, func() converter.Converter { return floatConverter })
	add("org.apache.kafka.connect.converters.DoubleConverter", "Double precision numbers as eight bytes.", typeOnlyDef, func() converter.Converter { return doubleConverter })
	add("org.apache.kafka.connect.json.JsonConverter", "JSON, with or without its schema.", jsonDef, func() converter.Converter { return &jsonConverter{} })
	for i := range all { // those over a registry are not: each instance would ask it
		all[i].Pure = true
	}
	all = append(all, plugin.Plugin{Class: avro.Class, Kind: plugin.Converter, Version: Version, Def: avro.Def, Doc: "Avro, with schemas in a schema registry.", NewConverter: avro.New})
	all = append(all, plugin.Plugin{Class: "io.confluent.connect.json.JsonSchemaConverter", Kind: plugin.Converter, Version: Version, Def: jsonSchemaDef,
		Doc: "JSON, with schemas in a schema registry.", NewConverter: func() converter.Converter { return &jsonSchemaConverter{} }})
	all = append(all, plugin.Plugin{Class: protobuf.Class, Kind: plugin.Converter, Version: Version, Def: protobuf.Def, Doc: "Protobuf, with schemas in a schema registry.", NewConverter: protobuf.New})
	return append(all, plugin.Plugin{Class: "org.apache.kafka.connect.storage.SimpleHeaderConverter", Kind: plugin.HeaderConverter, Version: Version,
		Pure: true, Def: &config.Def{}, Doc: "Header values as text, whose type is guessed when they are read.",
		NewHeaderConverter: func() converter.HeaderConverter { return simpleHeader{} }})
}

// typeKey tells a converter what it converts; the worker sets it.
var typeKey = config.Key{Name: "converter.type", Type: config.String, Importance: config.Low, Doc: "What it converts: key, value or header.",
	Validators: []config.Rule{config.OneOf("key", "value", "header")}, Required: true}

var typeOnlyDef = &config.Def{Keys: []config.Key{typeKey}}
