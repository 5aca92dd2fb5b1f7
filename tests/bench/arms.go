package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/tests/cluster"
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
	for i := range cmp.Or(b.n, rounds) + 1 {
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
			fmt.Fprintf(os.Stderr, "%s %s: %.0f/s, %.2f s of CPU a million, %.0f MB\n", bench, w.name, took.rate, cpu, took.peak)
			if i == 0 {
				continue
			}
			w.rates, w.cpu = append(w.rates, took.rate), append(w.cpu, cpu)
			w.peak = max(w.peak, took.peak)
		}
	}
	return nil
}

// profiled takes CPU profiles of our processes, if they are wanted, for some seconds.
func (b *bed) profiled(ctx context.Context, name string) (wait func()) {
	return b.profiledFor(ctx, name, 4*time.Second)
}

func (b *bed) profiledFor(ctx context.Context, name string, d time.Duration) (wait func()) {
	if b.profile == "" || b.Cluster == nil {
		return func() {}
	}
	var all sync.WaitGroup
	for _, s := range slices.Concat([]*cluster.Service{b.API}, b.Schedulers, b.Runners) {
		all.Go(func() {
			body, err := get(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.Admin, int(d.Seconds())))
			if err == nil {
				var text []byte
				text, err = io.ReadAll(body)
				err = errors.Join(err, body.Close(), os.WriteFile(filepath.Join(b.profile, fmt.Sprintf("%s-%s.pprof", name, strings.ReplaceAll(s.Name, ":", "-"))), text, 0o600))
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

// figures say what the ways of a benchmark are told as: the name of the rate, what stands behind all names, and the goals.
type figures struct {
	rate, suffix               string
	toLimit, toPeer, cpuToPeer string
}

// tellWays adds the figures of all ways, and the ratios of ours to the limit, to the best of the others, and to itself.
func (r *report) tellWays(ways []*way, f figures) {
	by := map[string]*way{}
	var best *way
	for _, w := range ways {
		by[w.name] = w
		r.tellWay(w, f.rate, "", f.suffix)
		if w.name != limitWay && w.name != oursWay && w.name != controlWay && (best == nil || median(w.rates) > median(best.rates)) {
			best = w
		}
	}
	r.arm = ""
	ours := by[oursWay]
	r.add("ratio_to_limit"+f.suffix, median(ours.rates)/median(by[limitWay].rates), "", len(ours.rates), f.toLimit)
	r.add("ratio_to_best_peer"+f.suffix, median(ours.rates)/median(best.rates), "", len(ours.rates), f.toPeer)
	r.add("cpu_ratio_to_best_peer"+f.suffix, median(ours.cpu)/median(best.cpu), "", len(ours.rates), f.cpuToPeer)
	r.add("ratio_to_itself"+f.suffix, median(ours.rates)/median(by[controlWay].rates), "", len(ours.rates), "")
}

// tellWay adds the figures of one way.
func (r *report) tellWay(w *way, rate, prefix, suffix string) {
	r.arm = w.name
	n := len(w.rates)
	r.add(rate+suffix, median(w.rates), "1/s", n, "")
	r.add(rate+"_spread"+suffix, slices.Max(w.rates)/slices.Min(w.rates), "", n, "")
	r.add(prefix+"cpu_s_per_million"+suffix, median(w.cpu), "s", n, "")
	r.add(prefix+"peak"+suffix, w.peak, "MB", n, "")
}

// taken is what a move took.
type taken struct {
	rate float64
	cpu  time.Duration
	peak float64 // MB
}

// worked runs a connector while wait waits, and measures the workers meanwhile.
func worked(ctx context.Context, base string, workers []int, name string, config map[string]string, wait func() (float64, error)) (taken, error) {
	if err := forgetPeaks(workers); err != nil {
		return taken{}, err
	}
	_, before, err := usage(workers)
	if err != nil {
		return taken{}, err
	}
	api := cluster.REST{Base: base}
	if _, err := api.Do(ctx, http.MethodPut, "/connectors/"+name+"/config", config); err != nil {
		return taken{}, err
	}
	rate, err := wait()
	if err != nil {
		status, _ := api.Do(ctx, http.MethodGet, "/connectors/"+name+"/status", nil) // for the message
		return taken{}, fmt.Errorf("%w\n%s", err, status)
	}
	peak, after, err := usage(workers)
	if err != nil {
		return taken{}, err
	}
	if _, err := api.Do(ctx, http.MethodDelete, "/connectors/"+name, nil); err != nil {
		return taken{}, err
	}
	return taken{rate: rate, cpu: after - before, peak: peak}, nil
}

// build builds a program of ours.
func build(ctx context.Context, dir, program string) (binary string, err error) {
	binary = filepath.Join(dir, path.Base(program))
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, program).CombinedOutput(); err != nil { //nolint:gosec // our own
		return "", fmt.Errorf("building %s: %w\n%s", program, err, out)
	}
	return binary, nil
}

// produce sends so many records, and waits until all are there.
func produce(ctx context.Context, client *kgo.Client, n int, record func(i int) *kgo.Record) error {
	failed := make(chan error, 1)
	for i := range n {
		client.Produce(ctx, record(i), func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}
