package validate_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/validate"
	"github.com/millrace/millrace/plugins/transforms"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
)

// The recorded worker's plugins, as it listed them, are in testdata/plugins.json.gz; a recording shows no validators. Its
// transformations and predicates have our definitions.
var validators = map[string]config.Rule{
	"GreedySourceConnector grouped":     config.OneOf("g", "h"),
	"FileStreamSourceConnector topic":   config.NonEmpty(),
	"JsonConverter decimal.format":      config.OneOfFold("NUMERIC", "BASE64"),
	"JsonConverter converter.type":      config.OneOf("key", "value", "header"),
	"StringConverter converter.type":    config.OneOf("key", "value", "header"),
	"ByteArrayConverter converter.type": config.OneOf("key", "value", "header"),
	"BooleanConverter converter.type":   config.OneOf("key", "value", "header"),
}

type recordedPlugin struct {
	Class   string
	Kind    plugin.Kind
	Version string
	Keys    []config.Key
}

func unzip(t *testing.T, file string) io.Reader {
	t.Helper()
	f, err := os.Open("testdata/" + file)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	return z
}

// numbers are converters that the recorded worker had but did not list.
var numbers = []string{"Integer", "Long", "Float", "Short", "Double"}

func isNumber(class string) bool {
	return slices.ContainsFunc(numbers, func(n string) bool { return class == "org.apache.kafka.connect.converters."+n+"Converter" })
}

func recordedPlugins(t *testing.T) validate.Catalog {
	t.Helper()
	var all []recordedPlugin
	require.NoError(t, json.NewDecoder(unzip(t, "plugins.json.gz")).Decode(&all))
	require.Greater(t, len(all), 40)
	for _, n := range numbers {
		for _, kind := range []plugin.Kind{plugin.Converter, plugin.HeaderConverter} {
			all = append(all, recordedPlugin{Class: "org.apache.kafka.connect.converters." + n + "Converter", Kind: kind, Version: "4.3.1",
				Keys: []config.Key{{Name: "converter.type", Type: config.String, Importance: config.Low, Required: true}}})
		}
	}
	ours := map[string][]config.Key{}
	for _, p := range transforms.All() {
		ours[p.Class] = p.Def.Keys
	}
	names := make([]plugin.Name, len(all))
	for i, p := range all {
		if keys, has := ours[p.Class]; has {
			all[i].Keys = keys
			delete(ours, p.Class)
		}
		names[i] = plugin.Name{Kind: p.Kind, Class: p.Class, Version: p.Version}
		simple, _, _ := strings.Cut(p.Class[strings.LastIndex(p.Class, ".")+1:], "$")
		for k := range p.Keys {
			if r, has := validators[simple+" "+p.Keys[k].Name]; has {
				p.Keys[k].Validators = []config.Rule{r}
			}
		}
	}
	require.Empty(t, ours, "the recorded worker has all of ours")
	return validate.Catalog{Index: plugin.NewIndex(names), Def: func(i int) (*config.Def, error) { return &config.Def{Keys: all[i].Keys}, nil }}
}

// recordedConnector answers as the connectors of the recordings do.
type recordedConnector struct{ class string }

func (recordedConnector) Check(map[string]string) []validate.Finding      { return nil }
func (recordedConnector) Recommend(map[string]string) map[string][]string { return nil }

func (c recordedConnector) ExactlyOnce(cfg map[string]string) (connector.Support, error) {
	switch {
	case strings.HasSuffix(c.class, "GreedySourceConnector"):
		support, failed := map[string]connector.Support{"no": connector.Unsupported}[cfg["eos"]], map[string]error{"throw": errors.New("eos boom"), "throwempty": errors.New("")}[cfg["eos"]]
		return max(support, connector.Supported), failed
	case !strings.HasSuffix(c.class, "FileStreamSourceConnector"):
		return connector.SupportUnknown, nil
	case cfg["file"] == "":
		return connector.Unsupported, nil
	}
	return connector.Supported, nil
}

