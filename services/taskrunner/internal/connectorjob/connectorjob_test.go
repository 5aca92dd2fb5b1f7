package connectorjob_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/taskrunner/internal/connectorjob"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

// fake is a connector that does as the test says and notes what is asked of it.
type fake struct {
	mu    sync.Mutex
	calls []string
	cc    connector.Context
	first cluster.TargetState // STARTED when empty
	start func() error
	split func(maxTasks int) ([]map[string]string, error)
}

func (f *fake) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

func (f *fake) Start(_ context.Context, cc connector.Context) error {
	f.note("start")
	f.cc = cc
	if f.start != nil {
		return f.start()
	}
	return nil
}

func (f *fake) TaskConfigs(_ context.Context, n int) ([]map[string]string, error) {
	f.note("split %d", n)
	if f.split != nil {
		return f.split(n)
	}
	return []map[string]string{{"part": "0"}}, nil
}

func (f *fake) Stop(context.Context) error { f.note("stop"); return nil }

// told is what a run reports.
type told struct {
	mu      sync.Mutex
	states  []cluster.State
	tasks   [][]cluster.Config
	fence   bool
	failure error
}

func (r *told) State(s cluster.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states = append(r.states, s)
}
func (r *told) Failed(err error) { r.mu.Lock(); defer r.mu.Unlock(); r.failure = err }
func (r *told) Version(string)   {}
func (r *told) TaskConfigs(_ int64, tasks []cluster.Config, fenceable bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks, r.fence = append(r.tasks, tasks), fenceable
}

// world is an instance that runs.
type world struct {
	*fake
	*told
	target chan cluster.TargetState
	stop   context.CancelFunc
	done   chan error
}

func run(t *testing.T, f *fake, kind plugin.Kind, config map[string]string) *world {
	t.Helper()
	w := &world{fake: f, told: &told{}, target: make(chan cluster.TargetState, 1), done: make(chan error, 1)}
	factory := connectorjob.New(connectorjob.Deps{
		Find: func(string) (*plugin.Plugin, error) {
			return &plugin.Plugin{Kind: kind, TaskClass: "org.example.Task", Version: "1", NewConnector: func() connector.Connector { return f }}, nil
		},
		Resolve: func(c cluster.Config) (map[string]string, error) {
			m := c.Plain()
			if m["password"] == "${vault:pw}" {
				m["password"] = "s3cret"
			}
			return m, nil
		},
		CheckSource: func(c map[string]string) error {
			if c["topic.creation.groups"] != "" {
				return errors.New("not like this")
			}
			return nil
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	inst, err := factory(cluster.JobSpec{Job: cluster.InstanceJob("u"), Name: "c", ConfigVersion: 3, Config: cluster.ConfigOf(config)})
	require.NoError(t, err)
	take, stop := context.WithCancel(t.Context())
	w.stop = stop
	if f.first == "" {
		f.first = cluster.Started
	}
	w.target <- f.first
	go func() {
		w.done <- inst.Run(take, t.Context(), job.Env{Spec: cluster.JobSpec{Name: "c", ConfigVersion: 3, Config: cluster.ConfigOf(config)}, Report: w.told, Target: w.target})
	}()
	synctest.Wait()
	return w
}

func TestInstance_starts_splits_follows_the_target_and_stops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := run(t, &fake{}, plugin.Sink, map[string]string{"tasks.max": "4", "topics": "a,b"})
		for _, target := range []cluster.TargetState{cluster.Paused, cluster.Started, cluster.Stopped} {
			w.target <- target
			synctest.Wait()
		}
		w.stop()
		require.NoError(t, <-w.done)
		require.Equal(t, []string{"start", "split 4", "stop", "start", "split 4", "stop"}, w.calls)
		require.Equal(t, []cluster.State{cluster.StateRunning, cluster.StatePaused, cluster.StateRunning, cluster.StateStopped}, w.states)
		require.True(t, w.fence, "sink tasks are fenced by their group")
		require.Equal(t, map[string]string{"part": "0", "task.class": "org.example.Task", "topics": "a,b"}, w.tasks[0][0].Plain())
	})
}

func TestInstance_a_paused_connector_is_not_started(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{first: cluster.Paused}
		w := run(t, f, plugin.Source, nil)
		require.Empty(t, f.calls)
		require.Equal(t, []cluster.State{cluster.StatePaused}, w.states)
		w.target <- cluster.Started
		synctest.Wait()
		require.Equal(t, []string{"start", "split 1"}, f.calls)
		require.False(t, w.fence)
		w.stop()
		require.NoError(t, <-w.done)
	})
}

