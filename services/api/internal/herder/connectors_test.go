package herder_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/api/internal/herder"
)

func TestCreate_stores_the_connector_and_tells_the_schedulers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	info, delivered, err := w.Create(t.Context(), herder.CreateRequest{Name: " \tlist ", Config: list(), Target: cluster.Paused, By: by})
	require.NoError(t, err)
	require.True(t, delivered)
	require.Equal(t, herder.ConnectorInfo{Name: "list", Config: list("name", "list"), Tasks: []herder.TaskID{}, Type: cluster.TypeSource, Ref: w.view("list").Ref()}, info)

	v := w.view("list")
	require.Equal(t, source, v.Class)
	require.Equal(t, cluster.Paused, v.Target)
	require.Equal(t, int64(1), v.ConfigVersion)
	require.Eventually(t, func() bool { return w.wakes() == 1 }, patience, tick)
	require.Eventually(t, func() bool { // sent, and marked as sent
		n, _, err := w.store.OutboxStats(t.Context())
		return err == nil && n == 0
	}, patience, tick)
	audit, err := w.store.Audit(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, []string{"create", "ann", "req-1"}, []string{audit[0].Action, audit[0].Actor, audit[0].RequestID})
}

func TestCreate_refuses_what_is_wrong_and_stores_nothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create("taken")
	without := func(key string) cluster.Config { c := list(); delete(c, key); return c }
	for name, c := range map[string]struct {
		name   string
		config cluster.Config
		code   cluster.Code
		parts  []string
	}{
		"a name that is taken":     {"taken", list(), cluster.AlreadyExists, []string{"Connector taken already exists"}},
		"another name inside":      {"a", list("name", "b"), cluster.Invalid, []string{"Connector name configuration (b) doesn't match connector name in the URL (a)"}},
		"no class":                 {"a", without("connector.class"), cluster.Invalid, []string{"Connector config contains no connector type"}},
		"an unknown class":         {"a", list("connector.class", "NoSuch"), cluster.Invalid, []string{"Failed to find any class that implements Connector and which name matches NoSuch", source}},
		"a key that is missing":    {"a", without("items"), cluster.Invalid, []string{`1 error(s)`, `Missing required configuration "items"`}},
		"a value of another type":  {"a", list("items", "many"), cluster.Invalid, []string{"Invalid value many for configuration items: Not a number of type INT"}},
		"an unknown converter":     {"a", list("value.converter", "NoSuch"), cluster.Invalid, []string{"NoSuch"}},
		"two mistakes, both named": {"a", list("items", "many", "tasks.max", "0"), cluster.Invalid, []string{"2 error(s)", "items", "tasks.max"}},
		"more than workers take":   {"a", list("notes", strings.Repeat("x", 2<<20)), cluster.Invalid, []string{"The configuration has 2097", "Put what is large into a file"}},
		"no name":                  {" ", list(), cluster.Invalid, []string{"name"}},
	} {
		_, delivered, err := w.Create(t.Context(), herder.CreateRequest{Name: c.name, Config: c.config, By: by})
		require.Error(t, err, name)
		w.refused(err, c.code, c.parts...)
		require.False(t, delivered, name)
	}
	names, _, err := w.Names(t.Context(), cluster.ConnectorQuery{})
	require.NoError(t, err)
	require.Equal(t, []string{"taken"}, names)
}

func TestPut_creates_then_replaces_and_keeps_the_tasks_until_they_are_decided_anew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	info, created, delivered, err := w.Put(t.Context(), "list", list(), by)
	require.NoError(t, err)
	require.True(t, created && delivered)
	require.Empty(t, info.Tasks)

	v := w.running("other", 2)
	info, created, _, err = w.Put(t.Context(), "other", list("items", "4"), by)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, []herder.TaskID{{Connector: "other", Task: 0}, {Connector: "other", Task: 1}}, info.Tasks)
	require.Equal(t, list("items", "4", "name", "other"), info.Config)
	require.Equal(t, v.UID, w.view("other").UID)
	require.Equal(t, int64(2), w.view("other").ConfigVersion)

	_, _, _, err = w.Put(t.Context(), "other", list("items", "x"), by)
	w.refused(err, cluster.Invalid, "items")
	require.Equal(t, int64(2), w.view("other").ConfigVersion, "a refused configuration changes nothing")
}

