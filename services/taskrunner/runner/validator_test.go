package runner

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/clientconf"
	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/validate"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/secrets"
	"github.com/millrace/millrace/plugins"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
	"github.com/millrace/millrace/tests/logs"
)

// checker is a runner's part in validation, and what the control plane would keep of it.
type checker struct {
	*factories
	dir    string
	logs   *logs.Buffer
	stored []cluster.PluginRecord
}

func newChecker(t *testing.T, properties ...string) *checker {
	t.Helper()
	c := &checker{dir: t.TempDir(), logs: &logs.Buffer{}}
	require.NoError(t, os.WriteFile(filepath.Join(c.dir, "db.properties"), []byte("two=2\nsecret=hunter2\nfile="+c.dir+"/in\n"), 0o600))
	plugins, err := plugin.New(plugins.All(connectors.Options{FileRoots: []string{c.dir}})...)
	require.NoError(t, err)
	props := map[string]string{"bootstrap.servers": "127.0.0.1:1", "group.id": "connect-workers", "config.providers": "file", "config.providers.file.class": "FileConfigProvider",
		"config.providers.file.param.allowed.paths": c.dir}
	for i := 0; i < len(properties); i += 2 {
		props[properties[i]] = properties[i+1]
	}
	log := c.logs.Logger()
	refs, err := secrets.FromProperties(props, os.LookupEnv, log)
	require.NoError(t, err)
	w, err := worker.Resolved(props, refs)
	require.NoError(t, err)
	facts := factsOf(w, refs, plugins)
	c.factories, err = newFactories(Config{Plugins: plugins}, w, facts, refs, log)
	require.NoError(t, err)
	c.stored, err = records(plugins.All())
	require.NoError(t, err)
	about, err := workerRecord(facts)
	require.NoError(t, err)
	c.stored = append(c.stored, about)
	return c
}

// ask asks the runner, as the api does.
func (c *checker) ask(t *testing.T, cfg cluster.Config) wire.ValidateReply {
	t.Helper()
	return c.answer(t, wire.ValidateRequest{Config: cfg})
}

func (c *checker) answer(t *testing.T, q wire.ValidateRequest) wire.ValidateReply {
	t.Helper()
	msg, err := wire.Encode(wire.KindValidate, "q", q)
	require.NoError(t, err)
	b, err := c.answerValidation(t.Context(), msg)
	require.NoError(t, err)
	e, err := wire.Open(b)
	require.NoError(t, err)
	reply, err := wire.Decode[wire.ValidateReply](e, wire.KindValidate)
	require.NoError(t, err)
	return reply
}

// withoutRunner checks by what is stored.
func (c *checker) withoutRunner(t *testing.T, cfg cluster.Config) (validate.Infos, error) {
	t.Helper()
	var names []plugin.Name
	var w cluster.Worker
	for _, r := range c.stored {
		if r.Kind == cluster.KindWorker {
			require.NoError(t, json.Unmarshal(r.Definition, &w))
			continue
		}
		names = append(names, plugin.Name{Kind: plugin.Kind(r.Kind), Class: r.Class, Version: r.Version})
	}
	return validate.Connector(validate.Request{Config: cfg, Worker: &w, Refuse: clientconf.Refused, Plugins: validate.Catalog{Index: plugin.NewIndex(names), Def: func(i int) (*config.Def, error) {
		var d config.Def
		return &d, json.Unmarshal(c.stored[i].Definition, &d)
	}}})
}

func (c *checker) source(pairs ...string) cluster.Config {
	m := map[string]string{"connector.class": "FileStreamSource", "name": "v", "topic": "t", "file": c.dir + "/in"}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return cluster.ConfigOf(m)
}

func TestValidation_is_the_same_with_a_runner_and_without(t *testing.T) {
	t.Parallel()
	c := newChecker(t, "connector.client.config.override.policy", "Principal", "exactly.once.source.support", "disabled", "value.converter", "StringConverter")
	ref := "${file:" + c.dir + "/db.properties:"
	null := c.source()
	null["tasks.max"], null["k"], null["producer.override.acks"] = nil, nil, nil
	for name, cfg := range map[string]cluster.Config{
		"nothing wrong":                 c.source(),
		"much wrong":                    c.source("tasks.max", "x", "topic", "", "batch.size", "y", "errors.tolerance", "ALL", "name", ""),
		"nulls":                         null,
		"a sink":                        cluster.ConfigOf(map[string]string{"connector.class": "FileStreamSink", "name": "v", "topics": "a,d", "errors.deadletterqueue.topic.name": "d"}),
		"a sink in the workers' group":  cluster.ConfigOf(map[string]string{"connector.class": "FileStreamSink", "name": "workers", "topics": "a"}),
		"an override that is refused":   c.source("producer.override.acks", "all", "producer.override.security.protocol", "SSL"),
		"an override that is no number": c.source("producer.override.linger.ms", "x"),
		"a login module":                c.source("producer.override.sasl.jaas.config", "secret", "producer.override.sasl.mechanism", "PLAIN"),
		"converters":                    c.source("key.converter", "Json", "key.converter.schemas.enable", "x", "header.converter", "Nope"),
		"transformations":               c.source("transforms", "a,b,a", "transforms.a.type", "Nope", "predicates", "p"),
		"another version":               c.source("connector.plugin.version", "99"),
		"a version that is none":        c.source("connector.plugin.version", "[1"),
		"a converter's other version":   c.source("key.converter", "Json", "key.converter.plugin.version", "[99,)"),
		"exactly once":                  c.source("exactly.once.support", "required"),
		"no class":                      cluster.ConfigOf(map[string]string{"name": "v"}),
		"an unknown class":              c.source("connector.class", "Nope"),
		"secrets":                       c.source("tasks.max", ref+"two}", "file", ref+"file}", "free", ref+"secret}", "producer.override.client.id", ref+"secret}"),
		"no such provider":              c.source("tasks.max", "${nope:two}"),
		"providers of its own":          c.source("config.providers", "x", "config.providers.x.class", "Nope"),
	} {
		asked := c.ask(t, cfg)
		stored, err := c.withoutRunner(t, cfg)
		if asked.Refused != nil {
			require.Equal(t, &validate.Refusal{Class: asked.Refused.Class, Code: asked.Refused.Code, Message: asked.Refused.Message}, err, name)
			continue
		}
		require.NoError(t, err, name)
		var infos validate.Infos
		require.NoError(t, json.Unmarshal(asked.Infos, &infos))
		if d := cmp.Diff(infos, stored, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-runner +stored):\n%s", name, d)
		}
		var short validate.Infos
		require.NoError(t, json.Unmarshal(c.answer(t, wire.ValidateRequest{Config: cfg, OnlyErrors: true}).Infos, &short))
		require.Equal(t, infos.FirstErrors(), short.FirstErrors(), name)
		for _, one := range short.Configs {
			require.NotEmpty(t, one.Value.Errors, name)
		}
	}
}

