package pgembed

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	fetcher "github.com/fergusstrange/embedded-postgres"

	"github.com/millrace/millrace/embedded/childproc"
)

// version of the server that is downloaded.
const version = fetcher.V17

// fetch downloads and unpacks a server into the user's cache folder, once, and returns its folder. The library checks the
// download's digest. It would also run the server, but refuses root and leaves orphans behind: that we do ourselves.
func fetch(ctx context.Context, log *slog.Logger) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("looking for a place for a downloaded Postgres: %w", err)
	}
	home := filepath.Join(cache, "millrace", "postgres-"+string(version))
	bin := filepath.Join(home, "bin")
	lock, err := childproc.WaitFolder(ctx, home+".lock")
	if err != nil {
		return "", err
	}
	defer lock.Unlock()
	if hasServer(bin) {
		return bin, nil
	}
	log.Info("no Postgres is installed; downloading one, once", slog.String("version", string(version)), slog.String("to", home))
	scratch, err := os.MkdirTemp("", "millrace-postgres-fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // in the system's temporary folder
	port, err := childproc.FreePort()
	if err != nil {
		return "", err
	}
	half := home + ".new"
	if err := os.RemoveAll(half); err != nil {
		return "", err
	}
	srv := fetcher.NewDatabase(fetcher.DefaultConfig().Version(version).Port(uint32(port)).Logger(io.Discard).
		CachePath(filepath.Join(cache, "millrace", "downloads")).BinariesPath(half).RuntimePath(scratch))
	startErr := srv.Start() // downloads, unpacks, then starts: the last step is allowed to fail (it does for root)
	if startErr == nil {
		if err := srv.Stop(); err != nil {
			return "", fmt.Errorf("stopping the Postgres that was downloaded: %w", err)
		}
	}
	if !hasServer(filepath.Join(half, "bin")) {
		return "", fmt.Errorf("downloading a Postgres server: %w; %w", startErr, ErrNoBinaries)
	}
	if err := os.Rename(half, home); err != nil {
		return "", err
	}
	return bin, nil
}
