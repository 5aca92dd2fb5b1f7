package adopt

import (
	"context"
	"log/slog"
	"os"

	"github.com/millrace/millrace/controlplane/workerconfig"
	"github.com/millrace/millrace/internal/env"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/program"
)

// Command is the command import of a program.
func Command(of string) program.Program {
	var (
		o                     Options
		workerFile, bootstrap string
	)
	t := env.New(of+" import", "Takes over the connectors of a Kafka Connect cluster, or, when connectors' files are named behind the flags, of a standalone worker: tells what it would do, and with -apply does it.")
	t.String(&workerFile, "worker-config", "", "Worker configuration of the Kafka Connect cluster (a properties file); it says where its topics are.")
	t.Map(&o.Worker, "worker", "", "Single worker properties that win over the file: group.id=…, config.storage.topic=…, offset.storage.topic=…, status.storage.topic=…")
	t.String(&bootstrap, "kafka-bootstrap", "", "Kafka brokers, host:port,…; wins over bootstrap.servers of the worker configuration.")
	t.String(&o.API.URL, "api-url", "http://127.0.0.1:8083", "Millrace's REST API.")
	t.String(&o.API.User, "api-user", "", "User there, if it asks for a login.")
	t.Secret(&o.API.Password, "api-password", "The user's password.")
	t.List(&o.Only, "connectors", "", "Names of the connectors to take over; empty: all.")
	t.Bool(&o.Apply, "apply", false, "Do it. The workers of the Kafka Connect cluster must have stopped, or the connectors that are taken over.")
	t.Bool(&o.Stopped, "stopped", false, "With -apply: make the connectors and leave them stopped, also while the workers run. Another run brings the offsets and starts them.")
	return program.Program{Name: of + " import", Table: t, Run: func(ctx context.Context, args []string, log *slog.Logger) (err error) {
		o.Files = args
		o.Out, o.Logger = os.Stdout, obs.Named(log, obs.LogWorker)
		if o.Worker, err = workerconfig.Read(workerFile, o.Worker, func(string) {}); err != nil { // what it ignores is no concern here
			return exitcode.Input(err)
		}
		if bootstrap != "" {
			o.Worker["bootstrap.servers"] = bootstrap
		}
		return Run(ctx, o)
	}}
}
