package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/workerconfig"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/services/api/internal/herder"
)

// startTime bounds making one connector, as a request is bounded.
const startTime = 90 * time.Second

// maker is what makeConnectors needs of the herder.
type maker interface {
	Create(ctx context.Context, r herder.CreateRequest) (herder.ConnectorInfo, bool, error)
	Put(ctx context.Context, name string, config cluster.Config, by cluster.Author) (info herder.ConnectorInfo, created, delivered bool, err error)
}

// makeConnectors makes connectors in their order. One that can't be made ends the process, as it ends a standalone worker of
// Kafka Connect.
func makeConnectors(ctx context.Context, h maker, all []workerconfig.Connector, log *slog.Logger) error {
	for _, c := range all {
		if err := makeConnector(ctx, h, c); err != nil {
			if ctx.Err() != nil {
				return ctx.Err() // told to stop meanwhile
			}
			log.Error("Stopping after connector error", slog.String("file", c.File), slog.String(obs.KeyConnector, c.Name), slog.Any(obs.KeyErr, err))
			return exitcode.Missing(fmt.Errorf("creating connector %s of %s: %w", c.Name, c.File, err))
		}
		log.Info("Created connector "+c.Name, slog.String("file", c.File))
	}
	return nil
}

func makeConnector(ctx context.Context, h maker, c workerconfig.Connector) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	config, by := cluster.ConfigOf(c.Config), cluster.Author{Actor: "command line"}
	target, said := cluster.InitialTarget(c.InitialState)
	if !said {
		target = cluster.Started
	}
	_, _, err := h.Create(ctx, herder.CreateRequest{Name: c.Name, Config: config, Target: target, By: by})
	if cluster.Is(err, cluster.AlreadyExists) { // kept from an earlier run
		_, _, _, err = h.Put(ctx, c.Name, config, by)
	}
	return err
}
