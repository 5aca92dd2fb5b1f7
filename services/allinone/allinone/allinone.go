// Package allinone runs Millrace in one process: api, scheduler and runners over a Postgres, a NATS and a Kafka that are
// given by URL or embedded. The services are the same as in a cluster and talk through the same Postgres and NATS; there
// is no shortcut between them, so that what works here works there.
//
// Start reading at Run.
package allinone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/controlplane/pgmigrate"
	"github.com/millrace/millrace/controlplane/workerconfig"
	"github.com/millrace/millrace/embedded/kafkaembed"
	"github.com/millrace/millrace/embedded/natsembed"
	"github.com/millrace/millrace/embedded/pgembed"
	"github.com/millrace/millrace/internal/lifecycle"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/api/apiserver"
	"github.com/millrace/millrace/services/scheduler/schedulersvc"
	"github.com/millrace/millrace/services/taskrunner/runner"
)

// Config says what is given and what is embedded.
type Config struct {
	Listen         string // of the REST API; wins over the worker property listeners
	AllowAnonymous bool   // needed to listen elsewhere than on loopback
	AdminListen    string // metrics and health of the whole process; "" for none
	Profiles       bool   // the admin address serves /debug/pprof too

	// Where things are; "" embeds a server for local use. The worker property bootstrap.servers says where Kafka is when
	// Kafka is "".
	Postgres, NATS, Kafka string
	// DataDir keeps the embedded servers' data; "" uses a temporary folder that is removed at the end.
	DataDir string
	// KafkaPort of the embedded broker on 127.0.0.1; 0 = any free one.
	KafkaPort int
	// PostgresFetch downloads a Postgres server when none is installed.
	PostgresFetch bool

	Runners int               // how many; at least 1
	Worker  map[string]string // worker properties by their Kafka Connect names; those of the REST server, too
	Plugins *plugin.Registry
	// Connectors are made at the start; if one can't be, Run ends.
	Connectors []workerconfig.Connector

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Ready      func(Info) // called once, when everything serves
}

// Info is where things are.
type Info struct {
	API, Admin                   string   // host:port
	URLs, AdminURLs              []string // of the REST API, and of listeners that serve only /admin
	Postgres, NATS, Kafka        string
	DataDir                      string
	EmbeddedPostgres             bool
	EmbeddedNATS, EmbeddedKafka  bool
	Runners                      []string
	PostgresStart, ServicesStart time.Duration
}

const (
	serviceClose = 20 * time.Second // a service drains itself; this bounds it
	serverClose  = 10 * time.Second
)

// Run runs everything until ctx ends, then drains: api, runners, scheduler, broker, bus, database.
func Run(ctx context.Context, cfg Config) (err error) {
	a := &allinone{cfg: cfg, log: cfg.Logger, failed: make(chan error, 1)}
	stack := lifecycle.New(cfg.Logger)
	defer func() {
		err = errors.Join(err, stack.Close(context.WithoutCancel(ctx)))
	}()
	if err := a.start(ctx, stack); err != nil {
		return err
	}
	if cfg.Ready != nil {
		cfg.Ready(a.info)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-a.failed:
		return err
	}
}

type allinone struct {
	cfg    Config
	log    *slog.Logger
	info   Info
	inproc []nats.Option
	failed chan error // a service ended by itself
}