func (c recordedConnector) TransactionBoundaries(cfg map[string]string) (connector.Support, error) {
	if strings.HasSuffix(c.class, "GreedySourceConnector") {
		return connector.Supported, map[string]error{"throw": errors.New("ctb boom")}[cfg["ctb"]]
	}
	return connector.Unsupported, nil
}

var workers = map[string]cluster.Worker{
	"main":          {OverridePolicy: "All"},
	"connect-group": {GroupID: "connect-{{RUN}}-grp", OverridePolicy: "All"},
	"prov":          {ExactlyOnce: true, OverridePolicy: "Allowlist", OverrideAllowlist: []string{"acks", "max.request.size", "client.id"}},
}

// secrets are what the recorded worker's providers had.
var secrets = strings.NewReplacer("${file:{{TMP}}/prov.properties:good}", "2", "${file:{{TMP}}/prov.properties:bad}", "abc", "${file:{{TMP}}/prov.properties:zero}", "0",
	"${file:{{TMP}}/prov.properties:name}", "fromfile", "${file:{{TMP}}/prov.properties:topic}", "{{RUN}}-t-pr", "${file:{{TMP}}/prov.properties:empty}", "",
	"${file:{{TMP}}/prov.properties:secret}", "hunter2", "${env:ORACLE_ENV_NUM}", "3", "${dir:{{TMP}}/provdir:num}", "4\n")

type golden struct {
	ID, Title, Worker string
	Config            map[string]any
	Want              *validate.Infos
	Reduced           bool     // the answer was recorded in part
	Keys              []string // the names of all entries, where the rest was recorded in part
	Refusal           string   // with the class of the exception; "" for an answer
}

func (g golden) config(t *testing.T) cluster.Config {
	t.Helper()
	cfg := cluster.Config{}
	for k, v := range g.Config {
		switch v := v.(type) {
		case nil:
			cfg[k] = nil
		case string:
			cfg[k] = &v
		default:
			b, err := json.Marshal(v)
			require.NoError(t, err)
			text := string(b)
			cfg[k] = &text
		}
	}
	return cfg
}

func TestConnector_answers_as_Kafka_Connect_was_recorded_to(t *testing.T) {
	t.Parallel()
	plugins := recordedPlugins(t)
	lines := bufio.NewScanner(unzip(t, "validate.jsonl.gz"))
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		var g golden
		require.NoError(t, json.Unmarshal(lines.Bytes(), &g))
		n++
		if leftOut(g) != "" {
			continue
		}
		t.Run(g.Worker+" "+g.ID+" "+g.Title, func(t *testing.T) {
			t.Parallel()
			cfg := g.config(t)
			resolved := cfg.Clone()
			for k, v := range resolved {
				if v != nil {
					text := secrets.Replace(*v)
					resolved[k] = &text
				}
			}
			w, known := workers[g.Worker]
			require.True(t, known, g.Worker)
			w.Converters = map[string]string{"key.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
				"header.converter": "org.apache.kafka.connect.storage.SimpleHeaderConverter"}
			got, err := validate.Connector(validate.Request{Config: cfg, Resolved: resolved, Plugins: plugins, Worker: &w,
				Instance: func(i int) validate.Instance { return recordedConnector{plugins.Index.At(i).Class} }})
			if g.Refusal != "" {
				require.Error(t, err)
				refusal, ok := err.(*validate.Refusal) //nolint:errorlint // it is documented
				require.True(t, ok, "%T", err)
				require.Equal(t, plain(g.Refusal), plain(refusal.Class+": "+refusal.Message))
				return
			}
			require.NoError(t, err)
			compare(t, g, got)
		})
	}
	require.NoError(t, lines.Err())
	require.Greater(t, n, 600)
}

