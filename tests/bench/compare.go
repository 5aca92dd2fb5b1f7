package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
)

// A comparison of a fresh result with a kept one shows all figures, and judges ratios alone: rates tell of the machine and of
// what else ran on it, ratios between arms that took turns in one run tell of Millrace. How far a ratio may differ and mean
// nothing is what the runs themselves say: the spread of its two arms, and how far Millrace's arm was from its control.

// verdict is what became of a figure.
type verdict string

const (
	notJudged verdict = ""
	asBefore  verdict = "as before"
	better    verdict = "better"
	worse     verdict = "worse"
	missing   verdict = "missing"
)

// change is a figure of two runs.
type change struct {
	arm, metric string
	kept, fresh *float64 // nil: the run does not have it
	margin      float64  // the factor that means nothing; 0: the figure is not judged
	verdict     verdict
}

// compare sets the figures of two runs of one benchmark side by side, in the order in which they were kept.
func compare(kept, fresh []line) (changes []change) {
	type name struct{ arm, metric string }
	now := map[name]*float64{}
	for i := range fresh {
		now[name{fresh[i].Arm, fresh[i].Metric}] = &fresh[i].Value
	}
	for i := range kept {
		n := name{kept[i].Arm, kept[i].Metric}
		c := change{arm: n.arm, metric: n.metric, kept: &kept[i].Value, fresh: now[n]}
		delete(now, n)
		if isJudged(kept[i]) {
			c.margin = max(margin(kept, n.metric), margin(fresh, n.metric))
			c.verdict = c.judge()
		}
		changes = append(changes, c)
	}
	for i := range fresh {
		if n := (name{fresh[i].Arm, fresh[i].Metric}); now[n] != nil {
			changes = append(changes, change{arm: n.arm, metric: n.metric, fresh: now[n]})
		}
	}
	return changes
}

// between is how ratios of a run are called: what of, to what, of which variant.
const between = "ratio_to_"

// isJudged tells whether a figure is a ratio to another arm of the same run; that to the control is a margin and no result.
func isJudged(l line) bool {
	return l.Arm == "" && strings.Contains(l.Metric, between) && !strings.Contains(l.Metric, toControl)
}

const toControl = between + "itself"

// judge says whether a ratio has changed by more than the margin. Less is better where the ratio is one of CPU time.
func (c *change) judge() verdict {
	if c.fresh == nil {
		return missing
	}
	old, now := *c.kept, *c.fresh
	if strings.Contains(c.metric, "cpu_"+between) {
		old, now = now, old
	}
	switch {
	case now*c.margin < old:
		return worse
	case now > old*c.margin:
		return better
	}
	return asBefore
}

var spreadName = regexp.MustCompile(`^(.+)_spread(.*)$`)

// margin is the factor by which a ratio of a run may differ by chance.
func margin(run []line, ratio string) float64 {
	what, to, _ := strings.Cut(ratio, between)
	what = strings.TrimSuffix(what, "cpu_")
	arm, suffix := parts(run, to)
	most := 1.0
	for _, l := range run {
		if l.Metric == what+toControl+suffix && l.Value > 0 {
			most = max(most, l.Value, 1/l.Value)
		}
		if m := spreadName.FindStringSubmatch(l.Metric); m != nil && strings.HasPrefix(m[1], what) && m[2] == suffix && (l.Arm == oursWay || l.Arm == arm) {
			most = max(most, l.Value)
		}
	}
	return most
}

// parts takes apart what a ratio is to: an arm, and the variant of the workload that stands behind its name.
func parts(run []line, to string) (arm, suffix string) {
	if suffix, ok := strings.CutPrefix(to, "best_peer"); ok {
		return bestPeer(run, suffix), suffix
	}
	for _, l := range run {
		if l.Arm != "" && len(l.Arm) > len(arm) && strings.HasPrefix(to, l.Arm) {
			arm = l.Arm
		}
	}
	return arm, to[len(arm):]
}

// bestPeer is the fastest arm that is neither the limit nor ours.
func bestPeer(run []line, suffix string) (arm string) {
	most := 0.0
	for _, spread := range run {
		m := spreadName.FindStringSubmatch(spread.Metric)
		if m == nil || m[2] != suffix || spread.Arm == limitWay || spread.Arm == oursWay || spread.Arm == controlWay {
			continue
		}
		for _, l := range run {
			if l.Arm == spread.Arm && l.Metric == m[1]+suffix && l.Value > most {
				arm, most = l.Arm, l.Value
			}
		}
	}
	return arm
}

// tellChanges writes a table, and returns an error where something is worse.
func tellChanges(w io.Writer, bench string, changes []change) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(t, "  arm\tmetric\tkept\tnew\tratio\tmargin\t"); err != nil {
		return err
	}
	figure := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return plain(*v)
	}
	judged := 0
	var bad []string
	for _, c := range changes {
		ratio, allowed := "-", ""
		if c.kept != nil && c.fresh != nil && *c.kept != 0 {
			ratio = fmt.Sprintf("%.3f", *c.fresh / *c.kept)
		}
		if c.margin > 0 {
			judged++
			allowed = fmt.Sprintf("%.3f", c.margin)
		}
		if c.verdict == worse || c.verdict == missing {
			bad = append(bad, c.metric)
		}
		if _, err := fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.arm, c.metric, figure(c.kept), figure(c.fresh), ratio, allowed, c.verdict); err != nil {
			return err
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if judged == 0 {
		_, err := fmt.Fprintf(w, "\n%s has no ratio between arms of one run, so that nothing is judged\n", bench)
		return err
	}
	if len(bad) > 0 {
		return fmt.Errorf("%s: worse than what is kept, beyond the margin, or missing: %s", bench, strings.Join(bad, ", "))
	}
	return nil
}

// compareWithKept compares fresh figures with those that a folder keeps of the same benchmarks.
func compareWithKept(w io.Writer, dir string, fresh []line) error {
	var names []string
	by := map[string][]line{}
	for _, l := range fresh {
		if by[l.Bench] == nil {
			names = append(names, l.Bench)
		}
		by[l.Bench] = append(by[l.Bench], l)
	}
	if len(names) == 0 {
		return errors.New("there are no figures to compare: expected are lines of JSON, as a benchmark prints them")
	}
	var bad error
	for _, name := range names {
		kept, err := readLines(filepath.Join(dir, name+".jsonl"))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "\n%s, beside what %s keeps:\n\n", name, dir); err != nil {
			return err
		}
		bad = errors.Join(bad, tellChanges(w, name, compare(kept, by[name])))
	}
	return bad
}

// readLines reads figures from what a benchmark printed; its table and other texts are passed over.
func readLines(path string) (lines []line, err error) {
	f, err := os.Open(path) //nolint:gosec // the user's own
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	in := bufio.NewScanner(f)
	for in.Scan() {
		if !strings.HasPrefix(in.Text(), "{") {
			continue
		}
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s has a line %q, which is no figure: %w", path, in.Text(), err)
		}
		lines = append(lines, l)
	}
	return lines, in.Err()
}
