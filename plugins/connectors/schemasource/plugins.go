package schemasource

import (
	"context"
	"io"
	"maps"
	"strconv"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/source"
)

// flavour is what one of the classes does in its own way.
type flavour struct {
	class string
	// corrects: throughput is required, and pauses make up for the work between records; otherwise each record is followed
	// by the same pause.
	corrects bool
	// complexKeys: complex.keys.headers is a key.
	complexKeys bool
	// canBeQuiet: enable.stdout is a key.
	canBeQuiet bool
	doc        string
}

var flavours = []flavour{
	{class: "org.apache.kafka.connect.tools.SchemaSource", corrects: true, doc: "Makes numbered records with a schema."},
	{class: "io.confluent.connect.storage.tools.SchemaSource", complexKeys: true, canBeQuiet: true,
		doc: "Makes numbered records with a schema, with struct keys and headers on request."},
	{class: "io.confluent.connect.hdfs.tools.SchemaSource", doc: "Makes numbered records with a schema at a steady pace."},
}

// Plugins are the sources of all flavours. Lines about records go to stdout, each in one call, which tasks make at the same time.
func Plugins(version string, stdout io.Writer) []plugin.Plugin {
	all := make([]plugin.Plugin, len(flavours))
	for i, f := range flavours {
		all[i] = plugin.Plugin{Class: f.class + "Connector", Kind: plugin.Source, Version: version, TaskClass: f.class + "Task", Def: &config.Def{}, Doc: f.doc,
			NewConnector:  func() connector.Connector { return &schemaConnector{} },
			NewSourceTask: func() source.Task { return &task{flavour: f, stdout: stdout} }}
	}
	return all
}

// schemaConnector numbers its tasks. It judges nothing.
type schemaConnector struct{ config map[string]string }

func (c *schemaConnector) Start(_ context.Context, cc connector.Context) error {
	c.config = cc.Config()
	return nil
}

// TaskConfigs gives each task its number.
func (c *schemaConnector) TaskConfigs(_ context.Context, maxTasks int) ([]map[string]string, error) {
	configs := make([]map[string]string, maxTasks)
	for i := range configs {
		configs[i] = make(map[string]string, len(c.config)+1)
		maps.Copy(configs[i], c.config)
		configs[i][idKey] = strconv.Itoa(i)
	}
	return configs, nil
}

func (c *schemaConnector) Stop(context.Context) error { return nil }
