// Package program is what the main functions share: settings, logger, signals and the exit code.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/millrace/millrace/internal/env"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/version"
)

// Program is one main function.
type Program struct {
	Name  string
	Table *env.Table
	// Run does the work until ctx ends (SIGINT or SIGTERM; a second signal kills). args are what the flags left over.
	Run func(ctx context.Context, args []string, log *slog.Logger) error
	// Commands are run instead when the first argument is the last word of their name; they have settings of their own.
	Commands []Program
}

// Log settings that every program has.
type logSettings struct{ format, level string }

// Main runs the program with the process's own arguments, environment and streams, and ends the process.
func (p Program) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // the next signal ends us at once
	}()
	os.Exit(p.run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)) //nolint:forbidigo // here main hands it in
}

// run is Main with everything given; logs go to stderr.
func (p Program) run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	for _, c := range p.Commands {
		if len(args) > 0 && c.Name == p.Name+" "+args[0] {
			return c.run(ctx, args[1:], getenv, stdout, stderr)
		}
	}
	var l logSettings
	p.Table.String(&l.level, "log-level", "info", "Least level of log lines at the start: off, fatal, error, warn, info, debug, trace or all.")
	p.Table.String(&l.format, "log-format", "auto", "Form of log lines: json, text, or auto (text on a terminal).")
	rest, err := p.Table.Parse(args, getenv, stdout, version.String(p.Name))
	if errors.Is(err, env.ErrHelp) {
		return exitcode.OK
	}
	var log *slog.Logger
	if err == nil {
		log, err = obs.NewLogger(stderr, l.format, l.level)
	}
	if err != nil {
		return p.fail(stderr, exitcode.Input(err))
	}
	if err := p.Run(ctx, rest, log); err != nil {
		return p.fail(stderr, err)
	}
	return exitcode.OK
}

func (p Program) fail(stderr io.Writer, err error) int {
	code := exitcode.Of(err)
	if code != exitcode.OK {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", p.Name, err) // nobody is left to tell
	}
	return code
}
