// Package obs is how a process is observed: its logger, its metrics registry, and the admin listener that serves
// metrics, health and, on request, profiles. Packages take a *slog.Logger and a prometheus.Registerer; only main and the
// services' Run functions make them.
package obs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millrace/millrace/internal/exitcode"
)

// The log keys that the whole project uses. A line never holds a config map, a record value or a header.
const (
	KeyConnector = "connector"
	KeyTask      = "task"
	KeyJob       = "job"
	KeyEpoch     = "epoch"
	KeyRunner    = "runner"
	KeySession   = "session"
	KeyWorkerID  = "worker_id"
	KeyTopic     = "topic"
	KeyPartition = "partition"
	KeyOffset    = "offset"
	KeyPlugin    = "plugin"
	KeyVersion   = "version"
	KeyOutboxID  = "outbox_id"
	KeyRequestID = "request_id"
	KeyErr       = "err"
	KeyDurMS     = "dur_ms"
)

// NewLogger writes JSON or text lines of at least level (off, fatal, error, warn, info, debug, trace or all) to w. format
// "auto" is text on a terminal and JSON elsewhere. Its named loggers (Named) have levels of their own, which begin as level.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	l, ok := ParseLevel(level)
	if !ok {
		return nil, levelError(level)
	}
	out, err := lineHandler(w, format)
	if err != nil {
		return nil, err
	}
	all := newLevels(l)
	return slog.New(&handler{all, all.root, out, out}), nil
}

func lineHandler(w io.Writer, format string) (slog.Handler, error) {
	opts := &slog.HandlerOptions{Level: LevelAll, ReplaceAttr: showLevel}
	switch format {
	case "json":
		return slog.NewJSONHandler(w, opts), nil
	case "text":
		return slog.NewTextHandler(w, opts), nil
	case "auto":
		if f, ok := w.(*os.File); ok {
			if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
				return slog.NewTextHandler(w, opts), nil
			}
		}
		return slog.NewJSONHandler(w, opts), nil
	}
	return nil, fmt.Errorf("log format %q: must be auto, json or text", format)
}

// NewRegistry is a metrics registry with the Go runtime's and the process' own series.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Admin is what the admin listener serves.
type Admin struct {
	Addr     string // host:port; empty = no listener
	Gatherer prometheus.Gatherer
	// Ready tells whether the process can do its work; its error is shown at /readyz. nil means always.
	Ready func(ctx context.Context) error
	// Extra adds routes, by pattern.
	Extra map[string]http.Handler
	// Profiles adds /debug/pprof.
	Profiles bool
	Logger   *slog.Logger
}

// readTimeout bounds reading one request; admin requests are small.
const readTimeout = 10 * time.Second

// Serve starts the admin listener and returns the bound address. The listener ends when stop is called, which waits for
// running requests until its ctx ends.
func (a Admin) Serve() (addr string, stop func(context.Context) error, err error) {
	if a.Addr == "" {
		return "", func(context.Context) error { return nil }, nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") }) //nolint:errcheck // the reader went away
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if a.Ready != nil {
			if err := a.Ready(r.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		io.WriteString(w, "ready\n") //nolint:errcheck // the reader went away
	})
	if a.Gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(a.Gatherer, promhttp.HandlerOpts{}))
	}
	for pattern, h := range a.Extra {
		mux.Handle(pattern, h)
	}
	if a.Profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", a.Addr)
	if err != nil {
		return "", nil, exitcode.Missing(fmt.Errorf("listening for admin requests: %w", err))
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: readTimeout}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) && a.Logger != nil {
			a.Logger.Error("admin listener ended", slog.Any(KeyErr, err))
		}
	}()
	return ln.Addr().String(), func(ctx context.Context) error {
		err := srv.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, srv.Close())
		}
		<-done
		return err
	}, nil
}
