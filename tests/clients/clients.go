// Package clients manages connectors with ready-made clients of Kafka Connect, as people use them: two libraries for Python,
// one for Java, and Terraform. Each goes through the life of a connector with all that it knows, errors included.
//
// The clients are fetched once into the cache that outlives a checkout, at versions that are written down beside the life
// cycles. What a machine can't fetch is left out and listed (tests/servers, Missing).
//
// Start reading at All; services/allinone runs it.
package clients

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/tests/servers"
)

//go:embed python-clients kafka-connect-client
var files embed.FS

// Target is what the clients manage.
type Target struct {
	URL  string // of the REST API
	Dir  string // that connectors may read
	Root string // of this repository
}

// fetchTime bounds what is fetched and built once; the rest of a test is bounded by the life cycles themselves.
const fetchTime = 15 * time.Minute

// basic is what every library knows.
var basic = []string{"version", "unknown", "create", "create twice", "create wrongly", "list", "status", "tasks", "task status", "update",
	"pause", "resume", "restart", "restart a task", "delete"}

// library is a client library with its life cycle, a program with the arguments URL, NAME, FILE and TOPIC.
type library struct {
	name    string
	prepare func(ctx context.Context) (command []string, err error)
	further []string // steps beyond the basic ones
}

var libraries = []library{
	{"kafka-connect-py", python("kafka_connect_py_client.py"), []string{"plugins", "validate", "expand", "get", "config", "topics", "stop", "restart with tasks"}},
	{"kafka-connect-api", python("kafka_connect_api_client.py"), []string{"cycle", "loggers"}},
	{"kafka-connect-client", java, []string{"plugins", "validate", "expand", "get", "config", "topics", "restart with tasks"}},
}

// All lets every client manage connectors, side by side.
func All(t *testing.T, target Target) {
	t.Helper()
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.manage(t, target)
		})
	}
	t.Run("terraform", func(t *testing.T) {
		t.Parallel()
		manageWithTerraform(t, target)
	})
}

// Prepare fetches what the clients need, before tests whose deadlines would have to hold for downloads. What can't be fetched
// is told by the tests.
func Prepare(ctx context.Context, root string) (err error) {
	for _, l := range libraries {
		_, failed := l.prepare(ctx)
		err = errors.Join(err, failed)
	}
	_, noTerraform := terraformBinary(ctx)
	_, noProvider := providerFolder(ctx, root)
	return errors.Join(err, noTerraform, noProvider)
}

// manage runs the life cycle, and checks that it did all its steps.
func (l library) manage(t *testing.T, target Target) {
	command := l.ready(t)
	file := filepath.Join(target.Dir, l.name)
	require.NoError(t, os.WriteFile(file, []byte("one\ntwo\n"), 0o600))
	command = append(command, target.URL, l.name, file, l.name+"-lines")
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...) //nolint:gosec // ours
	cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	require.NoError(t, err, "after %s\n%s", out, &words)
	var done []string
	for line := range strings.Lines(string(out)) {
		if step, ok := strings.CutPrefix(strings.TrimSpace(line), "done: "); ok {
			done = append(done, step)
		}
	}
	require.ElementsMatch(t, append(append([]string{}, basic...), l.further...), done)
}

func (l library) ready(t *testing.T) []string {
	ctx, cancel := context.WithTimeout(t.Context(), fetchTime)
	defer cancel()
	command, err := l.prepare(ctx)
	if err != nil {
		servers.Missing(t, fmt.Errorf("the client %s: %w", l.name, err))
	}
	return command
}

// python prepares a life cycle in Python.
func python(script string) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		// An environment belongs to the Python that made it.
		version, err := exec.CommandContext(ctx, "python3", "-c", "import sys, venv, ensurepip; print(sys.version, sys.executable)").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("python3 with venv is not installed (Debian: apt-get install python3-venv): %w\n%s", err, version)
		}
		home, err := servers.CachedFiles(ctx, files, "python-clients", string(version), func(dir string) error {
			environment := filepath.Join(dir, "venv")
			if err := run(exec.CommandContext(ctx, "python3", "-m", "venv", environment)); err != nil { //nolint:gosec // ours
				return err
			}
			return run(exec.CommandContext(ctx, filepath.Join(environment, "bin", "python"), "-m", "pip", "install", "-q", //nolint:gosec // ours
				"--disable-pip-version-check", "--no-input", "--require-hashes", "--only-binary", ":all:", "-r", filepath.Join(dir, "requirements.txt")))
		})
		return []string{filepath.Join(home, "venv", "bin", "python"), "-B", filepath.Join(home, script)}, err
	}
}

var errNoJDK = errors.New("a JDK is not installed (Debian: apt-get install default-jdk-headless)")

// java prepares the life cycle in Java.
func java(ctx context.Context) ([]string, error) {
	if _, err := exec.LookPath("javac"); err != nil {
		return nil, errNoJDK // java runs a source file only with a compiler beside it
	}
	home, err := servers.Jars(ctx, files, "kafka-connect-client")
	return []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(home, "libs", "*"), filepath.Join(home, "Lifecycle.java")}, err
}

// run runs a command; its error has what the command said.
func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}