// compare compares everything but the documentation, which is ours, and the words of Java about regular expressions.
func compare(t *testing.T, g golden, got validate.Infos) {
	t.Helper()
	if g.Keys != nil {
		require.Equal(t, sorted(g.Keys), sorted(names(got)))
	}
	if g.Reduced {
		got.Configs = slices.DeleteFunc(slices.Clone(got.Configs), func(i validate.Info) bool {
			return !slices.ContainsFunc(g.Want.Configs, func(w validate.Info) bool { return w.Value.Name == i.Value.Name })
		})
	}
	if d := cmp.Diff(shown(g.Want.Configs), shown(got.Configs), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("config %v:\n%s", g.Config, d)
	}
	if d := cmp.Diff(groups(g.Want.Groups), groups(got.Groups)); d != "" {
		t.Errorf("groups:\n%s", d)
	}
	if g.Want.ErrorCount != got.ErrorCount {
		t.Errorf("%d errors, want %d: %s", got.ErrorCount, g.Want.ErrorCount, got.FirstErrors())
	}
	require.Equal(t, g.Want.Name, got.Name)
}

func shown(all []validate.Info) (out []validate.Info) {
	for _, c := range all {
		v := *c.Value
		v.Recommended = slices.DeleteFunc(slices.Clone(v.Recommended), isNumber)
		v.Errors = slices.Clone(v.Errors)
		for k := range v.Errors {
			v.Errors[k] = plain(v.Errors[k])
		}
		i := validate.Info{Value: &v}
		if c.Definition != nil {
			d := *c.Definition
			d.Documentation, d.Order = "", 0
			i.Definition = &d
		}
		out = append(out, i)
	}
	// the entries of one converter come in no order
	at := len(out)
	for at > 0 && converterKey.MatchString(out[at-1].Value.Name) && !strings.HasSuffix(out[at-1].Value.Name, ".plugin.version") {
		at--
	}
	slices.SortStableFunc(out[at:], func(a, b validate.Info) int {
		x, y := converterKey.FindString(a.Value.Name), converterKey.FindString(b.Value.Name)
		if x != y {
			return 0
		}
		return strings.Compare(a.Value.Name, b.Value.Name)
	})
	return out
}

func names(i validate.Infos) (all []string) {
	for _, c := range i.Configs {
		all = append(all, c.Value.Name)
	}
	return all
}

// sorted sorts the keys of each converter at the end.
func sorted(all []string) []string {
	infos := make([]validate.Info, len(all))
	for i, name := range all {
		infos[i].Value = &validate.ValueInfo{Name: name}
	}
	return names(validate.Infos{Configs: shown(infos)})
}

var converterKey = regexp.MustCompile(`^(header|key|value)\.converter\.`)

// groups sorts the groups of converters, which come in no order.
func groups(all []string) []string {
	all = slices.Clone(all)
	at := slices.IndexFunc(all, func(g string) bool { return g == "Schemas" || g == "Serialization" })
	if at >= 0 {
		slices.Sort(all[at:])
	}
	return all
}

var javaWords = regexp.MustCompile(`(?s)(Invalid regex: |available connectors are: ).*`)

// plain cuts what Java says in its own words, or what depends on what is installed; a class named again is D13.
func plain(message string) string {
	message = strings.Replace(message, ": org.apache.kafka.connect.errors.ConnectException: Failed to find", ": Failed to find", 1)
	return javaWords.ReplaceAllString(message, "$1")
}

// leftOut says why a row is not compared.
func leftOut(g golden) string {
	const (
		java  = "a class of Java that is no plugin; it is not known here"
		shows = "4.3.1 shows the value that a reference stands for, as 4.4.0 does not (see variant-providers-1)"
	)
	return map[string]string{
		"main validate-444": java, "main validate-96": java, "main validate-89": java, "main validate-79": java,
		"prov variant-providers-82": shows, "prov variant-providers-78": shows,
		"prov variant-providers-36": "the provider fails before the check; the runner's tests have it",
		"main validate-425":         "possessive quantifiers are no part of Go's regular expressions, and a sink could not follow them",
		"main validate-412":         "Kafka Connect gives up at the expression; here it is one more error",
		"main validate-244":         "Kafka Connect crashes; here null is one more error",
	}[g.Worker+" "+g.ID]
}
