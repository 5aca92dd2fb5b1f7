package allinone_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/embedded/natsembed"
	"github.com/millrace/millrace/embedded/pgembed"
	"github.com/millrace/millrace/plugins"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/allinone/allinone"
	"github.com/millrace/millrace/tests/servers"
)

// lines is the file's name; keys of offsets hold it, and Kafka Connect escapes one of its letters.
const lines = "in 🙂"

// pipe is a file that is copied to a file over a topic.
type pipe struct {
	*testing.T
	dir string
	id  string // of this run: a broker may be shared
	n   int    // lines written
}

func (p *pipe) create(base string) {
	p.Helper()
	for name, config := range map[string]string{
		"in-" + p.id:  fmt.Sprintf(`{"connector.class":"FileStreamSource","topic":"lines-%s","file":%q}`, p.id, filepath.Join(p.dir, lines)),
		"out-" + p.id: fmt.Sprintf(`{"connector.class":"FileStreamSink","topics":"lines-%s","file":%q}`, p.id, filepath.Join(p.dir, "out")),
	} {
		req, err := http.NewRequestWithContext(p.Context(), http.MethodPut, base+"/connectors/"+name+"/config", strings.NewReader(config))
		require.NoError(p, err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(p, err)
		require.NoError(p, resp.Body.Close())
		require.Equal(p, http.StatusCreated, resp.StatusCode)
	}
}

// flows appends lines and waits until all lines so far are at the other end, each once and in order.
func (p *pipe) flows(n int) {
	p.Helper()
	f, err := os.OpenFile(filepath.Join(p.dir, lines), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(p, err)
	for range n {
		_, err := fmt.Fprintln(f, p.n)
		require.NoError(p, err)
		p.n++
	}
	require.NoError(p, f.Close())
	var want strings.Builder
	for i := range p.n {
		fmt.Fprintln(&want, i)
	}
	var got []byte
	require.Eventually(p, func() bool {
		got, err = os.ReadFile(filepath.Join(p.dir, "out"))
		return err == nil && len(got) >= want.Len()
	}, patience, tick, "%d lines", p.n)
	require.Equal(p, want.String(), string(got))
}

func configured(t *testing.T, files string) (allinone.Config, chan allinone.Info) {
	t.Helper()
	plugins, err := plugin.New(plugins.All(connectors.Options{FileRoots: []string{files}})...)
	require.NoError(t, err)
	ready := make(chan allinone.Info, 1)
	const text = "org.apache.kafka.connect.storage.StringConverter"
	return allinone.Config{Listen: "127.0.0.1:0", PostgresFetch: true, Plugins: plugins, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		Worker: map[string]string{"key.converter": text, "value.converter": text}, Ready: func(i allinone.Info) { ready <- i }}, ready
}

// What is kept in a folder goes on where it was: connectors, topics, and positions of sources and sinks.
func TestRun_with_a_folder_goes_on_where_it_stopped(t *testing.T) {
	t.Parallel()
	p := &pipe{T: t, dir: t.TempDir(), id: rand.Text()}
	cfg, ready := configured(t, p.dir)
	cfg.DataDir = t.TempDir()
	for round := range 3 {
		cfg.Registerer = prometheus.NewRegistry()
		info, stop := run(t, cfg, ready)
		t.Cleanup(stop)
		require.Equal(t, cfg.DataDir, info.DataDir)
		if round == 0 {
			p.create("http://" + info.API)
		}
		p.flows(100)
		stop()
	}
}

// Each part that is embedded can be one that runs elsewhere.
func TestRun_over_given_servers_embeds_none(t *testing.T) {
	t.Parallel()
	servers.Brokers(t, func(t *testing.T, bootstrap string) {
		pg, err := pgembed.Start(t.Context(), pgembed.Options{Unsafe: true, Fetch: true})
		if err != nil {
			servers.Missing(t, err)
		}
		t.Cleanup(func() { require.NoError(t, pg.Close(context.Background())) })
		bus, err := natsembed.Start(t.Context(), natsembed.Options{DataDir: t.TempDir(), Port: -1})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, bus.Close(context.Background())) })

		p := &pipe{T: t, dir: t.TempDir(), id: rand.Text()}
		cfg, ready := configured(t, p.dir)
		cfg.Postgres, cfg.NATS, cfg.Kafka = pg.URL(), bus.URL(), bootstrap
		info, stop := run(t, cfg, ready)
		t.Cleanup(stop)
		require.False(t, info.EmbeddedPostgres || info.EmbeddedNATS || info.EmbeddedKafka)
		require.Equal(t, []string{pg.URL(), bus.URL(), bootstrap}, []string{info.Postgres, info.NATS, info.Kafka})
		p.create("http://" + info.API)
		p.flows(100)
	})
}
