package runner

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/secrets"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/jobs"
	"github.com/millrace/millrace/tests/logs"
)

// resolving is a job that only resolves its configuration when it starts.
type resolving struct{ start func() error }

func (r resolving) Run(take, _ context.Context, env job.Env) error {
	if err := r.start(); err != nil {
		return err
	}
	env.Report.State(cluster.StateRunning)
	<-take.Done()
	return nil
}

// mute takes what supervisors tell.
type mute struct{}

func (mute) Status(cluster.Status)                {}
func (mute) TaskConfigs(cluster.TaskConfigReport) {}
func (mute) Topics(cluster.TopicReport)           {}
func (mute) Beat()                                {}

func TestRuntime_9_jobs_start_anew_when_a_value_changes_and_only_then(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "db.properties")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write("password=first\nother=1\n")
	var log logs.Buffer
	refs, err := secrets.FromProperties(map[string]string{"config.providers": "file", "config.providers.file.class": "FileConfigProvider",
		"config.providers.file.param.allowed.paths": dir}, os.LookupEnv, log.Logger())
	require.NoError(t, err)
	r := newReloader(refs, log.Logger())
	starts := map[string]*atomic.Int64{"restarts": {}, "says none": {}, "has none": {}, "in its task": {}}
	var seen atomic.Value
	sup := jobs.New(jobs.Options{WorkerID: "w", Out: mute{}, Logger: log.Logger(), Factory: func(spec cluster.JobSpec) (job.Instance, error) {
		r.starting(spec)
		return resolving{func() error {
			config, err := refs.Resolve(spec.Config)
			if spec.Name == "restarts" {
				seen.Store(config.Plain()["db.password"])
			}
			starts[spec.Name].Add(1)
			return err
		}}, nil
	}})
	defer sup.Close(context.WithoutCancel(t.Context()))
	sup.Begin("s")
	ref := "${file:" + file + ":password}"
	for i, config := range []map[string]string{{"name": "restarts", "db.password": ref}, {"name": "says none", "db.password": ref, "config.action.reload": "none"}, {"name": "has none"}, {"name": "in its task"}} {
		spec := cluster.JobSpec{Job: cluster.TaskJob("u", i), Session: "s", Epoch: 1, Revision: 1, Name: config["name"], Target: cluster.Started, Config: cluster.ConfigOf(config)}
		if config["name"] == "in its task" {
			spec.TaskConfig = cluster.ConfigOf(map[string]string{"url": "x?" + ref})
		}
		sup.Apply(spec)
	}
	counts := func() (n [4]int64) {
		for i, name := range []string{"restarts", "says none", "has none", "in its task"} {
			n[i] = starts[name].Load()
		}
		return n
	}
	until := func(want [4]int64) {
		t.Helper()
		require.Eventually(t, func() bool { return counts() == want }, patience, time.Millisecond, "%v", counts())
	}
	until([4]int64{1, 1, 1, 1})
	r.look(t.Context(), sup)
	write("password=first\nother=2\n") // the file is another, the value is the same
	r.look(t.Context(), sup)

	write("password=second\nother=2\n")
	r.look(t.Context(), sup)
	until([4]int64{2, 1, 1, 2})
	require.Equal(t, "second", seen.Load())
	r.look(t.Context(), sup)

	require.NoError(t, os.Remove(file)) // what can't be looked up is no reason to stop what runs
	r.look(t.Context(), sup)
	require.Contains(t, log.String(), "can't be looked up any more")
	write("password=third\n")
	r.look(t.Context(), sup)
	until([4]int64{3, 1, 1, 3})
	require.NotContains(t, log.String(), "third")

	sup.Release(cluster.TaskJob("u", 0), "s", 1)
	require.Eventually(t, func() bool { return len(sup.Holding().Held) == 3 }, patience, time.Millisecond)
	write("password=fourth\n")
	r.look(t.Context(), sup)
	until([4]int64{3, 1, 1, 4})
	require.Len(t, r.known(), 2, "what is not held any more is forgotten")
}
