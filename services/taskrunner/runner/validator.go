package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/controlplane/validate"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/lifecycle"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// serveValidation answers questions about configurations of the connectors that this runner has.
func (f *factories) serveValidation(bus *natsbus.Bus, log *slog.Logger) (lifecycle.CloseFunc, error) {
	var stops []func()
	closeAll := func(context.Context) error {
		for _, stop := range stops {
			stop()
		}
		return nil
	}
	seen := map[string]bool{}
	for _, p := range f.plugins.All() {
		if p.Kind != plugin.Source && p.Kind != plugin.Sink || seen[p.Class] {
			continue
		}
		seen[p.Class] = true
		stop, err := bus.Serve(wire.Validator(p.Class), f.answerValidation)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("serving validation of %s: %w", p.Class, err), closeAll(context.Background()))
		}
		stops = append(stops, stop)
	}
	return closeAll, nil
}

func (f *factories) answerValidation(ctx context.Context, msg []byte) (_ []byte, err error) {
	e, err := wire.Open(msg)
	if err != nil {
		return nil, cluster.Wrapf(cluster.Invalid, err, "question can't be read")
	}
	q, err := wire.Decode[wire.ValidateRequest](e, wire.KindValidate)
	if err != nil {
		return nil, cluster.Wrapf(cluster.Invalid, err, "question can't be read")
	}
	defer func() { // a plugin's panic is no reason to end
		if p := recover(); p != nil {
			err = cluster.Errorf(cluster.Failed, "the connector panicked while it checked its configuration: %v", p)
		}
	}()
	reply, err := f.validate(ctx, q.Config)
	if err != nil {
		return nil, err
	}
	return wire.Encode(wire.KindValidate, e.ID, reply)
}

// validate runs the procedure with the plugins themselves.
func (f *factories) validate(ctx context.Context, cfg cluster.Config) (wire.ValidateReply, error) {
	class, _ := cfg.Get("connector.class")
	p, err := f.plugins.Connector(class)
	if err != nil {
		return wire.ValidateReply{}, cluster.Wrapf(cluster.Invalid, nil, "%s", err.Error())
	}
	typ := cluster.ConnectorType(p.Kind)
	infos := validate.Connector(validate.Request{Class: p.Class, Type: typ, Version: p.Version, Config: cfg, Def: p.Def, Find: f.find, List: f.list, Refuse: f.refuse,
		Check: func(config map[string]string) []validate.Finding {
			conn := p.NewConnector()
			found := f.exactlyOnce(conn, typ, config)
			if v, ok := conn.(connector.Validator); ok {
				for _, x := range v.Validate(ctx, config) {
					found = append(found, validate.Finding{Key: x.Key, Message: x.Message})
				}
			}
			return found
		}})
	text, err := json.Marshal(infos)
	return wire.ValidateReply{Infos: text, Class: p.Class, Type: typ}, err
}

// exactlyOnce asks a source whether it can do what is required of it.
func (f *factories) exactlyOnce(conn connector.Connector, typ cluster.ConnectorType, config map[string]string) (found []validate.Finding) {
	if typ != cluster.TypeSource {
		return nil
	}
	unexpected := func(err error) string { return fmt.Sprintf("An unexpected error occurred during validation: %v", err) }
	if strings.EqualFold(config["exactly.once.support"], "required") {
		say := func(m string) { found = append(found, validate.Finding{Key: "exactly.once.support", Message: m}) }
		if !f.worker.ExactlyOnce {
			say("This worker does not have exactly-once source support enabled.")
		}
		support, err := connector.SupportUnknown, error(nil)
		if eo, ok := conn.(connector.ExactlyOnce); ok {
			support, err = eo.ExactlyOnceSupport(config)
		}
		switch {
		case err != nil:
			say(unexpected(err))
		case support == connector.Unsupported:
			say("The connector does not support exactly-once semantics with the provided configuration.")
		case support == connector.SupportUnknown:
			say("The connector does not implement the API required for preflight validation of exactly-once source support. Please consult the documentation for the " +
				"connector to determine whether it supports exactly-once semantics, and then consider reconfiguring the connector to use the value \"requested\" for this " +
				"property (which will disable this preflight check and allow the connector to be created).")
		}
	}
	if strings.EqualFold(config["transaction.boundary"], "connector") {
		support, err := connector.Unsupported, error(nil)
		if tb, ok := conn.(connector.TransactionBoundaries); ok {
			support, err = tb.CanDefineTransactionBoundaries(config)
		}
		message := ""
		switch {
		case err != nil:
			message = unexpected(err)
		case support != connector.Supported:
			message = "The connector does not support connector-defined transaction boundaries with the given configuration. Please reconfigure it to use a different transaction boundary definition."
		}
		if message != "" {
			found = append(found, validate.Finding{Key: "transaction.boundary", Message: message})
		}
	}
	return found
}

var pluginKind = map[validate.Kind]plugin.Kind{validate.Converter: plugin.Converter, validate.HeaderConverter: plugin.HeaderConverter,
	validate.Transformation: plugin.Transformation, validate.Predicate: plugin.Predicate}

func (f *factories) find(kind validate.Kind, name string) (validate.Plugin, bool) {
	p, err := f.plugins.Find(pluginKind[kind], name)
	if err != nil {
		return validate.Plugin{}, false
	}
	return validate.Plugin{Class: p.Class, Def: p.Def}, true
}

func (f *factories) list(kind validate.Kind) (classes []string) {
	for _, p := range f.plugins.All() {
		if p.Kind == pluginKind[kind] {
			classes = append(classes, p.Class)
		}
	}
	return classes
}

// refuse says why a client override is not allowed.
func (f *factories) refuse(prefix, key, value string) string {
	if len(f.worker.Disallowed(map[string]string{key: value})) > 0 {
		return fmt.Sprintf("The '%s' policy does not allow '%s' to be overridden in the connector configuration.", f.worker.OverridePolicy, key)
	}
	return worker.Refused(key, value)
}
