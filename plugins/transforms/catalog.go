// Package transforms holds the single message transformations and predicates that come with Kafka. They keep their Java class
// names, keys, error texts and quirks; docs/transforms.md lists what differs.
//
// Start reading at All, the only list of them; base.go has what they share. Schemas are rebuilt once for each input schema
// (cache.go), so that a record costs a new struct and little else.
package transforms

import (
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/transform"
)

// Version is what the transformations and predicates report.
const Version = "4.3.0"

const (
	classPrefix     = "org.apache.kafka.connect.transforms."
	predicatePrefix = classPrefix + "predicates."
)

// All lists the transformations and predicates.
func All() []plugin.Plugin {
	var all []plugin.Plugin
	single := func(name, doc string, def *config.Def, make func() transform.Transformation) {
		all = append(all, plugin.Plugin{Class: classPrefix + name, Kind: plugin.Transformation, Version: Version, Def: def, Doc: doc, NewTransformation: make})
	}
	// both lists the variants of a transformation for keys and for values.
	both := func(name, doc string, def *config.Def, make func(base) transform.Transformation) {
		single(name+"$Key", doc, def, func() transform.Transformation { return make(base{key: true}) })
		single(name+"$Value", doc, def, func() transform.Transformation { return make(base{}) })
	}
	predicate := func(name, doc string, def *config.Def, make func() transform.Predicate) {
		all = append(all, plugin.Plugin{Class: predicatePrefix + name, Kind: plugin.Predicate, Version: Version, Def: def, Doc: doc, NewPredicate: make})
	}
	both("Cast", "Gives fields, or the whole key or value, another primitive type.", castDef, func(b base) transform.Transformation { return &cast{base: b} })
	single("DropHeaders", "Removes headers by their keys.", dropHeadersDef, func() transform.Transformation { return &dropHeaders{} })
	both("ExtractField", "Puts one field in the place of the whole.", extractFieldDef, func(b base) transform.Transformation { return &extractField{base: b} })
	single("Filter", "Drops every record; meant to be used with a predicate.", &config.Def{}, func() transform.Transformation { return filter{} })
	both("Flatten", "Makes one level of nested structs or maps, joining the names of fields.", flattenDef, func(b base) transform.Transformation { return &flatten{base: b} })
	both("HeaderFrom", "Moves or copies fields to headers.", headerFromDef, func(b base) transform.Transformation { return &headerFrom{base: b} })
	both("HoistField", "Wraps the whole in a struct or map with one field.", hoistFieldDef, func(b base) transform.Transformation { return &hoistField{base: b} })
	both("InsertField", "Adds fields with a record's topic, partition, offset or timestamp, or with a fixed text.", insertFieldDef,
		func(b base) transform.Transformation { return &insertField{base: b} })
	single("InsertHeader", "Adds a header with a fixed value.", insertHeaderDef, func() transform.Transformation { return &insertHeader{} })
	both("MaskField", "Replaces fields by a null value of their type, or by a fixed value.", maskFieldDef, func(b base) transform.Transformation { return &maskField{base: b} })
	single("RegexRouter", "Renames topics by a regular expression.", regexRouterDef, func() transform.Transformation { return &regexRouter{} })
	both("ReplaceField", "Leaves fields out, or renames them.", replaceFieldDef, func(b base) transform.Transformation { return &replaceField{base: b} })
	both("SetSchemaMetadata", "Sets the name or version of the schema.", setSchemaMetadataDef, func(b base) transform.Transformation { return &setSchemaMetadata{base: b} })
	both("TimestampConverter", "Converts timestamps between texts, numbers and Connect's types.", timestampConverterDef,
		func(b base) transform.Transformation { return &timestampConverter{base: b} })
	single("TimestampRouter", "Makes the topic's name of the topic and the record's timestamp.", timestampRouterDef, func() transform.Transformation { return &timestampRouter{} })
	single("ValueToKey", "Makes a new key of fields of the value.", valueToKeyDef, func() transform.Transformation { return &valueToKey{} })
	predicate("HasHeaderKey", "Holds for records that have a header with that key.", hasHeaderKeyDef, func() transform.Predicate { return &hasHeaderKey{} })
	predicate("RecordIsTombstone", "Holds for records whose value is null.", &config.Def{}, func() transform.Predicate { return recordIsTombstone{} })
	predicate("TopicNameMatches", "Holds for records of topics that match a regular expression.", topicNameMatchesDef, func() transform.Predicate { return &topicNameMatches{} })
	for i := range all {
		all[i].Pure = true
	}
	return all
}
