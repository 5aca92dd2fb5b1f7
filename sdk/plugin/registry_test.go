package plugin_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/sdk/source"
	"github.com/millrace/millrace/sdk/transform"
)

func sourceOf(class, version string) plugin.Plugin {
	return plugin.Plugin{Class: class, Kind: plugin.Source, Version: version, TaskClass: "T",
		NewConnector: func() connector.Connector { return nil }, NewSourceTask: func() source.Task { return nil }}
}

func sinkOf(class string) plugin.Plugin {
	return plugin.Plugin{Class: class, Kind: plugin.Sink, Version: "1", TaskClass: "T",
		NewConnector: func() connector.Connector { return nil }, NewSinkTask: func() sink.Task { return nil }}
}

func registry(t *testing.T, list ...plugin.Plugin) *plugin.Registry {
	t.Helper()
	r, err := plugin.New(list...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRegistry_finds_connectors_by_the_names_people_use(t *testing.T) {
	t.Parallel()
	r := registry(t, sourceOf("org.kafka.file.FileStreamSourceConnector", "1"), sinkOf("org.kafka.file.FileStreamSinkConnector"),
		sinkOf("a.TwiceConnector"), sinkOf("b.TwiceConnector"), sourceOf("x.ConnectorLike", "1"))
	for name, want := range map[string]string{
		"org.kafka.file.FileStreamSourceConnector": "org.kafka.file.FileStreamSourceConnector",
		"FileStreamSourceConnector":                "org.kafka.file.FileStreamSourceConnector",
		"FileStreamSource":                         "org.kafka.file.FileStreamSourceConnector",
		"FileStreamSink":                           "org.kafka.file.FileStreamSinkConnector",
		"a.TwiceConnector":                         "a.TwiceConnector",
		"ConnectorLike":                            "x.ConnectorLike", // the kind word at the start is no ending
	} {
		p, err := r.Connector(name)
		if err != nil || p.Class != want {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	for name, want := range map[string]string{
		"filestreamsink": "Failed to find any class that implements Connector and which name matches filestreamsink, available connectors are: PluginDesc{",
		"Twice":          "More than one connector matches alias Twice. Please use full package and class name instead. Classes found: PluginDesc{name='a.TwiceConnector'",
		"":               "Failed to find any class that implements Connector and which name matches ,",
	} {
		_, err := r.Connector(name)
		if err == nil || !strings.HasPrefix(err.Error(), want) || connecterr.KindOf(err) != connecterr.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRegistry_an_alias_of_several_classes_means_the_one_whose_name_was_first(t *testing.T) {
	t.Parallel()
	r := registry(t, sourceOf("io.confluent.a.SchemaSourceConnector", "1"), sourceOf("org.apache.kafka.SchemaSourceConnector", "1"),
		sourceOf("io.confluent.b.SchemaSourceConnector", "1"), sourceOf("io.aiven.JdbcSourceConnector", "1"), sourceOf("io.confluent.JdbcSourceConnector", "1"),
		sourceOf("io.confluent.a.TwiceConnector", "1"), sourceOf("io.confluent.b.TwiceConnector", "1"))
	for name, want := range map[string]string{
		"SchemaSource": "org.apache.kafka.SchemaSourceConnector", "SchemaSourceConnector": "org.apache.kafka.SchemaSourceConnector",
		"io.confluent.b.SchemaSourceConnector": "io.confluent.b.SchemaSourceConnector",
		"JdbcSource":                           "io.confluent.JdbcSourceConnector", "io.aiven.JdbcSourceConnector": "io.aiven.JdbcSourceConnector",
	} {
		p, err := r.Connector(name)
		if err != nil || p.Class != want {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	if _, err := r.Connector("Twice"); err == nil {
		t.Error("two of the same origin: it is nobody's")
	}
}

func TestRegistry_the_newest_version_is_found_and_kinds_stay_apart(t *testing.T) {
	t.Parallel()
	conv := plugin.Plugin{Class: "c.JsonConverter", Kind: plugin.Converter, Version: "1", NewConverter: func() converter.Converter { return nil }}
	head := plugin.Plugin{Class: "c.JsonConverter", Kind: plugin.HeaderConverter, Version: "1", NewHeaderConverter: func() converter.HeaderConverter { return nil }}
	r := registry(t, sourceOf("a.S", "1.9"), sourceOf("a.S", "1.10"), sourceOf("a.S", "1.10-rc1"), conv, head,
		plugin.Plugin{Class: "t.X$Value", Kind: plugin.Transformation, NewTransformation: func() transform.Transformation { return nil }},
		plugin.Plugin{Class: "t.Y$Value", Kind: plugin.Transformation, NewTransformation: func() transform.Transformation { return nil }})
	if p, err := r.Find(plugin.Source, "S"); err != nil || p.Version != "1.10" {
		t.Errorf("%v, %v", p, err)
	}
	for _, name := range []string{"c.JsonConverter", "JsonConverter", "Json"} {
		p, err := r.Find(plugin.HeaderConverter, name)
		if err != nil || p.Kind != plugin.HeaderConverter {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	if _, err := r.Find(plugin.Transformation, "Value"); err == nil {
		t.Error("an alias that two classes claim is nobody's")
	}
	if _, err := r.Find(plugin.Transformation, "t.X$Value"); err != nil {
		t.Error(err)
	}
	if _, err := r.Connector("JsonConverter"); err == nil {
		t.Error("a converter is no connector")
	}
	if n := len(r.All()); n != 7 {
		t.Errorf("%d plugins", n)
	}
}

func TestNew_refuses_what_is_incomplete_or_there_twice(t *testing.T) {
	t.Parallel()
	half := sourceOf("a.S", "1")
	half.NewSourceTask = nil
	for name, list := range map[string][]plugin.Plugin{
		"twice": {sourceOf("a.S", "1"), sourceOf("a.S", "1")}, "no factory": {half}, "no kind": {{Class: "a.S"}}, "no class": {sourceOf("", "1")},
	} {
		if _, err := plugin.New(list...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	t.Parallel()
	order := []string{"", "0.9", "1.0-rc1", "1.0-rc2", "1.0", "1.0.1", "1.2", "1.10", "2"}
	for i, a := range order {
		for k, b := range order {
			want := 0
			if i < k {
				want = -1
			} else if i > k {
				want = 1
			}
			if got := plugin.CompareVersions(a, b); got != want {
				t.Errorf("%q with %q: %d, want %d", a, b, got, want)
			}
		}
	}
}
