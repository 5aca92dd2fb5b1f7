package servers

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/millrace/millrace/embedded/childproc"
)

//go:embed connect
var connectFiles embed.FS

//go:embed debezium
var debeziumFiles embed.FS

// ConnectProcess is a real Kafka Connect worker, distributed mode, in a process of its own.
type ConnectProcess struct {
	Base string // of its REST API

	dir  string
	proc *childproc.Process
}

// ConnectVersion is the worker's, as the pom says.
const ConnectVersion = "4.3.1"

const restReady = 240 * time.Second // seen: 3 s, and 60 s for a registry on a busy machine

// ConnectOptions are what a worker may have beyond what it needs.
type ConnectOptions struct {
	Props map[string]string // worker properties
	JVM   []string          // flags of Java's, instead of those that make it start fast
	// Sources are Java files of further source connectors, each named after its class, in a package of its class's name in
	// small letters without "Source".
	Sources []string
	// Debezium adds its JDBC sink and its source for PostgreSQL to the plugins.
	Debezium bool
}

// StartConnect starts a worker over a broker and returns when it answers. It dies with this process.
func StartConnect(ctx context.Context, kafka string, o ConnectOptions) (c *ConnectProcess, err error) {
	home, err := Jars(ctx, connectFiles, "connect")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "millrace-connect-")
	if err != nil {
		return nil, err
	}
	c = &ConnectProcess{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
			c = nil
		}
	}()
	plugins := filepath.Join(dir, "plugins") // may not be empty
	classpath, err := putAside(filepath.Join(home, "libs"), "connect-file", filepath.Join(plugins, "file"))
	if err != nil {
		return c, err
	}
	if o.Debezium {
		from, err := maven(ctx, debeziumFiles, "debezium", "dependency:unpack-dependencies", "-DincludeTypes=zip")
		if err != nil {
			return c, err
		}
		for _, name := range []string{"debezium-connector-jdbc", "debezium-connector-postgres"} {
			if err := os.Symlink(filepath.Join(from, "libs", name), filepath.Join(plugins, name)); err != nil {
				return c, err
			}
		}
	}
	for _, file := range o.Sources {
		if err := compile(ctx, file, filepath.Join(home, "libs", "*"), plugins); err != nil {
			return c, err
		}
	}
	port, err := childproc.FreePort()
	if err != nil {
		return c, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	c.Base = "http://" + addr
	all := map[string]string{
		"bootstrap.servers": kafka, "group.id": "oracle-" + strconv.Itoa(port), "listeners": c.Base, "plugin.path": plugins, "plugin.discovery": "service_load",
		"rest.advertised.host.name": "127.0.0.1",
		"key.converter":             "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
		"offset.flush.interval.ms": "1000", "scheduled.rebalance.max.delay.ms": "0",
	}
	for _, topic := range []string{"config", "offset", "status"} {
		all[topic+".storage.topic"] = fmt.Sprintf("oracle-%d-%s", port, topic)
		all[topic+".storage.replication.factor"] = "1"
	}
	for k, v := range o.Props {
		all[k] = v
	}
	var text []string
	for k, v := range all {
		text = append(text, k+"="+v)
	}
	slices.Sort(text)
	config := filepath.Join(dir, "worker.properties")
	if err := os.WriteFile(config, []byte(strings.Join(text, "\n")+"\n"), 0o600); err != nil {
		return c, err
	}
	tail := &childproc.Tail{}
	jvm := o.JVM
	if len(jvm) == 0 {
		jvm = []string{"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
	}
	args := append(slices.Clone(jvm), "-Dlog4j2.configurationFile="+filepath.Join(home, "log4j2.xml"), "-cp", classpath, "org.apache.kafka.connect.cli.ConnectDistributed", config)
	cmd := exec.Command("java", args...) //nolint:gosec,noctx // it outlives ctx
	cmd.Stdout, cmd.Stderr, cmd.Dir = tail, tail, dir
	if c.proc, err = childproc.Start(cmd, syscall.SIGKILL); err != nil {
		return c, err
	}
	return c, WaitREST(ctx, c.proc, tail, c.Base+"/connectors", "")
}

// compile makes a plugin of a Java file that holds a source connector.
func compile(ctx context.Context, file, classpath, plugins string) error {
	class := strings.TrimSuffix(filepath.Base(file), ".java")
	to := filepath.Join(plugins, class)
	services := filepath.Join(to, "META-INF", "services")
	if err := os.MkdirAll(services, 0o750); err != nil {
		return err
	}
	full := strings.ToLower(strings.TrimSuffix(class, "Source")) + "." + class
	if err := os.WriteFile(filepath.Join(services, "org.apache.kafka.connect.source.SourceConnector"), []byte(full+"\n"), 0o600); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "javac", "-cp", classpath, "-d", to, file).CombinedOutput(); err != nil { //nolint:gosec // a test's own
		return fmt.Errorf("javac %s: %w\n%s", file, err, out)
	}
	return nil
}

// WaitREST waits until a process answers a GET with status 200 and a body that has want in it.
func WaitREST(ctx context.Context, proc *childproc.Process, tail *childproc.Tail, url, want string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, restReady, fmt.Errorf("not ready after %s", restReady))
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err == nil && resp.StatusCode == http.StatusOK && strings.Contains(string(body), want) {
				return nil
			}
		}
		select {
		case <-proc.Done():
			return fmt.Errorf("the process behind %s ended: %w\n%s", url, proc.Err(), tail)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w\n%s", url, context.Cause(ctx), tail)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Pid is the worker's process id.
func (c *ConnectProcess) Pid() int { return c.proc.Pid() }

// Stop ends the worker and removes what it wrote.
func (c *ConnectProcess) Stop(ctx context.Context) (err error) {
	if c.proc != nil {
		ctx, cancel := context.WithTimeout(ctx, kafkaStop)
		defer cancel()
		if err = c.proc.Signal(syscall.SIGTERM); err == nil && c.proc.Wait(ctx) != nil {
			err = c.proc.Kill()
		}
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

// putAside links the jars whose names begin with a prefix into a folder of their own, and returns the class path of the others:
// a plugin that is on both counts twice.
func putAside(from, prefix, to string) (classpath string, err error) {
	if err := os.MkdirAll(to, 0o750); err != nil {
		return "", err
	}
	jars, err := filepath.Glob(filepath.Join(from, "*.jar"))
	if err != nil {
		return "", err
	}
	var rest []string
	for _, jar := range jars {
		if !strings.HasPrefix(filepath.Base(jar), prefix) {
			rest = append(rest, jar)
			continue
		}
		if err := os.Symlink(jar, filepath.Join(to, filepath.Base(jar))); err != nil {
			return "", err
		}
	}
	if len(rest) == len(jars) {
		return "", fmt.Errorf("no %s*.jar in %s", prefix, from)
	}
	return strings.Join(rest, string(os.PathListSeparator)), nil
}
