package herder

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/millrace/millrace/controlplane/clientconf"
	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/validate"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/version"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/plugin"
)

// Server describes the cluster.
func (h *Herder) Server(ctx context.Context) (ServerInfo, error) {
	id, err := h.store.KafkaClusterID(ctx)
	return ServerInfo{Version: version.Connect, Commit: version.Commit(), KafkaClusterID: id}, err
}

// Health tells whether the api can do its work: the database answers. A bus that is away only makes things slower (NO-3).
func (h *Herder) Health(ctx context.Context) error { return h.store.Ping(ctx) }

// catalog is what is known of the plugins: those of living runners or, when none lives, all ever registered.
type catalog struct {
	records []cluster.PluginRecord
	index   *plugin.Index
	worker  *cluster.Worker // nil: no runner has told
}

func (h *Herder) catalog(ctx context.Context) (catalog, error) {
	records, err := h.store.Plugins(ctx)
	if err != nil {
		return catalog{}, err
	}
	var c catalog
	names := make([]plugin.Name, 0, len(records))
	for _, r := range records {
		if r.Kind == cluster.KindWorker {
			c.worker = new(cluster.Worker)
			if err := json.Unmarshal(r.Definition, c.worker); err != nil {
				return c, fmt.Errorf("reading what is known of the workers: %w", err)
			}
			continue
		}
		c.records = append(c.records, r)
		names = append(names, plugin.Name{Kind: plugin.Kind(r.Kind), Class: r.Class, Version: r.Version})
	}
	c.index = plugin.NewIndex(names)
	return c, nil
}

func (c catalog) def(i int) (*config.Def, error) {
	var d config.Def
	if err := json.Unmarshal(c.records[i].Definition, &d); err != nil {
		return nil, fmt.Errorf("reading the stored definition of %s: %w", c.records[i].Class, err)
	}
	return &d, nil
}

// kindOrder is the order of kinds in plugin lists.
var kindOrder = []plugin.Kind{plugin.Sink, plugin.Source, plugin.Transformation, plugin.Predicate, plugin.Converter, plugin.HeaderConverter}

// Plugins lists the plugins: sinks, then sources, then the rest unless only connectors are wanted.
func (h *Herder) Plugins(ctx context.Context, connectorsOnly bool) ([]PluginInfo, error) {
	c, err := h.catalog(ctx)
	if err != nil {
		return nil, err
	}
	out := []PluginInfo{}
	for _, kind := range kindOrder {
		if connectorsOnly && kind != plugin.Sink && kind != plugin.Source {
			continue
		}
		first := len(out)
		for _, r := range c.records {
			if plugin.Kind(r.Kind) == kind {
				out = append(out, PluginInfo{Class: r.Class, Type: r.Kind, Version: r.Version})
			}
		}
		slices.SortStableFunc(out[first:], func(a, b PluginInfo) int {
			return cmp.Or(cmp.Compare(a.Class, b.Class), plugin.CompareVersions(a.Version, b.Version))
		})
	}
	return out, nil
}

// otherPlugins are classes that people configure workers with; they have no keys to list.
var otherPlugins = plugin.NewIndex([]plugin.Name{
	{Kind: "Provider", Class: "org.apache.kafka.common.config.provider.DirectoryConfigProvider"},
	{Kind: "Provider", Class: "org.apache.kafka.common.config.provider.EnvVarConfigProvider"},
	{Kind: "Provider", Class: "org.apache.kafka.common.config.provider.FileConfigProvider"},
	{Kind: "Policy", Class: "org.apache.kafka.connect.connector.policy.AllConnectorClientConfigOverridePolicy"},
	{Kind: "Policy", Class: "org.apache.kafka.connect.connector.policy.AllowlistConnectorClientConfigOverridePolicy"},
	{Kind: "Policy", Class: "org.apache.kafka.connect.connector.policy.NoneConnectorClientConfigOverridePolicy"},
	{Kind: "Policy", Class: "org.apache.kafka.connect.connector.policy.PrincipalConnectorClientConfigOverridePolicy"},
	{Kind: "Extension", Class: "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension"},
})

// otherAliases are their names without the words for their kind.
var otherAliases = []string{"Directory", "EnvVar", "File", "All", "Allowlist", "None", "Principal"}

func isOtherPlugin(name string) bool {
	_, known := otherPlugins.Class(name)
	return known || slices.Contains(otherAliases, name)
}

// PluginConfig lists a plugin's keys: its own, then for connectors those of the framework that it does not redefine. version
// is the version that is asked for, or a range; see plugin.ParseRange.
func (h *Herder) PluginConfig(ctx context.Context, name, version string) ([]validate.KeyInfo, error) {
	c, err := h.catalog(ctx)
	if err != nil {
		return nil, err
	}
	i, ok := c.index.Find(name, kindOrder...)
	switch {
	case !ok && isOtherPlugin(name):
		return nil, cluster.Errorf(cluster.Invalid, "Invalid plugin class %s. Valid types are sink, source, converter, header_converter, transformation, predicate.", name)
	case !ok && slices.ContainsFunc(c.records, func(r cluster.PluginRecord) bool { return strings.HasPrefix(r.Class, name+"$") }): // X of X$Key and X$Value
		return nil, cluster.Errorf(cluster.Failed, "Instantiation error")
	case !ok:
		return nil, cluster.Errorf(cluster.NotFound, "Unknown plugin %s.", name)
	}
	asked, err := plugin.ParseRange(version)
	if err != nil {
		return nil, cluster.Errorf(cluster.Invalid, "Invalid version specification: %s", version)
	}
	newest := c.records[i].Version
	if i, err = c.index.Match(i, asked); err != nil {
		return nil, cluster.Errorf(cluster.Invalid, "%s", err.Error())
	}
	own, err := c.def(i)
	if err != nil {
		return nil, err
	}
	out := make([]validate.KeyInfo, 0, len(own.Keys))
	for _, k := range own.Keys {
		out = append(out, validate.KeyInfoOf(k))
	}
	if t := cluster.ConnectorType(c.records[i].Kind); t == cluster.TypeSource || t == cluster.TypeSink {
		for _, k := range validate.Keys(t).Keys {
			if _, redefined := own.Key(k.Name); redefined {
				continue
			}
			info := validate.KeyInfoOf(k)
			if k.Name == "connector.plugin.version" && newest != "" {
				info.DefaultValue = &newest
			}
			out = append(out, info)
		}
	}
	return out, nil
}

