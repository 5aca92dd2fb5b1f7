package validate_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/validate"
)

// What people, and those who wish them ill, write into configurations.
var (
	someKeys = []string{"name", "connector.class", "connector.plugin.version", "tasks.max", "key.converter", "key.converter.plugin.version", "key.converter.schemas.enable",
		"header.converter", "transforms", "transforms.a.type", "transforms.a.plugin.version", "transforms.a.negate", "transforms.a.predicate", "transforms.a.regex", "transforms..type",
		"predicates", "predicates.p.type", "predicates.p.pattern", "topics", "topics.regex", "errors.deadletterqueue.topic.name", "topic", "file", "batch.size",
		"producer.override.acks", "producer.override.linger.ms", "consumer.override.group.id", "admin.override.retries", "topic.creation.groups", "exactly.once.support",
		"transaction.boundary", "offsets.storage.topic", "config.providers.x.class", "", ".", "unknown"}
	someValues = []string{"", " ", "a", "a,a", ",", "1", "-1", "x", "required", "connector", "[", "[1,", "[4,5)", "latest", "true", "${file:/s:secret}", "a${env:SECRET}", "${nope:x}",
		"Json", "org.apache.kafka.connect.json.JsonConverter", "RegexRouter", "org.apache.kafka.connect.transforms.Cast", "TopicNameMatches", "Value", "p", "\x00", "٣", "ü"}
)

const secret = "hunter2"

func TestConnector_whatever_is_configured(t *testing.T) {
	t.Parallel()
	plugins := recordedPlugins(t)
	rapid.Check(t, func(t *rapid.T) {
		cfg, resolved := cluster.Config{}, cluster.Config{}
		class := rapid.SampledFrom([]string{"FileStreamSource", "FileStreamSink", "MockSource"}).Draw(t, "class")
		cfg["connector.class"], resolved["connector.class"] = &class, &class
		for _, k := range rapid.SliceOfDistinct(rapid.SampledFrom(someKeys), rapid.ID[string]).Draw(t, "keys") {
			if k == "connector.class" {
				continue
			}
			v := rapid.SampledFrom(someValues).Draw(t, k)
			if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
				cfg[k], resolved[k] = nil, nil
				continue
			}
			cfg[k] = &v
			plain := strings.NewReplacer("${file:/s:secret}", secret, "${env:SECRET}", secret).Replace(v)
			resolved[k] = &plain
		}
		w := cluster.Worker{Providers: []string{"file", "env"}, OverridePolicy: "Principal"}
		asked := validate.Request{Config: cfg, Resolved: resolved, Plugins: plugins, Worker: &w, Instance: func(i int) validate.Instance { return recordedConnector{plugins.Index.At(i).Class} }}
		infos, err := validate.Connector(asked)
		var refusal *validate.Refusal
		if err != nil && !errors.As(err, &refusal) {
			t.Fatalf("%T: %v", err, err)
		}
		again, _ := validate.Connector(asked)
		a, _ := json.Marshal(infos)
		b, _ := json.Marshal(again)
		if string(a) != string(b) {
			t.Fatalf("two answers:\n%s\n%s", a, b)
		}
		if (infos.ErrorCount == 0) != (infos.FirstErrors() == "") {
			t.Fatalf("%d errors: %s", infos.ErrorCount, infos.FirstErrors())
		}
		short := infos.OnlyErrors()
		if short.FirstErrors() != infos.FirstErrors() || len(short.Configs) > infos.ErrorCount {
			t.Fatalf("only errors: %d of %d, %s", len(short.Configs), infos.ErrorCount, short.FirstErrors())
		}
		if refusal != nil && strings.Contains(refusal.Message, secret) {
			t.Fatal(refusal.Message)
		}
		for _, c := range infos.Configs {
			if raw := cfg[c.Value.Name]; raw != nil && strings.Contains(*resolved[c.Value.Name], secret) && (c.Value.Value == nil || *c.Value.Value != *raw) {
				t.Fatalf("%s shows %v", c.Value.Name, c.Value.Value)
			}
		}
		if v := cfg["connector.plugin.version"]; v != nil && strings.Contains(*v, "${") {
			return // which version is meant decides what is looked at
		}
		stored := asked
		stored.Resolved, stored.Instance = nil, nil
		without, err := validate.Connector(stored) // it knows less, so it refuses no more
		if err == nil && refusal == nil && without.ErrorCount > infos.ErrorCount {
			t.Fatalf("with a runner:\n%s\nwithout:\n%s", infos.FirstErrors(), without.FirstErrors())
		}
		if err != nil && refusal == nil {
			t.Fatalf("only without a runner: %v", err)
		}
	})
}
