package validate_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/validate"
	"github.com/millrace/millrace/sdk/config"
)

// What the recorded worker had: the file connectors and the converters of Kafka.
var (
	fileSource = &config.Def{Keys: []config.Key{
		{Name: "file", Type: config.String, Importance: config.High},
		{Name: "topic", Type: config.String, Required: true, Importance: config.High, Validators: []config.Rule{config.NonEmpty()}},
		{Name: "batch.size", Type: config.Int, Default: config.Default("2000"), Importance: config.Low},
	}}
	fileSink   = &config.Def{Keys: []config.Key{{Name: "file", Type: config.String, Importance: config.High}}}
	converters = map[string]string{
		"JsonConverter": "org.apache.kafka.connect.json.JsonConverter", "StringConverter": "org.apache.kafka.connect.storage.StringConverter",
		"SimpleHeaderConverter": "org.apache.kafka.connect.storage.SimpleHeaderConverter",
	}
)

func find(_ validate.Kind, name string) (validate.Plugin, bool) {
	for alias, class := range converters {
		if name == alias || name == class || name+"Converter" == alias {
			return validate.Plugin{Class: class}, true
		}
	}
	return validate.Plugin{}, false
}

func request(cfg cluster.Config) validate.Request {
	class, _ := cfg.Get("connector.class")
	r := validate.Request{Class: class, Type: cluster.TypeSource, Version: "4.3.1", Config: cfg, Def: fileSource, Find: find, List: func(validate.Kind) []string { return nil }}
	if strings.Contains(class, "Sink") {
		r.Type, r.Def = cluster.TypeSink, fileSink
	}
	return r
}

// The recorded exchanges are those about the file connectors that concern neither converters (they depend on what is
// installed) nor what the plugin itself answers (a runner asks it).

// leave drops what is not compared: documentation is ours, recommendations depend on what is installed, converter
// entries come in no order, and the worker's own converters are its own.
func leave(i validate.Infos) (out []validate.Info) {
	for _, c := range i.Configs {
		name := c.Value.Name
		if strings.Contains(name, ".converter.") || strings.HasSuffix(name, "plugin.version") {
			continue
		}
		v := *c.Value
		v.Recommended = nil
		for k, e := range v.Errors { // Java's words about a regular expression are its own
			if at := strings.Index(e, "Invalid regex: "); at >= 0 {
				v.Errors = slices.Clone(v.Errors)
				v.Errors[k] = e[:at]
			}
		}
		if strings.HasSuffix(name, ".converter") && len(v.Errors) == 0 {
			v.Value = nil
		}
		if c.Definition == nil {
			out = append(out, validate.Info{Value: &v})
			continue
		}
		d := *c.Definition
		d.Documentation, d.Order = "", 0
		if strings.HasSuffix(name, ".converter") {
			d.DefaultValue = nil
		}
		out = append(out, validate.Info{Definition: &d, Value: &v})
	}
	return out
}

func TestConnector_answers_as_Kafka_Connect_was_recorded_to(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/validate.jsonl")
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		var c struct {
			ID, Title string
			Config    map[string]any
			Want      validate.Infos
			Keys      any // set when the answer was recorded in part
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		n++
		t.Run(c.ID+" "+c.Title, func(t *testing.T) {
			t.Parallel()
			cfg := cluster.Config{}
			for k, v := range c.Config {
				switch v := v.(type) {
				case nil:
					cfg[k] = nil
				case string:
					cfg[k] = &v
				default:
					b, err := json.Marshal(v)
					require.NoError(t, err)
					text := string(b)
					cfg[k] = &text
				}
			}
			got := validate.Connector(request(cfg))
			mine := got
			if c.Keys != nil { // recorded in part
				mine.Configs = slices.DeleteFunc(slices.Clone(got.Configs), func(i validate.Info) bool {
					return !slices.ContainsFunc(c.Want.Configs, func(w validate.Info) bool { return w.Value.Name == i.Value.Name })
				})
			}
			if d := cmp.Diff(leave(c.Want), leave(mine)); d != "" {
				t.Errorf("config %v:\n%s", c.Config, d)
			}
			if d := cmp.Diff(c.Want.Groups, got.Groups); d != "" {
				t.Errorf("groups:\n%s", d)
			}
			if c.Want.ErrorCount != got.ErrorCount {
				t.Errorf("%d errors, want %d: %s", got.ErrorCount, c.Want.ErrorCount, got.FirstErrors())
			}
		})
	}
	require.NoError(t, lines.Err())
	require.Greater(t, n, 20)
}