func (a *allinone) start(ctx context.Context, stack *lifecycle.Stack) error {
	steps := []lifecycle.Step{
		{Name: "data folder", Reason: "the embedded servers live in it", Start: a.folder},
		{Name: "postgres", Reason: "the truth: everything else needs it", Timeout: serverClose, Start: a.postgres},
		{Name: "migrations", Reason: "the services expect the schema", Start: func(ctx context.Context) (lifecycle.CloseFunc, error) {
			_, err := pgmigrate.Up(ctx, pgmigrate.Options{URL: a.info.Postgres, Logger: a.log})
			return nil, err
		}},
		{Name: "nats", Reason: "the services talk over it", Timeout: serverClose, Start: a.nats},
		{Name: "kafka", Reason: "the data; runners need it", Timeout: serverClose, Start: a.kafka},
		{Name: "admin listener", Reason: "shows the start and the end of the services", Start: func(context.Context) (lifecycle.CloseFunc, error) {
			gatherer, _ := a.cfg.Registerer.(prometheus.Gatherer)
			addr, stop, err := obs.Admin{Addr: a.cfg.AdminListen, Profiles: a.cfg.Profiles, Gatherer: gatherer, Logger: a.log}.Serve()
			a.info.Admin = addr
			return stop, err
		}},
		{Name: "scheduler", Reason: "takes the runners' registrations", Timeout: serviceClose, Start: a.scheduler},
	}
	for i := range max(1, a.cfg.Runners) {
		steps = append(steps, lifecycle.Step{Name: fmt.Sprintf("runner %d", i+1), Reason: "must be there before users are", Timeout: serviceClose,
			Start: func(ctx context.Context) (lifecycle.CloseFunc, error) { return a.runner(ctx, i) }})
	}
	steps = append(steps, lifecycle.Step{Name: "api", Reason: "users come last, and leave first", Timeout: serviceClose, Start: a.api})
	for _, s := range steps {
		if err := stack.Start(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (a *allinone) folder(context.Context) (lifecycle.CloseFunc, error) {
	if a.cfg.DataDir != "" {
		a.info.DataDir = a.cfg.DataDir
		return nil, os.MkdirAll(a.cfg.DataDir, 0o700)
	}
	dir, err := os.MkdirTemp("", "millrace-")
	if err != nil {
		return nil, err
	}
	a.info.DataDir = dir
	return func(context.Context) error { return os.RemoveAll(dir) }, nil
}

func (a *allinone) postgres(ctx context.Context) (lifecycle.CloseFunc, error) {
	if a.info.Postgres = a.cfg.Postgres; a.info.Postgres != "" {
		return nil, nil
	}
	began := time.Now()
	srv, err := pgembed.Start(ctx, pgembed.Options{DataDir: filepath.Join(a.info.DataDir, "postgres"), Fetch: a.cfg.PostgresFetch, Logger: a.log})
	if err != nil {
		return nil, err
	}
	a.info.Postgres, a.info.EmbeddedPostgres, a.info.PostgresStart = srv.URL(), true, time.Since(began)
	return srv.Close, nil
}

func (a *allinone) nats(ctx context.Context) (lifecycle.CloseFunc, error) {
	if a.info.NATS = a.cfg.NATS; a.info.NATS != "" {
		return nil, nil
	}
	srv, err := natsembed.Start(ctx, natsembed.Options{DataDir: filepath.Join(a.info.DataDir, "nats")})
	if err != nil {
		return nil, err
	}
	a.inproc = []nats.Option{srv.InProcess()}
	a.info.NATS, a.info.EmbeddedNATS = srv.URL(), true
	return srv.Close, nil
}

func (a *allinone) kafka(ctx context.Context) (lifecycle.CloseFunc, error) {
	if a.info.Kafka = cmp.Or(a.cfg.Kafka, a.cfg.Worker["bootstrap.servers"]); a.info.Kafka != "" {
		return nil, nil
	}
	broker, err := kafkaembed.Start(ctx, kafkaembed.Options{DataDir: filepath.Join(a.info.DataDir, "kafka"), Port: a.cfg.KafkaPort})
	if err != nil {
		return nil, err
	}
	a.info.Kafka, a.info.EmbeddedKafka = broker.Bootstrap(), true
	return broker.Close, nil
}

func (a *allinone) bus() natsbus.Options {
	return natsbus.Options{URL: a.info.NATS, NATSOptions: a.inproc}
}

// metrics gives a service its own label, so that several of them can have the same series.
func (a *allinone) metrics(service string) prometheus.Registerer {
	if a.cfg.Registerer == nil {
		return nil
	}
	return prometheus.WrapRegistererWith(prometheus.Labels{"service": service}, a.cfg.Registerer)
}

func (a *allinone) scheduler(ctx context.Context) (lifecycle.CloseFunc, error) {
	return a.service(ctx, "scheduler", func(ctx context.Context, ready func()) error {
		return schedulersvc.Run(ctx, schedulersvc.Config{ID: "all-in-one", Postgres: a.info.Postgres, NATS: a.bus(),
			Logger: a.log.With(slog.String("service", "scheduler")), Registerer: a.metrics("scheduler"), Ready: func(schedulersvc.Info) { ready() }})
	})
}

func (a *allinone) runner(ctx context.Context, i int) (lifecycle.CloseFunc, error) {
	name := fmt.Sprintf("runner-%d", i+1)
	props := map[string]string{}
	maps.Copy(props, a.cfg.Worker)
	props["bootstrap.servers"] = a.info.Kafka
	return a.service(ctx, name, func(ctx context.Context, ready func()) error {
		return runner.Run(ctx, runner.Config{WorkerID: a.workerID(i), NATS: a.bus(), Worker: props, Plugins: a.cfg.Plugins, ReloadInterval: runner.DefaultReloadInterval,
			Logger: a.log.With(slog.String("service", name)), Registerer: a.metrics(name), Ready: func(info runner.Info) {
				a.info.Runners = append(a.info.Runners, info.WorkerID)
				ready()
			}})
	})
}

// workerID is the first runner's address as REST clients know it: what the worker configuration advertises, else the API's.
// Others differ in the host's name.
func (a *allinone) workerID(i int) string {
	listen := a.cfg.Listen
	id, given, err := workerconfig.WorkerID(a.cfg.Worker, "127.0.0.1") // the api says what is wrong with it
	if err == nil && given && (listen == "" || a.cfg.Worker["rest.advertised.host.name"] != "") {
		listen = id
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port == "0" {
		host, port = "127.0.0.1", "8083"
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	if i > 0 {
		host = fmt.Sprintf("runner-%d", i+1)
	}
	return net.JoinHostPort(host, port)
}

func (a *allinone) api(ctx context.Context) (lifecycle.CloseFunc, error) {
	return a.service(ctx, "api", func(ctx context.Context, ready func()) error {
		return apiserver.Run(ctx, apiserver.Config{Postgres: a.info.Postgres, NATS: a.bus(), Worker: a.cfg.Worker, Listen: a.cfg.Listen, AllowAnonymous: a.cfg.AllowAnonymous, Connectors: a.cfg.Connectors,
			Logger: a.log.With(slog.String("service", "api")), Registerer: a.metrics("api"), Ready: func(info apiserver.Info) {
				a.info.API, a.info.URLs, a.info.AdminURLs = info.Addr, info.URLs, info.AdminURLs
				ready()
			}})
	})
}

// service starts a service and waits until it is ready. Should it end by itself, Run ends.
func (a *allinone) service(ctx context.Context, name string, run func(ctx context.Context, ready func()) error) (lifecycle.CloseFunc, error) {
	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		err := run(runCtx, func() { close(ready) })
		if runCtx.Err() == nil {
			err = fmt.Errorf("%s ended: %w", name, err)
			select {
			case a.failed <- err:
			default:
			}
		}
		done <- err
	}()
	closeFn := func(ctx context.Context) error {
		stop()
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case <-ready:
		return closeFn, nil
	case err := <-done:
		stop()
		return nil, err
	case <-ctx.Done():
		stop()
		<-done //nolint:errcheck // ctx says why
		return nil, ctx.Err()
	}
}
