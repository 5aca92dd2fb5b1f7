// Package cluster runs Millrace as in production: api, schedulers and task runners as processes of their own, beside a real
// Postgres, a real NATS and a Kafka broker, and breaks them: kill, freeze, drain, purge, restart. For tests and benchmarks.
//
// Start reading at Start.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/millrace/millrace/controlplane/pgmigrate"
	"github.com/millrace/millrace/embedded/childproc"
	"github.com/millrace/millrace/embedded/pgembed"
)

// Options say what to start.
type Options struct {
	Kafka      string // bootstrap servers; required
	Schedulers int    // default 2
	Runners    int    // default 3
	Race       bool   // programs with the race detector
	Worker     string // more worker properties, key=value,…
	APIOnly    bool   // no schedulers and no runners: Postgres, NATS and the api
}

// Cluster is what runs. Close it.
type Cluster struct {
	Dir        string // for files of connectors
	Postgres   *pgembed.Server
	NATS       *Service
	API        *Service
	Schedulers []*Service // named scheduler-N
	Runners    []*Service // named by their worker id, where they lead clients to the REST API
	REST       REST

	temp    string
	bin     string
	natsURL string
	db      *pgx.Conn
}

const startWithin = 90 * time.Second

// Start builds and starts everything and returns when every service is ready.
func Start(ctx context.Context, o Options) (_ *Cluster, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*startWithin, errors.New("the cluster did not start in time")) // the build is in it
	defer cancel()
	c := &Cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close(context.WithoutCancel(ctx)))
		}
	}()
	if c.temp, err = os.MkdirTemp("", "millrace-cluster-"); err != nil {
		return nil, err
	}
	c.bin, c.Dir = filepath.Join(c.temp, "bin"), filepath.Join(c.temp, "files")
	for _, dir := range []string{c.bin, c.Dir} {
		if err := os.Mkdir(dir, 0o750); err != nil {
			return nil, err
		}
	}
	if err := build(ctx, c.bin, o.Race); err != nil {
		return nil, err
	}
	if c.Postgres, err = pgembed.Start(ctx, pgembed.Options{Fetch: true}); err != nil {
		return nil, err
	}
	if _, err := pgmigrate.Up(ctx, pgmigrate.Options{URL: c.Postgres.URL()}); err != nil {
		return nil, err
	}
	if err := c.services(o); err != nil {
		return nil, err
	}
	if err := c.NATS.Start(); err != nil {
		return nil, err
	}
	for _, s := range c.ours() {
		if err := s.Start(); err != nil {
			return nil, err
		}
	}
	for _, s := range c.ours() {
		if err := c.Ready(ctx, s); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// services lays down who listens where.
func (c *Cluster) services(o Options) error {
	ports := []string{}
	port := func() string {
		p, err := childproc.FreePort()
		if err != nil {
			return "127.0.0.1:0"
		}
		ports = append(ports, strconv.Itoa(p))
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(p))
	}
	service := func(name, program string, args ...string) *Service {
		s := &Service{Name: name, path: filepath.Join(c.bin, program), log: filepath.Join(c.temp, strings.ReplaceAll(name, ":", "-")+".log"), args: args}
		if program != "natsd" {
			s.Admin = port()
			s.args = append(s.args, "-admin-listen", s.Admin, "-profiles", "-nats-url", c.natsURL, "-log-format", "json")
		}
		return s
	}
	natsAddr := port()
	c.natsURL = "nats://" + natsAddr
	_, natsPort, err := net.SplitHostPort(natsAddr)
	if err != nil {
		return err
	}
	c.NATS = service("nats", "natsd", "-port", natsPort, "-data", c.natsData())
	rest := port()
	c.REST = REST{Base: "http://" + rest}
	c.API = service("api", "api", "-postgres-url", c.Postgres.URL(), "-listen", rest)
	schedulers, runners := max(o.Schedulers, 1), max(o.Runners, 1)
	if o.APIOnly {
		schedulers, runners = 0, 0
	}
	var internal []string
	for i := range schedulers {
		addr := port()
		internal = append(internal, "http://"+addr)
		c.Schedulers = append(c.Schedulers, service(fmt.Sprintf("scheduler-%d", i), "scheduler", "-id", fmt.Sprintf("scheduler-%d", i),
			"-postgres-url", c.Postgres.URL(), "-internal-listen", addr))
	}
	worker := "offset.flush.interval.ms=1000"
	if o.Worker != "" {
		worker += "," + o.Worker
	}
	for range runners {
		id := port() // where it leads clients to the REST API, as its worker id says
		c.Runners = append(c.Runners, service(id, "taskrunner", "-worker-id", id, "-kafka-bootstrap", o.Kafka, "-scheduler-urls", strings.Join(internal, ","), "-rest-listen", id, "-api-addresses", rest,
			"-file-roots", c.Dir, "-worker", worker))
	}
	if len(ports) < 3+2*schedulers+2*runners {
		return errors.New("there are not enough free ports")
	}
	return nil
}

