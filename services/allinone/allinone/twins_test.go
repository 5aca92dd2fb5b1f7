package allinone_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/natsbus"
	"github.com/millrace/millrace/embedded/natsembed"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/allinone/allinone"
	"github.com/millrace/millrace/services/api/apiserver"
	"github.com/millrace/millrace/tests/e2e/rest"
)

// twins are two apis on one database and one bus: one beside the scheduler and the runner, and one more.
type twins struct {
	first, second string // host:port
	admin         string // of the first, if it has a listener of its own for it
	stopSecond    func()
}

func startTwins(t *testing.T, dir string, further []plugin.Plugin, change func(*allinone.Config)) (w twins, stop func()) {
	t.Helper()
	bus, err := natsembed.Start(t.Context(), natsembed.Options{DataDir: filepath.Join(dir, "bus"), Port: -1})
	require.NoError(t, err)
	var cfg allinone.Config
	info, stopFirst := startIn(t, dir, further, func(c *allinone.Config) {
		c.NATS = bus.URL()
		if change != nil {
			change(c)
		}
		cfg = *c
	})
	second, stopSecond := startAPI(t, apiserver.Config{Postgres: info.Postgres, NATS: natsbus.Options{URL: bus.URL()}, Worker: cfg.Worker})
	w = twins{first: info.API, second: second, stopSecond: stopSecond}
	if len(info.AdminURLs) > 0 {
		w.admin = info.AdminURLs[0]
	}
	return w, sync.OnceFunc(func() {
		w.stopSecond()
		stopFirst()
		require.NoError(t, bus.Close(context.Background()))
	})
}

// startAPI runs an api by itself until stop.
func startAPI(t *testing.T, cfg apiserver.Config) (addr string, stop func()) {
	t.Helper()
	log, err := obs.NewLogger(io.Discard, "json", "warn") // levels of its own
	require.NoError(t, err)
	ready, done := make(chan apiserver.Info, 1), make(chan error, 1)
	cfg.Listen, cfg.Logger, cfg.Ready = "127.0.0.1:0", log.With(slog.String("service", "api")), func(i apiserver.Info) { ready <- i }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- apiserver.Run(ctx, cfg) }()
	stop = sync.OnceFunc(func() { cancel(); require.NoError(t, <-done) })
	select {
	case i := <-ready:
		return i.Addr, stop
	case err := <-done:
		t.Fatal("the api ended: ", err)
	case <-time.After(60 * time.Second):
		t.Fatal("the api does not start")
	}
	return "", stop
}

// oneAddress gives every connection to the next of several servers, byte for byte, and counts what each has had.
func oneAddress(t *testing.T, behind ...string) (addr string, had []*atomic.Int64) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	for range behind {
		had = append(had, &atomic.Int64{})
	}
	go func() {
		for next := 0; ; next = (next + 1) % len(behind) {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			had[next].Add(1)
			go pass(conn, behind[next])
		}
	}()
	return l.Addr().String(), had
}

// pass joins a connection with one to a server until the server ends it.
func pass(conn net.Conn, to string) {
	defer conn.Close()
	server, err := net.DialTimeout("tcp", to, 10*time.Second)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		if _, err := io.Copy(server, conn); err != nil && !errors.Is(err, net.ErrClosed) {
			_ = server.Close()
		}
	}()
	_, _ = io.Copy(conn, server)
}

// twoProcesses are two apis behind one address: every request reaches the next one. What a process keeps for itself, its log
// levels, is asked of one of them.
func twoProcesses(t *testing.T, dir string, further []plugin.Plugin, change func(*allinone.Config)) (rest.Target, func()) {
	t.Helper()
	w, stop := startTwins(t, dir, further, change)
	addr, had := oneAddress(t, w.first, w.second)
	return rest.Target{Base: "http://" + addr, Admin: w.admin, Sticky: func(path string) string {
			if strings.HasPrefix(path, "/admin/") {
				return "http://" + w.first
			}
			return ""
		}}, func() {
			stop()
			require.Positive(t, had[0].Load())
			require.InDelta(t, had[0].Load(), had[1].Load(), 1, "not every request reached the next one")
		}
}

func TestGolden_two_apis_behind_one_address(t *testing.T) {
	t.Parallel()
	replayAll(t, twoProcesses, pair, rest.Recorded) // what the oracle recorded are validations, which keep nothing
}

// The recording of a leader and a follower, each asked by itself: every api is as good as any. The second one is lost at the end.
func TestGolden_two_apis_each_by_itself(t *testing.T) {
	t.Parallel()
	var w twins
	tally := &rest.Tally{}
	p, _, _ := replay(t, func(t *testing.T, dir string, further []plugin.Plugin, change func(*allinone.Config)) (rest.Target, func()) {
		t.Helper()
		var stop func()
		w, stop = startTwins(t, dir, further, change)
		return rest.Target{Base: "http://" + w.first, Other: w.second}, stop
	}, pair, tally)
	p.Play(t, "two-workers-51")
	w.stopSecond()
	p.Play(t, "")
	t.Log(tally)
}
