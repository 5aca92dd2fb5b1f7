package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/millrace/millrace/embedded/childproc"
)

// RegistryVariable names the address of a schema registry that runs already.
const RegistryVariable = "MILLRACE_TEST_REGISTRY"

// The registry that is fetched: Apicurio, which has Confluent's REST interface under a path of its own.
const (
	registryArtifact = "io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all"
	registryPath     = "/apis/ccompat/v7"
	registryJava     = 21 // it needs this version of Java, or a later one
)

// RegistryProcess is a real schema registry, in memory, in a process of its own.
type RegistryProcess struct {
	URL string // for schema.registry.url

	dir  string
	proc *childproc.Process
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// laterJava finds a Java that is at least of a version: the one of JAVA_HOME, that on the path, or any that is installed.
func laterJava(ctx context.Context, least int) (string, error) {
	candidates := []string{"java"}
	if home := os.Getenv("JAVA_HOME"); home != "" { //nolint:forbidigo // a test's switch
		candidates = slices.Insert(candidates, 0, filepath.Join(home, "bin", "java"))
	}
	installed, err := filepath.Glob("/usr/lib/jvm/*/bin/java")
	if err != nil {
		return "", err
	}
	for _, java := range append(candidates, installed...) {
		out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput() //nolint:gosec // one of those above
		if err != nil {
			continue
		}
		if m := javaVersion.FindSubmatch(out); m != nil {
			if n, err := strconv.Atoi(string(m[1])); err == nil && n >= least {
				return java, nil
			}
		}
	}
	return "", fmt.Errorf("no Java %d or later is installed (set JAVA_HOME where it is elsewhere)", least)
}

// registryHome fetches the registry once and returns its folder.
func registryHome(ctx context.Context) (string, error) {
	return Cached(ctx, "registry", []byte(registryArtifact), func(dir string) error {
		if _, err := exec.LookPath("mvn"); err != nil {
			return ErrNoJava
		}
		cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:unpack", "-Dartifact="+registryArtifact, "-DoutputDirectory="+dir) //nolint:gosec // fixed
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("fetching %s with mvn: %w\n%s", registryArtifact, err, out)
		}
		return nil
	})
}

// StartRegistry starts a registry and returns when it answers. It dies with this process.
func StartRegistry(ctx context.Context) (r *RegistryProcess, err error) {
	java, err := laterJava(ctx, registryJava)
	if err != nil {
		return nil, err
	}
	home, err := registryHome(ctx)
	if err != nil {
		return nil, err
	}
	port, err := childproc.FreePort()
	if err != nil {
		return nil, err
	}
	management, err := childproc.FreePort()
	if err != nil {
		return nil, err
	}
	r = &RegistryProcess{}
	if r.dir, err = os.MkdirTemp("", "millrace-registry-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Stop())
			r = nil
		}
	}()
	base := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	tail := &childproc.Tail{}
	cmd := exec.Command(java, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", //nolint:gosec,noctx // it outlives ctx
		"-Dquarkus.http.host=127.0.0.1", "-Dquarkus.http.port="+strconv.Itoa(port),
		"-Dquarkus.management.host=127.0.0.1", "-Dquarkus.management.port="+strconv.Itoa(management), "-jar", filepath.Join(home, "quarkus-run.jar"))
	cmd.Stdout, cmd.Stderr, cmd.Dir = tail, tail, r.dir
	if r.proc, err = childproc.Start(cmd, syscall.SIGKILL); err != nil {
		return r, err
	}
	r.URL = base + registryPath
	return r, WaitREST(ctx, r.proc, tail, r.URL+"/subjects", "[")
}

// Stop ends the registry; what it kept is gone.
func (r *RegistryProcess) Stop() error {
	var err error
	if r.proc != nil {
		err = r.proc.Kill()
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

var sharedRegistry = sync.OnceValues(func() (string, error) {
	if given := os.Getenv(RegistryVariable); given != "" { //nolint:forbidigo // a test's switch
		return given, nil
	}
	r, err := StartRegistry(context.Background()) // dies with the test process
	if err != nil {
		return "", err
	}
	return r.URL, nil
})

// Registry is the address of a real schema registry that the tests of a process share.
func Registry(t testing.TB) string {
	t.Helper()
	url, err := sharedRegistry()
	if err != nil {
		Missing(t, fmt.Errorf("a real schema registry: %w", err))
	}
	return url
}
