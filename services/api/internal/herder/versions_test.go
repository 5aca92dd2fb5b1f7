package herder_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/validate"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/services/api/internal/herder"
)

// install makes a second runner known that has further plugins, and what it tells of its worker.
func (w *world) install(about cluster.Worker, plugins ...cluster.PluginRecord) {
	w.Helper()
	text, err := json.Marshal(about)
	require.NoError(w, err)
	plugins = append(plugins, cluster.PluginRecord{PluginRef: cluster.PluginRef{Class: cluster.KindWorker, Kind: cluster.KindWorker, Digest: "w"}, Definition: text})
	refs := make([]cluster.PluginRef, len(plugins))
	for i, p := range plugins {
		refs[i] = p.PluginRef
	}
	_, _, err = w.store.Register(w.Context(), cluster.Registration{Runner: "other:8083", Session: "s2", Plugins: refs})
	require.NoError(w, err)
	require.NoError(w, w.store.DefinePlugins(w.Context(), plugins))
}

func (w *world) newer(version string) cluster.PluginRecord {
	return cluster.PluginRecord{PluginRef: cluster.PluginRef{Class: source, Version: version, Kind: "source", Digest: "n" + version},
		Definition: definition(w.T, config.Key{Name: "pieces", Type: config.Int, Required: true, Importance: config.High})}
}

func TestPluginConfig_of_a_version(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install(cluster.Worker{}, w.newer("1.10"))
	for version, first := range map[string]string{"latest": "pieces", "1.10": "pieces", "1.2": "items", "[1,1.9]": "items", "[1.2,)": "pieces"} {
		keys, err := w.PluginConfig(t.Context(), "ListSource", version)
		require.NoError(t, err, version)
		require.Equal(t, first, keys[0].Name, version)
		for _, k := range keys {
			if k.Name == "connector.plugin.version" {
				require.Equal(t, "1.10", *k.DefaultValue, "the newest")
			}
		}
	}
	for version, text := range map[string]string{
		"[1.0": "Invalid version specification: [1.0",
		"99":   "Plugin " + source + " not found that matches the version range [99,99], available versions: [1.2, 1.10]",
		"":     "Plugin " + source + " not found that matches the version range [,], available versions: [1.2, 1.10]",
	} {
		_, err := w.PluginConfig(t.Context(), "ListSource", version)
		require.Error(t, err, version)
		w.refused(err, cluster.Invalid, text)
	}
}

func TestPluginConfig_of_what_has_no_keys_to_list(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"FileConfigProvider", "File", "All", "AllConnectorClientConfigOverridePolicy", "org.apache.kafka.common.config.provider.EnvVarConfigProvider"} {
		_, err := w.PluginConfig(t.Context(), name, "latest")
		require.Error(t, err, name)
		w.refused(err, cluster.Invalid, "Invalid plugin class "+name+". Valid types are sink, source, converter, header_converter, transformation, predicate.")
	}
	_, err := w.PluginConfig(t.Context(), cluster.KindWorker, "latest")
	w.refused(err, cluster.NotFound, "Unknown plugin worker.")
}

func TestPlugins_lists_versions_from_old_to_new(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install(cluster.Worker{}, w.newer("1.10"), w.newer("1.9"))
	all, err := w.Plugins(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, []herder.PluginInfo{{Class: sink, Type: "sink", Version: "1.2"}, {Class: source, Type: "source", Version: "1.2"},
		{Class: source, Type: "source", Version: "1.9"}, {Class: source, Type: "source", Version: "1.10"}, {Class: text, Type: "converter", Version: "1.2"}}, all)
}

