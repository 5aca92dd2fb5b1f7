package allinone_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/workerconfig"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/plugins/transforms"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/allinone/allinone"
	"github.com/millrace/millrace/services/api/apiserver"
	"github.com/millrace/millrace/services/taskrunner/runner"
)

var update = flag.Bool("update", false, "write the reference pages")

// The pages of docs/reference are made from the code: make docs writes them, and this test fails when they are stale.
func TestReference_pages_are_as_the_code_says(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"settings.md": settingsPage(t), "worker.md": workerPage(t), "loggers.md": loggersPage(), "connectors.md": connectorsPage(t), "transforms.md": transformsPage(), "metrics.md": metricsPage(t),
	} {
		path := filepath.Join("../../../docs/reference", name)
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
			continue
		}
		have, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(have), "%s is stale: run make docs", name)
	}
}

// settingsPage asks each program for its table.
func settingsPage(t *testing.T) string {
	t.Helper()
	page := "# Settings of the programs\n\nA flag wins over its environment variable. Written by `make docs`.\n\n"
	for _, program := range []string{"allinone", "api", "scheduler", "taskrunner", "taskrunner import"} {
		service, command, _ := strings.Cut(program, " ")
		cmd := exec.CommandContext(t.Context(), "go", append([]string{"run", "github.com/millrace/millrace/services/" + service}, strings.Fields(command+" -docs")...)...) //nolint:gosec // our own
		var out, bad bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &bad
		require.NoError(t, cmd.Run(), bad.String())
		page += out.String()
	}
	return page
}

func keysTable(keys []config.Key) string {
	if len(keys) == 0 {
		return "No keys of its own.\n"
	}
	s := "| key | type | default | importance | meaning |\n| --- | --- | --- | --- | --- |\n"
	for _, k := range keys {
		def := "required"
		switch {
		case k.Default != nil && *k.Default == "":
			def = "empty"
		case k.Default != nil:
			def = "`" + *k.Default + "`"
		case !k.Required:
			def = "null"
		}
		s += fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", k.Name, strings.ToLower(string(k.Type)), def, strings.ToLower(string(k.Importance)), strings.ReplaceAll(k.Doc, "|", "\\|"))
	}
	return s
}

// worker properties: the table says what becomes of each, and whoever uses one defines it.
func workerPage(t *testing.T) string {
	t.Helper()
	defs := config.Merge(runner.WorkerDef(), apiserver.WorkerDef())
	page := "# Worker properties\n\nEvery worker property of Kafka Connect by its name, for `-worker-config` and `-worker`, and what becomes of it here. Written by `make docs`.\n\n" +
		"- **used**: as in Kafka Connect.\n- **adapted**: the same key with something else behind it.\n- **ignored**: checked, and without effect; a line in the log says so.\n" +
		"- **n/a**: has no meaning here and is taken without a word.\n\nUnknown properties are never an error.\n"
	table := workerconfig.Table()
	for _, k := range defs.Keys {
		i := slices.IndexFunc(table, func(p workerconfig.Property) bool {
			return p.Name == k.Name || p.Family && strings.HasPrefix(k.Name, p.Name)
		})
		require.GreaterOrEqual(t, i, 0, "%s is not in the table of package workerconfig", k.Name)
		require.NotEqual(t, workerconfig.Ignored, table[i].Handling, "%s is used, but the table of package workerconfig says that it is ignored", k.Name)
	}
	section := ""
	for _, p := range table {
		if p.Section != section {
			section = p.Section
			page += "\n## " + section + "\n\n| key | type | default | here | meaning |\n| --- | --- | --- | --- | --- |\n"
		}
		rows := []config.Key{p.Key}
		if p.Family {
			for _, k := range defs.Keys {
				if strings.HasPrefix(k.Name, p.Name) && !named(table, k.Name) {
					rows = append(rows, k)
				}
			}
		}
		for i, k := range rows {
			name := k.Name
			if p.Family && i == 0 {
				name += "*"
			}
			if d, ok := defs.Key(k.Name); ok {
				k = d
			}
			page += fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", name, strings.ToLower(string(k.Type)), defaultOf(k, p), p.Handling, strings.ReplaceAll(strings.TrimSpace(k.Doc+" "+p.Note), "|", "\\|"))
		}
	}
	return page
}

