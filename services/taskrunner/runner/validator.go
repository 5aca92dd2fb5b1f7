package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millrace/millrace/controlplane/clientconf"
	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/controlplane/validate"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/lifecycle"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
)

// serveValidation answers questions about configurations of the connectors that this runner has.
func (f *factories) serveValidation(bus *natsbus.Bus) (lifecycle.CloseFunc, error) {
	return f.serve(bus, wire.Validator, f.answerValidation)
}

// serve serves an endpoint of every connector class that this runner has.
func (f *factories) serve(bus *natsbus.Bus, at func(class string) wire.Address, h func(context.Context, []byte) ([]byte, error)) (lifecycle.CloseFunc, error) {
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
		stop, err := bus.Serve(at(p.Class), h)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("serving %s: %w", at(p.Class), err), closeAll(context.Background()))
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
	reply, err := f.validate(ctx, q)
	if err != nil {
		return nil, err
	}
	return wire.Encode(wire.KindValidate, e.ID, reply)
}

// validate runs the procedure with the plugins themselves.
func (f *factories) validate(ctx context.Context, q wire.ValidateRequest) (wire.ValidateReply, error) {
	cfg := q.Config
	resolved, err := f.secrets.Resolve(cfg)
	if err != nil {
		return refused(validate.Misconfigured(err.Error()))
	}
	all := f.plugins.All()
	i, err := validate.Find(f.plugins.Index(), cfg)
	if err != nil {
		return refused(err)
	}
	infos, err := validate.Connector(validate.Request{Config: cfg, Resolved: resolved, Worker: &f.facts, Refuse: clientconf.Refused,
		Plugins:  validate.Catalog{Index: f.plugins.Index(), Def: func(i int) (*config.Def, error) { return all[i].Def, nil }},
		Instance: func(i int) validate.Instance { return checked{ctx, all[i].NewConnector(), q.OnlyErrors} }})
	if err != nil {
		return refused(err)
	}
	if q.OnlyErrors {
		infos = infos.OnlyErrors()
	}
	text, err := json.Marshal(infos)
	return wire.ValidateReply{Infos: text, Class: all[i].Class, Type: cluster.ConnectorType(all[i].Kind)}, err
}

// refused answers with why the configuration can't be checked at all.
func refused(err error) (wire.ValidateReply, error) {
	r, ok := errors.AsType[*validate.Refusal](err)
	if !ok {
		return wire.ValidateReply{}, err
	}
	return wire.ValidateReply{Refused: &wire.Refusal{Class: r.Class, Code: r.Code, Message: r.Message}}, nil
}

// checked is a connector that is asked about a configuration.
type checked struct {
	ctx  context.Context //nolint:containedctx // it lives as long as the question
	conn connector.Connector
	// onlyErrors: nobody will see what it recommends, for which it may ask a database.
	onlyErrors bool
}

func (c checked) Check(config map[string]string) (found []validate.Finding) {
	if v, ok := c.conn.(connector.Validator); ok {
		for _, x := range v.Validate(c.ctx, config) {
			found = append(found, validate.Finding{Key: x.Key, Message: x.Message})
		}
	}
	return found
}

func (c checked) Recommend(config map[string]string) map[string][]string {
	if r, ok := c.conn.(connector.Recommender); ok && !c.onlyErrors {
		return r.Recommend(c.ctx, config)
	}
	return nil
}

func (c checked) ExactlyOnce(config map[string]string) (connector.Support, error) {
	if eo, ok := c.conn.(connector.ExactlyOnce); ok {
		return eo.ExactlyOnceSupport(config)
	}
	return connector.SupportUnknown, nil
}

func (c checked) TransactionBoundaries(config map[string]string) (connector.Support, error) {
	if tb, ok := c.conn.(connector.TransactionBoundaries); ok {
		return tb.CanDefineTransactionBoundaries(config)
	}
	return connector.Unsupported, nil
}
