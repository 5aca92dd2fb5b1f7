package jdbcsource

import (
	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/source"
)

// Options are what the operator decides.
type Options struct {
	Version string
	Policy  connect.Policy
}

// Plugins are the source under both of its names.
func Plugins(o Options) []plugin.Plugin {
	of := func(class, doc string, def *config.Def) plugin.Plugin {
		open := openWith(def, o.Policy)
		return plugin.Plugin{Class: class + ".JdbcSourceConnector", Kind: plugin.Source, Version: o.Version, TaskClass: class + ".source.JdbcSourceTask", Def: def, Doc: doc,
			NewConnector:  func() connector.Connector { return &jdbcConnector{def: def, open: open} },
			NewSourceTask: func() source.Task { return &jdbcTask{def: def, open: open} }}
	}
	return []plugin.Plugin{
		of("io.confluent.connect.jdbc", "Reads tables of a database, or a query, at an interval.", confluentDef),
		of("io.aiven.connect.jdbc", "Reads tables of a database, or a query, at an interval, with the keys and defaults of Aiven's connector.", aivenDef),
	}
}
