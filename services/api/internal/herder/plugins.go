package herder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/google/uuid"

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
}

func (h *Herder) catalog(ctx context.Context) (catalog, error) {
	records, err := h.store.Plugins(ctx)
	if err != nil {
		return catalog{}, err
	}
	names := make([]plugin.Name, len(records))
	for i, r := range records {
		names[i] = plugin.Name{Kind: plugin.Kind(r.Kind), Class: r.Class, Version: r.Version}
	}
	return catalog{records, plugin.NewIndex(names)}, nil
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
		for _, r := range c.records {
			if plugin.Kind(r.Kind) == kind {
				out = append(out, PluginInfo{Class: r.Class, Type: r.Kind, Version: r.Version})
			}
		}
	}
	return out, nil
}

// PluginConfig lists a plugin's keys: its own, then for connectors those of the framework that it does not redefine.
func (h *Herder) PluginConfig(ctx context.Context, name string) ([]validate.KeyInfo, error) {
	c, err := h.catalog(ctx)
	if err != nil {
		return nil, err
	}
	i, ok := c.index.Find(name, kindOrder...)
	if !ok {
		return nil, cluster.Errorf(cluster.NotFound, "Unknown plugin %s.", name)
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
			if k.Name == "connector.plugin.version" && c.records[i].Version != "" {
				info.DefaultValue = &c.records[i].Version
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
	infos, _, err := h.check(ctx, config)
	if cluster.Is(err, cluster.Invalid) {
		err = cluster.Errorf(cluster.Failed, "org.apache.kafka.connect.runtime.rest.errors.BadRequestException: %s", err.Error())
	}
	return infos, err
}

// check validates a configuration: a runner that has the plugin is asked; when none answers, the stored definition decides.
// An error means that the configuration could not be checked at all.
func (h *Herder) check(ctx context.Context, config cluster.Config) (validate.Infos, cluster.PluginRef, error) {
	class, ok := config.Get("connector.class")
	if !ok {
		return validate.Infos{}, cluster.PluginRef{}, cluster.Errorf(cluster.Invalid, "Connector config contains no connector type")
	}
	c, err := h.catalog(ctx)
	if err != nil {
		return validate.Infos{}, cluster.PluginRef{}, err
	}
	i, err := c.index.Connector(class)
	if err != nil {
		return validate.Infos{}, cluster.PluginRef{}, cluster.Errorf(cluster.Invalid, "%s", err.Error())
	}
	ref := c.records[i].PluginRef
	infos, err := h.ask(ctx, ref.Class, config)
	switch {
	case err == nil:
		return infos, ref, nil
	case errors.Is(err, wire.ErrNobody):
	case cluster.Is(err, cluster.Unavailable), cluster.Is(err, cluster.Timeout):
		h.log.Warn("no runner validates, the stored definition decides", slog.String(obs.KeyPlugin, ref.Class), slog.Any(obs.KeyErr, err))
	default:
		return validate.Infos{}, ref, err
	}
	infos, err = c.validate(i, config)
	return infos, ref, err
}

// maxConfig is what the bus takes in one message, less what the bus adds.
const maxConfig = 1<<20 - 4<<10

// ask asks a runner that has the plugin.
func (h *Herder) ask(ctx context.Context, class string, config cluster.Config) (infos validate.Infos, err error) {
	msg, err := wire.Encode(wire.KindValidate, uuid.NewString(), wire.ValidateRequest{Config: config})
	if err != nil {
		return infos, err
	}
	if len(msg) > maxConfig { // also while the bus is away: no runner could ever be told
		return infos, cluster.Errorf(cluster.Invalid, "The configuration has %d bytes, and workers can't be sent more than %d. Put what is large into a file and configure its name",
			len(msg), maxConfig)
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
	return infos, json.Unmarshal(reply.Infos, &infos)
}

// validate runs the procedure on stored definitions.
func (c catalog) validate(i int, cfg cluster.Config) (validate.Infos, error) {
	def, err := c.def(i)
	if err != nil {
		return validate.Infos{}, err
	}
	kinds := map[validate.Kind]plugin.Kind{validate.Converter: plugin.Converter, validate.HeaderConverter: plugin.HeaderConverter,
		validate.Transformation: plugin.Transformation, validate.Predicate: plugin.Predicate}
	r := c.records[i]
	return validate.Connector(validate.Request{Class: r.Class, Type: cluster.ConnectorType(r.Kind), Version: r.Version, Config: cfg, Def: def,
		Find: func(kind validate.Kind, name string) (validate.Plugin, bool) {
			k, ok := c.index.Find(name, kinds[kind])
			if !ok {
				return validate.Plugin{}, false
			}
			d, err := c.def(k)
			return validate.Plugin{Class: c.records[k].Class, Def: d}, err == nil
		},
		List: func(kind validate.Kind) (classes []string) {
			for _, r := range c.records {
				if plugin.Kind(r.Kind) == kinds[kind] && !slices.Contains(classes, r.Class) {
					classes = append(classes, r.Class)
				}
			}
			return classes
		}}), nil
}
