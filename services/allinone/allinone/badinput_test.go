package allinone_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/allinone/allinone"
	"github.com/millrace/millrace/tests/e2e/badinput"
	"github.com/millrace/millrace/tests/logs"
)

func TestBadInput_fails_its_own_task_names_the_cause_and_loses_nothing(t *testing.T) {
	t.Parallel()
	files, log := t.TempDir(), &logs.Buffer{}
	info := start(t, func(c *allinone.Config) {
		var err error
		c.Plugins, err = plugin.New(append(plugins.All(connectors.Options{FileRoots: []string{files}}), badinput.Plugins()...)...)
		require.NoError(t, err)
		c.Worker["offset.flush.interval.ms"] = "200"
		c.Logger = log.Logger()
	})
	dir, err := filepath.EvalSymlinks(files)
	require.NoError(t, err)
	badinput.Run(t, badinput.Target{Base: "http://" + info.API, Dir: dir, Logs: log.String})
}
