// Package plugin describes plugins and finds them by the names people have in their configurations: the full Java class
// name, the simple name, or the simple name without its kind word.
//
// Registration is explicit: New takes the list. There is no init magic, so a build or a test with other plugins is just
// another list.
package plugin

import (
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/sdk/source"
	"github.com/millrace/millrace/sdk/transform"
)

// Kind is the kind of a plugin, by the word that REST answers show.
type Kind string

// The kinds of plugin.
const (
	Source          Kind = "source"
	Sink            Kind = "sink"
	Transformation  Kind = "transformation"
	Predicate       Kind = "predicate"
	Converter       Kind = "converter"
	HeaderConverter Kind = "header_converter"
)

// Plugin describes one plugin and makes instances of it. Exactly the factories of its kind are set.
type Plugin struct {
	Class     string      // full Java class name, for example org.apache.kafka.connect.file.FileStreamSourceConnector
	Kind      Kind        //
	Version   string      // dotted version shown to users
	TaskClass string      // Java class name of the task; connectors only
	Def       *config.Def // the plugin's own keys
	Doc       string      // one sentence for the reference page
	// Pure says of a converter, transformation or predicate that what it makes of a record depends on nothing but its
	// configuration and that record, so that a task may spread its records over several instances.
	Pure bool

	NewConnector       func() connector.Connector
	NewSourceTask      func() source.Task
	NewSinkTask        func() sink.Task
	NewConverter       func() converter.Converter
	NewHeaderConverter func() converter.HeaderConverter
	NewTransformation  func() transform.Transformation
	NewPredicate       func() transform.Predicate
}
