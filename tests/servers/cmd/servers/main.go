// Command servers runs a command, or tests, beside the real servers that tests need, so that they start once and not for
// every test binary:
//
//	servers run -- COMMAND ARGUMENTS…    beside Kafka only
//	servers test PACKAGES…       go test with the race detector; what was left out is listed at the end
//
// What can't be started is said, and the rest runs without it; with MILLRACE_REQUIRE_ALL set, that is a failure.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/millrace/millrace/tests/clients"
	"github.com/millrace/millrace/tests/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch {
	case len(os.Args) > 3 && os.Args[1] == "run" && os.Args[2] == "--":
		os.Exit(beside(ctx, []server{kafka}, func(env []string) int { return run(ctx, env, os.Args[3:]) }))
	case len(os.Args) > 2 && os.Args[1] == "test":
		os.Exit(beside(ctx, []server{kafka, registry}, func(env []string) int { return test(ctx, env, os.Args[2:]) }))
	}
	fmt.Fprintln(os.Stderr, "usage: servers run -- COMMAND [ARGUMENTS], or servers test PACKAGES")
	os.Exit(2)
}

// server is one that can be started.
type server struct {
	name, variable string
	start          func(ctx context.Context) (address string, stop func(context.Context) error, err error)
}

var kafka = server{"a real Kafka broker", servers.KafkaVariable, func(ctx context.Context) (string, func(context.Context) error, error) {
	k, err := servers.StartKafka(ctx, servers.KafkaOptions{})
	if err != nil {
		return "", nil, err
	}
	return k.Bootstrap(), k.Stop, nil
}}

var registry = server{"a real schema registry", servers.RegistryVariable, func(ctx context.Context) (string, func(context.Context) error, error) {
	r, err := servers.StartRegistry(ctx)
	if err != nil {
		return "", nil, err
	}
	return r.URL, func(context.Context) error { return r.Stop() }, nil
}}

// beside starts servers and gives f their addresses in its environment.
func beside(ctx context.Context, wanted []server, f func(env []string) int) int {
	env := os.Environ()
	for _, s := range wanted {
		address, stop, err := s.start(ctx)
		switch {
		case err == nil:
			defer stop(context.WithoutCancel(ctx)) //nolint:errcheck // it dies with us anyway
			fmt.Fprintf(os.Stderr, "servers: %s runs at %s\n", s.name, address)
			env = append(env, s.variable+"="+address)
		case servers.RequireAll():
			fmt.Fprintf(os.Stderr, "servers: %s: %v\n", s.name, err)
			return 1
		default:
			fmt.Fprintf(os.Stderr, "servers: left out: tests against %s: %v\n", s.name, err)
		}
	}
	return f(env)
}

func run(ctx context.Context, env, args []string) int {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // the user's own command
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdin, os.Stdout, os.Stderr, env
	return codeOf(cmd.Run())
}

// testTimeout bounds one package; it is generous because the machine may be busy.
const testTimeout = "20m"

// alone are packages beside which no other is tested: what they check is how long things take.
var alone = []string{"github.com/millrace/millrace/tests/cluster"}

func test(ctx context.Context, env, packages []string) int {
	if err := clients.Prepare(ctx, "."); err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err) // the tests that need it say so, too
	}
	list := exec.CommandContext(ctx, "go", append([]string{"list"}, packages...)...) //nolint:gosec // packages
	list.Stderr = os.Stderr
	found, err := list.Output()
	if err != nil {
		return codeOf(err)
	}
	in, out := io.Pipe()
	codes := make(chan int, 1)
	go func() {
		code := 0
		for _, some := range rounds(strings.Fields(string(found)), alone) {
			cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-race", "-shuffle=on", "-timeout", testTimeout, "-json"}, some...)...) //nolint:gosec // packages
			cmd.Stdout, cmd.Stderr, cmd.Env = out, os.Stderr, env
			code = max(code, codeOf(cmd.Run()))
		}
		_ = out.Close() // never fails
		codes <- code
	}()
	left := report(in, os.Stdout)
	code := <-codes
	if left > 0 && servers.RequireAll() {
		fmt.Fprintln(os.Stderr, "servers: nothing may be left out here")
		return 1
	}
	return code
}

// rounds are the packages that are tested at once: first all that may be, then each that is to be alone.
func rounds(packages, alone []string) (all [][]string) {
	var together []string
	for _, p := range packages {
		if slices.Contains(alone, p) {
			all = append(all, []string{p})
		} else {
			together = append(together, p)
		}
	}
	if len(together) > 0 {
		all = append([][]string{together}, all...)
	}
	return all
}

func codeOf(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "servers:", err)
	return 1
}
