package filestream

import (
	"io"
	"time"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/sdk/source"
)

// The keys.
const (
	fileKey       = "file"
	topicKey      = "topic"
	batchKey      = "batch.size"
	truncationKey = "file.truncation"

	truncationWait    = "wait"
	truncationRestart = "restart"
	truncationFail    = "fail"
)

var sourceDef = &config.Def{Keys: []config.Key{
	{Name: fileKey, Type: config.String, Importance: config.High, Doc: "File to read; empty for standard input."},
	{Name: topicKey, Type: config.String, Required: true, Importance: config.High, Doc: "Topic that receives the lines.", Validators: []config.Rule{config.NonEmpty()}},
	{Name: batchKey, Type: config.Int, Default: config.Default("2000"), Importance: config.Low, Doc: "Most lines that one poll returns."},
	{Name: truncationKey, Type: config.String, Default: config.Default(truncationWait), Importance: config.Low,
		Doc:        "What to do when the file is truncated or replaced: wait until it grows, restart at its beginning, or fail. An addition to Kafka Connect.",
		Validators: []config.Rule{config.OneOf(truncationWait, truncationRestart, truncationFail)}},
}}

var sinkDef = &config.Def{Keys: []config.Key{
	{Name: fileKey, Type: config.String, Importance: config.High, Doc: "File to append to; empty for standard output."},
}}

// Options are what the worker decides about the file connectors.
type Options struct {
	Version string
	Roots   Roots
	Stdin   io.Reader
	Stdout  io.Writer
}

// Plugins are the source and the sink.
func Plugins(o Options) []plugin.Plugin {
	return []plugin.Plugin{
		{
			Class: "org.apache.kafka.connect.file.FileStreamSourceConnector", Kind: plugin.Source, Version: o.Version,
			TaskClass: "org.apache.kafka.connect.file.FileStreamSourceTask", Def: sourceDef, Doc: "Turns the lines of a file into records.",
			NewConnector: func() connector.Connector { return &sourceConnector{roots: o.Roots} },
			NewSourceTask: func() source.Task {
				return &sourceTask{roots: o.Roots, stdin: o.Stdin, clock: time.Now, after: time.After}
			},
		},
		{
			Class: "org.apache.kafka.connect.file.FileStreamSinkConnector", Kind: plugin.Sink, Version: o.Version,
			TaskClass: "org.apache.kafka.connect.file.FileStreamSinkTask", Def: sinkDef, Doc: "Appends record values to a file, a line each.",
			NewConnector: func() connector.Connector { return &sinkConnector{roots: o.Roots} },
			NewSinkTask:  func() sink.Task { return &sinkTask{roots: o.Roots, stdout: o.Stdout} },
		},
	}
}
