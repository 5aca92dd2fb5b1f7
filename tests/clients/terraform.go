package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/tests/servers"
)

// Where there is no Terraform and nothing may be left out, OpenTofu is built from its sources, which have this sum.
const (
	tofuModule = "github.com/opentofu/opentofu@v1.12.6"
	tofuSum    = "h1:0VT4P8pMmGcCUnQ9JDrJ+Qg2d35Vzm4FFd/9+H7oF98="
)

// ProviderVariable names a folder with another provider for the life cycle, such as the community's
// (terraform-provider-kafka-connect): no registry that CI reaches carries one.
const ProviderVariable = "MILLRACE_TEST_TERRAFORM_PROVIDER"

// configs are connectors' configurations by name.
type configs map[string]map[string]string

func manageWithTerraform(t *testing.T, target Target) {
	w := newWorkspace(t, target)
	one, two, three := "terraform-1", "terraform-2", "terraform-3"
	want := configs{one: w.source(one), two: w.source(two)}
	const secret, password = "connection.password", "never-shown-7141"
	sensitive := configs{two: {secret: password}}

	// It makes connectors, and finds them as it left them.
	w.write(want, sensitive)
	out := w.apply()
	require.NotContains(t, out, password)
	require.Equal(t, want[one], w.there(one))
	require.Equal(t, password, w.there(two)[secret])
	w.unchanged()

	// A change is made, and found.
	want[one]["batch.size"] = "100"
	w.write(want, sensitive)
	require.Contains(t, w.changed(), "batch.size")
	w.apply()
	require.Equal(t, want[one], w.there(one))
	sensitive[two][secret] = password + "-2"
	w.write(want, sensitive)
	require.NotContains(t, w.changed(), password)
	w.apply()
	require.Equal(t, password+"-2", w.there(two)[secret])
	w.unchanged()

	// What somebody else made is taken over as it is.
	want[three] = w.source(three)
	require.Equal(t, http.StatusCreated, w.ask(http.MethodPost, "/connectors", map[string]any{"name": three, "config": want[three]}, nil))
	w.write(want, sensitive)
	// Making it a second time is refused first.
	require.Contains(t, w.fails("apply", "-auto-approve", "-input=false"), "409: Connector")
	require.NotEmpty(t, w.run("import", "-input=false", resourceType+"."+three, three))
	w.unchanged()

	// What somebody else changed or deleted is put back.
	drifted := w.source(one)
	drifted["batch.size"] = "7"
	require.Equal(t, http.StatusOK, w.ask(http.MethodPut, "/connectors/"+one+"/config", drifted, nil))
	require.Equal(t, http.StatusNoContent, w.ask(http.MethodDelete, "/connectors/"+three, nil, nil))
	w.changed()
	w.apply()
	require.Equal(t, want[one], w.there(one))
	require.Equal(t, want[three], w.there(three))
	w.unchanged()

	// What is not wanted any more goes, and at the end everything.
	delete(want, three)
	w.write(want, sensitive)
	w.apply()
	require.Nil(t, w.there(three))
	require.NotContains(t, w.run("destroy", "-auto-approve", "-input=false"), password)
	require.Nil(t, w.there(one))
	require.Nil(t, w.there(two))
}

const resourceType = "kafka-connect_connector"

// workspace is a folder with a configuration of Terraform's.
type workspace struct {
	*testing.T
	target    Target
	dir       string
	terraform string
	env       []string
}

func newWorkspace(t *testing.T, target Target) *workspace {
	ctx, cancel := context.WithTimeout(t.Context(), fetchTime)
	defer cancel()
	terraform, err := terraformBinary(ctx)
	if err != nil {
		servers.Missing(t, fmt.Errorf("terraform: %w", err))
	}
	provider, err := providerFolder(ctx, target.Root)
	if err != nil {
		servers.Missing(t, fmt.Errorf("a provider for terraform: %w", err))
	}
	w := &workspace{T: t, target: target, dir: t.TempDir(), terraform: terraform}
	settings := filepath.Join(w.dir, "settings.tfrc")
	require.NoError(t, os.WriteFile(settings, fmt.Appendf(nil, "provider_installation {\n  dev_overrides { %q = %q }\n}\n", providerSource, provider), 0o600))
	w.env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+settings, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "NO_COLOR=1", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	return w
}

// providerSource is the provider's name; nothing is asked of its host.
const providerSource = "millrace.invalid/tests/kafka-connect"

func (w *workspace) source(name string) map[string]string {
	return map[string]string{"name": name, "connector.class": "FileStreamSource", "tasks.max": "1", "topic": name,
		"file": filepath.Join(w.target.Dir, name), "value.converter": "org.apache.kafka.connect.storage.StringConverter"}
}

