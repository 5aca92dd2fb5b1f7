// Command mutants proves that the black-box tests of the REST contract notice when a piece of the api is missing or wrong: it
// breaks the api in one place at a time, and the tests must fail.
//
//	mutants [-v] [NAME …]
//
// Sources stay as they are: the compiler is given the broken file instead of the real one. Its last line is
// "N mutants, K killed".
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// tests is the package of the black-box tests, and suite what of it is run when the part that should notice does not.
const (
	tests = "./services/allinone/allinone"
	suite = "TestGolden_|TestCase"
)

// within bounds a run of the tests: a mutant may make them wait.
const within = 5 * time.Minute

func main() {
	verbose := flag.Bool("v", false, "show what the tests say")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	survived, err := run(ctx, flag.Args(), *verbose)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
	if survived > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string, verbose bool) (survived int, err error) {
	dir, err := os.MkdirTemp("", "millrace-mutants-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	n := 0
	for _, m := range mutants {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		n++
		binary, err := m.build(ctx, dir)
		if err != nil {
			return survived, fmt.Errorf("%s: %w", m.name, err)
		}
		killed, by, output := m.killed(ctx, binary)
		if ctx.Err() != nil {
			return survived, ctx.Err()
		}
		if !killed {
			survived++
			fmt.Printf("SURVIVED %s (%s)\n", m.name, m.file)
		} else {
			fmt.Printf("killed   %s, by %s\n", m.name, by)
		}
		if verbose {
			fmt.Println(output)
		}
	}
	fmt.Printf("%d mutants, %d killed\n", n, n-survived)
	return survived, nil
}

// build compiles the tests with the mutant in them.
func (m mutant) build(ctx context.Context, dir string) (binary string, err error) {
	path, err := filepath.Abs(filepath.FromSlash(m.file))
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(path) //nolint:gosec // our own
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(source), m.old); n != 1 {
		return "", fmt.Errorf("%s has %q %d times, and should have it once", m.file, m.old, n)
	}
	broken := filepath.Join(dir, "broken.go")
	if err := os.WriteFile(broken, []byte(strings.Replace(string(source), m.old, m.new, 1)), 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: broken}})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "tests")
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-overlay", list, "-o", binary, tests).CombinedOutput(); err != nil { //nolint:gosec // our own
		return "", fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	return binary, nil
}

// killed tells whether the tests fail, and what of them: first the part that should notice, then all of them.
func (m mutant) killed(ctx context.Context, binary string) (killed bool, by, output string) {
	for _, by = range []string{m.part, suite} {
		ctx, cancel := context.WithTimeout(ctx, within)
		cmd := exec.CommandContext(ctx, binary, "-test.run", by, "-test.failfast") //nolint:gosec // it was just built
		cmd.Dir = filepath.FromSlash(tests)
		out, err := cmd.CombinedOutput()
		cancel()
		output = string(out)
		if err != nil {
			return true, by, output
		}
	}
	return false, "", output
}
