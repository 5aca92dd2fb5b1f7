package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// StartMariaDB makes a server of the installed programs. It dies with this process.
func StartMariaDB(ctx context.Context) (*MySQLServer, error) {
	bin, err := exec.LookPath("mariadbd")
	if err != nil {
		if bin = "/usr/sbin/mariadbd"; !exists(bin) {
			return nil, errors.New("no mariadbd on this machine: install mariadb-server")
		}
	}
	install, err := exec.LookPath("mariadb-install-db")
	if err != nil {
		return nil, fmt.Errorf("mariadb-install-db: %w", err)
	}
	m := &MySQLServer{product: "mariadb", bin: bin, options: []string{"--skip-log-bin"}}
	return m.start(ctx, func() error {
		cmd := exec.CommandContext(ctx, install, append(m.args(), "--auth-root-authentication-method=normal", "--skip-test-db")...) //nolint:gosec // fixed
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("making MariaDB's data folder: %w\n%s", err, out)
		}
		return nil
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

var sharedMariaDB = sharedServer(StartMariaDB, (*MySQLServer).Stop)

// MariaDB is a server that the tests of a process share; RunWithDatabases ends it.
func MariaDB(t testing.TB) *MySQLServer {
	t.Helper()
	return orMissing(t, "MariaDB", sharedMariaDB)
}
