package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/tests/servers"
)

// event is one line of go test -json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// report prints what go test -json says as go test does and, at the end, what was left out and why. It returns how many
// tests were left out that may not be.
func report(in io.Reader, out io.Writer) (n int) {
	outputs := map[string][]string{} // by package and test
	left := map[string][]string{}    // tests by reason
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			say("%s\n", lines.Text()) // a build's own words
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output":
			outputs[key] = append(outputs[key], e.Output)
		case "build-output":
			say("%s", e.Output)
		case "skip":
			if e.Test == "" {
				continue // a package without tests
			}
			reason, may := "skipped without a reason", false
			for _, o := range outputs[key] {
				if _, why, ok := strings.Cut(o, servers.Optional); ok {
					reason, may = strings.TrimSpace(why), true
				} else if _, why, ok := strings.Cut(o, "left out: "); ok {
					reason = strings.TrimSpace(why)
				}
			}
			left[reason] = append(left[reason], e.Package+"."+e.Test)
			if !may {
				n++
			}
			delete(outputs, key)
		case "pass":
			if e.Test == "" {
				say("ok    %-75s %6.1fs\n", e.Package, e.Elapsed)
			}
			delete(outputs, key)
		case "fail":
			failed := []string{key}
			if e.Test == "" { // those that had not ended: one of them may have ended the process
				failed = slices.DeleteFunc(slices.Sorted(maps.Keys(outputs)), func(k string) bool { return !strings.HasPrefix(k, e.Package+" ") })
			}
			for _, k := range failed {
				for _, o := range outputs[k] {
					say("%s", o)
				}
				delete(outputs, k)
			}
			if e.Test == "" {
				say("FAIL  %-75s %6.1fs\n", e.Package, e.Elapsed)
			}
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(left)) {
		say("\nleft out (%d): %s\n", len(left[reason]), reason)
		for _, t := range left[reason] {
			say("    %s\n", t)
		}
	}
	if len(left) == 0 {
		say("\nnothing was left out\n")
	}
	return n
}
