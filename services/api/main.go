// Command api serves the REST API of Kafka Connect. Run as many as availability needs.
package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/millrace/millrace/controlplane/workerconfig"
	"github.com/millrace/millrace/internal/env"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/program"
	"github.com/millrace/millrace/services/api/apiserver"
)

type settings struct {
	apiserver.Config
	workerFile string
	worker     map[string]string
}

func (s *settings) table() *env.Table {
	t := env.New("api", "Serves the REST API of Kafka Connect.")
	t.String(&s.Listen, "listen", "", "Address of the REST API; empty: listeners of the worker configuration, else "+apiserver.DefaultListen+".")
	t.String(&s.workerFile, "worker-config", "", "Worker configuration of Kafka Connect (a properties file), for the keys of the REST server and topic.tracking.")
	t.Map(&s.worker, "worker", "", "Single worker properties by their Kafka Connect names; they win over the file.")
	t.Bool(&s.AllowAnonymous, "allow-anonymous", false, "Listen on an address that is not loopback although nobody has to log in.")
	t.Secret(&s.Postgres, "postgres-url", "URL of the Postgres database, for example postgres://user:password@host/millrace.")
	t.String(&s.NATS.URL, "nats-url", "nats://127.0.0.1:4222", "URLs of the NATS servers, comma-separated.")
	t.String(&s.NATS.Creds, "nats-creds", "", "File with NATS credentials.")
	t.String(&s.AdminListen, "admin-listen", "127.0.0.1:9082", "Address of metrics and health; empty for none.")
	t.Bool(&s.Profiles, "profiles", false, "Serve /debug/pprof on the admin address.")
	return t
}

func main() {
	var s settings
	program.Program{Name: "api", Table: s.table(), Run: s.run}.Main()
}

func (s *settings) run(ctx context.Context, _ []string, log *slog.Logger) error {
	if s.Postgres == "" {
		return exitcode.Input(fmt.Errorf("-postgres-url or %s must name the database", env.Variable("postgres-url")))
	}
	var err error
	if s.Worker, err = workerconfig.Read(s.workerFile, s.worker, func(line string) { obs.Named(log, obs.LogWorkerConfig).Warn(line) }); err != nil {
		return exitcode.Input(err)
	}
	s.Logger, s.Registerer = log, obs.NewRegistry()
	s.Ready = func(i apiserver.Info) {
		log.Info("api is up", slog.Any("listen", i.URLs), slog.String("admin", i.Admin))
	}
	return apiserver.Run(ctx, s.Config)
}
