// Package deploy_test checks what can be checked of the deployment files without a container engine: the compose file
// against its schema and against the programs' settings, and the Dockerfiles by running their build steps.
package deploy_test

import (
	"bufio"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

const root = "../.."

func project(t *testing.T) *types.Project {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithWorkingDirectory(root))
	require.NoError(t, err)
	p, err := o.LoadProject(t.Context()) // validates against the compose schema
	require.NoError(t, err)
	return p
}

func TestCompose_has_every_part_pinned_and_watched(t *testing.T) {
	t.Parallel()
	p := project(t)
	for _, name := range []string{"postgres", "nats", "kafka", "migrate", "api", "scheduler", "taskrunner-1", "taskrunner-2"} {
		require.Contains(t, p.Services, name)
	}
	pinned := regexp.MustCompile(`:v?\d+(\.\d+)+|:local$`)
	for name, s := range p.Services {
		require.Regexp(t, pinned, s.Image, name)
		for _, port := range s.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, "%s is open to other machines", name)
		}
		for on, d := range s.DependsOn {
			require.Contains(t, p.Services, on)
			if d.Condition == types.ServiceConditionHealthy {
				require.NotNil(t, p.Services[on].HealthCheck, "%s waits for the health of %s, which has none", name, on)
			}
		}
	}
}

// image is a Dockerfile, as far as we use the format.
type image struct {
	base string // of the build stage
	env  []string
	run  string
	user string // image of the last stage
}

func dockerfile(t *testing.T, path string) (i image) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		word, rest, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		switch word {
		case "FROM":
			if i.base == "" {
				i.base = rest
			}
			i.user = rest
		case "ENV":
			i.env = append(i.env, strings.Fields(rest)...)
		case "RUN":
			require.Empty(t, i.run, "one RUN is all that this test understands")
			i.run = rest
		case "", "#", "WORKDIR", "COPY", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT":
		default:
			require.True(t, strings.HasPrefix(word, "#"), "instruction %s is not known here", word)
		}
	}
	require.NoError(t, lines.Err())
	return i
}

func TestDockerfiles_build_programs_that_know_what_compose_sets(t *testing.T) {
	t.Parallel()
	work, err := os.ReadFile(filepath.Join(root, "go.work"))
	require.NoError(t, err)
	toolchain := regexp.MustCompile(`toolchain go(\S+)`).FindStringSubmatch(string(work))[1]
	src := sources(t)
	p := project(t)
	for name, file := range map[string]string{"api": "api", "scheduler": "scheduler", "taskrunner-1": "taskrunner", "taskrunner-2": "taskrunner", "migrate": "scheduler"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := dockerfile(t, filepath.Join(root, "deploy/docker", file+".Dockerfile"))
			require.Equal(t, "golang:"+toolchain+"-bookworm AS build", i.base, "built by the toolchain of go.work")
			require.Contains(t, i.user, ":nonroot")
			out := t.TempDir()
			cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(i.run, "/out", out))
			cmd.Dir, cmd.Env = src, append(os.Environ(), i.env...)
			text, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", text)

			program := filepath.Join(out, file)
			text, err = exec.CommandContext(t.Context(), program, "-version").CombinedOutput()
			require.NoError(t, err)
			require.Contains(t, string(text), file+" ")
			help, err := exec.CommandContext(t.Context(), program, "-help").CombinedOutput()
			require.NoError(t, err)
			for key := range p.Services[name].Environment {
				require.Contains(t, strings.Fields(string(help)), key, "%s does not know it", file)
			}
		})
	}
}

// sources is what a build would be sent: the checkout without what .dockerignore names.
func sources(t *testing.T) string {
	t.Helper()
	ignore, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	require.NoError(t, err)
	ignored := map[string]bool{}
	for _, line := range strings.Fields(string(ignore)) {
		ignored[line] = true
	}
	dir := t.TempDir()
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case ignored[rel] && d.IsDir():
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(dir, rel), 0o750)
		case !d.Type().IsRegular() || ignored[rel]:
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, rel), b, 0o600)
	}))
	return dir
}