func TestInstance_a_failed_start_is_the_error_and_still_stops_the_plugin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := run(t, &fake{start: func() error { return errors.New("no such table") }}, plugin.Source, nil)
		require.ErrorContains(t, <-w.done, "no such table")
		require.Equal(t, []string{"start", "stop"}, w.calls)
	})
}

func TestInstance_asks_again_when_the_split_fails_and_when_the_plugin_wishes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fails := 3
		f := &fake{split: func(int) ([]map[string]string, error) {
			if fails--; fails >= 0 {
				return nil, errors.New("the database is away")
			}
			return []map[string]string{{}}, nil
		}}
		w := run(t, f, plugin.Source, nil)
		<-time.After(5 * time.Second)
		synctest.Wait()
		require.Len(t, w.tasks, 1)
		f.cc.RequestTaskReconfiguration()
		synctest.Wait()
		require.Len(t, w.tasks, 2)
		require.Equal(t, []cluster.State{cluster.StateRunning}, w.states)
		w.stop()
		require.NoError(t, <-w.done)
	})
}

func TestInstance_more_tasks_than_allowed_fail_unless_that_is_not_enforced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		two := func(int) ([]map[string]string, error) { return []map[string]string{{}, {}}, nil }
		w := run(t, &fake{split: two}, plugin.Source, map[string]string{"tasks.max": "1"})
		err := <-w.done
		require.ErrorContains(t, err, "The connector c has generated 2 tasks, which is greater than 1, the maximum number of tasks it is configured to create.")
		require.Equal(t, connecterr.TooManyTasks, connecterr.KindOf(err))
		w = run(t, &fake{split: two}, plugin.Source, map[string]string{"tasks.max": "1", "tasks.max.enforce": "false"})
		require.Len(t, w.tasks[0], 2)
		w.stop()
		require.NoError(t, <-w.done)
	})
}

func TestInstance_a_source_is_checked_before_it_starts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		w := run(t, f, plugin.Source, map[string]string{"topic.creation.groups": "g"})
		require.EqualError(t, <-w.done, "not like this")
		require.Nil(t, f.cc, "it was started")
		w = run(t, &fake{}, plugin.Sink, map[string]string{"topic.creation.groups": "g"})
		require.Equal(t, []cluster.State{cluster.StateRunning}, w.states)
		w.stop()
		require.NoError(t, <-w.done)
	})
}

func TestInstance_a_raised_error_fails_it_until_it_is_stopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		w := run(t, f, plugin.Source, nil)
		f.cc.RaiseError(errors.New("schema is gone"))
		synctest.Wait()
		require.EqualError(t, w.failure, "schema is gone")
		w.target <- cluster.Paused
		synctest.Wait()
		require.Equal(t, []cluster.State{cluster.StateRunning}, w.states, "a failed connector can't be paused")
		w.target <- cluster.Stopped
		synctest.Wait()
		w.target <- cluster.Started
		synctest.Wait()
		require.Equal(t, []cluster.State{cluster.StateRunning, cluster.StateStopped, cluster.StateRunning}, w.states)
		w.stop()
		require.NoError(t, <-w.done)
	})
}

func TestInstance_a_secret_goes_back_to_its_reference_before_it_is_stored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{split: func(int) ([]map[string]string, error) {
			return []map[string]string{{"password": "s3cret", "user": "me"}, {"password": "s3cret;trimmed", "copy": "s3cret", "in": "a s3cret"}}, nil
		}}
		w := run(t, f, plugin.Source, map[string]string{"tasks.max": "2", "password": "${vault:pw}", "user": "me"})
		require.Equal(t, "${vault:pw}", w.tasks[0][0].Plain()["password"])
		require.Equal(t, "me", w.tasks[0][0].Plain()["user"])
		require.Equal(t, "${vault:pw}", w.tasks[0][1].Plain()["password"], "whatever the plugin made of it")
		require.Equal(t, "${vault:pw}", w.tasks[0][1].Plain()["copy"], "also under another key")
		require.Equal(t, "a s3cret", w.tasks[0][1].Plain()["in"], "a value of the plugin's own is not ours to change")
		w.stop()
		require.NoError(t, <-w.done)
	})
}
