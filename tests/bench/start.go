package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/millrace/millrace/embedded/childproc"
)

const (
	startRounds = 20
	startSettle = 5 * time.Second
	startIdle   = 30 * time.Second
)

// startUp measures how long the process that has everything in it takes to serve, and what it costs when nobody uses it.
func startUp(ctx context.Context, b *bed, r *report) (err error) {
	dir, err := os.MkdirTemp("", "millrace-bench-start-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary, err := build(ctx, dir, "./services/allinone")
	if err != nil {
		return err
	}
	var all []time.Duration
	rounds := cmp.Or(b.n, startRounds)
	for i := range rounds + 1 {
		p, took, err := startOne(ctx, binary, filepath.Join(dir, "data"))
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "start: %d ms\n", took.Milliseconds())
		switch i {
		case 0:
			r.add("cold_start_to_health_ms", ms(took), "ms", 1, "")
		default:
			all = append(all, took)
		}
		if i == rounds {
			r.durations("start_to_health", all, "≤ 1500", "")
			if err := r.idle(ctx, p.Process.Pid); err != nil {
				return errors.Join(err, stopOne(p))
			}
		}
		if err := stopOne(p); err != nil {
			return err
		}
	}
	return nil
}

// startOne starts the process and waits until it says that it is healthy.
func startOne(ctx context.Context, binary, data string) (*exec.Cmd, time.Duration, error) {
	port, err := childproc.FreePort()
	if err != nil {
		return nil, 0, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	p := exec.Command(binary, "-listen", addr, "-data", data, "-log-level", "warn") //nolint:gosec,noctx // our own; it is told to stop
	p.Stderr = os.Stderr
	began := time.Now()
	if err := p.Start(); err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		if healthy(ctx, addr) {
			return p, time.Since(began), nil
		}
		select {
		case <-ctx.Done():
			return nil, 0, errors.Join(fmt.Errorf("%s does not become healthy: %w", addr, context.Cause(ctx)), stopOne(p))
		case <-time.After(time.Millisecond):
		}
	}
}

func healthy(ctx context.Context, addr string) bool {
	body, err := get(ctx, "http://"+addr+"/health")
	return err == nil && body.Close() == nil
}

func stopOne(p *exec.Cmd) error {
	return errors.Join(p.Process.Signal(syscall.SIGTERM), p.Wait())
}

// idle adds what a process and those that it has started cost while nothing happens.
func (r *report) idle(ctx context.Context, pid int) error {
	if err := pause(ctx, startSettle); err != nil {
		return err
	}
	servers, err := descendants(pid)
	if err != nil {
		return err
	}
	for _, group := range []struct {
		arm  string
		pids []int
	}{{"millrace", []int{pid}}, {"postgres", servers}} {
		r.arm = group.arm
		mb := 0.0
		for _, p := range group.pids {
			own, err := proportional(p)
			if err != nil {
				return err
			}
			mb += own
		}
		_, before, err := usage(group.pids)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := pause(ctx, startIdle); err != nil {
			return err
		}
		_, after, err := usage(group.pids)
		if err != nil {
			return err
		}
		r.add("idle_rss", mb, "MB", len(group.pids), "")
		r.add("idle_cpu", (after-before).Seconds()/time.Since(began).Seconds()*100, "% of a core", len(group.pids), "")
	}
	r.arm = ""
	return nil
}

// proportional is the memory of a process in MB that is resident; what it shares with others is parted among them.
func proportional(pid int) (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	for in := bufio.NewScanner(f); in.Scan(); {
		if rest, ok := strings.CutPrefix(in.Text(), "Pss:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kb) / 1000, err
		}
	}
	return 0, fmt.Errorf("process %d does not tell its memory", pid)
}

// descendants are the processes that a process has started, and those that these have.
func descendants(pid int) (all []int, err error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, path := range stats {
		text, err := os.ReadFile(path) //nolint:gosec // of the kernel
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ") // behind the name, which may have spaces
		child, cerr := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, perr := strconv.Atoi(strings.Fields(rest + " ? ?")[1])
		if err := errors.Join(cerr, perr); err != nil {
			return nil, err
		}
		children[parent] = append(children[parent], child)
	}
	for next := children[pid]; len(next) > 0; next = next[1:] {
		all = append(all, next[0])
		next = append(next, children[next[0]]...)
	}
	return all, nil
}
