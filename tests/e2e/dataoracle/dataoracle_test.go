package dataoracle

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A difference is only explained by what it is; nothing else hides behind a reason.
func TestWhy_explains_what_is_intended_and_nothing_more(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		theirs, ours string
		maps         bool
		explained    bool
	}{
		{theirs: "[B@39e16a9d\n", ours: "IA==\n", explained: true},
		{theirs: "Struct{a=[B@39e16a9d,b=1}", ours: "Struct{a=IA==,b=1}", explained: true},
		{theirs: "Struct{a=[B@39e16a9d,b=1}", ours: "Struct{a=IA==,b=2}"},
		{theirs: "Struct{a=IA==,b=1}", ours: "Struct{a=[B@39e16a9d,b=1}"},
		{theirs: "1.23456791E11", ours: "1.2345679E11", explained: true},
		{theirs: "1.23456791E11", ours: "1.2345678E11"},
		{theirs: "1.0E-323", ours: "9.9E-324", explained: true},
		{theirs: "1.0E-322", ours: "9.9E-324"},
		{theirs: "1.234567890123E12", ours: "1.234567890124E12"},
		{theirs: "1.23456791E11 [B@1b338871", ours: "1.2345679E11 IA==", explained: true},
		{theirs: "{b=1, a={d=2, c=3}}", ours: "{a={c=3, d=2}, b=1}", maps: true, explained: true},
		{theirs: "{b=1, a=2}", ours: "{a=1, b=2}", maps: true},
		{theirs: "{b=1, a=2}", ours: "{a=2, b=1}"},
		{theirs: "nothing", ours: "a line"},
		{theirs: "a line", ours: "a line "},
	} {
		all := why(setting{maps: c.maps}, difference{theirs: c.theirs, ours: c.ours})
		require.Equal(t, c.explained, len(all) > 0, "%q %q: %v", c.theirs, c.ours, all)
	}
	require.Equal(t, []difference{{at: 1, theirs: "b", ours: "nothing"}}, compare([]string{"a", "b"}, []string{"a"}))
}

// The same seed makes the same records, and there are as many as were promised.
func TestSettings_make_the_same_records_again(t *testing.T) {
	t.Parallel()
	one, two, n := settings(), settings(), 0
	byName := map[string]setting{}
	for _, s := range two {
		byName[s.name] = s
	}
	for _, s := range one {
		require.Equal(t, byName[s.name], s)
		n += s.count()
	}
	require.Len(t, byName, len(one))
	require.Greater(t, n, 2000)
}
