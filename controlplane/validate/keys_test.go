package validate_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/validate"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/data/vector"
)

// TestGolden_keys_of_all_connectors checks the framework's definitions against Kafka Connect's: what they hold, and what they
// say about configurations.
func TestGolden_keys_of_all_connectors(t *testing.T) {
	t.Parallel()
	ran := 0
	vector.Each(t, "testdata/config.jsonl.gz", func(id string, v struct {
		Class, Def string
		Input      map[string]*string
		Output     []struct {
			Name, Type, Importance string
			Required               bool
			Default                json.RawMessage
			Errors                 []string
		}
	}) {
		ran++
		kind := cluster.TypeUnknown
		switch {
		case strings.Contains(v.Class+v.Def, "SinkConnectorConfig"):
			kind = cluster.TypeSink
		case strings.Contains(v.Class+v.Def, "SourceConnectorConfig"):
			kind = cluster.TypeSource
		}
		def := validate.Keys(kind)
		if v.Def != "" {
			var got, want []string
			for _, c := range def.Check(v.Input) {
				for _, e := range c.Errors {
					got = append(got, c.Name+": "+ours(e))
				}
			}
			for _, w := range v.Output {
				for _, e := range w.Errors {
					want = append(want, w.Name+": "+ours(e))
				}
			}
			require.ElementsMatch(t, want, got, "%s: %s %v", id, v.Def, v.Input)
			return
		}
		for _, want := range v.Output {
			k, ok := def.Key(want.Name)
			require.True(t, ok, "%s: no key %s", id, want.Name)
			require.Equal(t, []any{want.Type, want.Importance, want.Required}, []any{string(k.Type), string(k.Importance), k.Required}, "%s: %s", id, want.Name)
			value, err := vector.Value(want.Default, nil)
			require.NoError(t, err)
			switch n := value.(type) {
			case int32:
				value = int64(n)
			case int16:
				value = int64(n)
			case []any:
				value = []string{}
				require.Empty(t, n)
			}
			parsed := (&config.Def{Keys: []config.Key{k}}).Check(nil)[0].Parsed
			require.Equal(t, value, parsed, "%s: %s", id, want.Name)
		}
	})
	t.Logf("%d vectors", ran)
}

// ours is a message without what an engine for regular expressions says in its own words.
func ours(message string) string {
	before, _, _ := strings.Cut(message, "Invalid regex: ")
	return before
}
