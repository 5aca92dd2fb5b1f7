package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// StartMySQLToday makes a server of the MySQL that Debian's unstable release has (9.7 when this was written). It dies with this process.
func StartMySQLToday(ctx context.Context, options ...string) (*MySQLServer, error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return nil, errors.New("today's MySQL server that tests run is a program for Linux on x86-64: run them there")
	}
	home, err := unstable(ctx, "mysql-server-core")
	if err != nil {
		return nil, err
	}
	root := filepath.Join(home, "root")
	program := unstableProgram(root, "usr/sbin/mysqld", "usr/lib/mysql/private")
	m := &MySQLServer{product: "mysql", today: true, bin: program[0], before: program[1:]}
	m.options = []string{"--basedir=" + filepath.Join(root, "usr"), "--secure-file-priv=NULL", "--mysqlx=OFF", "--skip-log-bin", "--innodb-redo-log-capacity=8M", "--performance-schema=OFF"}
	m.options = append(m.options, options...)
	return m.start(ctx, func() error {
		// Making the data takes seconds: once is enough.
		made, err := Cached(ctx, "mysql-data", []byte(home), func(dir string) error {
			to := &MySQLServer{dir: dir}
			cmd := exec.CommandContext(ctx, m.bin, m.line(append(to.args(), "--initialize-insecure"))...) //nolint:gosec // fixed
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("making MySQL's data folder: %w\n%s", err, out)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return os.CopyFS(m.data(), os.DirFS((&MySQLServer{dir: made}).data()))
	})
}

var sharedMySQLToday = sharedServer(func(ctx context.Context) (*MySQLServer, error) { return StartMySQLToday(ctx) }, (*MySQLServer).Stop)

// MySQLToday is a server that the tests of a process share; RunWithDatabases ends it. Where it can't be had, the test is left out, also
// where everything must run: what Debian's unstable release has is not ours to say.
func MySQLToday(t testing.TB) *MySQLServer {
	t.Helper()
	return todayOrSkip(t, sharedMySQLToday)
}

// OwnMySQLToday is a server of the test's own; see MySQLToday.
func OwnMySQLToday(t testing.TB, options ...string) *MySQLServer {
	t.Helper()
	m := todayOrSkip(t, func() (*MySQLServer, error) { return StartMySQLToday(t.Context(), options...) })
	t.Cleanup(func() {
		if err := m.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return m
}

func todayOrSkip(t testing.TB, of func() (*MySQLServer, error)) *MySQLServer {
	t.Helper()
	m, err := of()
	if err != nil {
		MayBeMissing(t, fmt.Errorf("today's MySQL: %w", err))
	}
	return m
}
