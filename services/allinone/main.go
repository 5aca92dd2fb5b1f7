// Command millrace runs everything in one process: the REST API, the scheduler and runners, over a Postgres, a NATS and a
// Kafka that are given by URL or embedded.
//
//	millrace                              serve until it is stopped
//	millrace distributed WORKER           the same, with a worker configuration of Kafka Connect
//	millrace standalone WORKER CONNECTOR… the same, and make the connectors that the files hold
//	millrace demo                         show what it does, and end
//	millrace demo -stay                   show it, and go on serving
//	millrace import                       take over the connectors of a Kafka Connect cluster
//
// Flags come before such a word, except -stay and those of import.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/millrace/millrace/controlplane/workerconfig"
	"github.com/millrace/millrace/internal/env"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/program"
	"github.com/millrace/millrace/plugins"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/allinone/allinone"
	"github.com/millrace/millrace/services/allinone/demo"
	"github.com/millrace/millrace/services/taskrunner/adopt"
)

type settings struct {
	allinone.Config
	fileRoots  []string
	workerFile string
}

func (s *settings) table() *env.Table {
	t := env.New("millrace", "Kafka Connect in one process: REST API, scheduler and runners, over given or embedded servers.")
	t.String(&s.Listen, "listen", "", "Address of the REST API; empty: listeners of the worker configuration, else 127.0.0.1:8083.")
	t.Bool(&s.AllowAnonymous, "allow-anonymous", false, "Listen on an address that is not loopback although nobody has to log in.")
	t.String(&s.AdminListen, "admin-listen", "127.0.0.1:0", "Address of metrics and health; empty for none.")
	t.Bool(&s.Profiles, "profiles", false, "Serve /debug/pprof on the admin address.")
	t.String(&s.Postgres, "postgres-url", "", "Postgres to use; empty: an embedded one.")
	t.String(&s.NATS, "nats-url", "", "NATS to use; empty: an embedded one.")
	t.String(&s.Kafka, "kafka-bootstrap", "", "Kafka brokers to use (host:port,…); empty: bootstrap.servers of the worker configuration, else an embedded broker.")
	t.Int(&s.KafkaPort, "kafka-port", 0, "Port of the embedded broker on 127.0.0.1; 0: any free one.")
	t.Bool(&s.PostgresFetch, "postgres-fetch", true, "Download a Postgres server once, when none is installed and none is given.")
	t.String(&s.DataDir, "data", "", "Folder that keeps the embedded servers' data; empty: a temporary one, removed at the end.")
	t.Int(&s.Runners, "runners", 1, "Number of task runners in the process.")
	t.String(&s.workerFile, "worker-config", "", "Worker configuration of Kafka Connect (a properties file).")
	t.Map(&s.Worker, "worker", "", "Single worker properties by their Kafka Connect names; they win over the file.")
	t.List(&s.fileRoots, "file-roots", "", "Folders whose files (SQLite databases too) connectors may use; empty: the working folder and the data folder.")
	return t
}

func main() {
	var s settings
	program.Program{Name: "millrace", Table: s.table(), Run: s.run, Commands: []program.Program{adopt.Command("millrace")}}.Main()
}

func (s *settings) run(ctx context.Context, args []string, log *slog.Logger) error {
	c, err := parseCommand(args, s.workerFile)
	if err != nil {
		return exitcode.Input(err)
	}
	show, stay := c.demo, c.stay
	if s.Worker, err = workerconfig.Read(c.worker, s.Worker, func(line string) { obs.Named(log, obs.LogWorkerConfig).Warn(line) }); err != nil {
		return exitcode.Input(err)
	}
	if s.Connectors, err = readConnectors(c.connectors, log); err != nil {
		return err
	}
	dir, err := s.demoDir(show)
	if err != nil {
		return err
	}
	if dir != s.DataDir && dir != "" { // a temporary folder of ours
		defer os.RemoveAll(dir) //nolint:errcheck // it is in the system's temporary folder
	}
	if s.Plugins, err = s.plugins(dir); err != nil {
		return err
	}
	s.Logger, s.Registerer = log, obs.NewRegistry()

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var demoErr error
	var wg sync.WaitGroup
	s.Ready = func(info allinone.Info) {
		banner(info)
		if !show {
			return
		}
		wg.Go(func() {
			demoErr = demo.Demo{API: info.API, Dir: filepath.Join(dir, "demo"), Out: os.Stdout}.Run(ctx)
			if demoErr == nil {
				say("\nThe REST API of Kafka Connect is at http://%s: try\n   curl http://%s/connectors?expand=status\n", info.API, info.API)
				if !stay {
					say("(It ends now with the demo; make run keeps it.)\n")
				}
			}
			if !stay || demoErr != nil {
				stop()
			}
		})
	}
	err = allinone.Run(ctx, s.Config)
	wg.Wait()
	if errors.Is(demoErr, context.Canceled) {
		demoErr = nil // the user has seen enough
	}
	return errors.Join(err, demoErr)
}

// demoDir is the folder for the demo's files; "" without a demo.
func (s *settings) demoDir(show bool) (string, error) {
	switch {
	case !show:
		return s.DataDir, nil
	case s.DataDir != "":
		return filepath.Abs(s.DataDir)
	}
	return os.MkdirTemp("", "millrace-demo-")
}

func (s *settings) plugins(dir string) (*plugin.Registry, error) {
	roots := s.fileRoots
	if len(roots) == 0 {
		wd, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		if roots = []string{wd}; dir != "" {
			roots = append(roots, dir)
		}
	}
	return plugin.New(plugins.All(connectors.Options{FileRoots: roots, BlockedJDBC: connectors.Blocked(s.Worker, os.LookupEnv)})...)
}

func banner(info allinone.Info) {
	kind := func(embedded bool) string {
		if embedded {
			return "embedded, for local use"
		}
		return "yours"
	}
	say("Millrace is up.\n   REST API   %s\n   metrics    http://%s/metrics\n   Kafka      %s (%s)\n   Postgres   %s\n   NATS       %s\n\n",
		strings.Join(info.URLs, " "), info.Admin, info.Kafka, kind(info.EmbeddedKafka), kind(info.EmbeddedPostgres), kind(info.EmbeddedNATS))
}

func say(format string, args ...any) {
	_, _ = fmt.Printf(format, args...) // a closed terminal is no reason to fail
}
