package allinone_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/sleep"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/allinone/allinone"
	"github.com/millrace/millrace/tests/e2e/rest"
	"github.com/millrace/millrace/tests/servers"
)

// Recordings that need more than a worker of their own.
const (
	removed     = "plugin-removed"        // connectors whose plugin is no longer installed
	pair        = "two-workers"           // of two workers, one of which is lost
	misbehaving = "misbehaving-connector" // of a connector that breaks rules
	greedyRun   = "greedy"                // begins the names there: the worker's group has one of them
)

// workers are the workers of recordings that need another one.
var workers = map[string]func(*allinone.Config){
	"validate":    func(c *allinone.Config) { c.Worker["exactly.once.source.support"] = "disabled" },
	rest.Recorded: func(c *allinone.Config) { c.Worker["exactly.once.source.support"] = "disabled" },
	misbehaving: func(c *allinone.Config) {
		c.Worker["exactly.once.source.support"], c.Worker["group.id"] = "disabled", "connect-"+greedyRun+"-grp"
	},
	"variant-cors": func(c *allinone.Config) {
		maps.Copy(c.Worker, map[string]string{"access.control.allow.origin": "*", "admin.listeners": "", "connector.client.config.override.policy": "None", "topic.tracking.enable": "false",
			"exactly.once.source.support":  "disabled",
			"response.http.headers.config": `add X-XSS-Protection: 1; mode=block, "add Cache-Control: no-cache, no-store, must-revalidate", set X-Set: yes, setDate X-Date: 0`})
	},
	"variant-auth": func(c *allinone.Config) {
		users := filepath.Join(c.DataDir, "users.properties")
		if err := os.WriteFile(users, []byte("alice=secret1\nbob=pa:ss\n"), 0o600); err != nil {
			panic(err) // the test's own
		}
		maps.Copy(c.Worker, map[string]string{"rest.extension.classes": "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension",
			"millrace.rest.basic.auth.file": users, "access.control.allow.origin": "http://good.example, https://*.wild.example", "access.control.allow.methods": "PUT,DELETE",
			"exactly.once.source.support":             "disabled",
			"connector.client.config.override.policy": "Principal", "topic.tracking.allow.reset": "false", "admin.listeners": "http://127.0.0.1:0"})
	},
	"variant-providers": func(c *allinone.Config) {
		maps.Copy(c.Worker, map[string]string{
			"config.providers":                             "file,env,dir",
			"config.providers.file.class":                  "org.apache.kafka.common.config.provider.FileConfigProvider",
			"config.providers.file.param.allowed.paths":    c.DataDir,
			"config.providers.dir.class":                   "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
			"config.providers.dir.param.allowed.paths":     c.DataDir,
			"config.providers.env.class":                   "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
			"config.providers.env.param.allowlist.pattern": "ORACLE_.*",
			"topic.creation.enable":                        "false",
			"connector.client.config.override.policy":      "Allowlist",
			"connector.client.config.override.allowlist":   "acks,max.request.size,client.id",
		})
	},
}

func TestMain(m *testing.M) {
	if err := os.Setenv("ORACLE_ENV_NUM", "3"); err != nil { // a secret of the recordings
		panic(err)
	}
	os.Exit(servers.RunWithDatabases(m))
}

// world starts what a recording is replayed against.
type world func(t *testing.T, dir string, further []plugin.Plugin, change func(*allinone.Config)) (target rest.Target, stop func())

// oneProcess is an all-in-one.
func oneProcess(t *testing.T, dir string, further []plugin.Plugin, change func(*allinone.Config)) (rest.Target, func()) {
	t.Helper()
	info, stop := startIn(t, dir, further, change)
	target := rest.Target{Base: "http://" + info.API}
	if len(info.AdminURLs) > 0 {
		target.Admin = info.AdminURLs[0]
	}
	return target, stop
}

// replay starts a world for a recording and prepares to play it.
func replay(t *testing.T, start world, file string, tally *rest.Tally) (p *rest.Player, stop func(), again func() rest.Target) {
	t.Helper()
	dir := t.TempDir()
	var further []plugin.Plugin
	if file == misbehaving || file == removed {
		further = []plugin.Plugin{rest.Greedy()}
	}
	target, stop := start(t, dir, further, workers[file])
	t.Cleanup(func() { stop() })
	target.Dir, target.Ours, target.Version, target.Write, target.Tally = dir, rest.Ours, connectors.Version, rest.Written[file], tally
	switch file {
	case "variant-auth":
		target.Login = "alice:secret1"
	case misbehaving:
		target.Run = greedyRun
	}
	return rest.New(t, target, file), stop, func() rest.Target {
		next, end := start(t, dir, nil, workers[file])
		t.Cleanup(end)
		return next
	}
}

// replayAll replays every recording, each against a world of its own: the recordings list all connectors.
func replayAll(t *testing.T, start world, besides ...string) {
	t.Helper()
	tally := &rest.Tally{}
	t.Cleanup(func() { t.Log(tally) })
	for _, file := range rest.Files(t) {
		if slices.Contains(besides, file) {
			continue
		}
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			p, stop, again := replay(t, start, file, tally)
			if file == removed {
				p.Play(t, "plugin-removed-8")
				stop()
				p.Move(again())
			}
			playToTheEnd(t, p, file)
		})
	}
}

// playToTheEnd plays what is left, and does meanwhile what was done to files when it was recorded.
func playToTheEnd(t *testing.T, p *rest.Player, file string) {
	t.Helper()
	if file == "tasks-topics" { // the source has read all lines before its topic is another
		p.Play(t, "tasks-topics-15")
		ctx, cancel := context.WithCancel(t.Context())
		var lines sync.WaitGroup
		defer lines.Wait()
		defer cancel()
		lines.Go(func() { // a task that is about to end may still read some, for its topic
			for p.Append("in-tt", "one more\n") && sleep.For(ctx, 100*time.Millisecond) {
				if err := p.ResetTopics("{{RUN}}-ts", "{{RUN}}-t-tt"); err != nil && ctx.Err() == nil {
					t.Errorf("resetting the topics: %v", err)
				}
			}
		})
	}
	p.Play(t, "")
}

func TestGolden_all_in_one(t *testing.T) {
	t.Parallel()
	replayAll(t, oneProcess, pair)
}

// The recordings in which Kafka does most of the work, beside a real broker.
func TestGolden_beside_a_real_broker(t *testing.T) {
	t.Parallel()
	bootstrap := servers.Kafka(t)
	for _, file := range []string{"tasks-topics", "offsets", "after-deletion"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			p, _, _ := replay(t, func(t *testing.T, dir string, further []plugin.Plugin, _ func(*allinone.Config)) (rest.Target, func()) {
				t.Helper()
				return oneProcess(t, dir, further, func(c *allinone.Config) {
					unique := fmt.Sprintf("%s-%d", file, time.Now().UnixNano()) // the broker may have seen other runs
					c.Kafka, c.Worker["group.id"], c.Worker["offset.storage.topic"] = bootstrap, unique, "offsets-"+unique
				})
			}, file, nil)
			playToTheEnd(t, p, file)
		})
	}
}

// Every row of the lists of what is different is a row of a recording.
func TestGolden_reasons_are_about_recorded_rows(t *testing.T) {
	t.Parallel()
	rows := rest.Rows(t)
	for _, list := range []map[string]string{rest.Ours, rest.NotSent} {
		for id, reason := range list {
			require.Contains(t, rows, id, "%s", reason)
			require.NotEmpty(t, strings.TrimSpace(reason), id)
		}
	}
}