func TestCreate_runs_the_version_that_is_asked_for(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install(cluster.Worker{}, w.newer("1.10"))
	_, _, err := w.Create(t.Context(), herder.CreateRequest{Name: "old", Config: list("connector.plugin.version", "[1,1.9)"), By: by})
	require.NoError(t, err)
	_, _, err = w.Create(t.Context(), herder.CreateRequest{Name: "none", Config: list("connector.plugin.version", "3"), By: by})
	w.refused(err, cluster.Invalid, "contains the following 2 error(s)")
	_, _, err = w.Create(t.Context(), herder.CreateRequest{Name: "none", Config: list("connector.plugin.version", "[3"), By: by})
	w.refused(err, cluster.Invalid, "Unbounded range: [3")
	_, err = w.Validate(t.Context(), "ListSource", list("connector.plugin.version", "[3"))
	w.refused(err, cluster.Failed, "org.apache.kafka.connect.runtime.rest.errors.BadRequestException: Unbounded range: [3")
}

func TestValidate_without_a_runner_knows_what_the_workers_told(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install(cluster.Worker{Converters: map[string]string{"key.converter": text}, GroupID: "connect-list", OverridePolicy: "Allowlist", OverrideAllowlist: []string{"acks"}, Providers: []string{"vault"}})
	infos, err := w.Validate(t.Context(), "ListSource", list("name", "v", "exactly.once.support", "required", "producer.override.acks", "1", "producer.override.linger.ms", "1", "items", "${vault:items}"))
	require.NoError(t, err)
	said := infos.FirstErrors()
	require.Equal(t, 2, infos.ErrorCount, said)
	require.Contains(t, said, "This worker does not have exactly-once source support enabled.")
	require.Contains(t, said, "The 'Allowlist' policy does not allow 'linger.ms' to be overridden in the connector configuration.")
	for _, c := range infos.Configs {
		if c.Value.Name == "key.converter" {
			require.Equal(t, text, *c.Value.Value)
		}
		if c.Value.Name == "items" {
			require.Equal(t, "${vault:items}", *c.Value.Value)
		}
	}
	_, err = w.Validate(t.Context(), "ListSource", list("producer.override.linger.ms", "x"))
	w.refused(err, cluster.Failed, "org.apache.kafka.common.config.ConfigException: Invalid value x for configuration linger.ms: Not a number of type LONG")
	_, _, err = w.Create(t.Context(), herder.CreateRequest{Name: "list", Config: list("producer.override.linger.ms", "x"), By: by})
	w.refused(err, cluster.Failed, "Invalid value x for configuration linger.ms: Not a number of type LONG")
}

func TestValidate_tells_what_a_runner_could_not_check(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop, err := w.bus.Serve(wire.Validator(source), func(_ context.Context, msg []byte) ([]byte, error) {
		e, err := wire.Open(msg)
		if err != nil {
			return nil, err
		}
		r := validate.Misconfigured("Could not read properties from file /x")
		return wire.Encode(wire.KindValidate, e.ID, wire.ValidateReply{Refused: &wire.Refusal{Class: r.Class, Code: r.Code, Message: r.Message}})
	})
	require.NoError(t, err)
	t.Cleanup(stop)
	_, err = w.Validate(t.Context(), "ListSource", list())
	w.refused(err, cluster.Failed, "org.apache.kafka.common.config.ConfigException: Could not read properties from file /x")
	_, _, err = w.Create(t.Context(), herder.CreateRequest{Name: "list", Config: list(), By: by})
	w.refused(err, cluster.Failed, "Could not read properties from file /x")
}

func TestPluginConfig_of_a_class_that_only_holds_others_can_not_be_made(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.install(cluster.Worker{}, cluster.PluginRecord{PluginRef: cluster.PluginRef{Class: "x.Cast$Key", Version: "1", Kind: "transformation", Digest: "k"}, Definition: definition(w.T)})
	_, err := w.PluginConfig(t.Context(), "x.Cast", "latest")
	w.refused(err, cluster.Failed, "Instantiation error")
	_, err = w.PluginConfig(t.Context(), "x.Cast$Key", "latest")
	require.NoError(t, err)
}
