package pgembed

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// installed skips where no server is installed and none can be downloaded, unless everything must run.
func installed(t *testing.T) {
	t.Helper()
	if _, err := binFor(t.Context(), Options{Fetch: true, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		if os.Getenv("MILLRACE_REQUIRE_ALL") != "" { //nolint:forbidigo // a test's switch
			t.Fatal(err)
		}
		t.Skip("left out: " + err.Error())
	}
}

func run(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func count(t *testing.T, url string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM kept").Scan(&n))
	return n
}

func TestServer_keeps_what_was_committed_over_restart_crash_and_a_new_start(t *testing.T) {
	t.Parallel()
	installed(t)
	dir := t.TempDir()
	s, err := Start(t.Context(), Options{DataDir: dir, Fetch: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.Background())) })
	run(t, s.URL(), "CREATE TABLE kept AS SELECT generate_series(1, 1000)")

	url := s.URL()
	require.NoError(t, s.Restart(t.Context()))
	require.Equal(t, url, s.URL(), "clients find it again")
	require.Equal(t, 1000, count(t, url))

	require.NoError(t, s.Kill())
	// What a killed server has left behind may hold its port for a while.
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)))
	require.NoError(t, err)
	time.AfterFunc(300*time.Millisecond, func() { _ = l.Close() })
	require.NoError(t, s.Restart(t.Context()))
	require.Equal(t, 1000, count(t, url))

	require.NoError(t, s.Close(t.Context()))
	again, err := Start(t.Context(), Options{DataDir: dir, Fetch: true})
	require.NoError(t, err)
	require.Equal(t, 1000, count(t, again.URL()))
	require.NoError(t, again.Close(t.Context()))
}

func TestServer_a_folder_has_one_server_at_a_time(t *testing.T) {
	t.Parallel()
	installed(t)
	dir := t.TempDir()
	s, err := Start(t.Context(), Options{DataDir: dir, Unsafe: true, Fetch: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.Background())) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Start(ctx, Options{DataDir: dir})
	require.ErrorContains(t, err, "in use by another process")
}

func TestServer_without_a_folder_leaves_nothing_behind(t *testing.T) {
	t.Parallel()
	installed(t)
	s, err := Start(t.Context(), Options{Unsafe: true, Fetch: true})
	require.NoError(t, err)
	run(t, s.URL(), "SELECT 1")
	require.DirExists(t, s.temp)
	require.NoError(t, s.Close(t.Context()))
	require.NoDirExists(t, s.temp)
	require.NoError(t, s.Close(t.Context()), "closing twice is no error")
}

func TestStart_says_what_to_do_when_there_is_no_server(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	_, err := Start(t.Context(), Options{Bin: empty})
	require.ErrorIs(t, err, ErrNoBinaries)
	require.ErrorContains(t, err, empty)
	require.ErrorContains(t, err, "apt-get install postgresql")
}

func TestFindBin_the_variable_wins_and_must_be_right(t *testing.T) {
	empty := t.TempDir()
	t.Setenv(BinVariable, empty)
	_, err := FindBin()
	require.ErrorContains(t, err, BinVariable+"="+empty)
	for _, name := range []string{"initdb", "postgres"} {
		require.NoError(t, os.WriteFile(filepath.Join(empty, name), nil, 0o700)) //nolint:gosec // must be executable
	}
	bin, err := FindBin()
	require.NoError(t, err)
	require.Equal(t, empty, bin)
}

func TestVersionIn_reads_the_folder_names_of_packages(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]int{"/usr/lib/postgresql/15/bin": 15, "/usr/pgsql-16/bin": 16, "/usr/local/pgsql/bin": 0} {
		require.Equal(t, want, versionIn(dir), dir)
	}
}
