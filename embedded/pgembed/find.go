package pgembed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// ErrNoBinaries says that no Postgres server is installed.
var ErrNoBinaries = errors.New("no Postgres server is installed: install one (Debian: apt-get install postgresql; macOS: brew install postgresql), " +
	"name the folder with initdb and postgres in " + BinVariable + ", or give the URL of a running server")

// BinVariable names a folder with initdb and postgres.
const BinVariable = "MILLRACE_POSTGRES_BIN"

// usual are the folders where packages put servers, newest first by version.
var usual = []string{
	"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin", "/Applications/Postgres.app/Contents/Versions/*/bin",
}

// FindBin returns the folder of an installed server: that of the environment variable MILLRACE_POSTGRES_BIN, of the
// PATH, or the newest in the usual places. ErrNoBinaries when there is none.
func FindBin() (string, error) {
	if dir := os.Getenv(BinVariable); dir != "" { //nolint:forbidigo // names a tool of this machine, not a setting of a program
		if !hasServer(dir) {
			return "", fmt.Errorf("%s=%s: the folder has no initdb and postgres", BinVariable, dir)
		}
		return dir, nil
	}
	if path, err := exec.LookPath("postgres"); err == nil && hasServer(filepath.Dir(path)) {
		return filepath.Dir(path), nil
	}
	var found []string
	for _, pattern := range usual {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		found = append(found, dirs...)
	}
	slices.SortStableFunc(found, func(a, b string) int { return versionIn(b) - versionIn(a) })
	for _, dir := range found {
		if hasServer(dir) {
			return dir, nil
		}
	}
	return "", ErrNoBinaries
}

var number = regexp.MustCompile(`\d+`)

// versionIn is the first number in a folder's name; 0 without one.
func versionIn(dir string) int {
	n, err := strconv.Atoi(number.FindString(dir))
	if err != nil {
		return 0
	}
	return n
}

func hasServer(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.IsDir() || st.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

func binFor(ctx context.Context, o Options) (string, error) {
	if o.Bin != "" {
		if !hasServer(o.Bin) {
			return "", fmt.Errorf("%s has no initdb and postgres: %w", o.Bin, ErrNoBinaries)
		}
		return o.Bin, nil
	}
	bin, err := FindBin()
	if errors.Is(err, ErrNoBinaries) && o.Fetch {
		return fetch(ctx, o.Logger)
	}
	return bin, err
}
