package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// way is one way to get rows from here to there.
type way struct {
	name string
	move func(ctx context.Context, round string) (taken, error)

	rates, cpu []float64 // a second; seconds of CPU a million
	peak       float64   // MB
}

// alternate goes all ways in turn, so that all meet the same machine; the first round warms up.
func (b *bed) alternate(ctx context.Context, bench string, n, rounds int, ways []*way) error {
	for i := range cmpOr(b.n, rounds) + 1 {
		for k, w := range ways {
			if b.only != "" && w.name != b.only {
				continue
			}
			profiled := func() {}
			if i > 0 && w.name == oursWay {
				profiled = b.profiled(ctx, fmt.Sprintf("%s-%d", bench, i))
			}
			took, err := w.move(ctx, fmt.Sprintf("%s_%d_%d", strings.ToLower(bench), i, k))
			profiled()
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			cpu := took.cpu.Seconds() / float64(n) * 1e6
			fmt.Fprintf(os.Stderr, "%s %s: %.0f rows/s, %.2f s of CPU a million, %.0f MB\n", bench, w.name, took.rate, cpu, took.peak)
			if i == 0 {
				continue
			}
			w.rates, w.cpu = append(w.rates, took.rate), append(w.cpu, cpu)
			w.peak = max(w.peak, took.peak)
		}
	}
	return nil
}

// profiled takes CPU profiles of the runners, if they are wanted, for some seconds.
func (b *bed) profiled(ctx context.Context, name string) (wait func()) {
	if b.profile == "" {
		return func() {}
	}
	var all sync.WaitGroup
	for i, s := range b.Runners {
		all.Go(func() {
			body, err := get(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=4", s.Admin))
			if err == nil {
				var text []byte
				text, err = io.ReadAll(body)
				err = errors.Join(err, body.Close(), os.WriteFile(filepath.Join(b.profile, fmt.Sprintf("%s-%d.pprof", name, i)), text, 0o600))
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "profile:", err)
			}
		})
	}
	return all.Wait
}

// The names of ways that ratios are made of.
const (
	limitWay   = "limit"
	oursWay    = "millrace"
	controlWay = "millrace again"
)

// tellWays adds the figures of all ways, and the ratios of ours to the limit, to the best of the others, and to itself.
func (r *report) tellWays(ways []*way, toLimit, toPeer string) {
	by := map[string]*way{}
	var best *way
	for _, w := range ways {
		by[w.name] = w
		r.arm = w.name
		n := len(w.rates)
		r.add("rows_per_s", median(w.rates), "1/s", n, "")
		r.add("rows_per_s_spread", slices.Max(w.rates)/slices.Min(w.rates), "", n, "")
		r.add("cpu_s_per_million", median(w.cpu), "s", n, "")
		r.add("peak", w.peak, "MB", n, "")
		if w.name != limitWay && w.name != oursWay && w.name != controlWay && (best == nil || median(w.rates) > median(best.rates)) {
			best = w
		}
	}
	r.arm = ""
	ours := by[oursWay]
	r.add("ratio_to_limit", median(ours.rates)/median(by[limitWay].rates), "", len(ours.rates), toLimit)
	r.add("ratio_to_best_peer", median(ours.rates)/median(best.rates), "", len(ours.rates), toPeer)
	r.add("cpu_ratio_to_best_peer", median(ours.cpu)/median(best.cpu), "", len(ours.rates), "")
	r.add("ratio_to_itself", median(ours.rates)/median(by[controlWay].rates), "", len(ours.rates), "")
}