func TestPatch_changes_and_removes_keys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create("list")
	four := "4"
	info, _, err := w.Patch(t.Context(), "list", cluster.Config{"items": &four, "value.converter": nil, "was.never": nil}, by)
	require.NoError(t, err)
	want := list("items", "4", "name", "list")
	delete(want, "value.converter")
	require.Equal(t, want, info.Config)

	_, _, err = w.Patch(t.Context(), "list", cluster.Config{"items": nil}, by)
	w.refused(err, cluster.Invalid, `Missing required configuration "items"`)
	require.Equal(t, want, w.view("list").Config, "a refused change changes nothing")
	_, _, err = w.Patch(t.Context(), "nobody", cluster.Config{}, by)
	w.refused(err, cluster.NotFound, "nobody")
}

func TestDelete_takes_the_name_at_once_and_shows_what_is_on_its_way_out(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running("list", 1)
	delivered, err := w.Delete(t.Context(), "list", by)
	require.NoError(t, err)
	require.True(t, delivered)
	_, err = w.Info(t.Context(), "list")
	w.refused(err, cluster.NotFound)
	st, err := w.Status(t.Context(), "list")
	require.NoError(t, err)
	require.Contains(t, string(st), `"type":"unknown"`)

	_, err = w.Delete(t.Context(), "list", by)
	w.refused(err, cluster.NotFound, "list")
	uid := w.create("list")
	require.Equal(t, "list", uid.Name, "the name is free at once")
}

func TestReading_shows_what_is_stored_and_what_was_last_seen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names, _, err := w.Names(t.Context(), cluster.ConnectorQuery{})
	require.NoError(t, err)
	require.Equal(t, []string{}, names, "an empty list is not null")

	v := w.running("list", 2)
	w.create("young")
	w.say(cluster.TaskJob(v.UID, 1), cluster.StateFailed, "boom\n")

	info, err := w.Info(t.Context(), "list")
	require.NoError(t, err)
	require.Equal(t, []herder.TaskID{{Connector: "list", Task: 0}, {Connector: "list", Task: 1}}, info.Tasks)
	tasks, err := w.Tasks(t.Context(), "list")
	require.NoError(t, err)
	require.Equal(t, herder.TaskInfo{ID: herder.TaskID{Connector: "list", Task: 1}, Config: list()}, tasks[1])

	running := herder.State{State: cluster.StateRunning, WorkerID: worker, Version: "1.2"}
	failed := herder.State{State: cluster.StateFailed, WorkerID: worker, Version: "1.2", Trace: "boom\n"}
	want := herder.StateInfo{Name: "list", Connector: running, Tasks: []herder.TaskState{{ID: 0, State: running}, {ID: 1, State: failed}}, Type: cluster.TypeSource}
	st, err := w.Status(t.Context(), "list")
	require.NoError(t, err)
	text, err := json.Marshal(want)
	require.NoError(t, err)
	require.Equal(t, string(text), string(st))
	ts, err := w.TaskStatus(t.Context(), "list", 1)
	require.NoError(t, err)
	require.Equal(t, want.Tasks[1], ts)

	w.create("q\"uo\\te<ü>\u2028")
	type expanded struct {
		Status *herder.StateInfo
		Info   *herder.ConnectorInfo
	}
	expand := func(status, info bool) (all map[string]expanded) {
		b, _, err := w.Expand(t.Context(), cluster.ConnectorQuery{}, status, info)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &all), "%s", b)
		return all
	}
	shown := info
	shown.Ref = cluster.ConfigRef{} // no part of an answer's body
	all := expand(false, true)
	require.Len(t, all, 3)
	require.Nil(t, all["list"].Status)
	require.Equal(t, &shown, all["list"].Info)
	require.Equal(t, "q\"uo\\te<ü>\u2028", all["q\"uo\\te<ü>\u2028"].Info.Name)
	all = expand(true, true)
	require.Len(t, all, 1, "one that has no status yet is left out, as in Kafka Connect")
	require.Equal(t, &want, all["list"].Status)
	require.Equal(t, &shown, all["list"].Info)
	all = expand(false, false)
	require.Len(t, all, 3)
	require.Equal(t, expanded{}, all["young"])
	single, err := json.Marshal(want)
	require.NoError(t, err)
	listed, _, err := w.Expand(t.Context(), cluster.ConnectorQuery{}, true, false)
	require.NoError(t, err)
	require.JSONEq(t, `{"list":{"status":`+string(single)+`}}`, string(listed))

	_, err = w.Status(t.Context(), "young")
	w.refused(err, cluster.NotFound, "No status found for connector young")
	_, err = w.Status(t.Context(), "nobody")
	w.refused(err, cluster.NotFound, "No status found for connector nobody")
	_, err = w.TaskStatus(t.Context(), "list", 7)
	w.refused(err, cluster.NotFound, "No status found for task list-7")
	_, err = w.TaskStatus(t.Context(), "nobody", 0)
	w.refused(err, cluster.NotFound, "No status found for task nobody-0")
	_, err = w.Tasks(t.Context(), "nobody")
	w.refused(err, cluster.NotFound)
}

