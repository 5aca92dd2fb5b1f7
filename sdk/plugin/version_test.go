package plugin_test

import (
	"slices"
	"testing"

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
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		if r.String() != c.shown {
			t.Errorf("%s is shown as %s, want %s", c.spec, r, c.shown)
		}
		if r.Contains(c.version) != c.in {
			t.Errorf("%s in %s: %v", c.version, c.spec, !c.in)
		}
	}
	for spec, why := range map[string]string{"[1.0": "Unbounded range: [1.0", "(1": "Unbounded range: (1", "[2,1]": "The range ends before it begins: [2,1]", "(1)": "A single version must be surrounded by []: (1)",
		"[4,5);x": "Only ranges can be listed, each in brackets: [4,5);x", "[1,3],[2,4]": "Ranges overlap: [1,3],[2,4]", "[1,1)": "The range ends before it begins: [1,1)"} {
		if _, err := plugin.ParseRange(spec); err == nil || err.Error() != why {
			t.Errorf("%s: got %v, want %s", spec, err, why)
		}
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
				if (i < k) != (c < 0) || (i > k) != (c > 0) {
					t.Errorf("%s and %s compare as %d", a, b, c)
				}
			}
		}
	}
	for _, same := range [][2]string{{"1", "1.0.0"}, {"1.0-GA", "1"}, {"1.0-final", "1.0"}, {"1a", "1-alpha"}, {"", "0"}} {
		if c := plugin.CompareVersions(same[0], same[1]); c != 0 {
			t.Errorf("%s compare as %d", same, c)
		}
	}
}

func TestIndex_matches_the_newest_version_in_a_range(t *testing.T) {
	t.Parallel()
	x := plugin.NewIndex([]plugin.Name{{Kind: plugin.Source, Class: "a.S", Version: "1.9"}, {Kind: plugin.Source, Class: "a.S", Version: "1.10"}, {Kind: plugin.Source, Class: "a.S", Version: "2"},
		{Kind: plugin.Converter, Class: "a.C", Version: "1"}, {Kind: plugin.HeaderConverter, Class: "a.C", Version: "1"}})
	find := func(name string, kind plugin.Kind) int {
		t.Helper()
		i, ok := x.Find(name, kind)
		if !ok {
			t.Fatalf("%s is not found", name)
		}
		return i
	}
	within := func(spec string) plugin.Range {
		t.Helper()
		r, err := plugin.ParseRange(spec)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	newest := find("S", plugin.Source)
	if v := x.At(newest).Version; v != "2" {
		t.Error(v)
	}
	if i, err := x.Match(newest, within("[1,2)")); err != nil || x.At(i).Version != "1.10" {
		t.Error(i, err)
	}
	const none = "Plugin a.C not found that matches the version range [3,3], available versions: [1, 1]"
	if _, err := x.Match(find("C", plugin.Converter), within("3")); err == nil || err.Error() != none {
		t.Error(err)
	}
	if all := x.Classes(plugin.Converter); !slices.Equal(all, []string{"a.C"}) {
		t.Error(all)
	}
	if all := x.Classes(plugin.Predicate); len(all) > 0 {
		t.Error(all)
	}
	if class, ok := x.Class("C"); !ok || class != "a.C" {
		t.Error(class, ok)
	}
}
