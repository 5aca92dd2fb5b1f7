package pgmigrate_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/pgmigrate"
	"github.com/millrace/millrace/embedded/pgembed"
	"github.com/millrace/millrace/migrations"
)

// database starts a Postgres, or skips where none is installed, unless everything must run.
func database(t *testing.T) string {
	t.Helper()
	srv, err := pgembed.Start(t.Context(), pgembed.Options{Unsafe: true, Fetch: true})
	if err != nil {
		if os.Getenv("MILLRACE_REQUIRE_ALL") != "" { //nolint:forbidigo // a test's switch
			t.Fatal(err)
		}
		t.Skip("left out: " + err.Error())
	}
	t.Cleanup(func() { require.NoError(t, srv.Close(context.Background())) })
	return srv.URL()
}

func files(pairs ...string) fstest.MapFS {
	fs := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fs[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fs
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	url := database(t)

	t.Run("the program's own go up, down and up again, and leave nothing on the way down", func(t *testing.T) {
		t.Parallel()
		o := pgmigrate.Options{URL: url, Schema: "own"}
		all, err := migrations.All()
		require.NoError(t, err)
		pending, err := pgmigrate.DryRun(t.Context(), o)
		require.NoError(t, err)
		require.Len(t, pending, len(all))
		for range 2 {
			applied, err := pgmigrate.Up(t.Context(), o)
			require.NoError(t, err)
			require.Len(t, applied, len(all))
			again, err := pgmigrate.Up(t.Context(), o)
			require.NoError(t, err)
			require.Empty(t, again)
			undone, err := pgmigrate.Down(t.Context(), o, len(all))
			require.NoError(t, err)
			require.Len(t, undone, len(all))
		}
		conn, err := pgx.Connect(t.Context(), url)
		require.NoError(t, err)
		defer conn.Close(context.Background())
		var left int
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT
			(SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'own' AND c.relname NOT LIKE 'schema_migrations%') +
			(SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'own')`).Scan(&left))
		require.Zero(t, left)
	})
	t.Run("many that start at once apply each step once", func(t *testing.T) {
		t.Parallel()
		var wg sync.WaitGroup
		var mu sync.Mutex
		total := 0
		for range 6 {
			wg.Go(func() {
				applied, err := pgmigrate.Up(t.Context(), pgmigrate.Options{URL: url, Schema: "race"})
				require.NoError(t, err)
				mu.Lock()
				total += len(applied)
				mu.Unlock()
			})
		}
		wg.Wait()
		all, err := migrations.All()
		require.NoError(t, err)
		require.Equal(t, len(all), total)
	})
	t.Run("an edited step is refused, a newer database is left alone", func(t *testing.T) {
		t.Parallel()
		o := pgmigrate.Options{URL: url, Schema: "edited", Files: files("0001_a.up.sql", "CREATE TABLE a ()", "0001_a.down.sql", "DROP TABLE a",
			"0002_b.up.sql", "CREATE TABLE b ()", "0002_b.down.sql", "DROP TABLE b")}
		_, err := pgmigrate.Up(t.Context(), o)
		require.NoError(t, err)
		older := o
		older.Files = files("0001_a.up.sql", "CREATE TABLE a ()", "0001_a.down.sql", "DROP TABLE a")
		applied, err := pgmigrate.Up(t.Context(), older)
		require.NoError(t, err)
		require.Empty(t, applied)
		_, err = pgmigrate.Status(t.Context(), older)
		require.ErrorIs(t, err, pgmigrate.ErrNewer)
		o.Files = files("0001_a.up.sql", "CREATE TABLE a (x int)", "0001_a.down.sql", "DROP TABLE a", "0002_b.up.sql", "CREATE TABLE b ()", "0002_b.down.sql", "DROP TABLE b")
		_, err = pgmigrate.Up(t.Context(), o)
		require.ErrorIs(t, err, pgmigrate.ErrEdited)
	})
	t.Run("a step that fails changes nothing and names itself", func(t *testing.T) {
		t.Parallel()
		o := pgmigrate.Options{URL: url, Schema: "broken", Files: files("0001_a.up.sql", "CREATE TABLE a (); SELECT nonsense", "0001_a.down.sql", "DROP TABLE a")}
		_, err := pgmigrate.Up(t.Context(), o)
		require.ErrorContains(t, err, "0001_a")
		states, err := pgmigrate.Status(t.Context(), o)
		require.NoError(t, err)
		require.True(t, states[0].AppliedAt.IsZero())
	})
	t.Run("a password never shows in an error", func(t *testing.T) {
		t.Parallel()
		_, err := pgmigrate.Up(t.Context(), pgmigrate.Options{URL: "postgres://me:s3cret@127.0.0.1:1/x?connect_timeout=1"})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "s3cret")
	})
}