// Validate checks a configuration for the validate route, where mistakes in the request have texts of their own.
func (h *Herder) Validate(ctx context.Context, pluginName string, config cluster.Config) (validate.Infos, error) {
	class, ok := config.Get("connector.class")
	strip := func(s string) string {
		if rest, cut := strings.CutSuffix(s, "Connector"); cut && rest != "" {
			return rest
		}
		return s
	}
	if ok && !strings.HasSuffix(strip(class), strip(pluginName)) {
		return validate.Infos{}, cluster.Errorf(cluster.Invalid, "Included connector type %s does not match request type %s", class, pluginName)
	}
	infos, _, err := h.check(ctx, wire.ValidateRequest{Config: config})
	if r, refused := errors.AsType[*validate.Refusal](err); refused {
		err = cluster.Errorf(cluster.Failed, "%s: %s", r.Class, r.Message)
	}
	return infos, err
}

// check validates a configuration: a runner that has the plugin is asked; when none answers, the stored definition decides.
// An error means that the configuration could not be checked at all.
func (h *Herder) check(ctx context.Context, q wire.ValidateRequest) (validate.Infos, cluster.PluginRef, error) {
	c, err := h.catalog(ctx)
	if err != nil {
		return validate.Infos{}, cluster.PluginRef{}, err
	}
	i, err := validate.Find(c.index, q.Config)
	if err != nil {
		return validate.Infos{}, cluster.PluginRef{}, refused(err)
	}
	infos, err := h.ask(ctx, c.records[i].Class, q)
	switch {
	case err == nil:
	case errors.Is(err, wire.ErrNobody):
		infos, err = c.validate(q.Config)
	case cluster.Is(err, cluster.Unavailable), cluster.Is(err, cluster.Timeout):
		h.log.Warn("no runner validates, the stored definition decides", slog.String(obs.KeyPlugin, c.records[i].Class), slog.Any(obs.KeyErr, err))
		infos, err = c.validate(q.Config)
	}
	return infos, c.version(i, q.Config), refused(err)
}

// refused gives the reason why a configuration could not be checked the code and text that users see.
func refused(err error) error {
	if r, ok := errors.AsType[*validate.Refusal](err); ok {
		return cluster.Wrapf(r.Code, r, "%s", r.Message)
	}
	return err
}

// version is the plugin that a valid configuration asks for. A version that is a reference can't be known here: the newest.
func (c catalog) version(i int, config cluster.Config) cluster.PluginRef {
	if want, given := config.Get("connector.plugin.version"); given {
		if asked, err := plugin.ParseRange(want); err == nil {
			if match, err := c.index.Match(i, asked); err == nil {
				i = match
			}
		}
	}
	return c.records[i].PluginRef
}

// A configuration goes to runners with that of a task, which may be as large; maxConfig is what they may have before they are
// packed, as Kafka Connect's topics take, and maxPacked half of what the bus takes.
const (
	maxConfig = 1<<20 - 4<<10
	maxPacked = 1<<19 - 32<<10
)

// ask asks a runner that has the plugin.
func (h *Herder) ask(ctx context.Context, class string, q wire.ValidateRequest) (infos validate.Infos, err error) {
	msg, err := wire.Encode(wire.KindValidate, uuid.NewString(), q)
	if err != nil {
		return infos, err
	}
	if len(msg) > maxConfig || len(wire.Pack(msg)) > maxPacked { // also while the bus is away: no runner could ever be told
		return infos, cluster.Errorf(cluster.Invalid, "The configuration has %d bytes, which is more than workers can be sent (%d, or %d that can't be packed). Put what is large into a file and configure its name",
			len(msg), maxConfig, maxPacked)
	}
	if h.bus.Connected() == 0 {
		return infos, wire.ErrNobody
	}
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	b, err := h.bus.Request(ctx, wire.Validator(class), msg)
	if err != nil {
		return infos, err
	}
	e, err := wire.Open(b)
	if err != nil {
		return infos, err
	}
	reply, err := wire.Decode[wire.ValidateReply](e, wire.KindValidate)
	if err != nil {
		return infos, err
	}
	if r := reply.Refused; r != nil {
		return infos, &validate.Refusal{Class: r.Class, Code: r.Code, Message: r.Message}
	}
	return infos, json.Unmarshal(reply.Infos, &infos)
}

// validate runs the procedure on stored definitions. References stay as they are: only runners have the secrets.
func (c catalog) validate(cfg cluster.Config) (validate.Infos, error) {
	return validate.Connector(validate.Request{Config: cfg, Plugins: validate.Catalog{Index: c.index, Def: c.def}, Worker: c.worker, Refuse: clientconf.Refused})
}
