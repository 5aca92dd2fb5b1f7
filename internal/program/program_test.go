package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/env"
	"github.com/millrace/millrace/internal/exitcode"
)

func TestProgram_exit_codes_and_what_is_printed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args     []string
		err      error
		code     int
		out, bad string
	}{
		"a wanted end":        {code: 0},
		"help":                {args: []string{"-help"}, code: 0, out: "-listen"},
		"version":             {args: []string{"-version"}, code: 0, out: "millrace-test 0."},
		"an unknown flag":     {args: []string{"-nope"}, code: 2, bad: "millrace-test: "},
		"a bad log level":     {args: []string{"-log-level", "loud"}, code: 2, bad: "must be off, fatal, error, warn, info, debug, trace or all"},
		"a fault":             {err: errors.New("boom"), code: 1, bad: "millrace-test: boom"},
		"a missing server":    {err: exitcode.Missing(errors.New("no database")), code: 3, bad: "no database"},
		"bad input":           {err: exitcode.Input(errors.New("no such file")), code: 2, bad: "no such file"},
		"an interrupted work": {err: context.Canceled, code: 0},
		"a command":           {args: []string{"import", "-apply", "now"}, err: errors.New("not this one"), code: 1, bad: "millrace-test import: true [now]"},
		"a command's help":    {args: []string{"import", "-help"}, code: 0, out: "-apply"},
		"no command":          {args: []string{"-listen", ":1", "import"}, err: errors.New("boom"), code: 1, bad: "millrace-test: boom"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var listen string
			table := env.New("millrace-test", "A test.")
			table.String(&listen, "listen", ":0", "Where.")
			var out, bad bytes.Buffer
			var apply bool
			second := env.New("millrace-test import", "Another.")
			second.Bool(&apply, "apply", false, "Whether.")
			command := Program{Name: "millrace-test import", Table: second, Run: func(_ context.Context, args []string, _ *slog.Logger) error {
				return fmt.Errorf("%v %v", apply, args)
			}}
			code := Program{Name: "millrace-test", Table: table, Commands: []Program{command}, Run: func(_ context.Context, _ []string, log *slog.Logger) error {
				log.Info("runs")
				return c.err
			}}.run(t.Context(), c.args, func(string) string { return "" }, &out, &bad)
			require.Equal(t, c.code, code)
			require.Contains(t, out.String(), c.out)
			require.Contains(t, bad.String(), c.bad)
		})
	}
}
