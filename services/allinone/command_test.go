package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/exitcode"
)

func TestParseCommand(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]command{
		"":                            {worker: "flag"},
		"demo":                        {worker: "flag", demo: true},
		"demo -stay":                  {worker: "flag", demo: true, stay: true},
		"standalone w":                {worker: "w", connectors: []string{}},
		"standalone w a.json b.props": {worker: "w", connectors: []string{"a.json", "b.props"}},
		"distributed w":               {worker: "w", connectors: []string{}},
	} {
		file := ""
		if want.worker == "flag" {
			file = "flag"
		}
		got, err := parseCommand(strings.Fields(args), file)
		require.NoError(t, err, args)
		require.Equal(t, want, got, args)
	}
	for args, want := range map[string]string{
		"serve": "unknown arguments", "demo now": "only -stay", "demo -stay x": "only -stay", "standalone": "needs the file of a worker configuration",
		"distributed": "needs the file", "distributed w c": "over the REST API",
	} {
		_, err := parseCommand(strings.Fields(args), "")
		require.ErrorContains(t, err, want, args)
	}
	_, err := parseCommand([]string{"standalone", "w"}, "x")
	require.ErrorContains(t, err, "given twice")
}

func TestReadConnectors_that_cannot_be_read_end_the_process_with_code_3(t *testing.T) {
	t.Parallel()
	good, bad := filepath.Join(t.TempDir(), "good.json"), filepath.Join(t.TempDir(), "bad.properties")
	require.NoError(t, os.WriteFile(good, []byte(`{"name":"c"}`), 0o600))
	require.NoError(t, os.WriteFile(bad, []byte("connector.class=X"), 0o600))
	var log bytes.Buffer
	all, err := readConnectors([]string{good}, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	require.Len(t, all, 1)
	_, err = readConnectors([]string{good, bad}, slog.New(slog.NewTextHandler(&log, nil)))
	require.ErrorContains(t, err, "Connector configuration at '"+bad+"' is missing the mandatory 'name' configuration")
	require.Equal(t, exitcode.Unavailable, exitcode.Of(err))
	require.Contains(t, log.String(), "Stopping after connector error")
}
