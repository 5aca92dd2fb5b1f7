package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/membus"
	"github.com/millrace/millrace/controlplane/memstore"
	"github.com/millrace/millrace/services/api/internal/herder"
)

// ready is a store that has the answer at hand: what is measured is the api.
type ready struct{ herder.Store }

func (ready) LastConnector(_ context.Context, name string) (cluster.Shown, error) {
	return cluster.Shown{Name: name, Type: cluster.TypeSink, Status: &cluster.ShownState{Task: -1, State: cluster.StateRunning, WorkerID: "10.0.0.7:8083", Version: "4.3.0"},
		TaskStatuses: []cluster.ShownState{{State: cluster.StateRunning, WorkerID: "10.0.0.7:8083", Version: "4.3.0"}}}, nil
}

// BenchmarkStatus is what the api itself takes for the answer to GET /connectors/{c}/status.
func BenchmarkStatus(b *testing.B) {
	bus := membus.New(membus.Faults{}, nil).Connect()
	h, err := herder.New(herder.Config{Store: ready{memstore.New(time.Now)}, Bus: bus, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	b.Cleanup(func() {
		require.NoError(b, h.Close(context.Background()))
		require.NoError(b, bus.Close(context.Background()))
	})
	handle := New(Options{Herder: h, Logger: slog.New(slog.DiscardHandler)}).app.Handler()
	var c fasthttp.RequestCtx
	b.ReportAllocs()
	for b.Loop() {
		c.Request.Reset()
		c.Response.Reset()
		c.Request.Header.SetMethod(http.MethodGet)
		c.Request.SetRequestURI("/connectors/orders-00001/status")
		c.Request.Header.SetHost("h")
		handle(&c)
	}
	require.Equal(b, http.StatusOK, c.Response.StatusCode())
}
