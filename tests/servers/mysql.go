package servers

import (
	"archive/zip"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // waits for the server

	"github.com/millrace/millrace/embedded/childproc"
)

//go:embed mysql
var mysqlFiles embed.FS

const (
	mysqlReady    = 3 * time.Minute // seen: 0.4 s for MariaDB, 1.2 s for MySQL, on an idle machine
	mysqlVersion  = "5-5-9"
	mysqlPlatform = "Linux-x86_64"
)

// MySQLServer is a server of MySQL's or of MariaDB's, with the user root without a password and the database "test".
type MySQLServer struct {
	product string // as JDBC URLs have it
	today   bool   // not MySQL 5.5
	dir     string
	port    int
	bin     string
	before  []string // of what follows bin
	options []string // the product's own

	mu   sync.Mutex
	proc *childproc.Process
}

// StartMySQL fetches MySQL 5.5 once and makes a server. It dies with this process.
func StartMySQL(ctx context.Context) (*MySQLServer, error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return nil, errors.New("the MySQL server that tests run is a program for Linux on x86-64: run them there")
	}
	home, err := maven(ctx, mysqlFiles, "mysql", "dependency:unpack-dependencies", "-Dmdep.unpack.includes="+mysqlVersion+"/"+mysqlPlatform+"/mysqld,"+mysqlVersion+"/*_dir.jar")
	if err != nil {
		return nil, err
	}
	files := filepath.Join(home, "libs", mysqlVersion)
	m := &MySQLServer{product: "mysql", bin: filepath.Join(files, mysqlPlatform, "mysqld")}
	if err := os.Chmod(m.bin, 0o755); err != nil { //nolint:gosec // a program; the archive does not say so
		return nil, err
	}
	return m.start(ctx, func() error {
		share := filepath.Join(m.dir, "share") // in it is a folder of the same name
		m.options = []string{"--basedir=" + m.dir, "--lc-messages-dir=" + filepath.Join(share, "share"), "--character-sets-dir=" + filepath.Join(share, "share", "charsets"), "--skip-name-resolve"}
		return errors.Join(unzip(filepath.Join(files, "data_dir.jar"), m.data()), unzip(filepath.Join(files, "share_dir.jar"), share))
	})
}

func unzip(file, to string) error {
	z, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	return errors.Join(os.CopyFS(to, z), z.Close())
}

// start makes the server's folder, in which fill puts its data, and runs it.
func (m *MySQLServer) start(ctx context.Context, fill func() error) (_ *MySQLServer, err error) {
	if m.dir, err = os.MkdirTemp("", "millrace-"+m.product+"-"); err != nil {
		return nil, err
	}
	if m.port, err = childproc.FreePort(); err == nil {
		err = fill()
	}
	if err == nil {
		err = m.launch(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, m.Stop(ctx))
	}
	return m, nil
}

func (m *MySQLServer) data() string { return filepath.Join(m.dir, "data") }

// args are the options of all programs. The server refuses to run as root unless it is told to, and begins by deleting others'
// temporary tables where its own are to be.
func (m *MySQLServer) args() []string {
	args := []string{"--no-defaults", "--datadir=" + m.data(), "--tmpdir=" + m.dir}
	if os.Getuid() == 0 {
		args = append(args, "--user=root")
	}
	return args
}

// line is the server's command line.
func (m *MySQLServer) line(args []string) []string { return slices.Concat(m.before, args, m.options) }

func (m *MySQLServer) launch(ctx context.Context) error {
	tail := &childproc.Tail{}
	args := append(m.args(), "--socket="+filepath.Join(m.dir, "s"), "--port="+strconv.Itoa(m.port), "--bind-address=127.0.0.1",
		"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--innodb-file-per-table=1", "--pid-file="+filepath.Join(m.dir, "pid"))
	cmd := exec.Command(m.bin, m.line(args)...) //nolint:gosec,noctx // it outlives ctx
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
func (m *MySQLServer) wait(ctx context.Context, proc *childproc.Process, tail *childproc.Tail) error {
	ctx, cancel := context.WithTimeoutCause(ctx, mysqlReady, fmt.Errorf("not ready after %s", mysqlReady))
	defer cancel()
	db, err := sql.Open("mysql", m.DSN(""))
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
			return fmt.Errorf("%s ended: %w\n%s", m.bin, proc.Err(), tail)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w: %w\n%s", m.bin, context.Cause(ctx), err, tail)
		case <-tick.C:
		}
	}
}

// Address is the server's address; it stays the same over restarts.
func (m *MySQLServer) Address() string { return "127.0.0.1:" + strconv.Itoa(m.port) }

// DSN is a database for Go's driver.
func (m *MySQLServer) DSN(database string) string { return "root@tcp(" + m.Address() + ")/" + database }

// JDBC is the JDBC URL of a database.
func (m *MySQLServer) JDBC(database string) string {
	return "jdbc:" + m.product + "://" + m.Address() + "/" + database + "?user=root"
}

// Kill ends the server as a crash would. Restart starts it again.
func (m *MySQLServer) Kill() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.proc == nil {
		return nil
	}
	return m.proc.Kill()
}

// Restart kills the server and starts it on the same port.
func (m *MySQLServer) Restart(ctx context.Context) error {
	return errors.Join(m.Kill(), m.launch(ctx))
}

// Stop kills the server and removes its data.
func (m *MySQLServer) Stop(context.Context) error {
	return errors.Join(m.Kill(), os.RemoveAll(m.dir))
}

var sharedMySQL = sharedServer(StartMySQL, (*MySQLServer).Stop)

// MySQL is a server that the tests of a process share; RunWithDatabases ends it.
func MySQL(t testing.TB) *MySQLServer {
	t.Helper()
	return orMissing(t, "MySQL", sharedMySQL)
}
