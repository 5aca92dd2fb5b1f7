package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorded reads the figures of a run that was recorded, with other values for some.
func recorded(t *testing.T, name string, other map[string]float64) []line {
	t.Helper()
	lines, err := readLines(filepath.Join("testdata", name))
	require.NoError(t, err)
	for metric, v := range other {
		i := slices.IndexFunc(lines, func(l line) bool { return l.Arm == "" && l.Metric == metric })
		require.GreaterOrEqual(t, i, 0, metric)
		lines[i].Value = v
	}
	return lines
}

// judged are the verdicts of ratios.
func judged(changes []change) map[string]verdict {
	m := map[string]verdict{}
	for _, c := range changes {
		if c.margin > 0 {
			m[c.metric] = c.verdict
		}
	}
	return m
}

func TestCompare_a_run_with_itself(t *testing.T) {
	t.Parallel()
	changes := compare(recorded(t, "B1.jsonl", nil), recorded(t, "B1.jsonl", nil))
	require.Len(t, changes, 58)
	require.Equal(t, map[string]verdict{
		"ratio_to_limit_100b": asBefore, "ratio_to_best_peer_100b": asBefore, "cpu_ratio_to_best_peer_100b": asBefore,
		"ratio_to_limit_1000b": asBefore, "ratio_to_best_peer_1000b": asBefore, "cpu_ratio_to_best_peer_1000b": asBefore,
	}, judged(changes), "nothing but ratios to other arms")
}

func TestCompare_the_margin_is_what_the_run_itself_shows(t *testing.T) {
	t.Parallel()
	b1, b10 := recorded(t, "B1.jsonl", nil), recorded(t, "B10.jsonl", nil)
	for ratio, want := range map[string]float64{
		"ratio_to_limit_100b":          2.432, // the limit's spread
		"ratio_to_best_peer_100b":      1.09,  // ours: the best peer's is 1.046, the slower peer's 1.225
		"cpu_ratio_to_best_peer_100b":  1.09,  // the same
		"ratio_to_best_peer_1000b":     1.697, // ours, beyond the control's 1/0.695
		"cpu_ratio_to_best_peer_1000b": 1.697, //
		"ratio_to_limit_1000b":         3.549, // the limit's
	} {
		require.InDelta(t, want, margin(b1, ratio), 1e-9, ratio)
	}
	for ratio, want := range map[string]float64{"status_ratio_to_constant": 1.121, "status_ratio_to_framework": 1.133, "status_ratio_to_connect": 1.121} {
		require.InDelta(t, want, margin(b10, ratio), 1e-9, ratio)
	}
	calm := recorded(t, "B1.jsonl", map[string]float64{"ratio_to_itself_100b": 0.5})
	require.InDelta(t, 2, margin(calm, "ratio_to_best_peer_100b"), 1e-9, "a control that differs by half")
}

func TestCompare_verdicts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		file, ratio string
		fresh       float64
		want        verdict
	}{
		{"B10.jsonl", "status_ratio_to_constant", 0.621 / 1.13, worse},
		{"B10.jsonl", "status_ratio_to_constant", 0.621 / 1.11, asBefore},
		{"B10.jsonl", "status_ratio_to_constant", 0.621 * 1.11, asBefore},
		{"B10.jsonl", "status_ratio_to_constant", 0.621 * 1.13, better},
		{"B10.jsonl", "status_ratio_to_connect", 4, worse},
		{"B1.jsonl", "ratio_to_best_peer_100b", 2.9, worse},
		{"B1.jsonl", "ratio_to_limit_100b", 0.3, asBefore}, // the limit ranges too far to say
		{"B1.jsonl", "cpu_ratio_to_best_peer_100b", 0.36, worse},
		{"B1.jsonl", "cpu_ratio_to_best_peer_100b", 0.34, asBefore},
		{"B1.jsonl", "cpu_ratio_to_best_peer_100b", 0.28, better},
	} {
		changes := compare(recorded(t, tc.file, nil), recorded(t, tc.file, map[string]float64{tc.ratio: tc.fresh}))
		require.Equal(t, tc.want, judged(changes)[tc.ratio], "%+v", tc)
		var table strings.Builder
		err := tellChanges(&table, tc.file, changes)
		if tc.want == worse {
			require.ErrorContains(t, err, tc.ratio)
		} else {
			require.NoError(t, err)
		}
		require.Regexp(t, tc.ratio+` +\S+ +\S+ +\S+ +\S+ +`+string(tc.want), table.String())
	}
}

// A run that spreads more than the kept one widens the margin, for it knows no better.
func TestCompare_the_wider_margin_counts(t *testing.T) {
	t.Parallel()
	fresh := recorded(t, "B10.jsonl", map[string]float64{"status_ratio_to_connect": 4})
	for i := range fresh {
		if fresh[i].Arm == "connect" && fresh[i].Metric == "status_rps_spread" {
			fresh[i].Value = 1.3
		}
	}
	require.Equal(t, asBefore, judged(compare(recorded(t, "B10.jsonl", nil), fresh))["status_ratio_to_connect"])
}

func TestCompare_figures_that_one_run_does_not_have(t *testing.T) {
	t.Parallel()
	kept := recorded(t, "B10.jsonl", nil)
	fresh := slices.DeleteFunc(slices.Clone(kept), func(l line) bool { return l.Metric == "status_ratio_to_connect" || l.Metric == "list_10k_size" })
	fresh = append(fresh, line{Bench: "B10", Metric: "new", Value: 7})
	changes := compare(kept, fresh)
	require.Equal(t, missing, judged(changes)["status_ratio_to_connect"])
	last := changes[len(changes)-1]
	require.Equal(t, "new", last.metric)
	require.Nil(t, last.kept)
	var table strings.Builder
	require.ErrorContains(t, tellChanges(&table, "B10", changes), "status_ratio_to_connect", "a comparison of nothing is no success")
	require.Regexp(t, `list_10k_size +7.1 +- +- `, table.String())
}

func TestCompareWithKept(t *testing.T) {
	t.Parallel()
	var told strings.Builder
	require.NoError(t, compareWithKept(&told, "testdata", append(recorded(t, "B7.jsonl", nil), recorded(t, "B10.jsonl", nil)...)))
	require.Contains(t, told.String(), "B7 has no ratio between arms of one run, so that nothing is judged")
	require.Regexp(t, `sink +post_to_running_p50_ms +14.911 +14.911 +1.000`, told.String())
	err := compareWithKept(&told, "testdata", append(recorded(t, "B1.jsonl", map[string]float64{"ratio_to_best_peer_100b": 1}), recorded(t, "B10.jsonl", map[string]float64{"status_ratio_to_connect": 1})...))
	require.ErrorContains(t, err, "ratio_to_best_peer_100b")
	require.ErrorContains(t, err, "status_ratio_to_connect", "all benchmarks are judged")
	require.ErrorContains(t, compareWithKept(&told, "testdata", []line{{Bench: "B77"}}), "B77.jsonl")
	require.ErrorContains(t, compareWithKept(&told, "testdata", nil), "no figures")
}
