package plugin_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/plugin"
)

func TestRange_contains_what_Maven_would(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spec, shown, version string
		in                   bool
	}{
		{"latest", "latest", "1", true},
		{"LATEST", "[LATEST,LATEST]", "4.3.1", false},
		{"4.3.1", "[4.3.1,4.3.1]", "4.3.1", true},
		{"1.0", "[1.0,1.0]", "1", true},
		{"99.99", "[99.99,99.99]", "4.3.1", false},
		{"", "[,]", "4.3.1", false},
		{" ", "[,]", "4.3.1", false},
		{"[,]", "[,]", "4.3.1", true},
		{"[4,5)", "[4,5)", "4.3.1", true},
		{"[4,5)", "[4,5)", "5", false},
		{"[4.3.1]", "[4.3.1,4.3.1]", "4.3.1", true},
		{"(,4.0]", "(,4.0]", "4.3.1", false},
		{"(,4.0]", "(,4.0]", "4", true},
		{"(4,)", "(4,)", "4.0.0", false},
		{"[99,)", "[99,)", "4.3.1", false},
		{"[1,2],[4,5]", "[1,2],[4,5]", "4.3.1", true},
		{"[1,2], [4,5]", "[1,2],[4,5]", "3", false},
		{"4.3.1-SNAPSHOT", "[4.3.1-SNAPSHOT,4.3.1-SNAPSHOT]", "4.3.1", false},
	} {
		r, err := plugin.ParseRange(c.spec)
		require.NoError(t, err, c.spec)
		require.Equal(t, c.shown, r.String())
		require.Equal(t, c.in, r.Contains(c.version), "%s in %s", c.version, c.spec)
	}
	for spec, why := range map[string]string{"[1.0": "Unbounded range: [1.0", "(1": "Unbounded range: (1", "[2,1]": "The range ends before it begins: [2,1]", "(1)": "A single version must be surrounded by []: (1)",
		"[4,5);x": "Only ranges can be listed, each in brackets: [4,5);x", "[1,3],[2,4]": "Ranges overlap: [1,3],[2,4]", "[1,1)": "The range ends before it begins: [1,1)"} {
		_, err := plugin.ParseRange(spec)
		require.EqualError(t, err, why)
	}
}

func TestCompareVersions_orders_as_Maven_does(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{
		{"1-alpha", "1-beta", "1-milestone", "1-rc1", "1-rc2", "1-SNAPSHOT", "1", "1-sp", "1.0.1", "1.1", "1.10", "2"},
		{"1.0-x", "1.0-y"},
	} {
		for i, a := range order {
			for k, b := range order {
				c := plugin.CompareVersions(a, b)
				require.Equal(t, i < k, c < 0, "%s %s", a, b)
				require.Equal(t, i > k, c > 0, "%s %s", a, b)
			}
		}
	}
	for _, same := range [][2]string{{"1", "1.0.0"}, {"1.0-GA", "1"}, {"1.0-final", "1.0"}, {"1a", "1-alpha"}, {"", "0"}} {
		require.Zero(t, plugin.CompareVersions(same[0], same[1]), same)
	}
}

func TestIndex_matches_the_newest_version_in_a_range(t *testing.T) {
	t.Parallel()
	x := plugin.NewIndex([]plugin.Name{{Kind: plugin.Source, Class: "a.S", Version: "1.9"}, {Kind: plugin.Source, Class: "a.S", Version: "1.10"}, {Kind: plugin.Source, Class: "a.S", Version: "2"},
		{Kind: plugin.Converter, Class: "a.C", Version: "1"}, {Kind: plugin.HeaderConverter, Class: "a.C", Version: "1"}})
	i, ok := x.Find("S", plugin.Source)
	require.True(t, ok)
	require.Equal(t, "2", x.At(i).Version)
	r, err := plugin.ParseRange("[1,2)")
	require.NoError(t, err)
	i, err = x.Match(i, r)
	require.NoError(t, err)
	require.Equal(t, "1.10", x.At(i).Version)
	i, _ = x.Find("C", plugin.Converter)
	r, err = plugin.ParseRange("3")
	require.NoError(t, err)
	_, err = x.Match(i, r)
	require.EqualError(t, err, "Plugin a.C not found that matches the version range [3,3], available versions: [1, 1]")
	require.Equal(t, []string{"a.C"}, x.Classes(plugin.Converter))
	require.Empty(t, x.Classes(plugin.Predicate))
	class, ok := x.Class("C")
	require.True(t, ok)
	require.Equal(t, "a.C", class)
}
