// Package version tells what was built.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Millrace is the version of this source tree.
const Millrace = "0.1.0"

// Connect is the Kafka Connect version whose REST contract we answer as; clients gate features on it.
const Connect = "4.3.0"

// commit is set by the linker: -X github.com/millrace/millrace/internal/version.commit=HASH.
var commit string

// Commit is the commit this was built from, or "unknown".
func Commit() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// String is the line that --version prints for a program.
func String(program string) string {
	return fmt.Sprintf("%s %s (commit %s, Kafka Connect contract %s, %s)", program, Millrace, Commit(), Connect, runtime.Version())
}
