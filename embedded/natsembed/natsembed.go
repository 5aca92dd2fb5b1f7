// Package natsembed runs a NATS server with JetStream inside this process, for the all-in-one and for tests. It is for
// local use: one node, no authentication, loopback only.
package natsembed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Options say where data lives and who can connect.
type Options struct {
	// DataDir keeps streams over restarts. Empty: a temporary folder that Close removes.
	DataDir string
	// Port on 127.0.0.1 where other processes can connect; 0 = none (in-process connections only), -1 = any free one.
	Port int
}

// Server is a running server. Close it.
type Server struct {
	srv   *server.Server
	temp  string
	close sync.Once
}

// readyWithin bounds the start; seen: below 0.1 s.
const readyWithin = 10 * time.Second

// Start starts a server and returns when it accepts connections. Streams are synced to disk at every write, so that an
// acknowledged message survives a crash.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{}
	dir := o.DataDir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "millrace-nats-"); err != nil {
			return nil, fmt.Errorf("making a temporary folder for NATS: %w", err)
		}
		s.temp = dir
	}
	srv, err := server.NewServer(&server.Options{
		ServerName: "millrace-embedded", Host: "127.0.0.1", Port: o.Port, DontListen: o.Port == 0,
		JetStream: true, StoreDir: dir, SyncAlways: true, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making the embedded NATS server: %w", err), s.removeTemp())
	}
	s.srv = srv
	go srv.Start()
	wait := readyWithin
	if d, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(d))
	}
	if !srv.ReadyForConnections(wait) {
		return nil, errors.Join(fmt.Errorf("starting the embedded NATS server: not ready after %s", wait), s.Close(ctx))
	}
	return s, nil
}

// URL is where other processes connect; with Port 0 it only serves as a name, use InProcess.
func (s *Server) URL() string { return s.srv.ClientURL() }

// InProcess connects a client of this process without a socket.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s.srv) }

// Close stops the server and removes a temporary folder. Safe to call twice.
func (s *Server) Close(context.Context) error {
	var err error
	s.close.Do(func() {
		s.srv.Shutdown()
		s.srv.WaitForShutdown()
		err = s.removeTemp()
	})
	return err
}

func (s *Server) removeTemp() error {
	if s.temp == "" {
		return nil
	}
	return os.RemoveAll(s.temp)
}