func TestA_trace_shows_only_while_the_task_has_failed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.running("list", 1)
	w.say(cluster.TaskJob(v.UID, 0), cluster.StateFailed, "boom\n")
	w.say(cluster.TaskJob(v.UID, 0), cluster.StateRunning, "boom\n")
	ts, err := w.TaskStatus(t.Context(), "list", 0)
	require.NoError(t, err)
	require.Empty(t, ts.Trace)
}

func TestA_database_that_fails_is_not_taken_for_one_that_knows_nothing(t *testing.T) {
	t.Parallel()
	away := cluster.Wrapf(cluster.Unavailable, errors.New("connection refused"), "reading")
	w := newWorldOn(t, func(s herder.Store) herder.Store { return &brokenStore{s, away} })
	ctx := t.Context()
	for name, f := range map[string]func() error{
		"create":        func() error { _, _, err := w.Create(ctx, herder.CreateRequest{Name: "a", Config: list()}); return err },
		"put":           func() error { _, _, _, err := w.Put(ctx, "a", list(), by); return err },
		"patch":         func() error { _, _, err := w.Patch(ctx, "a", list(), by); return err },
		"names":         func() error { _, _, err := w.Names(ctx, cluster.ConnectorQuery{}); return err },
		"expand":        func() error { _, _, err := w.Expand(ctx, cluster.ConnectorQuery{}, true, true); return err },
		"info":          func() error { _, err := w.Info(ctx, "a"); return err },
		"tasks":         func() error { _, err := w.Tasks(ctx, "a"); return err },
		"status":        func() error { _, err := w.Status(ctx, "a"); return err },
		"task status":   func() error { _, err := w.TaskStatus(ctx, "a", 0); return err },
		"plugins":       func() error { _, err := w.Plugins(ctx, true); return err },
		"plugin config": func() error { _, err := w.PluginConfig(ctx, source, "latest"); return err },
		"validate":      func() error { _, err := w.Validate(ctx, source, list()); return err },
		"health":        func() error { return w.Health(ctx) },
	} {
		require.True(t, cluster.Is(f(), cluster.Unavailable), name)
	}
}

// late lets something happen between a write and what is read for its answer.
type late struct {
	herder.Store
	first func()
}

func (l *late) Connector(ctx context.Context, name string) (cluster.ConnectorView, error) {
	l.first()
	return l.Store.Connector(ctx, name)
}

func TestPut_says_that_it_was_stored_also_when_the_connector_is_gone_by_then(t *testing.T) {
	t.Parallel()
	var w *world
	l := &late{first: func() {}}
	w = newWorldOn(t, func(s herder.Store) herder.Store { l.Store = s; return l })
	w.running("c", 2)
	info, created, _, err := w.Put(t.Context(), "c", list("items", "4"), by)
	require.NoError(t, err)
	require.False(t, created)
	require.Len(t, info.Tasks, 2, "those from before")
	l.first = func() {
		_, err := w.store.DeleteConnector(t.Context(), "c", by)
		require.NoError(t, err)
	}
	info, created, _, err = w.Put(t.Context(), "c", list("items", "4"), by)
	require.NoError(t, err, "it was stored")
	require.False(t, created)
	require.Equal(t, "c", info.Name)
	require.Empty(t, info.Tasks)
}
