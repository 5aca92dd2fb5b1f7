package pgstore_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/pgmigrate"
	"github.com/millrace/millrace/controlplane/pgstore"
	"github.com/millrace/millrace/embedded/pgembed"
	"github.com/millrace/millrace/tests/conformance/storetest"
)

// server is the one Postgres of this test binary; each test has its own schema in it.
var server = struct {
	start func() (*pgembed.Server, error)
	count atomic.Int64
}{start: sync.OnceValues(func() (*pgembed.Server, error) {
	return pgembed.Start(context.Background(), pgembed.Options{Unsafe: true, Fetch: true})
})}

func TestMain(m *testing.M) {
	code := m.Run()
	if srv, err := server.start(); err == nil {
		if err := srv.Close(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// database skips where no Postgres is installed, unless everything must run.
func database(t *testing.T) string {
	t.Helper()
	srv, err := server.start()
	if err != nil {
		if os.Getenv("MILLRACE_REQUIRE_ALL") != "" { //nolint:forbidigo // a test's switch
			t.Fatal(err)
		}
		t.Skip("left out: " + err.Error())
	}
	return srv.URL()
}

// open makes a store in a schema of its own.
func open(t *testing.T) (*pgstore.Store, string) {
	t.Helper()
	s, schema := openSchema(t)
	t.Cleanup(s.Close)
	return s, schema
}

// openSchema is open for a store that the caller closes.
func openSchema(t *testing.T) (*pgstore.Store, string) {
	t.Helper()
	url, schema := database(t), fmt.Sprintf("t%d", server.count.Add(1))
	_, err := pgmigrate.Up(t.Context(), pgmigrate.Options{URL: url, Schema: schema})
	require.NoError(t, err)
	s, err := pgstore.Open(t.Context(), pgstore.Options{URL: url, Schema: schema, MaxConns: 4, AppName: schema})
	require.NoError(t, err)
	return s, schema
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Store {
		s, _ := open(t)
		return s
	})
}

func openURL(t *testing.T, url string) (*pgstore.Store, error) {
	t.Helper()
	return pgstore.Open(t.Context(), pgstore.Options{URL: url})
}
