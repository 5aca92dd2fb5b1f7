package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// line is one figure, as it is printed and kept.
type line struct {
	Bench  string  `json:"bench"`
	Metric string  `json:"metric"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	N      int     `json:"n"` // samples behind the value
	Arm    string  `json:"arm,omitempty"`

	goal string
}

// report collects the figures of a run.
type report struct {
	bench string
	arm   string // of the figures that are added
	lines []line
}

// add notes a figure; goal is shown beside it, "" where there is none.
func (r *report) add(metric string, value float64, unit string, n int, goal string) {
	r.lines = append(r.lines, line{Bench: r.bench, Metric: metric, Value: math.Round(value*1000) / 1000, Unit: unit, N: n, Arm: r.arm, goal: goal})
}

// durations notes p50, p99 and the maximum in milliseconds.
func (r *report) durations(metric string, all []time.Duration, goal50, goal99 string) {
	r.add(metric+"_p50_ms", ms(percentile(all, 50)), "ms", len(all), goal50)
	r.add(metric+"_p99_ms", ms(percentile(all, 99)), "ms", len(all), goal99)
	r.add(metric+"_max_ms", ms(percentile(all, 100)), "ms", len(all), "")
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// percentile is the smallest value that p percent of all do not exceed.
func percentile(all []time.Duration, p int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max((len(sorted)*p+99)/100-1, 0)]
}

// print writes the figures as JSON, one object a line, and then as a table.
func (r *report) print(w io.Writer) error {
	for _, l := range r.lines {
		b, err := json.Marshal(l)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s\n", b); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, "\n"+r.table("  "))
	return err
}

// plain is a number without an exponent, however large.
func plain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func (r *report) table(indent string) string {
	var s strings.Builder
	t := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "%sarm\tmetric\tvalue\tunit\tn\tgoal\n", indent) // into memory
	for _, l := range r.lines {
		_, _ = fmt.Fprintf(t, "%s%s\t%s\t%s\t%s\t%d\t%s\n", indent, l.Arm, l.Metric, plain(l.Value), l.Unit, l.N, l.goal)
	}
	_ = t.Flush()
	return s.String()
}

// keep writes the figures to dir: the JSON lines, and a page that says where they were measured.
func (r *report) keep(dir, about string) (err error) {
	var lines strings.Builder
	for _, l := range r.lines {
		b, err := json.Marshal(l)
		if err != nil {
			return err
		}
		lines.Write(append(b, '\n'))
	}
	var page strings.Builder
	fmt.Fprintf(&page, "# %s\n\n%s\n\nMeasured on %s with %d cores (%s/%s, %s), `make bench BENCH=%s`:\n\n", r.bench, about, time.Now().UTC().Format(time.DateOnly),
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), r.bench)
	page.WriteString("| arm | metric | value | unit | n | goal |\n| --- | --- | ---: | --- | ---: | --- |\n")
	for _, l := range r.lines {
		fmt.Fprintf(&page, "| %s | `%s` | %s | %s | %d | %s |\n", l.Arm, l.Metric, plain(l.Value), l.Unit, l.N, l.goal)
	}
	for name, text := range map[string]string{r.bench + ".jsonl": lines.String(), r.bench + ".md": page.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // for everybody to read
			return err
		}
	}
	return nil
}

// differingLines counts the lines of a that b does not have in the same place.
func differingLines(a, b string) (n int) {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i, s := range as {
		if i >= len(bs) || bs[i] != s {
			n++
		}
	}
	return n
}
