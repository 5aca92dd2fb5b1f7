package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/tests/cluster"
)

// pids are the processes of all runners.
func pids(c *cluster.Cluster) (all []int) {
	for _, s := range c.Runners {
		all = append(all, s.Pid())
	}
	return all
}

const clockTick = 10 * time.Millisecond // Linux's USER_HZ is 100 on every architecture that Go knows

// usage is the peak memory of some processes together, in MB, and the CPU time that they have used.
func usage(processes []int) (peak float64, cpu time.Duration, err error) {
	for _, pid := range processes {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, 0, err
		}
		_, text, _ := strings.Cut(string(stat), ") ") // behind the name, which may have spaces
		fields := strings.Fields(text)
		if len(fields) < 13 {
			return 0, 0, fmt.Errorf("/proc/%d/stat says %q", pid, stat)
		}
		for _, f := range fields[11:13] { // utime and stime
			n, err := strconv.Atoi(f)
			if err != nil {
				return 0, 0, err
			}
			cpu += time.Duration(n) * clockTick
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, 0, err
		}
		if _, text, ok := strings.Cut(string(status), "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(text)[0])
			if err != nil {
				return 0, 0, err
			}
			peak += float64(kb) / 1000
		}
	}
	return peak, cpu, nil
}

// forgetPeaks makes peaks begin anew.
func forgetPeaks(processes []int) error {
	for _, pid := range processes {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o600); err != nil {
			return err
		}
	}
	return nil
}
