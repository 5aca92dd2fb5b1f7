// Command taskrunner runs connectors and their tasks: it registers with the schedulers, runs what it is assigned, and talks
// to Kafka and the outside. Run as many as the work needs.
//
//	taskrunner          run connectors until it is stopped
//	taskrunner import   take over the connectors of a Kafka Connect cluster
package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/millrace/millrace/controlplane/workerconfig"
	"github.com/millrace/millrace/internal/env"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/program"
	"github.com/millrace/millrace/plugins"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/taskrunner/adopt"
	"github.com/millrace/millrace/services/taskrunner/runner"
)

type settings struct {
	runner.Config
	workerFile string
	bootstrap  string
	fileRoots  []string
}

func (s *settings) table() *env.Table {
	t := env.New("taskrunner", "Runs connectors and their tasks.")
	t.String(&s.WorkerID, "worker-id", "", "host:port as REST clients see it in worker_id; stable over restarts. Empty: what rest.advertised.* and listeners of the worker configuration say, else the host's name and port 8083.")
	t.String(&s.Pool, "pool", "", "Pool of this runner: connectors with another millrace.pool do not run here.")
	t.Map(&s.Labels, "labels", "", "Labels shown to users.")
	t.Int(&s.Capacity, "capacity", 0, "Most connectors and tasks that run here; 0: no limit.")
	t.String(&s.NATS.URL, "nats-url", "nats://127.0.0.1:4222", "URLs of the NATS servers, comma-separated.")
	t.String(&s.NATS.Creds, "nats-creds", "", "File with NATS credentials.")
	t.List(&s.SchedulerURLs, "scheduler-urls", "", "Internal listeners of the schedulers, for when NATS is away, for example http://scheduler:8084.")
	t.Secret(&s.InternalToken, "internal-token", "Token that the schedulers want to see there.")
	t.String(&s.bootstrap, "kafka-bootstrap", "", "Kafka brokers, host:port,…; the same as bootstrap.servers of -worker, which it wins over.")
	t.String(&s.workerFile, "worker-config", "", "Worker configuration of Kafka Connect (a properties file).")
	t.Map(&s.Worker, "worker", "", "Single worker properties that win over the file, by their Kafka Connect names: key.converter=…,offset.storage.topic=…, producer.linger.ms=…")
	t.List(&s.fileRoots, "file-roots", "", "Folders whose files (SQLite databases too) connectors may use; empty: none.")
	t.String(&s.RESTListen, "rest-listen", "", "Address at which clients of the REST API are led to an api process, best the one in worker_id; empty: none.")
	t.List(&s.APIs, "api-addresses", "", "Where the api processes are, host:port,…; for -rest-listen.")
	t.Bool(&s.AllowAnonymous, "allow-anonymous", false, "Open -rest-listen on an address that is not loopback. Who has to log in is for the api processes to say.")
	t.Duration(&s.DrainTimeout, "drain-timeout", 25*time.Second, "How long a runner that was told to stop waits for its jobs to move elsewhere.")
	t.Duration(&s.ReloadInterval, "reload-interval", runner.DefaultReloadInterval, "How often it is looked whether secrets that configurations refer to have changed; jobs that use them then start anew, unless config.action.reload=none. 0: never.")
	t.String(&s.AdminListen, "admin-listen", "127.0.0.1:9083", "Address of metrics and health; empty for none.")
	t.Bool(&s.Profiles, "profiles", false, "Serve /debug/pprof on the admin address.")
	t.Bool(&s.MetricAliases, "metric-aliases", false, "Export Kafka Connect's metrics also by the shorter names that the JMX exporter's sample rules give them.")
	return t
}

func main() {
	var s settings
	program.Program{Name: "taskrunner", Table: s.table(), Run: s.run, Commands: []program.Program{adopt.Command("taskrunner")}}.Main()
}

func (s *settings) run(ctx context.Context, _ []string, log *slog.Logger) (err error) {
	if s.Worker, err = workerconfig.Read(s.workerFile, s.Worker, func(line string) { obs.Named(log, obs.LogWorkerConfig).Warn(line) }); err != nil {
		return exitcode.Input(err)
	}
	if s.bootstrap != "" {
		s.Worker["bootstrap.servers"] = s.bootstrap
	}
	o := connectors.Options{FileRoots: s.fileRoots, Stdin: os.Stdin, Stdout: os.Stdout, BlockedJDBC: connectors.Blocked(s.Worker, os.LookupEnv)}
	if s.Plugins, err = plugin.New(plugins.All(o)...); err != nil {
		return err
	}
	s.Logger, s.Registerer = log, obs.NewRegistry()
	s.Ready = func(i runner.Info) {
		log.Info("task runner is up", slog.String(obs.KeyWorkerID, i.WorkerID), slog.String("admin", i.Admin))
	}
	return runner.Run(ctx, s.Config)
}
