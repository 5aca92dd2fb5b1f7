package rest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
)

// Greedy is the connector that recordings know as golden.GreedySourceConnector: it breaks rules on request, by keys that it
// does not define (fail, eos, ctb, alter).
func Greedy() plugin.Plugin {
	return plugin.Plugin{
		Class: "golden.GreedySourceConnector", TaskClass: "golden.GreedySourceConnector$T", Kind: plugin.Source, Version: "0.9", Doc: "Breaks rules on request.",
		Def: &config.Def{Keys: []config.Key{
			{Name: "tasks", Type: config.Int, Importance: config.Low, Order: -1},
			{Name: "secret", Type: config.Password, Default: config.Default("x"), Importance: config.Low, Order: -1},
			{Name: "ratio", Type: config.Double, Default: config.Default("0.5"), Importance: config.Low, Order: -1},
			{Name: "grouped", Type: config.String, Default: config.Default("g"), Importance: config.High, Group: "My group", Order: 3, Width: config.WidthMedium,
				DisplayName: "Grouped", Dependents: []string{"tasks"}, Validators: []config.Rule{config.OneOf("g", "h")}},
		}},
		NewConnector:  func() connector.Connector { return &greedy{} },
		NewSourceTask: func() source.Task { return &greedyTask{} },
	}
}

type greedy struct{ config map[string]string }

func (g *greedy) Start(_ context.Context, cc connector.Context) error {
	if g.config = cc.Config(); g.config["fail"] == "start" {
		return connecterr.New(connecterr.General, "refused to start")
	}
	return nil
}

func (g *greedy) TaskConfigs(_ context.Context, maxTasks int) (all []map[string]string, err error) {
	if g.config["fail"] == "taskConfigs" {
		return nil, errors.New("refused to make task configs")
	}
	n := maxTasks + 1
	if text, given := g.config["tasks"]; given {
		if n, err = strconv.Atoi(text); err != nil {
			return nil, err
		}
	}
	for range n {
		all = append(all, maps.Clone(g.config))
	}
	return all, nil
}

func (g *greedy) Stop(context.Context) error {
	if g.config["fail"] == "stop" {
		return errors.New("refused to stop")
	}
	return nil
}

func (g *greedy) ExactlyOnceSupport(c map[string]string) (connector.Support, error) {
	switch c["eos"] {
	case "no":
		return connector.Unsupported, nil
	case "throw":
		return connector.SupportUnknown, errors.New("eos boom")
	case "throwempty":
		return connector.SupportUnknown, errors.New("")
	}
	return connector.Supported, nil
}

func (g *greedy) CanDefineTransactionBoundaries(c map[string]string) (connector.Support, error) {
	if c["ctb"] == "throw" {
		return connector.SupportUnknown, errors.New("ctb boom")
	}
	return connector.Supported, nil
}

func (g *greedy) AlterOffsets(_ context.Context, c map[string]string, _ []connector.SourceOffsetEntry) (handled bool, err error) {
	switch c["alter"] {
	case "unsupported":
		return false, connecterr.New(connecterr.Unsupported, "no")
	case "veto":
		return false, connecterr.New(connecterr.General, "vetoed")
	case "false":
		return false, nil
	}
	return true, nil
}

type greedyTask struct{}

func (t *greedyTask) Start(_ context.Context, tc source.Context) error {
	if tc.Config()["fail"] == "task" {
		return fmt.Errorf("task refused")
	}
	return nil
}

func (t *greedyTask) Poll(ctx context.Context) ([]record.Source, error) {
	<-ctx.Done()
	return nil, nil
}

func (t *greedyTask) Stop(context.Context) error { return nil }
