package allinone_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/workerconfig"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/plugins"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/allinone/allinone"
)

// certificate writes a PEM key store that a pool trusts; it comes with Go, for tests.
func certificate(t *testing.T, dir string) (store string, trust *x509.CertPool) {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	pair := srv.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})...)
	store, trust = filepath.Join(dir, "server.pem"), x509.NewCertPool()
	require.NoError(t, os.WriteFile(store, text, 0o600))
	trust.AddCert(srv.Certificate())
	return store, trust
}

// A worker configuration and connector files as a standalone worker has them: connectors run when it is up, over HTTPS and
// for those who log in.
func TestStandalone_files_make_a_worker_with_its_connectors(t *testing.T) {
	t.Parallel()
	var trust *x509.CertPool
	info := start(t, func(c *allinone.Config) {
		write := func(name, text string) string {
			path := filepath.Join(c.DataDir, name)
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			return path
		}
		var store string
		store, trust = certificate(t, c.DataDir)
		write("in", "one\n")
		worker, err := workerconfig.ReadFile(write("worker.properties", "listeners=http://127.0.0.1:0,https://127.0.0.1:0\nlisteners.https.ssl.keystore.location="+store+
			"\nlisteners.https.ssl.keystore.type=PEM\nrest.advertised.host.name=w.example\nrest.advertised.port=8443\n"+
			"rest.extension.classes=org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension\nmillrace.rest.basic.auth.file="+write("users", "me=secret\n")+"\n"))
		require.NoError(t, err)
		c.Listen, c.Worker = "", worker
		for _, f := range []string{
			write("source.properties", "name=source\nconnector.class=FileStreamSource\ntopic=t\nfile="+filepath.Join(c.DataDir, "in")+"\n"),
			write("sink.json", `{"name":"sink","connector.class":"FileStreamSink","topics":"t","tasks.max":1,"file":"`+filepath.Join(c.DataDir, "out")+`"}`),
			write("paused.json", `{"name":"paused","config":{"connector.class":"FileStreamSink","topics":"t"},"initial_state":"PAUSED"}`),
		} {
			conn, err := workerconfig.ReadConnector(f)
			require.NoError(t, err)
			c.Connectors = append(c.Connectors, conn)
		}
	})
	require.Len(t, info.URLs, 2)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}}
	t.Cleanup(client.CloseIdleConnections)
	get := func(url, password string) (int, []byte) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		req.SetBasicAuth("me", password)
		resp, err := client.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, b
	}
	for _, url := range info.URLs {
		status, _ := get(url+"/", "wrong")
		require.Equal(t, http.StatusUnauthorized, status)
		var all map[string]struct {
			Status struct {
				Connector struct {
					State  string `json:"state"`
					Worker string `json:"worker_id"`
				} `json:"connector"`
			} `json:"status"`
		}
		require.Eventually(t, func() bool {
			status, body := get(url+"/connectors?expand=status", "secret")
			require.Equal(t, http.StatusOK, status)
			require.NoError(t, json.Unmarshal(body, &all))
			return len(all) == 3 && all["source"].Status.Connector.State == "RUNNING" && all["sink"].Status.Connector.State == "RUNNING" && all["paused"].Status.Connector.State == "PAUSED"
		}, 30*time.Second, 20*time.Millisecond)
		require.Equal(t, "w.example:8443", all["sink"].Status.Connector.Worker)
	}
	require.Eventually(t, func() bool { b, _ := os.ReadFile(filepath.Join(info.DataDir, "out")); return len(b) > 0 }, 30*time.Second, 20*time.Millisecond)
}

func TestStandalone_ends_with_code_3_when_a_connector_cannot_be_made(t *testing.T) {
	t.Parallel()
	plugins, err := plugin.New(plugins.All(connectors.Options{})...)
	require.NoError(t, err)
	log, err := obs.NewLogger(io.Discard, "json", "warn")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	err = allinone.Run(ctx, allinone.Config{Listen: "127.0.0.1:0", DataDir: t.TempDir(), PostgresFetch: true, Plugins: plugins, Logger: log, Registerer: prometheus.NewRegistry(),
		Connectors: []workerconfig.Connector{{File: "x.json", Name: "x", Config: map[string]string{"name": "x", "connector.class": "Nope"}}},
		Ready:      func(allinone.Info) { t.Error("it is up without its connector") }})
	require.ErrorContains(t, err, "creating connector x of x.json")
	require.ErrorContains(t, err, "Failed to find any class that implements Connector and which name matches Nope")
	require.Equal(t, exitcode.Unavailable, exitcode.Of(err))
}