// write writes what is wanted.
func (w *workspace) write(want, sensitive configs) {
	w.Helper()
	resources := map[string]any{}
	for name, config := range want {
		r := map[string]any{"name": name, "config": config}
		if s, ok := sensitive[name]; ok {
			r["config_sensitive"] = s
		}
		resources[name] = r
	}
	b, err := json.Marshal(map[string]any{
		"terraform": map[string]any{"required_providers": map[string]any{"kafka-connect": map[string]any{"source": providerSource}}},
		"provider":  map[string]any{"kafka-connect": map[string]any{"url": w.target.URL}},
		"resource":  map[string]any{resourceType: resources},
	})
	require.NoError(w, err)
	require.NoError(w, os.WriteFile(filepath.Join(w.dir, "main.tf.json"), b, 0o600))
}

func (w *workspace) apply() string { return w.run("apply", "-auto-approve", "-input=false") }

// The exit codes of a plan with -detailed-exitcode.
const (
	planFailed  = 1
	planChanges = 2
)

// unchanged requires that there is nothing to do.
func (w *workspace) unchanged() {
	w.Helper()
	w.run("plan", "-detailed-exitcode", "-input=false")
}

// changed requires that there is something to do, and returns what.
func (w *workspace) changed() string {
	w.Helper()
	out, code := w.exec("plan", "-detailed-exitcode", "-input=false")
	require.Equal(w, planChanges, code, out)
	return out
}

func (w *workspace) run(args ...string) string {
	w.Helper()
	out, code := w.exec(args...)
	require.Zero(w, code, "%v\n%s", args, out)
	return out
}

func (w *workspace) fails(args ...string) string {
	w.Helper()
	out, code := w.exec(args...)
	require.Equal(w, planFailed, code, "%v\n%s", args, out)
	return out
}

func (w *workspace) exec(args ...string) (out string, code int) {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), w.terraform, args...) //nolint:gosec // ours
	cmd.Dir, cmd.Env = w.dir, w.env
	b, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(b), exit.ExitCode()
	}
	require.NoError(w, err)
	return string(b), 0
}

// there is a connector's configuration, nil if it is not there.
func (w *workspace) there(name string) (config map[string]string) {
	w.Helper()
	status := w.ask(http.MethodGet, "/connectors/"+name+"/config", nil, &config)
	if status == http.StatusNotFound {
		return nil
	}
	require.Equal(w, http.StatusOK, status)
	return config
}

// ask is somebody else who uses the REST API.
func (w *workspace) ask(method, path string, in, out any) (status int) {
	w.Helper()
	body, err := json.Marshal(in)
	require.NoError(w, err)
	req, err := http.NewRequestWithContext(w.Context(), method, w.target.URL+path, bytes.NewReader(body))
	require.NoError(w, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(w, err)
	answer, err := io.ReadAll(resp.Body)
	require.NoError(w, errors.Join(err, resp.Body.Close()))
	if out != nil && resp.StatusCode == http.StatusOK {
		require.NoError(w, json.Unmarshal(answer, out), string(answer))
	}
	return resp.StatusCode
}

// terraformBinary is the Terraform or OpenTofu that is installed, or else one that is built, which takes minutes.
func terraformBinary(ctx context.Context) (string, error) {
	for _, name := range []string{"terraform", "tofu"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	if !servers.RequireAll() {
		return "", errors.New("neither terraform nor tofu is installed")
	}
	home, err := servers.Cached(ctx, "tofu", []byte(tofuModule+tofuSum+runtime.Version()), func(dir string) error {
		download := goCommand(ctx, dir, "mod", "download", "-json", tofuModule)
		out, err := download.Output()
		if err != nil {
			return fmt.Errorf("fetching the sources of OpenTofu: %w\n%s", err, out)
		}
		var module struct{ Dir, Sum string }
		if err := json.Unmarshal(out, &module); err != nil {
			return err
		}
		if module.Sum != tofuSum {
			return fmt.Errorf("%s has the sum %s, not %s", tofuModule, module.Sum, tofuSum)
		}
		return run(goCommand(ctx, module.Dir, "build", "-o", filepath.Join(dir, "tofu"), "./cmd/tofu"))
	})
	return filepath.Join(home, "tofu"), err
}

// providerFolder is where the provider is.
func providerFolder(ctx context.Context, root string) (string, error) {
	if dir := os.Getenv(ProviderVariable); dir != "" { //nolint:forbidigo // a test's switch
		return dir, nil
	}
	sources, err := filepath.Abs(filepath.Join(root, "tests", "clients", "provider"))
	if err != nil {
		return "", err
	}
	key := []byte(runtime.Version())
	names, err := filepath.Glob(filepath.Join(sources, "*.*"))
	if err != nil {
		return "", err
	}
	slices.Sort(names)
	for _, name := range names {
		b, err := os.ReadFile(name) //nolint:gosec // ours
		if err != nil {
			return "", err
		}
		key = append(append(key, filepath.Base(name)...), b...)
	}
	return servers.Cached(ctx, "terraform-provider", key, func(dir string) error {
		return run(goCommand(ctx, sources, "build", "-o", filepath.Join(dir, "terraform-provider-kafka-connect"), "."))
	})
}

// goCommand runs the go tool for a module outside the workspace.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // ours
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	return cmd
}
