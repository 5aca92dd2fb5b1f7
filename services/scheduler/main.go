// Command scheduler decides which runner runs which job, keeps what runners report, and migrates the database.
//
//	scheduler                           run a replica
//	scheduler [flags] migrate up        bring the database's schema to this program's version
//	scheduler [flags] migrate status    say which steps it has
//	scheduler [flags] migrate down N    undo the last N steps
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/millrace/millrace/controlplane/pgmigrate"
	"github.com/millrace/millrace/internal/env"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/program"
	"github.com/millrace/millrace/services/scheduler/schedulersvc"
)

type settings struct {
	schedulersvc.Config
	migrate bool
}

func (s *settings) table() *env.Table {
	t := env.New("scheduler", "Decides which runner runs which job, and keeps what runners report.")
	t.String(&s.ID, "id", "", "Name of this replica in logs; empty: the host's name.")
	t.Secret(&s.Postgres, "postgres-url", "URL of the Postgres database, for example postgres://user:password@host/millrace.")
	t.String(&s.NATS.URL, "nats-url", "nats://127.0.0.1:4222", "URLs of the NATS servers, comma-separated.")
	t.String(&s.NATS.Creds, "nats-creds", "", "File with NATS credentials.")
	t.Int(&s.NATS.Replicas, "nats-replicas", 0, "Replicas of each stream; 0 leaves existing streams as they are.")
	t.String(&s.InternalListen, "internal-listen", "127.0.0.1:8084", "Address where runners come when NATS is away; empty for none.")
	t.Secret(&s.InternalToken, "internal-token", "Token that runners must show there; without one only loopback is let in.")
	t.String(&s.AdminListen, "admin-listen", "127.0.0.1:9084", "Address of metrics, health and autoscaling signals; empty for none.")
	t.Bool(&s.Profiles, "profiles", false, "Serve /debug/pprof on the admin address.")
	t.Bool(&s.migrate, "migrate", false, "Bring the schema to this program's version before starting.")
	return t
}

func main() {
	var s settings
	program.Program{Name: "scheduler", Table: s.table(), Run: s.run}.Main()
}

func (s *settings) run(ctx context.Context, args []string, log *slog.Logger) error {
	if s.Postgres == "" {
		return exitcode.Input(fmt.Errorf("-postgres-url or %s must name the database", env.Variable("postgres-url")))
	}
	if len(args) > 0 {
		return s.migration(ctx, args, log)
	}
	if s.migrate {
		if _, err := pgmigrate.Up(ctx, pgmigrate.Options{URL: s.Postgres, Logger: log}); err != nil {
			return err
		}
	}
	s.Logger, s.Registerer = log, obs.NewRegistry()
	s.Ready = func(i schedulersvc.Info) {
		log.Info("scheduler is up", slog.String("internal", i.Internal), slog.String("admin", i.Admin))
	}
	return schedulersvc.Run(ctx, s.Config)
}

func (s *settings) migration(ctx context.Context, args []string, log *slog.Logger) error {
	bad := exitcode.Input(fmt.Errorf("unknown arguments %q: want migrate up, migrate status or migrate down N", args))
	if len(args) < 2 || args[0] != "migrate" {
		return bad
	}
	o := pgmigrate.Options{URL: s.Postgres, Logger: log}
	switch {
	case args[1] == "up" && len(args) == 2:
		applied, err := pgmigrate.Up(ctx, o)
		say("%d steps applied\n", len(applied))
		return err
	case args[1] == "status" && len(args) == 2:
		states, err := pgmigrate.Status(ctx, o)
		for _, st := range states {
			when := "not applied"
			if !st.AppliedAt.IsZero() {
				when = "applied " + st.AppliedAt.UTC().Format(time.RFC3339)
			}
			say("%-40s %s\n", st.Name, when)
		}
		return err
	case args[1] == "down" && len(args) == 3:
		n, err := strconv.Atoi(args[2])
		if err != nil || n < 1 {
			return bad
		}
		undone, err := pgmigrate.Down(ctx, o, n)
		say("%d steps undone\n", len(undone))
		return err
	}
	return bad
}

func say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stdout, format, args...) // a closed pipe is no reason to fail
}
