package servers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // waits for the server

	"github.com/millrace/millrace/embedded/childproc"
)

const mariaReady = 60 * time.Second // seen: 0.4 s

// MariaDBServer is a MariaDB server of its own, with the user root without a password and the database "test".
type MariaDBServer struct {
	dir  string
	port int
	bin  string

	mu   sync.Mutex
	proc *childproc.Process
}

// StartMariaDB makes a server of the installed programs. It dies with this process.
func StartMariaDB(ctx context.Context) (*MariaDBServer, error) {
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
	m := &MariaDBServer{bin: bin}
	if m.dir, err = os.MkdirTemp("", "millrace-mariadb-"); err != nil {
		return nil, err
	}
	if m.port, err = childproc.FreePort(); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, install, append(m.args(), "--auth-root-authentication-method=normal", "--skip-test-db")...) //nolint:gosec // fixed
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("making MariaDB's data folder: %w\n%s", err, out), os.RemoveAll(m.dir))
	}
	if err := m.launch(ctx); err != nil {
		return nil, errors.Join(err, m.Stop(ctx))
	}
	return m, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// args are the options of both programs. The server refuses to run as root unless it is told to. Where servers share a folder for
// temporary tables, one that starts removes those of the others.
func (m *MariaDBServer) args() []string {
	args := []string{"--no-defaults", "--datadir=" + filepath.Join(m.dir, "data"), "--tmpdir=" + m.dir}
	if os.Getuid() == 0 {
		args = append(args, "--user=root")
	}
	return args
}

func (m *MariaDBServer) launch(ctx context.Context) error {
	tail := &childproc.Tail{}
	cmd := exec.Command(m.bin, append(m.args(), "--socket="+filepath.Join(m.dir, "s"), "--port="+strconv.Itoa(m.port), "--bind-address=127.0.0.1", //nolint:gosec,noctx // it outlives ctx
		"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--pid-file="+filepath.Join(m.dir, "pid"), "--skip-log-bin")...)
	cmd.Stdout, cmd.Stderr = tail, tail
	proc, err := childproc.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.proc = proc
	m.mu.Unlock()
	return m.wait(ctx, proc, tail)
}

// wait waits until the server answers, and makes the database.
func (m *MariaDBServer) wait(ctx context.Context, proc *childproc.Process, tail *childproc.Tail) error {
	ctx, cancel := context.WithTimeoutCause(ctx, mariaReady, fmt.Errorf("not ready after %s", mariaReady))
	defer cancel()
	db, err := sql.Open("mysql", "root@tcp("+m.Address()+")/")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // it only asked
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS test CHARACTER SET utf8mb4")
		if err == nil {
			return nil
		}
		select {
		case <-proc.Done():
			return fmt.Errorf("MariaDB ended: %w\n%s", proc.Err(), tail)
		case <-ctx.Done():
			return fmt.Errorf("waiting for MariaDB: %w: %w\n%s", context.Cause(ctx), err, tail)
		case <-tick.C:
		}
	}
}

// Address is the server's address; it stays the same over restarts.
func (m *MariaDBServer) Address() string { return "127.0.0.1:" + strconv.Itoa(m.port) }

// JDBC is the JDBC URL of a database.
func (m *MariaDBServer) JDBC(database string) string {
	return "jdbc:mariadb://" + m.Address() + "/" + database + "?user=root"
}

// Kill ends the server as a crash would. Restart starts it again.
func (m *MariaDBServer) Kill() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc == nil {
		return nil
	}
	return m.proc.Kill()
}

// Restart kills the server and starts it on the same port.
func (m *MariaDBServer) Restart(ctx context.Context) error {
	return errors.Join(m.Kill(), m.launch(ctx))
}

// Stop kills the server and removes its data.
func (m *MariaDBServer) Stop(context.Context) error {
	return errors.Join(m.Kill(), os.RemoveAll(m.dir))
}

var sharedMariaDB = sync.OnceValues(func() (*MariaDBServer, error) {
	started.mariadb.Store(true)
	return StartMariaDB(context.Background())
})

// MariaDB is a server that the tests of a process share; StopDatabases ends it.
func MariaDB(t testing.TB) *MariaDBServer {
	t.Helper()
	m, err := sharedMariaDB()
	if err != nil {
		Missing(t, fmt.Errorf("MariaDB: %w", err))
	}
	return m
}