func (c *Cluster) natsData() string { return filepath.Join(c.temp, "nats") }

func (c *Cluster) ours() []*Service {
	all := append([]*Service{}, c.Schedulers...)
	if c.API != nil {
		all = append(all, c.API)
	}
	return append(all, c.Runners...)
}

// Ready waits until a service says of itself that it is ready.
func (c *Cluster) Ready(ctx context.Context, s *Service) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, fmt.Errorf("%s is not ready after %s", s.Name, startWithin))
	defer cancel()
	return Until(ctx, func(ctx context.Context) error {
		if !s.Running() {
			return Final(fmt.Errorf("%s ended: %w\n%s", s.Name, s.process().Err(), s.Tail()))
		}
		status, body, err := get(ctx, "http://"+s.Admin+"/readyz")
		if err == nil && status != 200 {
			err = fmt.Errorf("%s answers %d: %s", s.Name, status, body)
		}
		return err
	})
}

// Leader is the scheduler that the lease names.
func (c *Cluster) Leader(ctx context.Context) (*Service, error) {
	var holder string
	var live bool
	if err := c.Query(ctx, []any{&holder, &live}, "SELECT holder, expires_at > clock_timestamp() FROM leader"); err != nil {
		return nil, err
	}
	for _, s := range c.Schedulers {
		if live && s.Name == holder {
			return s, nil
		}
	}
	return nil, fmt.Errorf("no scheduler leads (the last was %q)", holder)
}

// Runner finds a runner by its worker id.
func (c *Cluster) Runner(workerID string) (*Service, error) {
	for _, r := range c.Runners {
		if r.Name == workerID {
			return r, nil
		}
	}
	return nil, fmt.Errorf("there is no runner %q", workerID)
}

// Query reads one row of the control plane's database. It is tried again on a new connection: the database may have
// restarted meanwhile.
func (c *Cluster) Query(ctx context.Context, into []any, sql string, args ...any) (err error) {
	for range 2 {
		if c.db == nil || c.db.IsClosed() {
			if c.db, err = pgx.Connect(ctx, c.Postgres.URL()); err != nil {
				return err
			}
		}
		if err = c.db.QueryRow(ctx, sql, args...).Scan(into...); err == nil || !c.db.IsClosed() {
			return err
		}
	}
	return err
}

// Ownership tells who owns which job under which epoch: it stays equal as long as nothing is moved or restarted. Connectors
// that are changed meanwhile are left out by name.
func (c *Cluster) Ownership(ctx context.Context, but ...string) (s string, err error) {
	err = c.Query(ctx, []any{&s}, `SELECT coalesce(string_agg(c.name || '/' || j.task || ' ' || j.session || ' ' || j.epoch || ' ' || j.revision, E'\n' ORDER BY c.name, j.task), '')
FROM jobs j JOIN connectors c USING (uid) WHERE j.wanted AND NOT c.name = ANY($1)`, append([]string{}, but...))
	return s, err
}

// Jobs is how many jobs there are, those included that are to end and still have a holder.
func (c *Cluster) Jobs(ctx context.Context) (n int, err error) {
	err = c.Query(ctx, []any{&n}, `SELECT count(*) FROM jobs WHERE NOT gone`)
	return n, err
}

// PurgeStreams deletes all messages of every stream.
func (c *Cluster) PurgeStreams(ctx context.Context) (streams int, err error) {
	nc, err := nats.Connect(c.natsURL)
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		stream, err := js.Stream(ctx, name)
		if err == nil {
			err = stream.Purge(ctx)
		}
		if err != nil {
			return streams, fmt.Errorf("purging stream %s: %w", name, err)
		}
		streams++
	}
	return streams, names.Err()
}

// LoseNATS kills NATS and deletes all that it kept. RestartNATS brings an empty one.
func (c *Cluster) LoseNATS() error {
	return errors.Join(c.NATS.Kill(), os.RemoveAll(c.natsData()))
}

// Faults are panics and data races in any service's log.
func (c *Cluster) Faults() (found []string) {
	for _, s := range c.ours() {
		found = append(found, s.Faults()...)
	}
	return found
}

// Close ends everything and removes the files.
func (c *Cluster) Close(ctx context.Context) (err error) {
	for _, s := range append(c.ours(), c.NATS) {
		if s != nil && s.process() != nil {
			err = errors.Join(err, s.Kill())
		}
	}
	if c.db != nil {
		_ = c.db.Close(ctx) // the server goes too
	}
	if c.Postgres != nil {
		err = errors.Join(err, c.Postgres.Close(ctx))
	}
	return errors.Join(err, os.RemoveAll(c.temp))
}