// named tells whether the table has a row for exactly this key.
func named(table []workerconfig.Property, key string) bool {
	return slices.ContainsFunc(table, func(p workerconfig.Property) bool { return !p.Family && p.Name == key })
}

func defaultOf(k config.Key, p workerconfig.Property) string {
	switch {
	case k.Default != nil && *k.Default == "":
		return "empty"
	case k.Default != nil:
		return "`" + *k.Default + "`"
	case p.Family || k.Doc == "":
		return ""
	}
	return "null"
}

// loggersPage lists the loggers of our components.
func loggersPage() string {
	page := "# Loggers\n\nNames for `/admin/loggers`; a connector's own lines have the name of its class or its task's class. Written by `make docs`.\n\n| logger | process | what it says |\n| --- | --- | --- |\n"
	for _, l := range obs.LoggerNames() {
		page += fmt.Sprintf("| `%s` | %s | %s |\n", l[0], l[1], l[2])
	}
	return page
}

func connectorsPage(t *testing.T) string {
	t.Helper()
	r, err := plugin.New(append(connectors.All(connectors.Options{}), converters.All()...)...)
	require.NoError(t, err)
	all := r.All()
	slices.SortFunc(all, func(a, b plugin.Plugin) int {
		return cmp.Or(cmp.Compare(string(a.Kind), string(b.Kind)), cmp.Compare(a.Class, b.Class))
	})
	page := "# Connectors and converters\n\nTheir own keys; those that every connector has are in Kafka Connect's documentation. Written by `make docs`.\n\n"
	for _, p := range all {
		page += fmt.Sprintf("## %s\n\n%s. %s\n\n", p.Class, p.Kind, p.Doc)
		if p.Def != nil {
			page += keysTable(p.Def.Keys) + "\n"
		}
	}
	return page
}

// transformsPage lists transformations and predicates; a variant for keys has the keys of the one for values.
func transformsPage() string {
	page := "# Transformations and predicates\n\nTheir own keys; docs/transforms.md says how they are used. Written by `make docs`.\n\n"
	for _, p := range transforms.All() {
		name, variant, _ := strings.Cut(p.Class, "$")
		switch variant {
		case "Key":
			continue
		case "Value":
			name += "$Key, " + name + "$Value"
		}
		page += fmt.Sprintf("## %s\n\n%s. %s\n\n%s\n", name, p.Kind, p.Doc, keysTable(p.Def.Keys))
	}
	return page
}

// recorder notes what is registered.
type recorder struct {
	mu    sync.Mutex
	lines map[string]bool
}

var descText = regexp.MustCompile(`fqName: "([^"]+)", help: "(.*?)", .*variableLabels: \{([^}]*)\}`)

func (r *recorder) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc, 1000)
	c.Describe(descs)
	close(descs)
	r.mu.Lock()
	defer r.mu.Unlock()
	for d := range descs {
		m := descText.FindStringSubmatch(d.String())
		if m == nil || !strings.HasPrefix(m[1], "millrace_") && !strings.HasPrefix(m[1], "kafka_") { // not Go's own
			continue
		}
		r.lines[fmt.Sprintf("| `%s` | %s | %s |\n", m[1], strings.ReplaceAll(m[3], ",", ", "), strings.ReplaceAll(m[2], "|", "\\|"))] = true
	}
	return nil
}

func (r *recorder) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		_ = r.Register(c) // never fails
	}
}

func (r *recorder) Unregister(prometheus.Collector) bool { return true }

// metricsPage starts everything once and lists what was registered.
func metricsPage(t *testing.T) string {
	t.Helper()
	r := &recorder{lines: map[string]bool{}}
	start(t, func(c *allinone.Config) { c.Registerer = r })
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := make([]string, 0, len(r.lines))
	for l := range r.lines {
		lines = append(lines, l)
	}
	slices.Sort(lines)
	require.NotEmpty(t, lines)
	return "# Metrics\n\nServed at `/metrics` of each program's admin listener. Names that begin with kafka_ are those of Kafka Connect's own metrics and mean the same (docs/metrics.md). Written by `make docs`.\n\n| metric | labels | meaning |\n| --- | --- | --- |\n" + strings.Join(lines, "")
}
