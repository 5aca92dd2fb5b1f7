// Package pgembed runs a Postgres server as a child of this process, for the all-in-one and for tests. It is for local
// use: loopback only, every local user is let in.
//
// The server comes from installed binaries, or is downloaded once when that is asked for (fetch.go). It dies with this
// process, however that ends; the next start recovers what was committed.
package pgembed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/embedded/childproc"
	"github.com/millrace/millrace/internal/sleep"
)

// Options say where data lives and which server is used.
type Options struct {
	// DataDir keeps the data over restarts. Empty: a temporary folder that Close removes.
	DataDir string
	// Port on 127.0.0.1; 0 = any free one.
	Port int
	// Bin is the folder with initdb and postgres; empty: FindBin.
	Bin string
	// Fetch downloads a server, once, when Bin is empty and none is installed.
	Fetch bool
	// Unsafe leaves out syncing to disk: a crash of the machine loses data. For tests.
	Unsafe bool
	// Settings are further ones of the server, name=value.
	Settings []string
	Logger   *slog.Logger // nil = none
}

// Server is a running server. Close it.
type Server struct {
	o    Options
	bin  string
	dir  string // the cluster's folder
	temp string
	id   childproc.Identity
	port int
	lock *childproc.FolderLock

	mu   sync.Mutex
	proc *childproc.Process
	tail *childproc.Tail
}

const (
	readyWithin = 30 * time.Second // seen: below 1.5 s with initdb, 0.4 s after a crash
	stopWithin  = 10 * time.Second // seen: 8 to 40 ms
	portTries   = 20
)

// Start makes the cluster if the folder has none, starts the server and returns when it answers.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	bin, err := binFor(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &Server{o: o, bin: bin, id: childproc.Unprivileged(), port: o.Port}
	root := o.DataDir
	if root == "" {
		if root, err = os.MkdirTemp("", "millrace-postgres-"); err != nil {
			return nil, fmt.Errorf("making a temporary folder for Postgres: %w", err)
		}
		s.temp = root
	}
	if root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	if s.lock, err = childproc.WaitFolder(ctx, root); err != nil {
		return nil, fmt.Errorf("the Postgres folder %s: %w", root, err)
	}
	s.dir = filepath.Join(root, "cluster")
	if err := s.begin(ctx, root); err != nil {
		return nil, errors.Join(err, s.tidy())
	}
	return s, nil
}

func (s *Server) begin(ctx context.Context, root string) error {
	if err := s.initdb(ctx, root); err != nil {
		return err
	}
	return s.launch(ctx)
}

// initdb makes the cluster under another name and renames it, so that a half-made one is never started.
func (s *Server) initdb(ctx context.Context, root string) error {
	if _, err := os.Stat(filepath.Join(s.dir, "PG_VERSION")); err == nil {
		return nil
	}
	half := s.dir + ".new"
	if err := os.RemoveAll(half); err != nil {
		return fmt.Errorf("removing a half-made cluster: %w", err)
	}
	if err := os.Mkdir(half, 0o700); err != nil {
		return err
	}
	if err := s.id.Own(root); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "-D", half, "-U", user, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-N")
	s.id.Apply(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making a Postgres cluster in %s: %w\n%s", s.dir, err, out)
	}
	return os.Rename(half, s.dir)
}

const (
	user     = "millrace"
	portFree = 10 * time.Second // a former server's port is waited for
)

// launch starts the server process, on another port should the free one be taken in between.
func (s *Server) launch(ctx context.Context) error {
	for try := 0; ; try++ {
		if s.o.Port == 0 && (s.port == 0 || try > 0) {
			port, err := childproc.FreePort()
			if err != nil {
				return err
			}
			s.port = port
		}
		err := s.launchOnce(ctx)
		if err == nil || s.o.Port != 0 || try == portTries || ctx.Err() != nil || !s.portTaken() {
			return err
		}
	}
}

// portTaken tells whether somebody else listens on our port.
func (s *Server) portTaken() bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))) //nolint:noctx // does not block
	if err != nil {
		return true
	}
	return l.Close() != nil
}

func (s *Server) launchOnce(ctx context.Context) error {
	tail := &childproc.Tail{Line: func(l string) { s.o.Logger.Debug("postgres: " + l) }}
	args := []string{"-D", s.dir, "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "max_connections=200"}
	if s.o.Unsafe {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	for _, setting := range s.o.Settings {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...) //nolint:noctx // it outlives ctx, which bounds the start only
	cmd.Stdout, cmd.Stderr = tail, tail
	cmd.Dir = s.dir
	s.id.Apply(cmd)
	proc, err := childproc.Start(cmd, syscall.SIGQUIT)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.proc, s.tail = proc, tail
	s.mu.Unlock()
	if err := s.wait(ctx, proc); err != nil {
		return errors.Join(fmt.Errorf("starting Postgres: %w\n%s", err, tail), proc.Kill())
	}
	return nil
}

// wait waits until the server answers a query.
func (s *Server) wait(ctx context.Context, proc *childproc.Process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("not ready after %s", readyWithin))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-proc.Done():
			return fmt.Errorf("it ended: %w", proc.Err())
		case <-ctx.Done():
			return fmt.Errorf("%w; the last answer: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// URL is the server's URL with the database "postgres".
func (s *Server) URL() string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/postgres?sslmode=disable", user, s.port)
}

// Pid is the process id of the server.
func (s *Server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.Pid()
}

// Stop ends the server in order and keeps its data; connections are cut. Restart starts it again.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	proc := s.proc
	s.mu.Unlock()
	if proc == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	if err := proc.Signal(syscall.SIGINT); err != nil {
		return err
	}
	if err := proc.Wait(ctx); err != nil {
		return errors.Join(fmt.Errorf("stopping Postgres: %w", err), proc.Kill())
	}
	return nil
}

// Kill ends the server as a crash would. Restart starts it again.
func (s *Server) Kill() error {
	s.mu.Lock()
	proc := s.proc
	s.mu.Unlock()
	return proc.Kill()
}

// Restart stops the server, if it runs, and starts it on the same port, as soon as that is free again: what a server that was
// killed has left behind may hold it for a moment.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	for until := time.Now().Add(portFree); s.portTaken() && time.Now().Before(until) && sleep.For(ctx, 10*time.Millisecond); {
	}
	return s.launchOnce(ctx)
}

// Close stops the server and removes a temporary folder. Safe to call twice.
func (s *Server) Close(ctx context.Context) error {
	return errors.Join(s.Stop(ctx), s.tidy())
}

func (s *Server) tidy() error {
	s.lock.Unlock()
	if s.temp == "" {
		return nil
	}
	return os.RemoveAll(s.temp)
}
