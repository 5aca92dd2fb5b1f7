// Package database opens the control plane's store as the programs that have one do.
package database

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/pgstore"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/obs"
)

// patience is how long a start waits for a database that does not answer.
const patience = 60 * time.Second

// Open waits for a database that does not answer yet. Errors carry an exit code; told to stop meanwhile it returns ctx's
// error: a wanted stop.
func Open(ctx context.Context, o pgstore.Options, log *slog.Logger) (*pgstore.Store, error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	st, err := pgstore.OpenWait(waiting, o, func(err error) {
		log.Warn("the database does not answer yet", slog.Any(obs.KeyErr, err))
	})
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return nil, ctx.Err()
	case cluster.Is(err, cluster.Unavailable), cluster.Is(err, cluster.Timeout):
		return nil, exitcode.Missing(err)
	}
	return st, exitcode.Input(err)
}