func TestValidation_without_a_runner_leaves_out_what_only_runners_know(t *testing.T) {
	t.Parallel()
	c := newChecker(t)
	ref := "${file:" + c.dir + "/db.properties:secret}"
	for key, without := range map[string]int{"tasks.max": 0, "connector.plugin.version": 0, "key.converter": 0, "errors.retry.timeout": 0, "producer.override.acks": 0} {
		infos, err := c.withoutRunner(t, c.source(key, ref))
		require.NoError(t, err, key)
		require.Equal(t, without, infos.ErrorCount, "%s: %s", key, infos.FirstErrors())
	}
}

func TestValidation_never_shows_what_a_reference_stands_for(t *testing.T) {
	t.Parallel()
	c := newChecker(t)
	ref := "${file:" + c.dir + "/db.properties:secret}"
	for _, key := range []string{"tasks.max", "errors.tolerance", "key.converter", "topic", "free", "producer.override.acks", "exactly.once.support", "errors.retry.timeout"} {
		reply := c.ask(t, c.source(key, ref))
		require.NotContains(t, string(reply.Infos), "hunter2", key)
		require.Nil(t, reply.Refused, key)
	}
	require.NotContains(t, c.logs.String(), "hunter2")
	var infos validate.Infos
	require.NoError(t, json.Unmarshal(c.ask(t, c.source("tasks.max", ref)).Infos, &infos))
	require.Equal(t, 1, infos.ErrorCount)
	require.Contains(t, infos.FirstErrors(), "Invalid value for configuration 'tasks.max': the value resolved from the config provider reference failed validation")

	missing := c.ask(t, c.source("tasks.max", "${file:"+c.dir+"/nofile:x}"))
	require.Equal(t, &wire.Refusal{Class: "org.apache.kafka.common.config.ConfigException", Code: cluster.Failed, Message: "Could not read properties from file " + c.dir + "/nofile"}, missing.Refused)
}

func TestValidation_an_override_that_is_no_number_does_not_show_a_secret(t *testing.T) {
	t.Parallel()
	c := newChecker(t)
	reply := c.ask(t, c.source("producer.override.linger.ms", "${file:"+c.dir+"/db.properties:secret}"))
	require.NotNil(t, reply.Refused)
	require.NotContains(t, reply.Refused.Message, "hunter2")
	reply = c.ask(t, c.source("connector.plugin.version", "[${file:"+c.dir+"/db.properties:secret}"))
	require.NotNil(t, reply.Refused)
	require.NotContains(t, reply.Refused.Message, "hunter2")
}

func TestWorker_properties_never_show_what_a_reference_stands_for(t *testing.T) {
	t.Parallel()
	refs := secrets.New(map[string]secrets.Provider{"vault": fixed{"pw": "hunter2"}})
	_, err := worker.Resolved(map[string]string{"offset.flush.interval.ms": "${vault:pw}"}, refs)
	require.EqualError(t, err, "Invalid value for configuration 'offset.flush.interval.ms': the value resolved from the config provider reference failed validation")
	w, err := worker.Resolved(map[string]string{"group.id": "${vault:pw}"}, refs)
	require.NoError(t, err)
	require.Equal(t, "hunter2", w.GroupID)
}

type fixed map[string]string

func (f fixed) Get(string, []string) (map[string]string, error) { return f, nil }

func TestFactory_runs_no_other_version_than_is_asked_for(t *testing.T) {
	t.Parallel()
	c := newChecker(t)
	spec := cluster.JobSpec{Job: cluster.JobID{UID: "u", Task: cluster.InstanceTask}, Name: "v", Class: "FileStreamSource", Config: c.source("connector.plugin.version", "[99,)")}
	_, err := c.factory(spec)
	require.EqualError(t, err, "Plugin org.apache.kafka.connect.file.FileStreamSourceConnector not found that matches the version range [99,), available versions: ["+connectors.Version+"]")
	spec.Config = c.source("connector.plugin.version", "[4,)")
	_, err = c.factory(spec)
	require.NoError(t, err)
}
